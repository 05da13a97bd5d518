"""The kernel's reasons for dropping packets, by its tracepoint `skb:kfree_skb` (Documentation/trace/events.rst).

Tracing is of the whole host, so each use has an instance of its own in tracefs, which is removed at its end. A packet
is recognised by the interface on which it was received and by its size, and followed by its address in memory.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

_TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_EVENTS = ("skb/kfree_skb", "net/netif_receive_skb")
_BUFFER_KILOBYTES = 1024
"""For each processor."""
_RECEIVED = re.compile(r" netif_receive_skb: dev=(\S+) skbaddr=(\S+) len=(\d+)")
_FREED = re.compile(r" kfree_skb: skbaddr=(\S+) .*location=(\S+?)\+\S* reason: (\S+)")
_UNTOLD = "NOT_SPECIFIED"
_REMOVE = 'read -r _; rmdir "$0"; [ -z "$1" ] || { umount "$1"; rmdir "$1"; }'
"""Wait for the end of standard input; then remove an instance, and unmount tracefs if it was mounted for it."""
_used = count(1)


@dataclass(frozen=True)
class Drop:
    """A packet that the kernel dropped."""

    interface: str
    """The interface on which it was received last."""
    size: int
    reason: str
    """As in `enum skb_drop_reason`, for example `IP_RPFILTER`."""
    function: str
    """The kernel's function that dropped it."""


class Drops:
    """The packets that were dropped during a `tracing` block; empty until it ends."""

    def __init__(self) -> None:
        self.all: tuple[Drop, ...] = ()

    def reason(self, interface: str, size: int) -> str:
        """Return the reason why packets of a size that came in by an interface were dropped; empty if not one only."""
        reasons = {d.reason for d in self.all if (d.interface, d.size) == (interface, size) and d.reason != _UNTOLD}
        return reasons.pop() if len(reasons) == 1 else ""


@contextmanager
def tracing() -> Iterator[Drops]:
    """Trace drops during the block; nothing is found where the kernel or its permissions do not allow it."""
    found = Drops()
    with _instance() as instance:
        try:
            yield found
        finally:
            if instance is not None:
                with suppress(OSError):
                    found.all = tuple(drops((instance / "trace").read_text(errors="replace").splitlines()))


def drops(lines: Iterable[str]) -> Iterator[Drop]:
    """Parse the lines of a trace: the drops of packets that were received before."""
    last: dict[str, tuple[str, int]] = {}
    for line in lines:
        if match := _RECEIVED.search(line):
            last[match[2]] = match[1], int(match[3])
        elif (match := _FREED.search(line)) and match[1] in last:
            interface, size = last.pop(match[1])
            yield Drop(interface, size, match[3], match[2])


@contextmanager
def _instance() -> Iterator[Path | None]:
    """Yield an instance of tracefs in which the events are on; None where that cannot be had.

    If tracefs is not mounted, it is for the block. A child removes both at the end, which it notices by a pipe, so also
    if this process is killed.
    """
    mounted = next((path for path in _TRACEFS if (path / "instances").is_dir()), None)
    name = f"lab-why-{os.getpid()}-{next(_used)}"
    root = mounted or Path(mkdtemp(prefix=f"{name}-"))
    instance = root / "instances" / name
    argv: list[str | Path] = ["sh", "-c", _REMOVE, instance, "" if mounted else root]
    # In a session of its own, so that what kills this process by its group leaves the child.
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ):  # its end closes the pipe, and waits
        yield instance if (mounted or _mount(root)) and _start(instance) else None


def _mount(root: Path) -> bool:
    argv: list[str | Path] = ["mount", "-t", "tracefs", "none", root]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _start(instance: Path) -> bool:
    try:
        instance.mkdir()
        (instance / "buffer_size_kb").write_text(str(_BUFFER_KILOBYTES))
        for event in _EVENTS:
            (instance / "events" / event / "enable").write_text("1")
    except OSError:
        return False
    return True
