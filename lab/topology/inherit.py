"""containerlab's inheritance: node over group over kind over defaults.

| value           | what a node gets                                                                       |
|-----------------|----------------------------------------------------------------------------------------|
| single          | the nearest that is set; an empty text and the number 0 count as not set               |
| map             | all levels merged key by key, the nearer level wins                                    |
| list            | all levels joined, from the farthest to the nearest, without duplicates                |
| `ports`         | the nearest list as a whole                                                            |
| `binds`, `volumes` | as a list, but of two binds to one destination the nearer one wins; sorted             |
| `dns`, `healthcheck` | the nearest as a whole                                                            |
| `credentials`   | name and password of the nearest that has one of them; `identity-file` for itself      |
| `certificate`   | merged key by key: node over group over kind, as all else                              |
| `stages`        | of each stage, the lists of all levels joined                                          |
| `config.vars`   | merged key by key at any depth; lists are replaced as a whole                          |

One difference: a node without a definition (`host1:`) inherits like one with an empty definition, while in
containerlab it does not inherit `config.vars` and the kind's group.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from lab.topology.keys import INHERITED
from lab.topology.shape import is_null, issubclass_of
from lab.topology.source import Items, Key, Scalar, Table, Tree
from lab.topology.stage_checks import merge_stages

Definition = Mapping[str, Tree]
"""The checked keys of a node, a group, a kind or the defaults."""


@dataclass(frozen=True)
class Definitions:
    """The levels from which a node inherits."""

    defaults: Definition = field(default_factory=dict)
    kinds: Mapping[str, Definition] = field(default_factory=dict)
    groups: Mapping[str, Definition] = field(default_factory=dict)
    undefined: Mapping[str, Key] = field(default_factory=dict)
    """The kinds that the file names without a definition, each with its place."""

    def kind_of(self, node: Definition) -> Scalar | None:
        """Return the node's kind: its own, its own group's, the default group's, the default one."""
        own_group = self._group(_text(node, "group"))
        default_group = self._group(_text(self.defaults, "group"))
        for level in (node, own_group, default_group, self.defaults):
            if kind := _single(level, "kind"):
                return kind
        return None

    def group_of(self, node: Definition) -> Scalar | None:
        """Return the node's group: its own, its kind's, the default one."""
        kind = self.kind_of(node)
        of_kind = self._kind(kind)
        for level in (node, of_kind, self.defaults):
            if group := _single(level, "group"):
                return group
        return None

    def inherit(self, node: Definition) -> dict[str, Tree]:
        """Return all keys of a node, inherited ones included, each with its place in the file."""
        kind, group = self.kind_of(node), self.group_of(node)
        levels = [
            self.defaults,
            self._kind(kind),
            self._group(group.text if group else None),
            node,
        ]
        inherited: dict[str, Tree] = {}
        for key, annotation in INHERITED.items():
            given = [level[key] for level in levels if key in level and not is_null(level[key])]
            if given and (value := _combine(key, annotation, given)) is not None:
                inherited[key] = value
        singles = {"kind": kind, "group": group}
        return {**inherited, **{key: single for key, single in singles.items() if single is not None}}

    def _kind(self, kind: Scalar | None) -> Definition:
        """Return the definition of a kind, which is spelled as the node's: containerlab ignores case elsewhere."""
        return self.kinds.get(kind.text, {}) if kind else {}

    def _group(self, name: str | None) -> Definition:
        return self.groups.get(name, {}) if name else {}


def _combine(key: str, annotation: Any, given: list[Tree]) -> Tree | None:
    """Combine the values of one key, the farthest first."""
    if annotation is Any:
        return given[-1]
    origin = get_origin(annotation)
    if key in ("binds", "volumes"):
        return _binds([tree for tree in given if isinstance(tree, Items)])
    if key == "ports":
        return next((tree for tree in reversed(given) if isinstance(tree, Items) and tree.items), None)
    if key == "certificate":
        return merge([_set_only(tree) for tree in given if isinstance(tree, Table)], deep=False)
    if key == "credentials":
        return _credentials([_set_only(tree) for tree in given if isinstance(tree, Table)])
    if key == "stages":
        tables = [tree for tree in given if isinstance(tree, Table)]
        return merge_stages(tables) if tables else None
    if origin is tuple:
        return _lists([tree for tree in given if isinstance(tree, Items)])
    if issubclass_of(origin, Mapping):
        return merge([tree for tree in given if isinstance(tree, Table)], deep=key == "config")
    values = [tree for tree in given if isinstance(tree, Table) or _is_set(tree, annotation)]
    return values[-1] if values else None


def _credentials(given: list[Table]) -> Table | None:
    """Return the nearest login, whose name and password belong together, and the nearest file of a key."""
    logins = [tree for tree in given if {"username", "password"} & set(tree.entries)]
    key_files = [tree for tree in given if "identity-file" in tree.entries]
    nearest: list[tuple[Table, tuple[str, ...]]] = [(logins[-1], ("username", "password"))] if logins else []
    nearest += [(key_files[-1], ("identity-file",))] if key_files else []
    parts = [
        Table(tree.place, tree.path, {key: tree.entries[key] for key in keys if key in tree.entries}, tree.keys)
        for tree, keys in nearest
    ]
    return merge(parts, deep=False)


def _set_only(tree: Table) -> Table:
    """Return a mapping without the values that count as not set; false is a value."""
    entries = {
        key: value
        for key, value in tree.entries.items()
        if not (isinstance(value, Scalar) and (value.value is None or value.text in ("", "0")))
        and not (isinstance(value, Items) and not value.items)
    }
    return Table(tree.place, tree.path, entries, tree.keys)


def _is_set(tree: Tree, annotation: Any) -> bool:
    number = bool({annotation, *get_args(annotation)} & {int, float})
    return isinstance(tree, Scalar) and tree.text != "" and not (number and tree.value == 0)


def _lists(given: list[Items]) -> Items | None:
    if not given:
        return None
    once: dict[str, Tree] = {}
    for tree in given:
        for item in tree.items:
            if isinstance(item, Scalar):
                once.setdefault(item.text, item)
    return Items(given[-1].place, given[-1].path, tuple(once.values()))


def _binds(given: list[Items]) -> Items | None:
    joined = _lists(given)
    if joined is None:
        return None
    by_destination: dict[str, Scalar] = {}
    for item in joined.items:
        if isinstance(item, Scalar):
            by_destination[item.text.split(":")[1] if ":" in item.text else item.text] = item
    binds = sorted(by_destination.values(), key=lambda item: item.text)
    return Items(joined.place, joined.path, tuple(binds))


def merge(given: list[Table], *, deep: bool) -> Table | None:
    """Merge mappings, the farthest first; `deep` merges mappings inside them too."""
    if not given:
        return None
    entries: dict[str, Tree] = {}
    keys = {}
    for table in given:
        for key, value in table.entries.items():
            before = entries.get(key)
            if deep and isinstance(before, Table) and isinstance(value, Table):
                value = merge([before, value], deep=True) or value
            entries[key] = value
            keys[key] = table.keys[key]
    return Table(given[-1].place, given[-1].path, entries, keys)


def _single(level: Definition, key: str) -> Scalar | None:
    tree = level.get(key)
    return tree if isinstance(tree, Scalar) and tree.text and not is_null(tree) else None


def _text(level: Definition, key: str) -> str | None:
    single = _single(level, key)
    return single.text if single else None
