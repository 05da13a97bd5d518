"""The tunnel's own packets: which of them carries a packet that entered the tunnel, and where it was captured."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lab.runtime.lab import Lab
from lab.tunnel import RunningTunnel
from lab.why.journey import Hop, journey
from lab.why.packet import TCP, UDP, Packet
from lab.why.watch import Captured

_WITHIN = 0.25
"""Seconds in which OpenVPN sends a packet on that it has read from its device."""


@dataclass(frozen=True)
class OuterFlow:
    """The packets of a tunnel from one of its nodes to the other, in one capture."""

    tunnel: RunningTunnel
    sender: str
    receiver: str
    sent: Sequence[Captured]
    """With which data left the sender, oldest first."""
    arrived: Sequence[Captured]
    """With which data came to the receiver."""

    def carrying(self, entered: float, size: int) -> Captured | None:
        """Return the packet that left first after an inner packet of `size` bytes had entered, and is large enough."""
        return next(
            (seen for seen in self.sent if 0 <= seen.time - entered <= _WITHIN and seen.packet.size > size), None
        )


def outer_flow(
    lab: Lab, tunnel: RunningTunnel, sender: str, captured: Sequence[Captured], *, opening: bool = False
) -> OuterFlow:
    """Return the tunnel's packets from the node `sender` in a capture; with `opening` also those without data."""
    declared = tunnel.tunnel
    receiver = declared.client if sender == declared.server else declared.server
    inner = {(node, tunnel.device(node)) for node in (declared.server, declared.client)}
    protocol = TCP if declared.transport == "tcp" else UDP
    others = {each.addresses(each.tunnel.client).outer for each in tunnel.sharing if each is not tunnel}

    def is_outer(seen: Captured) -> bool:
        packet = seen.packet
        if (seen.node, seen.interface) in inner or packet.protocol != protocol or packet.ports is None:
            return False
        port = packet.ports[0] if sender == declared.server else packet.ports[1]
        if port != declared.port or not (packet.payload or opening):
            return False
        # Several clients can have one server process; a NAT can change the address of each.
        return (packet.destination if sender == declared.server else packet.source) not in others

    flow = [seen for seen in captured if is_outer(seen)]
    return OuterFlow(
        tunnel,
        sender,
        receiver,
        sent=[seen for seen in flow if seen.node == sender and seen.outgoing],
        arrived=[seen for seen in flow if seen.node == receiver and not seen.outgoing and not seen.raw.foreign],
    )


def outer_way(one: Captured, captured: Sequence[Captured], bridges: Collection[str] = ()) -> tuple[Hop, ...]:
    """Return the way of one of the tunnel's packets, which is recognised by its payload, so also behind a NAT."""
    wanted = _identity(one.packet)
    same = [seen for seen in captured if seen.time >= one.time and _identity(seen.packet) == wanted]
    return journey(same, bridges)


def _identity(packet: Packet) -> tuple[int, int, bytes]:
    """Return what a packet keeps on its way: its payload, or the sequence number of a segment without one."""
    return packet.protocol, 0 if packet.payload else packet.sequence, packet.payload


def tunnels_at(lab: Lab, node: str, device: str) -> list[RunningTunnel]:
    """Return the tunnels that use a device of a node."""
    return [
        tunnel
        for tunnel in lab.tunnels.values()
        if node in (tunnel.tunnel.server, tunnel.tunnel.client) and tunnel.device(node) == device
    ]
