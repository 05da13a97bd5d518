"""What a fault is: something that breaks in a running lab, as data, with the way back from it.

A fault names what it breaks and nothing else, so it can be written down, read by another process, and undone there.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from lab.core.errors import InputError
from lab.core.event_times import EventTimes
from lab.engine import Engine, Instance
from lab.engine.node import RunningNode
from lab.fault.path import PathEffect, RouterPath
from lab.routing import RouterPlan, RoutingDaemon
from lab.topology import Prefix, Topology
from lab.topology.intent import Frozen
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


class FaultSite(Protocol):
    """The part of a running lab that faults know; see `lab.runtime.lab.Lab`."""

    topology: Topology
    engine: Engine
    directory: Path
    event_times: EventTimes

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
    fault: "FaultKind"
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
class FaultAction:
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


class FaultKind(Frozen, ABC):
    """A kind of fault; an instance is one fault, and its fields say what it breaks.

    A new kind is a class below this one and its entry in `lab.fault.kinds`, where the type checker rejects a class that
    misses one of the abstract methods.
    """

    kind: ClassVar[str]
    """Name of the kind, as in `lab fault do NAME`."""
    summary: ClassVar[str]
    """One line for the list of kinds."""
    lasting: ClassVar[bool] = True
    """True if the fault is in force until it is undone, False for an event that is over at once."""
    effect: ClassVar[PathEffect | None] = None
    """What the fault does to a path between two routers; None if it cannot be measured."""
    needs_tunnel: ClassVar[bool] = False
    """True if a path without a tunnel has no target for it."""

    @abstractmethod
    def __str__(self) -> str:
        """Describe the fault in a clause: `OpenVPN client of branch-hq killed`."""

    @abstractmethod
    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that applies the fault, with everything looked up.

        Raises `InputError` if the target does not exist or is broken already.
        """

    @classmethod
    def on_path(cls, path: RouterPath, **choices: Any) -> Self:
        """Return the fault of this kind that breaks a path; `choices` are values of fields that are not its target.

        A kind with an `effect` has to define it.
        """
        raise InputError(f"a fault of kind {cls.kind!r} cannot be measured: it names no target on a path")

    def settled(self, site: FaultSite) -> Self:
        """Return the same fault with every default filled in, so that equal faults compare equal."""
        return self

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        """Return the action that undoes the fault.

        It works from any process, and also if the fault was not applied completely or is undone already. Events need
        none.
        """
        return FaultAction(_nothing)


class OnTunnel(FaultKind):
    """A fault of a tunnel."""

    tunnel: str | None = None
    """By default the lab's only one."""
    needs_tunnel = True

    @classmethod
    def on_path(cls, path: RouterPath, **choices: Any) -> Self:
        """Return the fault of the path's tunnel."""
        return cls.model_validate({"tunnel": path.tunnel, **choices})

    def settled(self, site: FaultSite) -> Self:
        """With the tunnel's name."""
        return self.model_copy(update={"tunnel": self.found(site).name})

    def found(self, site: FaultSite) -> RunningTunnel:
        """The tunnel that is meant."""
        if self.tunnel is not None:
            return site.tunnel(self.tunnel)
        if len(site.tunnels) != 1:
            there = f"there are {', '.join(site.tunnels)}" if site.tunnels else "this lab has none"
            raise InputError(f"{self.kind}: say which tunnel is meant (tunnel=NAME); {there}")
        return next(iter(site.tunnels.values()))

    @property
    def whose(self) -> str:
        """The tunnel, for a sentence."""
        return self.tunnel or "the tunnel"


class OnLink(FaultKind):
    """A fault of a link, named by one of its ends."""

    link: str
    """`NODE:INTERFACE`."""

    @classmethod
    def on_path(cls, path: RouterPath, **choices: Any) -> Self:
        """Return the fault of the link over which the routers peer, or over which their tunnel runs."""
        return cls.model_validate({"link": path.peering, **choices})

    def end(self, site: FaultSite) -> tuple[str, str]:
        """The end that is named."""
        return link_end(site.topology, self.link)


def link_end(topology: Topology, text: str) -> tuple[str, str]:
    """The end of a link that is named as `NODE:INTERFACE`; raises `InputError` with those that there are."""
    ends = [f"{e.node}:{e.interface}" for link in topology.links for e in link.endpoints]
    if text not in ends:
        raise InputError(f"there is no end of a link {text!r}; there are {', '.join(ends) or 'none'}")
    node, _, interface = text.partition(":")
    return node, interface


def written(fault: FaultKind) -> dict[str, Any]:
    """A fault's fields, as JSON has them."""
    return fault.model_dump(mode="json", by_alias=True)
