"""The static routes of a host's kernel: those that the node gets, and those that it cannot have."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lab.configs.host.facts import HostRoute
from lab.core.prefixes import Address, Interface, Prefix
from lab.importer.hosts import Host

_STATIC = ("static", "boot", "")
"""The protocols of routes that an administrator or a file sets; `ip route` does not print `boot`."""
MAX_ROUTES = 100
"""The maximum number of static routes of a node."""
_MAX_NAMED = 5
"""The number of left-out routes that are named; the rest are counted."""


@dataclass(frozen=True)
class StaticRoutes:
    """The static routes of a host, sorted by what becomes of them."""

    kept: tuple[HostRoute, ...]
    """They go into the node's `routes`, each with a next hop on one of its links."""
    left_out: tuple[str, ...]
    """Each with the reason."""

    def note(self) -> str | None:
        """Return a sentence about those that are left out."""
        if not self.left_out:
            return None
        more = len(self.left_out) - _MAX_NAMED
        shown = "; ".join(self.left_out[:_MAX_NAMED]) + (f"; and {more} more" if more > 0 else "")
        return f"static routes that the node does not have: {shown}"


def static_routes(host: Host, links: Sequence[tuple[str, Interface]]) -> StaticRoutes:
    """Sort the static routes of a host, which has links with these interfaces and addresses.

    The routing daemon sets its own ones, and OpenVPN those through tunnels and those to a `remote` beside a default
    route.
    """
    kept: dict[Prefix, HostRoute] = {}
    left_out: dict[Prefix, str] = {}
    connected = {interface.network for _, interface in links}
    remotes = {remote.address for end in host.ends for remote in end.remotes}
    by_daemon = {route.prefix for route in host.router.static_routes} if host.router is not None else set()
    for route in host.facts.routes:
        prefix = route.prefix
        if prefix.prefixlen == 0 or route.origin not in _STATIC or prefix in by_daemon or prefix in kept:
            continue
        if _is_openvpns(host, route, remotes):
            continue
        objection = _objection(route, links, connected)
        if objection is None and len(kept) == MAX_ROUTES:
            objection = f"more than {MAX_ROUTES} routes"
        if objection is None:
            kept[prefix] = route
        else:
            left_out.setdefault(prefix, f"{prefix} ({objection}, {route.spot})")
    return StaticRoutes(tuple(kept.values()), tuple(text for prefix, text in left_out.items() if prefix not in kept))


def _is_openvpns(host: Host, route: HostRoute, remotes: Collection[Address | None]) -> bool:
    """Return True for a route that OpenVPN sets, as far as the output of `ip route` tells."""
    if route.interface is not None and host.has_tunnel(route.interface):
        return True
    if route.via is not None and any(route.via in network for end in host.ends for network in end.inner_networks):
        return True
    return route.origin != "static" and route.prefix.num_addresses == 1 and route.prefix[0] in remotes


def _objection(route: HostRoute, links: Sequence[tuple[str, Interface]], connected: Collection[Prefix]) -> str | None:
    """Return why a node cannot have a route; None if it can."""
    if route.discards:
        return "it discards packets"
    if route.via is None:
        return "it has no gateway"
    if route.prefix in connected:
        return "the node has a link in this network"
    via = route.via
    if via.version != route.prefix.version or via.is_link_local:
        return f"its gateway is {via}"
    if any(via == interface.ip for _, interface in links):
        return f"the node itself has {via}"
    on = [name for name, interface in links if via in interface.network]
    if not on:
        return f"no link leads to its gateway {via}"
    if route.interface is not None and route.interface not in on:
        return f"{via} is not on {route.interface} in the lab"
    return None
