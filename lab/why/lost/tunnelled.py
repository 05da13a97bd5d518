"""A packet that entered a tunnel and did not leave it: the tunnel's own packets, then OpenVPN itself."""

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise

from lab.core.prefixes import Prefix
from lab.observe import send
from lab.observe.sockets import Socket, State, sockets
from lab.runtime.lab import Lab
from lab.tunnel import RunningTunnel
from lab.why.cause import Cause, Explanation, Observation, first
from lab.why.inner import Header, lost_in_tunnel
from lab.why.journey import Hop
from lab.why.lost.nat import forgotten, forgotten_connection
from lab.why.lost.place import Place
from lab.why.outer import OuterFlow, outer_flow, outer_way, tunnels_at
from lab.why.packet import Packet
from lab.why.probe import Probe, Role, recognise
from lab.why.tracer import Traced, trace
from lab.why.tunnel import tunnel_down
from lab.why.watch import Captured, Watch

_OPENING_WITHIN = 6.0
"""Seconds in which the client of a tunnel that is down tries to connect again, in most cases."""
_TRANSIT = 0.3
"""Seconds until a packet that has left its sender has crossed the lab."""

At = Callable[[Place], Explanation]
"""Explain why a packet was lost at a place."""


def tunnel_of(lab: Lab, place: Place) -> RunningTunnel | None:
    """Return the tunnel into which a packet went at its last node; None if it left by another device."""
    if place.hop is None or place.hop.left is None:
        return None
    found = tunnels_at(lab, place.node, place.hop.left.interface)
    hop = place.lookup.next_hop or place.destination
    for tunnel in found:
        if place.node == tunnel.tunnel.client:
            return tunnel
        if hop in [address.ip for address in tunnel.addresses(tunnel.tunnel.client).inner]:
            return tunnel
    behind = [tunnel for tunnel in found if any(place.destination in p for p in _behind(lab, tunnel, place))]
    return next(iter([*behind, *found]), None)


def _behind(lab: Lab, tunnel: RunningTunnel, place: Place) -> Sequence[Prefix]:
    """Return the prefixes of a tunnel's client of the packet's family."""
    plan = lab.plans.get(tunnel.tunnel.client)
    networks = [p for p in plan.networks if p.version == place.destination.version] if plan else []
    ends = [end for link in lab.topology.links for end in link.endpoints if end.node == tunnel.tunnel.client]
    linked = [address.network for end in ends for address in end.addresses]
    return [*networks, *(p for p in linked if p.version == place.destination.version)]


def lost_between(place: Place, tunnel: RunningTunnel, at: At) -> Explanation:
    """Return why a packet that entered a tunnel at a place did not leave it; `at` explains a loss on its outer path."""
    lab, node = place.lab, place.node
    flow = outer_flow(lab, tunnel, node, place.captured)
    assert place.hop is not None
    assert place.hop.left is not None
    carrier = flow.carrying(place.hop.left.time, place.size)
    # A NAT that refuses a segment ends the connection: the tunnel is down when it is asked.
    if (cause := _refused_by_nat(lab, tunnel, flow, place)) is not None:
        return Explanation((cause,))
    down = down_or_lost(lab, tunnel, at)
    if down != Explanation():
        return down
    if carrier is None and tunnel.tunnel.transport == "tcp" and (stalled := _stalled(lab, tunnel, node)) is not None:
        return _while_stalled(place, tunnel, stalled, at)
    sent = carrier or next(iter(flow.sent), None)
    if sent is not None and (way := outer_way(sent, place.captured, _bridges(lab))):
        outer = _on_the_way(place, tunnel, way, at)
        if outer.causes or way[-1].node != flow.receiver:
            return outer
    header = Header(place.source, place.destination, place.size, place.df)
    found = lost_in_tunnel(lab, tunnel, node, header)
    evidence = [place.last_seen, *_carried(flow, carrier)]
    causes = [Cause(c.kind, c.node, c.what, c.mend, (*evidence, *c.evidence)) for c in found.causes]
    if causes or found.apart:
        return Explanation(tuple(causes), found.apart)
    left = "left as a packet of the tunnel" if carrier else "did not leave as a packet of the tunnel"
    return Explanation(apart=f"what OpenVPN did with it: it entered {tunnel} at {node} and {left}")


def strayed(place: Place) -> Explanation:
    """Return why a tunnel gave the packet to another node than its other end; empty if none on its way did."""
    for number, (hop, following) in enumerate(pairwise(place.way), 1):
        if hop.left is None:
            continue
        tunnel = tunnel_of(place.lab, replace(place, node=hop.node, way=place.way[:number]))
        if tunnel is None or following.node in {tunnel.tunnel.server, tunnel.tunnel.client} - {hop.node}:
            continue
        packet = hop.left.packet
        header = Header(packet.source, packet.destination, packet.size, packet.df)
        return lost_in_tunnel(place.lab, tunnel, hop.node, header)
    return Explanation()


def _refused_by_nat(lab: Lab, tunnel: RunningTunnel, flow: OuterFlow, place: Place) -> Cause | None:
    """Return the cause that a NAT took one of the tunnel's packets for its own, since it has forgotten the tunnel."""
    for sent in flow.sent:
        way = outer_way(sent, place.captured, _bridges(lab))
        if way and way[-1].node not in (flow.sender, flow.receiver):
            outer = _outer_place(lab, tunnel, way, place.captured, place.again)
            if (cause := forgotten(outer)) is not None:
                return cause
    return None


def _carried(flow: OuterFlow, carrier: Captured | None) -> list[Observation]:
    if carrier is None:
        return [Observation(flow.sender, "captures", f"no packet of {flow.tunnel} left with it")]
    seen = f"{carrier.packet} left with it and reached {flow.receiver}"
    return [Observation(flow.sender, f"capture on {carrier.interface}", seen)]


def down_or_lost(lab: Lab, tunnel: RunningTunnel, at: At) -> Explanation:
    """Return why a tunnel is down: from its processes and their logs, else from the packets with which it opens.

    No finding if it is up.
    """
    down = tunnel_down(lab, tunnel)
    return down if down.causes or not down.apart else first([outer_path(lab, tunnel, at), down])


def outer_path(lab: Lab, tunnel: RunningTunnel, at: At) -> Explanation:
    """Return why the packets with which a tunnel opens are lost on their way; empty if they arrive, or none is sent."""
    if tunnel.tunnel.transport == "tcp" and not tunnel.external and tunnel.addresses(tunnel.tunnel.server).outer:
        found, traced = _by_syn(lab, tunnel, at)
        return found if traced.lost else _forgotten(lab, tunnel, traced)
    server, client = tunnel.tunnel.server, tunnel.tunnel.client
    nodes = {name: node for name, node in lab.running_nodes.items() if node.namespace.exists}
    flows: list[OuterFlow] = []
    until = time.monotonic() + _OPENING_WITHIN
    with Watch(nodes) as watch:
        _knock(tunnel)
        while time.monotonic() < until and not (flows and _decided(*flows)):
            time.sleep(_TRANSIT)
            captured = watch.captured()
            flows = [outer_flow(lab, tunnel, end, captured, opening=True) for end in (client, server)]
        captured = watch.stop()
    for flow in (outer_flow(lab, tunnel, end, captured, opening=True) for end in (client, server)):
        if not flow.sent:
            continue
        way = outer_way(flow.sent[0], captured, _bridges(lab))
        if not way or (flow.arrived and way[-1].node != flow.receiver):
            continue
        found = at(_outer_place(lab, tunnel, way, captured, partial(_open_again, tunnel, flow.sent[0])))
        if found.causes or not flow.arrived:
            return found
    return Explanation()


def _decided(opening: OuterFlow, answer: OuterFlow) -> bool:
    """Return True if an opening packet was lost, or an answer was sent."""
    return bool(opening.sent and (not opening.arrived or answer.sent))


def _knock(tunnel: RunningTunnel) -> bool:
    """Send an empty datagram from the client to its server's port: OpenVPN may wait long until it tries again.

    A server ignores it. Return False over TCP, where the client tries every few seconds.
    """
    server, port = tunnel.tunnel.server_at.outer, tunnel.tunnel.port
    if tunnel.external or server is None or tunnel.tunnel.transport == "tcp":
        return False

    def work() -> None:
        family = socket.AF_INET if server.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender, suppress(OSError):
            sender.sendto(b"", (str(server), port))

    tunnel.client.node.namespace.run(work)
    return True


def _open_again(tunnel: RunningTunnel, lost: Captured) -> None:
    """Send an empty datagram between the same addresses and ports, which OpenVPN ignores; over TCP wait for it."""
    if tunnel.tunnel.transport == "tcp" or lost.packet.ports is None:
        time.sleep(_OPENING_WITHIN)
        return
    from scapy.layers.inet import IP, UDP
    from scapy.layers.inet6 import IPv6

    header = IP if lost.packet.family == "ipv4" else IPv6
    source, destination = lost.packet.ports
    datagram = header(src=str(lost.packet.source), dst=str(lost.packet.destination)) / UDP(
        sport=source, dport=destination
    )
    end = tunnel.server if lost.node == tunnel.tunnel.server else tunnel.client
    send(end.node.namespace, datagram)
    time.sleep(_TRANSIT)


def _by_syn(lab: Lab, tunnel: RunningTunnel, at: At) -> tuple[Explanation, Traced]:
    """Try the way of a tunnel over TCP with a SYN; return why it or its answer is lost, empty if neither is."""
    address = tunnel.addresses(tunnel.tunnel.server).outer
    assert address is not None
    probe = Probe(address, "syn", tunnel.tunnel.port, count=2, wait=0.5)
    traced = trace(lab, tunnel.tunnel.client, tunnel.tunnel.server, probe)
    if not traced.lost:
        return Explanation(), traced
    role: Role = "reply" if traced.way(traced.shown, "reply") else "request"
    way = traced.way(traced.shown, role)
    return (at(_syn_place(lab, tunnel, way, traced, role)) if way else Explanation()), traced


def _connections(lab: Lab, node: str, tunnel: RunningTunnel) -> list[Socket]:
    """Return the established TCP connections of a node from or to the port of a tunnel."""
    found = sockets(lab.running_nodes[node].namespace, "tcp", State.ESTABLISHED)
    return [each for each in found if tunnel.tunnel.port in (each.local.port, each.remote.port)]


def _stalled(lab: Lab, tunnel: RunningTunnel, node: str) -> Socket | None:
    """Return the connection of a tunnel if data that the node sent on it is not acknowledged."""
    found = [c for c in _connections(lab, node, tunnel) if c.stalled]
    outer = tunnel.addresses(tunnel.tunnel.client).outer
    if node == tunnel.tunnel.server and len(found) > 1:
        found = [connection for connection in found if connection.remote.address == outer]
    return found[0] if len(found) == 1 else None


def _while_stalled(place: Place, tunnel: RunningTunnel, stalled: Socket, at: At) -> Explanation:
    """Return why a TCP connection of a tunnel gets no acknowledgement.

    Its own segments become rare, so the way is tried with a SYN, and the NATs on it are asked for the connection.
    """
    lab = place.lab
    waits = f"{stalled.queued} bytes wait, sent again {stalled.retransmitted} times without an acknowledgement"
    seen = (place.last_seen, place.sees("TCP connection of the tunnel", waits))
    if tunnel.addresses(tunnel.tunnel.server).outer is None:
        return Explanation(apart=f"where the connection of {tunnel} is lost: {waits}")
    found, traced = _by_syn(lab, tunnel, at)
    if not traced.lost:
        found = _forgotten(lab, tunnel, traced)
    causes = tuple(Cause(c.kind, c.node, c.what, c.mend, (*seen, *c.evidence)) for c in found.causes)
    return Explanation(causes, found.apart or f"where the connection of {tunnel} is lost: {waits}")


def _syn_place(lab: Lab, tunnel: RunningTunnel, way: tuple[Hop, ...], traced: Traced, role: Role) -> Place:
    """Return the last place of a SYN that tried the way of a tunnel, or of its answer."""

    def send() -> Callable[[Packet], bool]:
        repeated = trace(lab, traced.sender, traced.receiver, traced.probe)
        starts = dict(repeated.starts)

        def matches(packet: Packet) -> bool:
            sign = recognise(repeated.probe, repeated.sent, starts, packet)
            return sign is not None and sign.role == role

        return matches

    hop = way[-1]
    packet = (hop.arrived or hop.last).packet
    words = f"the packet of {tunnel}"
    ends = packet.source, packet.destination
    return Place(lab, hop.node, *ends, packet.size, packet.df, words, send, way, traced.captured)


def _forgotten(lab: Lab, tunnel: RunningTunnel, traced: Traced) -> Explanation:
    """Return the NAT on the way of a SYN that does not know the tunnel's connection."""
    open_ones = _connections(lab, tunnel.tunnel.client, tunnel)
    if len(open_ones) != 1:
        return Explanation()
    local, remote = open_ones[0].local, open_ones[0].remote
    way = traced.way(traced.shown, "request")[1:-1]
    places = [_syn_place(lab, tunnel, (hop,), traced, "request") for hop in way]
    cause = forgotten_connection(places, (local.address, remote.address, (local.port, remote.port)))
    return Explanation() if cause is None else Explanation((cause,))


def _on_the_way(place: Place, tunnel: RunningTunnel, way: tuple[Hop, ...], at: At) -> Explanation:
    """Return why a packet of the tunnel was lost on its way; empty if it arrived and nothing drops it there."""

    def again() -> None:
        place.again()

    found = at(_outer_place(place.lab, tunnel, way, place.captured, again))
    seen = (place.last_seen,)
    causes = [Cause(c.kind, c.node, c.what, c.mend, (*seen, *c.evidence)) for c in found.causes]
    return Explanation(tuple(causes), found.apart)


def _outer_place(
    lab: Lab, tunnel: RunningTunnel, way: tuple[Hop, ...], captured: Sequence[Captured], send: Callable[[], object]
) -> Place:
    """Return the last place of a packet of a tunnel."""
    hop = way[-1]
    packet = (hop.arrived or hop.last).packet
    port = tunnel.tunnel.port  # the client's port can change

    def again() -> Callable[[Packet], bool]:
        send()
        return lambda other: (
            (other.source, other.destination) == (packet.source, packet.destination) and port in (other.ports or ())
        )

    words = f"the packet of {tunnel}"
    ends = packet.source, packet.destination
    return Place(lab, hop.node, *ends, packet.size, packet.df, words, again, way, captured)


def _bridges(lab: Lab) -> frozenset[str]:
    return frozenset(name for name, node in lab.topology.nodes.items() if node.is_bridge)
