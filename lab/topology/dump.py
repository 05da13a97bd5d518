"""Write a topology as a containerlab file that reads back as the same topology."""

from typing import Any

import yaml

from lab.topology.intent import Frozen
from lab.topology.model import Endpoint, Link, Node, Topology
from lab.topology.source import reads_as_text


def dump(topology: Topology) -> str:
    """Return the text of a file, with inheritance and variables resolved but without the defaults of tunnels.

    It reads back as an equal topology, except for `file`, and containerlab can deploy it.
    """
    data: dict[str, Any] = {"name": topology.name}
    if topology.prefix is not None:
        data["prefix"] = topology.prefix
    body: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {node.group: {} for node in topology.nodes.values() if node.group is not None}
    if groups:
        body["groups"] = groups
    body["nodes"] = {name: _node(node) for name, node in topology.nodes.items()}
    if topology.links:
        body["links"] = [_link(link) for link in topology.links]
    data["topology"] = body
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=10**9)
    # Escape what would read as a template or a variable.
    return text.replace("{{", "{\\x7B").replace("$", "$$")


def _written(model: Frozen, *without: str) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=set(without))


def _node(node: Node) -> dict[str, Any]:
    data = {"kind": node.kind, **_written(node, "name", "kind", "intent", "tmpfs")}
    if node.tmpfs:
        data["tmpfs"] = {path: how for path, _, how in (item.partition(":") for item in node.tmpfs)}
    if node.kind != "bridge":
        data["network-mode"] = "none"
        data["privileged"] = False
    if intent := _written(node.intent):
        data["config"] = {"vars": intent}
    return data


def _link(link: Link) -> dict[str, Any]:
    data: dict[str, Any] = {"type": link.kind}
    if link.kind == "dummy":
        data["endpoint"] = _endpoint(link.endpoints[0])
    else:
        data["endpoints"] = [_endpoint(end) for end in link.endpoints]
    if link.mtu is not None:
        data["mtu"] = link.mtu
    if intent := _written(link.intent):
        data["vars"] = intent
    return data


def _endpoint(end: Endpoint) -> dict[str, Any]:
    data = {"node": end.node, "interface": end.interface, **_written(end, "node", "interface", "intent")}
    if intent := _written(end.intent):
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
