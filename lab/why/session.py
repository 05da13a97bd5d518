"""Why a session or an adjacency of a routing daemon is down."""

from lab.runtime.lab import Lab
from lab.tunnel import RunningTunnel
from lab.why.adjacency import adjacency_down
from lab.why.bgp_session import bgp_session_down
from lab.why.cause import Cause, Explanation, one
from lab.why.routers import Asked, ask_router
from lab.why.tunnel import tunnel_down


def session_down(lab: Lab, node: str, other: str) -> Explanation:
    """Return why the session of a router with another node is not established; no finding if it is."""
    return sessions_down(lab, node, other, None)


def sessions_down(lab: Lab, node: str, other: str, interface: str | None) -> Explanation:
    """Return why a session with another node is down, of those through an interface if one is given."""
    near = ask_router(lab, node)
    if isinstance(near, Cause):
        return one(near)
    far = None if other in lab.external else ask_router(lab, other)
    if isinstance(far, Cause):
        return one(far)
    below = _tunnels_down(lab, near, other, interface)
    if below.causes or below.apart:
        return below
    if near.sessions_with(other) or near.router.plan.protocol == "bgp":
        return bgp_session_down(lab, near, far, other, interface)
    return adjacency_down(lab, near, far, other)


def _tunnels_down(lab: Lab, near: Asked, other: str, interface: str | None) -> Explanation:
    """Return why the tunnels are down through which the sessions go."""
    through = {peer.interface for peer in near.router.plan.peers if peer.node == other}
    through |= {n.interface for name, n in near.router.sessions() if name == other and n.interface}
    for tunnel in tunnels_between(lab, near.name, other):
        device = tunnel.device(near.name)
        if device in (through if interface is None else {interface}):
            found = tunnel_down(lab, tunnel)
            if found != Explanation():
                return found
    return Explanation()


def tunnels_between(lab: Lab, one_end: str, other: str) -> list[RunningTunnel]:
    """Return the tunnels between two nodes."""
    return [t for t in lab.tunnels.values() if {t.tunnel.server, t.tunnel.client} == {one_end, other}]
