"""`Asked`: a running router with its daemon's answers, and the sessions that it has with each node."""

from dataclasses import dataclass
from functools import cached_property, partial

from lab.engine.devices import addresses, addresses_of
from lab.routing import RoutingDaemon
from lab.routing.inquiry import BgpSession, Candidate, Inquiry
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.topology import Address
from lab.why.cause import Cause, Observation
from lab.why.nodes import node_stopped


@dataclass(frozen=True)
class Asked:
    """A router of a lab with its daemon's answers, which are cached for one explanation."""

    router: Router

    @property
    def name(self) -> str:
        """The node's name."""
        return self.router.name

    @property
    def daemon(self) -> RoutingDaemon:
        """Its routing daemon."""
        return self.router.daemon

    @cached_property
    def inquiry(self) -> Inquiry:
        """The answers of its daemon."""
        return self.daemon.inquiry(self.router.running, self.router.plan)

    @cached_property
    def sessions(self) -> tuple[tuple[str, BgpSession], ...]:
        """Its BGP sessions, each with the node at the other end; an empty name if no node of the lab is there."""
        nodes: dict[Address | str, str] = {}
        for node, neighbor in self.router.sessions():
            if node:
                nodes |= {key: node for key in (neighbor.address, neighbor.interface) if key}
        for peer in self.router.plan.peers:
            nodes.setdefault(peer.address or peer.interface, peer.node)
        return tuple((nodes.get(_key(s, nodes), ""), s) for s in self.inquiry.sessions())

    def sessions_with(self, other: str) -> list[BgpSession]:
        """Return the BGP sessions with a node."""
        return [session for node, session in self.sessions if node == other]

    def is_end_of(self, session: BgpSession, other: "Asked", its: BgpSession) -> bool:
        """Return whether a session of this router and one of another are the two ends of one, by their addresses."""
        here, there = its.address, session.address
        if here is not None and there is not None and here.version != there.version:
            return False
        return here in (None, *self.addresses) and there in (None, *other.addresses) and self._same_link(here, there)

    def _same_link(self, here: Address | None, there: Address | None) -> bool:
        """Return whether the address `here` is on the device that leads to `there`; True if that is not known."""
        if here is None or there is None or here.is_link_local:
            return True
        devices = self.devices_to(there)
        held = {a.ip for d in devices for a in self.router.running.namespace.run(partial(addresses_of, d))}
        return not held or here in held or here.version != there.version

    def sessions_on(self, other: str, interface: str | None) -> list[BgpSession]:
        """Return the BGP sessions with a node through an interface; through any with None."""
        sessions = self.sessions_with(other)
        return [s for s in sessions if interface is None or self.device_of(s) in (interface, "")]

    def device_of(self, session: BgpSession) -> str:
        """Return the interface that leads to a neighbour; empty if it is not known."""
        if session.interface:
            return session.interface
        peers = (p.interface for p in self.router.plan.peers if p.address == session.address and p.address is not None)
        return next(peers, "") or next(iter(self.devices_to(session.address)), "")

    def devices_to(self, address: Address | None) -> tuple[str, ...]:
        """Return the interfaces of the FIB's longest prefix that has an address."""
        routes = self.router.fib.routes().items()
        if address is None:
            return ()
        covering = [(p.prefixlen, e) for p, e in routes if p.version == address.version and address in p]
        return max(covering, key=lambda found: found[0])[1].interfaces if covering else ()

    def devices_of(self, candidate: Candidate) -> tuple[str, ...]:
        """Return the interfaces through which a path leads."""
        if candidate.interfaces:
            return candidate.interfaces
        if any(hop.is_link_local for hop in candidate.next_hops):  # its address does not tell on which link it is
            return tuple(self.device_of(s) for _, s in self.sessions if s.address == candidate.peer)
        return tuple(device for hop in candidate.next_hops for device in self.devices_to(hop))

    @cached_property
    def addresses(self) -> frozenset[Address]:
        """The addresses that the node has now."""
        return self.router.running.namespace.run(addresses)

    def saw(self, source: str, seen: str) -> Observation:
        """Return an observation at this node."""
        return Observation(self.name, source, seen)


def _key(session: BgpSession, nodes: dict[Address | str, str]) -> Address | str:
    if session.address is not None and session.address in nodes:
        return session.address
    return session.interface


def ask_router(lab: Lab, node: str) -> "Asked | Cause":
    """Return a router to be asked; the cause if its node or its daemon does not run."""
    if (stopped := node_stopped(lab, node)) is not None:
        return stopped
    router = lab.router(node)
    if not router.daemon.is_running(router.running):
        name = router.daemon.name
        log = router.daemon.start_log(router.running)
        return Cause(
            "daemon-down",
            node,
            f"{node}'s routing daemon, {name}, does not answer",
            f"start or resume it: `lab fault list` has the faults in force, {router.daemon.logs} its logs",
            (Observation(node, f"socket of {name}", "no answer"), Observation(node, "start.log", log)),
        )
    return Asked(router)
