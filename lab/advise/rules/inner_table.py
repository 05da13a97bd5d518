"""Rules about OpenVPN's inner table, and `iroute`, which fills it."""

from collections.abc import Sequence
from ipaddress import ip_network

from lab.advise.across import into_tunnel
from lab.advise.inner import (
    CHECK_DCO,
    carried_versions,
    is_within,
    may_be_in_the_kernel,
    may_refuse_clients,
    no_inner_table,
    one_client_only,
    tunnel_versions,
    unknown_source,
    without_inner_routes,
)
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject, userspace_because
from lab.configs.disk import Spot
from lab.configs.numbers import is_number
from lab.configs.openvpn.client_options import InnerRoute
from lab.configs.openvpn.configuration import Directive, pushed

_QUOTA = 256
"""OpenVPN's default of `max-routes-per-client`."""
_STALE_DELETES = {"2.6": range(23), "2.7": range(7)}
"""The patch levels whose `stale-routes-check` deletes inner routes.

A test saw it on 2.6.14, and users report it of 2.7.0 to 2.7.3; `check_stale_routes` in multi.c is the same in all of
these up to 2.6.22 and 2.7.6.
"""
_STALE_MENDED = 8
"""The patch level of 2.7 on which a test saw that it does not."""


def second_client(subject: Subject) -> Judgement:
    """Judge if a second client can take over the inner default route."""
    if other := no_inner_table(subject):
        return other
    defaults = subject.client_options.default_routes
    if not defaults:
        return without_inner_routes(subject, "no client has an inner default route")
    spots = [inner.spot for inner in defaults]
    shared, only = subject.end.last("duplicate-cn"), one_client_only(subject)
    if only and only.name == "max-clients":
        return safe("`max-clients 1` refuses a second client (and see quick-reconnect)", only.spot)
    do = "run one server process per client, each with `max-clients 1` or `verify-x509-name CLIENT name`"
    if shared:
        return exposed(
            "with `duplicate-cn` a second client can even use the same certificate", shared.spot, *spots, do=do
        )
    if only:
        return safe("only one common name is accepted, and a second connection with it replaces the first", only.spot)
    receivers = [client for client, inner in subject.client_options.clients if any(i.is_default for i in inner)]
    if check := may_refuse_clients(subject):
        return unknown(f"`{check.name}` may refuse all clients but one", check.spot, *spots, do=do)
    if len(receivers) == 1 and receivers[0] is not None:
        if subject.client_options.gaps:
            return unknown_source(subject.client_options.gaps[0])
        return safe("only the client with one common name gets it", *spots)
    if not userspace_because(subject) and may_be_in_the_kernel(subject):
        return unknown("several clients may get 0/0; with DCO it is a kernel route (see iroute-dco)", *spots, do=do)
    return exposed("the server accepts several clients, and each new one takes over 0/0", *spots, do=do)


def no_iroute(subject: Subject) -> Judgement:
    """Judge if the inner table drops the traffic to routes that a daemon learned."""
    if other := no_inner_table(subject):
        return other
    if inner := subject.client_options.inner:
        return _without_a_family(subject, inner) or _of_neighbors(subject, inner[0].spot)
    if subject.client_options.gaps:
        return unknown_source(subject.client_options.gaps[0])
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel")
    if subject.routes is None:
        return unknown(
            "no client has an `iroute`; whether a routing daemon has sessions through the tunnel is unknown",
            do=_ask_router(subject),
        )
    return _all_dropped(subject, "`iroute`")


def _either(subject: Subject) -> bool:
    """Return whether the data may be in the kernel or in userspace, by the server's file."""
    # Without a version, a server without `topology` is judged as on 2.6: there DCO does not support it.
    topology = subject.end.has("topology") or subject.release not in (None, "2.6")
    return topology and not userspace_because(subject)


def _all_dropped(subject: Subject, what: str, *spots: Spot) -> Judgement:
    if _either(subject):
        return unknown(
            f"no {what}: correct if the kernel carries the data (DCO), else all traffic is dropped",
            *spots,
            do=CHECK_DCO,
        )
    return exposed(
        f"a routing daemon has sessions through it without {what}: routes come up, traffic is dropped",
        *spots,
        *subject.runs.spots,
        do="give the only client `iroute 0.0.0.0 0.0.0.0` and `iroute-ipv6 ::/0`, or do not use `mode server`",
    )


def _without_a_family(subject: Subject, inner: Sequence[InnerRoute]) -> Judgement | None:
    """Judge inner routes of one family, while the daemon may exchange routes of the other one; None if they fit."""
    (version, *more) = sorted({route.network.version for route in inner})
    other = 10 - version  # of 4 and 6
    if more or other not in tunnel_versions(subject) or subject.routes is False or subject.client_options.gaps:
        return None
    carried = carried_versions(subject)
    spots = [route.spot for route in inner]
    if carried == frozenset({other}):
        return _all_dropped(subject, f"an inner route for IPv{other}", *spots)
    if carried is None and (subject.routes or subject.router is not None):
        return unknown(
            f"the inner routes are for IPv{version}; whether a routing daemon exchanges routes of it is unknown",
            *spots,
            do=f"add inner routes for IPv{other}, or look at the families of the daemon's sessions",
        )
    return None


def _of_neighbors(subject: Subject, first: Spot) -> Judgement:
    """Judge if each client with a session has inner routes, where some client has: its file shows it by its address."""
    options = subject.client_options
    entries = [entry for entry in options.entries if entry.source == "file"]
    bare = [entry for entry in entries if not entry.inner]
    everyone = any(entry.source == "script" and entry.inner for entry in options.entries)
    # A client without a file has the options of DEFAULT, or none.
    only = options.exclusive or one_client_only(subject) is not None or any(e.client is None for e in entries)
    if everyone or not subject.runs.spots or (not bare and only):
        return safe("the clients have inner routes", first)
    given = {d.argument(0): d.spot for entry in bare for d in entry.directives if d.name == "ifconfig-push"}
    lost = [n for n in subject.runs.neighbors if str(n.address) in given]
    if lost:
        why = f"the client with the address {lost[0].address} has a session and no `iroute`"
        spots = [*[n.spot for n in lost], *[given[str(n.address)] for n in lost]]
        if _either(subject):
            return unknown(
                f"{why}: correct if the kernel carries the data (DCO), else its traffic is dropped",
                *spots,
                do=CHECK_DCO,
            )
        return exposed(
            why,
            *spots,
            do="add the `iroute`s of the networks behind it to its file in `client-config-dir`",
        )
    pushed = {
        (d.argument(0) or "").partition("/")[0]
        for entry in entries
        for d in entry.directives
        if d.name in ("ifconfig-push", "ifconfig-ipv6-push")
    }
    if not subject.runs.interior and all(str(n.address) in pushed for n in subject.runs.neighbors):
        return safe("the clients that have a session have inner routes", first)
    return unknown(
        "some clients have no `iroute`, or no file; whether they have a session is unknown",
        first,
        *subject.runs.spots,
        do="compare the neighbours with the clients' files, give each client its address by `ifconfig-push`, or set "
        "`ccd-exclusive`",
    )


def _ask_router(subject: Subject) -> str:
    """Return how to find out if a routing daemon has sessions through the tunnel."""
    if subject.router is None:
        return "add frr.conf or bird.conf with another --config: it shows the sessions through the tunnel"
    return f"{subject.router.name} shows none for certain: add the other end's file, or look at the daemon's neighbours"


def one_family(subject: Subject) -> Judgement:
    """Judge if one family has no inner route."""
    if other := no_inner_table(subject):
        return other
    ipv6 = subject.end.last("ifconfig-ipv6", "server-ipv6")
    if ipv6 is None:
        return safe("the tunnel has no IPv6 address")
    carried = carried_versions(subject)
    if 4 not in tunnel_versions(subject) and carried is not None and 4 not in carried:
        return safe("the tunnel has no IPv4 address", ipv6.spot)
    for _, inner in subject.client_options.clients:
        versions = {i.network.version for i in inner}
        if len(versions) != 1 or subject.client_options.gaps:
            continue
        lost = 10 - versions.pop()  # of 4 and 6
        missing = "iroute-ipv6 ::/0" if lost == 6 else "iroute 0.0.0.0 0.0.0.0"
        spots = [i.spot for i in inner]
        if any(i.is_default for i in inner) or (carried is not None and carried >= {4, 6}):
            why = f"no inner route for IPv{lost}: every IPv{lost} packet is dropped"
            return exposed(why, *spots, ipv6.spot, do=f"add `{missing}`")
        return unknown(
            f"inner routes for IPv{10 - lost} only; whether there are IPv{lost} networks behind this client is unknown",
            *spots,
            do=f"if there are, add inner routes for them, or `{missing}`",
        )
    if subject.client_options.gaps:
        return unknown_source(subject.client_options.gaps[0])
    if not subject.client_options.inner:
        return safe("no `iroute` of either family (see no-iroute)")
    return safe("both families have inner routes", *[i.spot for i in subject.client_options.inner])


def fixed_iroutes(subject: Subject) -> Judgement:
    """Judge if the inner routes of a family are fixed while a daemon announces other prefixes."""
    if other := no_inner_table(subject):
        return other
    inner = subject.client_options.inner
    if not inner:
        return without_inner_routes(subject, "no client has an `iroute`")
    spots = [i.spot for i in inner]
    bounded = [
        (version, routes) for _, routes in subject.client_options.clients for version in _bounded(subject, routes)
    ]
    if not bounded:
        return safe("0/0 covers everything", *[i.spot for i in subject.client_options.default_routes])
    if subject.client_options.gaps:
        return unknown_source(subject.client_options.gaps[0])
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel", *spots)
    if subject.routes is None:
        return unknown(
            "fixed `iroute`s; whether a routing daemon announces others is unknown", *spots, do=_ask_router(subject)
        )
    carried = carried_versions(subject)
    if carried is not None and not any(version in carried for version, _ in bounded):
        families = " and ".join(f"IPv{version}" for version in sorted(carried))
        return safe(f"0/0 covers everything of {families}, of which alone the routing daemon exchanges routes", *spots)
    judged = [(version, routes) for version, routes in bounded if carried is None or version in carried]
    only = [i for version, routes in judged for i in routes if i.network.version == version]
    version = only[0].network.version if only else judged[0][0]
    if not only and carried is None:
        return unknown(
            f"no inner route for IPv{version}; whether a routing daemon announces prefixes of it is unknown",
            *spots,
            do=_ask_router(subject),
        )
    if not userspace_because(subject) and may_be_in_the_kernel(subject) and not _by_multicast(subject):
        return unknown(
            f"the `iroute`s of IPv{version} are fixed; with DCO the kernel's table decides", *spots, do=CHECK_DCO
        )
    return exposed(
        f"only these prefixes pass of IPv{version}, also if the daemon learns others"
        if only
        else f"no prefix of IPv{version} passes, and the daemon may learn some",
        *[i.spot for i in only or inner],
        do="run one server process for this client, with `iroute 0.0.0.0 0.0.0.0` and `iroute-ipv6 ::/0`",
    )


def _by_multicast(subject: Subject) -> bool:
    """Return True if all routes come from OSPF or RIP: their multicast packets do not pass with DCO, nor do routes."""
    runs = subject.runs
    return bool(runs.interior) and not (runs.neighbors or runs.unclear)


def _bounded(subject: Subject, routes: Sequence[InnerRoute]) -> list[int]:
    """Return the versions of IP in the tunnel of which a client's inner routes do not cover everything."""
    covered = {route.network.version for route in routes if route.is_default}
    return sorted(tunnel_versions(subject) - covered) if routes else []


def route_without_iroute(subject: Subject) -> Judgement:
    """Judge if a `route` sends packets into the tunnel that no `iroute` covers."""
    if other := no_inner_table(subject):
        return other
    routes = [
        (d, network)
        for d in subject.end.all("route", "route-ipv6")
        if (network := into_tunnel(subject.end, d)) is not None
    ]
    # A name as network or gateway is looked up when OpenVPN starts.
    if named := [d for d in subject.end.all("route", "route-ipv6") if _has_name(d)]:
        return unknown(
            f"`{named[0]}` has a name, and where it leads is unknown", named[0].spot, do="write addresses instead"
        )
    if not routes:
        return safe("there is no `route` into the tunnel")
    inner = [i.network for i in subject.client_options.inner]
    lost = [(d, n) for d, n in routes if not any(is_within(n, wider) for wider in inner)]
    if not lost:
        return safe("an `iroute` covers each `route`", *[d.spot for d, _ in routes])
    if subject.client_options.gaps:
        return unknown_source(subject.client_options.gaps[0])
    spots = [d.spot for d, _ in lost]
    if not userspace_because(subject) and may_be_in_the_kernel(subject):
        return unknown(f"no `iroute` covers {lost[0][1]}; with DCO the kernel's table decides", *spots, do=CHECK_DCO)
    return exposed(
        f"no `iroute` covers {lost[0][1]}: packets to it are dropped",
        *spots,
        do="add the `iroute` of that network to the client's file in `client-config-dir`",
    )


def _has_name(route: Directive) -> bool:
    """Return True for a `route` with a host name as its network or gateway."""
    gateway = route.argument(1 if route.name == "route-ipv6" else 2)
    for word in (route.argument(0), gateway):
        if word in (None, "", "default", "vpn_gateway", "net_gateway"):
            continue
        try:
            ip_network(word or "", strict=False)
        except ValueError:
            return True
    return False


def route_quota(subject: Subject) -> Judgement:
    """Judge if there can be more hosts behind a client than `max-routes-per-client` allows."""
    if other := no_inner_table(subject):
        return other
    inner = subject.client_options.inner
    if not inner:
        return without_inner_routes(subject, "no client has an `iroute`, so there are no hosts behind it")
    limits = [
        d for entry in subject.client_options.entries for d in entry.directives if d.name == "max-routes-per-client"
    ]
    everyone = subject.end.last("max-routes-per-client")
    if everyone is not None and len(limits) < len(subject.client_options.entries):
        limits.append(everyone)
    limit = min(limits, key=lambda d: _number(d) or 0, default=None)
    quota = _number(limit) if limit else _QUOTA
    # The client's own addresses and its inner routes take entries as well.
    six = subject.end.has("server-ipv6", "ifconfig-ipv6") or any(
        d.name == "ifconfig-ipv6-push" for entry in subject.client_options.entries for d in entry.directives
    )
    own = 2 if six else 1
    needed = own + max(sum(i.network.num_addresses + 1 for i in routes) for _, routes in subject.client_options.clients)
    spots = [i.spot for i in inner] + ([limit.spot] if limit else [])
    if quota is None:
        return unknown("`max-routes-per-client` is not a number", *spots, do="set it to a number")
    if needed <= quota:
        return safe(f"a client and all addresses in its inner routes take {needed} entries, of {quota}", *spots)
    if check := subject.end.last("stale-routes-check"):
        return unknown(
            f"each remote host takes an entry until `stale-routes-check` deletes it, and a client has {quota}",
            check.spot,
            *spots,
            do="set `max-routes-per-client` above the number of hosts behind the client",
        )
    if limit and quota > _QUOTA:
        return unknown(f"whether more than {quota} hosts send packets is unknown", *spots, do="count them")
    return exposed(
        f"each remote host takes an entry, and a client has {quota}",
        *spots,
        do="set `max-routes-per-client` above the number of hosts behind the client",
    )


def stale_routes(subject: Subject) -> Judgement:
    """Judge if `stale-routes-check` deletes inner routes."""
    if other := no_inner_table(subject):
        return other
    check = subject.end.last("stale-routes-check")
    if check is None:
        return safe("no `stale-routes-check`")
    inner = subject.client_options.inner
    if not inner:
        return without_inner_routes(subject, "no client has an `iroute` that it could delete")
    spots = [check.spot, *(i.spot for i in inner)]
    # A release without a patch level is a range; of 2.6 all known patch levels do it.
    deletes = _STALE_DELETES.get(subject.release or "", ())
    if subject.patch_level in deletes or (subject.release, subject.patch_level) == ("2.6", None):
        return exposed(
            "an inner route that no packet used for a while is deleted until the client reconnects",
            *spots,
            do="remove `stale-routes-check`",
        )
    if subject.release == "2.7" and subject.patch_level is not None and subject.patch_level >= _STALE_MENDED:
        return safe(f"OpenVPN {subject.openvpn} deletes only learned addresses", *spots)
    return unknown(
        "it deletes inner routes up to 2.6.22 and 2.7.6, only learned addresses in 2.7.8; of others it is unknown",
        *spots,
        do="remove `stale-routes-check`, or give the version with its patch level: --openvpn 2.7.8",
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
        return unknown_source(subject.client_options.gaps[0])
    return safe('no `push "iroute …"`')


def iroute_in_the_kernel(subject: Subject) -> Judgement:
    """Judge if 0/0 becomes the server's own default route."""
    if other := no_inner_table(subject):
        return other
    defaults = subject.client_options.default_routes
    if not defaults:
        return without_inner_routes(subject, "no client has an inner default route")
    if reasons := userspace_because(subject):
        return safe(f"the data stays in userspace: {reasons[0][1]}", reasons[0][0].spot)
    if not may_be_in_the_kernel(subject):
        return safe(f"the data stays in userspace: OpenVPN {subject.openvpn} uses another topology than subnet")
    return unknown(
        "no option excludes DCO; with it this becomes a default route in the server's kernel",
        *[i.spot for i in defaults],
        do="set `disable-dco` on this server",
    )


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
        "tested with OpenVPN 2.6.14 and 2.7.8; openvpn(8), --iroute, --max-clients, --duplicate-cn",
        second_client,
        "test_a_second_client_takes_the_traffic",
    ),
    Rule(
        "no-iroute",
        "Without `iroute` BGP comes up, both sides have the routes, and the traffic is dropped.",
        ("mode server", "iroute", "client-config-dir", "client-connect", "frr.conf", "bird.conf"),
        "openvpn(8), --iroute; tested with OpenVPN 2.6.14 and 2.7.8",
        no_iroute,
        "test_without_iroute_bgp_is_up_and_traffic_is_dropped",
    ),
    Rule(
        "one-family",
        "With `iroute` for one family only, BGP announces prefixes of the other one, whose packets are dropped.",
        ("iroute", "iroute-ipv6", "ifconfig-ipv6", "server-ipv6"),
        "openvpn(8), --iroute-ipv6; tested with OpenVPN 2.6.14 and 2.7.8",
        one_family,
        "test_ipv4_iroute_alone_leaves_ipv6_dropped",
    ),
    Rule(
        "fixed-iroutes",
        "`iroute` for fixed prefixes does not cover other prefixes that a routing daemon learns.",
        ("iroute", "iroute-ipv6", "frr.conf", "bird.conf"),
        "openvpn(8), --iroute; tested with OpenVPN 2.6.14 and 2.7.8; dco_install_iroute in dco.c of 2.7",
        fixed_iroutes,
        "test_iroute_for_fixed_prefixes_drops_other_prefixes",
    ),
    Rule(
        "route-without-iroute",
        "Packets to a `route` on the server are dropped if no `iroute` covers it.",
        ("route", "route-ipv6", "iroute", "iroute-ipv6"),
        "openvpn(8), --iroute; tested with OpenVPN 2.6.14 and 2.7.8",
        route_without_iroute,
        "test_iroute_for_fixed_prefixes_drops_other_prefixes",
    ),
    Rule(
        "route-quota",
        "With more hosts behind a client than `max-routes-per-client` (256), every packet of the others is logged.",
        ("max-routes-per-client", "iroute"),
        "openvpn(8), --max-routes-per-client; tested with OpenVPN 2.6.14 and 2.7.8",
        route_quota,
        "test_more_than_256_hosts_behind_a_client",
    ),
    Rule(
        "stale-routes",
        "On 2.6, and up to 2.7.6, `stale-routes-check` also deletes inner routes, as 0/0, if no packet uses them.",
        ("stale-routes-check", "iroute"),
        "openvpn(8), --stale-routes-check; tested with OpenVPN 2.6.14 and 2.7.8, reports of 2.7.0 to 2.7.3, read in "
        "multi.c of 2.6.22 and 2.7.0 to 2.7.6",
        stale_routes,
        "test_stale_routes_check_deletes_the_route_for_everything",
    ),
    Rule(
        "pushed-iroute",
        "A pushed `iroute` is rejected by the client and has no effect.",
        ("push",),
        "tested with OpenVPN 2.6.14 and 2.7.8",
        pushed_iroute,
        "test_client_rejects_a_pushed_iroute_and_keeps_working",
    ),
    Rule(
        "iroute-dco",
        "With DCO, `iroute 0.0.0.0 0.0.0.0` becomes the server's own default route.",
        ("iroute", "disable-dco", "topology", "data-ciphers", "compress", "fragment"),
        "tested with OpenVPN 2.7.8 and Linux 7.3",
        iroute_in_the_kernel,
    ),
)
