"""A routing table like the Internet's, of any size, in private addresses, reproducible by its seed.

It has the Internet's mix of prefix lengths, its number of prefixes per AS path (they share an UPDATE), and its AS path
lengths. Comments at the figures name the sources.
"""

import random
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from lab.core.errors import InputError
from lab.topology import Family

# Prefixes per length in the tables that the RIPE NCC's route collectors hold (RIS raw data), as tabulated in
# https://github.com/zhu849/IP-Address-Lookup-Algorithms, prefix_len_anaysis/README.md; without default routes and
# without prefixes longer than the /24 and /48 that networks accept from each other.
# fmt: off
MIX: Final[Mapping[Family, Mapping[int, int]]] = {
    "ipv4": {
        8: 3, 9: 3, 10: 11, 11: 29, 12: 117, 13: 193, 14: 341, 15: 552, 16: 2454, 17: 1880, 18: 3792, 19: 6761,
        20: 9161, 21: 11054, 22: 22947, 23: 19978, 24: 117227,
    },
    "ipv6": {
        28: 951, 29: 1369, 30: 618, 31: 69, 32: 10253, 33: 2257, 34: 2291, 35: 1067, 36: 4232, 37: 75, 38: 275,
        40: 896, 41: 58, 42: 398, 43: 39, 44: 669, 45: 57, 46: 2616, 47: 143, 48: 5647,
    },
}
# fmt: on

# Routing Table Report, 14 November 2014: 10.79 prefixes per AS, an average AS path length of 4.5
# (https://www.ripe.net/ripe/mail/archives/routing-wg/2014-November.txt). One AS of the path is the sender's own.
PREFIXES_PER_PATH: Final = 10.79
PATH_LENGTHS: Final = (3, 4)
"""Number of ASes behind the sender's own; both are equally likely."""

# Private AS numbers (RFC 6996).
_FIRST_ORIGIN: Final = 4_200_000_000
_FIRST_TRANSIT: Final = 4_290_000_000
_TRANSITS: Final = 2000


class Route(NamedTuple):
    """A prefix and its AS path."""

    address: int
    length: int
    path: tuple[int, ...]
    """AS numbers, the origin last, without the sender's own."""


class _Space(NamedTuple):
    """The address space of generated prefixes: a block, in which the Internet's prefixes are longer by `shift`."""

    block: int
    bits: int
    """Length of an address in bits."""
    shift: int
    first: int
    """The first used one of the Internet's top-level blocks (`top` bits long); `last` is behind the last one."""
    last: int
    top: int


# The whole Internet from 1.0.0.0/8 to 223.0.0.0/8, every prefix eight bits deeper, is 10.1.0.0 to 10.223.255.255: the
# same tree with private addresses only. IPv6 has enough private addresses (RFC 4193) to be used as it is.
_SPACES: Final[Mapping[Family, _Space]] = {
    "ipv4": _Space(block=10 << 24, bits=32, shift=8, first=1, last=224, top=8),
    "ipv6": _Space(block=0xFD << 120, bits=128, shift=0, first=0xFD, last=0xFE, top=8),
}
_AF: Final[Mapping[Family, socket.AddressFamily]] = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


@dataclass(frozen=True)
class Table:
    """A routing table of one family."""

    family: Family
    routes: tuple[Route, ...]

    def __len__(self) -> int:
        return len(self.routes)

    @property
    def paths(self) -> int:
        """Number of distinct AS paths."""
        return len({route.path for route in self.routes})

    def lines(self) -> Iterator[str]:
        """Return the routes in the syntax of BIRD's configuration."""
        af, size = _AF[self.family], _SPACES[self.family].bits // 8
        for address, length, path in self.routes:
            prefix = socket.inet_ntop(af, address.to_bytes(size, "big"))
            prepends = " ".join(f"bgp_path.prepend({asn});" for asn in reversed(path))
            yield f"route {prefix}/{length} blackhole {{ {prepends} }};\n"


def generate(family: Family, count: int, seed: int = 1) -> Table:
    """Return a table of `count` prefixes; raises `InputError` if there are not that many."""
    if count < 1:
        raise InputError(f"a table cannot have {count} prefixes: ask for 1 or more")
    draw = random.Random(f"{seed} {family} {count}")  # noqa: S311 - not a secret
    space = _SPACES[family]
    places: list[tuple[int, int]] = []
    for length, number in apportion(count, MIX[family]).items():
        deeper = length - space.top
        begin, end = space.first << deeper, space.last << deeper
        if number > end - begin:
            raise InputError(f"{count} {family} prefixes are too many: there are only {end - begin} of /{length}")
        places += [
            (_map_address(space, top, length), length + space.shift) for top in draw.sample(range(begin, end), number)
        ]
    draw.shuffle(places)
    paths = _paths(draw, count)
    # Some ASes originate many prefixes, most only a few.
    origins = (int(len(paths) * draw.random() ** 2) for _ in places)
    return Table(
        family,
        tuple(Route(address, length, paths[origin]) for (address, length), origin in zip(places, origins, strict=True)),
    )


def apportion(count: int, mix: Mapping[int, int]) -> dict[int, int]:
    """Divide a number in the proportions of a mix, by largest remainders; omit shares of 0."""
    total = sum(mix.values())
    exact = {key: count * weight / total for key, weight in mix.items()}
    parts = {key: int(share) for key, share in exact.items()}
    for key in sorted(exact, key=lambda k: (parts[k] - exact[k], k))[: count - sum(parts.values())]:
        parts[key] += 1
    return {key: part for key, part in parts.items() if part}


def _map_address(space: _Space, top: int, length: int) -> int:
    """Return the address, in the space's block, of the Internet's prefix whose first `length` bits are `top`."""
    address = top << (space.bits - length)
    return address if not space.shift else space.block | address >> space.shift


def _paths(draw: random.Random, count: int) -> list[tuple[int, ...]]:
    transits = range(_FIRST_TRANSIT, _FIRST_TRANSIT + _TRANSITS)
    return [
        (*draw.choices(transits, k=draw.choice(PATH_LENGTHS) - 1), _FIRST_ORIGIN + number)
        for number in range(max(1, round(count / PREFIXES_PER_PATH)))
    ]
