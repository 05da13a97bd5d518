"""Topologies whose nodes run OpenVPN with files of their own, and what is to be seen in a lab."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from lab.catalogue import load
from lab.core.prefixes import FAMILIES, Family, family_of
from lab.core.process import this_process
from lab.render.files import render
from lab.runtime.lab import Lab
from lab.status.overview import tunnel_reports
from lab.topology import Address, OpenVpnIntent, Topology, dump
from lab.tunnel import processes
from lab.tunnel.pki import Authority

_numbers = count(1)


@contextmanager
def deployed(topology: Topology, directory: Path) -> Iterator[Lab]:
    """Yield a lab with this topology; it is taken down afterwards."""
    lab = Lab.deploy(topology, directory=directory, owner=this_process())
    try:
        yield lab
    finally:
        lab.destroy()


def own_name(what: str) -> str:
    """Return a name for a lab that no other test has."""
    return f"own-{what}-{os.getpid()}-{next(_numbers)}"


def write(directory: Path, files: Mapping[str, str]) -> None:
    """Write files by their names."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def as_own_files(topology: Topology, directory: Path, name: str) -> Topology:
    """Return a topology in which the files that the lab renders for another one are the user's own."""
    render(topology, Authority.new("user"), {node: directory / node for node in topology.nodes})
    items: dict[str, dict[OpenVpnIntent, None]] = {}
    for tunnel in topology.tunnels:
        for process in processes(tunnel).values():
            item = OpenVpnIntent(config=f"{process.node}{process.configuration}")
            items.setdefault(process.node, {})[item] = None
    nodes = {
        node: model.model_copy(
            update={"intent": model.intent.model_copy(update={"tunnels": (), "openvpn": tuple(items.get(node, ()))})}
        )
        for node, model in topology.nodes.items()
    }
    file = directory / "own.clab.yml"
    file.write_text(dump(topology.model_copy(update={"name": name, "nodes": nodes, "tunnels": ()})))
    return load(file)


def observed(lab: Lab) -> dict[str, Any]:
    """Return what is to be seen in a lab: tunnels, RIB, FIB, and which hosts reach which, in both families."""
    hosts = [name for name in lab.topology.nodes if name not in lab.plans and lab.topology.nodes[name].kind == "linux"]
    return {
        "tunnels": {
            t.name: (t.transport, t.server, t.client, t.up, t.cipher, t.mtu, t.channel) for t in tunnel_reports(lab)
        },
        "rib": {
            (name, prefix): sorted((_plain(p.next_hops), p.as_path, p.best, p.valid) for p in paths)
            for name, router in lab.routers.items()
            for family in FAMILIES
            for prefix, paths in router.rib(family).items()
        },
        "fib": {
            (name, prefix): (_plain(entry.next_hops), entry.interfaces, entry.protocol)
            for name in lab.topology.nodes
            if lab.topology.nodes[name].kind == "linux"
            for prefix, entry in lab.node(name).fib.routes().items()
            if not prefix.is_link_local  # each device has it, and the latest one shows
        },
        "packets": {
            (one, other, family): lab.host(one).echo(lab.host(other).address(family)).answered
            for one in hosts
            for other in hosts
            for family in FAMILIES
            if one != other and _has_address(lab, other, family)
        },
    }


def _has_address(lab: Lab, node: str, family: Family) -> bool:
    ends = [end for link in lab.topology.links for end in link.endpoints if end.node == node]
    return any(family_of(address) == family for end in ends for address in end.addresses)


def _plain(addresses: tuple[Address, ...]) -> tuple[str, ...]:
    """Return addresses without the random ones of the links."""
    return tuple("link-local" if address.is_link_local else str(address) for address in addresses)
