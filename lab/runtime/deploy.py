"""Deploy a lab: launch its nodes, connect them, start OpenVPN and the routing daemons; roll back what fails."""

import time
from collections.abc import Callable, Mapping
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
from lab.render.node_spec import image_of, node_spec
from lab.render.routeros import COMMANDS
from lab.routing import RouterPlan, daemon_of
from lab.runtime.parallel import in_parallel
from lab.runtime.store import LabDirectory, locked
from lab.topology import Topology, substitute
from lab.topology.segments import static_routes
from lab.tunnel.pki import Authority


class Deployed(FaultSite, Protocol):
    """The part of a lab that its deployment uses; see `lab.runtime.lab.Lab`."""

    @property
    def running_nodes(self) -> Mapping[str, RunningNode]: ...

    @property
    def plans(self) -> Mapping[str, RouterPlan]: ...

    @property
    def external(self) -> frozenset[str]: ...

    def wait_ready(self) -> None: ...

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
    store = LabDirectory(directory)
    with locked(topology.name):
        _raise_if_taken(topology.name, engine, store)
        lab: L | None = None
        authority: Authority | None = None
        try:
            authority = store.create(topology)
            instances = _launch(topology, engine, store.path, owner, say)
            lab = make(_always(authority), instances)
            _connect(lab, say)
            _start(lab, say)
            if wait:
                say("waiting for sessions and routes")
                lab.wait_ready()
            _raise_if_dead(engine, topology.name)
        except BaseException as error:
            cause = _cause(error, engine, topology.name)
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
    if users := {i.lab for i in engine.find() if i.directory == store.path}:
        raise InputError(f"{store.path} is the directory of the running lab {users.pop()!r}: choose another")


# --- launch and start --------------------------------------------------------------------------------------


def _launch(topology: Topology, engine: Engine, directory: Path, owner: str, say: Say) -> dict[str, Instance]:
    images = {name: image_of(topology, name) for name in topology.nodes}
    provided = {image: engine.provide(image, say) for image in dict.fromkeys(images.values())}
    say(f"starting {len(topology.nodes)} nodes: {', '.join(topology.nodes)}")

    def launch(name: str) -> Instance:
        spec = node_spec(topology, name, provided[images[name]], directory, owner)
        if spec.node.startup_delay:
            time.sleep(spec.node.startup_delay)  # containerlab's key `startup-delay`
        return engine.launch(spec)

    launched = in_parallel(launch, list(topology.nodes))
    return dict(zip(topology.nodes, launched, strict=True))


def _connect(lab: Deployed, say: Say) -> None:
    """Create links, addresses, static routes and declared impairments, then run the commands of `exec`."""
    say(f"connecting nodes by {len(lab.topology.links)} links")
    lab.engine.connect_nodes(
        lab.topology.nodes,
        {name: node.instance for name, node in lab.running_nodes.items()},
        lab.topology.links,
        static_routes(lab.topology),
    )
    apply_declared(lab)
    for name, node in lab.topology.nodes.items():
        substituted = substitute(node, node_dir=node_files(lab.directory, name), lab_dir=lab.directory)
        for command in substituted.exec:
            lab.running_nodes[name].exec("sh", "-c", command).raise_on_error()


def _start(lab: Deployed, say: Say) -> None:
    """Start tunnels and routers, all at once.

    Within a tunnel the server is started first, so that it listens when the client dials. Routers need not wait: bgpd
    starts a session a second after its own start, and zebra notifies it when the tunnel's peer becomes reachable.
    """
    if lab.tunnels:
        say(f"starting OpenVPN for {', '.join(lab.tunnels)}")
    if lab.plans:
        daemons = sorted({plan.daemon for plan in lab.plans.values()})
        say(f"starting {', '.join(daemons)} on {', '.join(lab.plans)}")
    tunnels: list[Callable[[], None]] = [tunnel.start for tunnel in lab.tunnels.values()]
    routers: list[Callable[[], None]] = [
        partial(daemon_of(plan).start, lab.running_nodes[name], plan) for name, plan in lab.plans.items()
    ]
    in_parallel(lambda start: start(), [*tunnels, *routers])
    for name in sorted(lab.external):
        say(f"{name} is external: run the commands of {node_files(lab.directory, name) / COMMANDS} on it")


# --- failure -----------------------------------------------------------------------------------------------


def _dead_nodes(engine: Engine, name: str) -> list[Instance]:
    """Return the nodes of a lab whose first process has ended.

    It waits until every node has started its program, and until the engine has noticed each exit, which it learns
    slightly later than the kernel.
    """

    def is_settled(instance: Instance) -> bool:
        return instance.state is not NodeState.RUNNING or (instance.namespace.exists and not instance.starting)

    instances = wait_for(
        Expectation(
            what="every node to run its program, and the engine to notice those that have ended",
            node=name,
            look=lambda: engine.find(name),
            met=lambda found: all(map(is_settled, found)),
            seen=lambda found: f"still waiting for {', '.join(i.node for i in found if not is_settled(i))}",
        ),
        within=_STARTED_WITHIN,
    )
    return [i for i in instances if i.state is NodeState.STOPPED]


def _raise_if_dead(engine: Engine, name: str) -> None:
    if dead := _dead_nodes(engine, name):
        raise _dead_node_error(dead)


def _dead_node_error(dead: list[Instance]) -> EnvironmentBroken:
    ended = ", ".join(f"{i.node!r} ended with exit code {i.exit_code}" for i in dead)
    return EnvironmentBroken(f"the first process of node {ended}: the first process must run as long as the lab")


def _cause(error: BaseException, engine: Engine, name: str) -> BaseException:
    """Return the error for a dead node if one caused `error`, else `error` itself.

    This includes `InputError`, which is raised for a node that no longer runs.
    """
    if not isinstance(error, EnvironmentBroken | ExpectationFailed | CommandFailed | InputError):
        return error
    try:
        dead = _dead_nodes(engine, name)
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
        store.remove()
    except (LabError, OSError) as second:
        error.add_note(f"and taking the lab down failed: {second}; `lab down {topology.name}` tries again")
