"""Rules about restarts of an end."""

from collections.abc import Sequence

from lab.advise.across import static_through
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject
from lab.configs.disk import Spot
from lab.configs.numbers import is_number
from lab.configs.openvpn.configuration import Directive


def device_closed(subject: Subject) -> Judgement:
    """Judge if a restart removes the device, and all routes through it."""
    remap = subject.end.last("remap-usr1")
    remapped = remap if remap and remap.argument(0) in ("SIGHUP", "SIGTERM") else None
    if (keeps := subject.option("persist-tun")) and remapped is None:
        return safe("a restart by SIGUSR1 or ping-restart keeps the device", keeps.spot)
    if subject.pushed_unknown and remapped is None:
        return unknown("this file has no `persist-tun`; whether it is pushed is unknown", do="set `persist-tun` here")
    static = static_through(subject.router, subject.end) if subject.router is not None else []
    if static and not subject.routes:
        return unknown(
            "no `persist-tun`, so that a restart removes the daemon's static routes through the device; whether it "
            "installs them again is unknown",
            *[route.spot for route in static],
            do="set `persist-tun`",
        )
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel, and OpenVPN sets its own routes again")
    if remapped:
        why = f"`{remapped}` makes each restart one that closes the device, also with `persist-tun`"
        spots = [d.spot for d in (remapped, keeps) if d]
        if subject.routes is None:
            return unknown(f"{why}; whether a daemon has routes through it is unknown", *spots, do="remove it")
        return exposed(why, *spots, do="remove it")
    if subject.routes is None:
        return unknown(
            "no `persist-tun`; whether a daemon has routes through the device is unknown", do="set `persist-tun`"
        )
    return exposed("a restart closes the device and removes the daemon's routes", do="set `persist-tun`")


def quick_reconnect(subject: Subject) -> Judgement:
    """Judge if the old session of a client prevents it from reconnecting."""
    end = subject.end
    if end.role != "server":
        return safe("only a process in `mode server` has sessions of clients")
    limit, shared = end.last("max-clients"), end.last("duplicate-cn")
    slots = _slots(subject, limit)
    blockers = [d for d in (None if slots is True else limit, shared) if d is not None]
    if not blockers:
        return safe("a client that reconnects replaces its old session", *([limit.spot] if limit else []))
    timeout = subject.timeout()
    seconds, at = timeout if timeout else (None, None)
    spots = [d.spot for d in blockers] + ([at] if at else [])
    long = f"until {seconds} s without a packet have passed" if seconds else "forever, without a keepalive"
    do = "limit the server by `verify-x509-name CLIENT name` instead, or set a short keepalive"
    if slots is not True and limit is not None:
        what = f"the old session of a client counts against `{limit}` {long}"
        if slots is None and shared is None:
            return unknown(f"{what}; whether the slots are enough is not in the files", *spots, do=do)
        if slots is False:
            return _unless_closed(subject, f"{what}: the client is refused", spots, do)
    do = "remove `duplicate-cn`: then a client that reconnects replaces its old session"
    return _unless_closed(subject, f"the old session stays besides the new one {long}", spots, do)


def _slots(subject: Subject, limit: Directive | None) -> bool | None:
    """Return True if `max-clients` has a slot for a second session of each client, False if it can have too few."""
    if limit is None:
        return True  # the default is 1024
    text = limit.argument(0) or ""
    if not is_number(text):
        return None
    named = {e.client for e in subject.client_options.entries if e.source == "file" and e.client is not None}
    if int(text) <= max(1, len(named)):
        return False
    # With `ccd-exclusive` a client without a file of its own is refused.
    exclusive = subject.end.has("ccd-exclusive") and not subject.client_options.gaps
    return True if exclusive and int(text) >= 2 * len(named) else None


def _unless_closed(subject: Subject, why: str, spots: Sequence[Spot], do: str) -> Judgement:
    """Return the judgement of an old session that stays, if the client does not end it."""
    if subject.end.transports == {"tcp"}:
        return unknown(f"{why}, unless the end of its TCP connection reaches the server", *spots, do=do)
    client = subject.peer if subject.peer is not None and subject.peer.role == "client" else None
    if client is not None and (fixed := client.last("lport", "bind", "port", "local")) and not client.has("nobind"):
        return unknown(
            f"{why}, unless it comes from the same address and port again, which replaces it", fixed.spot, *spots, do=do
        )
    return exposed(why, *spots, do=do)


def no_exit_notify(subject: Subject) -> Judgement:
    """Judge if this end notifies the other one when it stops."""
    end = subject.end
    if end.transports == {"tcp"}:
        return safe("over TCP the closed connection notifies the other end", *[d.spot for d in end.all("proto")[:1]])
    notify = subject.option("explicit-exit-notify")
    if end.differs("explicit-exit-notify"):
        where = [d.spot for d in end.all("explicit-exit-notify")]
        return unknown("it depends on which `<connection>` is used", *where, do="set `explicit-exit-notify` in each")
    if notify and not is_number(notify.argument(0) or "1"):
        return unknown(f"`{notify}`: the number of notifications is not a number", notify.spot, do="set it to a number")
    if notify and int(notify.argument(0) or "1"):
        return safe("it notifies the other end when it is stopped (but not when it crashes)", notify.spot)
    if subject.pushed_unknown:
        return unknown("no `explicit-exit-notify` here; whether it is pushed is unknown", do="set it here")
    timeout = subject.timeout()
    if timeout is None:
        return unknown("UDP without `explicit-exit-notify`; how long the other end waits is unknown", do="set it here")
    return exposed(
        "over UDP the other end is not notified when this one stops: it waits for its keepalive",
        *([notify.spot] if notify else []),
        *([timeout[1]] if timeout[1] else []),
        do="set `explicit-exit-notify`",
    )


RULES = (
    Rule(
        "restart-closes-device",
        "A restart of OpenVPN without `persist-tun` removes the device under a running routing daemon.",
        ("persist-tun", "remap-usr1"),
        "openvpn(8), --persist-tun; tested with OpenVPN 2.6.14 and 2.7.8",
        device_closed,
        "test_fib_recovers_after_a_restart_without_persist_tun",
    ),
    Rule(
        "quick-reconnect",
        "A client that reconnects quickly conflicts with its own old session at the server.",
        ("max-clients", "duplicate-cn", "ccd-exclusive", "client-config-dir", "keepalive", "proto"),
        "openvpn(8), --max-clients, --duplicate-cn; multi_create_instance in multi.c of OpenVPN; tested with OpenVPN "
        "2.6.14 and 2.7.8",
        quick_reconnect,
        "test_max_clients_refuses_a_client_that_reconnects_early_over_udp",
    ),
    Rule(
        "no-exit-notify",
        "An end that stops over UDP counts as alive at the other end until the keepalive expires.",
        ("proto", "explicit-exit-notify", "keepalive"),
        "openvpn(8), --explicit-exit-notify; tested with OpenVPN 2.6.14 and 2.7.8",
        no_exit_notify,
    ),
)
