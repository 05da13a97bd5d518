"""Capabilities by name and number (capabilities(7)), and the set that Docker gives to a container by default."""

from collections.abc import Iterable
from pathlib import Path

from lab.core.errors import InputError

NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
"""In the order of their numbers (linux/capability.h)."""

DEFAULT = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip
"""Docker's default set."""


def normalised(names: Iterable[str]) -> tuple[str, ...]:
    """Return names without `CAP_`, each once; `ALL` means all. Raises `InputError` for an unknown one."""
    found: dict[str, None] = {}
    for name in names:
        short = name.upper().removeprefix("CAP_")
        if short == "ALL":
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
