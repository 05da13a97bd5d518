"""`fault`, `undo` and `impair`: something breaks on purpose, or works again."""

from collections.abc import Iterable
from typing import Literal

from pydantic import SerializeAsAny

from lab.check.model import Action, Problem
from lab.check.problems import unknown_link_end, unknown_node, unknown_tunnel
from lab.check.session import Session
from lab.fault import KINDS, FaultKind
from lab.fault.impaired import Impaired
from lab.topology import Impairment, Topology
from lab.topology.mistakes import did_you_mean, quote

ALL = "all"


class ApplyFault(Action):
    """A fault of any kind of `lab fault kinds`, whose fields are keys beside `fault`."""

    kind = "fault"
    summary = "a fault is applied, with the fields that `lab fault kinds` lists; undone at the end"

    fault: SerializeAsAny[FaultKind]
    """The kind of the fault; its fields are further keys, as in `{fault: link-down, link: "branch:eth1"}`."""

    def __str__(self) -> str:
        return str(self.fault)

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown tunnels, links and nodes among the fields."""
        yield from fault_problems(topology, self.fault)

    def run(self, session: Session) -> None:
        """Apply the fault."""
        session.apply(self.fault)


class Undo(Action):
    """Faults of this file are undone."""

    kind = "undo"
    summary = "faults that this file has applied are undone: those of a kind, or `all`"

    undo: str
    """The kind of the faults, such as blackhole, or `all`."""

    def __str__(self) -> str:
        return "undo all faults" if self.undo == ALL else f"undo {self.undo}"

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown kinds, and events, which need no undo."""
        if self.undo == ALL:
            return
        if self.undo not in KINDS:
            lasting = [name for name, kind in KINDS.items() if kind.lasting]
            hint = did_you_mean(self.undo, [*lasting, ALL]) or f"there are {', '.join(lasting)}, or {ALL}"
            yield Problem("undo", f"there is no fault {quote(self.undo)}", hint)
        elif not KINDS[self.undo].lasting:
            yield Problem("undo", f"{self.undo} is an event: there is nothing to undo", "leave it out")

    def run(self, session: Session) -> None:
        """Undo the faults, the latest first."""
        session.undo_faults(None if self.undo == ALL else self.undo)


class Impair(Impairment, Action):
    """A link delays, loses, duplicates, reorders or slows down packets."""

    kind = "impair"
    summary = "a link delays, loses, duplicates, reorders or slows down packets; undone at the end"

    impair: str
    """One end of the link, `NODE:INTERFACE`."""
    only: Literal["both", "leaving"] = "both"
    """Both directions, or only the packets that leave the named end."""

    def __str__(self) -> str:
        return f"impair {self.settings}"

    @property
    def settings(self) -> Impaired:
        """The impairment as a fault."""
        impairment = {name: getattr(self, name) for name in Impairment.model_fields}
        return Impaired(link=self.impair, only=self.only, **impairment)

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown links, and an impairment of nothing."""
        yield from unknown_link_end(topology, "impair", [self.impair])
        if not self.model_fields_set - {"impair", "only"}:
            yield Problem("impair", "nothing is impaired", f"give one of {', '.join(Impairment.model_fields)}")

    def run(self, session: Session) -> None:
        """Impair the link."""
        session.apply(self.settings)


def fault_problems(topology: Topology, fault: FaultKind) -> Iterable[Problem]:
    """Return the fields of a fault that name nothing in a topology."""
    tunnel, link, node = (getattr(fault, name, None) for name in ("tunnel", "link", "node"))
    yield from unknown_tunnel(topology, "tunnel", tunnel)
    if fault.needs_tunnel and tunnel is None and len(topology.tunnels) != 1:
        there = f"there are {', '.join(t.name for t in topology.tunnels)}" if topology.tunnels else "there is none"
        yield Problem("fault", "the tunnel is not named", f"add `tunnel: NAME`; {there}")
    if link is not None:
        yield from unknown_link_end(topology, "link", [link])
    if node is not None:
        yield from unknown_node(topology, "node", node)
    neighbor = getattr(fault, "neighbor", None)
    if neighbor is not None:
        yield from unknown_node(topology, "neighbor", neighbor)
