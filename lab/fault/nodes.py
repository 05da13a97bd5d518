"""Faults of whole nodes and of their routing daemons."""

import os
import signal
import socket
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any, Self

from pyroute2 import NetlinkError, NFCTSocket

from lab.core.errors import InputError, NotSupported
from lab.core.prefixes import FAMILIES
from lab.engine import NodeState
from lab.fault.base import FaultAction, FaultKind, FaultSite
from lab.fault.path import PathEffect, RouterPath


class _OnNode(FaultKind):
    """A fault of a node."""

    node: str
    """The node."""

    @classmethod
    def on_path(cls, path: RouterPath, **choices: Any) -> Self:
        """Return the fault of the far router."""
        return cls.model_validate({"node": path.far, **choices})

    def acts_on(self, site: FaultSite) -> Iterable[str]:
        """Return the node."""
        return [self.node]


class NodePaused(_OnNode):
    """All processes of a node are frozen; its kernel still forwards, answers pings and acknowledges TCP."""

    kind = "node-paused"
    summary = "all processes of a node are frozen (its kernel still forwards); undone: they continue"
    effect = PathEffect(silent=True, breaks_router=True)

    def __str__(self) -> str:
        return f"{self.node} paused"

    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that pauses the node, which must run."""
        instance = site.running(self.node).instance
        state = site.nodes[self.node].state
        if state is not NodeState.RUNNING:
            raise InputError(f"node {self.node!r} is {state}: it cannot be paused")
        return FaultAction(lambda: site.engine.pause(instance))

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        """Return the action that resumes the node, if it is paused."""
        instance = site.running(self.node).instance
        paused = site.nodes[self.node].state is NodeState.PAUSED
        return FaultAction(lambda: site.engine.resume(instance) if paused else None)


class DaemonKilled(_OnNode):
    """All processes of a routing daemon are killed; its routes stay in the kernel."""

    kind = "daemon-killed"
    summary = "a router's routing daemon killed (SIGKILL), with all its processes; undone: restarted, prefixes restored"
    effect = PathEffect(breaks_router=True)

    def __str__(self) -> str:
        return f"routing daemon of {self.node} killed"

    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that kills the processes, with the originated prefixes to restore."""
        router = site.router(self.node)
        running = router.running
        pids = router.daemon.processes(running)
        if not pids or not router.daemon.is_running(running):
            raise InputError(f"the routing daemon of {self.node!r} does not run: there is nothing to kill")
        host_pids = running.host_pids(pids)
        originated = [str(p) for family in FAMILIES for p in sorted(router.daemon.originated(running, family), key=str)]

        def do() -> None:
            for pid in host_pids:
                os.kill(pid, signal.SIGKILL)

        return FaultAction(do, then=lambda: router.daemon.stop(running), kept={"originated": originated})

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        """Return the action that starts the daemon and originates the same prefixes again."""
        router = site.router(self.node)

        def do() -> None:
            if router.daemon.is_running(router.running):
                return
            router.daemon.stop(router.running)  # processes left by a daemon that has only partly ended
            router.daemon.start(router.running, router.plan)

        def then() -> None:
            before = {ip_network(text) for text in kept.get("originated", ())}
            now = {p for family in FAMILIES for p in router.daemon.originated(router.running, family)}
            if missing := before - now:
                router.announce(missing)

        return FaultAction(do, then)


class ConnectionsForgotten(_OnNode):
    """A NAT or stateful firewall loses its connection table, as by a restart or when the table is full."""

    kind = "connections-forgotten"
    summary = "a node's connection tracking table is flushed, with NAT and firewall state; new connections are tracked"
    lasting = False

    def __str__(self) -> str:
        return f"connections that {self.node} tracks forgotten"

    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that flushes the table, which must have an entry."""
        namespace = site.running(self.node).namespace
        if not namespace.run(_count_tracked):
            raise InputError(f"node {self.node!r} tracks no connection: there is nothing to forget")
        return FaultAction(lambda: namespace.run(_flush))


class BgpReset(_OnNode):
    """The sessions with a neighbour are closed (RFC 4271, section 8.1.2: AutomaticStop) and established again."""

    kind = "bgp-reset"
    summary = "a router's BGP sessions with a neighbour (or all) are closed; they are established again by themselves"
    lasting = False
    effect = PathEffect(outcome="returns")

    neighbor: str | None = None
    """A node; by default all neighbours."""

    @classmethod
    def on_path(cls, path: RouterPath, **choices: Any) -> Self:
        """Return the fault of the far router's sessions with the near one."""
        return super().on_path(path, neighbor=path.near, **choices)

    def __str__(self) -> str:
        return f"BGP of {self.node} with {self.neighbor or 'all neighbours'} reset"

    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that resets the sessions; the neighbour must be configured."""
        router = site.router(self.node)
        return FaultAction(router.resetting(self.neighbor, soft=False))


class BgpSoftReset(BgpReset):
    """All routes are exchanged again while the sessions stay up (RFC 2918)."""

    kind = "bgp-soft-reset"
    summary = "a router and a neighbour (or all) exchange all routes again; the sessions stay up"
    effect = PathEffect(outcome="nothing")

    def __str__(self) -> str:
        return f"routes of {self.node} with {self.neighbor or 'all neighbours'} refreshed"

    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that resets the sessions; the neighbour must be configured."""
        router = site.router(self.node)
        return FaultAction(router.resetting(self.neighbor, soft=True))


def _count_tracked() -> int:
    """Return the number of connections that the kernel tracks in this namespace (ctnetlink)."""
    try:
        with NFCTSocket(nfgen_family=socket.AF_UNSPEC) as tracker:
            return sum(1 for _ in tracker.dump())
    except (OSError, NetlinkError) as error:
        raise NotSupported("nf_conntrack_netlink", str(error)) from error


def _flush() -> None:
    with NFCTSocket(nfgen_family=socket.AF_UNSPEC) as tracker:
        tracker.flush()
