"""Start nodes in the order of their stages: each waits for stages of others, and runs commands in between.

A node is created, gets its links, is configured (its `exec` runs then), becomes healthy, ends; the last two stages are
entered only if something depends on them. A node with OpenVPN or a routing daemon of the lab is healthy, if it has no
health check, when its tunnels and sessions with the nodes that are configured by then are up.
"""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from lab.core.errors import InputError, LabError
from lab.core.expect import Expectation, wait_for
from lab.core.progress import Say
from lab.engine import Engine, Instance, NodeState
from lab.engine.node import node_files
from lab.runtime.parallel import in_parallel
from lab.topology import Node, Topology, substitute
from lab.topology.sharing import needed_first
from lab.topology.stages import STAGES, StageName

_HEALTHY_WITHIN = 600.0
"""Seconds in which a node becomes healthy, or ends, for which others wait."""
_STEPS: tuple[StageName, ...] = ("create-links", "configure")
_POLLED: tuple[StageName, ...] = ("healthy", "exit")


class Early(Protocol):
    """Starts the lab's daemons in some nodes before others exist; see `lab.runtime.deploy.EarlyDaemons`."""

    def run_in(self, node: str) -> bool: ...

    def begin(self, instances: Mapping[str, Instance], configured: Collection[str]) -> None: ...

    def wait_ready(self, instances: Mapping[str, Instance]) -> None: ...


class StagedStart:
    """The start of a topology whose nodes have stages."""

    def __init__(
        self,
        topology: Topology,
        engine: Engine,
        instances: Mapping[str, Instance],
        launch: Callable[[str], Instance],
        created: Callable[[Sequence[str], Mapping[str, Instance]], None],
        configured: Callable[[Instance, Node], None],
        early: "Early",
        say: Say,
    ) -> None:
        """`instances` are the containers that run already; `created` and `configured` complete those stages, `early`
        starts the lab's daemons in nodes for which others wait to be healthy."""
        self._topology = topology
        self._engine = engine
        self._launch = launch
        self._created = created
        self._configured = configured
        self._early = early
        self._say = say
        self.instances = dict(instances)
        self._complete: set[tuple[str, StageName]] = set()
        self._entered: set[tuple[str, StageName]] = set()
        self._todo = {name: self._stages_of(name) for name in topology.nodes}

    def run(self) -> dict[str, Instance]:
        """Start all nodes and return them.

        Raises `ExpectationFailed` if a node does not become healthy or does not end, `InputError` if it has no health
        check.
        """
        while any(self._todo.values()):
            if not self._advance():
                self._poll()
        return self.instances

    def _stages_of(self, name: str) -> list[StageName]:
        """Return the stages that a node goes through."""
        awaited = {
            wait.stage for node in self._topology.nodes.values() for wait in node.stages.waits() if wait.node == name
        }
        if self._topology.nodes[name].stages.healthy.exec:
            awaited.add("healthy")
        return [stage for stage in STAGES if stage not in _POLLED or stage in awaited]

    def _advance(self) -> bool:
        """Complete each stage that nothing holds up; return whether there was one."""
        ready = [(name, todo[0]) for name, todo in self._todo.items() if todo and self._may_enter(name, todo[0])]
        creating = [name for name, stage in ready if stage == "create"]
        if creating:
            self._create(creating)
        others = [(name, stage) for name, stage in ready if stage in _STEPS]
        for name, stage in others:
            try:
                self._step(name, stage)
            except LabError:
                if not self._has_ended(name):
                    raise
                self._say(f"{name} has ended before its stage {stage!r} was complete")
                self._leave(name, stage)
        for name, stage in ready:
            if stage in _POLLED and (name, stage) not in self._entered:
                self._enter(name, stage)
        return bool(creating or others)

    def _step(self, name: str, stage: StageName) -> None:
        self._enter(name, stage)
        if stage == "create-links":
            self._engine.connect_node(name, self._topology.nodes, self.instances, self._topology.links)
        self._finish(name, stage)
        if stage == "configure":
            self._configured(self.instances[name], self._topology.nodes[name])

    def _has_ended(self, name: str) -> bool:
        """Return whether a node has ended that is to end by itself."""
        return name in self._topology.ending and self._look()[name].state is NodeState.STOPPED

    def _may_enter(self, name: str, stage: StageName) -> bool:
        if any(
            (wait.node, wait.stage) not in self._complete
            for wait in self._topology.nodes[name].stages.of(stage).wait_for
        ):
            return False
        if stage != "create":
            return True
        first = needed_first(self._topology.nodes[name])
        addressed = [other for other, node in self._topology.nodes.items() if node.mgmt_ipv4 or node.mgmt_ipv6]
        earlier = [] if name in addressed else addressed
        return all(other not in self._todo or (other, "create") in self._complete for other in (*first, *earlier))

    def _create(self, names: Sequence[str]) -> None:
        new = [name for name in names if name not in self.instances]
        if new:
            self._say(f"starting {', '.join(new)}")
            self.instances |= zip(new, in_parallel(self._launch, new), strict=True)
            self._created(new, self.instances)
        for name in names:
            self._finish(name, "create")

    def _enter(self, name: str, stage: StageName) -> None:
        self._entered.add((name, stage))
        if stage == "healthy" and self._early.run_in(name):
            self._early.begin(self.instances, [node for node, done in self._complete if done == "configure"])
        self._execute(name, stage, "on-enter")

    def _finish(self, name: str, stage: StageName) -> None:
        self._execute(name, stage, "on-exit")
        self._leave(name, stage)

    def _leave(self, name: str, stage: StageName) -> None:
        self._complete.add((name, stage))
        self._todo[name] = [each for each in self._todo[name] if each != stage]

    def _execute(self, name: str, stage: StageName, phase: str) -> None:
        directory = self.instances[name].directory
        node = substitute(self._topology.nodes[name], node_dir=node_files(directory, name), lab_dir=directory)
        for command in node.stages.of(stage).commands(phase):
            if stage == "exit" and phase == "on-exit":
                self._say(f"{name}: `{command}` did not run: the node has ended; going on, as containerlab does")
                continue
            result = self._engine.exec(self.instances[name], shlex.split(command))
            if result.failed:
                self._say(f"{name}: {failure(command, result.exit_code, result.stderr or result.stdout)}")

    def _poll(self) -> None:
        """Wait until a node becomes healthy, or ends, for which others wait."""
        polled = [(name, todo[0]) for name, todo in self._todo.items() if todo and (name, todo[0]) in self._entered]
        assert polled, "the waits have no circle"
        before = self._look()
        own = [each for each in polled if _is_lab_s(before[each[0]], each[1]) and self._early.run_in(each[0])]
        if own:
            self._early.wait_ready(self.instances)
            for name, stage in own:
                self._finish(name, stage)
            return
        self._say(f"waiting for {', '.join(_state(*each) for each in polled)}")

        def reached(found: Mapping[str, Instance]) -> list[tuple[str, StageName]]:
            return [(name, stage) for name, stage in polled if _is_reached(found[name], stage)]

        found = wait_for(
            Expectation(
                what=" or ".join(_state(*each) for each in polled),
                node=polled[0][0],
                look=self._look,
                met=lambda found: bool(reached(found)),
                seen=lambda found: ", ".join(f"{n} is {found[n].health or found[n].state}" for n, _ in polled),
            ),
            within=_HEALTHY_WITHIN,
        )
        for name, stage in reached(found):
            self._finish(name, stage)

    def _look(self) -> dict[str, Instance]:
        borrowed = {
            name: self._engine.borrow(name, self._topology.name, instance.directory)
            for name, instance in self.instances.items()
            if self._topology.nodes[name].borrowed
        }
        return {**{i.node: i for i in self._engine.find(self._topology.name)}, **borrowed}


def _is_lab_s(instance: Instance, stage: StageName) -> bool:
    """Return whether the lab judges the health of a node with daemons of its own, which has no health check."""
    return stage == "healthy" and instance.health is None


def failure(command: str, exit_code: int, output: str) -> str:
    """Describe a command that failed and was not repeated."""
    words = (output.strip() or "no output").splitlines()[-1]
    return f"`{command}` ended with {exit_code}: {words}; going on, as containerlab does"


def _state(name: str, stage: StageName) -> str:
    return f"{name} to end" if stage == "exit" else f"{name} to be healthy"


def _is_reached(instance: Instance, stage: StageName) -> bool:
    if stage == "exit":
        return instance.state is NodeState.STOPPED
    if instance.health is None:
        raise InputError(
            f"a stage waits for {instance.node!r} to be healthy, and it has no health check: add 'healthcheck'"
        )
    return instance.health == "healthy"
