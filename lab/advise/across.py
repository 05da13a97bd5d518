"""Find what a routing daemon runs across a tunnel: BGP neighbours at its other end, and OSPF or RIP on its device."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address, ip_interface, ip_network

from lab.configs.disk import Spot
from lab.configs.openvpn.client_options import AllClientOptions, Network
from lab.configs.openvpn.configuration import Configuration, Directive
from lab.configs.routing.facts import BgpNeighbor, Detection, InteriorInterface, StaticRoute
from lab.configs.routing.judged import RoutingConfiguration
from lab.core.prefixes import Prefix


@dataclass(frozen=True)
class Across:
    """The sessions and protocols that run across one tunnel."""

    neighbors: tuple[BgpNeighbor, ...] = ()
    interior: tuple[InteriorInterface, ...] = ()
    """The statements by which OSPF or RIP runs on the tunnel's device."""
    possible: tuple[InteriorInterface, ...] = ()
    """Those that may match the tunnel's device, whose addresses are not in the files."""
    unclear: tuple[BgpNeighbor, ...] = ()
    """Neighbours that may be reached through the tunnel: the files do not show it."""

    @property
    def spots(self) -> list[Spot]:
        """The lines of all that runs for certain."""
        return [n.spot for n in self.neighbors] + [found.spot for found in self.interior]

    @property
    def hold(self) -> int | None:
        """The shortest BGP hold time that this side proposes, 0 if no session has one; None without a session."""
        if not self.neighbors:
            return None
        return min((n.hold for n in self.neighbors if n.hold), default=0)


def across(
    router: RoutingConfiguration,
    end: Configuration,
    peer: Configuration | None,
    client_options: AllClientOptions | None = None,
) -> Across:
    """Return what runs across a tunnel, as far as the files show it; `client_options` are those of a server."""
    inside = inner_networks(end) + (inner_networks(peer) if peer else [])
    inside += [at for entry in (client_options.entries if client_options else ()) for at in _pushed(entry.directives)]
    device = device_of(end)
    led = list(_led(router, end, inside, device))
    neighbors: list[BgpNeighbor] = []
    unclear: list[BgpNeighbor] = []
    for n in router.neighbors:
        crosses = False if n.disabled else _is_neighbor(n, inside, led, device)
        if crosses is not False:
            (neighbors if crosses else unclear).append(n)
    certain: list[InteriorInterface] = []
    possible: list[InteriorInterface] = []
    own = inner_networks(end)
    for found in router.interior:
        if found.is_passive(device):
            continue
        matches = _runs_on(found, own, device)
        if matches is not False:
            (certain if matches else possible).append(found)
    return Across(tuple(neighbors), tuple(certain), tuple(possible), tuple(unclear))


def is_device(device: str, name: str) -> bool:
    """Return True if an interface can be the tunnel's device: `dev tun` is tun0, or the next one that is not in use."""
    return name == device or (device in ("tun", "tap") and re.fullmatch(rf"{device}\d*", name) is not None)


def detection_on(found: InteriorInterface, device: str) -> Detection | None:
    """Return how soon OSPF or RIP notices on a device that a neighbour is gone; None if that is not known."""
    mine = [detection for name, detection in found.detections if is_device(device, name)]
    return mine[-1] if mine else found.detection


def _is_neighbor(
    n: BgpNeighbor, inside: list[IPv4Interface | IPv6Interface], led: list[Prefix], device: str
) -> bool | None:
    """Return True if a session with a neighbour crosses the tunnel, None if the files do not show it."""
    named = n.interface or (n.source_interface if n.address is not None and n.address.is_link_local else None)
    if named is not None:
        if _matches(named, device):
            return True
        if n.address is None or n.address.is_link_local:
            return False
    if n.range is not None:
        known = any(n.range.version == interface.version for interface in inside)
        return any(_overlap(n.range, interface.network) for interface in inside) or (False if known else None)
    if n.address is None:
        return None
    if any(n.address in network for network in (*(interface.network for interface in inside), *led)):
        return True
    # FRR brings up eBGP also with an address of no link (seen on 10.3), so any route can lead to it.
    return None


def static_through(router: RoutingConfiguration, end: Configuration) -> list[StaticRoute]:
    """Return the daemon's static routes through the tunnel's device, as far as the files show it."""
    networks = [interface.network for interface in inner_networks(end)]
    return [route for route in router.static_routes if _is_through(route, networks, device_of(end))]


def _is_through(route: StaticRoute, networks: Sequence[Prefix], device: str) -> bool:
    through = route.interface is not None and is_device(device, route.interface)
    return through or (route.via is not None and any(route.via in network for network in networks))


def _led(
    router: RoutingConfiguration, end: Configuration, inside: list[IPv4Interface | IPv6Interface], device: str
) -> Iterator[Prefix]:
    """Generate the prefixes, without default routes, that routes of OpenVPN or the daemon lead into the tunnel."""
    networks = [interface.network for interface in inside]
    for route in router.static_routes:
        if _is_through(route, networks, device) and route.prefix.prefixlen:
            yield route.prefix
    for d in end.all("route", "route-ipv6"):
        prefix = into_tunnel(end, d)
        if prefix is not None and prefix.prefixlen:
            yield prefix


def _pushed(directives: Iterable[Directive]) -> Iterator[IPv4Interface | IPv6Interface]:
    """Generate the addresses that a server gives to one client, as host routes."""
    for d in directives:
        if d.name in ("ifconfig-push", "ifconfig-ipv6-push"):
            try:
                yield ip_interface((d.argument(0) or "").partition("/")[0])
            except ValueError:
                continue


def _runs_on(found: InteriorInterface, own: list[IPv4Interface | IPv6Interface], device: str) -> bool | None:
    """Return True if a statement matches the tunnel's device, None if the files do not show it."""
    if found.name is not None:
        if any(_matches(pattern, device) for pattern in found.excluded):
            return False
        if not _matches(found.name, device):
            return False
        if found.prefix is None:
            return True
    if found.prefix is None:
        return None
    same = [interface for interface in own if interface.version == found.prefix.version]
    if not same:
        # Without an address in the files; 0.0.0.0/0 matches every interface that has one.
        return None
    # FRR and BIRD compare the address alone, or the other end's address of a point-to-point device.
    return any(interface.ip in found.prefix for interface in same)


def _matches(pattern: str, device: str) -> bool:
    if any(char in pattern for char in "*?["):
        return fnmatchcase(device if device not in ("tun", "tap") else f"{device}0", pattern)
    return is_device(device, pattern)


def device_of(end: Configuration) -> str:
    """Return the device's name; the last patch levels of 2.7 use `dev tun` without a line."""
    device = end.last("dev")
    return (device.argument(0) if device else None) or "tun"


def into_tunnel(end: Configuration, directive: Directive) -> Network | None:
    """Return the network of a `route` through the tunnel; None for another gateway or an unknown form."""
    six = directive.name == "route-ipv6"
    gateway = directive.argument(1 if six else 2) or "default"
    if gateway not in ("default", "vpn_gateway") and not _is_inside(end, gateway):
        return None
    try:
        if six:
            return IPv6Network(directive.argument(0) or "", strict=False)
        mask = {None: "32", "default": "32"}.get(directive.argument(1), directive.argument(1))
        return IPv4Network(f"{directive.argument(0)}/{mask}", strict=False)
    except ValueError:
        return None


def inner_networks(end: Configuration) -> list[IPv4Interface | IPv6Interface]:
    """Return the inner addresses in a file, each with its network."""
    return list(_interfaces(end))


def _interfaces(end: Configuration) -> Iterator[IPv4Interface | IPv6Interface]:
    for d in end.all("ifconfig", "server", "ifconfig-ipv6", "server-ipv6"):
        first, second = d.argument(0) or "", d.argument(1) or ""
        if d.name.startswith("server"):
            try:
                network = ip_network(first if d.name.endswith("ipv6") else f"{first}/{second}", strict=False)
                yield ip_interface(f"{network[1]}/{network.prefixlen}")  # the server takes the first address
            except (ValueError, IndexError):
                pass
            continue
        texts = [first] if d.name.endswith("ipv6") else [f"{first}/{second}"]
        if d.name == "ifconfig" and not second.startswith("255."):
            texts = [first, second]  # point to point: the second is the other end's address
        for text in texts:
            try:
                yield ip_interface(text)
            except ValueError:
                continue


def _is_inside(end: Configuration, gateway: str) -> bool:
    try:
        address = ip_address(gateway)
    except ValueError:
        return False
    return any(address in interface.network for interface in inner_networks(end))


def _overlap(one: Prefix, other: Prefix) -> bool:
    return one.version == other.version and (one.network_address in other or other.network_address in one)
