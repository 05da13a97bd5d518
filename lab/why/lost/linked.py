"""The way from one node to the next: MTU, the neighbour's address, interfaces that are down."""

from lab.topology.segments import neighbors_of
from lab.why.cause import Cause
from lab.why.kernel import UNRESOLVED, interfaces, neighbours
from lab.why.lost.place import Place
from lab.why.lost.routed import down
from lab.why.nodes import node_stopped
from lab.why.targets import holder


def too_big(place: Place) -> Cause | None:
    """Return the cause that the packet exceeds the MTU of the interface to leave by, and may not be fragmented."""
    interface = place.interfaces.get(place.lookup.interface)
    if interface is None or place.lookup.local or not _unfragmentable(place) or place.size <= interface.device.mtu:
        return None
    name, mtu = place.lookup.interface, interface.device.mtu
    seen = place.sees("interfaces", f"{name} has MTU {mtu}, {place.words} has {place.size} bytes")
    what = f"cannot send {place.words} of {place.size} bytes out of {name}, whose MTU is {mtu}"
    mend = f"send at most {mtu} bytes, or raise the MTU of the link of {name} to {place.size} at all its ends"
    return place.cause("mtu", what, mend, seen)


def _unfragmentable(place: Place) -> bool:
    return place.df or (place.family == "ipv6" and bool(place.arrived))


def unresolved(place: Place) -> Cause | None:
    """Return the cause that the next hop's link-layer address is not known."""
    if place.lookup.refused or place.lookup.local:
        return None
    name, hop = place.lookup.interface, place.lookup.next_hop or place.destination
    if place.neighbours.get((name, hop), "") not in UNRESOLVED:
        return None
    place.again()  # a link that has just come up needs a moment
    state = neighbours(place.namespace).get((name, hop), "")
    if state not in UNRESOLVED:
        return None
    seen = place.sees(f"ip neighbour show {hop} dev {name}", state)
    route = place.sees(f"ip route get {place.destination}", str(place.lookup))
    asks = "ARP requests" if place.family == "ipv4" else "neighbour solicitations"
    near = {there.node: there.interface for _, there in neighbors_of(place.lab.topology, place.node)}
    owner = holder(place.lab, hop)
    if not owner or owner == place.node:
        if place.lookup.next_hop is None:
            what = f"finds nothing at {hop} on {name}: no node has this address, and its {asks} for it get no answer"
            mend = f"give the address {hop} to a node on the link of {name}, or send to another address"
            return place.cause("neighbour-unresolved", what, mend, seen, route)
        what = f"cannot reach the next hop {hop} of its route `{place.lookup}`: no node has this address"
        mend = f"set the next hop to the address of a node on the link of {name}"
        return place.cause("next-hop-unreachable", what, mend, seen, route)
    if owner in near:
        there = interfaces(place.lab.running_nodes[owner].namespace).get(near[owner])
        if there is not None and not there.up:
            return down(place, near[owner], owner)
    for record in place.faults():
        ends = {(place.node, name), *((owner, near[owner]),) * (owner in near)}
        link = getattr(record.fault, "link", "")
        if record.fault.kind == "link-blackhole" and tuple(link.split(":")) in ends:
            fault = place.sees("faults in force", f"{record.number}: {record.fault}")
            what = f"gets no answer to its {asks} for {hop}: the fault {record.number} is in force ({record.fault})"
            return place.cause("fault", what, f"undo it with `lab fault undo {record.number}`", seen, fault)
    if owner not in near:
        what = (
            f"cannot reach the next hop {hop} of its route `{place.lookup}`: {owner} has it, which is not on this link"
        )
        mend = f"set the next hop to the address of a node on the link of {name}"
        return place.cause("next-hop-unreachable", what, mend, seen, route)
    what = f"gets no answer to its {asks} for {hop} on {name}, which is {owner}'s"
    mend = f"let {owner} answer them on {near[owner]} (arp_ignore, `ip link set … arp on`, its filters)"
    return place.cause("neighbour-unresolved", what, mend, seen, route)


def no_link(place: Place) -> Cause | None:
    """Return the cause that the interface by which the packet leaves, or its other end, is down."""
    name = place.hop.left.interface if place.hop is not None and place.hop.left is not None else place.lookup.interface
    interface = place.interfaces.get(name)
    if interface is None or not name:
        return None
    if not interface.up:
        return down(place, name)
    for here, there in neighbors_of(place.lab.topology, place.node):
        if here.interface != name:
            continue
        running = place.lab.running_nodes[there.node]
        if not running.namespace.exists:
            return node_stopped(place.lab, there.node)
        other = interfaces(running.namespace).get(there.interface)
        if other is not None and not other.up and not interface.carrier:
            return down(place, there.interface, there.node)
    return None


def too_big_for_peer(place: Place) -> Cause | None:
    """Return the cause that the other end of a link has a smaller MTU, and drops what the near end may send."""
    if place.hop is None or place.hop.left is None:
        return None
    name = place.hop.left.interface
    for here, there in neighbors_of(place.lab.topology, place.node):
        running = place.lab.running_nodes[there.node]
        if here.interface != name or not running.namespace.exists:
            continue
        other = interfaces(running.namespace).get(there.interface)
        if other is not None and place.size > other.device.mtu:
            mtu, mine = other.device.mtu, place.interfaces[name].device.mtu
            seen = place.sees("interfaces", f"{there.interface} has MTU {mtu}", there.node)
            near = place.sees("interfaces", f"{name} has MTU {mine}")
            what = (
                f"drops {place.words} of {place.size} bytes without ICMP: its {there.interface} has MTU {mtu}, and "
                f"{place.node} sends up to {mine} bytes into the same link"
            )
            mend = f"give both ends of the link the same MTU: `ip link set {name} mtu {mtu}` on {place.node}"
            return place.cause("mtu-without-icmp", what, mend, seen, near, node=there.node)
    return None
