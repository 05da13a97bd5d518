"""Rules about packet sizes, which both ends together determine."""

from lab.advise.openvpn import Configuration, Directive
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject
from lab.topology.links import ETHERNET_MTU


def mismatch(subject: Subject) -> Judgement:
    """Judge if both ends use the same sizes, and if the path carries them."""
    if subject.peer is None:
        return unknown("the other end's file is not given", do="add it with another --config")
    sizes = ("tun-mtu", "fragment", "link-mtu")
    if subject.end.differs(*sizes) or subject.peer.differs(*sizes):
        where = [d.spot for end in (subject.end, subject.peer) for d in end.all(*sizes)]
        return unknown("it depends on which `<connection>` is used", *where, do="set the same sizes in each")
    different: list[Directive] = []
    names = []
    for name, default in (("tun-mtu", "1500"), ("fragment", None), ("link-mtu", None)):
        here, there = subject.option(name), _last(subject, subject.peer, name)
        if (here.argument(0) if here else default) != (there.argument(0) if there else default):
            names.append(name)
            different += [d for d in (here, there) if d]
    if names:
        return exposed(
            f"the two ends differ in {' and '.join(f'`{n}`' for n in names)}",
            *[d.spot for d in different],
            do="set the same value at both ends",
        )
    return _on_the_path(subject, subject.peer)


def _on_the_path(subject: Subject, peer: Configuration) -> Judgement:
    """Judge if the path carries the packet of a full-size segment, when both ends agree."""
    clamps = [d for d in (subject.end.last("mssfix"), peer.last("mssfix")) if d]
    spots = [d.spot for d in clamps]
    if subject.end.transports != {"udp"}:
        if subject.path_mtu is None:
            return unknown(
                "over TCP the outer segments must fit the path, and its MTU is unknown",
                *spots,
                do="let routers on the path send ICMP, or lower the outer TCP's MSS at the narrow link",
            )
        if subject.path_mtu >= ETHERNET_MTU:
            return safe("the sizes of both ends agree, and the path carries a full Ethernet packet", *spots)
        return unknown(
            f"a link on the path carries {subject.path_mtu} bytes: without ICMP the outer TCP stalls",
            *spots,
            do="lower the outer TCP's MSS at that link",
        )
    largest = _largest(subject, clamps)
    if largest is None:
        return unknown(
            "without a clamp a full-size segment is sent in two fragments; whether the path carries them is unknown",
            *spots,
            do="set an `mssfix` that fits the path",
        )
    if subject.path_mtu is None:
        return unknown(
            f"a full-size TCP segment becomes a packet of {largest} bytes; the path's MTU is unknown",
            *spots,
            do=f"test if the path carries {largest} bytes, or lower `mssfix`",
        )
    if largest <= subject.path_mtu:
        return safe(f"a full-size TCP segment becomes {largest} bytes, and the path carries {subject.path_mtu}", *spots)
    return exposed(
        f"a full-size TCP segment becomes {largest} bytes, and a link on the path carries {subject.path_mtu}",
        *spots,
        do=f"set `mssfix {subject.path_mtu} mtu`",
    )


def _largest(subject: Subject, clamps: list[Directive]) -> int | None:
    """Return the size of the packet with a full-size TCP segment; None without a clamp, or with an unknown one.

    `mssfix N mtu` includes the outer headers, `mssfix N` does not; the default is `mssfix 1492 mtu` (openvpn(8)). The
    smaller value of both ends applies to both directions.
    """
    headers = 8 + (40 if any(address.version == 6 for address in subject.peer_outer) else 20)
    sizes = [ETHERNET_MTU - 8] if len(clamps) < 2 else []
    for clamp in clamps:
        number = clamp.argument(0)
        if number is None:
            continue
        if not number.isdigit():
            return None
        if int(number):
            sizes.append(int(number) + (0 if clamp.argument(1) == "mtu" else headers))
    return min(sizes, default=None)


def _last(subject: Subject, peer: Configuration, name: str) -> Directive | None:
    return Subject(peer.name, peer, peer=subject.end, peer_client_options=subject.client_options).option(name)


RULES = (
    Rule(
        "mtu-mismatch",
        "Ends with different sizes, or larger packets than the path carries, lose large packets only, as a BGP UPDATE.",
        ("tun-mtu", "fragment", "link-mtu", "mssfix", "proto"),
        "openvpn(8), --tun-mtu, --fragment, --mssfix",
        mismatch,
        "test_large_update_over_udp_on_a_narrow_path",
    ),
)
