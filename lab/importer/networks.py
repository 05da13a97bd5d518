"""The networks behind a host: those that its router originates, and those that OpenVPN's routes lead to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from lab.configs.disk import Spot
from lab.configs.openvpn.client_options import InnerRoute
from lab.configs.openvpn.configuration import Directive, pushed
from lab.core.prefixes import Prefix
from lab.importer.ends import End
from lab.importer.hosts import Host
from lab.importer.pairing import Pairing

MAX_NETWORKS = 64
"""The networks of a host that are looked at: the lab has a LAN in the first few only."""


@dataclass(frozen=True)
class Behind:
    """A network behind a host, with the line that says so."""

    prefix: Prefix
    why: str
    spot: Spot

    def __str__(self) -> str:
        return f"{self.prefix} ({self.why}, {self.spot})"


def networks_behind(host: Host, pairing: Pairing) -> list[Behind]:
    """Return the networks behind a host, the most specific ones first, each once."""
    found = [*_of_router(host), *_of_openvpn(host, pairing)]
    found = [behind for behind in found if _is_unicast(behind.prefix)]
    unique: dict[Prefix, Behind] = {}
    for behind in found:
        unique.setdefault(behind.prefix, behind)
    ordered = sorted(
        unique.values(), key=lambda b: (b.prefix.version, -b.prefix.prefixlen, int(b.prefix.network_address))
    )
    return ordered[:MAX_NETWORKS]


def _is_unicast(prefix: Prefix) -> bool:
    """Return True for a network that a LAN can have: not a default route, not loopback or multicast addresses."""
    first = prefix.network_address
    special = first.is_unspecified or first.is_loopback or first.is_multicast or first.is_link_local
    return prefix.prefixlen > 0 and not special


def _of_router(host: Host) -> Iterable[Behind]:
    router = host.router
    if router is None:
        return
    for originated in router.originated:
        if originated.vrf is None:
            yield Behind(originated.prefix, f"{originated.protocol} originates it", originated.spot)
    for route in router.static_routes:
        if route.discards and route.vrf is None:
            yield Behind(route.prefix, "a static route that discards, to be announced", route.spot)
    for interior in router.interior:
        if interior.prefix is not None and interior.vrf is None:
            yield Behind(interior.prefix, f"{interior.protocol} runs on its interfaces", interior.spot)


def _of_openvpn(host: Host, pairing: Pairing) -> Iterable[Behind]:
    for end in host.ends:
        if end.is_server:
            inner = {i.network for i in end.client_options.inner}
            options = [d for entry in end.client_options.entries for d in pushed(entry.directives)]
            for directive in [*end.configuration.pushed, *options]:
                for prefix in route_prefix(directive):
                    if prefix not in inner:
                        yield Behind(prefix, "pushed to clients", directive.spot)
        for partner in pairing.partners(end):
            if partner.is_server:
                for route in inner_routes(partner, end):
                    yield Behind(route.network, f"{partner.host} has an iroute for it", route.spot)
            else:
                for directive in partner.configuration.all("route", "route-ipv6"):
                    for prefix in route_prefix(directive):
                        yield Behind(prefix, f"{partner.host} has a route to it", directive.spot)


def inner_routes(server: End, client: End) -> Sequence[InnerRoute]:
    """Return the inner routes of a client, without default routes."""
    name = client_name(server, client)
    named: Mapping[str | None, list[InnerRoute]] = dict(server.client_options.clients)
    routes = named.get(name) if name is not None else None
    return [route for route in routes or named.get(None, []) if not route.is_default]


def client_name(server: End, client: End) -> str | None:
    """Return the name by which a server has options for a client: its certificate's CN, or the host's name."""
    names = server.client_names
    for name in (client.common_name, client.host):
        if name is not None and name in names:
            return name
    return names[0] if len(names) == 1 and client.common_name is None else None


def route_prefix(directive: Directive) -> list[Prefix]:
    """Return the prefix of a `route` or `route-ipv6`; none for a name, a variable or a default route."""
    text = directive.argument(0) or ""
    if directive.name == "route":
        mask = directive.argument(1) or "255.255.255.255"
        text = f"{text}/{'255.255.255.255' if mask == 'default' else mask}"
    elif directive.name != "route-ipv6":
        return []
    try:
        prefix = ip_network(text, strict=False)
    except ValueError:
        return []
    return [prefix] if prefix.prefixlen > 1 else []
