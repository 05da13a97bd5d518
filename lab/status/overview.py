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
from lab.observe.counters import REFUSED_BY_MD5, counters
from lab.routing import DOWN, BfdState, Neighbor, Peer, RouterPlan, State, daemon_of, plan_routers
from lab.routing.model import protocol_of
from lab.runtime.lab import Lab
from lab.topology import Address, Family, Impairment, Interface, Node, RoutingProtocol
from lab.topology.own import Remark
from lab.tunnel import KERNEL_KIND, OpenVpn, RunningTunnel
from lab.tunnel.reason import describe_end

_INIT = "init"
OUTSIDE = "(not in the lab)"
"""Shown for a neighbour outside the lab."""


@dataclass(frozen=True)
class NodeStatus:
    """The status of a node."""

    name: str
    kind: str
    state: NodeState
    image: str | None
    role: str
    """`router`, `static router`, `host`, `bridge`, `external`, or `init` for a node that ends before others start."""
    daemon: str | None
    """The routing daemon of a router."""
    asn: int | None
    health: str | None = None
    """`starting`, `healthy` or `unhealthy`; None without a health check. It does not count for `up`."""

    @property
    def up(self) -> bool:
        """True if the node runs, or has ended as it should."""
        return self.state is NodeState.RUNNING or (self.role == _INIT and self.state is NodeState.STOPPED)


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
    addresses: Mapping[str, tuple[Interface, ...]] | None = None
    """The addresses inside the tunnel at each of its two nodes."""
    deprecated: str | None = None
    """Why its mode is deprecated; None if it is not."""


@dataclass(frozen=True)
class ProcessReport:
    """The status of an OpenVPN process with a file of the user's that has no other end in the lab."""

    name: str
    node: str
    config: str
    """The user's file, as the topology names it."""
    role: str
    """`server`, `client` or `peer`."""
    up: bool
    """True if it runs."""
    state: str
    """The state that it reports, or why it does not run."""


@dataclass(frozen=True)
class SessionReport:
    """The status of a BGP session, an OSPF adjacency or a RIP neighbour at one of its ends."""

    node: str
    neighbor: str
    """The node at the other end; empty for a neighbour outside the lab, in the user's own files."""
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
    vrf: str | None = None
    """The VRF of the session; None for the default one."""

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
    remarks: tuple[Remark, ...] = ()
    """Differences from the user's own files: overrides, issued keys, lines that a daemon refused, unknown facts."""
    processes: tuple[ProcessReport, ...] = ()
    """The OpenVPN processes with files of the user's that have no other end in this lab."""


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
        processes = tuple(pool.map(lambda process: _process(process, down), lab.lone_processes.values()))
    up = (
        not down
        and all(t.up for t in tunnels)
        and all(p.up for p in processes)
        and all(s.up for s in sessions if s.neighbor)
    )
    faults = tuple(fault_report(record) for record in lab.faults)
    links = tuple(link_reports(lab))
    told = remarks(lab)
    return LabReport(
        lab.name, lab.topology.file, lab.directory, up, nodes, tunnels, sessions, faults, links, told, processes
    )


def remarks(lab: Lab) -> tuple[Remark, ...]:
    """Return what differs from the user's own files, with what the running daemons refused."""
    found = list(lab.topology.remarks)
    for name, plan in lab.plans.items():
        if plan.own is not None:
            try:
                found += daemon_of(plan).remarks(lab.running(name), plan)
            except (LabError, OSError):  # its node has ended
                continue
    return tuple(dict.fromkeys(found))


def tunnel_reports(lab: Lab) -> list[TunnelReport]:
    """Return the status of all tunnels, read one after the other."""
    down = _down(_nodes(lab))
    return [_tunnel(tunnel, down) for tunnel in lab.tunnels.values()]


def tunnel_report(lab: Lab, tunnel: RunningTunnel) -> TunnelReport:
    """Return the status of one tunnel."""
    return _tunnel(tunnel, _down(_nodes(lab)))


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
    ending = lab.topology.ending
    return tuple(_node(node, instances.get(name), name in ending) for name, node in lab.topology.nodes.items())


def _down(nodes: Iterable[NodeStatus]) -> dict[str, NodeState]:
    return {node.name: node.state for node in nodes if not node.up}


def _node(node: Node, instance: Instance | None, ends: bool) -> NodeStatus:
    router = node.intent.router
    return NodeStatus(
        name=node.name,
        kind=node.kind,
        state=instance.state if instance else NodeState.ABSENT,
        image=instance.image if instance else node.image,
        role=_INIT if ends else _role(node),
        daemon=router.daemon if router and not node.external else None,
        asn=router.asn if router else None,
        health=instance.health if instance else None,
    )


def _role(node: Node) -> str:
    if node.is_bridge:
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
        inner = {node: tunnel.addresses(node).inner for node in (declared.server, declared.client)}
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
        addresses=inner,
        deprecated=deprecated,
    )


def _process(process: OpenVpn, down: Mapping[str, NodeState]) -> ProcessReport:
    own = process.process.own
    assert own is not None
    row = partial(ProcessReport, own.name, own.node, own.given, own.role)
    if own.node in down:
        return row(up=False, state=f"{own.node} is {down[own.node]}")
    try:
        with process.management() as management:
            return row(up=True, state=management.state().name)
    except (LabError, OSError):
        return row(up=False, state=describe_end(process.log_lines()))


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
        router = lab.router(plan.node)
        if plan.own is None:
            seen = router.neighbors()
            found = [_session(plan, peer, next(filter(peer.matches, seen), None)) for peer in plan.peers]
        else:
            found = [_session_with(plan.node, node, neighbor) for node, neighbor in router.sessions()]
    except LabError as error:
        return [_unknown(plan, peer, str(error)) for peer in plan.peers]
    if plan.protocol == "bgp" and not all(session.up for session in found):
        refused = refused_by_md5(counters(lab.router(plan.node).running.namespace))
        if refused:
            found = [s if s.up else replace(s, reason=f"{s.reason}; {refused}".lstrip("; ")) for s in found]
    return found


def refused_by_md5(counted: Mapping[str, int]) -> str:
    """Return how many segments a kernel refused by TCP MD5 (RFC 2385), from its counters; empty if none."""
    told = [f"{n} {words}" for name, words in REFUSED_BY_MD5.items() if (n := counted.get(name, 0))]
    return f"the node refused TCP segments by TCP MD5 since its start: {', '.join(told)}" if told else ""


def _session(plan: RouterPlan, peer: Peer, neighbor: Neighbor | None) -> SessionReport:
    if neighbor is None:
        if plan.protocol == "bgp":
            return _unknown(plan, peer, "the daemon has no such neighbour configured")
        return _unknown(plan, peer, "", DOWN[plan.protocol])
    return _session_with(plan.node, peer.node, neighbor)


def _session_with(node: str, other: str, neighbor: Neighbor) -> SessionReport:
    return SessionReport(
        node=node,
        neighbor=other,
        protocol=protocol_of(neighbor.state),
        address=neighbor.address,
        asn=neighbor.asn,
        state=neighbor.state,
        uptime=neighbor.uptime,
        prefixes_received=neighbor.prefixes_received,
        reason="" if neighbor.up else neighbor.last_reset,
        bfd=neighbor.bfd,
        vrf=neighbor.vrf,
    )


def _unknown(plan: RouterPlan, peer: Peer, why: str, state: State | None = None) -> SessionReport:
    return SessionReport(plan.node, peer.node, plan.protocol, peer.address, peer.asn, state, 0.0, {}, why)
