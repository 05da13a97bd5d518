"""Recursive routing: a route that sends the tunnel's own packets into the tunnel."""

from lab.tunnel import OpenVpn, RunningTunnel
from lab.tunnel.reason import find_losses
from lab.why.cause import Cause, Observation
from lab.why.kernel import route_of

_RECENT = 20
"""The last lines of a log, in which OpenVPN's words about it are looked for."""


def recursion(tunnel: RunningTunnel) -> Cause | None:
    """Return the cause if an end's route to the outer address of the other end leads into the tunnel itself."""
    ends = [tunnel.server] if tunnel.external else [tunnel.server, tunnel.client]
    for end in ends:
        other = tunnel.client if end is tunnel.server else tunnel.server
        declared = tunnel.tunnel.client_at if end is tunnel.server else tunnel.tunnel.server_at
        if declared.outer is None:
            continue
        device = tunnel.device(end.node.name)
        found = route_of(end.node.namespace, None, declared.outer)
        if found.interface != device or found.local:
            continue
        node, outer = end.node.name, declared.outer
        what = f"{node} sends the tunnel's own packets into the tunnel: its route to {outer}, the outer address of "
        what += f"{other.node.name}, is `{found}`"
        mend = (
            f"refuse {found.prefix} in the routing daemon of {node}, or add a more specific route to {outer} outside "
        )
        mend += "the tunnel"
        seen = Observation(node, f"ip route get {outer}", str(found))
        return Cause("recursive-routing", node, what, mend, (seen, *_logged(end)))
    return None


def _logged(end: OpenVpn) -> list[Observation]:
    said = [loss for loss in find_losses(end.log_lines()[-_RECENT:]) if loss.kind == "recursive-routing"]
    return [Observation(end.node.name, "log of OpenVPN", said[-1].words)] if said else []
