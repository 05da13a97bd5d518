"""What a fault is: something that breaks in a running lab, as data, with the way back from it.

A fault names what it breaks and nothing else, so it can be written down, read by another process, and undone there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from lab.core.errors import InputError
from lab.engine import Engine, Instance
from lab.engine.node import RunningNode
from lab.routing import RouterPlan, RoutingDaemon
from lab.topology import Prefix, Topology
from lab.topology.model import Frozen
from lab.tunnel import RunningTunnel


class FaultyRouter(Protocol):
    """The part of a router that faults know; see `lab.runtime.router.Router`."""

    @property
    def running(self) -> RunningNode: ...

    @property
    def plan(self) -> RouterPlan: ...

    @property
    def daemon(self) -> RoutingDaemon: ...

    def announce(self, prefixes: Iterable[Prefix]) -> object: ...

    def resetting(self, other: str | None = None, *, soft: bool) -> Callable[[], None]: ...


class Scene(Protocol):
    """The part of a running lab that faults know; see `lab.runtime.lab.Lab`."""

    topology: Topology
    engine: Engine
    directory: Path

    @property
    def tunnels(self) -> Mapping[str, RunningTunnel]: ...

    @property
    def name(self) -> str: ...

    @property
    def nodes(self) -> Mapping[str, Instance]: ...

    @property
    def faults(self) -> Sequence["Record"]: ...

    def running(self, name: str) -> RunningNode: ...

    def router(self, name: str) -> FaultyRouter: ...

    def tunnel(self, one: str, other: str | None = None) -> RunningTunnel: ...


@dataclass(frozen=True)
class Record:
    """A lasting fault as it is written down."""

    number: int
    """Counted in the lab."""
    fault: "Fault"
    kept: Mapping[str, Any]
    since: datetime
    path: Path

    @property
    def kind(self) -> str:
        """The fault's kind."""
        return self.fault.kind


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Act:
    """A fault, or the way back from it, with all that takes time done beforehand or put off."""

    do: Callable[[], object]
    """The moment itself; short, so that measurements can count from it."""
    then: Callable[[], object] = _nothing
    """What has to be waited for or cleared away afterwards."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """What the way back has to know besides the fault itself, as JSON has it."""


@dataclass(frozen=True)
class Moment:
    """When something was done: no earlier than `since`, no later than `until`; seconds on CLOCK_MONOTONIC."""

    since: float
    until: float


class Fault(Protocol):
    """One kind of fault; adding one touches no other, but for its line in `lab.fault.kinds`."""

    kind: ClassVar[str]
    """What it is called."""
    summary: ClassVar[str]
    """One line about it."""
    lasting: ClassVar[bool]
    """It is in force until it is undone; else it is an event that is over at once."""

    def __str__(self) -> str:
        """What it does, as a clause: `OpenVPN client of branch-hq killed`."""

    def settled(self, scene: Scene) -> Self:
        """The same with every default said, so that one fault is written in one way."""

    def prepare(self, scene: Scene) -> Act:
        """Look everything up; raises `InputError` for what is not there, or is broken already."""

    def recovery(self, scene: Scene, kept: Mapping[str, Any]) -> Act:
        """The way back, from any process, also where the fault did not come about or is undone already."""


class Kind(Frozen):
    """Base of all faults: what they break are their fields, checked by pydantic."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    lasting: ClassVar[bool] = True

    def settled(self, scene: Scene) -> Self:
        """Most have no default that depends on the lab."""
        return self

    def recovery(self, scene: Scene, kept: Mapping[str, Any]) -> Act:
        """Events have none."""
        return Act(_nothing)


class OnTunnel(Kind):
    """A fault of a tunnel."""

    tunnel: str | None = None
    """By default the lab's only one."""

    def settled(self, scene: Scene) -> Self:
        """With the tunnel's name."""
        return self.model_copy(update={"tunnel": self.found(scene).name})

    def found(self, scene: Scene) -> RunningTunnel:
        """The tunnel that is meant."""
        if self.tunnel is not None:
            return scene.tunnel(self.tunnel)
        if len(scene.tunnels) != 1:
            there = f"there are {', '.join(scene.tunnels)}" if scene.tunnels else "this lab has none"
            raise InputError(f"{self.kind}: say which tunnel is meant (tunnel=NAME); {there}")
        return next(iter(scene.tunnels.values()))

    @property
    def whose(self) -> str:
        """The tunnel, for a sentence."""
        return self.tunnel or "the tunnel"


class OnLink(Kind):
    """A fault of a link, named by one of its ends."""

    link: str
    """`NODE:INTERFACE`."""

    def end(self, scene: Scene) -> tuple[str, str]:
        """The end that is named."""
        return link_end(scene.topology, self.link)


def link_end(topology: Topology, text: str) -> tuple[str, str]:
    """The end of a link that is named as `NODE:INTERFACE`; raises `InputError` with those that there are."""
    ends = [f"{e.node}:{e.interface}" for link in topology.links for e in link.endpoints]
    if text not in ends:
        raise InputError(f"there is no end of a link {text!r}; there are {', '.join(ends) or 'none'}")
    node, _, interface = text.partition(":")
    return node, interface
