"""Files that the lab renders, imported again: the same tunnels, networks and neighbours; nothing is asked or made."""

from collections.abc import Mapping
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.catalogue import load
from lab.importer import Import, import_hosts, write_import
from lab.render.howto import export
from lab.topology import Topology, Tunnel

TOPOLOGIES: list[tuple[str, Mapping[str, str]]] = [
    *((name, {}) for name in ("article", "behind-nat", "dco-hub", "fixed-routes", "hub-and-spokes", "moving-server")),
    *((name, {}) for name in ("ospf", "rip", "p2p-tls", "p2p-static-key", "tap-hub", "road-warrior-bgp", "dual-homed")),
    ("frr-bird", {}),
    ("dual-homed", {"DAEMON": "bird"}),
]


def again(topology: Topology, directory: Path) -> Import:
    """Render a topology, and import the files of each host."""
    export(topology, directory / "rendered")
    hosts = sorted(d for d in (directory / "rendered").iterdir() if (d / "etc").is_dir())
    return import_hosts({host.name: host for host in hosts}, directory / "again.clab.yml")


def addresses(made: Import) -> set[str]:
    """Return all addresses of the topology's links, without prefix lengths."""
    links: list[dict[str, Any]] = yaml.safe_load(made.files[0].text)["topology"]["links"]
    return {a.partition("/")[0] for link in links for family in ("ipv4", "ipv6") for a in link.get(family, [])}


def networks(made: Import, host: str) -> set[str]:
    """Return the networks of a host's links."""
    links: list[dict[str, Any]] = yaml.safe_load(made.files[0].text)["topology"]["links"]
    mine = [link for link in links if link["endpoints"][0].startswith(f"{host}:")]
    return {str(ip_interface(link[f][0]).network) for link in mine for f in ("ipv4", "ipv6") if f in link}


@pytest.mark.parametrize(
    ("name", "variables"),
    TOPOLOGIES,
    ids=lambda part: part if isinstance(part, str) else "-".join(part.values()) or "-",
)
def test_import_of_rendered_files_has_the_same_tunnels_and_networks(
    name: str, variables: Mapping[str, str], tmp_path: Path
) -> None:
    topology = load(name, variables=variables)
    made = again(topology, tmp_path)
    assert not made.questions
    assert not made.counterparts
    wanted = {(t.client, t.server, t.port, t.transport) for t in topology.tunnels}
    found = {
        (
            t.client.split()[0],
            t.server.split()[0],
            int(t.remote.rsplit(":", 1)[1].split("/")[0]),
            t.remote.split("/")[1],
        )
        for t in made.tunnels
    }
    assert found == wanted
    assert {t.confidence for t in made.tunnels} == {"certain"}
    if name != "moving-server":  # whose client has the server's name
        assert {str(t.server_outer) for t in topology.tunnels} <= addresses(made)
    for node in topology.nodes.values():
        if node.intent.router is not None:
            wider = {str(n) for n in node.intent.router.networks if n.prefixlen < n.max_prefixlen}
            assert wider <= networks(made, node.name)


@pytest.mark.parametrize(("name", "variables"), TOPOLOGIES, ids=lambda part: str(part))
def test_imported_topology_loads_with_the_same_tunnels_and_neighbours(
    name: str, variables: Mapping[str, str], tmp_path: Path
) -> None:
    topology = load(name, variables=variables)
    made = again(topology, tmp_path)
    write_import(made)
    loaded = load(made.file)
    assert {_tunnel(t) for t in loaded.tunnels} == {_tunnel(t) for t in topology.tunnels}
    inner = {_tunnel(t): {a.ip for end in (t.server_at, t.client_at) for a in end.inner} for t in topology.tunnels}
    for tunnel in loaded.tunnels:
        known = {a.ip for end in (tunnel.server_at, tunnel.client_at) for a in end.inner}
        assert known <= inner[_tunnel(tunnel)]
        assert known
    for node, wanted in topology.nodes.items():
        if wanted.intent.router is not None:
            own = loaded.own_routers[node]
            assert set(wanted.intent.router.networks) <= set(own.networks) or wanted.intent.router.protocol != "bgp"
            assert own.asn == wanted.intent.router.asn
            addresses = {n.address for n in own.neighbors if n.address is not None}
            assert addresses <= {ip for ips in inner.values() for ip in ips}
            assert bool(addresses) == (wanted.intent.router.protocol == "bgp")


def _tunnel(tunnel: Tunnel) -> tuple[str, str, int, str]:
    return (tunnel.client, tunnel.server, tunnel.port, tunnel.transport)
