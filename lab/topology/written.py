"""Write a topology as a containerlab file that reads back as the same topology."""

from typing import Any

import yaml

from lab.topology.intent import Frozen
from lab.topology.model import INSIDE, Endpoint, Link, Node, Topology
from lab.topology.source import reads_as_text


def dump(topology: Topology) -> str:
    """Return the text of a file, with inheritance and variables resolved but without the defaults of tunnels.

    It reads back as an equal topology, except for `file`, and containerlab can deploy it.
    """
    nodes = {name: node_data(node) for name, node in topology.nodes.items()}
    nodes |= {
        f"{bridge}{INSIDE}{name}": {"kind": "bridge", "network-mode": f"container:{name}"}
        for name, node in topology.nodes.items()
        for bridge in node.bridges
    }
    return topology_text(topology, nodes, [link_data(link) for link in topology.links])


def topology_text(topology: Topology, nodes: dict[str, Any], links: list[dict[str, Any]]) -> str:
    """Return the text of a topology's file with these definitions of its nodes and links."""
    data: dict[str, Any] = {"name": topology.name}
    if topology.prefix is not None:
        data["prefix"] = topology.prefix
    if topology.management is not None:
        data["mgmt"] = _written(topology.management)
    if settings := _written(topology.settings):
        data["settings"] = settings
    body: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {node.group: {} for node in topology.nodes.values() if node.group is not None}
    if groups:
        body["groups"] = groups
    body["nodes"] = nodes
    if links:
        body["links"] = links
    data["topology"] = body
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=10**9)
    # Escape what would read as a template or a variable.
    return text.replace("{{", "{\\x7B").replace("$", "$$")


def _written(model: Frozen, *without: str) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=set(without))


def node_data(node: Node, *, with_intent: bool = True) -> dict[str, Any]:
    """Return the definition of a node, `with_intent` with the lab's own keys."""
    data = {"kind": node.kind, **_written(node, "name", "kind", "intent", "tmpfs", "bridges")}
    if node.tmpfs:
        data["tmpfs"] = {path: how for path, _, how in (item.partition(":") for item in node.tmpfs)}
    if not (node.is_bridge or node.borrowed):
        data["network-mode"] = node.network_mode
    if with_intent and (intent := _written(node.intent)):
        if node.intent.router is not None and node.intent.router.config:
            # The other keys are what the files say.
            intent["router"] = {key: value for key, value in intent["router"].items() if key in ("daemon", "config")}
        data["config"] = {"vars": intent}
    return data


def link_data(link: Link, *, with_intent: bool = True) -> dict[str, Any]:
    """Return the definition of a link, `with_intent` with the lab's own keys."""
    data: dict[str, Any] = {"type": link.kind}
    if len(link.endpoints) == 1:
        data["endpoint"] = _endpoint(link.endpoints[0], with_intent)
        if link.outside is not None:
            data |= _written(link.outside, "interface", *(() if _is_tunnel(link) else ("dst_port",)))
            name = "parent-interface" if _is_tunnel(link) else "host-interface"
            data |= {name: link.outside.interface} if link.outside.interface else {}
    else:
        data["endpoints"] = [_endpoint(end, with_intent) for end in link.endpoints]
    if link.mtu is not None:
        data["mtu"] = link.mtu
    if with_intent and (intent := _written(link.intent)):
        data["vars"] = intent
    return data


def _is_tunnel(link: Link) -> bool:
    return link.kind in ("vxlan", "vxlan-stitch")


def _endpoint(end: Endpoint, with_intent: bool) -> dict[str, Any]:
    node = f"{end.bridge}{INSIDE}{end.node}" if end.bridge else end.node
    data: dict[str, Any] = {"node": node, "interface": end.altname or end.interface}
    data |= _written(end, "node", "interface", "altname", "bridge", "intent")
    if with_intent and (intent := _written(end.intent)):
        data["vars"] = intent
    return data


_LINE_ENDS = frozenset("\x85\u2028\u2029")


class _Dumper(yaml.SafeDumper):
    """A YAML dumper that quotes every text which would not read back as text, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # YAML can escape its line ends only between double quotes.
    plain = reads_as_text(text) and "{{" not in text and not _LINE_ENDS & set(text)
    style = None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
