"""What goes wrong between the kernel and the clients: OpenVPN's inner routing table, and `iroute`, which fills it."""

from ipaddress import IPv4Network, IPv6Network

from lab.advise.handed import Gap, Network
from lab.advise.numbers import is_number
from lab.advise.openvpn import Directive, pushed
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject, userspace_because

_QUOTA = 256
"""OpenVPN's default of `max-routes-per-client`."""
_ASK_FRR = "add frr.conf with another --config, so that it is known what speaks through the tunnel"
_DCO_TELLS = "look for `DCO` in the server's log, or say `disable-dco`"


def second_client(subject: Subject) -> Judgement:
    """Who else may get the inner default route?"""
    if other := _no_inner_table(subject):
        return other
    wide = subject.handed.wide
    if not wide:
        return _no_wide(subject, "no client is handed an inner default route")
    spots = [inner.spot for inner in wide]
    end = subject.end
    limit, shared = end.last("max-clients"), end.last("duplicate-cn")
    if limit and limit.argument(0) == "1":
        return safe("`max-clients 1` refuses a second client (and see quick-reconnect)", limit.spot)
    do = "one server process per client, and `max-clients 1` or `verify-x509-name CLIENT name` in each"
    if shared:
        return exposed(
            "with `duplicate-cn` even the same certificate makes a second client", shared.spot, *spots, do=do
        )
    named = _only_name(subject)
    if named and not end.has("username-as-common-name", "verify-client-cert", "client-cert-not-required"):
        return safe("one certificate name is let in, and a second connection with it takes over the first", named.spot)
    takers = [to for to, inner in subject.handed.clients if any(i.wide for i in inner)]
    if check := end.last("tls-verify", "auth-user-pass-verify", "plugin"):
        return unknown(f"`{check.name}` may refuse all clients but one", check.spot, *spots, do=do)
    if len(takers) == 1 and takers[0] is not None:
        if subject.handed.gaps:
            return _gap(subject.handed.gaps[0])
        return safe("only the client of one name is handed it", *spots)
    if not userspace_because(subject) and _may_be_in_the_kernel(subject):
        return unknown("many clients may claim 0/0; with DCO it is the kernel's route (see iroute-dco)", *spots, do=do)
    return exposed("nothing limits this server to one client, and each takes 0/0 from the one before", *spots, do=do)


def no_iroute(subject: Subject) -> Judgement:
    """Does a routing daemon speak through a table that drops what it learns?"""
    if other := _no_inner_table(subject):
        return other
    if inner := subject.handed.inner:
        return safe("inner routes are handed out", inner[0].spot)
    if subject.handed.gaps:
        return _gap(subject.handed.gaps[0])
    if subject.routes is False:
        return safe("no routing daemon speaks through this tunnel")
    if subject.routes is None:
        return unknown(
            "no `iroute` is handed out; whether a routing daemon speaks through it is not known", do=_ASK_FRR
        )
    if not userspace_because(subject) and _may_be_in_the_kernel(subject):
        return unknown("no `iroute`: that is right if the kernel carries the data (DCO), else fatal", do=_DCO_TELLS)
    at = [subject.frr.first] if subject.frr else []
    return exposed(
        "a routing daemon speaks through it without `iroute`: sessions and routes come up, traffic is dropped",
        *at,
        do="hand the only client `iroute 0.0.0.0 0.0.0.0` and `iroute-ipv6 ::/0`, or go without `mode server`",
    )


def one_family(subject: Subject) -> Judgement:
    """Is one family forgotten?"""
    if other := _no_inner_table(subject):
        return other
    ipv6 = subject.end.last("ifconfig-ipv6", "server-ipv6")
    if ipv6 is None:
        return safe("the tunnel carries no IPv6")
    for _, inner in subject.handed.clients:
        families = {i.network.version for i in inner}
        wide = {i.network.version for i in inner if i.wide}
        if wide in ({4}, {6}) and not subject.handed.gaps:
            missing = "iroute-ipv6 ::/0" if wide == {4} else "iroute 0.0.0.0 0.0.0.0"
            lost = "IPv6" if wide == {4} else "IPv4"
            spots = [i.spot for i in inner if i.wide]
            return exposed(f"no `{missing}`: every {lost} packet is dropped", *spots, ipv6.spot, do=f"add `{missing}`")
        if families == {4}:
            return unknown(
                "`iroute` for IPv4 only; whether IPv6 networks lie behind this client is not known",
                *[i.spot for i in inner],
                do="if so, hand out `iroute-ipv6` for them as well",
            )
    if subject.handed.gaps:
        return _gap(subject.handed.gaps[0])
    if not subject.handed.inner:
        return safe("no `iroute` of either family (see no-iroute)")
    return safe("both families have their inner routes", *[i.spot for i in subject.handed.inner])


def fixed_iroutes(subject: Subject) -> Judgement:
    """Is what passes fixed, while what is announced is not?"""
    if other := _no_inner_table(subject):
        return other
    inner = subject.handed.inner
    if not inner or subject.handed.wide:
        return (
            _no_wide(subject, "no `iroute` is handed out")
            if not inner
            else safe("0/0 passes everything", inner[0].spot)
        )
    if subject.handed.gaps:
        return _gap(subject.handed.gaps[0])
    spots = [i.spot for i in inner]
    if subject.routes is False:
        return safe("no routing daemon speaks through this tunnel", *spots)
    if subject.routes is None:
        return unknown("fixed `iroute`s; whether a routing daemon announces others is not known", *spots, do=_ASK_FRR)
    return exposed(
        "these prefixes pass and no other, whatever the daemon learns",
        *spots,
        do="one server process for this client, with `iroute 0.0.0.0 0.0.0.0` and `iroute-ipv6 ::/0`",
    )


def route_without_iroute(subject: Subject) -> Judgement:
    """Is something sent into the tunnel that nobody takes out of it?"""
    if other := _no_inner_table(subject):
        return other
    routes = [(d, network) for d in subject.end.all("route", "route-ipv6") if (network := _into_tunnel(d)) is not None]
    if not routes:
        return safe("no `route` leads into the tunnel")
    inner = [i.network for i in subject.handed.inner]
    lost = [(d, n) for d, n in routes if not any(_within(n, wider) for wider in inner)]
    if not lost:
        return safe("each `route` has its `iroute`", *[d.spot for d, _ in routes])
    if subject.handed.gaps:
        return _gap(subject.handed.gaps[0])
    spots = [d.spot for d, _ in lost]
    if not userspace_because(subject) and _may_be_in_the_kernel(subject):
        return unknown(f"no `iroute` covers {lost[0][1]}; with DCO the kernel's table decides", *spots, do=_DCO_TELLS)
    return exposed(
        f"no `iroute` covers {lost[0][1]}: what is sent there is dropped",
        *spots,
        do="the `iroute` of that network in the client's file of `client-config-dir`",
    )


def route_quota(subject: Subject) -> Judgement:
    """Can more hosts speak from behind one client than the inner table has places?"""
    if other := _no_inner_table(subject):
        return other
    inner = subject.handed.inner
    if not inner:
        return _no_wide(subject, "no `iroute` is handed out, so there is nothing behind a client")
    said = [d for out in subject.handed.outs for d in out.directives if d.name == "max-routes-per-client"]
    limit = said[-1] if said else subject.end.last("max-routes-per-client")
    quota = _number(limit) if limit else _QUOTA
    hosts = max(sum(i.network.num_addresses for i in routes) for _, routes in subject.handed.clients)
    spots = [i.spot for i in inner] + ([limit.spot] if limit else [])
    if quota is None:
        return unknown("`max-routes-per-client` is not understood", *spots, do="give it a number")
    if hosts <= quota:
        return safe(f"the inner routes hold {hosts} addresses at most, the table {quota}", *spots)
    if limit and quota > _QUOTA:
        return unknown(f"whether more than {quota} hosts ever speak is not known", *spots, do="count them")
    return exposed(
        f"each remote host becomes an entry, and there are {quota} for a client",
        *spots,
        do="`max-routes-per-client` above the number of hosts that speak through the tunnel",
    )


def stale_routes(subject: Subject) -> Judgement:
    """Does the cleaning take the inner routes with it?"""
    if other := _no_inner_table(subject):
        return other
    check = subject.end.last("stale-routes-check")
    if check is None:
        return safe("no `stale-routes-check`")
    inner = subject.handed.inner
    if not inner:
        return _no_wide(subject, "no `iroute` is handed out that it could delete")
    spots = [check.spot, *(i.spot for i in inner)]
    if subject.openvpn is None:
        return unknown(
            "2.6 deletes an inner route that no packet used for a while, 2.7 only what it learnt",
            *spots,
            do="leave `stale-routes-check` out, or say which version runs",
        )
    if subject.openvpn != "2.6":
        return safe(f"OpenVPN {subject.openvpn} lets only addresses that it learnt go stale", *spots)
    return exposed(
        "an inner route that no packet used for a while is deleted, and comes back with the next connection only",
        *spots,
        do="leave `stale-routes-check` out",
    )


def pushed_iroute(subject: Subject) -> Judgement:
    """Is `iroute` sent where it means nothing?"""
    found = [d for d in subject.end.pushed + _handed_pushes(subject) if d.name in ("iroute", "iroute-ipv6")]
    if found:
        return exposed(
            "the client rejects it and goes on: it does nothing",
            *[d.spot for d in found],
            do='leave `push "iroute …"` out: only the server has an inner table',
        )
    if subject.handed.gaps:
        return _gap(subject.handed.gaps[0])
    return safe('no `push "iroute …"`')


def iroute_in_the_kernel(subject: Subject) -> Judgement:
    """Would 0/0 become the server's own default route?"""
    if other := _no_inner_table(subject):
        return other
    wide = subject.handed.wide
    if not wide:
        return _no_wide(subject, "no client is handed an inner default route")
    if reasons := userspace_because(subject):
        return safe(f"OpenVPN itself carries the data: {reasons[0][1]}", reasons[0][0].spot)
    if not _may_be_in_the_kernel(subject):
        return safe(f"OpenVPN {subject.openvpn} takes a topology other than subnet, and carries the data itself")
    return unknown(
        "no option rules DCO out; with it this becomes a default route in the server's kernel",
        *[i.spot for i in wide],
        do="`disable-dco` on this server",
    )


def _no_inner_table(subject: Subject) -> Judgement | None:
    if subject.end.role != "server":
        return safe("only a process in `mode server` has an inner table")
    if subject.end.device == "tap":
        return safe("a tap server learns MAC addresses by itself", *[d.spot for d in subject.end.all("dev")[:1]])
    if subject.end.device is None:
        return unknown("the file names no kind of device", do="say `dev tun` or `dev-type tun`")
    return None


def _no_wide(subject: Subject, why: str) -> Judgement:
    return _gap(subject.handed.gaps[0]) if subject.handed.gaps else safe(why)


def _gap(gap: Gap) -> Judgement:
    return unknown(gap.why, gap.spot, do="run it beside its files, or look there for `iroute`")


def _into_tunnel(directive: Directive) -> Network | None:
    """The network of a `route` through the tunnel; None for another way, or where it is not understood."""
    six = directive.name == "route-ipv6"
    gateway = directive.argument(1 if six else 2) or "default"
    if gateway not in ("default", "vpn_gateway"):
        return None
    try:
        if six:
            return IPv6Network(directive.argument(0) or "", strict=False)
        return IPv4Network(f"{directive.argument(0)}/{directive.argument(1) or '255.255.255.255'}", strict=False)
    except ValueError:
        return None


def _within(network: Network, wider: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(wider, IPv4Network) and network.subnet_of(wider)
    return isinstance(wider, IPv6Network) and network.subnet_of(wider)


def _only_name(subject: Subject) -> Directive | None:
    """The line that lets one name in, and no other."""
    line = subject.end.last("verify-x509-name")
    return line if line and line.argument(1) in (None, "subject", "name") else None


def _may_be_in_the_kernel(subject: Subject) -> bool:
    # On 2.6 a server that names no topology takes net30, which DCO does not know.
    return subject.end.has("topology") or subject.openvpn != "2.6"


def _handed_pushes(subject: Subject) -> list[Directive]:
    return [d for out in subject.handed.outs for d in pushed(out.directives)]


def _number(directive: Directive) -> int | None:
    text = directive.argument(0) or ""
    return int(text) if is_number(text) else None


RULES = (
    Rule(
        "second-client",
        "A second client on a server that hands out `iroute 0/0` takes the traffic, while the first one's BGP session "
        "stays up.",
        ("mode server", "iroute", "max-clients", "duplicate-cn", "verify-x509-name"),
        "tried with OpenVPN 2.6 and 2.7; openvpn(8), --iroute, --max-clients, --duplicate-cn",
        second_client,
        "test_a_second_client_takes_the_traffic",
    ),
    Rule(
        "no-iroute",
        "Without `iroute` BGP comes up, both sides have the routes, and the traffic is dropped.",
        ("mode server", "iroute", "client-config-dir", "client-connect", "frr.conf"),
        "openvpn(8), --iroute",
        no_iroute,
        "test_without_iroute_bgp_is_up_and_traffic_is_dropped",
    ),
    Rule(
        "one-family",
        "With `iroute` for one family only, BGP announces the other one's prefixes and all its packets are dropped.",
        ("iroute", "iroute-ipv6", "ifconfig-ipv6", "server-ipv6"),
        "openvpn(8), --iroute-ipv6",
        one_family,
        "test_with_the_ipv4_iroute_only_ipv6_alone_is_dropped",
    ),
    Rule(
        "fixed-iroutes",
        "`iroute` for fixed prefixes works for these and for no other that a routing daemon learns.",
        ("iroute", "iroute-ipv6", "frr.conf"),
        "openvpn(8), --iroute",
        fixed_iroutes,
        "test_iroute_for_fixed_prefixes_lets_others_pass",
    ),
    Rule(
        "route-without-iroute",
        "A `route` on the server leads packets into the tunnel, and without an `iroute` that covers it they vanish.",
        ("route", "route-ipv6", "iroute", "iroute-ipv6"),
        "openvpn(8), --iroute",
        route_without_iroute,
        "test_iroute_for_fixed_prefixes_lets_others_pass",
    ),
    Rule(
        "route-quota",
        "More remote hosts behind one client than `max-routes-per-client` (256): each packet fills the log.",
        ("max-routes-per-client", "iroute"),
        "openvpn(8), --max-routes-per-client; multi.c of OpenVPN",
        route_quota,
        "test_more_than_256_hosts_behind_a_client",
    ),
    Rule(
        "stale-routes",
        "On 2.6 `stale-routes-check` deletes the inner routes as well, 0/0 included, after a time without traffic.",
        ("stale-routes-check", "iroute"),
        "openvpn(8), --stale-routes-check; check_stale_routes in multi.c of OpenVPN",
        stale_routes,
        "test_stale_routes_check_deletes_the_route_for_everything",
    ),
    Rule(
        "pushed-iroute",
        "A pushed `iroute` is rejected by the client and has no effect.",
        ("push",),
        "tried with OpenVPN 2.6 and 2.7",
        pushed_iroute,
        "test_the_client_rejects_a_pushed_iroute_and_works_all_the_same",
    ),
    Rule(
        "iroute-dco",
        "Where the kernel carries the data (DCO), `iroute 0.0.0.0 0.0.0.0` becomes the server's own default route.",
        ("iroute", "disable-dco", "topology", "data-ciphers", "compress", "fragment"),
        "tried with OpenVPN 2.7 and Linux 7.3",
        iroute_in_the_kernel,
    ),
)
