"""Capabilities by name and number (capabilities(7)), and the set that Docker gives to a container by default."""

from collections.abc import Iterable
from pathlib import Path

from lab.core.capabilities import ALL, NAMES, short_name
from lab.core.errors import InputError

DEFAULT = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip
"""Docker's default set."""


def normalised(names: Iterable[str]) -> tuple[str, ...]:
    """Return names without `CAP_`, each once; `ALL` means all. Raises `InputError` for an unknown one."""
    found: dict[str, None] = {}
    for name in names:
        short = short_name(name)
        if short == ALL:
            found.update(dict.fromkeys(NAMES))
        elif short in NAMES:
            found[short] = None
        else:
            raise InputError(f"capability {name!r} does not exist: correct `cap-add`")
    return tuple(found)


def bounding() -> frozenset[str]:
    """Return the capabilities that this process can give to others: those of its bounding set."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            mask = int(line.split()[1], 16)
            return frozenset(name for number, name in enumerate(NAMES) if mask >> number & 1)
    return frozenset()


def mask(names: Iterable[str]) -> int:
    """Return the bit mask of names without `CAP_`."""
    return sum(1 << NAMES.index(name) for name in names)
