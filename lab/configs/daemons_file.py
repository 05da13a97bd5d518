"""Reader of the `daemons` file of FRR and Quagga, which says which daemons start."""

import re
import shlex

from lab.configs.routing.facts import DaemonsFile

DAEMONS = (
    "zebra", "bgpd", "ospfd", "ospf6d", "ripd", "ripngd", "isisd", "pimd", "pim6d", "ldpd", "nhrpd", "eigrpd", "babeld",
    "sharpd", "pbrd", "bfdd", "fabricd", "vrrpd", "pathd", "staticd", "watchfrr", "mgmtd",
)  # fmt: skip
"""The daemons of FRR and Quagga."""
_ENABLED = re.compile(rf"(?m)^[ \t]*(?:export )?({'|'.join(DAEMONS)})=")
_ASSIGNMENT = re.compile(r"[ \t]*(?:export )?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_MAX_LINES = 1000


def looks_like_daemons(text: str) -> bool:
    """Return True for a text that sets at least two daemons to yes or no."""
    return len(_ENABLED.findall(text)) > 1


def parse_daemons(text: str, name: str) -> DaemonsFile:
    """Read the assignments of a `daemons` file, as a shell that expands nothing."""
    enabled: set[str] = set()
    options: list[tuple[str, str]] = []
    for line in text.split("\n")[:_MAX_LINES]:
        match = _ASSIGNMENT.match(line)
        if match is None:
            continue
        key, value = match[1], _value(match[2])
        if key in DAEMONS:
            # Quagga's file also has priorities, as `bgpd=1`.
            if value == "yes" or (value.isdecimal() and value != "0"):
                enabled.add(key)
        elif key.endswith("_options") or key == "frr_profile":
            options.append((key, value))
    return DaemonsFile(frozenset(enabled), tuple(options), name)


def _value(text: str) -> str:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return text.strip()
    return words[0] if words else ""
