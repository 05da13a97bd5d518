"""What a BGP UPDATE says of prefixes (RFC 4271, section 4.3; RFC 4760 for what is not IPv4), decoded by scapy."""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from lab.topology import Prefix

MARKER = b"\xff" * 16
HEADER = len(MARKER) + 3
UPDATE = 2
_VERSIONS = {1: 4, 2: 6}
"""Address family numbers."""


@dataclass(frozen=True)
class Update:
    """The prefixes of one UPDATE."""

    announced: frozenset[Prefix]
    withdrawn: frozenset[Prefix]


def split(stream: bytes) -> tuple[list[bytes], bytes]:
    """The whole BGP messages at the beginning of a stream, and what is left of it.

    Where the stream does not begin with a message (a capture that came in the middle), what is before the first
    one is left out.
    """
    found: list[bytes] = []
    while True:
        start = stream.find(MARKER)
        if start < 0:
            return found, stream[-(len(MARKER) - 1) :]
        stream = stream[start:]
        if len(stream) < HEADER:
            return found, stream
        length = int.from_bytes(stream[16:18], "big")
        if not HEADER <= length <= 65535:
            stream = stream[1:]
            continue
        if len(stream) < length:
            return found, stream
        found.append(stream[:length])
        stream = stream[length:]


def decode(message: bytes, wanted: Collection[Prefix] | None = None) -> Update | None:
    """A BGP message as an UPDATE; None where it is another one, or has none of the `wanted` prefixes.

    Those that are not wanted are left out.
    """
    if len(message) < HEADER or message[18] != UPDATE:
        return None
    if wanted is not None and not any(_encoded(prefix) in message for prefix in wanted):
        return None
    update = _scapy().BGP(message).payload
    announced, withdrawn = set(_nlri(update.nlri, 4)), set(_nlri(update.withdrawn_routes, 4))
    for attribute in update.path_attr or ():
        inside = attribute.attribute
        kind = type(inside).__name__
        if kind == "BGPPAMPReachNLRI":
            announced |= set(_nlri(inside.nlri, _VERSIONS[inside.afi]))
        elif kind == "BGPPAMPUnreachNLRI":
            gone = getattr(inside.afi_safi_specific, "withdrawn_routes", None)
            withdrawn |= set(_nlri(gone, _VERSIONS[inside.afi]))
    if wanted is not None:
        announced &= set(wanted)
        withdrawn &= set(wanted)
        if not announced and not withdrawn:
            return None
    return Update(frozenset(announced), frozenset(withdrawn))


def _nlri(found: Any, version: int) -> Iterator[Prefix]:
    """The prefixes of a field. scapy takes what begins with a default route for another encoding (RFC 7911), so its
    items are put together again."""
    raw = b"".join(map(bytes, found or ()))
    size = 4 if version == 4 else 16
    while raw:
        length, used = raw[0], 1 + (raw[0] + 7) // 8
        address = int.from_bytes(raw[1:used].ljust(size, b"\0"), "big")
        yield IPv4Network((address, length)) if version == 4 else IPv6Network((address, length))
        raw = raw[used:]


@cache
def _encoded(prefix: Prefix) -> bytes:
    """A prefix as it stands in a message: its length, and as many bytes of it as that takes."""
    return bytes([prefix.prefixlen]) + prefix.network_address.packed[: (prefix.prefixlen + 7) // 8]


@cache
def _scapy() -> Any:
    """scapy's BGP, told that AS numbers have four bytes (RFC 6793); it warns of its default when it is imported."""
    logger = logging.getLogger("scapy")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from scapy.contrib import bgp
    finally:
        logger.setLevel(level)
    bgp.bgp_module_conf.use_2_bytes_asn = False
    return bgp
