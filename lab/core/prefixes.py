"""Address families and prefixes: types, sets, and unused prefixes to announce."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_network
from typing import Literal

Prefix = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface
Address = IPv4Address | IPv6Address
Family = Literal["ipv4", "ipv6"]
FAMILIES: tuple[Family, Family] = ("ipv4", "ipv6")

POOLS: dict[Family, tuple[Prefix, int]] = {
    # RFC 1918 and RFC 3849; networks that a lab uses are skipped.
    "ipv4": (IPv4Network("10.128.0.0/9"), 24),
    "ipv6": (IPv6Network("2001:db8:8000::/33"), 64),
}
"""The ranges of `free_prefixes`, and the length of its prefixes."""


def family_of(item: Prefix | Interface | Address) -> Family:
    """Return the family of a prefix or an address."""
    return "ipv4" if item.version == 4 else "ipv6"


def prefix_set(prefixes: Prefix | Iterable[Prefix]) -> frozenset[Prefix]:
    """Return one prefix or many as a set."""
    # A network is an iterable of its addresses, so its type has to be checked first.
    if isinstance(prefixes, IPv4Network | IPv6Network):
        return frozenset((prefixes,))
    return frozenset(prefixes)


def named(prefixes: Iterable[Prefix]) -> str:
    """Return the first three prefixes as text, and the number of further ones."""
    ordered = sorted(prefixes, key=lambda p: (p.version, int(p.network_address), p.prefixlen))
    shown = ", ".join(map(str, ordered[:3])) or "none"
    return shown if len(ordered) <= 3 else f"{shown} and {len(ordered) - 3} more"


def free_prefixes(family: Family, taken: Iterable[Prefix]) -> Iterator[Prefix]:
    """Generate prefixes of one family that overlap no prefix in `taken`."""
    pool, length = POOLS[family]
    same = [p for p in taken if p.version == pool.version]
    base, step = int(pool.network_address), 1 << (pool.max_prefixlen - length)
    for number in range(1 << (length - pool.prefixlen)):
        prefix = ip_network((base + number * step, length))
        if not any(_overlap(prefix, other) for other in same):
            yield prefix


def _overlap(one: Prefix, other: Prefix) -> bool:
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.overlaps(other)
    return False
