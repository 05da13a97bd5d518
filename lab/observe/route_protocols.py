"""Names of the protocols that install routes (`rtm_protocol` in rtnetlink(7)), as iproute2 shows them in a node."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_KERNEL: Final[Mapping[int, str]] = {
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    8: "gated",
    9: "ra",
    10: "mrt",
    11: "zebra",
    12: "bird",
    13: "dnrouted",
    14: "xorp",
    15: "ntk",
    16: "dhcp",
    17: "mrouted",
    18: "keepalived",
    42: "babel",
    99: "openr",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
    192: "eigrp",
}
"""RTPROT_* of the kernel (include/uapi/linux/rtnetlink.h)."""
_TABLE = "rt_protos"
_DIRECTORIES = ("usr/lib/iproute2", "usr/share/iproute2", "etc/iproute2")
"""The directories of iproute2's tables, below the root; a later file overrides an earlier one."""


def read_route_protocols(root: Path) -> Mapping[int, str]:
    """Return the names by number: the kernel's, and those of iproute2's tables below `root`, where packages add theirs.

    For a node that has ended or has no iproute2, only the kernel's.
    """
    names = dict(_KERNEL)
    for file in _tables(root):
        try:
            text = file.read_text(errors="replace")
        except OSError:
            continue
        names.update(_entries(text))
    return names


def _tables(root: Path) -> Iterator[Path]:
    for directory in _DIRECTORIES:
        yield root / directory / _TABLE
        try:
            added = sorted((root / directory / f"{_TABLE}.d").iterdir())
        except OSError:
            continue
        yield from (file for file in added if file.suffix == ".conf")


def _entries(text: str) -> Iterator[tuple[int, str]]:
    """Parse lines such as `186	bgp` and `0xba bgp`; others are comments."""
    for line in text.splitlines():
        match line.partition("#")[0].split():
            case [number, name]:
                try:
                    yield int(number, 0), name
                except ValueError:
                    continue
