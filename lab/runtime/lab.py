"""`Lab`: a running lab, as tests, the command line and measurements use it."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, partial
from itertools import islice
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from lab.core.errors import InputError, LabError
from lab.core.event_times import EventTimes
from lab.core.prefixes import FAMILIES, free_prefixes
from lab.core.progress import Say, quiet
from lab.engine import Engine, Instance, NodeState, open_engine
from lab.engine.node import RunningNode, node_files
from lab.observe.fib import FibWatch
from lab.observe.rtnetlink import MAIN_TABLE
from lab.routing import daemon_of, plan_routers
from lab.runtime.node import LabNode
from lab.runtime.own_sessions import wait_own_sessions
from lab.runtime.questions import NoTunnel, explain
from lab.runtime.registry import running_labs
from lab.runtime.results import Results
from lab.runtime.router import Router
from lab.runtime.store import LabDirectory
from lab.topology import Family, Prefix, Topology
from lab.topology.mistakes import did_you_mean
from lab.tunnel.running import OpenVpn, RunningTunnel, lone_processes, running_tunnels

if TYPE_CHECKING:
    from lab.fault import ActiveFault, Record
    from lab.measure.instrument.measurement import Measurement
    from lab.tunnel.pki import Authority

OWN_TUNNEL_WITHIN = 30.0
"""Seconds that `wait_ready` waits for tunnels with files of the user's."""
READY_WITHIN = 45.0
"""Seconds from the start of the last daemon until all sessions and routes are up; two or three are usual."""


class Lab:
    """A running lab: nodes, tunnels, faults, measurements.

    `Lab.deploy` starts one, `Lab.attach` finds one that runs. As a context manager, or by `close`, it stops watching
    the nodes' routes; the lab itself runs on until `destroy`.
    """

    def __init__(
        self,
        topology: Topology,
        engine: Engine,
        directory: Path,
        authority: "Callable[[], Authority]",
        nodes: Mapping[str, Instance],
    ) -> None:
        """Use `deploy` or `attach`."""
        self.topology = topology
        self.engine = engine
        self.directory = directory
        self.results = Results()
        self.event_times = EventTimes()
        self.running_nodes: Mapping[str, RunningNode] = {
            name: RunningNode(engine, nodes.get(name) or _absent(topology, name, directory), self.event_times)
            for name in topology.nodes
        }
        """All nodes by name, in the state that they had when this object was created."""
        self.plans = plan_routers(topology)
        """The plan of each router, by node: its configuration is rendered from it."""
        self.external = frozenset(name for name, node in topology.nodes.items() if node.external)
        """The nodes that run another system, which the lab does not configure."""
        roots = {name: node_files(directory, name) for name in topology.nodes}
        self.tunnels: Mapping[str, RunningTunnel] = running_tunnels(
            topology.tunnels,
            self.running_nodes,
            roots,
            authority,
            external=self.external,
            own=topology.processes,
            explain=lambda name: explain(self, NoTunnel(name)),
        )
        """All tunnels by name."""
        self.lone_processes: Mapping[str, OpenVpn] = lone_processes(
            topology.processes, topology.tunnels, self.running_nodes
        )
        """The OpenVPN processes with files of the user's that have no other end in this lab, by name."""
        self._watches: dict[str, FibWatch] = {}
        self._watching = Lock()
        self._free: dict[Family, Iterator[Prefix]] = {
            family: free_prefixes(family, _taken(topology)) for family in FAMILIES
        }

    # --- lifecycle ----------------------------------------------------------------------------------------------

    @classmethod
    def deploy(
        cls,
        topology: Topology,
        *,
        engine: Engine | None = None,
        directory: Path | None = None,
        say: Say = quiet,
        wait: bool = True,
        keep_failed: bool = False,
        diagnose_into: Path | None = None,
        owner: str = "",
    ) -> Self:
        """Start a lab; with `wait`, return when all tunnels, sessions and routes are up.

        If it fails, everything is removed again, unless `keep_failed` is set; with `diagnose_into` a diagnosis is
        written there first. `owner` is the process that the lab ends with (see `lab.runtime.owner`). Raises
        `InputError` if a lab of this name is running already, else `EnvironmentBroken` or `ExpectationFailed`.
        """
        from lab.runtime.deploy import deploy

        engine = engine or open_engine()
        directory = (directory or LabDirectory.default(topology.name).path).absolute()
        return deploy(
            topology,
            partial(cls, topology, engine, directory),
            engine=engine,
            directory=directory,
            say=say,
            wait=wait,
            keep_failed=keep_failed,
            diagnose_into=diagnose_into,
            owner=owner,
        )

    @classmethod
    def attach(cls, name: str, *, engine: Engine | None = None) -> Self:
        """Return a lab that is running, whichever process started it; raises `InputError` if there is none."""
        engine = engine or open_engine()
        instances = {i.node: i for i in engine.find(name)}
        if not instances:
            names = running_labs(engine)
            known = f"running are {', '.join(names)}" if names else "no lab is running: `lab up` starts one"
            raise InputError(f"no lab named {name!r} is running; {known}")
        store = LabDirectory(next(iter(instances.values())).directory)
        topology = store.load()
        return cls(
            topology, engine, store.path, cache(store.authority), instances | _borrowed(topology, engine, store.path)
        )

    def destroy(self) -> None:
        """Take the lab down: nodes, links, directory."""
        from lab.runtime.destroy import destroy

        self.close()
        destroy(self.name, engine=self.engine)

    def close(self) -> None:
        """Stop watching the nodes' routes; the lab itself runs on."""
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- nodes and tunnels -------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.topology.name

    @property
    def nodes(self) -> Mapping[str, Instance]:
        """All nodes that exist, with their current states."""
        found = {i.node: i for i in self.engine.find(self.name)}
        return found | _borrowed(self.topology, self.engine, self.directory)

    def node(self, name: str) -> LabNode:
        """Return a node; raises `InputError` for an unknown node or one that does not run."""
        return LabNode(self.running(name), self.topology, self._watch(name), partial(explain, self))

    def instance(self, name: str) -> Instance:
        """Return the engine's instance of a node; raises `InputError` for an unknown node or one that does not run."""
        self._require_node(name)
        instance = self.nodes.get(name)
        if instance is None or instance.state is not NodeState.RUNNING:
            raise self._not_running(name, instance.state if instance else NodeState.ABSENT)
        return instance

    def host(self, name: str) -> LabNode:
        """Return a node; the same as `node`, for hosts behind routers."""
        return self.node(name)

    def router(self, name: str) -> Router:
        """Return a node that runs a routing daemon; raises `InputError` for any other."""
        running = self.running(name)
        plan = self.plans.get(name)
        if name in self.external:
            raise InputError(f"node {name!r} is external: the lab runs no routing daemon in it")
        if plan is None:
            known = f"routers are {_list(self.plans)}" if self.plans else "this lab has no router"
            raise InputError(f"node {name!r} is not a router: it has no `config.vars.router`; {known}")
        return Router(
            running, self.topology, self._watch(name), partial(explain, self), plan, daemon_of(plan), self.running_nodes
        )

    @property
    def router_names(self) -> frozenset[str]:
        """The nodes that run a routing daemon of the lab."""
        return frozenset(self.plans)

    @property
    def routers(self) -> Mapping[str, Router]:
        """All routers by name."""
        return {name: self.router(name) for name in self.plans}

    def tunnel(self, one: str, other: str | None = None) -> RunningTunnel:
        """Return a tunnel by its name, or the only one between two nodes."""
        if other is None:
            if one not in self.tunnels:
                raise InputError(f"unknown tunnel {one!r}; {_hint(one, self.tunnels)}")
            return self.tunnels[one]
        found = [t for t in self.tunnels.values() if {t.tunnel.server, t.tunnel.client} == {one, other}]
        if len(found) != 1:
            raise InputError(
                f"there are {len(found)} tunnels between {one} and {other}: name one of {_list(self.tunnels)}"
            )
        return found[0]

    def free_prefix(self, family: Family) -> Prefix:
        """Return an unused prefix, a /24 or a /64; each call returns another."""
        return next(self._free[family])

    def free_prefixes(self, family: Family, count: int) -> list[Prefix]:
        """Return several unused prefixes."""
        return list(islice(self._free[family], count))

    def running(self, name: str) -> RunningNode:
        """Return a node for `lab.engine`; raises `InputError` for an unknown node or one that does not run."""
        self._require_node(name)
        running = self.running_nodes[name]
        if not running.namespace.exists:
            state = next((i.state for i in self.engine.find(self.name) if i.node == name), NodeState.ABSENT)
            if state is NodeState.RUNNING:  # its first process has ended, and the engine learns of it a moment later
                state = NodeState.STOPPED
            raise self._not_running(name, state)
        return running

    # --- faults and measurements ----------------------------------------------------------------------------

    def fault(self, kind: str, **where: Any) -> "ActiveFault":
        """Apply a fault: `with lab.fault("blackhole", tunnel="branch-hq"): …`; the end of the block undoes it.

        `lab.fault.KINDS` has all kinds with their fields, which `where` gives. Raises `InputError` for a target that
        does not exist, or on which this fault is in force already.
        """
        from lab.fault import apply, fault_of

        return apply(self, fault_of(kind, {key.replace("_", "-"): value for key, value in where.items()}))

    def impair(self, link: str, *, only: Literal["both", "leaving"] = "both", **settings: float) -> "ActiveFault":
        """Impair a link, named by one of its ends as `NODE:INTERFACE`; the end of the `with` block undoes it.

        `delay` and `jitter` are in milliseconds, `loss`, `duplicate` and `reorder` in percent, `rate` in kbit/s. They
        replace the impairment that the topology declares; with `only="leaving"` they apply to the packets that leave
        the named end. Raises `NotSupported` if this kernel has no mechanism for them.
        """
        return self.fault("impair", link=link, only=only, **settings)

    @property
    def faults(self) -> "list[Record]":
        """The faults in force, oldest first, whichever process applied them."""
        from lab.fault.active import records

        return records(self.directory)

    def undo_faults(self) -> "list[Record]":
        """Undo all faults in force, whichever process applied them; returns their records."""
        from lab.fault.active import undo_all

        return undo_all(self)

    def measure(self, observer: str | LabNode, prefixes: Prefix | Iterable[Prefix], **options: Any) -> "Measurement":
        """Measure the convergence of prefixes at a node during the `with` block; see `lab.measure.at` for options."""
        found: Measurement = _instrument()(self, observer, prefixes, **options)
        return found

    # --- state ---------------------------------------------------------------------------------------------

    def wait_ready(self, within: float = READY_WITHIN, *, among: Collection[str] | None = None) -> None:
        """Wait until all tunnels are up, all sessions established, and all declared prefixes in all FIBs.

        With `among` only those between these nodes are waited for.
        Sessions with external nodes, and their routes, are excluded: the user configures those nodes. Of a router with
        files of the user's, whose network may be broken on purpose, the sessions are waited for, but need not come up;
        so are tunnels with files of the user's.
        """
        since = time.monotonic()
        nodes = set(self.topology.nodes if among is None else among)
        plans = {name: plan for name, plan in self.plans.items() if name in nodes}
        apart: set[frozenset[str]] = set()
        for tunnel in self.tunnels.values():
            if not {tunnel.tunnel.server, tunnel.tunnel.client} <= nodes:
                continue
            if not tunnel.tunnel.own:
                tunnel.wait_connected()
            elif not tunnel.connects(max(1.0, since + OWN_TUNNEL_WITHIN - time.monotonic())):
                apart.add(frozenset({tunnel.tunnel.server, tunnel.tunnel.client}))
        for process in self.lone_processes.values():
            own_file = process.process.own if process.node.name in nodes else None
            if own_file and own_file.role == "server":  # it is ready without any client
                process.wait_connected()
        own = {name for name, plan in self.plans.items() if plan.own is not None}
        for name, plan in plans.items():
            others = sorted(({peer.node for peer in plan.peers} & nodes) - self.external)
            awaited = [other for other in others if not {name, other} & own and {name, other} not in apart]
            with self._watching_meanwhile(name):
                router = self.router(name)
                for other in awaited:
                    for device in plan.interfaces_to(other) or (None,):
                        prefixes = plan.accepted(self.plans[other].networks)
                        router.expect_in_fib(prefixes, via=device, within=within, since=since)
                router.expect_sessions(awaited, within=within, since=since)
                for other in awaited if plan.bfd is not None else ():
                    router.expect_bfd(other, within=within, since=since)
        wait_own_sessions([self.router(name) for name, plan in plans.items() if plan.own], within, since)

    def diagnose(self, into: Path) -> Path:
        """Write the configurations, logs and tables of every node, and causes, into a directory, and return it."""
        from lab.runtime.diagnosis import write_diagnosis
        from lab.runtime.open_questions import causes

        routers = {name: daemon_of(plan) for name, plan in self.plans.items()}
        write_diagnosis(into, self.nodes.values(), self.engine, routers)
        for tunnel in self.tunnels.values():
            try:
                text = str(tunnel.status())
            except LabError as error:
                text = str(error)
            (into / f"tunnel-{tunnel.name}.txt").write_text(f"{text}\n")
        (into / "why.txt").write_text(causes(self))
        return into

    def running_names(self, *, except_for: set[str]) -> list[str]:
        """Return the names of the running nodes, hosts before routers."""
        names = [n for n, running in self.running_nodes.items() if n not in except_for and running.namespace.exists]
        return sorted(names, key=lambda name: name in self.plans)

    def _not_running(self, name: str, state: NodeState) -> InputError:
        return InputError(f"node {name!r} of lab {self.name!r} is not running: it is {state}")

    def _require_node(self, name: str) -> None:
        if name not in self.topology.nodes:
            raise InputError(f"unknown node {name!r} in lab {self.name!r}; {_hint(name, self.topology.nodes)}")

    @contextmanager
    def _watching_meanwhile(self, name: str) -> Iterator[None]:
        """Stop watching the routes of a node at the end of the block, unless they were watched before.

        While a large lab comes up each router receives the routes of all others: a watch costs for each of them.
        """
        watched = name in self._watches
        try:
            yield
        finally:
            with self._watching:
                watch = None if watched else self._watches.pop(name, None)
            if watch is not None:
                watch.close()

    def _watch(self, name: str) -> FibWatch:
        with self._watching:
            if name not in self._watches:
                tables = (MAIN_TABLE, *(vrf.table for vrf in self.topology.nodes[name].intent.vrfs.values()))
                self._watches[name] = FibWatch(self.running(name).namespace, tables)
            return self._watches[name]


@cache
def _instrument() -> Callable[..., Any]:
    """Return `lab.measure.at`; it is in a layer above this one, so an entry point names it."""
    from importlib.metadata import entry_points

    (entry,) = entry_points(group="openvpn_routing_lab.instruments", name="measure")
    found: Callable[..., Any] = entry.load()
    return found


def _borrowed(topology: Topology, engine: Engine, directory: Path) -> dict[str, Instance]:
    """Return the containers of a lab that it did not start, as far as they run."""
    found = {}
    for name, node in topology.nodes.items():
        if node.borrowed:
            with suppress(InputError):
                found[name] = engine.borrow(name, topology.name, directory)
    return found


def _absent(topology: Topology, name: str, directory: Path) -> Instance:
    """Return the instance for a node whose container was removed."""
    from lab.render.node_spec import image_of

    container = topology.container_name(name)
    return Instance(topology.name, name, container, image_of(topology, name), NodeState.ABSENT, directory)


def _taken(topology: Topology) -> list[Prefix]:
    """Return all prefixes of links, tunnels, routers and static routes, without default routes."""
    taken: list[Prefix] = [a.network for link in topology.links for e in link.endpoints for a in e.addresses]
    for tunnel in topology.tunnels:
        taken += [address.network for end in (tunnel.server_at, tunnel.client_at) for address in end.inner]
    for node in topology.nodes.values():
        taken += node.intent.router.networks if node.intent.router else ()
        taken += [r.to for r in node.intent.routes if not isinstance(r.to, str)]
    return [prefix for prefix in taken if prefix.prefixlen > 0]


def _hint(name: str, names: Mapping[str, Any]) -> str:
    return did_you_mean(name, names) or f"there are {_list(names)}"


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(names)
