"""The prefixes that routing daemons bring to each router, by the sessions and policies in their files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from lab.configs.routing.acceptance import Lengths
from lab.configs.routing.facts import BgpNeighbor, InteriorInterface
from lab.configs.routing.judged import RouteSource, RoutingConfiguration
from lab.core.prefixes import Prefix, family_of
from lab.routing import Peer, RouterPlan, plan_routers
from lab.topology import Endpoint, Topology
from lab.topology.segments import endpoints_of

Answer = bool | None
"""True if a prefix passes, False if not, None if the files do not tell."""


@dataclass(frozen=True)
class Arrival:
    """A prefix that should be in a router's FIB, or may be."""

    router: str
    prefix: Prefix
    origin: str
    """The router that announces it."""
    certain: bool
    """False if a policy on the way cannot be judged."""


@dataclass(frozen=True)
class _At:
    """A router that has the prefix, and how it came there."""

    node: str
    path: tuple[int | None, ...]
    """The autonomous systems on the way, the last one first."""
    internal: bool
    """It came by iBGP."""
    sender: str | None


@dataclass(frozen=True)
class Sessions:
    """The routers of a topology with their sessions."""

    topology: Topology
    configurations: Mapping[str, RoutingConfiguration]
    """The configurations of the daemons, by node, as far as their files can be read."""

    @cached_property
    def plans(self) -> Mapping[str, RouterPlan]:
        """The routers that the lab runs."""
        return plan_routers(self.topology)

    def neighbors(self) -> Iterator[tuple[str, str]]:
        """Return the pairs of a router and the node of a neighbour, once for each direction."""
        for name, plan in self.plans.items():
            for other in dict.fromkeys(peer.node for peer in plan.peers):
                if not self.topology.nodes[other].external:
                    yield name, other

    def arrivals(self) -> list[Arrival]:
        """Return the prefixes that come to each router from another one, as far as policies let them."""
        best: dict[tuple[str, Prefix], Arrival] = {}
        for origin, plan in self.plans.items():
            for prefix, source in self._originated(origin, plan):
                for node, certain in self._spread(origin, prefix, source).items():
                    if node == origin or self._has_already(node, prefix):
                        continue
                    found = Arrival(node, prefix, origin, certain)
                    known = best.get((node, prefix))
                    if known is None or (certain and not known.certain):
                        best[node, prefix] = found
        return list(best.values())

    # --- origins ---------------------------------------------------------------------------------------------

    def _originated(self, name: str, plan: RouterPlan) -> Iterator[tuple[Prefix, RouteSource]]:
        if plan.own is None or plan.protocol == "bgp":
            yield from ((prefix, "own") for prefix in plan.networks)
        if plan.own is not None:
            connected = [a.network for e in endpoints_of(self.topology, name) for a in e.addresses]
            yield from ((p, "connected") for p in dict.fromkeys(connected) if p not in plan.networks)

    def _has_already(self, node: str, prefix: Prefix) -> bool:
        """Return whether a router has a route to a prefix without any neighbour."""
        held = {a.network for e in endpoints_of(self.topology, node) for a in e.addresses}
        static = {route.to for route in self.topology.nodes[node].intent.routes}
        configuration = self.configurations.get(node)
        given = configuration.static_prefixes if configuration and self.plans[node].own else frozenset()
        return prefix in {*held, *static, *given, *self.plans[node].networks}

    # --- the way of a prefix ---------------------------------------------------------------------------------

    def _spread(self, origin: str, prefix: Prefix, source: RouteSource) -> Mapping[str, bool]:
        """Return the routers to which a prefix comes: True for certain, False if a policy cannot be judged."""
        found: dict[str, bool] = {origin: True}
        start = _At(origin, (), internal=False, sender=None)
        for certain in (True, False):
            seen = {(origin, False)}
            todo = [start]
            while todo:
                here = todo.pop(0)
                for there, answer in self._next(here, prefix, source if here.node == origin else "learned"):
                    key = (there.node, there.internal)
                    if key in seen or answer is False or (certain and answer is None):
                        continue
                    seen.add(key)
                    found.setdefault(there.node, certain)
                    todo.append(there)
        return found

    def _next(self, here: _At, prefix: Prefix, source: RouteSource) -> Iterator[tuple[_At, Answer]]:
        sender = self.plans[here.node]
        for name, receiver in self.plans.items():
            if name == here.node or receiver.protocol != sender.protocol:
                continue
            out = [peer for peer in sender.peers if peer.node == name]
            into = [peer for peer in receiver.peers if peer.node == here.node]
            if not out or not into:
                continue
            if sender.protocol == "bgp":
                yield from self._by_bgp(here, name, prefix, source)
            elif self._announces_inside(here.node, prefix, source):
                there = _At(name, (), internal=False, sender=here.node)
                yield there, _any(self._installs(name, peer, prefix) for peer in into)

    def _by_bgp(self, here: _At, name: str, prefix: Prefix, source: RouteSource) -> Iterator[tuple[_At, Answer]]:
        sender, receiver = self.plans[here.node], self.plans[name]
        internal = sender.asn == receiver.asn
        path = here.path if internal else (sender.asn, *here.path)
        out = [peer for peer in sender.peers if peer.node == name]
        into = [peer for peer in receiver.peers if peer.node == here.node]
        allowed = max((peer.allowas_in or 0 for peer in into), default=0)
        if path.count(receiver.asn) > allowed:
            return
        answers = [_any(self._sends(here.node, peer, prefix, source) for peer in out)]
        answers.append(_any(self._accepts(name, peer, prefix) for peer in into))
        if internal and here.internal:
            answers.append(self._reflects(sender, name, here.sender))
        yield _At(name, path, internal=internal, sender=here.node), _all(answers)

    def _sends(self, name: str, peer: Peer, prefix: Prefix, source: RouteSource) -> Answer:
        plan = self.plans[name]
        if family_of(prefix) not in peer.families:
            return False
        if plan.own is None:
            return source != "connected"
        configuration, neighbor = self._neighbor(name, peer)
        return configuration.announces(neighbor, prefix, source) if configuration and neighbor else None

    def _accepts(self, name: str, peer: Peer, prefix: Prefix) -> Answer:
        plan = self.plans[name]
        if family_of(prefix) not in peer.families:
            return False
        if plan.own is None:
            return _lab_accepts(plan, peer, prefix)
        configuration, neighbor = self._neighbor(name, peer)
        if configuration is None or neighbor is None:
            return None
        return configuration.accepts(neighbor, prefix.network_address, _exactly(prefix)).answer

    @staticmethod
    def _reflects(sender: RouterPlan, receiver: str, learnt_from: str | None) -> Answer:
        if sender.own is not None:
            return None
        return any(peer.reflects for peer in sender.peers if peer.node in (receiver, learnt_from))

    def _neighbor(self, name: str, peer: Peer) -> tuple[RoutingConfiguration | None, BgpNeighbor | None]:
        configuration = self.configurations.get(name)
        if configuration is None:
            return None, None
        running = [n for n in configuration.neighbors if not n.disabled and n.vrf is None]
        same = [n for n in running if n.address is not None and n.address == peer.address]
        same += [n for n in running if n.range is not None and peer.address is not None and _within(peer, n.range)]
        same += [n for n in running if n.address is None and n.range is None and n.interface == peer.interface]
        near = [n for n in same if peer.interface in (n.interface, n.source_interface)]
        return configuration, next(iter([*near, *same]), None)

    # --- OSPF and RIP ----------------------------------------------------------------------------------------

    def _announces_inside(self, name: str, prefix: Prefix, source: RouteSource) -> bool:
        """Return whether OSPF or RIP announces a prefix: of files of the user's, the network of an interface."""
        plan = self.plans[name]
        if plan.own is None or source != "connected":
            return True
        configuration = self.configurations.get(name)
        ends = [e for e in endpoints_of(self.topology, name) if prefix in {a.network for a in e.addresses}]
        version = {"ospf": 4, "rip": 4, "ospf6": 6, "ripng": 6}
        return configuration is not None and any(
            version[found.protocol] == prefix.version and found.vrf is None and _runs_on(found, end)
            for found in configuration.interior
            for end in ends
        )

    def _installs(self, name: str, peer: Peer, prefix: Prefix) -> Answer:
        plan = self.plans[name]
        if family_of(prefix) not in peer.families:
            return False
        if plan.own is None:
            return _lab_accepts(plan, peer, prefix)
        configuration = self.configurations.get(name)
        if configuration is None:
            return None
        answers = [
            configuration.installs(found, prefix.network_address, peer.interface, _exactly(prefix)).answer
            for found in configuration.interior
            if found.vrf is None
        ]
        return _any(answers) if answers else None


def _lab_accepts(plan: RouterPlan, peer: Peer, prefix: Prefix) -> bool:
    """Return whether a router that the lab configures accepts a prefix: its list, and the recursion filter."""
    guarded = peer.guarded and any(a in prefix for a in plan.outer if a.version == prefix.version)
    return bool(plan.accepted([prefix])) and not guarded


def _runs_on(found: InteriorInterface, end: Endpoint) -> bool:
    if found.name is not None:
        excluded = any(fnmatchcase(end.interface, pattern) for pattern in found.excluded)
        return fnmatchcase(end.interface, found.name) and not excluded
    prefix = found.prefix
    return prefix is not None and any(a.version == prefix.version and a.ip in prefix for a in end.addresses)


def _within(peer: Peer, prefix: Prefix) -> bool:
    return peer.address is not None and peer.address.version == prefix.version and peer.address in prefix


def _exactly(prefix: Prefix) -> Lengths:
    return Lengths(prefix.prefixlen, prefix.prefixlen)


def _any(answers: Iterable[Answer]) -> Answer:
    found = set(answers)
    return True if True in found else None if None in found else False


def _all(answers: Iterable[Answer]) -> Answer:
    found = set(answers)
    return False if False in found else None if None in found else True
