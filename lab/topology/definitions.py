"""Read and check the levels of inheritance, also those that no node inherits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import get_origin

from lab.topology.inherit import Definition, Definitions
from lab.topology.keys import INHERITED, LOGIN, MEMBERS, NODE_KEYS, OWN_ONLY
from lab.topology.mistakes import Findings, did_you_mean, quote
from lab.topology.model import Node
from lab.topology.shape import InvalidValue, check_keys, convert, is_null, issubclass_of, note_mismatch
from lab.topology.source import Items, Key, Table, Tree

_FIELDS = {info.alias or name: info for name, info in Node.model_fields.items()}


def read_definitions(topology: Table, findings: Findings) -> Definitions:
    """Read `defaults`, `kinds` and `groups` of the `topology` mapping.

    Keys and values are checked as containerlab's parser does; what the lab supports, only where a node inherits it.
    """
    defaults = topology.entries.get("defaults")
    if defaults is not None and is_null(defaults):
        what = "'defaults' has no definition: containerlab cannot read such a file"
        findings.add(topology.keys["defaults"], what, "write '{}', or leave it out")
    kinds = _read_each(topology, "kinds", findings)
    return Definitions(
        _read_level(defaults, findings) if defaults is not None else {},
        kinds,
        _read_each(topology, "groups", findings),
        _without_definition(topology),
    )


def _read_each(topology: Table, section: str, findings: Findings) -> dict[str, Definition]:
    """Read a section of definitions by name."""
    tree = topology.entries.get(section)
    if tree is None or is_null(tree):
        return {}
    if not isinstance(tree, Table):
        note_mismatch(tree, Mapping[str, str], findings)
        return {}
    return {name: _read_level(value, findings) for name, value in tree.entries.items()}


def _read_level(tree: Tree, findings: Findings) -> Definition:
    """Return the keys that nodes inherit; the others are noted."""
    definition = dict(read_definition(tree, findings))
    for key in OWN_ONLY:
        if definition.pop(key, None) is not None and isinstance(tree, Table):
            findings.note(tree.keys[key], "", f"{key!r} has no effect here: no node inherits it")
    return definition


def _without_definition(topology: Table) -> dict[str, Key]:
    """Return the kinds that are named without a definition, which containerlab's nodes cannot have."""
    tree = topology.entries.get("kinds")
    if not isinstance(tree, Table):
        return {}
    return {name: tree.keys[name] for name, value in tree.entries.items() if is_null(value)}


def read_definition(tree: Tree, findings: Findings) -> Definition:
    """Return the valid keys of a definition; the others are noted."""
    if is_null(tree):
        return {}
    if not isinstance(tree, Table):
        note_mismatch(tree, Mapping[str, str], findings)
        return {}
    definition: dict[str, Tree] = {}
    for key, value in tree.entries.items():
        if key not in INHERITED and key not in LOGIN:
            findings.add(tree.keys[key], f"unknown key {quote(key)}", did_you_mean(key, INHERITED))
            continue
        if is_null(value):
            continue
        try:
            _check(key, value, findings)
        except InvalidValue:
            continue
        definition[key] = value if key in NODE_KEYS else replace(value, place=tree.keys[key].place)
    return _with_credentials(tree, definition)


def _with_credentials(tree: Table, definition: dict[str, Tree]) -> Definition:
    """Return a definition with the older spelling of its login in `credentials`, which takes precedence."""
    older: dict[str, Tree] = {key: definition.pop(key) for key in LOGIN if key in definition}
    if older:
        newer = definition.get("credentials")
        given = newer if isinstance(newer, Table) else Table(tree.place, tree.path, {}, {})
        keys: dict[str, Key] = {key: tree.keys[key] for key in older}
        definition["credentials"] = Table(given.place, given.path, {**older, **given.entries}, {**keys, **given.keys})
    return definition


def _check(key: str, value: Tree, findings: Findings) -> None:
    if key == "config":
        _check_config(value, findings)
        return
    annotation = INHERITED.get(key, str)
    convert(value, annotation, findings, _FIELDS.get(key))
    for member in value.items if isinstance(value, Items) else (value,):
        if key in MEMBERS and isinstance(member, Table):
            check_keys(member, MEMBERS[key], findings)
    if issubclass_of(get_origin(annotation), Mapping) and isinstance(value, Table):
        for name in value.entries:
            if not name:
                findings.add(value.keys[name], "empty name")


def _check_config(value: Tree, findings: Findings) -> None:
    if not isinstance(value, Table):
        raise note_mismatch(value, Mapping[str, str], findings)
    check_keys(value, ("vars",), findings)
    variables = value.entries.get("vars")
    if variables is not None and not is_null(variables) and not isinstance(variables, Table):
        raise note_mismatch(variables, Mapping[str, str], findings)
