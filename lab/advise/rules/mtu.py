"""What goes wrong with sizes: of both ends, and of the path between them."""

from lab.advise.numbers import is_number
from lab.advise.openvpn import Configuration, Directive
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject

_ROOM = 1600
"""OpenVPN takes packets of this size from its peer, whatever its own `tun-mtu` (openvpn(8), --tun-mtu-max)."""
_FITS_EVERYWHERE = 1232
"""A UDP payload for which every path has room that carries IPv6 (RFC 8200, section 5)."""


def mismatch(subject: Subject) -> Judgement:
    """Does each end understand, and have room for, what the other one sends?"""
    if subject.peer is None:
        return unknown("the other end's file is not at hand", do="add it with another --config")
    sizes = ("tun-mtu", "fragment", "link-mtu")
    if subject.end.differs(*sizes) or subject.peer.differs(*sizes):
        where = [d.spot for end in (subject.end, subject.peer) for d in end.all(*sizes)]
        return unknown("it depends on which `<connection>` is used", *where, do="the same sizes in each")
    frames = _both(subject, "fragment")
    if sum(d is None for d in frames) == 1:
        why = "one end says `fragment` and the other does not: neither understands the other, and nothing passes"
        return exposed(why, *[d.spot for d in frames if d], do="`fragment` at both ends, or at none")
    links = [d.spot for d in _both(subject, "link-mtu") if d]
    if links:
        return unknown("what `link-mtu` leaves for packets is not computed here", *links, do="`tun-mtu` instead")
    said = [d for d in _both(subject, "tun-mtu") if d]
    spots = [d.spot for d in said]
    if not all(is_number(d.argument(0) or "") for d in said):
        return unknown("a `tun-mtu` is not understood", *spots, do="give it a number")
    mtus = [int(d.argument(0) or "") for d in said] + [1500] * (2 - len(said))
    if min(mtus) < max(mtus) and max(mtus) > _ROOM:
        return exposed(
            f"one end sends packets of {max(mtus)} bytes, and the other has room for {max(min(mtus), _ROOM)}: what is "
            "longer is lost",
            *spots,
            do="the same `tun-mtu` at both ends",
        )
    if min(mtus) < max(mtus):
        return safe(f"each end has room for {_ROOM} bytes, whatever its own `tun-mtu`", *spots)
    return safe("the sizes of both ends agree", *spots)


def narrow_path(subject: Subject) -> Judgement:
    """Does a full-size segment fit the path?"""
    if subject.routes is False:
        return safe("no routing daemon speaks through this tunnel")
    if subject.end.transports != {"udp"}:
        return unknown(
            "over TCP the tunnel's own segments have to fit the path, and no file tells what that takes",
            *[d.spot for d in subject.end.all("proto")[:1]],
            do="lower the MSS of the tunnel's own connection on the way: nftables' `tcp option maxseg size set rt mtu`",
        )
    ends = [end for end in (subject.end, subject.peer) if end is not None]
    clamps = [d for end in ends if (d := end.last("mssfix"))]
    spots = [d.spot for d in clamps]
    numbers = [int(text) for d in clamps if is_number(text := d.argument(0) or "")]
    lowered = [number for number in numbers if number > 0]
    if lowered and min(lowered) <= _FITS_EVERYWHERE:
        return safe("its segments fit every path that carries IPv6", *spots)
    if numbers.count(0) == 2:
        return exposed(
            "full-size segments go in two fragments, and are lost where a firewall drops these",
            *spots,
            do="leave `mssfix 0` out at one end at least: one is enough",
        )
    return unknown(
        f"whether the path takes packets of {min(lowered, default=1492)} bytes is in no file",
        *spots,
        do="try it; an `mssfix` that fits, at either end, mends it",
    )


def _both(subject: Subject, name: str) -> tuple[Directive | None, Directive | None]:
    assert subject.peer is not None
    return subject.option(name), _last(subject, subject.peer, name)


def _last(subject: Subject, peer: Configuration, name: str) -> Directive | None:
    return Subject(peer.name, peer, peer=subject.end, peer_handed=subject.handed).option(name)


RULES = (
    Rule(
        "mtu-mismatch",
        "Where one end alone has `fragment`, nothing passes; where its `tun-mtu` is far larger, its large packets are "
        "lost.",
        ("tun-mtu", "fragment", "link-mtu"),
        "openvpn(8), --tun-mtu, --tun-mtu-max, --fragment",
        mismatch,
        "test_ends_that_differ_in_sizes",
    ),
    Rule(
        "narrow-path",
        "A path that takes less than its ends believe loses each full-size segment: a large BGP UPDATE never arrives, "
        "and the session falls and rises for ever.",
        ("proto", "mssfix"),
        "openvpn(8), --mssfix; RFC 2923, section 2.1",
        narrow_path,
        "test_a_large_update_over_udp_on_a_narrow_path",
    ),
)
