"""The environment of a run: the host, its software, and the load that other programs put on it."""

import os
import platform
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from lab.cluster.machine import machine_facts, read_line
from lab.engine import Engine
from lab.measure.record import Environment
from lab.runtime.lab import Lab
from lab.runtime.software import installed

_TICKS = os.sysconf("SC_CLK_TCK")


def environment(labs: Sequence[Lab], engine: Engine) -> Environment:
    """Describe the host and the software in the labs."""
    digests: dict[str, set[str]] = {}
    for lab in labs:
        for instance in lab.nodes.values():
            digests.setdefault(instance.image, set()).add(instance.digest)
    return Environment(
        **machine_facts(engine),
        cpu=_cpu(),
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=platform.python_version(),
        boot=read_line("/proc/sys/kernel/random/boot_id"),
        images={image: ", ".join(sorted(found)) for image, found in sorted(digests.items())},
        versions=dict(installed(labs)),
    )


def machine_name() -> str:
    """Return the name of this machine in records."""
    return platform.node() or "localhost"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "cpu model"):
            return value.strip()
    return platform.machine()


class ForeignLoad:
    """Counts the CPUs that are busy with neither a lab's node nor this program, on average since the last call.

    Time in interrupts is left out, and so is that of processes which begin and end between two calls.
    """

    def __init__(self, labs: Iterable[Lab]) -> None:
        self._namespaces = {
            Path(f"/proc/{instance.pid}/ns/net").readlink()
            for lab in labs
            for instance in lab.nodes.values()
            if instance.pid
        }
        self._last = self._read()

    def __call__(self) -> float:
        """Return the number of CPUs since the last call, or since the object was made."""
        (before, all_before, own_before), last = self._last, self._read()
        self._last = last
        now, all_now, own_now = last
        own = sum(ticks - own_before.get(pid, 0) for pid, ticks in own_now.items())
        return max(0.0, (all_now - all_before - own) / _TICKS / (now - before))

    def _read(self) -> tuple[float, int, dict[int, int]]:
        user, nice, system = map(int, Path("/proc/stat").read_text().split(maxsplit=4)[1:4])
        return time.monotonic(), user + nice + system, dict(self._own())

    def _own(self) -> Iterable[tuple[int, int]]:
        """Return the processor time of each process of the labs, and of this process and its descendants."""
        parents: dict[int, int] = {}
        ticks: dict[int, int] = {}
        ours = {os.getpid()}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            pid = int(entry.name)
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                namespace = (entry / "ns" / "net").readlink()
            except OSError:  # it has ended, or belongs to another user
                continue
            parents[pid] = int(fields[1])
            # Its own time, and that of children that it has waited for (proc_pid_stat(5)).
            ticks[pid] = sum(map(int, fields[11:15]))
            if namespace in self._namespaces:
                ours.add(pid)
        grown = True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in ours} - ours
            ours |= more
            grown = bool(more)
        return [(pid, count) for pid, count in ticks.items() if pid in ours]
