"""A NAT that has forgotten a connection: its packets are for the NAT itself, or leave with the inner address."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from lab.core.errors import LabError
from lab.core.prefixes import Address
from lab.why.cause import Cause
from lab.why.lost.place import Place
from lab.why.packet import TCP, UDP

Flow = tuple[Address, Address, tuple[int, int]]
"""Source, destination, and their ports."""

_ASSURED = 0x4
"""IPS_ASSURED of linux/netfilter/nf_conntrack_common.h."""
_PROTOCOLS = {TCP: "tcp", UDP: "udp"}


def forgotten(place: Place) -> Cause | None:
    """Return the cause that a NAT has no entry for a connection that passed it before; None if it is not one."""
    hop = place.hop
    if hop is None or hop.arrived is None:
        return None
    packet = hop.arrived.packet
    if packet.protocol not in _PROTOCOLS or packet.ports is None or not translates(place):
        return None
    to_itself = place.lookup.local and hop.left is None
    untranslated = hop.left is not None and hop.left.packet.source == packet.source
    flow: Flow = packet.source, packet.destination, packet.ports
    tracked = tracked_flows(place)
    if not (to_itself or untranslated) or tracked is None or flow in tracked:
        return None
    does = "is itself its destination" if to_itself else "lets it pass untranslated"
    return _cause(place, packet.protocol, flow, does)


def _cause(place: Place, protocol: int, flow: Flow, does: str, entry: str = "no entry") -> Cause:
    (source, destination, (one, other)) = flow
    named = f"{_PROTOCOLS[protocol]} {source}:{one} > {destination}:{other}"
    seen = (
        place.sees("connection tracking", f"{entry} for {named}"),
        place.sees("nftables", "a chain of the type nat"),
    )
    what = f"has forgotten the NAT mapping of {place.words} ({named}), and {does}"
    mend = "send keepalives more often than its timeout, as with a smaller `keepalive`, or start the connection again"
    return place.cause("nat-forgot", what, mend, *seen)


def forgotten_connection(places: Sequence[Place], flow: Flow) -> Cause | None:
    """Return the cause that a NAT on the way of a TCP connection has no entry for it; nearest to the client first."""
    for place in places:
        if not translates(place):
            continue
        tracked = tracked_flows(place)
        if tracked is None:
            return None
        if flow not in tracked:
            return _cause(place, TCP, flow, "drops it or lets it pass untranslated")
        if not tracked[flow].assured:  # it is made of a segment in the middle of the connection
            return _cause(place, TCP, flow, "has made a new one, which the other end does not know", "a new entry")
        flow = tracked[flow].leaves
    return None


def translates(place: Place) -> bool:
    """Return whether a node has a chain of nftables that translates addresses."""
    try:
        listed = place.lab.running_nodes[place.node].exec("nft", "list", "chains")
    except LabError:
        return False
    return "type nat hook" in listed.stdout


@dataclass(frozen=True)
class Tracked:
    """A flow of a tracked connection."""

    leaves: Flow
    """The same flow as it leaves the node, translated."""
    assured: bool
    """True if packets were seen in both directions."""


def tracked_flows(place: Place) -> dict[Flow, Tracked] | None:
    """Return the flows that the node tracks, by how they come to it; None if they cannot be read."""
    try:
        return place.namespace.run(_read_tracked)
    except (LabError, OSError, AttributeError):
        return None


def _read_tracked() -> dict[Flow, Tracked]:
    """Read all tracked connections, in both their directions (ctnetlink)."""
    from pyroute2 import NFCTSocket

    found: dict[Flow, Tracked] = {}
    with NFCTSocket(nfgen_family=socket.AF_UNSPEC) as tracker:
        for entry in tracker.dump():
            original, reply = (_flow(entry.get_attr(f"CTA_TUPLE_{name}")) for name in ("ORIG", "REPLY"))
            if original is not None and reply is not None:
                assured = bool((entry.get_attr("CTA_STATUS") or 0) & _ASSURED)
                found[original] = Tracked(_reversed(reply), assured)
                found[reply] = Tracked(_reversed(original), assured)
    return found


def _flow(one: Any) -> Flow | None:
    addresses, ports = one.get_attr("CTA_TUPLE_IP"), one.get_attr("CTA_TUPLE_PROTO")
    source = addresses.get_attr("CTA_IP_V4_SRC") or addresses.get_attr("CTA_IP_V6_SRC")
    destination = addresses.get_attr("CTA_IP_V4_DST") or addresses.get_attr("CTA_IP_V6_DST")
    pair = ports.get_attr("CTA_PROTO_SRC_PORT"), ports.get_attr("CTA_PROTO_DST_PORT")
    if source is None or destination is None or None in pair:
        return None
    return ip_address(source), ip_address(destination), pair


def _reversed(flow: Flow) -> Flow:
    source, destination, (one, other) = flow
    return destination, source, (other, one)
