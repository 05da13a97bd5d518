"""Rules about OpenVPN together with a routing daemon."""

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
"""The effects of a missing policy on an eBGP session, by its direction."""
_ADD_FRR = "add this end's frr.conf with another --config"


def recursive_routing(subject: Subject) -> Judgement:
    """Judge if a neighbour's route can route the tunnel's own packets into the tunnel."""
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel")
    if subject.frr is None:
        return unknown(subject.no_frr, do=_ADD_FRR)
    neighbors = neighbors_across(subject.frr, subject.end, subject.peer)
    others = subject.frr.other_protocols
    if not neighbors and not others:
        return _no_neighbors(subject.frr)
    far, missing = _peer_outer(subject)
    accepting: list[tuple[Address, str, str, tuple[Spot, ...]]] = []
    doubts: list[str] = [missing] if missing else []
    filters: list[Spot] = []
    for address in far:
        if _host_route(subject.end, address):
            continue
        # The longer prefix applies; of two routes to the same prefix the static one.
        covering = [
            p
            for p in subject.static_routes | subject.frr.static_routes
            if p.version == address.version and address in p
        ]
        longer = max((p.prefixlen for p in covering), default=-1) + 1
        device = subject.end.last("dev")
        answers = [(n.name, subject.frr.accepts(n, address, longer)) for n in neighbors]
        answers += [
            (" ".join(o.words), subject.frr.installs(o, address, (device and device.argument(0)) or "", longer))
            for o in others
        ]
        for name, verdict in answers:
            filters += verdict.spots
            if verdict.accepted is not None:
                accepting.append((address, name, verdict.why, verdict.spots))
            elif verdict.unknown:
                doubts.append(verdict.unknown)
    # Of several neighbours, it is not known which is at the other end.
    certain = {a for a in far if {name for at, name, *_ in accepting if at == a} >= {n.name for n in neighbors}}
    if accepting and certain:
        spots = [spot for *_, found in accepting for spot in found]
        return exposed(
            f"a route that covers the other end's outer address {accepting[0][0]} is accepted: {accepting[0][2]}",
            *spots,
            do="accept only the expected prefixes from this neighbour: `neighbor … prefix-list NAME in`",
        )
    if doubts:
        return unknown(doubts[0], *filters, do="use an address, or a policy of prefix-lists, or test it")
    return safe("no such route is accepted, or a host route precedes it", *filters)


def without_policy(subject: Subject) -> Judgement:
    """Judge if eBGP exchanges no routes because a policy is missing."""
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel")
    if subject.frr is None:
        return unknown(subject.no_frr, do=_ADD_FRR)
    frr = subject.frr
    if not frr.requires_policy:
        return safe("no policy is required", frr.first)
    families: tuple[Family, ...] = FAMILIES
    unfiltered: list[tuple[Neighbor, str]] = []
    for neighbor in filter(frr.external, frr.neighbors):
        missing = [
            f"{'IPv4' if family == 'ipv4' else 'IPv6'} {what}"
            for family in families
            if frr.active(neighbor, family)
            for direction, what in _WITHOUT.items()
            if not frr.policies(neighbor, family, direction)
        ]
        unfiltered += [(neighbor, " and ".join(missing))] if missing else []
    if unfiltered:
        first, what = unfiltered[0]
        return exposed(
            f"neighbour {first.name} is eBGP and has no policy: no {what} (RFC 8212)",
            *[neighbor.spot for neighbor, _ in unfiltered],
            do="set `no bgp ebgp-requires-policy`, or a route-map in and out for each family",
        )
    if no_remote_as := [n for n in frr.neighbors if frr.external(n) is None]:
        return unknown(
            f"neighbour {no_remote_as[0].name} has no remote-as", no_remote_as[0].spot, do="set its remote-as"
        )
    return safe("every eBGP neighbour has policies", frr.first)


def hold_time(subject: Subject) -> Judgement:
    """Judge if BGP detects the loss of the other end long before OpenVPN does."""
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel")
    if subject.frr is None:
        return unknown(subject.no_frr, do=_ADD_FRR)
    neighbors = neighbors_across(subject.frr, subject.end, subject.peer)
    if not neighbors:
        return _no_neighbors(subject.frr)
    timeout = subject.timeout()
    if timeout is None:
        return unknown("the server pushes its keepalive, and its file is not given", do="add the server's file")
    seconds, at = timeout
    spots = [spot for spot in (at, *(n.hold_spot for n in neighbors)) if spot]
    if seconds is None and at is not None:
        return unknown("the keepalive is not a number", *spots, do="set it to numbers")
    hold = min(n.hold for n in neighbors)
    if hold == 0 or subject.peer_hold == 0:
        return safe("with a hold time of 0 BGP keeps the session", *spots)
    agreed = hold if subject.peer_hold is None else min(hold, subject.peer_hold)
    if seconds is None or seconds > agreed:
        waits = f"after {seconds} s" if seconds else "never, without a keepalive"
        return exposed(
            f"BGP closes its session after {agreed} s, OpenVPN restarts {waits}; in between no traffic passes",
            *spots,
            do="set a keepalive timeout that is not longer than BGP's hold time",
        )
    if subject.peer_hold is None:
        return unknown(
            f"OpenVPN restarts after {seconds} s, BGP here closes after {hold} s, the other router possibly earlier",
            *spots,
            do="compare with the other router's timers",
        )
    return safe(f"OpenVPN restarts after {seconds} s, BGP closes its session after {agreed} s", *spots)


def _no_neighbors(frr: FrrConfiguration) -> Judgement:
    if others := [other.spot for other in frr.other_protocols]:
        return unknown("another protocol than BGP runs, which `lab advise` does not judge", *others, do="test it")
    if not frr.neighbors:
        return safe("frr.conf has no BGP neighbour", frr.first)
    return unknown(
        "no BGP neighbour has an address in the tunnel's network",
        *[n.spot for n in frr.neighbors],
        do="add the other end's file, or frr.conf of the router with sessions through this tunnel",
    )


def _peer_outer(subject: Subject) -> tuple[list[Address], str]:
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
        ("remote", "frr.conf: neighbor, route-map, prefix-list"),
        "openvpn(8), --allow-recursive-routing; drop_if_recursive_routing in forward.c of OpenVPN",
        recursive_routing,
        "test_openvpn_detects_recursive_routing",
    ),
    Rule(
        "ebgp-policy",
        "An eBGP session without a policy comes up and carries no routes.",
        ("frr.conf: bgp ebgp-requires-policy, neighbor",),
        "RFC 8212; FRR's documentation of BGP, bgp ebgp-requires-policy",
        without_policy,
    ),
    Rule(
        "hold-time",
        "BGP closes its session long before OpenVPN restarts, and there are no routes until then.",
        ("keepalive", "ping-restart", "frr.conf: timers"),
        "openvpn(8), --keepalive; RFC 4271, section 4.2",
        hold_time,
    ),
)
