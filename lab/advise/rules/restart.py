"""What goes wrong when an end goes away and comes back."""

from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject


def device_closed(subject: Subject) -> Judgement:
    """Does a restart take the device, and all its routes, away?"""
    if keeps := subject.option("persist-tun"):
        return safe("a restart by SIGUSR1 or ping-restart keeps the device", keeps.spot)
    if subject.pushed_unknown:
        return unknown("this file has no `persist-tun`; whether it is pushed is not known", do="say `persist-tun` here")
    if subject.routes is False:
        return safe("no routing daemon speaks through this tunnel, and OpenVPN sets its own routes anew")
    if subject.routes is None:
        return unknown(
            "no `persist-tun`; whether a daemon's routes go through the device is not known", do="persist-tun"
        )
    return exposed("a restart closes the device, and the daemon's routes go with it", do="`persist-tun`")


def quick_reconnect(subject: Subject) -> Judgement:
    """Does the session that a client left behind stand in its way?"""
    end = subject.end
    if end.role != "server":
        return safe("only a process in `mode server` holds sessions of clients")
    limit, shared = end.last("max-clients"), end.last("duplicate-cn")
    full = limit is not None and limit.argument(0) == "1"
    held = [d for d in (limit if full else None, shared) if d is not None]
    if not held:
        return safe("a client that comes again takes the place of its old session (no `duplicate-cn`)")
    told = subject.timeout()
    seconds, at = told if told else (None, None)
    spots = [d.spot for d in held] + ([at] if at else [])
    long = f"for {seconds} s of silence" if seconds else "for ever, as there is no keepalive"
    if full:
        why = f"the session that a client leaves behind counts as the one of `max-clients 1` {long}: it is refused"
        return exposed(
            why, *spots, do="limit the server by `verify-x509-name CLIENT name` instead, or a short keepalive"
        )
    return exposed(
        f"the old session stays beside the new one {long}",
        *spots,
        do="leave `duplicate-cn` out: then a client that comes again takes over",
    )


def no_goodbye(subject: Subject) -> Judgement:
    """Does this end say that it leaves?"""
    end = subject.end
    if end.transports == {"tcp"}:
        return safe("over TCP the connection's end is the good-bye", *[d.spot for d in end.all("proto")[:1]])
    says = subject.option("explicit-exit-notify")
    if end.differs("explicit-exit-notify"):
        where = [d.spot for d in end.all("explicit-exit-notify")]
        return unknown("it depends on which `<connection>` is used", *where, do="say `explicit-exit-notify` in each")
    if says:
        return safe("it says good-bye when it is stopped (a crash says nothing)", says.spot)
    if subject.pushed_unknown:
        return unknown("no `explicit-exit-notify` here; whether it is pushed is not known", do="say it here")
    told = subject.timeout()
    if told is None or (told[0] is None and told[1] is not None):
        return unknown(
            "UDP without `explicit-exit-notify`; how long the other end waits is not known", do="say it here"
        )
    return exposed(
        "over UDP nothing tells the other end that this one stopped: it waits for its own keepalive",
        *([told[1]] if told[1] else []),
        do="`explicit-exit-notify`",
    )


RULES = (
    Rule(
        "restart-closes-device",
        "A restart of OpenVPN without `persist-tun` takes the device away under a running routing daemon.",
        ("persist-tun",),
        "openvpn(8), --persist-tun",
        device_closed,
        "test_fib_recovers_after_a_restart_without_persist_tun",
    ),
    Rule(
        "quick-reconnect",
        "A client that reconnects quickly meets its own old session, which the server still holds.",
        ("max-clients", "duplicate-cn", "keepalive"),
        "openvpn(8), --max-clients, --duplicate-cn; multi_create_instance in multi.c of OpenVPN",
        quick_reconnect,
        "test_max_clients_refuses_a_client_that_reconnects_early_over_udp",
    ),
    Rule(
        "no-goodbye",
        "An end that stops over UDP is taken for alive by the other one until the keepalive runs out.",
        ("proto", "explicit-exit-notify", "keepalive"),
        "openvpn(8), --explicit-exit-notify",
        no_goodbye,
    ),
)
