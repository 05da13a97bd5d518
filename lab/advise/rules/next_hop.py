"""A rule about BGP's next hops that are not in the tunnel's subnet."""

from lab.advise.across import inner_networks
from lab.advise.inner import is_net30
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.rules.routing import no_session_across
from lab.advise.subject import Subject
from lab.configs.disk import Spot
from lab.configs.routing.facts import BgpNeighbor
from lab.configs.routing.judged import NextHops, RoutingConfiguration
from lab.core.prefixes import FAMILIES, Address

_DO = "remove the `set … next-hop`, or set an address of the other end in the tunnel"


def outside(subject: Subject) -> Judgement:
    """Judge if routes come with a next hop that is not in the tunnel's subnet."""
    if (other := no_session_across(subject)) is not None:
        return other
    router, runs = subject.router, subject.runs
    assert router is not None
    received = [hops for n in runs.neighbors for hops in _hops(router, n, "in")]
    sent = _sent(subject)
    given = [found for hops in received for found in hops.given]
    # An address that is set on arrival replaces the one that the other end has set.
    given = given or [found for hops in sent or () for found in hops.given]
    lost = [(address, spot) for address, spot in given if not _is_inside(subject, address)]
    if lost:
        return _of_address(subject, router, *lost[0])
    spots = [n.spot for n in runs.neighbors]
    if doubt := next((hops.doubt for hops in (*received, *(sent or ())) if hops.doubt is not None), None):
        return unknown(
            f"{doubt.why}; whether each next hop is in the tunnel's subnet is unknown",
            doubt.spot,
            *spots,
            do="look at the next hops in the routing table of BGP, or set `next-hop-self` at the other end",
        )
    if sent is None:
        why = "the other end's router is not given: whether it sets another next hop is unknown"
        return unknown(why, *spots, do="add the other end's files")
    if is_net30(subject) and any(n.address is not None and n.address.version == 4 for n in runs.neighbors):
        return unknown(
            "with `topology net30` the other end's address is not on the device's link; whether the daemon finds a "
            "route to it is unknown",
            *spots,
            do="set `topology subnet`",
        )
    if gaps := [gap for gap in router.gaps if gap.bgp]:
        return unknown(gaps[0].why, *[gap.spot for gap in gaps], do="test it")
    return safe("the next hops are addresses of the sessions through the tunnel", *spots)


def _of_address(subject: Subject, router: RoutingConfiguration, address: Address, spot: Spot) -> Judgement:
    why = f"the next hop {address} is not in the tunnel's subnet: its routes are not installed, or lead past the tunnel"
    routed = any(address in prefix for prefix in router.static_prefixes if prefix.version == address.version)
    if routed or subject.runs.interior or subject.end.has("route", "route-ipv6"):
        return unknown(f"{why}, unless another route leads to it", spot, do=_DO)
    return exposed(why, spot, do=_DO)


def _hops(router: RoutingConfiguration, n: BgpNeighbor, direction: str) -> list[NextHops]:
    return [
        router.next_hops(n, family, "in" if direction == "in" else "out") for family in FAMILIES if family in n.families
    ]


def _sent(subject: Subject) -> list[NextHops] | None:
    """Return the next hops that the other end sends; None if its router is not known."""
    router, far = subject.peer_router, subject.peer_runs.neighbors
    if router is None or not far or any(gap.bgp for gap in router.gaps):
        return None
    return [hops for n in far for hops in _hops(router, n, "out")]


def _is_inside(subject: Subject, address: Address) -> bool:
    ends = [subject.end, *([subject.peer] if subject.peer is not None else [])]
    inner = [interface for end in ends for interface in inner_networks(end)]
    pushed = {
        (d.argument(0) or "").partition("/")[0]
        for options in (subject.client_options, subject.peer_client_options)
        for entry in options.entries
        for d in entry.directives
        if d.name in ("ifconfig-push", "ifconfig-ipv6-push")
    }
    return (
        address.is_link_local
        or str(address) in pushed
        or any(address in interface.network for interface in inner if interface.version == address.version)
    )


RULES = (
    Rule(
        "next-hop",
        "BGP is up, and its routes have a next hop outside the tunnel's subnet: they are not installed, or lead past "
        "the tunnel.",
        ("frr.conf: set ip next-hop, next-hop-self, attribute-unchanged", "bird.conf: next hop, bgp_next_hop"),
        "RFC 4271, section 5.1.3; tested with OpenVPN 2.6.14 and 2.7.8 and FRR 10.3",
        outside,
        "test_verdicts_are_what_packets_do",
    ),
)
