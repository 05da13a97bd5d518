"""Rules about OpenVPN's inner table, and `iroute`, which fills it."""

from ipaddress import IPv4Network, IPv6Network

from lab.advise.client_options import Gap, Network
from lab.advise.numbers import is_number
from lab.advise.openvpn import Directive, pushed
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject, userspace_because

_QUOTA = 256
"""OpenVPN's default of `max-routes-per-client`."""
_ASK_FRR = "add frr.conf with another --config: it shows the sessions through the tunnel"
_CHECK_DCO = "look for `DCO` in the server's log, or set `disable-dco`"


def second_client(subject: Subject) -> Judgement:
    """Judge if a second client can take over the inner default route."""
    if other := _no_inner_table(subject):
        return other
    defaults = subject.client_options.default_routes
    if not defaults:
        return _without_inner_routes(subject, "no client has an inner default route")
    spots = [inner.spot for inner in defaults]
    end = subject.end
    limit, shared = end.last("max-clients"), end.last("duplicate-cn")
    if limit and limit.argument(0) == "1":
        return safe("`max-clients 1` refuses a second client (and see quick-reconnect)", limit.spot)
    do = "run one server process per client, each with `max-clients 1` or `verify-x509-name CLIENT name`"
    if shared:
        return exposed(
            "with `duplicate-cn` a second client can even use the same certificate", shared.spot, *spots, do=do
        )
    named = _only_name(subject)
    if named and not end.has("username-as-common-name", "verify-client-cert", "client-cert-not-required"):
        return safe("only one common name is accepted, and a second connection with it replaces the first", named.spot)
    receivers = [client for client, inner in subject.client_options.clients if any(i.is_default for i in inner)]
    if check := end.last("tls-verify", "auth-user-pass-verify", "plugin"):
        return unknown(f"`{check.name}` may refuse all clients but one", check.spot, *spots, do=do)
    if len(receivers) == 1 and receivers[0] is not None:
        if subject.client_options.gaps:
            return _gap(subject.client_options.gaps[0])
        return safe("only the client with one common name gets it", *spots)
    if not userspace_because(subject) and _may_be_in_the_kernel(subject):
        return unknown("several clients may get 0/0; with DCO it is a kernel route (see iroute-dco)", *spots, do=do)
    return exposed("the server accepts several clients, and each new one takes over 0/0", *spots, do=do)


def no_iroute(subject: Subject) -> Judgement:
    """Judge if the inner table drops the traffic to routes that a daemon learned."""
    if other := _no_inner_table(subject):
        return other
    if inner := subject.client_options.inner:
        return safe("the clients have inner routes", inner[0].spot)
    if subject.client_options.gaps:
        return _gap(subject.client_options.gaps[0])
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel")
    if subject.routes is None:
        return unknown(
            "no client has an `iroute`; whether a routing daemon has sessions through the tunnel is unknown",
            do=_ASK_FRR,
        )
    if not userspace_because(subject) and _may_be_in_the_kernel(subject):
        return unknown(
            "no `iroute`: correct if the kernel carries the data (DCO), else all traffic is dropped", do=_CHECK_DCO
        )
    at = [subject.frr.first] if subject.frr else []
    return exposed(
        "a routing daemon has sessions through it without `iroute`: routes come up, traffic is dropped",
        *at,
        do="give the only client `iroute 0.0.0.0 0.0.0.0` and `iroute-ipv6 ::/0`, or do not use `mode server`",
    )


def one_family(subject: Subject) -> Judgement:
    """Judge if one family has no inner route."""
    if other := _no_inner_table(subject):
        return other
    ipv6 = subject.end.last("ifconfig-ipv6", "server-ipv6")
    if ipv6 is None:
        return safe("the tunnel has no IPv6 address")
    for _, inner in subject.client_options.clients:
        families = {i.network.version for i in inner}
        default_versions = {i.network.version for i in inner if i.is_default}
        if default_versions in ({4}, {6}) and not subject.client_options.gaps:
            missing = "iroute-ipv6 ::/0" if default_versions == {4} else "iroute 0.0.0.0 0.0.0.0"
            lost = "IPv6" if default_versions == {4} else "IPv4"
            spots = [i.spot for i in inner if i.is_default]
            return exposed(f"no `{missing}`: every {lost} packet is dropped", *spots, ipv6.spot, do=f"add `{missing}`")
        if families == {4}:
            return unknown(
                "`iroute` for IPv4 only; whether there are IPv6 networks behind this client is unknown",
                *[i.spot for i in inner],
                do="if there are, add `iroute-ipv6` for them",
            )
    if subject.client_options.gaps:
        return _gap(subject.client_options.gaps[0])
    if not subject.client_options.inner:
        return safe("no `iroute` of either family (see no-iroute)")
    return safe("both families have inner routes", *[i.spot for i in subject.client_options.inner])


def fixed_iroutes(subject: Subject) -> Judgement:
    """Judge if the inner routes are fixed while a daemon announces other prefixes."""
    if other := _no_inner_table(subject):
        return other
    inner = subject.client_options.inner
    if not inner or subject.client_options.default_routes:
        return (
            _without_inner_routes(subject, "no client has an `iroute`")
            if not inner
            else safe("0/0 covers everything", inner[0].spot)
        )
    if subject.client_options.gaps:
        return _gap(subject.client_options.gaps[0])
    spots = [i.spot for i in inner]
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel", *spots)
    if subject.routes is None:
        return unknown("fixed `iroute`s; whether a routing daemon announces others is unknown", *spots, do=_ASK_FRR)
    return exposed(
        "only these prefixes pass, also if the daemon learns others",
        *spots,
        do="run one server process for this client, with `iroute 0.0.0.0 0.0.0.0` and `iroute-ipv6 ::/0`",
    )


def route_without_iroute(subject: Subject) -> Judgement:
    """Judge if a `route` sends packets into the tunnel that no `iroute` covers."""
    if other := _no_inner_table(subject):
        return other
    routes = [(d, network) for d in subject.end.all("route", "route-ipv6") if (network := _into_tunnel(d)) is not None]
    if not routes:
        return safe("there is no `route` into the tunnel")
    inner = [i.network for i in subject.client_options.inner]
    lost = [(d, n) for d, n in routes if not any(_within(n, wider) for wider in inner)]
    if not lost:
        return safe("an `iroute` covers each `route`", *[d.spot for d, _ in routes])
    if subject.client_options.gaps:
        return _gap(subject.client_options.gaps[0])
    spots = [d.spot for d, _ in lost]
    if not userspace_because(subject) and _may_be_in_the_kernel(subject):
        return unknown(f"no `iroute` covers {lost[0][1]}; with DCO the kernel's table decides", *spots, do=_CHECK_DCO)
    return exposed(
        f"no `iroute` covers {lost[0][1]}: packets to it are dropped",
        *spots,
        do="add the `iroute` of that network to the client's file in `client-config-dir`",
    )


def route_quota(subject: Subject) -> Judgement:
    """Judge if there can be more hosts behind a client than `max-routes-per-client` allows."""
    if other := _no_inner_table(subject):
        return other
    inner = subject.client_options.inner
    if not inner:
        return _without_inner_routes(subject, "no client has an `iroute`, so there are no hosts behind it")
    limits = [
        d for entry in subject.client_options.entries for d in entry.directives if d.name == "max-routes-per-client"
    ]
    limit = limits[-1] if limits else subject.end.last("max-routes-per-client")
    quota = _number(limit) if limit else _QUOTA
    hosts = max(sum(i.network.num_addresses for i in routes) for _, routes in subject.client_options.clients)
    spots = [i.spot for i in inner] + ([limit.spot] if limit else [])
    if quota is None:
        return unknown("`max-routes-per-client` is not a number", *spots, do="set it to a number")
    if hosts <= quota:
        return safe(f"the inner routes have {hosts} addresses at most, the table {quota} entries", *spots)
    if limit and quota > _QUOTA:
        return unknown(f"whether more than {quota} hosts send packets is unknown", *spots, do="count them")
    return exposed(
        f"each remote host takes an entry, and a client has {quota}",
        *spots,
        do="set `max-routes-per-client` above the number of hosts behind the client",
    )


def stale_routes(subject: Subject) -> Judgement:
    """Judge if `stale-routes-check` deletes inner routes."""
    if other := _no_inner_table(subject):
        return other
    check = subject.end.last("stale-routes-check")
    if check is None:
        return safe("no `stale-routes-check`")
    inner = subject.client_options.inner
    if not inner:
        return _without_inner_routes(subject, "no client has an `iroute` that it could delete")
    spots = [check.spot, *(i.spot for i in inner)]
    if subject.openvpn is None:
        return unknown(
            "2.6 deletes an inner route that no packet used for a while, 2.7 only learned addresses",
            *spots,
            do="remove `stale-routes-check`, or give the version with --openvpn",
        )
    if subject.openvpn != "2.6":
        return safe(f"OpenVPN {subject.openvpn} deletes only learned addresses", *spots)
    return exposed(
        "an inner route that no packet used for a while is deleted until the client reconnects",
        *spots,
        do="remove `stale-routes-check`",
    )


def pushed_iroute(subject: Subject) -> Judgement:
    """Judge if `iroute` is pushed, which has no effect."""
    found = [d for d in subject.end.pushed + _pushed_to_clients(subject) if d.name in ("iroute", "iroute-ipv6")]
    if found:
        return exposed(
            "the client rejects it and continues: it has no effect",
            *[d.spot for d in found],
            do='remove `push "iroute …"`: only the server has an inner table',
        )
    if subject.client_options.gaps:
        return _gap(subject.client_options.gaps[0])
    return safe('no `push "iroute …"`')


def iroute_in_the_kernel(subject: Subject) -> Judgement:
    """Judge if 0/0 becomes the server's own default route."""
    if other := _no_inner_table(subject):
        return other
    defaults = subject.client_options.default_routes
    if not defaults:
        return _without_inner_routes(subject, "no client has an inner default route")
    if reasons := userspace_because(subject):
        return safe(f"the data stays in userspace: {reasons[0][1]}", reasons[0][0].spot)
    if not _may_be_in_the_kernel(subject):
        return safe(f"the data stays in userspace: OpenVPN {subject.openvpn} uses another topology than subnet")
    return unknown(
        "no option excludes DCO; with it this becomes a default route in the server's kernel",
        *[i.spot for i in defaults],
        do="set `disable-dco` on this server",
    )


def _no_inner_table(subject: Subject) -> Judgement | None:
    if subject.end.role != "server":
        return safe("only a process in `mode server` has an inner table")
    if subject.end.device == "tap":
        return safe("a tap server learns MAC addresses instead", *[d.spot for d in subject.end.all("dev")[:1]])
    if subject.end.device is None:
        return unknown("the file does not set the kind of device", do="set `dev tun` or `dev-type tun`")
    return None


def _without_inner_routes(subject: Subject, why: str) -> Judgement:
    return _gap(subject.client_options.gaps[0]) if subject.client_options.gaps else safe(why)


def _gap(gap: Gap) -> Judgement:
    return unknown(gap.why, gap.spot, do="run `lab advise` where its files are, or look for `iroute` in them")


def _into_tunnel(directive: Directive) -> Network | None:
    """Return the network of a `route` through the tunnel; None for another gateway or an unknown form."""
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
    """Return the option that restricts clients to one common name."""
    line = subject.end.last("verify-x509-name")
    return line if line and line.argument(1) in (None, "subject", "name") else None


def _may_be_in_the_kernel(subject: Subject) -> bool:
    # On 2.6 a server without `topology` uses net30, which DCO does not support.
    return subject.end.has("topology") or subject.openvpn != "2.6"


def _pushed_to_clients(subject: Subject) -> list[Directive]:
    return [d for entry in subject.client_options.entries for d in pushed(entry.directives)]


def _number(directive: Directive) -> int | None:
    text = directive.argument(0) or ""
    return int(text) if is_number(text) else None


RULES = (
    Rule(
        "second-client",
        "A second client of a server with `iroute 0/0` takes over the traffic, while the first one's BGP session stays "
        "up.",
        ("mode server", "iroute", "max-clients", "duplicate-cn", "verify-x509-name"),
        "tested with OpenVPN 2.6 and 2.7; openvpn(8), --iroute, --max-clients, --duplicate-cn",
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
        "With `iroute` for one family only, BGP announces prefixes of the other one, whose packets are dropped.",
        ("iroute", "iroute-ipv6", "ifconfig-ipv6", "server-ipv6"),
        "openvpn(8), --iroute-ipv6",
        one_family,
        "test_ipv4_iroute_alone_leaves_ipv6_dropped",
    ),
    Rule(
        "fixed-iroutes",
        "`iroute` for fixed prefixes does not cover other prefixes that a routing daemon learns.",
        ("iroute", "iroute-ipv6", "frr.conf"),
        "openvpn(8), --iroute",
        fixed_iroutes,
        "test_iroute_for_fixed_prefixes_drops_other_prefixes",
    ),
    Rule(
        "route-without-iroute",
        "Packets to a `route` on the server are dropped if no `iroute` covers it.",
        ("route", "route-ipv6", "iroute", "iroute-ipv6"),
        "openvpn(8), --iroute",
        route_without_iroute,
        "test_iroute_for_fixed_prefixes_drops_other_prefixes",
    ),
    Rule(
        "route-quota",
        "With more hosts behind a client than `max-routes-per-client` (256), every packet of the others is logged.",
        ("max-routes-per-client", "iroute"),
        "openvpn(8), --max-routes-per-client; multi.c of OpenVPN",
        route_quota,
        "test_more_than_256_hosts_behind_a_client",
    ),
    Rule(
        "stale-routes",
        "On 2.6 `stale-routes-check` also deletes inner routes, as 0/0, after a time without traffic.",
        ("stale-routes-check", "iroute"),
        "openvpn(8), --stale-routes-check; check_stale_routes in multi.c of OpenVPN",
        stale_routes,
        "test_stale_routes_check_deletes_the_route_for_everything",
    ),
    Rule(
        "pushed-iroute",
        "A pushed `iroute` is rejected by the client and has no effect.",
        ("push",),
        "tested with OpenVPN 2.6 and 2.7",
        pushed_iroute,
        "test_client_rejects_a_pushed_iroute_and_keeps_working",
    ),
    Rule(
        "iroute-dco",
        "With DCO, `iroute 0.0.0.0 0.0.0.0` becomes the server's own default route.",
        ("iroute", "disable-dco", "topology", "data-ciphers", "compress", "fragment"),
        "tested with OpenVPN 2.7 and Linux 7.3",
        iroute_in_the_kernel,
    ),
)
