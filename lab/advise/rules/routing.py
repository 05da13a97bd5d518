"""Rules about OpenVPN together with a routing daemon."""

from dataclasses import dataclass, replace
from ipaddress import ip_address

from lab.advise.across import Across
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject
from lab.configs.disk import Spot
from lab.configs.openvpn.configuration import Configuration
from lab.configs.routing.acceptance import Acceptance, Lengths
from lab.configs.routing.facts import BgpNeighbor
from lab.configs.routing.judged import RoutingConfiguration
from lab.topology import Address

ADD_ROUTER = "add this end's frr.conf or bird.conf with another --config"
"""The advice if the configuration of a routing daemon is missing."""


def recursive_routing(subject: Subject) -> Judgement:
    """Judge if a neighbour's route can route the tunnel's own packets into the tunnel."""
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel")
    router = subject.router
    if router is None:
        return unknown(subject.no_router, do=ADD_ROUTER)
    runs = subject.runs
    if not (runs.neighbors or runs.interior or runs.possible or router.gaps):
        return nothing_across(router, runs)
    far, missing = peer_outer(subject)
    accepting: list[_Accepting] = []
    doubts: list[str] = [missing] if missing else []
    filters: list[Spot] = []
    for address in far:
        if _host_route(subject.end, address):
            continue
        # The longer prefix applies; of two routes to the same prefix the static one.
        covering = [p for p in subject.static_routes | router.static_prefixes if address in p]
        longer = max((p.prefixlen for p in covering), default=-1) + 1
        answers = [(n.name, router.accepts(n, address, Lengths(longer))) for n in runs.neighbors]
        answers += _interior_answers(subject, router, runs, address, longer)
        for name, verdict in answers:
            filters += verdict.spots
            if verdict.accepted is not None:
                accepting.append(_Accepting(address, name, verdict.why, verdict.spots))
            elif verdict.unknown:
                doubts.append(verdict.unknown)
    # Of several neighbours, it is not known which is at the other end.
    names = {n.name for n in runs.neighbors}
    certain = {a for a in far if {found.name for found in accepting if found.address == a} >= names}
    if accepting and certain:
        return exposed(
            f"a route that covers the other end's outer address {accepting[0].address} is accepted: {accepting[0].why}",
            *[spot for found in accepting for spot in found.spots],
            do="accept only the expected prefixes: `neighbor … prefix-list NAME in`, or an import filter in BIRD",
        )
    doubts += [gap.why for gap in router.gaps]
    filters += [gap.spot for gap in router.gaps]
    if accepting or doubts:
        why = doubts[0] if doubts else "only some of the neighbours have a policy that rejects such a route"
        return unknown(why, *filters, do="use an address, or a policy of prefix-lists, or test it")
    return safe("no such route is accepted, or a host route precedes it", *filters)


@dataclass(frozen=True)
class _Accepting:
    """A neighbour or protocol that accepts a route which covers an outer address."""

    address: Address
    name: str
    why: str
    spots: tuple[Spot, ...]


def _interior_answers(
    subject: Subject, router: RoutingConfiguration, runs: Across, address: Address, shortest: int
) -> list[tuple[str, Acceptance]]:
    """Ask OSPF and RIP; where it is not certain that they run on the tunnel, an acceptance becomes a doubt."""
    device = subject.end.last("dev")
    name = (device and device.argument(0)) or ""
    answers: dict[tuple[str, bool], tuple[str, Acceptance]] = {}
    for found in (*runs.interior, *runs.possible):
        verdict = router.installs(found, address, name, Lengths(shortest))
        if verdict.accepted is not None and found in runs.possible:
            why = f"whether {found.protocol} runs on the tunnel is unknown: its addresses are not in the file"
            verdict = replace(verdict, accepted=None, unknown=why)
        answers.setdefault((found.protocol, found in runs.possible), (found.protocol, verdict))
    return list(answers.values())


def without_policy(subject: Subject) -> Judgement:
    """Judge if BGP exchanges no routes because a policy is missing, or is named and not defined."""
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel")
    router = subject.router
    if router is None:
        return unknown(subject.no_router, do=ADD_ROUTER)
    live = [n for n in router.neighbors if not n.disabled]
    unfiltered = [(n, " and ".join(missing)) for n in live if n.external and (missing := _missing(router, n))]
    if unfiltered:
        first, what = unfiltered[0]
        return exposed(
            f"neighbour {first.name} is eBGP and has no policy: no {what} (RFC 8212)",
            *[neighbor.spot for neighbor, _ in unfiltered],
            do="set `no bgp ebgp-requires-policy`, or a route-map in and out for each family",
        )
    if undefined := [found for n in live for found in router.undefined_policies(n)]:
        return exposed(
            f"{undefined[0].why} (it rejects every route)",
            *[found.spot for found in undefined],
            do="define it, or correct its name: a prefix-list of IPv4 is none for IPv6",
        )
    if open_as := [n for n in live if n.external is None and _missing(router, n)]:
        why = f"whether neighbour {open_as[0].name} is eBGP is unknown"
        return unknown(why, open_as[0].spot, do="set its remote-as to a number, or policies")
    if gaps := [gap for gap in router.gaps if gap.bgp]:
        return unknown(gaps[0].why, *[gap.spot for gap in gaps], do="test it")
    if not router.neighbors:
        return safe(f"{router.name} has no BGP neighbour", router.first)
    if why := next((why for n in live if (why := router.no_policy_needed(n))), ""):
        return safe(f"no policy is required: {why}", router.first)
    return safe("every eBGP neighbour has policies" if live else "every neighbour is shut down", router.first)


def _missing(router: RoutingConfiguration, neighbor: BgpNeighbor) -> list[str]:
    """Return what a session does not carry if it is eBGP, because a policy is missing."""
    return [] if router.no_policy_needed(neighbor) else router.missing_policies(neighbor)


def no_session_across(subject: Subject) -> Judgement | None:
    """Return the judgement of a rule about sessions if none is known to be across the tunnel, else None."""
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel")
    router, runs = subject.router, subject.runs
    if router is None:
        return unknown(subject.no_router, do=ADD_ROUTER)
    if runs.neighbors:
        return None
    hidden = bool(runs.unclear) or any(gap.bgp for gap in router.gaps)
    if (others := [*runs.interior, *runs.possible]) and not hidden:
        return safe("BGP has no session through this tunnel", *[found.spot for found in others])
    return nothing_across(router, runs)


def nothing_across(router: RoutingConfiguration, runs: Across) -> Judgement:
    """Judge a rule when no session of a routing protocol is known to be across the tunnel."""
    if router.gaps:
        return unknown(router.gaps[0].why, *[gap.spot for gap in router.gaps], do="test it")
    elsewhere = [n.spot for n in router.neighbors] + [found.spot for found in router.interior]
    if not elsewhere:
        return safe(f"{router.name} has no BGP neighbour", router.first)
    return unknown(
        "no routing protocol has a neighbour or an interface in the tunnel's network",
        *elsewhere,
        do="add the other end's file, or the configuration of the router with sessions through this tunnel",
    )


def peer_outer(subject: Subject) -> tuple[list[Address], str]:
    """Return the other end's outer addresses, and the reason why some are unknown."""
    found: list[Address] = list(subject.peer_outer)
    missing = ""
    remotes = subject.end.all("remote")
    for d in remotes:
        try:
            found.append(ip_address((d.argument(0) or "").partition("%")[0]))
        except ValueError:
            missing = f"`{d.name} {d.argument(0) or ''}` is a name: its addresses are unknown"
    if not found and not missing:
        missing = "the clients' outer addresses are unknown" if subject.end.role == "server" else "there is no `remote`"
    return list(dict.fromkeys(found)), missing


def _host_route(end: Configuration, address: Address) -> bool:
    """Return True if a host route of OpenVPN keeps the address out of the tunnel."""
    hosts = ((str(address), "255.255.255.255", "net_gateway"), (f"{address}/{address.max_prefixlen}", "net_gateway"))
    return any(d.arguments[:3] in hosts or d.arguments[:2] in hosts for d in end.all("route", "route-ipv6"))


RULES = (
    Rule(
        "recursive-routing",
        "A BGP route that covers the other end's outer address routes the tunnel into itself, and it stops.",
        ("remote", "frr.conf: neighbor, route-map, prefix-list", "bird.conf: import"),
        "openvpn(8), --allow-recursive-routing; tested with OpenVPN 2.6.14 and 2.7.8",
        recursive_routing,
        "test_openvpn_detects_recursive_routing",
    ),
    Rule(
        "ebgp-policy",
        "A BGP session comes up and carries no routes: eBGP without a policy, or a policy that is not defined.",
        ("frr.conf: bgp ebgp-requires-policy, neighbor, route-map, prefix-list",),
        "RFC 8212; FRR's documentation of BGP, bgp ebgp-requires-policy; bgp_input_filter and bgp_input_modifier in "
        "bgp_route.c of FRR; tested with OpenVPN 2.6.14 and 2.7.8 and FRR 10.3",
        without_policy,
    ),
)
