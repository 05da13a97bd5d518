"""Impairment of a link at run time; it replaces the one that the topology declares."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lab.core.errors import InputError
from lab.fault.base import FaultAction, FaultSite, OnLink
from lab.impair.oneway import OneWay, apply, undo
from lab.topology import Endpoint, Impairment, Link, Topology

_HOME = "relays"
"""Directory for the counters of relays, in the lab's directory."""


class Impaired(OnLink):
    """An impairment of a link; undoing it restores the one that was in force before, or the declared one."""

    kind = "impair"
    summary = "a link delays, loses, duplicates, reorders or rate-limits packets, in both directions or one"

    only: Literal["both", "leaving"] = "both"
    """Both directions, or only the packets that leave the named end."""
    delay: float = Field(default=0, ge=0, le=60_000)
    """Milliseconds until a packet arrives."""
    jitter: float = Field(default=0, ge=0, le=60_000)
    """Milliseconds by which the delay varies at most, up and down."""
    loss: float = Field(default=0, ge=0, le=100)
    """Percent of the packets that do not arrive."""
    rate: int | None = Field(default=None, ge=8, le=100_000_000)
    """Kilobits per second at most."""
    duplicate: float = Field(default=0, ge=0, le=100)
    """Percent of the packets that arrive twice."""
    reorder: float = Field(default=0, ge=0, le=100)
    """Percent of the packets that are not delayed, and so overtake others."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        self.impairment()
        return self

    def __str__(self) -> str:
        which = "both ways" if self.only == "both" else "leaving"
        return f"{self.link}, {which}: {self.impairment()}"

    def impairment(self) -> Impairment:
        """Return the impairment."""
        return Impairment(**{name: getattr(self, name) for name in Impairment.model_fields})

    def affects(self, way: OneWay) -> bool:
        """Return whether this fault impairs a direction of a link."""
        return self.link == way.sender or (self.only == "both" and self.link == way.receiver)

    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that impairs the link; both its nodes must run."""
        ways = [way for way, _ in self._ways(site)]
        return FaultAction(lambda: _apply_to_all(ways, self.impairment()))

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        """Return the action that restores the impairment without this fault."""
        before = [(way, requested_impairment(site, way, declared, without=self)) for way, declared in self._ways(site)]

        def do() -> None:
            for way, impairment in before:
                if impairment is None:
                    undo(way)
                else:
                    apply(way, impairment)

        return FaultAction(do)

    def _ways(self, site: FaultSite) -> list[tuple[OneWay, Impairment | None]]:
        self.end(site)
        ways = [(way, declared) for way, declared in ways_of(site) if self.affects(way)]
        if not ways:
            raise InputError(f"{self.link} is not an end of a link between two nodes: only these can be impaired")
        return ways


def ways_of(site: FaultSite) -> Iterator[tuple[OneWay, Impairment | None]]:
    """Yield both directions of every link, each with its declared impairment."""
    for link, leaving, arriving in directions(site.topology):
        yield way_of(site, leaving, arriving), link.impairment(leaving)


def way_of(site: FaultSite, leaving: Endpoint, arriving: Endpoint) -> OneWay:
    """Return one direction of a link; both its nodes must run."""
    return OneWay(
        sender=f"{leaving.node}:{leaving.interface}",
        receiver=f"{arriving.node}:{arriving.interface}",
        sender_namespace=site.running(leaving.node).namespace,
        receiver_namespace=site.running(arriving.node).namespace,
        home=site.directory / _HOME,
    )


def directions(topology: Topology) -> Iterator[tuple[Link, Endpoint, Endpoint]]:
    """Yield both directions of every link between two nodes: the link, its sending and its receiving end."""
    for link in topology.links:
        if len(link.endpoints) == 2:
            one, other = link.endpoints
            yield link, one, other
            yield link, other, one


def requested_impairment(
    site: FaultSite, way: OneWay, declared: Impairment | None, *, without: Impaired | None = None
) -> Impairment | None:
    """Return the impairment of a direction that is to be in force: the one applied last, or the declared one."""
    for record in site.faults[::-1]:
        if isinstance(record.fault, Impaired) and record.fault != without and record.fault.affects(way):
            return record.fault.impairment()
    return declared


def apply_declared(site: FaultSite, links: Collection[Link]) -> None:
    """Apply the impairments that the topology declares of these links."""
    for link, leaving, arriving in directions(site.topology):
        if link in links and (declared := link.impairment(leaving)) is not None:
            apply(way_of(site, leaving, arriving), declared)


def _apply_to_all(ways: list[OneWay], impairment: Impairment) -> None:
    for way in ways:
        apply(way, impairment)
