"""A survey of the modes, each measured in its own labs."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import median
from typing import cast

from lab.compare import passage
from lab.compare.facts import Disagreement, Facts, Mtu, declared_facts, find_disagreements
from lab.compare.labs import hub, kernel_pair, pair
from lab.compare.memory import Hub, measure_hub
from lab.compare.start import measure_start
from lab.compare.throughput import Direction, Throughput, throughput
from lab.core.errors import LabError, NotSupported
from lab.core.prefixes import FAMILIES
from lab.core.process import this_process
from lab.core.progress import Say
from lab.engine import Engine
from lab.runtime.lab import Lab
from lab.topology import Encapsulation, EncapsulationKind, Topology
from lab.topology.links import ETHERNET_MTU
from lab.tunnel import TunnelMode, modes

TRANSPORTS = ("tcp", "udp")
_MIB = 1 << 20


@dataclass(frozen=True)
class Host:
    """The host on which the survey ran."""

    kernel: str
    cpus: int
    memory: int
    """Bytes."""
    load: float
    """The load average of the minute before (proc(5), `loadavg`)."""

    @classmethod
    def here(cls) -> "Host":
        """Describe this host as it is now."""
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return cls(platform.release(), len(os.sched_getaffinity(0)), memory, os.getloadavg()[0])

    def __str__(self) -> str:
        return f"{self.cpus} CPUs, {self.memory / _MIB / 1024:.0f} GiB, Linux {self.kernel}, load {self.load:.1f}"


@dataclass(frozen=True)
class Effort:
    """The duration and number of measurements."""

    seconds: int = 2
    """The duration of each run of iperf3."""
    rounds: int = 3
    clients: tuple[int, ...] = (1, 8, 32)
    """The numbers of clients of the hubs whose memory is measured."""


@dataclass(frozen=True)
class Declared:
    """The declared properties of a mode."""

    mode: str
    summary: str
    deprecated: str | None
    openvpn: tuple[str, ...]
    kernel: str | None
    """The kind of device that the kernel must support."""
    clients_per_process: int | None
    """The number of clients that a process takes; None for any number."""
    clients_routed_for: int | None
    """The number of these whose traffic passes at the same time; None for all."""
    facts: Facts

    @classmethod
    def of(cls, mode: TunnelMode) -> "Declared":
        """Read the declaration of a mode."""
        traits = mode.traits
        return cls(
            mode.name,
            mode.summary,
            traits.deprecated or None,
            traits.openvpn,
            traits.kernel,
            traits.clients_per_process,
            traits.clients_routed_for,
            declared_facts(mode),
        )


ALTERNATIVES: Mapping[EncapsulationKind, str] = {
    "wireguard": "the kernel's own VPN, without a daemon: a key for each peer, UDP",
    "gre": "packets of both families in IP, in the clear",
    "ipip": "IPv4 in IPv4, in the clear",
    "vxlan": "Ethernet in UDP, in the clear",
}
"""The kernel tunnels that are measured as well, between the same two routers."""


def declare_kernel_tunnel(kind: EncapsulationKind) -> Declared:
    """Compute the properties of a kernel tunnel: its families, and the MTU that its headers leave."""
    inside = Encapsulation.model_validate({"kind": kind, "outer": ["198.51.100.1", "198.51.100.2"]})
    size = {family: ETHERNET_MTU - inside.overhead if family in inside.carries else 0 for family in FAMILIES}
    facts = Facts(False, inside.carries, inside.carries, Mtu(**size))
    return Declared(kind, f"no OpenVPN: {ALTERNATIVES[kind]}", None, (), kind, 1, None, facts)


@dataclass(frozen=True)
class Measured:
    """The measurements of a tunnel between two routers."""

    mode: str
    openvpn: str
    transport: str
    facts: Facts | None = None
    """None if nothing could be measured."""
    disagreements: tuple[Disagreement, ...] = ()
    throughput: Mapping[Direction, Throughput] = field(default_factory=dict)
    seconds_to_routes: tuple[float, ...] = ()
    missing: str | None = None
    """The feature that the host lacks for the measurement."""
    failure: str | None = None
    """The error that ended the measurement; None if it succeeded or a feature was missing."""

    @property
    def where(self) -> str:
        """The text that distinguishes the row from the mode's other rows."""
        return self.transport

    @property
    def seconds(self) -> float:
        """The median time from the start of the daemons to routes in both FIBs."""
        return median(self.seconds_to_routes)


@dataclass(frozen=True)
class MeasuredHub:
    """The measurements of a server with clients."""

    mode: str
    openvpn: str
    clients: int
    hub: Hub | None = None
    disagreements: tuple[Disagreement, ...] = ()
    missing: str | None = None
    failure: str | None = None

    @property
    def where(self) -> str:
        """The text that distinguishes the row from the mode's other rows."""
        return f"clients: {self.clients}"


@dataclass(frozen=True)
class Survey:
    """The results of all measurements."""

    host: Host
    effort: Effort | None
    """None if nothing was measured."""
    declared: tuple[Declared, ...]
    tunnels: tuple[Measured, ...] = ()
    hubs: tuple[MeasuredHub, ...] = ()

    @property
    def rows(self) -> tuple[Measured | MeasuredHub, ...]:
        """All rows, including those without measurements."""
        return (*self.tunnels, *self.hubs)

    @property
    def troubles(self) -> list[str]:
        """The disagreements with declarations, and the failures that have no cause in the host."""
        return [
            f"{row.mode}{f', OpenVPN {row.openvpn}, {row.where}' if row.openvpn else ''}: {word}"
            for row in self.rows
            for word in (*row.disagreements, *([row.failure] if row.failure else []))
        ]


def survey(
    chosen: Sequence[TunnelMode],
    *,
    engine: Engine,
    openvpn: Sequence[str],
    transports: Sequence[str],
    alternatives: Sequence[EncapsulationKind] = (),
    effort: Effort,
    say: Say,
) -> Survey:
    """Measure modes one after another; a failure does not end the survey."""
    host = Host.here()
    steps = steps_of(chosen, openvpn=openvpn, transports=transports, alternatives=alternatives, effort=effort)
    found = [
        measure_step(step, engine, effort, _prefixed(say, f"{number} of {len(steps)}: {step}"))
        for number, step in enumerate(steps, 1)
    ]
    return put_together(host, effort, chosen, alternatives, found)


@dataclass(frozen=True)
class Step:
    """One row of a survey, measured in labs of its own."""

    mode: str
    """A mode, or a kind of kernel tunnel."""
    openvpn: str
    transport: str = ""
    clients: int = 0
    """The clients of a hub; 0 for a tunnel between two routers."""

    def __str__(self) -> str:
        what = f"clients: {self.clients}" if self.clients else self.transport
        return f"{self.mode}, OpenVPN {self.openvpn}, {what}" if what else self.mode


def steps_of(
    chosen: Sequence[TunnelMode],
    *,
    openvpn: Sequence[str],
    transports: Sequence[str],
    alternatives: Sequence[EncapsulationKind],
    effort: Effort,
) -> list[Step]:
    """Return the steps of a survey in order."""
    return [
        *(Step(mode.name, version, transport) for mode in chosen for version in openvpn for transport in transports),
        *(Step(kind, openvpn[-1]) for kind in alternatives),
        *(Step(mode.name, version, clients=n) for mode in chosen for version in openvpn for n in effort.clients),
    ]


def measure_step(step: Step, engine: Engine, effort: Effort, say: Say) -> Measured | MeasuredHub:
    """Measure one row; an error becomes its failure."""
    if step.mode in ALTERNATIVES:
        return _alternative(cast(EncapsulationKind, step.mode), step.openvpn, engine, effort, say)
    mode = modes()[step.mode]
    if step.clients:
        return _hub(mode, step.openvpn, step.clients, engine, say)
    return _tunnel(mode, step.openvpn, step.transport, engine, effort, say)


def put_together(
    host: Host,
    effort: Effort,
    chosen: Sequence[TunnelMode],
    alternatives: Sequence[EncapsulationKind],
    found: Sequence[Measured | MeasuredHub],
) -> Survey:
    """Return the survey of rows."""
    declared = (*map(Declared.of, chosen), *map(declare_kernel_tunnel, alternatives))
    tunnels = tuple(row for row in found if isinstance(row, Measured))
    return Survey(host, effort, declared, tunnels, tuple(row for row in found if isinstance(row, MeasuredHub)))


def _prefixed(say: Say, head: str) -> Say:
    return lambda what: say(f"{head}: {what}")


def _tunnel(mode: TunnelMode, version: str, transport: str, engine: Engine, effort: Effort, say: Say) -> Measured:
    row = Measured(mode.name, version, transport)
    if missing := _unsupported(mode, version):
        return replace(row, missing=missing)
    topology = pair(mode.name, openvpn=version, transport=transport, name=_name())
    return _measured(row, topology, declared_facts(mode), engine, effort, say)


def _alternative(kind: EncapsulationKind, image: str, engine: Engine, effort: Effort, say: Say) -> Measured:
    topology = kernel_pair(kind, openvpn=image, name=_name())
    return _measured(Measured(kind, "", ""), topology, declare_kernel_tunnel(kind).facts, engine, effort, say)


def _measured(row: Measured, topology: Topology, declared: Facts, engine: Engine, effort: Effort, say: Say) -> Measured:
    try:
        with _running(topology, engine, say) as lab:
            say("throughput compared with the bare wire")
            rates = throughput(lab, seconds=effort.seconds, rounds=effort.rounds)
            say("from start to routes")
            seconds = measure_start(lab, rounds=effort.rounds)
            say("packets that pass")
            facts = passage.facts(lab)
    except NotSupported as error:
        return replace(row, missing=_lacks(error))
    except LabError as error:
        return replace(row, failure=str(error))
    return replace(
        row,
        facts=facts,
        disagreements=find_disagreements(declared, facts),
        throughput=rates,
        seconds_to_routes=seconds,
    )


def _hub(mode: TunnelMode, version: str, clients: int, engine: Engine, say: Say) -> MeasuredHub:
    row = MeasuredHub(mode.name, version, clients)
    if missing := _unsupported(mode, version):
        return replace(row, missing=missing)
    try:
        with _running(hub(mode.name, clients, openvpn=version, name=_name()), engine, say) as lab:
            say("memory of the server")
            seen = measure_hub(lab)
    except NotSupported as error:
        return replace(row, missing=_lacks(error))
    except LabError as error:
        return replace(row, failure=str(error))
    return replace(row, hub=seen, disagreements=find_hub_disagreements(mode, seen))


def find_hub_disagreements(mode: TunnelMode, seen: Hub) -> tuple[Disagreement, ...]:
    """Return the differences between a hub and its mode's declaration: its processes, and the clients it routes for."""
    capacity, routed_for = mode.traits.clients_per_process, mode.traits.clients_routed_for
    processes = 1 if capacity is None else -(-seen.clients // capacity)
    routed = seen.clients if routed_for is None else min(seen.clients, routed_for * seen.processes)
    expected = {"processes": (processes, seen.processes), "clients routed for": (routed, seen.routed_for)}
    return tuple(Disagreement(name, str(s), str(m)) for name, (s, m) in expected.items() if s != m)


def _unsupported(mode: TunnelMode, version: str) -> str | None:
    return None if version in mode.traits.openvpn else f"unsupported by OpenVPN {version}"


def _lacks(error: NotSupported) -> str:
    return f"this kernel lacks {error.feature}"


def _name() -> str:
    return f"modes-{os.getpid()}"


@contextmanager
def _running(topology: Topology, engine: Engine, say: Say) -> Iterator[Lab]:
    """Deploy a lab and destroy it on exit, or with this process at the latest."""
    say(f"a lab of {len(topology.nodes)} nodes")
    lab = Lab.deploy(topology, engine=engine, owner=this_process())
    try:
        yield lab
    finally:
        lab.destroy()
