"""Rules about the way of BGP's segments: past the tunnel, too far for their TTL, or with other addresses."""

from collections.abc import Iterator
from ipaddress import IPv4Network

from lab.advise.across import inner_networks
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.rules.routing import ADD_ROUTER, no_session_across, peer_outer
from lab.advise.subject import Subject, userspace_because
from lab.configs.disk import Spot
from lab.configs.openvpn.configuration import Directive
from lab.configs.routing.facts import BgpNeighbor

_MOST = 255
"""The TTL with which GTSM sends (RFC 5082)."""
_BOTH_ENDS = "set it at both ends: `neighbor … ttl-security hops 1` in FRR, `ttl security` in BIRD"


def past_the_tunnel(subject: Subject) -> Judgement:
    """Judge if a BGP session with the other end uses its outer address, and leads traffic past the tunnel."""
    router = subject.router
    if router is None:
        return safe("no routing daemon") if subject.routes is False else unknown(subject.no_router, do=ADD_ROUTER)
    if gaps := [gap for gap in router.gaps if gap.bgp]:
        return unknown(gaps[0].why, *[gap.spot for gap in gaps], do="test it")
    far, missing = peer_outer(subject)
    live = [n for n in router.neighbors if not n.disabled]
    crossing = {id(n) for n in subject.runs.neighbors}  # the same objects; comparing their fields takes a minute
    elsewhere = [n for n in live if id(n) not in crossing]
    if outer := [n for n in elsewhere if n.address is not None and n.address in far]:
        spots = [n.spot for n in outer]
        if subject.runs.spots:
            why = f"{outer[0].address} is the other end's outer address, and other sessions cross the tunnel"
            return unknown(why, *spots, *subject.runs.spots, do="look at which of the routes the kernel has")
        return exposed(
            f"neighbour {outer[0].name} is the other end's outer address: its routes lead past the tunnel",
            *spots,
            do="use the other end's inner address as neighbour",
        )
    if not elsewhere:
        return safe("every BGP session crosses the tunnel" if live else "BGP has no neighbour", *[n.spot for n in live])
    # An address that is not in the files may be in a range, or at the other end of a link.
    open_ended = [n for n in elsewhere if n.address is None or n.address.is_link_local]
    if missing or open_ended:
        which = (open_ended or elsewhere)[0]
        why = missing or f"whether neighbour {which.name} is the other end of the tunnel is unknown"
        return unknown(why, *[n.spot for n in elsewhere], do="compare it with the other end's outer address")
    return safe("no BGP neighbour has the other end's outer address", *[n.spot for n in live])


def hops(subject: Subject) -> Judgement:
    """Judge if the TTL of BGP's segments fits the hops between both ends of a session."""
    if (other := no_session_across(subject)) is not None:
        return other
    doubts: list[tuple[str, BgpNeighbor]] = []
    for n in subject.runs.neighbors:
        answer = _segments(subject, n)
        if isinstance(answer, Judgement):
            return answer
        if answer:
            doubts.append((answer, n))
    if doubts:
        why, _ = doubts[0]
        return unknown(why, *[n.spot for _, n in doubts], do="add the other end's files, or test it")
    return safe("the TTL of both ends fits", *[n.spot for n in subject.runs.neighbors])


def _segments(subject: Subject, n: BgpNeighbor) -> Judgement | str:
    """Return the judgement of one session that fails, the reason why it is unknown, or nothing."""
    routed = _routed(subject, n)
    if routed is None:
        return f"whether {n.name} is the other end, or behind it, is unknown"
    if routed and n.external and n.multihop is None and not n.ttl_security:
        return exposed(
            f"{n.name} is another client, the server's kernel routes to it, and eBGP sends with a TTL of 1",
            n.spot,
            do="set `ebgp-multihop 2`, or `multihop 2` in BIRD, at both ends, or have sessions with the server",
        )
    if routed and n.ttl_security and n.security_hops <= routed:
        return exposed(
            f"{n.name} is another client, and the server's kernel routes to it: no segment has a TTL of 255 on arrival",
            n.options.get("ttl-security", n.spot),
            do="set `ttl-security hops 2`, or `multihop 2` in BIRD, at both ends",
        )
    there = None if routed else _other_side(subject)
    if there is None:
        return "the other end's router is not given: whether it has `ttl-security` is unknown"
    for receives, sends in ((n, there), (there, n)):
        if not receives.ttl_security or sends.ttl_security:
            continue
        spots: list[Spot] = [receives.options.get("ttl-security", receives.spot), sends.spot]
        if not sends.external:
            return "one end has `ttl-security`, and whether the other one's TTL is 255 depends on the daemon"
        ttl = sends.multihop or 1
        if ttl < _MOST + 1 - receives.security_hops:
            why = f"one end drops segments with a TTL below {_MOST + 1 - receives.security_hops}, the other sends {ttl}"
            return exposed(why, *spots, do=_BOTH_ENDS)
    return ""


def signed(subject: Subject) -> Judgement:
    """Judge if addresses are translated between both ends of a session with a TCP MD5 password."""
    if (other := no_session_across(subject)) is not None:
        return other
    runs, router = subject.runs, subject.router
    with_password = [n for n in runs.neighbors if n.password is not None]
    maybe = [n for n in runs.unclear if n.password is not None]
    gaps = [gap for gap in router.gaps if gap.bgp] if router else []
    if not with_password and not maybe and not gaps:
        return safe("no session through the tunnel has a password", *[n.spot for n in runs.neighbors])
    own = {interface.ip for interface in inner_networks(subject.end)}
    for n in with_password:
        for option, network in _translations(subject):
            ends = own if n.address is None else {*own, n.address}
            if any(address in network for address in ends if address.version == network.version):
                return exposed(
                    f"`{option.name}` translates an address of the session with {n.name}, which the MD5 digest covers",
                    n.options.get("password", n.spot),
                    option.spot,
                    do=f"remove the password, or `{option.name}`",
                )
    spots = [n.options.get("password", n.spot) for n in (*with_password, *maybe)]
    return unknown(
        gaps[0].why if gaps else "whether a packet filter translates the session's addresses is not in these files",
        *spots,
        *[gap.spot for gap in gaps],
        do="look for `masquerade` or `snat` with the tunnel's device in the rules of both hosts",
    )


def _translations(subject: Subject) -> Iterator[tuple[Directive, IPv4Network]]:
    """Generate each `client-nat` with the addresses that it changes, as this end sees them."""
    other = subject.peer
    here = [*subject.end.all("client-nat"), *(d for d in subject.pushes if d.name == "client-nat")]
    there: list[Directive] = []
    if other is not None:
        client = Subject(other.name, other, peer=subject.end, peer_client_options=subject.client_options)
        there = [*other.all("client-nat"), *(d for d in client.pushes if d.name == "client-nat")]
    # `client-nat snat|dnat NETWORK NETMASK ALIAS`: the client sees NETWORK, the other end ALIAS.
    for d, at in [*((d, 1) for d in here), *((d, 3) for d in there)]:
        try:
            yield d, IPv4Network(f"{d.argument(at)}/{d.argument(2)}", strict=False)
        except ValueError:
            continue


def _routed(subject: Subject, n: BgpNeighbor) -> int | None:
    """Return the number of routers between this end and a neighbour: a server's kernel between two clients, or none."""
    if subject.end.role != "client" or n.address is None or n.address.is_link_local:
        return 0
    if subject.peer is None:
        return None
    inner = inner_networks(subject.peer)
    if any(n.address == interface.ip for interface in inner):
        return 0
    if subject.end.device == "tap" or not any(n.address in interface.network for interface in inner):
        return None
    if not subject.peer.has("client-to-client"):
        return 1
    # OpenVPN forwards between clients, and leaves the TTL as it is; with DCO the kernel forwards.
    known = subject.release in (None, "2.6") or userspace_because(Subject(subject.peer.name, subject.peer))
    return 0 if known else None


def _other_side(subject: Subject) -> BgpNeighbor | None:
    """Return the session at the other end; None if it is not known which one it is."""
    found = subject.peer_runs.neighbors
    own = {interface.ip for interface in inner_networks(subject.end)}
    named = [n for n in found if n.address in own] or list(found)
    settings = {(n.ttl_security, n.security_hops, n.multihop, n.external) for n in named}
    return named[0] if len(settings) == 1 else None


RULES = (
    Rule(
        "outer-session",
        "A BGP session with the other end's outer address is up, and its routes lead past the tunnel, in clear.",
        ("remote", "frr.conf: neighbor", "bird.conf: neighbor"),
        "RFC 4271, section 5.1.3; tested with OpenVPN 2.6.14 and FRR 10.3",
        past_the_tunnel,
        "test_verdicts_are_what_packets_do",
    ),
    Rule(
        "session-hops",
        "BGP stays down because the TTL of its segments does not fit the hops between both ends.",
        ("frr.conf: ttl-security, ebgp-multihop", "bird.conf: ttl security, multihop", "client-to-client"),
        "RFC 5082; FRR's documentation of BGP, neighbor ttl-security; tested with OpenVPN 2.6.14 and FRR 10.3",
        hops,
        "test_session_needs_ttl_security_at_both_ends",
    ),
    Rule(
        "translated-session",
        "BGP with a TCP MD5 password stays down if an address of its session is translated on the way.",
        ("client-nat", "frr.conf: neighbor password", "bird.conf: password"),
        "RFC 2385, section 2.0; openvpn(8), --client-nat",
        signed,
        "test_verdicts_are_what_packets_do",
    ),
)
