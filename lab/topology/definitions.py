"""Read and check the levels of inheritance, also those that no node inherits."""

from collections.abc import Mapping
from typing import get_origin

from lab.topology.inherit import Definition, Definitions
from lab.topology.intent import NodeIntent
from lab.topology.keys import BRIDGE_KEYS, KINDS, NODE_KEYS, NODE_REFUSED
from lab.topology.mistakes import Findings, Located, did_you_mean, one_of, quote
from lab.topology.model import Node
from lab.topology.shape import InvalidValue, check_keys, convert, is_null, issubclass_of, note_mismatch
from lab.topology.source import Key, Scalar, Table, Tree

NODE_VARS = tuple(info.alias or name for name, info in NodeIntent.model_fields.items())

_FIELDS = {info.alias or name: info for name, info in Node.model_fields.items()}


def read_definitions(topology: Table, findings: Findings) -> Definitions:
    """Read `defaults`, `kinds` and `groups` of the `topology` mapping."""
    defaults = topology.entries.get("defaults")
    kinds = read_each(topology, "kinds", findings)
    for name in kinds:
        refuse_kind(name, topology_key(topology, "kinds", name), findings)
    return Definitions(
        read_definition(defaults, findings) if defaults is not None else {},
        kinds,
        read_each(topology, "groups", findings),
    )


def read_each(topology: Table, section: str, findings: Findings) -> dict[str, Definition]:
    """Read a section of definitions by name."""
    tree = topology.entries.get(section)
    if tree is None or is_null(tree):
        return {}
    if not isinstance(tree, Table):
        note_mismatch(tree, Mapping[str, str], findings)
        return {}
    return {
        name: read_definition(value, findings, bridge=section == "kinds" and name == "bridge")
        for name, value in tree.entries.items()
    }


def topology_key(topology: Table, section: str, name: str) -> Key:
    """Return the place of a name in a section."""
    tree = topology.entries[section]
    assert isinstance(tree, Table)
    return tree.keys[name]


def read_definition(tree: Tree, findings: Findings, *, bridge: bool = False) -> Definition:
    """Return the valid keys of a definition; the others are noted."""
    if is_null(tree):
        return {}
    if not isinstance(tree, Table):
        note_mismatch(tree, Mapping[str, str], findings)
        return {}
    definition: dict[str, Tree] = {}
    for key, value in tree.entries.items():
        if refuse_key(key, tree.keys[key], findings, bridge=bridge):
            continue
        if is_null(value):
            continue
        try:
            _check(key, value, findings)
        except InvalidValue:
            continue
        definition[key] = value
    return definition


def refuse_key(key: str, at: Located, findings: Findings, *, bridge: bool = False) -> bool:
    """Note a key that the lab does not support or know; return True if it is one."""
    if key in NODE_REFUSED:
        findings.add(at, f"the lab does not support {key!r}: {NODE_REFUSED[key]}")
    elif key not in NODE_KEYS:
        findings.add(at, f"unknown key {quote(key)}", did_you_mean(key, NODE_KEYS))
    elif bridge and key not in BRIDGE_KEYS:
        findings.add(at, f"{key!r} does not apply to a bridge, which is not a container")
    else:
        return False
    return True


def refuse_kind(kind: str, at: Located, findings: Findings) -> bool:
    """Note a kind that the lab does not support; return True if it is one."""
    if kind.lower() in KINDS:
        return False
    hint = did_you_mean(kind, KINDS)
    findings.add(at, f"the lab does not support the kind {quote(kind)}: the kinds are {one_of(KINDS)}", hint)
    return True


def _check(key: str, value: Tree, findings: Findings) -> None:
    if key == "config":
        _check_config(value, findings)
        return
    convert(value, NODE_KEYS[key], findings, _FIELDS.get(key))
    if key == "kind" and isinstance(value, Scalar):
        if value.text and refuse_kind(value.text, value, findings):
            raise InvalidValue
        return
    if key == "network-mode" and isinstance(value, Scalar):
        _check_network_mode(value, findings)
    if key == "privileged" and isinstance(value, Scalar) and value.value is True:
        what = "the lab does not support 'privileged: true': its nodes get single capabilities only"
        findings.add(value, what, "write 'privileged: false', and use 'cap-add'")
        raise InvalidValue
    if issubclass_of(get_origin(NODE_KEYS[key]), Mapping) and isinstance(value, Table):
        for name in value.entries:
            if not name:
                findings.add(value.keys[name], "empty name")


def _check_network_mode(value: Scalar, findings: Findings) -> None:
    if value.text.lower() not in ("", "none"):
        why = "its nodes have only the links of the file"
        what = f"the lab does not support the network mode {quote(value.text)}: {why}"
        findings.add(value, what, "write 'network-mode: none'")
        raise InvalidValue


def _check_config(value: Tree, findings: Findings) -> None:
    if not isinstance(value, Table):
        raise note_mismatch(value, Mapping[str, str], findings)
    check_keys(value, ("vars",), findings)
    variables = value.entries.get("vars")
    if variables is None or is_null(variables):
        return
    if not isinstance(variables, Table):
        raise note_mismatch(variables, Mapping[str, str], findings)
    check_keys(variables, NODE_VARS, findings)
