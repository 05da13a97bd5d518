"""What goes wrong with sizes: only both ends together show it."""

from lab.advise.openvpn import Configuration, Directive
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject
from lab.topology.links import ETHERNET_MTU


def mismatch(subject: Subject) -> Judgement:
    """Do both ends mean the same sizes?"""
    if subject.peer is None:
        return unknown("the other end's file is not at hand", do="add it with another --config")
    sizes = ("tun-mtu", "fragment", "link-mtu")
    if subject.end.differs(*sizes) or subject.peer.differs(*sizes):
        where = [d.spot for end in (subject.end, subject.peer) for d in end.all(*sizes)]
        return unknown("it depends on which `<connection>` is used", *where, do="the same sizes in each")
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
            do="the same value at both ends",
        )
    return _on_the_path(subject, subject.peer)


def _on_the_path(subject: Subject, peer: Configuration) -> Judgement:
    """Both ends agree; does the path take what they make of a full-size segment?"""
    clamps = [d for d in (subject.end.last("mssfix"), peer.last("mssfix")) if d]
    spots = [d.spot for d in clamps]
    if subject.end.transports != {"udp"}:
        if subject.path_mtu is None:
            return unknown(
                "over TCP its own segments must fit the path, and what that takes is not known",
                *spots,
                do="have the routers on the path tell (ICMP), or lower the outer TCP's MSS where it is narrow",
            )
        if subject.path_mtu >= ETHERNET_MTU:
            return safe("the sizes of both ends agree, and the path takes a whole Ethernet packet", *spots)
        return unknown(
            f"a link on the path takes {subject.path_mtu} bytes: an outer TCP that is not told stands still",
            *spots,
            do="lower the outer TCP's MSS at that link",
        )
    largest = _largest(subject, clamps)
    if largest is None:
        return unknown(
            "without a clamp each full-size segment goes in two; whether the path lets fragments pass is not known",
            *spots,
            do="an `mssfix` that fits the path",
        )
    if subject.path_mtu is None:
        return unknown(
            f"a full-size TCP segment becomes a packet of {largest} bytes; what the path takes is not known",
            *spots,
            do=f"find out whether {largest} bytes pass, or lower `mssfix`",
        )
    if largest <= subject.path_mtu:
        return safe(f"a full-size TCP segment becomes {largest} bytes, and the path takes {subject.path_mtu}", *spots)
    return exposed(
        f"a full-size TCP segment becomes {largest} bytes, and a link on the path takes {subject.path_mtu}",
        *spots,
        do=f"`mssfix {subject.path_mtu} mtu`",
    )


def _largest(subject: Subject, clamps: list[Directive]) -> int | None:
    """Bytes of the packet that carries a full-size TCP segment; None where nothing clamps it, or it is not understood.

    `mssfix N mtu` counts the outer headers, `mssfix N` does not; without a line it is `mssfix 1492 mtu` (openvpn(8)).
    Of two ends the smaller counts, for both directions.
    """
    headers = 8 + (40 if any(address.version == 6 for address in subject.far) else 20)
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
    return Subject(peer.name, peer, peer=subject.end, peer_handed=subject.handed).option(name)


RULES = (
    Rule(
        "mtu-mismatch",
        "Ends that differ in sizes, or send more than the path takes, lose large packets alone, such as a BGP UPDATE.",
        ("tun-mtu", "fragment", "link-mtu", "mssfix", "proto"),
        "openvpn(8), --tun-mtu, --fragment, --mssfix",
        mismatch,
        "test_large_update_over_udp_on_a_narrow_path",
    ),
)
