"""The base classes of faults.

A fault is data that names its target, so a record of it in a file is enough to undo it from another process.
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
    """The part of a router that faults use; see `lab.runtime.router.Router`."""

    @property
    def running(self) -> RunningNode: ...

    @property
    def plan(self) -> RouterPlan: ...

    @property
    def daemon(self) -> RoutingDaemon: ...

    def announce(self, prefixes: Iterable[Prefix]) -> object: ...

    def resetting(self, other: str | None = None, *, soft: bool) -> Callable[[], None]: ...


class FaultSite(Protocol):
    """The part of a running lab that faults use; see `lab.runtime.lab.Lab`."""

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
    """The record of a fault in force, a file in the lab's directory."""

    number: int
    """Unique in the lab; `lab fault undo` takes it."""
    fault: "FaultKind"
    kept: Mapping[str, Any]
    """JSON data that undoing needs besides the fault; see `FaultAction.kept`."""
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
    """The steps that apply or undo a fault, with all slow work before or after the timed step."""

    do: Callable[[], object]
    """The change itself; short, because measurements start from it."""
    then: Callable[[], object] = _nothing
    """The waiting and cleanup after the change."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """JSON data that undoing needs besides the fault itself."""


@dataclass(frozen=True)
class Moment:
    """The time of a change: between `since` and `until`, seconds of CLOCK_MONOTONIC."""

    since: float
    until: float


class FaultKind(Frozen, ABC):
    """A kind of fault; an instance is one fault, and its fields name its target.

    A new kind is a class below this one and its entry in `lab.fault.kinds`, where the type checker rejects a class that
    misses one of the abstract methods.
    """

    kind: ClassVar[str]
    """Name of the kind, as in `lab fault apply NAME`."""
    summary: ClassVar[str]
    """One line for the list of kinds."""
    lasting: ClassVar[bool] = True
    """True if the fault is in force until it is undone, False for a momentary event."""
    effect: ClassVar[PathEffect | None] = None
    """The effect on a path between two routers; None if it cannot be measured."""
    needs_tunnel: ClassVar[bool] = False
    """True if it has no target on a path without a tunnel."""

    @abstractmethod
    def __str__(self) -> str:
        """Describe the fault in a clause: `OpenVPN client of branch-hq killed`."""

    @abstractmethod
    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that applies the fault, with all lookups done.

        Raises `InputError` if the target does not exist or is broken already.
        """

    @classmethod
    def on_path(cls, path: RouterPath, **choices: Any) -> Self:
        """Return the fault of this kind that breaks a path; `choices` are values of fields that are not its target.

        A kind with an `effect` must override it.
        """
        raise InputError(f"a fault of kind {cls.kind!r} cannot be measured: it has no target on a path")

    def resolved(self, site: FaultSite) -> Self:
        """Return the same fault with every default filled in, so that equal faults compare equal."""
        return self

    def acts_on(self, site: FaultSite) -> Iterable[str]:
        """Return the nodes in which applying the fault changes something."""
        return ()

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        """Return the action that undoes the fault.

        It works from any process, and also if the fault was not applied completely or is undone already. Events need
        none.
        """
        return FaultAction(_nothing)


class OnTunnel(FaultKind):
    """A fault of a tunnel."""

    tunnel: str | None = None
    """Name of the tunnel; optional if the lab has only one."""
    needs_tunnel = True

    @classmethod
    def on_path(cls, path: RouterPath, **choices: Any) -> Self:
        """Return the fault of the path's tunnel."""
        return cls.model_validate({"tunnel": path.tunnel, **choices})

    def resolved(self, site: FaultSite) -> Self:
        """Return the fault with the tunnel's name."""
        return self.model_copy(update={"tunnel": self.target(site).name})

    def target(self, site: FaultSite) -> RunningTunnel:
        """Return the tunnel; raises `InputError` if it is not named and the lab has several."""
        if self.tunnel is not None:
            return site.tunnel(self.tunnel)
        if len(site.tunnels) != 1:
            there = f"there are {', '.join(site.tunnels)}" if site.tunnels else "this lab has none"
            raise InputError(f"{self.kind}: the tunnel is not named: add tunnel=NAME; {there}")
        return next(iter(site.tunnels.values()))

    @property
    def label(self) -> str:
        """The tunnel's name for messages."""
        return self.tunnel or "the tunnel"


class OnLink(FaultKind):
    """A fault of a link, named by one of its ends."""

    link: str
    """One end of the link, `NODE:INTERFACE`."""

    @classmethod
    def on_path(cls, path: RouterPath, **choices: Any) -> Self:
        """Return the fault of the link over which the routers peer, or over which their tunnel runs."""
        return cls.model_validate({"link": path.peering, **choices})

    def acts_on(self, site: FaultSite) -> Iterable[str]:
        """Return the nodes of both ends."""
        node, interface = self.end(site)
        for link in site.topology.links:
            if (node, interface) in ((e.node, e.interface) for e in link.endpoints):
                return [e.node for e in link.endpoints]
        return [node]

    def end(self, site: FaultSite) -> tuple[str, str]:
        """Return the named end as node and interface."""
        return link_end(site.topology, self.link)


def link_end(topology: Topology, text: str) -> tuple[str, str]:
    """Return the end `NODE:INTERFACE` of a link; raises `InputError` with all ends if it does not exist."""
    ends = [f"{e.node}:{e.interface}" for link in topology.links for e in link.endpoints]
    if text not in ends:
        raise InputError(f"no link has the end {text!r}; there are {', '.join(ends) or 'none'}")
    node, _, interface = text.partition(":")
    return node, interface


def fault_fields(fault: FaultKind) -> dict[str, Any]:
    """Return a fault's fields as JSON data."""
    return fault.model_dump(mode="json", by_alias=True)
