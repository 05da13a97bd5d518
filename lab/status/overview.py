"""Status of a lab as data: nodes, tunnels, sessions, faults and impaired links.

A dead node or process raises no error: its row has the reason.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from lab.core.errors import LabError
from lab.engine import Instance, Namespace, NodeState
from lab.engine.devices import devices
from lab.fault.base import Record, fault_fields
from lab.fault.impaired import directions, requested_impairment, way_of
from lab.impair.oneway import Mechanism, read_mechanisms
from lab.routing import DOWN, BfdState, Neighbor, Peer, RouterPlan, State, plan_routers
from lab.runtime.lab import Lab
from lab.topology import Address, Family, Impairment, Node, RoutingProtocol
from lab.tunnel import KERNEL_KIND, RunningTunnel


@dataclass(frozen=True)
class NodeStatus:
    """The status of a node."""

    name: str
    kind: str
    state: NodeState
    image: str | None
    role: str
    """`router`, `static router`, `host` or `bridge`."""
    daemon: str | None
    """The routing daemon of a router."""
    asn: int | None

    @property
    def up(self) -> bool:
        """True if the node runs."""
        return self.state is NodeState.RUNNING


@dataclass(frozen=True)
class TunnelReport:
    """The status of a tunnel; fields that are unknown while it is down are None."""

    name: str
    mode: str
    transport: str
    server: str
    client: str
    up: bool
    reason: str
    """Why it is down, from OpenVPN's log; empty if it is up."""
    real_address: str | None = None
    """The client's outer address and port, as the server sees it."""
    cipher: str | None = None
    mtu: int | None = None
    """MTU of the client's device."""
    channel: str | None = None
    """Where data is processed: `userspace`, or `kernel` (DCO), by the kinds of the devices. If the two ends differ,
    both are named, as in `kernel at hub, userspace at spoke1`."""
    connected_since: datetime | None = None
    uptime: float | None = None
    """Seconds since it was connected."""
    bytes_to_server: int | None = None
    bytes_to_client: int | None = None
    deprecated: str | None = None
    """Why its mode is deprecated; None if it is not."""


@dataclass(frozen=True)
class SessionReport:
    """The status of a BGP session, an OSPF adjacency or a RIP neighbour at one of its ends."""

    node: str
    neighbor: str
    """The node at the other end."""
    protocol: RoutingProtocol
    address: Address | None
    """None for a link-local address that was not heard yet."""
    asn: int | None
    state: State | None
    """None if the daemon does not answer."""
    uptime: float
    """Seconds since it was established; 0 if it is not."""
    prefixes_received: Mapping[Family, int]
    reason: str
    """Why it is not established, as reported by the daemon; empty if it is established or the reason is unknown."""
    bfd: BfdState | None = None
    """State of its BFD session; None without BFD, or if it is unknown."""

    @property
    def up(self) -> bool:
        """True if it is established."""
        return self.state is not None and self.state.up


@dataclass(frozen=True)
class FaultReport:
    """A fault in force."""

    number: int
    kind: str
    what: str
    """Description in a clause."""
    where: Mapping[str, Any]
    """Its fields with their values."""
    since: datetime


@dataclass(frozen=True)
class LinkReport:
    """The impairment of one direction of a link."""

    sender: str
    """The sending end, `NODE:INTERFACE`."""
    receiver: str
    asked: Impairment | None
    """The impairment that should be in force; None for none."""
    declared: bool
    """True if the topology declares it."""
    in_force: tuple[Mechanism, ...]
    """The mechanisms that the kernel has; empty without an impairment."""

    @property
    def consistent(self) -> bool:
        """True if the mechanisms in force are those that the impairment needs."""
        names = {mechanism.name for mechanism in self.in_force}
        return _needed_mechanisms(self.asked) == names or (bool(_needed_mechanisms(self.asked)) and "netem" in names)


@dataclass(frozen=True)
class LabReport:
    """The status of a lab."""

    lab: str
    topology: Path
    directory: Path
    up: bool
    """True if every node runs, every tunnel is connected and every session established."""
    nodes: tuple[NodeStatus, ...]
    tunnels: tuple[TunnelReport, ...]
    sessions: tuple[SessionReport, ...]
    faults: tuple[FaultReport, ...]
    """Faults in force, oldest first."""
    links: tuple[LinkReport, ...] = ()
    """The directions of links that are impaired or should be."""


def report(lab: Lab) -> LabReport:
    """Return the status of a lab."""
    nodes = _nodes(lab)
    down = _down(nodes)
    plans = plan_routers(lab.topology).values()
    # Each report queries one or two processes; in parallel they take as long as the slowest.
    with ThreadPoolExecutor() as pool:
        tunnels = tuple(pool.map(lambda tunnel: _tunnel(tunnel, down), lab.tunnels.values()))
        sessions = tuple(
            session for found in pool.map(lambda plan: _sessions(lab, plan, down), plans) for session in found
        )
    up = not down and all(t.up for t in tunnels) and all(s.up for s in sessions)
    faults = tuple(fault_report(record) for record in lab.faults)
    links = tuple(link_reports(lab))
    return LabReport(lab.name, lab.topology.file, lab.directory, up, nodes, tunnels, sessions, faults, links)


def tunnel_reports(lab: Lab) -> list[TunnelReport]:
    """Return the status of all tunnels, read one after the other."""
    down = _down(_nodes(lab))
    return [_tunnel(tunnel, down) for tunnel in lab.tunnels.values()]


def link_reports(lab: Lab, *, node: str | None = None) -> list[LinkReport]:
    """Return the directions of links that are impaired or should be, except those whose nodes do not run.

    With `node`, only those of its links.
    """
    found = []
    for link, leaving, arriving in directions(lab.topology):
        if node not in (None, leaving.node, arriving.node):
            continue
        declared = link.impairment(leaving)
        try:
            way = way_of(lab, leaving, arriving)
            asked, mechanisms = requested_impairment(lab, way, declared), tuple(read_mechanisms(way))
        except LabError:
            continue
        if asked is not None or mechanisms:
            is_declared = asked is not None and asked is declared
            found.append(LinkReport(way.sender, way.receiver, asked, is_declared, mechanisms))
    return found


def _needed_mechanisms(asked: Impairment | None) -> set[str]:
    """Return the mechanisms that an impairment needs without netem."""
    if asked is None:
        return set()
    needed = {"relay": asked.delay or asked.duplicate, "nftables": asked.loss, "tbf": asked.rate}
    return {name for name, value in needed.items() if value}


def fault_report(record: Record) -> FaultReport:
    """Return a fault in force as data."""
    return FaultReport(record.number, record.kind, str(record.fault), fault_fields(record.fault), record.since)


def _nodes(lab: Lab) -> tuple[NodeStatus, ...]:
    instances = lab.nodes
    return tuple(_node(node, instances.get(name)) for name, node in lab.topology.nodes.items())


def _down(nodes: Iterable[NodeStatus]) -> dict[str, NodeState]:
    return {node.name: node.state for node in nodes if not node.up}


def _node(node: Node, instance: Instance | None) -> NodeStatus:
    router = node.intent.router
    return NodeStatus(
        name=node.name,
        kind=node.kind,
        state=instance.state if instance else NodeState.ABSENT,
        image=instance.image if instance else node.image,
        role=_role(node),
        daemon=router.daemon if router and not node.external else None,
        asn=router.asn if router else None,
    )


def _role(node: Node) -> str:
    if node.kind == "bridge":
        return "bridge"
    if node.external:
        return "external"
    if node.intent.router:
        return "router"
    forwards = any(node.sysctls.get(key) == "1" for key in _FORWARDING)
    return "static router" if forwards else "host"


_FORWARDING = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.ipv6.conf.all.forwarding")


def _tunnel(tunnel: RunningTunnel, down: Mapping[str, NodeState]) -> TunnelReport:
    declared = tunnel.tunnel
    deprecated = tunnel.mode.traits.deprecated or None
    down_because = partial(
        TunnelReport,
        *(declared.name, declared.mode, declared.transport, declared.server, declared.client, False),
        deprecated=deprecated,
    )
    if ends := [f"{end} is {down[end]}" for end in (declared.server, declared.client) if end in down]:
        return down_because(", ".join(ends))
    try:
        status = tunnel.status()
        ours = [tunnel.server] if tunnel.external else [tunnel.server, tunnel.client]
        devices = {end.node.name: _device(end.node.namespace, tunnel.device(end.node.name)) for end in ours}
    except LabError as error:
        return down_because(str(error).removeprefix(f"{tunnel} is "))
    return TunnelReport(
        name=declared.name,
        mode=declared.mode,
        transport=declared.transport,
        server=declared.server,
        client=declared.client,
        up=True,
        reason="",
        real_address=status.real_address,
        cipher=status.cipher,
        mtu=list(devices.values())[-1][0],
        channel=_channel({node: kind for node, (_, kind) in devices.items()}),
        connected_since=status.connected_since,
        uptime=(datetime.now(UTC) - status.connected_since).total_seconds(),
        bytes_to_server=status.bytes_to_server,
        bytes_to_client=status.bytes_to_client,
        deprecated=deprecated,
    )


def _channel(kinds: Mapping[str, str]) -> str:
    """Return where data is processed, from the kinds of both ends' devices."""
    channels = {node: "kernel" if kind.startswith(KERNEL_KIND) else "userspace" for node, kind in kinds.items()}
    if len(set(channels.values())) == 1:
        return next(iter(channels.values()))
    return ", ".join(f"{channel} at {node}" for node, channel in channels.items())


def _device(namespace: Namespace, name: str) -> tuple[int | None, str]:
    """Return the MTU and the kind of a device; neither if it does not exist."""
    found = namespace.run(devices).get(name)
    return (found.mtu, found.kind) if found else (None, "")


def _sessions(lab: Lab, plan: RouterPlan, down: Mapping[str, NodeState]) -> list[SessionReport]:
    try:
        if plan.node in down:
            return [_unknown(plan, peer, f"{plan.node} is {down[plan.node]}") for peer in plan.peers]
        seen = lab.router(plan.node).neighbors()
    except LabError as error:
        return [_unknown(plan, peer, str(error)) for peer in plan.peers]
    found = [_session(plan, peer, next(filter(peer.matches, seen), None)) for peer in plan.peers]
    if plan.protocol == "bgp" and not all(session.up for session in found):
        refused = refused_by_md5(lab.router(plan.node).running.exec("cat", "/proc/net/netstat").stdout)
        if refused:
            found = [s if s.up else replace(s, reason=f"{s.reason}; {refused}".lstrip("; ")) for s in found]
    return found


def refused_by_md5(netstat: str) -> str:
    """Return how many segments a kernel refused by TCP MD5 (RFC 2385), from /proc/net/netstat; empty if none."""
    lines = [line.split() for line in netstat.splitlines() if line.startswith("TcpExt:")]
    counters = dict(zip(*lines[:2], strict=True)) if len(lines) > 1 else {}
    kinds = {
        "TCPMD5Failure": "wrong password",
        "TCPMD5NotFound": "no password",
        "TCPMD5Unexpected": "unexpected password",
    }
    counted = [f"{n} with {words}" for key, words in kinds.items() if (n := counters.get(key, "0")) != "0"]
    return f"the node refused TCP segments by TCP MD5 since its start: {', '.join(counted)}" if counted else ""


def _session(plan: RouterPlan, peer: Peer, neighbor: Neighbor | None) -> SessionReport:
    if neighbor is None:
        if plan.protocol == "bgp":
            return _unknown(plan, peer, "the daemon has no such neighbour configured")
        return _unknown(plan, peer, "", DOWN[plan.protocol])
    return SessionReport(
        node=plan.node,
        neighbor=peer.node,
        protocol=plan.protocol,
        address=neighbor.address,
        asn=neighbor.asn,
        state=neighbor.state,
        uptime=neighbor.uptime,
        prefixes_received=neighbor.prefixes_received,
        reason="" if neighbor.up else neighbor.last_reset,
        bfd=neighbor.bfd,
    )


def _unknown(plan: RouterPlan, peer: Peer, why: str, state: State | None = None) -> SessionReport:
    return SessionReport(plan.node, peer.node, plan.protocol, peer.address, peer.asn, state, 0.0, {}, why)
