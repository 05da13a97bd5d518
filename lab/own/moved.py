"""The same topology for a file in another directory: the names of the user's files lead to them from there."""

import os
from pathlib import Path

from lab.core.errors import InputError
from lab.own.hostfiles import HostFiles
from lab.topology import Node, Topology
from lab.topology.intent import OpenVpnIntent


def moved(topology: Topology, directory: Path) -> Topology:
    """Return a topology whose `config` items name the same files, with the same paths in the node, from `directory`.

    Raises `InputError` if a file of a router or a ruleset has no such name.
    """
    before = topology.file.parent.absolute()
    after = directory.absolute()
    nodes = {name: _node(node, before, after) for name, node in topology.nodes.items()}
    return topology.model_copy(update={"nodes": nodes})


def _node(node: Node, before: Path, after: Path) -> Node:
    intent = node.intent
    update: dict[str, object] = {}
    if intent.openvpn:
        update["openvpn"] = tuple(_process(item, before, after) for item in intent.openvpn)
    if intent.router is not None and (config := intent.router.config):
        names = (config,) if isinstance(config, str) else config
        found = tuple(_named(node.name, name, before, after) for name in names)
        config = found[0] if isinstance(config, str) else found
        update["router"] = intent.router.model_copy(update={"config": config})
    if intent.nftables:
        names = (intent.nftables,) if isinstance(intent.nftables, str) else intent.nftables
        update["nftables"] = tuple(_named(node.name, name, before, after) for name in names)
    return node.model_copy(update={"intent": intent.model_copy(update=update)}) if update else node


def _process(item: OpenVpnIntent, before: Path, after: Path) -> OpenVpnIntent:
    tree = HostFiles.of(item.config, before, item.path)
    if (name := _name(item.config, before, after, item.path)) is not None:
        return item.model_copy(update={"config": name})
    return item.model_copy(update={"config": str(tree.config), "path": str(tree.path)})


def _named(node: str, config: str, before: Path, after: Path) -> str:
    if (name := _name(config, before, after)) is not None:
        return name
    raise InputError(
        f"{node}: {config}: no name leads there from {after} and tells the same path in the node: "
        f"write it to a directory below {before}"
    )


def _name(config: str, before: Path, after: Path, path: str | None = None) -> str | None:
    """Return a name of a file or directory from `after`, relative if that has the same path in the node."""
    host = HostFiles.of(config, before, path).config
    for name in (os.path.relpath(host, after), str(host)):
        if _tree(name, after, path) == _tree(config, before, path):
            return name
    return None


def _tree(config: str, directory: Path, path: str | None) -> tuple[object, ...]:
    # A directory's files have paths of their own, which its last part decides too.
    trees = [HostFiles.of(name, directory, path) for name in (config, f"{config}/file")]
    return tuple(part for tree in trees for part in (tree.root, tree.inside, tree.path, tree.config))
