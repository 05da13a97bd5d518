"""Deploy a lab: launch its nodes, connect them, start OpenVPN and the routing daemons; roll back what fails."""

import shlex
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from lab.core.errors import CommandFailed, EnvironmentBroken, ExpectationFailed, InputError, LabError
from lab.core.expect import Expectation, wait_for
from lab.core.progress import Say
from lab.engine import Engine, Instance, NodeState
from lab.engine.node import RunningNode, node_files
from lab.fault import FaultSite
from lab.fault.impaired import apply_declared
from lab.host.hosts_file import write_names
from lab.own import create_vrf, load_ruleset, vrfs_of
from lab.render.bsd import system_of
from lab.render.node_spec import image_of, images_of, is_foreign, is_free, node_spec
from lab.render.open_vswitch import bridge_commands
from lab.render.routeros import COMMANDS
from lab.routing import RouterPlan, daemon_of
from lab.runtime.destroy import remove_network
from lab.runtime.parallel import in_parallel
from lab.runtime.staged import StagedStart, failure
from lab.runtime.store import LabDirectory, locked
from lab.topology import Link, Node, Topology, require_sources, substitute
from lab.topology.segments import endpoints_of, static_routes
from lab.topology.sharing import needed_first
from lab.topology.stages import Stages
from lab.tunnel import OpenVpn
from lab.tunnel.pki import Authority


class Deployed(FaultSite, Protocol):
    """The part of a lab that its deployment uses; see `lab.runtime.lab.Lab`."""

    @property
    def running_nodes(self) -> Mapping[str, RunningNode]: ...

    @property
    def plans(self) -> Mapping[str, RouterPlan]: ...

    @property
    def external(self) -> frozenset[str]: ...

    @property
    def lone_processes(self) -> Mapping[str, OpenVpn]: ...

    def wait_ready(self, *, among: Collection[str] | None = None) -> None: ...

    def diagnose(self, into: Path) -> Path: ...

    def close(self) -> None: ...


L = TypeVar("L", bound=Deployed)

_STARTED_WITHIN = 60.0
"""Seconds until all nodes run their programs and the engine has noticed those that ended."""


def deploy(
    topology: Topology,
    make: Callable[[Callable[[], Authority], Mapping[str, Instance]], L],
    *,
    engine: Engine,
    directory: Path,
    say: Say,
    wait: bool,
    keep_failed: bool,
    diagnose_into: Path | None,
    owner: str,
) -> L:
    """Deploy a topology as the lab that `make` returns for an authority and the nodes; see `Lab.deploy`."""
    engine.require_supported(topology)
    store = LabDirectory(directory)
    with locked(topology.name):
        _raise_if_taken(topology.name, engine, store)
        lab: L | None = None
        authority: Authority | None = None
        try:
            authority = store.create(topology)
            early = EarlyDaemons(topology, partial(make, _always(authority)), say)
            instances = _launch(topology, engine, store.path, owner, say, early)
            lab = make(_always(authority), instances)
            new = [name for name in topology.nodes if name not in early.started]
            if is_staged(topology):
                complete_links(lab, instances, new, early.started)
            else:
                _connect(lab, say)
            start(lab, new, early.started, say)
            if wait:
                say("waiting for sessions and routes")
                lab.wait_ready()
            _raise_if_dead(engine, topology)
        except BaseException as error:
            cause = _cause(error, engine, topology)
            if lab is not None:
                lab.close()
            elif authority is not None:
                found = {i.node: i for i in engine.find(topology.name)}
                lab = make(_always(authority), found)
            if lab is not None and diagnose_into is not None:
                _diagnose(lab, diagnose_into, cause)
            if not keep_failed:
                _roll_back(topology, engine, store, cause)
            if cause is error:
                raise
            raise cause from error
    return lab


def _always(authority: Authority) -> Callable[[], Authority]:
    return lambda: authority


def _raise_if_taken(name: str, engine: Engine, store: LabDirectory) -> None:
    if engine.find(name):
        raise InputError(
            f"a lab named {name!r} is running already: take it down with `lab down {name}`, or give this one another "
            "name with --name"
        )
    if engine.networks(name):  # of a lab that was killed before its first node
        remove_network(engine, name)
    if users := {i.lab for i in engine.find() if i.directory == store.path}:
        raise InputError(f"{store.path} is the directory of the running lab {users.pop()!r}: choose another")


# --- launch and start --------------------------------------------------------------------------------------


def links_on_bridge(topology: Topology, engine: Engine) -> tuple[Link, ...]:
    """Return the links, with the host's bridge for those into the management network."""
    if not any(link.kind == "mgmt-net" for link in topology.links):
        return topology.links
    (network,) = engine.networks(topology.name)
    return tuple(_on_bridge(link, network.bridge) if link.kind == "mgmt-net" else link for link in topology.links)


def _on_bridge(link: Link, bridge: str) -> Link:
    assert link.outside is not None
    return link.model_copy(update={"outside": link.outside.model_copy(update={"bridge": bridge})})


def _launch(
    topology: Topology, engine: Engine, directory: Path, owner: str, say: Say, early: "EarlyDaemons"
) -> dict[str, Instance]:
    for node in topology.nodes.values():
        require_sources(_substituted(node, directory))
    borrowed = [name for name, node in topology.nodes.items() if node.borrowed]
    instances = {name: engine.borrow(name, topology.name, directory) for name in borrowed}
    network = _create_network(topology, engine, directory, owner, say)
    provided = {image: engine.provide(image, say) for image in images_of(topology)}

    def launch(name: str) -> Instance:
        spec = node_spec(topology, name, provided[image_of(topology, name)], directory, owner, network=network)
        if spec.node.startup_delay:
            time.sleep(spec.node.startup_delay)  # containerlab's key `startup-delay`
        return engine.launch(spec)

    if is_staged(topology):

        def created(names: Sequence[str], instances: Mapping[str, Instance]) -> None:
            free = [name for name in names if is_free(topology.nodes[name])]
            if free:
                engine.unlock_network_parameters([instances[name] for name in free])

        def configured(instance: Instance, node: Node) -> None:
            execute(RunningNode(engine, instance), _substituted(node, directory), ports_of(topology, node.name), say)

        staged = topology.model_copy(update={"links": links_on_bridge(topology, engine)})
        instances = StagedStart(staged, engine, instances, launch, created, configured, early, say).run()
    else:
        say(f"starting {len(topology.nodes)} nodes: {', '.join(topology.nodes)}")
        for group in launch_order(topology):
            names = [name for name in group if name not in borrowed]
            instances |= zip(names, in_parallel(launch, names), strict=True)
    if network:
        _write_names(topology.name, {name: i for name, i in instances.items() if name not in borrowed}, say)
    return {name: instances[name] for name in topology.nodes}


def _create_network(topology: Topology, engine: Engine, directory: Path, owner: str, say: Say) -> str:
    """Create the management network, if the topology has one, and return its name."""
    if topology.management is None:
        return ""
    fixed = any(node.mgmt_ipv4 or node.mgmt_ipv6 for node in topology.nodes.values())
    name = engine.create_network(topology.name, topology.management, directory, owner, fixed=fixed)
    say(f"created the management network {name}: its nodes reach this host, and what the host lets them reach")
    return name


def _write_names(lab: str, instances: Mapping[str, Instance], say: Say) -> None:
    """Write the names of containers to the host's /etc/hosts, as containerlab does."""
    names = [(address, i.container) for i in instances.values() for address in i.management]
    try:
        write_names(lab, names)
    except OSError as error:
        say(f"the nodes' names are not in this host's /etc/hosts: {error.strerror}")


def is_staged(topology: Topology) -> bool:
    """Return whether a node has stages."""
    return any(node.stages != Stages() for node in topology.nodes.values())


def complete_links(
    lab: Deployed, instances: Mapping[str, Instance], new: Collection[str], before: Collection[str]
) -> None:
    """Create what several nodes take part in: kernel tunnels, static routes, rulesets, declared impairments.

    Of `before` it exists already; only what needs one of the `new` nodes, and no other, is created.
    """
    topology = lab.topology
    nodes = {name: topology.nodes[name] for name in (*before, *new) if name not in topology.ending}
    ends = {link: {end.node for end in link.endpoints} for link in topology.links}
    links = [link for link in topology.links if ends[link] <= {*before, *new} and not ends[link] <= set(before)]
    tunnels = [link for link in links if link.intent.encapsulation is not None]
    routes = {name: hops for name, hops in static_routes(topology).items() if name in nodes and name in new}
    lab.engine.connect_nodes(nodes, instances, tunnels, routes)
    _create_vrfs(lab, new)
    _load_rulesets(lab, new)
    apply_declared(lab, links)


def launch_order(topology: Topology) -> list[list[str]]:
    """Return the nodes in groups: each after those whose namespaces it shares.

    Nodes with addresses of their own in the management network come first, as the engine gives any free address to the
    others.
    """
    groups: list[list[str]] = []
    started: set[str] = set()
    addressed = {name for name, node in topology.nodes.items() if node.mgmt_ipv4 or node.mgmt_ipv6}
    while left := [name for name in topology.nodes if name not in started]:
        targets = {name: set(needed_first(topology.nodes[name])) for name in left}
        first = addressed.intersection(left)
        groups.append([name for name in left if targets[name].isdisjoint(left) and (name in first or not first)])
        started.update(groups[-1])
    return groups


def _connect(lab: Deployed, say: Say) -> None:
    """Create links, addresses, static routes, rulesets and declared impairments, then run the commands of `exec`."""
    say(f"connecting nodes by {len(lab.topology.links)} links")
    lab.engine.connect_nodes(
        lab.topology.nodes,
        {name: node.instance for name, node in lab.running_nodes.items()},
        links_on_bridge(lab.topology, lab.engine),
        static_routes(lab.topology),
    )
    _create_vrfs(lab, lab.topology.nodes)
    _load_rulesets(lab, lab.topology.nodes)
    apply_declared(lab, lab.topology.links)
    free = [name for name, node in lab.topology.nodes.items() if is_free(node)]
    if free:
        lab.engine.unlock_network_parameters([lab.running_nodes[name].instance for name in free])
    for name, node in lab.topology.nodes.items():
        execute(lab.running_nodes[name], _substituted(node, lab.directory), ports_of(lab.topology, name), say)


def ports_of(topology: Topology, name: str) -> list[str]:
    """Return the interfaces of a node's links."""
    return [endpoint.interface for endpoint in endpoints_of(topology, name)]


def _substituted(node: Node, directory: Path) -> Node:
    return substitute(node, node_dir=node_files(directory, node.name), lab_dir=directory)


def _create_vrfs(lab: Deployed, nodes: Collection[str]) -> None:
    """Create the VRFs of nodes."""

    def create(name: str) -> None:
        for vrf in vrfs_of(lab.topology, name):
            create_vrf(lab.running_nodes[name], vrf)

    in_parallel(create, [name for name in nodes if lab.topology.nodes[name].intent.vrfs])


def _load_rulesets(lab: Deployed, nodes: Collection[str]) -> None:
    """Load the packet filters of the user's in nodes, those of a node one after the other.

    Declared impairments come later: a ruleset may begin with `flush ruleset`.
    """

    def load_all(name: str) -> None:
        for ruleset in lab.topology.rulesets:
            if ruleset.node == name:
                load_ruleset(lab.running_nodes[name], ruleset)

    loaded = (ruleset.node for ruleset in lab.topology.rulesets if ruleset.node in nodes)
    in_parallel(load_all, list(dict.fromkeys(loaded)))


def execute(running: RunningNode, node: Node, ports: Sequence[str], say: Say) -> None:
    """Run a node's commands: in a shell, or in a node of another's image as containerlab does.

    containerlab has no shell, reports a command that fails and goes on. In a node of Open vSwitch, make the bridge.
    """
    if node.kind == "ovs-bridge":
        for argv in bridge_commands(node.name, ports):
            running.exec(*argv).raise_on_error()
    for command in node.exec:
        if not is_foreign(node):
            running.exec("sh", "-c", command).raise_on_error()
            continue
        result = running.exec(*shlex.split(command))
        if result.failed:
            say(f"{node.name}: {failure(command, result.exit_code, result.stderr or result.stdout)}")


def start(lab: Deployed, new: Collection[str], before: Collection[str], say: Say) -> None:
    """Start the tunnels and routers of the `new` nodes, all at once; those between the nodes of `before` run already.

    Of a tunnel to a node that is neither, the server's end is started. Within a tunnel the server is started first, so
    that it listens when the client dials. Routers need not wait: bgpd starts a session a second after its own start,
    and zebra notifies it when the tunnel's peer becomes reachable.
    """
    ends = {name: {tunnel.tunnel.server, tunnel.tunnel.client} for name, tunnel in lab.tunnels.items()}
    whole = [name for name in lab.tunnels if ends[name] <= {*before, *new} and not ends[name] <= set(before)]
    servers = [name for name in lab.tunnels if name not in whole and lab.tunnels[name].tunnel.server in new]
    lone = {name: process for name, process in lab.lone_processes.items() if process.node.name in new}
    plans = {name: plan for name, plan in lab.plans.items() if name in new}
    if starting := [*whole, *servers, *lone]:
        say(f"starting OpenVPN for {', '.join(starting)}")
    if plans:
        daemons = sorted({plan.daemon for plan in plans.values()})
        say(f"starting {', '.join(daemons)} on {', '.join(plans)}")
    tunnels: list[Callable[[], None]] = [
        # Whether the user's files make a connection is what the user wants to know.
        tunnel.launch if tunnel.tunnel.own else tunnel.start
        for tunnel in map(lab.tunnels.__getitem__, whole)
    ]
    tunnels += [lab.tunnels[name].server.start for name in servers]
    tunnels += [process.start for process in lone.values()]
    routers: list[Callable[[], None]] = [
        partial(daemon_of(plan).start, lab.running_nodes[name], plan) for name, plan in plans.items()
    ]
    in_parallel(lambda start: start(), [*tunnels, *routers])
    for name in sorted(lab.external & set(new)):
        files, system = node_files(lab.directory, name), system_of(lab.topology.nodes[name])
        todo = f"run the commands of {files / COMMANDS}" if system is None else f"install {files / system.name}"
        say(f"{name} is external: {todo} on it")


class EarlyDaemons:
    """OpenVPN and routing daemons that are started while nodes wait for a node of the lab's to be healthy."""

    def __init__(self, topology: Topology, make: Callable[[Mapping[str, Instance]], Deployed], say: Say) -> None:
        """`make` returns the lab for the nodes that exist."""
        self._topology = topology
        self._make = make
        self._say = say
        self.started: set[str] = set()
        """The nodes in which everything runs."""

    def run_in(self, node: str) -> bool:
        """Return whether the lab runs OpenVPN or a routing daemon in a node."""
        given = self._topology
        ends = {end for tunnel in given.tunnels for end in (tunnel.server, tunnel.client)}
        own = {process.node for process in given.processes}
        return node in ends | own or given.nodes[node].intent.router is not None

    def begin(self, instances: Mapping[str, Instance], configured: Collection[str]) -> None:
        """Start what the lab runs in the nodes that are configured."""
        new = set(configured) - self.started
        with closing(self._make(instances)) as lab:
            complete_links(lab, instances, new, self.started)
            start(lab, new, self.started, self._say)
        self.started |= new

    def wait_ready(self, instances: Mapping[str, Instance]) -> None:
        """Wait until all tunnels and sessions between the started nodes are up; raises `ExpectationFailed`."""
        self._say(f"waiting for tunnels and sessions of {', '.join(sorted(filter(self.run_in, self.started)))}")
        with closing(self._make(instances)) as lab:
            lab.wait_ready(among=self.started)


# --- failure -----------------------------------------------------------------------------------------------


def _dead_nodes(engine: Engine, topology: Topology) -> list[Instance]:
    """Return the nodes of a lab whose first process has ended, without those that end by themselves.

    It waits until every node has started its program, and until the engine has noticed each exit, which it learns
    slightly later than the kernel.
    """

    def is_settled(instance: Instance) -> bool:
        return instance.state is not NodeState.RUNNING or instance.runs_program

    instances = wait_for(
        Expectation(
            what="every node to run its program, and the engine to notice those that have ended",
            node=topology.name,
            look=lambda: engine.find(topology.name),
            met=lambda found: all(map(is_settled, found)),
            seen=lambda found: f"still waiting for {', '.join(i.node for i in found if not is_settled(i))}",
        ),
        within=_STARTED_WITHIN,
    )
    return [i for i in instances if i.state is NodeState.STOPPED and i.node not in topology.ending]


def _raise_if_dead(engine: Engine, topology: Topology) -> None:
    if dead := _dead_nodes(engine, topology):
        raise _dead_node_error(dead)


def _dead_node_error(dead: list[Instance]) -> EnvironmentBroken:
    ended = ", ".join(f"{i.node!r} ended with exit code {i.exit_code}" for i in dead)
    return EnvironmentBroken(f"the first process of node {ended}: the first process must run as long as the lab")


def _cause(error: BaseException, engine: Engine, topology: Topology) -> BaseException:
    """Return the error for a dead node if one caused `error`, else `error` itself.

    This includes `InputError`, which is raised for a node that no longer runs.
    """
    if not isinstance(error, EnvironmentBroken | ExpectationFailed | CommandFailed | InputError):
        return error
    try:
        dead = _dead_nodes(engine, topology)
    except LabError:
        return error
    return _dead_node_error(dead) if dead else error


def _diagnose(lab: Deployed, into: Path, error: BaseException) -> None:
    try:
        lab.diagnose(into)
    except (LabError, OSError) as second:
        error.add_note(f"and the diagnosis could not be written to {into}: {second}")


def _roll_back(topology: Topology, engine: Engine, store: LabDirectory, error: BaseException) -> None:
    """Take down all existing nodes, and add the output of ended containers to the error."""
    try:
        instances = engine.find(topology.name)
        for instance in instances:
            if instance.state in (NodeState.STOPPED, NodeState.CREATED):
                output = engine.output(instance)
                if output:
                    error.add_note(f"{instance.node} printed before it ended:\n{output}")
        engine.destroy(instances)
        if topology.management is not None:
            remove_network(engine, topology.name)
        store.remove()
    except (LabError, OSError) as second:
        error.add_note(f"and taking the lab down failed: {second}; `lab down {topology.name}` tries again")
