"""A running lab as containerlab's `topology-data.json`, for tools that read that file."""

import ipaddress
import os
from collections.abc import Mapping
from typing import Any

from pyroute2 import IPRoute

from lab.core.errors import EnvironmentBroken
from lab.engine import Instance, LabNetwork
from lab.engine.namespace import Namespace
from lab.engine.node import node_files
from lab.runtime.lab import Lab
from lab.topology import Endpoint, Link, Node

PREFIX = "clab"
"""containerlab's prefix of container names, if the file has none."""
_OUTSIDE = {"host": "host", "macvlan": "host", "vxlan": "host", "vxlan-stitch": "host", "mgmt-net": "mgmt-net"}
"""containerlab's name of the node at the far end of a link that leaves the lab, by type."""


def topology_data(lab: Lab) -> dict[str, Any]:
    """Return the data that containerlab writes after a deployment, with its keys in its order."""
    networks = lab.engine.networks(lab.name)
    network = networks[0] if networks else None
    macs = {name: _macs(instance.namespace) for name, instance in lab.nodes.items()}
    macs["host"] = _macs(Namespace(os.getpid()))
    names = sorted(lab.topology.nodes)
    return {
        "name": lab.name,
        "type": "clab",
        "clab": {"config": {"prefix": _prefix(lab), "mgmt": _management(network)}},
        "ssh-pub-keys": [],
        "nodes": {name: _node(lab, name, names.index(name), network) for name in names},
        "links": [_link(link, macs) for link in lab.topology.links],
    }


def management_address(instance: Instance | None, version: int) -> str:
    """Return a node's address of a family in the management network; empty if it has none."""
    found = [a for a in (instance.management if instance else ()) if ipaddress.ip_address(a).version == version]
    return found[0] if found else ""


def _prefix(lab: Lab) -> str:
    return PREFIX if lab.topology.prefix is None else lab.topology.prefix


def _management(network: LabNetwork | None) -> dict[str, Any]:
    if network is None:
        return {}
    data: dict[str, Any] = {"network": network.name, "bridge": network.bridge}
    for subnet, gateway in network.subnets:
        family = f"ipv{ipaddress.ip_network(subnet).version}"
        data |= {f"{family}-subnet": subnet, f"{family}-gw": gateway}
    return data


def _node(lab: Lab, name: str, index: int, network: LabNetwork | None) -> dict[str, Any]:
    node, instance = lab.topology.nodes[name], lab.nodes.get(name)
    long_name = name if node.borrowed else lab.topology.container_name(name)
    directory = str(node_files(lab.directory, name))
    addresses: dict[str, Any] = {}
    for version in (4, 6):
        address = management_address(instance, version)
        addresses[f"mgmt-ipv{version}-address"] = address
        addresses[f"mgmt-ipv{version}-prefix-length"] = _prefix_length(network, version) if address else 0
    return {
        "index": str(index),
        "shortname": name,
        "longname": long_name,
        "fqdn": f"{name}.{lab.name}.io",
        "group": node.group or "",
        "labdir": directory,
        "kind": node.kind,
        "image": node.image or "",
        "mgmt-net": "",
        "mgmt-intf": "",
        **addresses,
        "mac-address": "",
        "labels": _labels(lab, node, long_name, directory, network),
        "port-bindings": [
            {"host-ip": p.host_ip, "host-port": p.host_port, "port": p.port, "protocol": p.protocol}
            for p in (instance.published if instance else ())
        ],
    }


def _labels(lab: Lab, node: Node, long_name: str, directory: str, network: LabNetwork | None) -> dict[str, str]:
    labels = {
        **node.labels,
        "clab-mgmt-net-bridge": network.bridge if network else "",
        "clab-node-group": node.group or "",
        "clab-node-kind": node.kind,
        "clab-node-lab-dir": directory,
        "clab-node-longname": long_name,
        "clab-node-name": node.name,
        "clab-node-type": "",
        "clab-owner": "",
        "clab-topo-file": str(lab.topology.file),
        "containerlab": lab.name,
    }
    return dict(sorted(labels.items()))


def _prefix_length(network: LabNetwork | None, version: int) -> int:
    subnets = [ipaddress.ip_network(subnet) for subnet, _ in (network.subnets if network else ())]
    return next((subnet.prefixlen for subnet in subnets if subnet.version == version), 0)


def _link(link: Link, macs: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    ends = [_end(end, macs) for end in link.endpoints]
    if link.outside is not None:
        interface = link.outside.interface or ""
        mac = macs["host"].get(interface, "") if link.kind in ("host", "mgmt-net") else ""
        ends.append({"node": _OUTSIDE[link.kind], "interface": interface, "mac": mac})
    if len(ends) == 1:
        return {"endpoints": {"a": {**ends[0], "peer": "dummy"}}}
    return {"endpoints": {"a": {**ends[0], "peer": "z"}, "z": {**ends[1], "peer": "a"}}}


def _end(end: Endpoint, macs: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    data = {
        "node": end.node,
        "interface": end.altname or end.interface,
        "mac": macs.get(end.node, {}).get(end.interface, ""),
    }
    return data | {f"ipv{address.version}": str(address) for address in end.addresses}


def _macs(namespace: Namespace) -> Mapping[str, str]:
    """Return the MAC addresses of a namespace's interfaces, by name; empty if it is gone."""

    def read() -> dict[str, str]:
        with IPRoute() as ip:
            return {i.get_attr("IFLA_IFNAME"): i.get_attr("IFLA_ADDRESS") or "" for i in ip.get_links()}

    try:
        return namespace.run(read)
    except EnvironmentBroken:
        return {}
