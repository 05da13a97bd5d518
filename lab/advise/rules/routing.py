"""What goes wrong between OpenVPN and the routing daemon."""

from ipaddress import ip_address
from typing import Literal

from lab.advise.across import neighbors_across
from lab.advise.disk import Spot
from lab.advise.frr import FrrConfiguration, Neighbor
from lab.advise.openvpn import Configuration
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject
from lab.core.prefixes import FAMILIES
from lab.topology import Address, Family

_WITHOUT: dict[Literal["in", "out"], str] = {"out": "is announced", "in": "accepted"}
"""What an eBGP session lacks that has no policy of a direction."""
_GIVE_FRR = "add this end's frr.conf with another --config"


def recursive_routing(subject: Subject) -> Judgement:
    """May a neighbour's route lead the tunnel's own packets into the tunnel?"""
    if subject.routes is False:
        return safe("no routing daemon speaks through this tunnel")
    if subject.frr is None:
        return unknown(subject.no_frr, do=_GIVE_FRR)
    neighbors = neighbors_across(subject.frr, subject.end, subject.peer)
    others = subject.frr.other_protocols
    if not neighbors and not others:
        return _none_across(subject.frr)
    far, unsaid = _far(subject)
    open_to: list[tuple[Address, str, str, tuple[Spot, ...]]] = []
    doubts: list[str] = [unsaid] if unsaid else []
    filters: list[Spot] = []
    for address in far:
        if _host_route(subject.end, address):
            continue
        # Of two routes the longer one counts, and of two of a length the one that is not BGP's.
        around = [p for p in subject.fixed | subject.frr.fixed if p.version == address.version and address in p]
        longer = max((p.prefixlen for p in around), default=-1) + 1
        device = subject.end.last("dev")
        told = [(n.name, subject.frr.accepts(n, address, longer)) for n in neighbors]
        told += [
            (" ".join(o.words), subject.frr.uses(o, address, (device and device.argument(0)) or "", longer))
            for o in others
        ]
        for who, verdict in told:
            filters += verdict.spots
            if verdict.accepted is not None:
                open_to.append((address, who, verdict.why, verdict.spots))
            elif verdict.unknown:
                doubts.append(verdict.unknown)
    # Of several neighbours one that has a policy may stand for the tunnel's.
    sure = {a for a in far if {who for at, who, *_ in open_to if at == a} >= {n.name for n in neighbors}}
    if open_to and sure:
        spots = [spot for *_, found in open_to for spot in found]
        return exposed(
            f"a route that covers the other end's outer address {open_to[0][0]} is accepted: {open_to[0][2]}",
            *spots,
            do="let in only the prefixes that you expect of this neighbour: `neighbor … prefix-list NAME in`",
        )
    if doubts:
        return unknown(doubts[0], *filters, do="give an address, or a policy of prefix-lists, or try it")
    return safe("no such route is let in, or a host route holds it off", *filters)


def without_policy(subject: Subject) -> Judgement:
    """Does eBGP keep everything to itself?"""
    if subject.routes is False:
        return safe("no routing daemon speaks through this tunnel")
    if subject.frr is None:
        return unknown(subject.no_frr, do=_GIVE_FRR)
    frr = subject.frr
    if not frr.requires_policy:
        return safe("no policy is required", frr.first)
    families: tuple[Family, ...] = FAMILIES
    bare: list[tuple[Neighbor, str]] = []
    for neighbor in filter(frr.external, frr.neighbors):
        lacks = [
            f"{'IPv4' if family == 'ipv4' else 'IPv6'} {what}"
            for family in families
            if frr.active(neighbor, family)
            for direction, what in _WITHOUT.items()
            if not frr.policies(neighbor, family, direction)
        ]
        bare += [(neighbor, " and ".join(lacks))] if lacks else []
    if bare:
        first, what = bare[0]
        return exposed(
            f"neighbour {first.name} is eBGP and has no policy for that: no {what} (RFC 8212)",
            *[neighbor.spot for neighbor, _ in bare],
            do="`no bgp ebgp-requires-policy`, or a route-map in and out, for each family",
        )
    if unsaid := [n for n in frr.neighbors if frr.external(n) is None]:
        return unknown(f"whether {unsaid[0].name} is eBGP is not said", unsaid[0].spot, do="give it a remote-as")
    return safe("every eBGP neighbour has its policies", frr.first)


def hold_time(subject: Subject) -> Judgement:
    """Who notices first that the other end is gone?"""
    if subject.routes is False:
        return safe("no routing daemon speaks through this tunnel")
    if subject.frr is None:
        return unknown(subject.no_frr, do=_GIVE_FRR)
    neighbors = neighbors_across(subject.frr, subject.end, subject.peer)
    if not neighbors:
        return _none_across(subject.frr)
    told = subject.timeout()
    if told is None:
        return unknown("the server pushes its keepalive, and its file is not at hand", do="add the server's file")
    seconds, at = told
    spots = [spot for spot in (at, *(n.hold_spot for n in neighbors)) if spot]
    if seconds is None and at is not None:
        return unknown("the keepalive is not understood", *spots, do="give it numbers")
    hold = min(n.hold for n in neighbors)
    if hold == 0 or subject.peer_hold == 0:
        return safe("with a hold time of 0 BGP never gives up by itself", *spots)
    agreed = hold if subject.peer_hold is None else min(hold, subject.peer_hold)
    if seconds is None or seconds > agreed:
        waits = f"waits {seconds} s" if seconds else "has no keepalive and waits for ever"
        return exposed(
            f"BGP gives up after {agreed} s, OpenVPN {waits}; meanwhile nothing passes and nothing mends it",
            *spots,
            do="a keepalive that gives up no later than BGP's hold time",
        )
    if subject.peer_hold is None:
        return unknown(
            f"OpenVPN gives up after {seconds} s, BGP here after {hold} s; the other router may want less",
            *spots,
            do="compare with the other router's timers",
        )
    return safe(f"OpenVPN gives up after {seconds} s, BGP after {agreed} s", *spots)


def _none_across(frr: FrrConfiguration) -> Judgement:
    if others := [other.spot for other in frr.other_protocols]:
        return unknown("another protocol than BGP runs, which is not judged here", *others, do="try it")
    if not frr.neighbors:
        return safe("frr.conf has no BGP neighbour", frr.first)
    return unknown(
        "no BGP neighbour lies in a network that this end's files give the tunnel",
        *[n.spot for n in frr.neighbors],
        do="add the other end's file, or frr.conf of the router that speaks through this tunnel",
    )


def _far(subject: Subject) -> tuple[list[Address], str]:
    """The other end's outer addresses, and why some are not known."""
    found: list[Address] = list(subject.far)
    unsaid = ""
    remotes = subject.end.all("remote")
    for d in remotes:
        try:
            found.append(ip_address((d.argument(0) or "").partition("%")[0]))
        except ValueError:
            unsaid = f"`{d.name} {d.argument(0) or ''}` is a name: its addresses are not known"
    if not found and not unsaid:
        unsaid = "the clients' outer addresses are not known" if subject.end.role == "server" else "no `remote` is said"
    return list(dict.fromkeys(found)), unsaid


def _host_route(end: Configuration, address: Address) -> bool:
    """True where OpenVPN itself keeps the address out of the tunnel."""
    hosts = ((str(address), "255.255.255.255", "net_gateway"), (f"{address}/{address.max_prefixlen}", "net_gateway"))
    return any(d.arguments[:3] in hosts or d.arguments[:2] in hosts for d in end.all("route", "route-ipv6"))


RULES = (
    Rule(
        "recursive-routing",
        "A BGP route that covers the other end's outer address leads the tunnel into itself, and it dies.",
        ("remote", "frr.conf: neighbor, route-map, prefix-list"),
        "openvpn(8), --allow-recursive-routing; drop_if_recursive_routing in forward.c of OpenVPN",
        recursive_routing,
        "test_openvpn_detects_recursive_routing",
    ),
    Rule(
        "ebgp-policy",
        "An eBGP session without a policy comes up and carries no route.",
        ("frr.conf: bgp ebgp-requires-policy, neighbor",),
        "RFC 8212; FRR's documentation of BGP, bgp ebgp-requires-policy",
        without_policy,
    ),
    Rule(
        "hold-time",
        "BGP gives up long before OpenVPN does, and the routes stay away until OpenVPN has noticed as well.",
        ("keepalive", "ping-restart", "frr.conf: timers"),
        "openvpn(8), --keepalive; RFC 4271, section 4.2",
        hold_time,
    ),
)
