"""All modes, one after another: what is measured of each, in labs of its own that end with it."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from statistics import median

from lab.compare import passage
from lab.compare.facts import Disagreement, Facts, Mtu, declared, disagreements
from lab.compare.labs import beside, hub, pair
from lab.compare.memory import Hub, measure_hub
from lab.compare.start import seconds_to_routes
from lab.compare.throughput import Direction, Throughput, throughput
from lab.core.errors import LabError, NotSupported
from lab.core.prefixes import FAMILIES
from lab.core.process import this_process
from lab.core.progress import Say
from lab.engine import Engine
from lab.runtime.lab import Lab
from lab.topology import Encapsulation, EncapsulationKind, Topology
from lab.topology.links import ETHERNET_MTU
from lab.tunnel import TunnelMode

TRANSPORTS = ("tcp", "udp")
_MIB = 1 << 20


@dataclass(frozen=True)
class Machine:
    """Where it was measured."""

    kernel: str
    cpus: int
    memory: int
    """Bytes."""
    load: float
    """Processes that wanted to run, over the last minute before (proc(5), `loadavg`)."""

    @classmethod
    def here(cls) -> "Machine":
        """This machine, as it is now."""
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return cls(platform.release(), len(os.sched_getaffinity(0)), memory, os.getloadavg()[0])

    def __str__(self) -> str:
        return f"{self.cpus} CPUs, {self.memory / _MIB / 1024:.0f} GiB, Linux {self.kernel}, load {self.load:.1f}"


@dataclass(frozen=True)
class Effort:
    """How long and how often is measured."""

    seconds: int = 2
    """Of each run of iperf3."""
    rounds: int = 3
    clients: tuple[int, ...] = (1, 8, 32)
    """Of the hubs whose memory is measured."""


@dataclass(frozen=True)
class Declared:
    """A mode by its own declaration."""

    mode: str
    summary: str
    deprecated: str | None
    openvpn: tuple[str, ...]
    kernel: str | None
    """The kind of device that the kernel must have."""
    clients_per_process: int | None
    """None: any number."""
    clients_routed_for: int | None
    """None: all of them."""
    facts: Facts

    @classmethod
    def of(cls, mode: TunnelMode) -> "Declared":
        """What a mode says of itself."""
        traits = mode.traits
        return cls(
            mode.name,
            mode.summary,
            traits.deprecated or None,
            traits.openvpn,
            traits.kernel,
            traits.clients_per_process,
            traits.clients_routed_for,
            declared(mode),
        )


ALTERNATIVES: Mapping[EncapsulationKind, str] = {
    "wireguard": "the kernel's own VPN, without a daemon: a key for each peer, UDP",
    "gre": "packets of both families in IP, in the clear",
    "ipip": "IPv4 in IPv4, in the clear",
    "vxlan": "an Ethernet in UDP, in the clear",
}
"""What stands beside OpenVPN: kernel tunnels between the same two routers."""


def declared_of(kind: EncapsulationKind) -> Declared:
    """What a kernel tunnel carries: what its headers leave, of the families that have a place in it."""
    inside = Encapsulation.model_validate({"kind": kind, "outer": ["198.51.100.1", "198.51.100.2"]})
    size = {family: ETHERNET_MTU - inside.overhead if family in inside.carries else 0 for family in FAMILIES}
    facts = Facts(False, inside.carries, inside.carries, Mtu(**size))
    return Declared(kind, f"no OpenVPN: {ALTERNATIVES[kind]}", None, (), kind, 1, None, facts)


@dataclass(frozen=True)
class Measured:
    """A tunnel between two routers, as it was measured."""

    mode: str
    openvpn: str
    transport: str
    facts: Facts | None = None
    """None where nothing could be measured."""
    disagreements: tuple[Disagreement, ...] = ()
    throughput: Mapping[Direction, Throughput] = field(default_factory=dict)
    seconds_to_routes: tuple[float, ...] = ()
    missing: str | None = None
    """What this machine lacks for it."""
    failure: str | None = None
    """Why it could not be measured although nothing is known to be missing."""

    @property
    def where(self) -> str:
        """What tells it from the mode's other rows."""
        return self.transport

    @property
    def seconds(self) -> float:
        """From the start of the daemons to routes in both FIBs: the median."""
        return median(self.seconds_to_routes)


@dataclass(frozen=True)
class MeasuredHub:
    """A server with clients, as it was measured."""

    mode: str
    openvpn: str
    clients: int
    hub: Hub | None = None
    disagreements: tuple[Disagreement, ...] = ()
    missing: str | None = None
    failure: str | None = None

    @property
    def where(self) -> str:
        """What tells it from the mode's other rows."""
        return f"clients: {self.clients}"


@dataclass(frozen=True)
class Survey:
    """Everything that was found out."""

    machine: Machine
    effort: Effort | None
    """None where nothing was measured."""
    declared: tuple[Declared, ...]
    tunnels: tuple[Measured, ...] = ()
    hubs: tuple[MeasuredHub, ...] = ()

    @property
    def rows(self) -> tuple[Measured | MeasuredHub, ...]:
        """All that was measured, or could not be."""
        return (*self.tunnels, *self.hubs)

    @property
    def troubles(self) -> list[str]:
        """What is not as it was declared, or could not be measured for another reason than this machine's lacks."""
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
    """Measure modes, one after another, and go on where one cannot be measured."""
    machine = Machine.here()
    pairs = [(mode, version, transport) for mode in chosen for version in openvpn for transport in transports]
    hubs = [(mode, version, clients) for mode in chosen for version in openvpn for clients in effort.clients]
    steps = count(1)
    total = len(pairs) + len(alternatives) + len(hubs)

    def head(mode: TunnelMode, version: str, what: str) -> str:
        return f"{next(steps)} of {total}: {mode.name}, OpenVPN {version}, {what}"

    tunnels = [_tunnel(m, v, t, engine, effort, _prefixed(say, head(m, v, t))) for m, v, t in pairs]
    tunnels += [
        _alternative(kind, openvpn[-1], engine, effort, _prefixed(say, f"{next(steps)} of {total}: {kind}"))
        for kind in alternatives
    ]
    served = [_hub(m, v, n, engine, _prefixed(say, head(m, v, f"clients: {n}"))) for m, v, n in hubs]
    said = (*map(Declared.of, chosen), *map(declared_of, alternatives))
    return Survey(machine, effort, said, tuple(tunnels), tuple(served))


def _prefixed(say: Say, head: str) -> Say:
    return lambda what: say(f"{head}: {what}")


def _tunnel(mode: TunnelMode, version: str, transport: str, engine: Engine, effort: Effort, say: Say) -> Measured:
    row = Measured(mode.name, version, transport)
    if missing := _unable(mode, version):
        return replace(row, missing=missing)
    topology = pair(mode.name, openvpn=version, transport=transport, name=_name())
    return _measured(row, topology, declared(mode), engine, effort, say)


def _alternative(kind: EncapsulationKind, image: str, engine: Engine, effort: Effort, say: Say) -> Measured:
    topology = beside(kind, openvpn=image, name=_name())
    return _measured(Measured(kind, "", ""), topology, declared_of(kind).facts, engine, effort, say)


def _measured(row: Measured, topology: Topology, said: Facts, engine: Engine, effort: Effort, say: Say) -> Measured:
    try:
        with _running(topology, engine, say) as lab:
            say("throughput beside the bare wire")
            rates = throughput(lab, seconds=effort.seconds, rounds=effort.rounds)
            say("from start to routes")
            seconds = seconds_to_routes(lab, rounds=effort.rounds)
            say("what passes")
            facts = passage.facts(lab)
    except NotSupported as error:
        return replace(row, missing=_lacks(error))
    except LabError as error:
        return replace(row, failure=str(error))
    return replace(
        row,
        facts=facts,
        disagreements=disagreements(said, facts),
        throughput=rates,
        seconds_to_routes=seconds,
    )


def _hub(mode: TunnelMode, version: str, clients: int, engine: Engine, say: Say) -> MeasuredHub:
    row = MeasuredHub(mode.name, version, clients)
    if missing := _unable(mode, version):
        return replace(row, missing=missing)
    try:
        with _running(hub(mode.name, clients, openvpn=version, name=_name()), engine, say) as lab:
            say("memory of the server")
            seen = measure_hub(lab)
    except NotSupported as error:
        return replace(row, missing=_lacks(error))
    except LabError as error:
        return replace(row, failure=str(error))
    return replace(row, hub=seen, disagreements=hub_disagreements(mode, seen))


def hub_disagreements(mode: TunnelMode, seen: Hub) -> tuple[Disagreement, ...]:
    """Where a hub is not what its mode declares: how many processes it takes, and for how many clients it routes."""
    shares, routed_for = mode.traits.clients_per_process, mode.traits.clients_routed_for
    processes = 1 if shares is None else -(-seen.clients // shares)
    routed = seen.clients if routed_for is None else min(seen.clients, routed_for * seen.processes)
    expected = {"processes": (processes, seen.processes), "clients routed for": (routed, seen.routed_for)}
    return tuple(Disagreement(name, str(s), str(m)) for name, (s, m) in expected.items() if s != m)


def _unable(mode: TunnelMode, version: str) -> str | None:
    return None if version in mode.traits.openvpn else f"OpenVPN {version} cannot run it"


def _lacks(error: NotSupported) -> str:
    return f"this kernel lacks {error.feature}"


def _name() -> str:
    return f"modes-{os.getpid()}"


@contextmanager
def _running(topology: Topology, engine: Engine, say: Say) -> Iterator[Lab]:
    """A lab that is gone afterwards, and with this process at the latest."""
    say(f"a lab of {len(topology.nodes)} nodes")
    lab = Lab.deploy(topology, engine=engine, owner=this_process())
    try:
        yield lab
    finally:
        lab.destroy()
