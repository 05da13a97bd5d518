"""The addresses of a topology of a shape: of documentation and private ranges, without overlaps.

Links to a transit router have /30s of 198.51.100.0/24 or 203.0.113.0/24 (RFC 5737), of more than 64 routers /30s of
198.18.0.0/15 (RFC 2544), and /64s of 2001:db8:f00::/40 (RFC 3849). LANs have /24s of 10.0.0.0/8 (RFC 1918), without
10.255.0.0/16, and /64s of 2001:db8::/36. Tunnels get their subnets when the file is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from lab.core.prefixes import FAMILIES, Family, Prefix
from lab.topology.inner_addresses import POOLS

_OUTER: Final = (IPv4Network("198.51.100.0/24"), IPv4Network("203.0.113.0/24"))
_OUTER_OF_MANY: Final = IPv4Network("198.18.0.0/15")
_FIRST_AS: Final = 65001
_LAST_AS: Final = 65534
"""The last 16-bit AS number for private use (RFC 6996)."""
_FIRST_AS_OF_MANY: Final = 4200000001
"""AS numbers of 32 bits for private use begin at 4200000000."""
_LANS: Final = 254
"""LANs until the third byte of their IPv4 prefixes counts: 10.1.0.0/24 to 10.254.0.0/24, then 10.1.1.0/24."""

_TRANSIT: Final[Mapping[Family, int]] = {"ipv4": 2, "ipv6": 2}
_HOST: Final[Mapping[Family, int]] = {"ipv4": 10, "ipv6": 0x10}

INNER: Final = tuple(str(POOLS[family][0]) for family in FAMILIES)
"""The ranges of the tunnels' subnets."""


@dataclass(frozen=True)
class AddressPlan:
    """The addresses of a topology by the numbers of its routers and of its transit routers, from 0 on."""

    routers: int

    def outer(self, transit: int) -> tuple[IPv4Network, IPv6Network]:
        """Return the prefixes of all links to a transit router."""
        ipv4 = _OUTER[transit] if self.routers <= 64 else _OUTER_OF_MANY
        return ipv4, IPv6Network(((0x20010DB80F00 + transit) << 80, 48))

    def outer_addresses(self, transit: int, router: int) -> dict[Family, tuple[str, str]]:
        """Return the addresses of a link: those of the router and of the transit router."""
        ipv4, ipv6 = self.outer(transit)
        return _ends({"ipv4": _subnet(ipv4, 30, router), "ipv6": _subnet(ipv6, 64, router + 1)}, _TRANSIT)

    def lan(self, router: int) -> tuple[IPv4Network, IPv6Network]:
        """Return the prefixes of a router's LAN."""
        ipv4 = IPv4Network((bytes((10, router % _LANS + 1, router // _LANS, 0)), 24))
        return ipv4, IPv6Network(((0x20010DB80000 + router + 1) << 80, 64))

    def lan_addresses(self, router: int) -> dict[Family, tuple[str, str]]:
        """Return the addresses in a router's LAN: those of the router and of the host."""
        ipv4, ipv6 = self.lan(router)
        return _ends({"ipv4": ipv4, "ipv6": ipv6}, _HOST)

    def asn(self, router: int) -> int:
        """Return a router's AS number."""
        few = _FIRST_AS + self.routers - 1 <= _LAST_AS
        return (_FIRST_AS if few else _FIRST_AS_OF_MANY) + router


def _subnet(prefix: Prefix, length: int, number: int) -> Prefix:
    base = int(prefix.network_address) + (number << (prefix.max_prefixlen - length))
    return type(prefix)((base, length))


def _ends(prefixes: Mapping[Family, Prefix], second: Mapping[Family, int]) -> dict[Family, tuple[str, str]]:
    """Return the first address of each prefix and the one with another number, with their prefix lengths."""
    return {
        family: (f"{prefix[1]}/{prefix.prefixlen}", f"{prefix[second[family]]}/{prefix.prefixlen}")
        for family, prefix in prefixes.items()
    }
