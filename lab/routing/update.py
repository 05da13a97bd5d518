"""The prefixes in BGP UPDATEs (RFC 4271, section 4.3; RFC 4760 for IPv6), decoded by scapy."""

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
    """Split a stream into complete BGP messages and the rest.

    If the stream begins within a message, as in a capture that began later, the data before the next one is dropped.
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


def decode(message: bytes, prefixes: Collection[Prefix] | None = None) -> Update | None:
    """Decode an UPDATE; None for other messages, and for UPDATEs without any of `prefixes`.

    Other prefixes are left out.
    """
    if len(message) < HEADER or message[18] != UPDATE:
        return None
    if prefixes is not None and not any(_encoded(prefix) in message for prefix in prefixes):
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
    if prefixes is not None:
        announced &= set(prefixes)
        withdrawn &= set(prefixes)
        if not announced and not withdrawn:
            return None
    return Update(frozenset(announced), frozenset(withdrawn))


def _nlri(found: Any, version: int) -> Iterator[Prefix]:
    """Iterate over the prefixes of a field. It is decoded again from its bytes: scapy takes a field that begins with a
    default route for the encoding of RFC 7911."""
    raw = b"".join(map(bytes, found or ()))
    size = 4 if version == 4 else 16
    while raw:
        length, used = raw[0], 1 + (raw[0] + 7) // 8
        address = int.from_bytes(raw[1:used].ljust(size, b"\0"), "big")
        yield IPv4Network((address, length)) if version == 4 else IPv6Network((address, length))
        raw = raw[used:]


@cache
def _encoded(prefix: Prefix) -> bytes:
    """Return a prefix as encoded in messages: its length, and as many bytes as the length needs."""
    return bytes([prefix.prefixlen]) + prefix.network_address.packed[: (prefix.prefixlen + 7) // 8]


@cache
def _scapy() -> Any:
    """Import scapy's BGP with AS numbers of four bytes (RFC 6793), and without its warning about the default of two."""
    logger = logging.getLogger("scapy")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from scapy.contrib import bgp
    finally:
        logger.setLevel(level)
    bgp.bgp_module_conf.use_2_bytes_asn = False
    return bgp
