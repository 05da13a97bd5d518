"""The topologies for comparisons: two routers with a link, and a hub with any number of clients."""

import json
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any, Final

from lab.catalogue import vocabulary
from lab.image import NODE_IMAGE
from lab.topology import Encapsulation, EncapsulationKind, Family, Topology, parse
from lab.tunnel import modes, pin_data_path

SERVER: Final = "server"
CLIENT: Final = "client"
ETHERNET: Final = "eth1"
INNER: Final = "inner0"
"""The device of a kernel tunnel."""
MAX_CLIENTS: Final = 200
"""The largest number of clients of a hub, whose addresses are in one /24."""

_SITES: Final[Mapping[str, list[str]]] = {
    SERVER: ["10.1.0.0/24", "2001:db8:1::/64"],
    CLIENT: ["10.2.0.0/24", "2001:db8:2::/64"],
}
_ASN: Final[Mapping[str, int]] = {SERVER: 65001, CLIENT: 65002}


def image_of(openvpn: str) -> str:
    """Return the image of all nodes of these topologies."""
    return f"{NODE_IMAGE}:{openvpn}"


def pair(mode: str, *, openvpn: str, transport: str, name: str, daemon: str = "frr") -> Topology:
    """Build two routers with one link of Ethernet's MTU between them, and a tunnel of the mode over it.

    Each router announces one prefix per family.
    """
    tunnel = _tunnel(mode, transport, _SITES[SERVER], _SITES[CLIENT])
    routers = {node: {"daemon": daemon, "asn": _ASN[node], "networks": _SITES[node]} for node in (SERVER, CLIENT)}
    nodes = {
        SERVER: _node(router=routers[SERVER]),
        CLIENT: _node(router=routers[CLIENT], tunnels=[tunnel]),
    }
    return _topology(name, openvpn, nodes, [_link()])


def _link() -> dict[str, Any]:
    return {
        "endpoints": [f"{SERVER}:{ETHERNET}", f"{CLIENT}:{ETHERNET}"],
        "mtu": 1500,
        "ipv4": ["198.51.100.1/30", "198.51.100.2/30"],
        "ipv6": ["2001:db8:f00::1/64", "2001:db8:f00::2/64"],
    }


def kernel_pair(kind: EncapsulationKind, *, openvpn: str, name: str, daemon: str = "frr") -> Topology:
    """Build the same two routers and link with a kernel tunnel instead of OpenVPN's, over which they peer.

    They announce prefixes of the families that the tunnel carries.
    """
    encapsulation = {"kind": kind, "outer": ["198.51.100.1", "198.51.100.2"]}
    carried = Encapsulation.model_validate(encapsulation).carries
    inner: dict[Family, list[str]] = {
        "ipv4": ["10.255.0.1/30", "10.255.0.2/30"],
        "ipv6": ["2001:db8:ff::1/64", "2001:db8:ff::2/64"],
    }
    tunnel: dict[str, Any] = {
        "endpoints": [f"{SERVER}:{INNER}", f"{CLIENT}:{INNER}"],
        "vars": {"peering": True, "encapsulation": encapsulation},
        **{family: inner[family] for family in carried},
    }
    networks = {node: [n for n in _SITES[node] if f"ipv{ip_network(n).version}" in carried] for node in _SITES}
    routers = {node: {"daemon": daemon, "asn": _ASN[node], "networks": networks[node]} for node in (SERVER, CLIENT)}
    nodes = {node: _node(router=router) for node, router in routers.items()}
    return _topology(name, openvpn, nodes, [_link(), tunnel])


def hub(mode: str, clients: int, *, openvpn: str, name: str) -> Topology:
    """Build a server with a number of clients over UDP, all on one bridge, without routing daemons."""
    tunnels = [_tunnel(mode, "udp", [], [str(network_behind(number))]) for number in range(clients)]
    ends = [SERVER, *(f"{CLIENT}{number}" for number in range(1, clients + 1))]
    nodes = {
        SERVER: _node(),
        **{client: _node(tunnels=[tunnel]) for client, tunnel in zip(ends[1:], tunnels, strict=True)},
        "bridge": {"kind": "bridge"},
    }
    links = [
        {
            "type": "veth",
            "mtu": 1500,
            "endpoints": [
                {"node": node, "interface": ETHERNET, "ipv4": f"198.51.100.{number}/24"},
                {"node": "bridge", "interface": f"port{number}"},
            ],
        }
        for number, node in enumerate(ends, start=1)
    ]
    return _topology(name, openvpn, nodes, links)


def network_behind(client: int) -> IPv4Network:
    """Return the network behind a client of a hub; the first is number 0."""
    return IPv4Network(f"10.2.{client}.0/24")


def _tunnel(mode: str, transport: str, server_networks: list[str], client_networks: list[str]) -> dict[str, Any]:
    options = modes()[mode].static_options(server_networks, client_networks)
    return {"to": SERVER, "mode": mode, "transport": transport, "options": pin_data_path(mode, options)}


def _node(**intent: Any) -> dict[str, Any]:
    return {"config": {"vars": intent}} if intent else {}


def _topology(name: str, openvpn: str, nodes: Mapping[str, Any], links: Sequence[Mapping[str, Any]]) -> Topology:
    """Parse a topology from JSON, which is valid YAML, so that defaults are filled in and everything is checked."""
    defaults = {"kind": "linux", "image": image_of(openvpn), "privileged": False}
    kinds = {"linux": {"network-mode": "none"}}  # a bridge has none
    text = json.dumps(
        {"name": name, "topology": {"defaults": defaults, "kinds": kinds, "nodes": nodes, "links": links}}
    )
    return parse(text, Path(f"{name}.clab.yml"), vocabulary(), environ={})
