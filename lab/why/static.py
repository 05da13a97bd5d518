"""Why a node without a routing daemon has no route: the line of its topology file or of OpenVPN that would make one."""

from collections import deque
from collections.abc import Mapping, Sequence
from ipaddress import ip_network

from lab.core.prefixes import family_of
from lab.runtime.lab import Lab
from lab.topology import Address, Prefix
from lab.topology.segments import neighbors_of, static_routes
from lab.tunnel import RunningTunnel
from lab.tunnel.reason import without_time
from lab.why.cause import Cause, Explanation, Observation, one
from lab.why.targets import prefix_of
from lab.why.tunnel import tunnel_down

_FIXED = {"server": "client-networks", "client": "server-networks"}
"""The option of the mode fixed-routes that gives an end its routes into the tunnel."""
_ATTEMPT, _FAILED = "_add: ", "ERROR: Linux route add command failed"
"""OpenVPN's log lines before a route is added, with `verb 3`, and after the kernel has refused it."""


def no_static_route(lab: Lab, node: str, to: Address | Prefix, interface: str | None = None) -> Explanation:
    """Return why a node that runs no routing daemon has no route; no finding if it has one.

    A route to a longer prefix is not one to the prefix, and one through another interface none through `interface`.
    """
    destination = ip_network(to) if isinstance(to, Address) else to
    routes = lab.node(node).fib.routes(family_of(destination))
    covering = {p: entry for p, entry in routes.items() if _covers(p, destination)}
    if any(interface is None or interface in entry.interfaces for entry in covering.values()):
        return Explanation()
    seen = Observation(node, "FIB", _shown(destination, covering))
    for tunnel in lab.tunnels.values():
        if node in (tunnel.tunnel.server, tunnel.tunnel.client) and _routes_into(tunnel, node, destination):
            return _from_tunnel(tunnel, node, prefix_of(lab, to), seen, lab)
    declared = [(p, via) for p, via in static_routes(lab.topology).get(node, []) if _covers(p, destination)]
    if declared:
        prefix, via = declared[0]
        text = "default" if prefix.prefixlen == 0 else str(prefix)
        what = f"{node} lost its static route to {text} via {via}, which {lab.topology.file.name} declares"
        mend = (
            f"set it again: `ip route add {prefix} via {via}` in {node}; the kernel removes it when the link goes down"
        )
        declared_in = Observation(node, lab.topology.file.name, f"routes: {{to: {text}, via: {via}}}")
        return one(Cause("static-route-lost", node, what, mend, (seen, declared_in)))
    return _undeclared(lab, node, prefix_of(lab, to), seen)


def _covers(prefix: Prefix, destination: Prefix) -> bool:
    same = prefix.version == destination.version and prefix.prefixlen <= destination.prefixlen
    return same and destination.network_address in prefix


def _shown(destination: Prefix, covering: Mapping[Prefix, object]) -> str:
    return f"no route to {destination}" + "".join(f"; {prefix}: {entry}" for prefix, entry in covering.items())


# --- OpenVPN's own routes -------------------------------------------------------------------------------


def _routes_into(tunnel: RunningTunnel, node: str, destination: Prefix) -> bool:
    """Return whether the tunnel's options give an end a route to a destination."""
    option = _FIXED["server" if node == tunnel.tunnel.server else "client"]
    networks = [ip_network(str(text)) for text in tunnel.tunnel.options.get(option, ())]
    return any(_covers(network, destination) for network in networks)


def _from_tunnel(tunnel: RunningTunnel, node: str, destination: Prefix, seen: Observation, lab: Lab) -> Explanation:
    """Return why a route that OpenVPN should set is missing."""
    down = tunnel_down(lab, tunnel)
    if down != Explanation():
        return down
    options = tunnel.tunnel.options
    refused = next((name for name in ("route-nopull", "pull-filter") if options.get(name)), "")
    if node == tunnel.tunnel.client and refused:
        what = f"{node} does not take the route to {destination} that its server pushes: the tunnel has `{refused}`"
        mend = f"remove `{refused}` from the tunnel {tunnel.name}, or give the client a `route` of its own"
        configured = Observation(node, lab.topology.file.name, f"{tunnel.name}: {refused}: {options[refused]}")
        return one(Cause("pushed-route-refused", node, what, mend, (seen, configured)))
    end = tunnel.server if node == tunnel.tunnel.server else tunnel.client
    if (error := _refused_by_kernel(end.log_lines(), destination)) is not None:
        what = f"{node}'s OpenVPN could not add the route to {destination}: {error}"
        mend = f"give {node} an address in the tunnel and a gateway that it can reach there"
        failed = Observation(node, "log of OpenVPN", error)
        return one(Cause("route-not-added", node, what, mend, (seen, failed)))
    what = f"{node} does not have the route to {destination}, which OpenVPN sets when the tunnel connects"
    mend = f"restart the tunnel {tunnel.name}, and see what removed it"
    given = Observation(node, lab.topology.file.name, f"{tunnel.name} has {destination} in its options")
    return one(Cause("static-route-lost", node, what, mend, (seen, given)))


def _refused_by_kernel(lines: Sequence[str], destination: Prefix) -> str | None:
    """Return the kernel's error about a route of OpenVPN's, from the lines between the attempt and its failure."""
    error = None
    attempt: list[str] = []
    for line in lines:
        if _ATTEMPT in line:
            attempt = [line]
        elif attempt and _FAILED in line:
            if f" {destination} " in attempt[0]:
                error = without_time(attempt[-1])
            attempt = []
        elif attempt:
            attempt.append(line)
    return error


# --- no line makes it -----------------------------------------------------------------------------------


def _undeclared(lab: Lab, node: str, destination: Prefix, seen: Observation) -> Explanation:
    """Return the next node on the shortest way to the destination, over which a static route could go."""
    holder = _holder(lab, destination)
    if holder is None:
        return Explanation(apart=f"where {destination} is: no node of the lab has an address in it")
    way = _way(lab, node, holder)
    if len(way) < 2:
        return Explanation(apart=f"which way leads from {node} to {holder}, which is in {destination}")
    after, file = way[1], lab.topology.file.name
    what = f"{node} runs no routing daemon and has no route to {destination}, which is behind {after}"
    tunnel = next((t for t in lab.tunnels.values() if {t.tunnel.server, t.tunnel.client} == {node, after}), None)
    if tunnel is None:
        mend = f"add `{{to: {destination}, via: {after}}}` to `topology.nodes.{node}.config.vars.routes` in {file}"
    else:
        mend = _line_of_openvpn(tunnel, node, destination, file)
    return one(Cause("no-static-route", node, what, mend, (seen, Observation(node, file, "no route to it"))))


def _line_of_openvpn(tunnel: RunningTunnel, node: str, destination: Prefix, file: str) -> str:
    """Return the line that gives an end of a tunnel a route into it."""
    at_server = node == tunnel.tunnel.server
    if tunnel.tunnel.mode == "fixed-routes" and not tunnel.tunnel.own:
        option = _FIXED["server" if at_server else "client"]
        return f"add {destination} to `{option}` of the tunnel {tunnel.name} in {file}"
    mask = f"{destination.network_address} {destination.netmask}"
    line = f"route {mask}" if destination.version == 4 else f"route-ipv6 {destination}"
    pushed = "" if at_server else f', or `push "{line}"` to that of {tunnel.tunnel.server}'
    return f"add `{line}` to {node}'s OpenVPN configuration{pushed}"


def _holder(lab: Lab, destination: Prefix) -> str | None:
    """Return a node with an address in a prefix, by the topology."""
    for link in lab.topology.links:
        for end in link.endpoints:
            if any(a.version == destination.version and a.ip in destination for a in end.addresses):
                return end.node
    return None


def _way(lab: Lab, node: str, holder: str) -> list[str]:
    """Return the nodes on the shortest way inside: over tunnels, and over links that carry none."""
    around: dict[str, set[str]] = {name: set() for name in lab.topology.nodes}
    outer = {end.outer for t in lab.topology.tunnels for end in (t.server_at, t.client_at)}
    for name in around:
        for here, there in neighbors_of(lab.topology, name):
            if not outer & {a.ip for a in (*here.addresses, *there.addresses)}:
                around[name].add(there.node)
    for tunnel in lab.topology.tunnels:
        around[tunnel.server].add(tunnel.client)
        around[tunnel.client].add(tunnel.server)
    before: dict[str, str] = {}
    queue = deque([node])
    while queue and holder not in before:
        here_name = queue.popleft()
        for there_name in sorted(around[here_name]):
            if there_name != node and there_name not in before:
                before[there_name] = here_name
                queue.append(there_name)
    way = [holder]
    while way[-1] in before:
        way.append(before[way[-1]])
    return way[::-1] if way[-1] == node else []
