"""Why a server's kernel (DCO) does not let a packet pass: the next hop of a route names the client."""

from lab.topology import Address
from lab.tunnel import KERNEL_KIND, OpenVpn, RunningTunnel
from lab.why.cause import Cause, Observation
from lab.why.crossing import Crossing
from lab.why.kernel import Lookup, interfaces, route_of
from lab.why.loss import Lost


def forwards_in_kernel(end: OpenVpn) -> bool:
    """Return True if the kernel forwards the data of an end."""
    found = interfaces(end.node.namespace).get(end.device)
    return found is not None and found.device.kind.startswith(KERNEL_KIND)


def in_kernel(lost: Lost, crossing: Crossing) -> Cause | None:
    """Return the cause in the kernel of a server with DCO, which has no inner table and asks its own routes instead."""
    server = lost.tunnel.server
    if not lost.tunnel.mode.traits.mode_server or not forwards_in_kernel(server):
        return None
    if crossing.left if lost.from_server else not crossing.arrived:
        return None  # it is lost elsewhere
    address = lost.header.destination if lost.from_server else lost.header.source
    route = route_of(server.node.namespace, None, address)
    seen = (Observation(lost.server, f"ip route get {address}", str(route)), *lost.seen(crossing))
    return _towards_client(lost, address, route, seen) if lost.from_server else _from_client(lost, address, route, seen)


def peers(tunnel: RunningTunnel) -> dict[Address, str]:
    """Return the clients of a server by their inner addresses, which the kernel knows as its peers."""
    return {
        interface.ip: other.tunnel.client
        for other in tunnel.sharing
        for interface in (other.tunnel.client_at.ipv4, other.tunnel.client_at.ipv6)
        if interface is not None
    }


def _own(lost: Lost, address: Address) -> str:
    """Return the inner address of the tunnel's client, of the family of an address."""
    at = lost.tunnel.tunnel.client_at
    own = at.ipv4 if address.version == 4 else at.ipv6
    return str(own.ip) if own is not None else f"the address of {lost.client}"


def _towards_client(lost: Lost, to: Address, route: Lookup, seen: tuple[Observation, ...]) -> Cause | None:
    """Judge a packet from the server: the kernel chooses the client by the next hop."""
    if route.interface != lost.tunnel.server.device or (route.next_hop or to) in peers(lost.tunnel):
        return None
    node, via = lost.server, f"`{route.prefix} via {_own(lost, to)} dev {route.interface}`"
    begin = f"{node} drops it in the kernel's data channel (DCO): its route to {to} is `{route}`"
    if route.next_hop is None:
        what = f"{begin}, which names no client"
        return Cause("dco-no-next-hop", node, what, f"give the route a next hop: {via}", seen)
    if route.next_hop.is_link_local:
        what = f"{begin}, and the kernel knows no client by a link-local address"
        mend = f"let the routing daemon of {node} use the global next hop, as {via} (FRR: `set ipv6 next-hop "
        mend += "prefer-global` in the route-map of its neighbours)"
        return Cause("dco-link-local", node, what, mend, seen)
    what = f"{begin}, and no client has the address {route.next_hop}"
    return Cause("dco-no-client", node, what, f"route it to a client: {via}", seen)


def _from_client(lost: Lost, source: Address, route: Lookup, seen: tuple[Observation, ...]) -> Cause | None:
    """Judge a packet from a client: the kernel drops it unless the route to its source leads back to that client."""
    known = peers(lost.tunnel)
    back = known.get(route.next_hop or source) if route.interface == lost.tunnel.server.device else None
    if back == lost.client:
        return None
    node = lost.server
    leads = f"leads to {back}" if back else "does not lead to a client"
    what = f"{node} drops it in the kernel's data channel (DCO): it comes from {lost.client}, and the route to its "
    what += f"source {source}, `{route}`, {leads}"
    mend = f"let {lost.client} announce that network, or add a route to it `via {_own(lost, source)}` on {node}"
    return Cause("dco-wrong-peer", node, what, mend, seen)
