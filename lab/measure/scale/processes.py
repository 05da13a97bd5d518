"""Processor time and memory of the processes of nodes, from proc(5)."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.engine.node import RunningNode
from lab.routing import daemons

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """The usage of one process so far."""

    node: str
    program: str
    threads: Mapping[str, float]
    """Processor time of each thread by name, in seconds, with a resolution of 1/100."""
    memory: int
    """Resident set size in bytes."""

    @property
    def cpu(self) -> float:
        """Processor time of all live threads, in seconds."""
        return sum(self.threads.values())


def usage(nodes: Iterable[RunningNode]) -> dict[tuple[str, str], Usage]:
    """Return the processes of OpenVPN and of routing daemons in some nodes, by node and program."""
    nodes_by_namespace = {(Path("/proc") / str(node.instance.pid) / "ns/pid").readlink(): node.name for node in nodes}
    programs = {"openvpn", *(program for daemon in daemons().values() for program in daemon.programs)}
    found: dict[tuple[str, str], Usage] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            program = (process / "comm").read_text().strip()
            if program not in programs or (node := nodes_by_namespace.get((process / "ns/pid").readlink())) is None:
                continue
            memory = int((process / "statm").read_text().split()[1]) * _PAGE
            found[node, program] = Usage(node, program, _threads(process), memory)
        except OSError:  # it has just ended
            continue
    return found


def busy_ticks(stat: str) -> int:
    """Return user and system time from a line of `/proc/PID/stat`; the name in it may contain any character."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _threads(process: Path) -> dict[str, float]:
    times: dict[str, float] = {}
    for thread in (process / "task").iterdir():
        try:
            name = (thread / "comm").read_text().strip()
            times[name] = times.get(name, 0.0) + busy_ticks((thread / "stat").read_text()) / _TICKS
        except OSError:
            continue
    return times
