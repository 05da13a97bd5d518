"""Rules about packet sizes, which both ends together determine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject
from lab.configs.disk import Spot
from lab.configs.numbers import is_number
from lab.configs.openvpn.configuration import Configuration, Directive
from lab.topology.links import ETHERNET_MTU

_SIZES = ("tun-mtu", "fragment", "link-mtu")
_ACCEPTED = 1600
"""OpenVPN's default of `tun-mtu-max` from 2.6 on: an end accepts packets up to it, whatever its `tun-mtu`."""
_ROOM = 168
"""The bytes by which a datagram may exceed `tun-mtu-max` (seen on 2.6.3, 2.6.14 and 2.7.8)."""
_LEAST = 24
"""The bytes that OpenVPN adds to a packet at least: opcode, number and tag of an AEAD cipher."""
_MOST_AEAD, _MOST = 36, 96
"""Those that it adds at most: with AEAD ciphers, and with CBC and the longest HMAC in use."""
_CIPHERS = ("secret", "cipher", "auth", "data-ciphers", "ncp-ciphers", "data-ciphers-fallback")
_OLD = "2.5"
"""Up to this version an end accepts packets up to its own `tun-mtu` only, and pushes none (seen on 2.5.1)."""


def mismatch(subject: Subject) -> Judgement:
    """Judge if each end accepts what the other one sends."""
    if subject.peer is None:
        return unknown("the other end's file is not given", do="add it with another --config")
    if unclear := _differ_by_connection(subject, subject.peer):
        return unclear
    subject_sizes, peer_sizes = _sizes(subject, subject.peer)
    both = (subject.end, subject.peer)
    if len({_fragments(end) for end in both}) > 1:
        return exposed(
            "only one end has `fragment`: the other one drops all packets",
            *[d.spot for end in both for d in end.all("fragment")],
            do="set `fragment` at both ends, or at none",
        )
    if subject_sizes is None or peer_sizes is None:
        where = [d.spot for end in both for d in end.all(*_SIZES)]
        return unknown("a size is not a number, or is above the default limit", *where, do="set `tun-mtu` at both ends")
    spots = [d.spot for end in both for d in end.all("tun-mtu", "tun-mtu-max")]
    do = "set the same `tun-mtu` at both ends, or `tun-mtu-max` at the end with the smaller one"
    doubt: Judgement | None = None
    for sends, receives in ((subject_sizes, peer_sizes), (peer_sizes, subject_sizes)):
        what = f"one end sends packets of {sends.tun_mtu} bytes, the other accepts"
        if sends.tun_mtu > receives.refuses:
            return exposed(f"{what} {receives.refuses} at most", *spots, do=do)
        if sends.tun_mtu > receives.accepts:
            doubt = unknown(f"{what} {receives.accepts} for certain, and more with a short cipher", *spots, do=do)
    if doubt is not None:
        return doubt
    return safe("each end accepts what the other one sends", *[d.spot for d in subject.end.all(*_SIZES)])


def on_the_path(subject: Subject) -> Judgement:
    """Judge if the path carries the packet of a full-size segment."""
    peer = subject.peer
    if peer is None:
        return unknown("the other end's file is not given", do="add it with another --config")
    if unclear := _differ_by_connection(subject, peer, (*_SIZES, "mssfix")):
        return unclear
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
            return safe("the path carries a full Ethernet packet", *spots)
        return unknown(
            f"a link on the path carries {subject.path_mtu} bytes: without ICMP the outer TCP stalls",
            *spots,
            do="lower the outer TCP's MSS at that link",
        )
    if lost := _may_be_forgotten(subject, peer):
        return unknown(
            "OpenVPN 2.5 forgets `fragment` when a TLS session begins, unless this end pulls options or is a server",
            lost.spot,
            *spots,
            do="set an `mssfix` that fits the path instead, or give the version of both ends with --openvpn",
        )
    largest = _largest(subject, clamps)
    if largest is None and any(d.argument(1) not in (None, "mtu") for d in clamps):
        return unknown(
            "with `mssfix … fixed` the outer packet is larger by the cipher's overhead, which depends on what is "
            "negotiated",
            *spots,
            do="use `mssfix N mtu`, which includes the overhead",
        )
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
    smaller value of both ends applies to both directions. With `fragment N` no datagram is larger than N.
    """
    headers = 8 + (40 if any(address.version == 6 for address in subject.peer_outer) else 20)
    if fragment := subject.end.last("fragment"):
        limit = fragment.argument(0) or ""
        return int(limit) + (0 if fragment.argument(1) == "mtu" else headers) if is_number(limit) else None
    sizes = [ETHERNET_MTU - 8] if len(clamps) < 2 else []
    for clamp in clamps:
        number = clamp.argument(0)
        if number is None:
            sizes.append(ETHERNET_MTU - 8)
            continue
        if not number.isdigit() or clamp.argument(1) not in (None, "mtu"):
            return None
        if int(number):
            sizes.append(int(number) + (0 if clamp.argument(1) == "mtu" else headers))
    return min(sizes, default=None)


def _may_be_forgotten(subject: Subject, peer: Configuration) -> Directive | None:
    """Return the `fragment` that has no effect with OpenVPN 2.5, if an end may run that; None without one.

    In 2.5 a packet that begins a TLS session restores what was set before `fragment` (process_incoming_link_part1 in
    forward.c), and only pushed options and a server's client instances set it again (seen on 2.5.1).
    """
    found = subject.end.last("fragment")
    by_tls = (subject.end.role, peer.role) == ("peer", "peer") and not subject.end.has("secret")
    return found if by_tls and {subject.release, subject.peer_release} & {None, _OLD} else None


def _differ_by_connection(subject: Subject, peer: Configuration, options: Sequence[str] = _SIZES) -> Judgement | None:
    if not subject.end.differs(*options) and not peer.differs(*options):
        return None
    where = [d.spot for end in (subject.end, peer) for d in end.all(*options)]
    return unknown("it depends on which `<connection>` is used", *where, do="set the same sizes in each")


@dataclass(frozen=True)
class _Sizes:
    """The packet sizes of an end."""

    tun_mtu: int
    limit: int
    """The largest `tun-mtu` that it takes from a server."""
    accepts: int
    """The largest packet that it accepts from the other end for certain."""
    refuses: int
    """It accepts no larger packet for certain."""
    release: str | None


def _sizes(subject: Subject, peer: Configuration) -> tuple[_Sizes | None, _Sizes | None]:
    """Return the sizes of this end and of the other; None if they are unknown.

    A server pushes its `tun-mtu` to clients that pull (seen on 2.6.14 and 2.7.8), and a client takes it up to its
    `tun-mtu-max`.
    """
    added = _MOST if any(end.has(*_CIPHERS) for end in (subject.end, peer)) else _MOST_AEAD
    own, other = _own_sizes(subject.end, subject.release, added), _own_sizes(peer, subject.peer_release, added)
    if own is None or other is None:
        return own, other
    if (subject.end.role, peer.role) == ("client", "server"):
        return _pulled(subject, own, other), other
    if (subject.end.role, peer.role) == ("server", "client") and (client := subject.other()):
        return own, _pulled(client, other, own)
    return own, other


def _pulled(client: Subject, own: _Sizes, server: _Sizes) -> _Sizes:
    if _OLD in (own.release, server.release):
        return own
    if not client.accepts(Directive("tun-mtu", (str(server.tun_mtu),), Spot(client.end.name, 1))):
        return own
    explicit = [d for d in client.pushes if d.name == "tun-mtu"]
    number = explicit[-1].argument(0) or "" if explicit else ""
    size = int(number) if is_number(number) else server.tun_mtu
    return replace(own, tun_mtu=min(size, own.limit))


def _own_sizes(end: Configuration, release: str | None, added: int) -> _Sizes | None:
    """Return the sizes of an end; `added` is the number of bytes that OpenVPN adds to a packet at most."""
    numbers = {}
    for name in ("tun-mtu", "tun-mtu-max", "link-mtu"):
        found = end.last(name)
        text = (found.argument(0) or "") if found else ""
        if found and not is_number(text):
            return None
        numbers[name] = int(text) if found else 0
    if numbers["link-mtu"] > _ACCEPTED:
        return None
    # With `link-mtu` the device is smaller by the overhead.
    tun_mtu = numbers["tun-mtu"] or numbers["link-mtu"] or ETHERNET_MTU
    if release == _OLD:
        return _Sizes(tun_mtu, tun_mtu, tun_mtu, tun_mtu, release)
    limit = max(_ACCEPTED, tun_mtu, numbers["tun-mtu-max"])
    return _Sizes(tun_mtu, limit, limit + _ROOM - added, limit + _ROOM - _LEAST, release)


def _fragments(end: Configuration) -> bool:
    found = end.last("fragment")
    return found is not None and found.argument(0) != "0"


RULES = (
    Rule(
        "mtu-mismatch",
        "An end drops all packets that exceed what it accepts, or all of them if only the other one has `fragment`.",
        ("tun-mtu", "tun-mtu-max", "fragment", "link-mtu"),
        "openvpn(8), --tun-mtu, --tun-mtu-max, --fragment; tested with OpenVPN 2.6.14 and 2.7.8",
        mismatch,
    ),
    Rule(
        "path-mtu",
        "Packets that are larger than the path carries are lost, as a BGP UPDATE, while small ones pass.",
        ("mssfix", "fragment", "proto"),
        "openvpn(8), --mssfix, --fragment; tested with OpenVPN 2.5.1, 2.6.14 and 2.7.8",
        on_the_path,
        "test_large_update_over_udp_on_a_narrow_path",
    ),
)
