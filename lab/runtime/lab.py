"""`Lab`: the one object that tests, the command line and measurements hold in their hands."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import entry_points
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from lab.core.errors import CommandFailed, EnvironmentBroken, ExpectationFailed, InputError, LabError
from lab.core.event_times import EventTimes
from lab.core.expect import POLL, Expectation, wait_for
from lab.core.prefixes import FAMILIES, free_prefixes
from lab.core.progress import Say
from lab.engine import Engine, Instance, NodeState, open_engine
from lab.engine.node import RunningNode, node_files
from lab.fault import ActiveFault, Record, apply, fault_of, records, undo_all
from lab.fault.impaired import declared_imposed
from lab.image import NODE_IMAGE, VERSIONS
from lab.observe import FibWatch
from lab.render.node_spec import node_spec
from lab.render.routeros import COMMANDS
from lab.routing import daemon_of, plan_routers
from lab.runtime.diagnosis import write_diagnosis
from lab.runtime.node import LabNode
from lab.runtime.results import Results
from lab.runtime.router import Router
from lab.runtime.store import LabDirectory, locked
from lab.topology import Family, Prefix, Topology, substitute
from lab.topology.mistakes import did_you_mean
from lab.topology.names import objection_to_name
from lab.topology.segments import static_routes
from lab.tunnel import RunningTunnel, running_tunnels
from lab.tunnel.pki import Authority

if TYPE_CHECKING:
    from lab.measure.instrument.measurement import Measurement

_WORKERS = 8
_SETTLED_AFTER = 2.0
"""Seconds in which the engine makes a container at the latest; it takes a tenth of one."""
_STARTED_WITHIN = 60.0
"""Seconds that nodes have to run their programs, and the engine to notice that one has ended."""
READY_WITHIN = 45.0
"""Seconds from the start of the last daemon until sessions and routes stand; it takes two or three."""


def _quiet(_: str) -> None:
    pass


class Lab:
    """A running lab. Close it (or use it as a context manager) to stop watching; `destroy` takes it down."""

    def __init__(
        self,
        topology: Topology,
        engine: Engine,
        directory: Path,
        authority: Authority,
        nodes: Mapping[str, Instance],
    ) -> None:
        """Use `deploy` or `attach`."""
        self.topology = topology
        self.engine = engine
        self.directory = directory
        self.results = Results()
        self.event_times = EventTimes()
        self._running = {
            name: RunningNode(engine, nodes.get(name) or _absent(topology, name, directory), self.event_times)
            for name in topology.nodes
        }
        self._watches: dict[str, FibWatch] = {}
        self._plans = plan_routers(topology)
        roots = {name: node_files(directory, name) for name in topology.nodes}
        self._external = frozenset(name for name, node in topology.nodes.items() if node.external)
        self.tunnels = running_tunnels(topology.tunnels, self._running, roots, authority, external=self._external)
        self._free: dict[Family, Iterator[Prefix]] = {
            family: free_prefixes(family, _taken(topology)) for family in FAMILIES
        }

    # --- life ----------------------------------------------------------------------------------------------

    @classmethod
    def deploy(
        cls,
        topology: Topology,
        *,
        engine: Engine | None = None,
        directory: Path | None = None,
        say: Say = _quiet,
        wait: bool = True,
        keep_failed: bool = False,
        diagnose_into: Path | None = None,
        owner: str = "",
    ) -> Self:
        """Build a lab and start everything; with `wait` return when tunnels, sessions and routes stand.

        Whatever fails, nothing half-made is left behind, unless `keep_failed` asks for it; with `diagnose_into`
        what is needed to understand the failure is written there first. `owner` is the process that the lab ends
        with (see `lab.runtime.owner`). Raises `InputError` where a lab of this name runs already, `EnvironmentBroken`
        and `ExpectationFailed` as the case may be.
        """
        engine = engine or open_engine()
        store = LabDirectory((directory or LabDirectory.default(topology.name).path).absolute())
        with locked(topology.name):
            if engine.find(topology.name):
                raise InputError(
                    f"a lab named {topology.name!r} is running already: take it down with "
                    f"`lab down {topology.name}`, or give this one another name with --name"
                )
            if users := {i.lab for i in engine.find() if i.directory == store.path}:
                raise InputError(f"{store.path} is the directory of the running lab {users.pop()!r}: choose another")
            lab: Self | None = None
            authority: Authority | None = None
            try:
                authority = store.create(topology)
                instances = _launch(topology, engine, store.path, owner, say)
                lab = cls(topology, engine, store.path, authority, instances)
                lab._wire(say)
                lab._start(say)
                if wait:
                    say("waiting for sessions and routes")
                    lab.wait_ready()
                _raise_if_dead(engine, topology.name)
            except BaseException as error:
                cause = _cause(error, engine, topology.name)
                if lab is not None:
                    lab.close()
                elif authority is not None:
                    lab = cls(topology, engine, store.path, authority, {i.node: i for i in engine.find(topology.name)})
                if lab is not None and diagnose_into is not None:
                    _diagnose_failure(lab, diagnose_into, cause)
                if not keep_failed:
                    _roll_back(topology, engine, store, cause)
                if cause is error:
                    raise
                raise cause from error
        return lab

    @classmethod
    def attach(cls, name: str, *, engine: Engine | None = None) -> Self:
        """Take up a lab that runs, from whichever process started it; raises `InputError` where there is none."""
        engine = engine or open_engine()
        instances = {i.node: i for i in engine.find(name)}
        if not instances:
            names = running_labs(engine)
            known = f"running are {', '.join(names)}" if names else "no lab is running: `lab up` starts one"
            raise InputError(f"no lab named {name!r} is running; {known}")
        directory = next(iter(instances.values())).directory
        topology, authority = LabDirectory(directory).load()
        return cls(topology, engine, directory, authority, instances)

    def destroy(self) -> None:
        """Take the lab down: containers, wires, directory."""
        self.close()
        destroy(self.name, engine=self.engine)

    def close(self) -> None:
        """Stop watching; the lab itself runs on."""
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what is in it -------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.topology.name

    @property
    def nodes(self) -> Mapping[str, Instance]:
        """All nodes with their states, asked for anew."""
        return {i.node: i for i in self.engine.find(self.name)}

    def node(self, name: str) -> LabNode:
        """A node by its name; raises `InputError` where there is none or it does not run."""
        return LabNode(self.running(name), self.topology, self._watch(name))

    def instance(self, name: str) -> Instance:
        """A node as the engine has it now; raises `InputError` where there is none or it does not run."""
        self._known(name)
        instance = self.nodes.get(name)
        state = instance.state if instance else NodeState.ABSENT
        if instance is None or state is not NodeState.RUNNING:
            raise InputError(f"node {name!r} of lab {self.name!r} is not running: it is {state}")
        return instance

    def host(self, name: str) -> LabNode:
        """A node by its name; the word for those that only send and receive."""
        return self.node(name)

    def router(self, name: str) -> Router:
        """A node that runs a routing daemon."""
        running = self.running(name)
        plan = self._plans.get(name)
        if name in self._external:
            raise InputError(f"node {name!r} is external: the lab runs no routing daemon in it")
        if plan is None:
            raise InputError(
                f"node {name!r} is no router: it has no `config.vars.router`; there are {_list(self._plans)}"
            )
        return Router(running, self.topology, self._watch(name), plan, daemon_of(plan))

    @property
    def router_names(self) -> frozenset[str]:
        """The nodes that run a routing daemon of the lab's."""
        return frozenset(self._plans)

    @property
    def routers(self) -> Mapping[str, Router]:
        """All routers by name."""
        return {name: self.router(name) for name in self._plans}

    def tunnel(self, one: str, other: str | None = None) -> RunningTunnel:
        """A tunnel by its name, or the only one between two nodes."""
        if other is None:
            if one not in self.tunnels:
                raise InputError(f"there is no tunnel {one!r}; {_hint(one, self.tunnels)}")
            return self.tunnels[one]
        found = [t for t in self.tunnels.values() if {t.tunnel.server, t.tunnel.client} == {one, other}]
        if len(found) != 1:
            raise InputError(
                f"there are {len(found)} tunnels between {one} and {other}: name one of {_list(self.tunnels)}"
            )
        return found[0]

    def free_prefix(self, family: Family) -> Prefix:
        """A prefix that nothing in the lab uses: a /24 or a /64, another one at each call."""
        return next(self._free[family])

    def free_prefixes(self, family: Family, count: int) -> list[Prefix]:
        """Many of them."""
        return list(islice(self._free[family], count))

    def running(self, name: str) -> RunningNode:
        """A node as the rooms below use it; raises `InputError` where there is none or it does not run."""
        self._known(name)
        running = self._running[name]
        if not running.namespace.exists:
            state = next((i.state for i in self.engine.find(self.name) if i.node == name), NodeState.ABSENT)
            raise InputError(f"node {name!r} of lab {self.name!r} is not running: it is {state}")
        return running

    # --- what breaks in it ---------------------------------------------------------------------------------

    def fault(self, kind: str, **where: Any) -> ActiveFault:
        """Break something: `with lab.fault("blackhole", tunnel="branch-hq"): …`; undone on the way out.

        `lab.fault.KINDS` are the kinds, and what each takes. Raises `InputError` for what there is not, or what is
        broken already.
        """
        return apply(self, fault_of(kind, {key.replace("_", "-"): value for key, value in where.items()}))

    def impair(self, link: str, *, only: Literal["both", "leaving"] = "both", **conditions: float) -> ActiveFault:
        """Have a link, named by one of its ends, do something to its packets; undone on the way out.

        `delay` and `jitter` in milliseconds, `loss`, `duplicate` and `reorder` in percent, `rate` in kbit/s, in the
        place of what the topology declares; with `only="leaving"` to what leaves the named end. Raises `NotSupported`
        where this kernel has no means for it.
        """
        return self.fault("impair", link=link, only=only, **conditions)

    @property
    def faults(self) -> list[Record]:
        """The faults in force, whoever did them, oldest first."""
        return records(self.directory)

    def undo_faults(self) -> list[Record]:
        """Undo all faults in force, whoever did them; returns what they were."""
        return undo_all(self)

    def measure(self, observer: str | LabNode, prefixes: Prefix | Iterable[Prefix], **options: Any) -> "Measurement":
        """Measure how prefixes converge at a node during the `with` block; the options are `lab.measure.at`'s."""
        found: Measurement = _instrument()(self, observer, prefixes, **options)
        return found

    # --- is it up? -----------------------------------------------------------------------------------------

    def wait_ready(self, within: float = READY_WITHIN) -> None:
        """Wait until all tunnels are up, all sessions established, and all declared prefixes in all FIBs.

        Of an external node nobody knows when somebody sets it up: what takes it is not waited for.
        """
        since = time.monotonic()
        for tunnel in self.tunnels.values():
            tunnel.wait_connected()
        for name, plan in self._plans.items():
            router = self.router(name)
            for other in sorted({peer.node for peer in plan.peers} - self._external):
                for device in plan.interfaces_to(other) or (None,):
                    wanted = plan.accepted(self._plans[other].networks)
                    router.expect_in_fib(wanted, via=device, within=within, since=since)
                router.expect_session(other, within=within, since=since)
                if plan.bfd is not None:
                    router.expect_bfd(other, within=within, since=since)

    def diagnose(self, into: Path) -> Path:
        """Write what is needed to understand a failure: configurations, logs, tables of every node."""
        routers = {name: daemon_of(plan) for name, plan in self._plans.items()}
        write_diagnosis(into, self.nodes.values(), self.engine, routers)
        for tunnel in self.tunnels.values():
            try:
                text = str(tunnel.status())
            except LabError as error:
                text = str(error)
            (into / f"tunnel-{tunnel.name}.txt").write_text(f"{text}\n")
        return into

    # --- inside --------------------------------------------------------------------------------------------

    def living(self, *, apart_from: set[str]) -> list[str]:
        """The nodes that run and have a namespace of their own, hosts before routers."""
        names = [n for n, running in self._running.items() if n not in apart_from and running.namespace.exists]
        return sorted(names, key=lambda name: name in self._plans)

    def _known(self, name: str) -> None:
        if name not in self.topology.nodes:
            raise InputError(f"there is no node {name!r} in lab {self.name!r}; {_hint(name, self.topology.nodes)}")

    def _watch(self, name: str) -> FibWatch:
        if name not in self._watches:
            self._watches[name] = FibWatch(self.running(name).namespace)
        return self._watches[name]

    def _wire(self, say: Say) -> None:
        say(f"wiring {len(self.topology.links)} links")
        self.engine.connect_nodes(
            self.topology.nodes,
            {name: node.instance for name, node in self._running.items()},
            self.topology.links,
            static_routes(self.topology),
        )
        declared_imposed(self)
        for name, node in self.topology.nodes.items():
            for command in substitute(node, node_dir=node_files(self.directory, name), lab_dir=self.directory).exec:
                self._running[name].exec("sh", "-c", command).raise_on_error()

    def _start(self, say: Say) -> None:
        """Start tunnels and routers, all at once.

        Within a tunnel the server comes first, so that the client finds it listening. Routers need not wait: bgpd
        starts a session a second after its own start, and zebra tells it when the tunnel's peer can be reached.
        """
        if self.tunnels:
            say(f"starting OpenVPN for {_list(self.tunnels)}")
        if self._plans:
            say(f"starting {', '.join(sorted({p.daemon for p in self._plans.values()}))} on {_list(self._plans)}")
        tunnels = [tunnel.start for tunnel in self.tunnels.values()]
        routers = [partial(daemon_of(plan).start, self._running[name], plan) for name, plan in self._plans.items()]
        _all(lambda start: start(), [*tunnels, *routers])
        for name in sorted(self._external):
            say(f"{name} is external: what has to be set in it is in {node_files(self.directory, name) / COMMANDS}")


@cache
def _instrument() -> Callable[..., Any]:
    """What measures in a lab: the room above this one hands it over by an entry point."""
    (entry,) = entry_points(group="openvpn_routing_lab.instruments", name="measure")
    found: Callable[..., Any] = entry.load()
    return found


def running_labs(engine: Engine) -> list[str]:
    """The names of all labs of which anything exists."""
    return sorted({instance.lab for instance in engine.find()})


def runs(name: str, *, engine: Engine) -> bool:
    """Whether any node of a lab runs: a restart of the machine leaves nodes that all have ended, and no wire."""
    return any(i.state in (NodeState.RUNNING, NodeState.PAUSED) for i in engine.find(name))


def destroy(name: str, *, engine: Engine | None = None) -> bool:
    """Take down all that carries a lab's label, in whatever state it is, and the lab's directory.

    Works from the labels alone, so also after the process that started it was killed. Returns False where nothing
    was there. Raises `InputError` for what cannot name a lab: `..` is somebody's directory.
    """
    if objection := objection_to_name(name):
        raise InputError(f"{name!r} is no lab: {objection}")
    engine = engine or open_engine()
    with locked(name):
        instances = engine.find(name)
        stores = [LabDirectory(d) for d in {i.directory for i in instances} | {LabDirectory.default(name).path}]
        engine.destroy(instances)
        expected = {node for store in stores for node in store.nodes}
        _destroy_late(engine, name, expected - {i.node for i in instances})
        found = bool(instances)
        for store in stores:
            found = found or store.is_ours
            store.remove()
    return found


def _destroy_late(engine: Engine, name: str, missing: set[str]) -> None:
    """Destroy what the engine is only just making: it goes on with it although the process that asked was killed."""
    until = time.monotonic() + _SETTLED_AFTER
    while missing and time.monotonic() < until:
        late = engine.find(name)
        engine.destroy(late)
        if late:
            missing = missing - {i.node for i in late}
            until = time.monotonic() + _SETTLED_AFTER
        else:
            time.sleep(POLL)


def _launch(topology: Topology, engine: Engine, directory: Path, owner: str, say: Say) -> dict[str, Instance]:
    wanted = {name: _image(topology, name) for name in topology.nodes}
    provided = {image: engine.provide(image, say) for image in dict.fromkeys(wanted.values())}
    say(f"starting {len(topology.nodes)} nodes: {_list(topology.nodes)}")

    def launch(name: str) -> Instance:
        spec = node_spec(topology, name, provided[wanted[name]], directory, owner)
        if spec.node.startup_delay:
            time.sleep(spec.node.startup_delay)  # asked for in the topology, by containerlab's own key
        return engine.launch(spec)

    launched = _all(launch, list(topology.nodes))
    return dict(zip(topology.nodes, launched, strict=True))


def _absent(topology: Topology, name: str, directory: Path) -> Instance:
    """What stands for a node whose container somebody removed."""
    container = topology.container_name(name)
    return Instance(topology.name, name, container, _image(topology, name), NodeState.ABSENT, directory)


def _image(topology: Topology, name: str) -> str:
    return topology.nodes[name].image or f"{NODE_IMAGE}:{VERSIONS[0]}"


def _dead(engine: Engine, name: str) -> list[Instance]:
    """The nodes of a lab whose first process has ended.

    Each has its program's start behind it, and the engine notices an end a moment later than the kernel.
    """

    def settled(instance: Instance) -> bool:
        return instance.state is not NodeState.RUNNING or (instance.namespace.exists and not instance.starting)

    instances = wait_for(
        Expectation(
            what="every node to run its program, and the engine to notice those that have ended",
            node=name,
            look=lambda: engine.find(name),
            met=lambda found: all(map(settled, found)),
            seen=lambda found: f"not so for {', '.join(i.node for i in found if not settled(i))}",
        ),
        within=_STARTED_WITHIN,
    )
    return [i for i in instances if i.state is NodeState.STOPPED]


def _raise_if_dead(engine: Engine, name: str) -> None:
    if dead := _dead(engine, name):
        raise _died(dead)


def _died(dead: list[Instance]) -> EnvironmentBroken:
    said = ", ".join(f"{i.node!r} ended with exit code {i.exit_code}" for i in dead)
    return EnvironmentBroken(f"the first process of node {said}: a node has to run as long as its lab")


def _cause(error: BaseException, engine: Engine, name: str) -> BaseException:
    """What a node's end has broken is told as that end; anything else as it is.

    An `InputError` comes of that too: of who asks for a node that does not run any more.
    """
    if not isinstance(error, EnvironmentBroken | ExpectationFailed | CommandFailed | InputError):
        return error
    try:
        dead = _dead(engine, name)
    except LabError:
        return error
    return _died(dead) if dead else error


def _diagnose_failure(lab: Lab, into: Path, error: BaseException) -> None:
    try:
        lab.diagnose(into)
    except (LabError, OSError) as second:
        error.add_note(f"and its diagnosis could not be written to {into}: {second}")


def _roll_back(topology: Topology, engine: Engine, store: LabDirectory, error: BaseException) -> None:
    """Take down what stands, and let the error tell what dead containers said."""
    try:
        instances = engine.find(topology.name)
        for instance in instances:
            if instance.state in (NodeState.STOPPED, NodeState.CREATED):
                output = engine.output(instance)
                if output:
                    error.add_note(f"{instance.node} printed before it died:\n{output}")
        engine.destroy(instances)
        store.remove()
    except (LabError, OSError) as second:
        error.add_note(f"and taking it down failed: {second}; `lab down {topology.name}` tries again")


def _all(work: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    """Do the same for all items at once; wait for all of them, then raise the first failure."""
    if not items:
        return []
    with ThreadPoolExecutor(max_workers=min(_WORKERS, len(items))) as pool:
        try:
            with _uninterrupted():
                futures = [pool.submit(work, item) for item in items]
            wait(futures)
        except BaseException:
            # What has begun comes to its end before anybody takes it back.
            pool.shutdown(cancel_futures=True)
            raise
    return [future.result() for future in futures]


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off signals: a thread whose start is interrupted runs on, and its pool does not know of it."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _taken(topology: Topology) -> list[Prefix]:
    taken: list[Prefix] = [a.network for link in topology.links for e in link.endpoints for a in e.addresses]
    for tunnel in topology.tunnels:
        taken += [tunnel.server_ipv4.network, tunnel.server_ipv6.network]
    for node in topology.nodes.values():
        taken += node.intent.router.networks if node.intent.router else ()
        taken += [r.to for r in node.intent.routes if not isinstance(r.to, str)]
    return taken


def _hint(name: str, names: Mapping[str, Any]) -> str:
    return did_you_mean(name, names) or f"there are {_list(names)}"


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(names)
