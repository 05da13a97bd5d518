"""Rules about restarts of an end."""

from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject


def device_closed(subject: Subject) -> Judgement:
    """Judge if a restart removes the device, and all routes through it."""
    if keeps := subject.option("persist-tun"):
        return safe("a restart by SIGUSR1 or ping-restart keeps the device", keeps.spot)
    if subject.pushed_unknown:
        return unknown("this file has no `persist-tun`; whether it is pushed is unknown", do="set `persist-tun` here")
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel, and OpenVPN sets its own routes again")
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
    full = limit is not None and limit.argument(0) == "1"
    blockers = [d for d in (limit if full else None, shared) if d is not None]
    if not blockers:
        return safe("a client that reconnects replaces its old session (no `duplicate-cn`)")
    timeout = subject.timeout()
    seconds, at = timeout if timeout else (None, None)
    spots = [d.spot for d in blockers] + ([at] if at else [])
    long = f"until {seconds} s without a packet have passed" if seconds else "forever, without a keepalive"
    if full:
        why = f"the old session of a client counts against `max-clients 1` {long}: the client is refused"
        return exposed(
            why, *spots, do="limit the server by `verify-x509-name CLIENT name` instead, or set a short keepalive"
        )
    return exposed(
        f"the old session stays besides the new one {long}",
        *spots,
        do="remove `duplicate-cn`: then a client that reconnects replaces its old session",
    )


def no_exit_notify(subject: Subject) -> Judgement:
    """Judge if this end notifies the other one when it stops."""
    end = subject.end
    if end.transports == {"tcp"}:
        return safe("over TCP the closed connection notifies the other end", *[d.spot for d in end.all("proto")[:1]])
    notify = subject.option("explicit-exit-notify")
    if end.differs("explicit-exit-notify"):
        where = [d.spot for d in end.all("explicit-exit-notify")]
        return unknown("it depends on which `<connection>` is used", *where, do="set `explicit-exit-notify` in each")
    if notify:
        return safe("it notifies the other end when it is stopped (but not when it crashes)", notify.spot)
    if subject.pushed_unknown:
        return unknown("no `explicit-exit-notify` here; whether it is pushed is unknown", do="set it here")
    timeout = subject.timeout()
    if timeout is None or (timeout[0] is None and timeout[1] is not None):
        return unknown("UDP without `explicit-exit-notify`; how long the other end waits is unknown", do="set it here")
    return exposed(
        "over UDP the other end is not notified when this one stops: it waits for its keepalive",
        *([timeout[1]] if timeout[1] else []),
        do="set `explicit-exit-notify`",
    )


RULES = (
    Rule(
        "restart-closes-device",
        "A restart of OpenVPN without `persist-tun` removes the device under a running routing daemon.",
        ("persist-tun",),
        "openvpn(8), --persist-tun",
        device_closed,
        "test_fib_recovers_after_a_restart_without_persist_tun",
    ),
    Rule(
        "quick-reconnect",
        "A client that reconnects quickly conflicts with its own old session at the server.",
        ("max-clients", "duplicate-cn", "keepalive"),
        "openvpn(8), --max-clients, --duplicate-cn; multi_create_instance in multi.c of OpenVPN",
        quick_reconnect,
        "test_max_clients_refuses_a_client_that_reconnects_early_over_udp",
    ),
    Rule(
        "no-exit-notify",
        "An end that stops over UDP counts as alive at the other end until the keepalive expires.",
        ("proto", "explicit-exit-notify", "keepalive"),
        "openvpn(8), --explicit-exit-notify",
        no_exit_notify,
    ),
)
