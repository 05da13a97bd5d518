"""A node that runs a routing daemon: announce, withdraw, RIB, sessions, and expectations about them."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_interface
from typing import Self

from lab.core.errors import InputError, LabError
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import family_of, named, prefix_set
from lab.engine.node import RunningNode
from lab.routing import (
    DOWN,
    Attributes,
    BfdState,
    Direction,
    Neighbor,
    Path,
    Peer,
    Rib,
    RouterPlan,
    RoutingDaemon,
    State,
)
from lab.runtime.address_book import AddressBook
from lab.runtime.node import WITHIN, LabNode
from lab.runtime.questions import NoRoute, NoSession
from lab.topology import Address, Family, Interface, Prefix


@dataclass(frozen=True, eq=False)
class Router(LabNode):
    """A router by its name: `lab.router("hq")`."""

    plan: RouterPlan
    daemon: RoutingDaemon
    nodes: Mapping[str, RunningNode] = field(default_factory=dict)
    """All nodes of the lab, among which the neighbours of a router with files of the user's are looked for."""

    def announce(
        self,
        prefixes: Prefix | Iterable[Prefix],
        *,
        med: int | None = None,
        next_hop: Address | None = None,
        prepend: int = 0,
        through: str | None = None,
    ) -> Self:
        """Originate prefixes of either family.

        Attributes (see `Attributes`) are set for the neighbours on the interface `through`, by default for all. They
        also replace those of prefixes that are originated already.
        """
        attributes = Attributes(med=med, next_hop=next_hop, prepend=prepend)
        if attributes != Attributes():
            self._set_attributes(prefixes, attributes, "out", through)
        self.daemon.announce(self.running, self.plan, sorted(prefix_set(prefixes), key=str))
        return self

    def clear_attributes(self, prefixes: Prefix | Iterable[Prefix], *, through: str | None = None) -> Self:
        """Clear the attributes of prefixes for the neighbours on an interface, by default for all."""
        return self._set_attributes(prefixes, None, "out", through)

    def prefer(
        self, prefixes: Prefix | Iterable[Prefix], *, local_pref: int | None, through: str | None = None
    ) -> Self:
        """Set the LOCAL_PREF of routes from the neighbours on an interface; None restores the default."""
        attributes = Attributes(local_pref=local_pref) if local_pref is not None else None
        return self._set_attributes(prefixes, attributes, "in", through)

    def _set_attributes(
        self,
        prefixes: Prefix | Iterable[Prefix],
        attributes: Attributes | None,
        direction: Direction,
        through: str | None,
    ) -> Self:
        if self.plan.protocol != "bgp":
            raise InputError(f"{self.name} speaks {self.plan.protocol.upper()}: only BGP has these attributes")
        if through is not None and self.plan.own is not None:
            raise InputError(
                f"{self.name} runs with files of your own, which have the policies of its neighbours: the lab sets "
                "attributes for all of them only"
            )
        peers = [peer for peer in self.plan.peers if through in (None, peer.interface)]
        if not peers and self.plan.own is None:
            known = ", ".join(self.plan.interfaces) or "none"
            raise InputError(f"{self.name} has no neighbour on {through!r}; there are {known}")
        wanted = sorted(prefix_set(prefixes), key=str)
        self.daemon.set_attributes(self.running, self.plan, peers, wanted, attributes, direction)
        return self

    def withdraw(self, prefixes: Prefix | Iterable[Prefix]) -> Self:
        """Stop originating prefixes."""
        self.daemon.withdraw(self.running, self.plan, sorted(prefix_set(prefixes), key=str))
        return self

    @contextmanager
    def announced(self, prefixes: Prefix | Iterable[Prefix]) -> Iterator[None]:
        """Originate prefixes during the block."""
        self.announce(prefixes)
        try:
            yield
        finally:
            self.withdraw(prefixes)

    @contextmanager
    def serving(self, prefix: Prefix, host: LabNode) -> Iterator[Address]:
        """Give a host behind this router an address in a prefix during the block; yields the address."""
        address = self.serve(prefix, host)
        try:
            yield address
        finally:
            self.stop_serving(prefix, host)

    def serve(self, prefix: Prefix, host: LabNode) -> Address:
        """Add addresses in a prefix to this router and to a host on one of its links; returns the host's."""
        (here, ours), (there, theirs) = self._ends_in(prefix, host)
        self.running.add_addresses(here, [ours])
        host.running.add_addresses(there, [theirs])
        return theirs.ip

    def stop_serving(self, prefix: Prefix, host: LabNode) -> None:
        """Remove the addresses that `serve` added."""
        (here, ours), (there, theirs) = self._ends_in(prefix, host)
        self.running.remove_addresses(here, [ours])
        host.running.remove_addresses(there, [theirs])

    def reset(self, other: "LabNode | str | None" = None, *, soft: bool = False) -> Self:
        """Close the BGP sessions with another node, or with all, so that they are established again.

        With `soft` the sessions stay up, and all routes are exchanged again (RFC 2918).
        """
        self.resetting(other, soft=soft)()
        return self

    def resetting(self, other: "LabNode | str | None" = None, *, soft: bool = False) -> Callable[[], None]:
        """Return the function that resets the sessions; raises `InputError` if none is configured."""
        if self.plan.protocol != "bgp":
            raise InputError(f"{self.name} speaks {self.plan.protocol.upper()}: only BGP has sessions to be reset")
        if self.plan.own is None:
            peers = [peer for peer in self.plan.peers if other is None or peer.node == str(other)]
        else:
            peers = [_peer_of(node, n) for node, n in self.sessions() if other is None or node == str(other)]
        if not peers:
            raise InputError(f"{self.name} has no session with {other or 'any node'} configured")
        return lambda: self.daemon.reset(self.running, self.plan, peers, soft=soft)

    def neighbors(self) -> Sequence[Neighbor]:
        """Return the BGP sessions, OSPF adjacencies or RIP neighbours of this router."""
        return self.daemon.neighbors(self.running)

    def neighbor(self, other: "LabNode | str") -> Neighbor:
        """Return the session with another node; the first one if each family has its own."""
        return self.neighbors_at(other)[0]

    def neighbors_at(self, other: "LabNode | str") -> tuple[Neighbor, ...]:
        """Return all sessions or adjacencies with another node, IPv4 first."""
        found = tuple(neighbor for node, neighbor in self.sessions() if node == str(other))
        if not found:
            raise InputError(f"{self.name} has no session with {other} configured")
        return found

    def sessions(self) -> Sequence[tuple[str, Neighbor]]:
        """Return the sessions or adjacencies with the nodes at their other ends, IPv4 first.

        Of a router with files of the user's these are all that its daemon has; a node is found by the neighbour's
        address, and is empty if no node of the lab has it.
        """
        seen = self.neighbors()
        expected = [(p.node, n) for p in self.plan.peers if (n := self._find_neighbor(p, seen)) is not None]
        if self.plan.own is None:
            return expected
        book = AddressBook(self.topology, self.nodes)
        found = [(book.node_of(self.name, neighbor), neighbor) for neighbor in seen]
        found += [(node, neighbor) for node, neighbor in expected if neighbor not in seen]
        return sorted(found, key=lambda session: 4 if session[1].address is None else session[1].address.version)

    def receivers(self, prefix: Prefix) -> Sequence[str] | None:
        """Return the nodes to which this router announces a prefix by BGP, or their addresses; None if unknown."""
        found = self.daemon.receivers(self.running, self.plan, prefix)
        if found is None:
            return None
        nodes = {name: node for node, n in self.sessions() for name in (str(n.address), n.interface) if name and node}
        return [nodes.get(name.partition("%")[0], name) for name in found]

    def rib(self, family: Family) -> Rib:
        """Return the RIB of one family."""
        return self.daemon.rib(self.running, family)

    def expect_session(
        self,
        other: "LabNode | str",
        *,
        state: State | None = None,
        within: float = WITHIN,
        since: float | None = None,
    ) -> Neighbor:
        """Wait until all sessions or adjacencies with another node are in a state, by default up; returns the first."""
        return wait_for(
            Expectation(
                what=f"the {self.plan.protocol.upper()} session with {other} to be {state or 'up'}",
                node=self.name,
                look=lambda: self.neighbors_at(other),
                met=lambda found: all(n.up if state is None else n.state is state for n in found),
                seen=lambda found: ", ".join(map(_describe, found)),
                logs=self.running.files,
                explain=None if state else lambda: self.explain(NoSession(self.name, str(other))),
            ),
            within=within,
            since=since,
        )[0]

    def expect_sessions(self, others: Iterable[str], *, within: float = WITHIN, since: float | None = None) -> None:
        """Wait until the sessions or adjacencies with several nodes are up.

        One answer of the daemon counts for all of them: a router lists all of its neighbours in each.
        """
        since = time.monotonic() if since is None else since
        down = list(others)
        if len(down) > 1:
            try:
                seen = self.sessions()
            except LabError:  # the daemon may still be starting
                seen = ()
            if time.monotonic() <= since + within:
                states = {node: all(n.up for other, n in seen if other == node) for node, _ in seen}
                down = [other for other in down if not states.get(other, False)]
        for other in down:
            self.expect_session(other, within=within, since=since)

    def expect_bfd(
        self,
        other: "LabNode | str",
        *,
        state: BfdState = BfdState.UP,
        within: float = WITHIN,
        since: float | None = None,
    ) -> None:
        """Wait until the BFD sessions with another node are in a state; they take some seconds to come up."""
        wait_for(
            Expectation(
                what=f"BFD with {other} to be {state}",
                node=self.name,
                look=lambda: self.neighbors_at(other),
                met=lambda found: all(n.bfd is state for n in found),
                seen=lambda found: ", ".join(f"BFD {n.bfd or 'is not configured'}" for n in found),
                logs=self.running.files,
            ),
            within=within,
            since=since,
        )

    def expect_in_rib(
        self, prefixes: Prefix | Iterable[Prefix], *, within: float = WITHIN, since: float | None = None
    ) -> dict[Prefix, tuple[Path, ...]]:
        """Wait until the RIB has a valid path from a neighbour to all prefixes."""
        wanted = prefix_set(prefixes)
        return wait_for(
            Expectation(
                what=f"{named(wanted)} in the RIB",
                node=self.name,
                look=lambda: self._learnt_paths(wanted),
                met=lambda found: len(found) == len(wanted),
                seen=lambda found: f"{len(found)} of {len(wanted)}, without {named(wanted - found.keys())}",
                logs=self.running.files,
                explain=lambda: self.explain(NoRoute(self.name, wanted)),
            ),
            within=within,
            since=since,
        )

    def expect_not_in_rib(
        self, prefixes: Prefix | Iterable[Prefix], *, within: float = WITHIN, since: float | None = None
    ) -> None:
        """Wait until the RIB has no path from a neighbour to any of the prefixes."""
        unwanted = prefix_set(prefixes)
        wait_for(
            Expectation(
                what=f"{named(unwanted)} gone from the RIB",
                node=self.name,
                look=lambda: self._learnt_paths(unwanted),
                met=lambda left: not left,
                seen=lambda left: f"{len(left)} of {len(unwanted)} still there: {named(left)}",
                logs=self.running.files,
            ),
            within=within,
            since=since,
        )

    def expect_route(
        self,
        prefixes: Prefix | Iterable[Prefix],
        *,
        via: str | None = None,
        within: float = WITHIN,
        since: float | None = None,
    ) -> None:
        """Wait until all prefixes are in the RIB and in the kernel FIB, there through the interface `via`."""
        self.expect_in_rib(prefixes, within=within, since=since)
        self.expect_in_fib(prefixes, via=via, within=within, since=since)

    def expect_no_route(
        self, prefixes: Prefix | Iterable[Prefix], *, within: float = WITHIN, since: float | None = None
    ) -> None:
        """Wait until none of the prefixes is in the RIB or in the kernel FIB."""
        self.expect_not_in_rib(prefixes, within=within, since=since)
        self.expect_not_in_fib(prefixes, within=within, since=since)

    def _find_neighbor(self, peer: Peer, neighbors: Sequence[Neighbor]) -> Neighbor | None:
        """Return the daemon's entry for a peer, or one that is down; None if the user's files may have no such peer.

        OSPF and RIP list only neighbours that they have heard; a peer of BGP may have been removed from the daemon.
        """
        for neighbor in neighbors:
            if peer.matches(neighbor):
                return neighbor
        lists_all = self.plan.protocol == "bgp"
        if lists_all and self.plan.own is not None:
            return None
        reason = "the daemon has no such neighbour configured" if lists_all else ""
        return Neighbor(peer.address, None, DOWN[self.plan.protocol], 0.0, 0, {}, reason, peer.interface)

    def _learnt_paths(self, prefixes: frozenset[Prefix]) -> dict[Prefix, tuple[Path, ...]]:
        learnt: dict[Prefix, tuple[Path, ...]] = {}
        for family in {family_of(prefix) for prefix in prefixes}:
            for prefix, paths in self.rib(family).items():
                received = tuple(path for path in paths if path.peer is not None and path.valid)
                if prefix in prefixes and received:
                    learnt[prefix] = received
        return learnt

    def _ends_in(self, prefix: Prefix, host: LabNode) -> tuple[tuple[str, Interface], tuple[str, Interface]]:
        if prefix.num_addresses < 4:
            raise InputError(f"{prefix} is too small for a router and a host")
        ours, theirs = (ip_interface((prefix.network_address + offset, prefix.prefixlen)) for offset in (1, 2))
        return (self.interface_to(host).interface, ours), (host.interface_to(self).interface, theirs)


def _peer_of(node: str, neighbor: Neighbor) -> Peer:
    """Return a neighbour as the daemon names it: one on an interface by that."""
    address = neighbor.address
    if address is not None and address.is_link_local and neighbor.interface:
        address = None
    return Peer(node, address, neighbor.asn, neighbor.interface)


def _describe(neighbor: Neighbor) -> str:
    return f"{neighbor.state}" + (f", last reset: {neighbor.last_reset}" if neighbor.last_reset else "")
