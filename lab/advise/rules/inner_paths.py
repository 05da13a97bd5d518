"""Rules about the way between the server's kernel and its inner table."""

from collections.abc import Sequence

from lab.advise.across import device_of, inner_networks, into_tunnel
from lab.advise.inner import (
    CHECK_DCO,
    is_net30,
    is_within,
    no_inner_table,
    unknown_source,
    without_inner_routes,
)
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject, userspace_because
from lab.configs.disk import Spot
from lab.configs.openvpn.client_options import InnerRoute, Network
from lab.configs.openvpn.configuration import Directive
from lab.configs.routing.facts import BgpNeighbor
from lab.configs.routing.judged import Obstacle, RoutingConfiguration
from lab.core.prefixes import FAMILIES, Family, family_of

_AGGREGATE = {4: 15, 6: 40}
"""Up to these lengths an inner route is taken for an aggregate: it covers more than the networks of one site."""
_SCRIPTS = ("up", "route-up", "learn-address", "client-connect", "plugin")
"""Options that run programs, which can add routes to the kernel."""


def client_to_client(subject: Subject) -> Judgement:
    """Judge if `client-to-client` keeps clients from networks behind the server."""
    if other := no_inner_table(subject):
        return other
    option = subject.end.last("client-to-client")
    if option is None:
        return safe("without `client-to-client` the server's kernel routes all that clients send")
    inner = subject.client_options.inner
    if not inner:
        return without_inner_routes(subject, "no client has an `iroute`")
    pushes = [(d, network) for d in subject.end.pushed if (network := _pushed_network(subject, d)) is not None]
    caught = [route for route in inner if _is_aggregate(route)]
    spots = [option.spot, *(route.spot for route in caught)]
    for d, network in pushes:
        # A pushed route to exactly the network of an `iroute` leads to another client.
        exact = any(route.network == network for route in inner)
        covering = [route for route in inner if is_within(network, route.network) and not exact]
        caught += covering
        spots += [spot for route in covering for spot in (d.spot, route.spot)]
    if not caught:
        if subject.client_options.gaps:
            return unknown_source(subject.client_options.gaps[0])
        if pushes:
            where = [d.spot for d, _ in pushes]
            return safe("no `iroute` covers a network that the server pushes", option.spot, *where)
        return unknown(
            f"what clients send to {inner[0].network} never reaches the server's kernel; whether a network behind the "
            "server is in it is unknown",
            option.spot,
            *[route.spot for route in inner],
            do="compare the `iroute`s with the networks behind the server, or remove `client-to-client`",
        )
    why = f"what clients send to {caught[0].network} goes back to a client, also if the network is behind the server"
    return _in_userspace(subject, why, *spots, do="remove `client-to-client`: then the server's kernel routes")


def iroute_without_route(subject: Subject) -> Judgement:
    """Judge if nothing leads the network of an `iroute` into the tunnel."""
    if other := no_inner_table(subject):
        return other
    inner = subject.client_options.inner
    if not inner:
        return without_inner_routes(subject, "no client has an `iroute`")
    # A daemon with sessions to other clients of this server is enough.
    if subject.routes or subject.runs.spots:
        return _by_daemon(subject, inner)
    led = _led(subject)
    lost = [route for route in inner if not any(_overlap(route.network, network) for network in led)]
    partly = [route for route in inner if not any(is_within(route.network, network) for network in led)]
    if partly and not lost:
        return unknown(
            f"a `route` leads only a part of {partly[0].network} into the tunnel",
            *[route.spot for route in partly],
            do="compare the `route`s with the networks behind the client",
        )
    if not lost:
        return safe("a `route` leads the network of each `iroute` into the tunnel", *(route.spot for route in inner))
    spots = [route.spot for route in lost]
    if script := subject.end.last(*_SCRIPTS):
        return unknown(
            f"no `route` leads {lost[0].network} into the tunnel; `{script.name}` may add one",
            script.spot,
            *spots,
            do="look into it, or add the `route`",
        )
    kind = "route-ipv6" if lost[0].network.version == 6 else "route"
    return _in_userspace(
        subject,
        f"no `{kind}` and no known routing daemon leads {lost[0].network} into the tunnel",
        *spots,
        do=f"add `{kind}` for it to the server's file, or give the routing daemon's file",
    )


def _led(subject: Subject) -> list[Network]:
    """Return the networks that OpenVPN's own lines lead into the tunnel."""
    return [*(i.network for i in inner_networks(subject.end)), *_routed(subject)]


def _routed(subject: Subject) -> list[Network]:
    """Return the networks of `route` lines into the tunnel."""
    routes = (into_tunnel(subject.end, d) for d in subject.end.all("route", "route-ipv6"))
    return [network for network in routes if network is not None]


def _by_daemon(subject: Subject, inner: Sequence[InnerRoute]) -> Judgement:
    """Judge if the sessions of a routing daemon bring a route to the network of each inner route."""
    brings = "a routing daemon has sessions through the tunnel, and routes what it learns into it"
    router, runs = subject.router, subject.runs
    if router is None or not runs.spots:
        return safe(brings)
    written = _led(subject)
    doubts: list[tuple[InnerRoute, str]] = []
    for route in inner:
        covered = any(is_within(route.network, network) for network in written)
        if covered or runs.unclear or runs.possible or router.gaps:
            continue
        # 0/0 does not tell whether there are networks of its family.
        families = FAMILIES if route.is_default else (family_of(route.network),)
        obstacles = [_obstacle(subject, n, family) for n in runs.neighbors for family in families]
        certain = [found for found in obstacles if found is not None]
        nothing = bool(obstacles) and len(certain) == len(obstacles) and not runs.interior
        if nothing and any(_overlap(route.network, network) for network in _routed(subject)):
            doubts.append((route, f"a `route` leads a part of it into the tunnel, and {certain[0].why}"))
        elif nothing:
            return _in_userspace(
                subject,
                f"no session of the routing daemon brings a route to {route.network}: {certain[0].why}",
                route.spot,
                *[found.spot for found in certain],
                do="let the policies of both ends pass its routes, or add a `route` for it",
            )
        elif is_net30(subject) and not runs.interior:
            doubts.append((route, "with `topology net30` the next hop is not on the device's link"))
        elif not route.is_default and (why := _doubt(subject, router, route.network)):
            doubts.append((route, why))
    if doubts:
        route, why = doubts[0]
        return unknown(
            f"whether the routing daemon brings a route to {route.network} is unknown: {why}",
            *[route.spot for route, _ in doubts],
            do="look for it in the server's routing table",
        )
    return safe(brings, *runs.spots)


def _obstacle(subject: Subject, n: BgpNeighbor, family: Family) -> Obstacle | None:
    """Return the reason why a session brings no routes of a family, at either end; None if it may bring some."""
    far = subject.peer_runs.neighbors
    found = subject.router.carries_nothing(n, family, "in") if subject.router is not None else None
    # Of several sessions it is not known which ones of both ends belong together.
    if found is None and subject.peer_router is not None and len(far) == len(subject.runs.neighbors) == 1:
        return subject.peer_router.carries_nothing(far[0], family, "out")
    return found


def _doubt(subject: Subject, router: RoutingConfiguration, network: Network) -> str:
    """Return the reason why no policy is known to accept a route to a network; empty if one accepts it."""
    runs, address = subject.runs, network.network_address
    answers = [router.accepts(n, address) for n in runs.neighbors]
    answers += [router.installs(found, address, device_of(subject.end)) for found in runs.interior]
    if any(answer.accepted is not None for answer in answers):
        return ""
    return next((answer.unknown for answer in answers if answer.unknown), answers[0].why)


def _in_userspace(subject: Subject, why: str, *spots: Spot, do: str) -> Judgement:
    """Return the judgement of a failure in userspace; only 2.7 may carry the data in a kernel without more modules."""
    if subject.release not in (None, "2.6") and not userspace_because(subject):
        return unknown(f"{why}, unless the kernel carries the data (DCO)", *spots, do=CHECK_DCO)
    return exposed(why, *spots, do=do)


def _is_aggregate(route: InnerRoute) -> bool:
    return route.network.prefixlen <= _AGGREGATE[route.network.version]


def _pushed_network(subject: Subject, directive: Directive) -> Network | None:
    return into_tunnel(subject.end, directive) if directive.name in ("route", "route-ipv6") else None


def _overlap(one: Network, other: Network) -> bool:
    return is_within(one, other) or is_within(other, one)


RULES = (
    Rule(
        "client-to-client",
        "With `client-to-client` what a client sends to an `iroute` goes to a client, and never to a network "
        "behind the server.",
        ("client-to-client", "iroute", "iroute-ipv6", "push"),
        "openvpn(8), --client-to-client; tested with OpenVPN 2.6.14 and 2.7.8",
        client_to_client,
    ),
    Rule(
        "iroute-without-route",
        "An `iroute` alone leads nothing into the tunnel: the server's kernel needs a `route`, or a routing daemon.",
        ("iroute", "iroute-ipv6", "route", "route-ipv6", "frr.conf", "bird.conf"),
        "openvpn(8), --iroute; tested with OpenVPN 2.6.14 and 2.7.8",
        iroute_without_route,
    ),
)
