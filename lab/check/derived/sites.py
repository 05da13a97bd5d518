"""The sites of a topology, the hosts behind them, and the links on which packets between them must not be in clear."""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.core.prefixes import Address, Family, Prefix, family_of
from lab.topology import Link, Topology
from lab.topology.intent import StaticRoute
from lab.topology.segments import endpoints_of, neighbors_of

_FORWARDING = {"ipv4": "net.ipv4.ip_forward", "ipv6": "net.ipv6.conf.all.forwarding"}


@dataclass(frozen=True)
class Host:
    """A node on a link of a site, which forwards its packets."""

    node: str
    site: str
    address: Address
    network: Prefix
    """The network of the link."""

    @property
    def family(self) -> Family:
        """The family of its address."""
        return family_of(self.address)


def site_names(topology: Topology) -> frozenset[str]:
    """Return the nodes with an end of a tunnel or with a routing daemon."""
    ends = {node for tunnel in topology.tunnels for node in (tunnel.server, tunnel.client)}
    alone = {process.node for process in topology.processes}
    return frozenset(ends | alone | {name for name, node in topology.nodes.items() if node.intent.router is not None})


def hosts_behind(topology: Topology, site: str) -> list[Host]:
    """Return the hosts on the links of a site, one entry for each address.

    A host does not forward, and has no link but this one, or routes through the site.
    """
    return list(_hosts(topology, site, site_names(topology)))


def _hosts(topology: Topology, site: str, sites: frozenset[str]) -> Iterator[Host]:
    for here, there in neighbors_of(topology, site):
        node = topology.nodes[there.node]
        if there.node in sites or node.kind not in ("linux", "ext-container"):
            continue
        for near, far in ((here.ipv4, there.ipv4), (here.ipv6, there.ipv6)):
            if near is None or far is None or far.ip not in near.network:
                continue
            family = family_of(far.ip)
            if node.sysctls.get(_FORWARDING[family], "0") != "0":
                continue
            if _single_homed(topology, there.node) or _routes_through(node.intent.routes, site, near.ip):
                yield Host(there.node, site, far.ip, near.network)


def _single_homed(topology: Topology, node: str) -> bool:
    return len(endpoints_of(topology, node)) == 1


def _routes_through(routes: tuple[StaticRoute, ...], site: str, address: Address) -> bool:
    return any(route.via in (site, str(address)) for route in routes)


def links_outside(topology: Topology) -> list[Link]:
    """Return the links between sites, and between them and the routers of the underlay.

    Links with hosts behind a site are inside. If routers peer over a link without a tunnel, packets of hosts may be in
    clear there, and nothing is outside.
    """
    if any(link.intent.peering for link in topology.links):
        return []
    hosts = {host.node for site in site_names(topology) for host in hosts_behind(topology, site)}
    return [link for link in topology.links if link.kind == "veth" and not _around(topology, link) & hosts]


def _around(topology: Topology, link: Link) -> set[str]:
    """Return the nodes at the ends of a link, and those that share a bridge with them."""
    nodes = {end.node for end in link.endpoints}
    for end in link.endpoints:
        if not topology.nodes[end.node].is_bridge:
            nodes |= {there.node for here, there in neighbors_of(topology, end.node) if here == end}
    return nodes
