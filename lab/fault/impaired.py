"""Link conditions at run time, in the place of those that the topology declares."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lab.core.errors import InputError
from lab.fault.base import FaultAction, FaultSite, OnLink
from lab.impair.oneway import OneWay, apply, undo
from lab.topology import Endpoint, Impairment, Link, Topology

_HOME = "relays"
"""Where relays tell what they have done, in the lab's directory."""


class Impaired(OnLink):
    """A link does something to its packets; what was declared, or set before, comes back when it is undone."""

    kind = "impair"
    summary = "a link delays, loses, doubles, reorders or slows down packets: both ways, or what leaves the named end"

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
        self.wanted()
        return self

    def __str__(self) -> str:
        which = "both ways" if self.only == "both" else "leaving"
        return f"{self.link}, {which}: {self.wanted()}"

    def wanted(self) -> Impairment:
        """What the link does."""
        return Impairment(**{name: getattr(self, name) for name in Impairment.model_fields})

    def concerns(self, way: OneWay) -> bool:
        """Whether this is about the packets that go this way."""
        return self.link == way.sender or (self.only == "both" and self.link == way.receiver)

    def prepare(self, site: FaultSite) -> FaultAction:
        """Both ends have to be there."""
        ways = [way for way, _ in self._ways(site)]
        return FaultAction(lambda: _apply_to_all(ways, self.wanted()))

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        """The way it was without this."""
        before = [(way, asked_of(site, way, declared, without=self)) for way, declared in self._ways(site)]

        def do() -> None:
            for way, wanted in before:
                if wanted is None:
                    undo(way)
                else:
                    apply(way, wanted)

        return FaultAction(do)

    def _ways(self, site: FaultSite) -> list[tuple[OneWay, Impairment | None]]:
        self.end(site)
        ways = [(way, declared) for way, declared in ways_of(site) if self.concerns(way)]
        if not ways:
            raise InputError(f"{self.link} is no end of a link between two nodes: nothing leaves it")
        return ways


def ways_of(site: FaultSite) -> Iterator[tuple[OneWay, Impairment | None]]:
    """Both directions of every link, each with what is declared of it."""
    for link, leaving, arriving in directions(site.topology):
        yield way_of(site, leaving, arriving), link.impairment(leaving)


def way_of(site: FaultSite, leaving: Endpoint, arriving: Endpoint) -> OneWay:
    """One direction of a link; both its nodes have to run."""
    return OneWay(
        sender=f"{leaving.node}:{leaving.interface}",
        receiver=f"{arriving.node}:{arriving.interface}",
        sender_namespace=site.running(leaving.node).namespace,
        receiver_namespace=site.running(arriving.node).namespace,
        home=site.directory / _HOME,
    )


def directions(topology: Topology) -> Iterator[tuple[Link, Endpoint, Endpoint]]:
    """Both directions of every link: its end that packets leave, and the one that they come to."""
    for link in topology.links:
        if len(link.endpoints) == 2:
            one, other = link.endpoints
            yield link, one, other
            yield link, other, one


def asked_of(
    site: FaultSite, way: OneWay, declared: Impairment | None, *, without: Impaired | None = None
) -> Impairment | None:
    """What a link is asked to do to packets that go this way: what was set last, or else what is declared."""
    for record in site.faults[::-1]:
        if isinstance(record.fault, Impaired) and record.fault != without and record.fault.concerns(way):
            return record.fault.wanted()
    return declared


def apply_declared(site: FaultSite) -> None:
    """Have all links do what the topology declares."""
    for link, leaving, arriving in directions(site.topology):
        if (declared := link.impairment(leaving)) is not None:
            apply(way_of(site, leaving, arriving), declared)


def _apply_to_all(ways: list[OneWay], wanted: Impairment) -> None:
    for way in ways:
        apply(way, wanted)
