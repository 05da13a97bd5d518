"""`route` and `no-route`: prefixes are in a node's RIB or in its kernel's FIB, or they are not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import Field, field_validator

from lab.check.model import Expected, Problem, Result, Start
from lab.check.problems import no_router, unknown_interface, unknown_node
from lab.check.waiting import pause, wait
from lab.core.expect import Expectation
from lab.core.prefixes import Address, Prefix, family_of, named, prefix_set
from lab.observe.fib import FibEntry
from lab.routing import Path
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.runtime.questions import NoRoute, explain
from lab.runtime.router import Router
from lab.topology import Topology, community_numbers

Table = Literal["fib", "rib", "both"]
_NOT_LEARNT = frozenset({"kernel", "boot", "static", "ra"})
"""Origins of kernel routes that no routing protocol brought."""


@dataclass(frozen=True)
class _Found:
    """The routes of a node to the wanted prefixes."""

    fib: Mapping[Prefix, FibEntry]
    rib: Mapping[Prefix, Sequence[Path]]
    others: frozenset[Prefix]
    """Further prefixes that routing protocols brought."""
    communities: Mapping[Prefix, frozenset[tuple[int, ...]]] = field(default_factory=dict)
    """Those of the best paths, if they are looked at."""


class _InTable(Expected):
    """Prefixes in a node's tables."""

    node: str
    """The node whose tables are read."""
    table: Table = Field(default="fib", alias="in")
    """The kernel's table (`fib`), the routing daemon's with what neighbours sent (`rib`), or `both`."""

    @property
    def place(self) -> str:
        """The node."""
        return self.node

    @property
    def where(self) -> str:
        """The tables in words."""
        return {"fib": "the FIB", "rib": "the RIB", "both": "the RIB and the FIB"}[self.table] + f" of {self.node}"

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown nodes, and nodes without a RIB."""
        if self.table == "fib":
            yield from unknown_node(topology, "node", self.node)
        else:
            yield from no_router(topology, "node", self.node)

    def look(self, lab: Lab, node: LabNode, wanted: frozenset[Prefix]) -> _Found:
        """Read the tables."""
        families = {family_of(prefix) for prefix in wanted}
        fib = node.fib.routes() if self.table != "rib" else {}
        rib: Mapping[Prefix, Sequence[Path]] = {}
        if self.table != "fib":
            router = node if isinstance(node, Router) else lab.router(self.node)
            rib = {
                p: learnt for family in families for p, paths in router.rib(family).items() if (learnt := _valid(paths))
            }
        brought = {p for p, entry in fib.items() if family_of(p) in families and entry.protocol not in _NOT_LEARNT}
        return _Found(
            {p: entry for p, entry in fib.items() if p in wanted},
            {p: paths for p, paths in rib.items() if p in wanted},
            frozenset((brought | rib.keys()) - wanted),
        )


class RoutePresent(_InTable):
    """Prefixes are in a node's tables."""

    kind = "route"
    summary = "a node has routes to prefixes, in its FIB or RIB, with next hop, interface and attributes"

    route: Prefix | tuple[Prefix, ...]
    """A prefix, or a list of prefixes."""
    interface: str | tuple[str, ...] | None = None
    """FIB: the interface of each route; a list for several paths (ECMP). No other interface may be used."""
    next_hop: Address | tuple[Address, ...] | None = None
    """The next hop of each route, in the FIB and of the best path in the RIB; no other may be used."""
    as_path: tuple[int, ...] | None = None
    """RIB: the AS path of the best path."""
    med: int | None = Field(default=None, ge=0)
    """RIB: MULTI_EXIT_DISC of the best path."""
    local_pref: int | None = Field(default=None, ge=0)
    """RIB: LOCAL_PREF of the best path."""
    communities: tuple[str, ...] = ()
    """RIB: communities of the best path, as 65001:100, 65001:1:100 or `no-export`; it may have others too."""
    exactly: bool = False
    """No other prefix of these families was brought by a routing protocol."""

    @field_validator("communities")
    @classmethod
    def _are_communities(cls, communities: tuple[str, ...]) -> tuple[str, ...]:
        for text in communities:
            community_numbers(text)
        return communities

    def __str__(self) -> str:
        attributes = [
            f"AS path {_as_path(self.as_path)}" if self.as_path is not None else "",
            f"MED {self.med}" if self.med is not None else "",
            f"LOCAL_PREF {self.local_pref}" if self.local_pref is not None else "",
            f"communities {' '.join(self.communities)}" if self.communities else "",
        ]
        wanted = ", ".join(filter(None, attributes))
        parts = [
            f"through {_either(self.interfaces)}" if self.interfaces else "",
            f"via {_either(self.next_hops)}" if self.next_hops else "",
            f"with {wanted}" if wanted else "",
            "and no other prefix" if self.exactly else "",
        ]
        return " ".join([named(self.prefixes), *filter(None, parts), "in", self.where])

    @property
    def prefixes(self) -> frozenset[Prefix]:
        """The prefixes."""
        return prefix_set(self.route)

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The interfaces; empty if any will do."""
        return (self.interface,) if isinstance(self.interface, str) else self.interface or ()

    @property
    def next_hops(self) -> tuple[Address, ...]:
        """The next hops; empty if any will do."""
        return self.next_hop if isinstance(self.next_hop, tuple) else (self.next_hop,) if self.next_hop else ()

    @property
    def attributes(self) -> list[str]:
        """The keys of attributes that are expected."""
        keys = ("as-path", "med", "local-pref", "communities")
        return [key for key in keys if getattr(self, key.replace("-", "_")) not in (None, ())]

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown names, and keys that the table does not have."""
        yield from super().problems(topology)
        if not self.prefixes:
            yield Problem("route", "no prefix is given", "write one, such as 10.1.0.0/24")
        if self.table == "rib" and self.interface is not None:
            yield Problem("interface", "a RIB has no interfaces", "leave `in` out, or say `in: both`")
        for key in self.attributes if self.table == "fib" else ():
            yield Problem(key, "a FIB has no path attributes", "say `in: rib` or `in: both`")
        yield from unknown_interface(topology, "interface", self.node, self.interfaces)

    def look(self, lab: Lab, node: LabNode, wanted: frozenset[Prefix]) -> _Found:
        """Read the tables, and the communities, for which the daemon is asked prefix by prefix."""
        found = super().look(lab, node, wanted)
        if not self.communities:
            return found
        router = node if isinstance(node, Router) else lab.router(self.node)
        asked = router.daemon.inquiry(router.running, router.plan)
        best = {prefix: asked.route(prefix).best for prefix in found.rib}
        return replace(found, communities={prefix: path.communities for prefix, path in best.items() if path})

    def check(self, lab: Lab, start: Start) -> Result:
        """Read the tables until they have what is expected."""
        node = lab.node(self.node)
        last: _Found | None = None

        def look() -> _Found:
            nonlocal last
            last = self.look(lab, node, self.prefixes)
            return last

        def cause() -> str:
            missing = self._missing(last) if last is not None else frozenset()
            return explain(lab, NoRoute(self.node, missing)) if missing else ""

        return wait(
            Expectation(
                what=str(self),
                node=self.node,
                look=look,
                met=lambda found: not self._wrong(found),
                seen=lambda found: "; ".join(self._wrong(found) or _lines(found)),
                logs=node.running.files,
                changed=node.fib.waiter() if self.table == "fib" else pause,
                explain=cause,
            ),
            start,
            evidence=_lines,
        )

    def _missing(self, found: _Found) -> frozenset[Prefix]:
        """Return the prefixes without any route: why a route is another one is not looked for."""
        in_fib = self.prefixes if self.table == "rib" else found.fib.keys()
        in_rib = self.prefixes if self.table == "fib" else found.rib.keys()
        return frozenset(p for p in self.prefixes if p not in in_fib or p not in in_rib)

    def _wrong(self, found: _Found) -> list[str]:
        """Return what is not as expected."""
        wrong = []
        for prefix in sorted(self.prefixes, key=str):
            if self.table != "rib":
                entry = found.fib.get(prefix)
                wrong += [f"{prefix} is not in the FIB"] if entry is None else self._wrong_entry(entry)
            if self.table != "fib":
                paths = found.rib.get(prefix)
                wrong += [f"{prefix} is not in the RIB"] if not paths else self._wrong_path(_best(paths))
                wrong += self._wrong_communities(prefix, found) if paths else []
        if self.exactly and found.others:
            wrong.append(f"also {named(found.others)}")
        return wrong

    def _wrong_entry(self, entry: FibEntry) -> list[str]:
        same_interface = not self.interfaces or set(entry.interfaces) == set(self.interfaces)
        same_hop = not self._hops_of(entry.prefix) or set(entry.next_hops) == set(self._hops_of(entry.prefix))
        return [] if same_interface and same_hop else [_entry_line(entry)]

    def _wrong_path(self, path: Path) -> list[str]:
        hops = self._hops_of(path.prefix)
        same = (
            (not hops or bool(set(path.next_hops) & set(hops)))
            and self.as_path in (None, path.as_path)
            and self.med in (None, path.med)
            and self.local_pref in (None, path.local_pref)
        )
        return [] if same else [_path_line(path)]

    def _wrong_communities(self, prefix: Prefix, found: _Found) -> list[str]:
        has = found.communities.get(prefix, frozenset())
        if {community_numbers(text) for text in self.communities} <= has:
            return []
        return [f"RIB: {prefix} with communities {_communities(has)}"]

    def _hops_of(self, prefix: Prefix) -> tuple[Address, ...]:
        """Return the expected next hops of a prefix's family; with one list for both, each family has its own."""
        return tuple(hop for hop in self.next_hops if hop.version == prefix.version)


class RouteAbsent(_InTable):
    """Prefixes are not in a node's tables."""

    kind = "no-route"
    summary = "a node has no route to prefixes, in its FIB or RIB"

    no_route: Prefix | tuple[Prefix, ...]
    """A prefix, or a list of prefixes; a route to a wider prefix, such as a default route, is not meant."""

    def __str__(self) -> str:
        return f"{named(self.prefixes)} not in {self.where}"

    @property
    def prefixes(self) -> frozenset[Prefix]:
        """The prefixes."""
        return prefix_set(self.no_route)

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown nodes, and an empty list."""
        yield from super().problems(topology)
        if not self.prefixes:
            yield Problem("no-route", "no prefix is given", "write one, such as 10.1.0.0/24")

    def check(self, lab: Lab, start: Start) -> Result:
        """Read the tables until they have none of the prefixes."""
        node = lab.node(self.node)
        return wait(
            Expectation(
                what=str(self),
                node=self.node,
                look=lambda: self.look(lab, node, self.prefixes),
                met=lambda found: not found.fib and not found.rib,
                seen=lambda found: "; ".join(_lines(found)) or "none",
                logs=node.running.files,
                changed=node.fib.waiter() if self.table == "fib" else pause,
            ),
            start,
        )


def _valid(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the valid paths that a neighbour sent."""
    return tuple(path for path in paths if path.peer is not None and path.valid)


def _best(paths: Sequence[Path]) -> Path:
    return next((path for path in paths if path.best), paths[0])


def _lines(found: _Found) -> list[str]:
    entries = [_entry_line(entry) for entry in found.fib.values()]
    paths = [_path_line(_best(paths)) for paths in found.rib.values()]
    return [*entries, *paths, *(f"RIB: {p} with communities {_communities(c)}" for p, c in found.communities.items())]


def _communities(numbers: Iterable[tuple[int, ...]]) -> str:
    return " ".join(sorted(":".join(map(str, community)) for community in numbers)) or "(none)"


def _entry_line(entry: FibEntry) -> str:
    via = f" via {_either(entry.next_hops)}" if entry.next_hops else ""
    return f"FIB: {entry.prefix}{via} dev {_either(entry.interfaces)} proto {entry.protocol}"


def _path_line(path: Path) -> str:
    attributes = [
        f"AS path {_as_path(path.as_path)}",
        f"MED {path.med}" if path.med is not None else "",
        f"LOCAL_PREF {path.local_pref}" if path.local_pref is not None else "",
    ]
    return f"RIB: {path.prefix} via {_either(path.next_hops)}, {', '.join(filter(None, attributes))}"


def _as_path(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers)) or "(empty)"


def _either(values: Iterable[object]) -> str:
    return " and ".join(map(str, values))
