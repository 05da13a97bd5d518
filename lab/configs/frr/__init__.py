"""Reader of FRR's and Quagga's configurations, as far as they concern routing over a tunnel."""

import re
from pathlib import PurePosixPath

from lab.configs.daemons_file import looks_like_daemons
from lab.configs.disk import Disk
from lab.configs.frr.configuration import FrrConfiguration, parse
from lab.configs.frr.files import INTEGRATED, MAX_SIZE, SPLIT, FrrFiles, facts, merge

__all__ = [
    "INTEGRATED",
    "MAX_SIZE",
    "SPLIT",
    "FrrConfiguration",
    "FrrFiles",
    "facts",
    "is_file",
    "looks_like_frr",
    "merge",
    "parse",
    "read",
]

_SURE = re.compile(
    r"^[ \t\ufeff]*(frr[ \t]+(version|defaults)[ \t]+\S|router[ \t]+(bgp|ospf6?|rip|ripng|isis|eigrp|babel)\b|"
    r"line vty[ \t\r]*$|"
    r"ip(v6)?[ \t]+prefix-list[ \t]+\S+[ \t]+(seq|permit|deny|description)\b|"
    r"route-map[ \t]+\S+[ \t]+(permit|deny)[ \t]+\d+)",
    re.MULTILINE,
)
"""Commands that no other program's configuration has."""


def looks_like_frr(text: str) -> bool:
    """Return True for a text with commands that FRR or Quagga has, and OpenVPN and BIRD do not."""
    return _SURE.search(text) is not None or _is_part(text)


def is_file(path: PurePosixPath, disk: Disk) -> bool:
    """Return True for a configuration of FRR or Quagga, or their `daemons` file; raises `Unreadable`."""
    text = disk.text(path, MAX_SIZE)
    return looks_like_frr(text) or looks_like_daemons(text)


def read(path: PurePosixPath, disk: Disk | None = None) -> FrrConfiguration:
    """Read a frr.conf; raises `Unreadable`."""
    disk = disk or Disk()
    return parse(disk.text(path, MAX_SIZE), disk.name(path))


_ZEBRA = re.compile(
    r"[ \t]*(no )?(hostname|password|enable|log|service|line|interface|ip|ipv6|description|shutdown|bandwidth|"
    r"link-detect|multicast|exit|end|debug|vrf|username|banner|router-id|access-list|table|exec-timeout)\b"
)
_MAIN_ZEBRA = re.compile(r"[ \t]*(hostname|password|interface|ip|ipv6) \S")


def _is_part(text: str) -> bool:
    """Return True for a text, as a zebra.conf or vtysh.conf, of which each line is such a command or a comment."""
    lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith(("!", "#"))]
    if not lines or not all(map(_ZEBRA.match, lines)):
        return False
    return any(map(_MAIN_ZEBRA.match, lines)) or any("integrated-vtysh-config" in line for line in lines)
