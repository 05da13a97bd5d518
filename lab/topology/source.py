"""YAML with places: every value has its line, its column and its key path.

PyYAML's composer is recursive and has no limit for aliases, so the tree is built from its events, with bounds: a file
that nests or repeats too much is a mistake and does not hang the reader.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.topology.envsubst import Expanded
from lab.topology.mistakes import Findings, KeyPath, quote
from lab.topology.model import Place

MAX_DEPTH = 40
"""The maximum depth of nesting. The format needs ten."""
MAX_VALUES = 200_000
"""The maximum number of values, counting each alias as often as it is used."""

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Scalar:
    """A single value: its text as written, and its value in YAML."""

    place: Place
    path: KeyPath
    text: str
    value: Value
    size: int = 1
    depth: int = 1
    literal: bool = False
    """True for a block scalar (`|`): its first line is the line after its place."""


@dataclass(frozen=True)
class Items:
    """A list."""

    place: Place
    path: KeyPath
    items: "tuple[Tree, ...]" = ()
    size: int = 1
    depth: int = 1


@dataclass(frozen=True)
class Key:
    """A key of a mapping, as written."""

    place: Place
    path: KeyPath


@dataclass(frozen=True)
class Table:
    """A mapping, in the order of the file."""

    place: Place
    path: KeyPath
    entries: "dict[str, Tree]" = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    """The place of each key."""
    size: int = 1
    depth: int = 1


Tree = Scalar | Items | Table


def plain(tree: Tree) -> Any:
    """Return the tree as plain Python data."""
    match tree:
        case Scalar():
            return tree.value
        case Items():
            return [plain(item) for item in tree.items]
        case Table():
            return {key: plain(value) for key, value in tree.entries.items()}


def tree_of(data: object, at: Place, path: KeyPath) -> Tree:
    """Return plain Python data as a tree with one place for all: for values from outside the file."""
    match data:
        case dict():
            entries = {str(key): tree_of(value, at, (*path, str(key))) for key, value in data.items()}
            return Table(at, path, entries, {key: Key(at, tree.path) for key, tree in entries.items()})
        case list() | tuple():
            return Items(at, path, tuple(tree_of(item, at, (*path, i)) for i, item in enumerate(data)))
        case None:
            return Scalar(at, path, "", None)
        case bool():
            return Scalar(at, path, str(data).lower(), data)
        case int() | float() if _reads_back(data):
            return Scalar(at, path, str(data), data)
        case _:
            return Scalar(at, path, str(data), str(data))


class _Stop(Exception):
    """Raised if the rest of the file cannot be parsed."""


@dataclass
class _Open:
    """A list or mapping that is still open."""

    place: Place
    path: KeyPath
    anchor: str | None
    table: bool
    items: list[Tree] = field(default_factory=list)
    entries: dict[str, Tree] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    merged: list[tuple[Key, Tree]] = field(default_factory=list)
    key: tuple[str, Key] | None = None
    """The key of the next value."""
    is_merge: bool = False


def compose(text: Expanded, file: Path, findings: Findings) -> Tree | None:
    """Build the tree of a file's only document; None if there is none, after noting that."""
    composer = _Composer(text, file, findings)
    try:
        return composer.run()
    except _Stop:
        return None


class _Composer:
    def __init__(self, text: Expanded, file: Path, findings: Findings) -> None:
        self.text = text
        self.file = file
        self.findings = findings
        self.anchors: dict[str, Tree] = {}
        self.stack: list[_Open] = []
        self.root: Tree | None = None
        self.documents = 0

    def run(self) -> Tree | None:
        for event in self.events():
            match event:
                case yaml.DocumentStartEvent():
                    self.documents += 1
                    if self.documents > 1:
                        self.stop(_index(event), "a second document: a topology file has one")
                case yaml.ScalarEvent():
                    self.scalar(event)
                case yaml.AliasEvent():
                    self.alias(event)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self.begin(event)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self.end()
        if self.root is None:
            self.findings.add_whole("the file is empty")
        return self.root

    def events(self) -> Iterator[yaml.Event]:
        try:
            loader = yaml.SafeLoader(self.text.text)
        except yaml.YAMLError as error:
            self.stop_at(error)
        try:
            while loader.check_event():
                yield loader.get_event()  # type: ignore[no-untyped-call]
        except yaml.YAMLError as error:
            self.stop_at(error)
        except (ValueError, OverflowError):
            # PyYAML raises these for an escape sequence without a character.
            self.stop(loader.index, "invalid YAML: the escape sequence is not a character")

    def stop_at(self, error: yaml.YAMLError) -> None:
        if isinstance(error, yaml.MarkedYAMLError):
            mark = error.problem_mark or error.context_mark
            what = " ".join(part for part in (error.problem, error.context) if part)
            self.stop(mark.index if mark else 0, f"invalid YAML: {one_line(what)}")
        offset = getattr(error, "position", 0)
        character = getattr(error, "character", "")
        shown = quote(_character(character))
        self.stop(offset, f"invalid YAML: the character {shown} is not allowed")

    def stop(self, offset: int, what: str) -> None:
        self.findings.add(Key(self.place(offset), self.path()), what)
        raise _Stop

    def place(self, offset: int) -> Place:
        return Place(self.file, *self.text.position(offset))

    def path(self) -> KeyPath:
        """Return the key path of the next value."""
        if not self.stack:
            return ()
        top = self.stack[-1]
        if not top.table:
            return (*top.path, len(top.items))
        return top.key[1].path if top.key else top.path

    def expects_key(self) -> bool:
        return bool(self.stack) and self.stack[-1].table and self.stack[-1].key is None

    def scalar(self, event: yaml.ScalarEvent) -> None:
        place, value = self.place(_index(event)), event.value
        if any("\ud800" <= c <= "\udfff" or c == "\0" for c in value):
            self.stop(_index(event), "a NUL or a surrogate, which no text can have")
        if self.expects_key():
            self.begin_entry(event, place)
            return
        scalar = Scalar(place, self.path(), value, value, literal=event.style == "|")
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            self.findings.add(scalar, f"the lab does not support the YAML tag {quote(event.tag)}")
        elif event.tag is None and event.implicit[0]:
            scalar = Scalar(place, self.path(), value, resolve(value))
        self.put(scalar, event.anchor)

    def begin_entry(self, event: yaml.ScalarEvent, place: Place) -> None:
        top, name = self.stack[-1], event.value
        top.is_merge = name == "<<" and event.implicit[0]
        key = Key(place, (*top.path, name))
        if name in top.keys and not top.is_merge:
            first = top.keys[name].place.line
            self.findings.add(key, f"duplicate key {quote(name)}, see line {first}")
        if event.anchor is not None:
            self.anchors[event.anchor] = Scalar(place, key.path, name, name)
        top.key = (name, key)

    def alias(self, event: yaml.AliasEvent) -> None:
        anchor = str(event.anchor)
        target = self.anchors.get(anchor)
        if target is None:
            inside = any(item.anchor == anchor for item in self.stack)
            what = "contains itself" if inside else "has no anchor before it"
            self.stop(_index(event), f"the alias {quote('*' + anchor)} {what}")
        elif self.expects_key():
            self.stop(_index(event), "the lab does not support an alias as a key")
        else:
            self.put(target, None)

    def begin(self, event: yaml.CollectionStartEvent) -> None:
        index = _index(event)
        if self.expects_key():
            self.stop(index, "the lab does not support a list or a mapping as a key")
        if len(self.stack) >= MAX_DEPTH:
            self.stop(index, f"nested deeper than {MAX_DEPTH} levels")
        opened = _Open(self.place(index), self.path(), event.anchor, isinstance(event, yaml.MappingStartEvent))
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self.findings.add(
                Key(opened.place, opened.path), f"the lab does not support the YAML tag {quote(event.tag)}"
            )
        self.stack.append(opened)

    def end(self) -> None:
        top = self.stack.pop()
        if top.table:
            self.merge(top)
        children = list(top.entries.values()) if top.table else top.items
        size = 1 + sum(child.size for child in children)
        depth = 1 + max((child.depth for child in children), default=0)
        tree: Tree
        if top.table:
            tree = Table(top.place, top.path, top.entries, top.keys, size, depth)
        else:
            tree = Items(top.place, top.path, tuple(top.items), size, depth)
        if size > MAX_VALUES:
            self.refuse(tree, f"more than {MAX_VALUES} values, counting each alias as often as it is used")
        if depth > MAX_DEPTH:
            self.refuse(tree, f"nested deeper than {MAX_DEPTH} levels")
        self.put(tree, top.anchor)

    def refuse(self, tree: Tree, what: str) -> None:
        self.findings.add(tree, what)
        raise _Stop

    def merge(self, top: _Open) -> None:
        """Add the entries of the merge keys (`<<`); the mapping's own keys take precedence."""
        for key, tree in top.merged:
            for source in tree.items if isinstance(tree, Items) else (tree,):
                if not isinstance(source, Table):
                    self.findings.add(key, "a merge key takes a mapping or a list of mappings")
                    continue
                for name, value in source.entries.items():
                    if name not in top.entries:
                        top.entries[name] = value
                        top.keys[name] = source.keys[name]

    def put(self, tree: Tree, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = tree
        if not self.stack:
            self.root = tree
            return
        top = self.stack[-1]
        if not top.table:
            top.items.append(tree)
        elif top.key is not None:
            name, key = top.key
            if top.is_merge:
                top.merged.append((key, tree))
            elif name not in top.entries:
                top.entries[name] = tree
                top.keys[name] = key
            top.key = None


def _index(event: yaml.Event) -> int:
    """Return the start of an event, in characters of the text."""
    return event.start_mark.index if event.start_mark else 0


def _reads_back(number: float) -> bool:
    """Return True for a number that reads back from a file as the same number."""
    return math.isfinite(number) if isinstance(number, float) else resolve(str(number)) == number


def one_line(text: str) -> str:
    """Join the lines of a message."""
    return " ".join(text.split())


def _character(code: object) -> str:
    return chr(code) if isinstance(code, int) else str(code)


_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}
_FALSE = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9_]{0,99})")
_BASED = re.compile(r"[-+]?0(?:x[0-9a-fA-F]{1,16}|o?[0-7]{1,21}|b[01]{1,64})")
_FRACTION = re.compile(r"[-+]?(?:\d{1,30}\.\d{0,30}|\.\d{1,30})(?:[eE][-+]?\d{1,3})?")


def resolve(text: str) -> Value:
    """Return the value of a plain scalar in YAML 1.1, as in containerlab's parser: no times, no base 60."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _WHOLE.fullmatch(text):
        return int(text.replace("_", ""))
    if _BASED.fullmatch(text):
        digits = re.sub(r"^([-+]?)0(?=[0-7])", r"\g<1>0o", text)
        return int(digits, 0)
    if _FRACTION.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def reads_as_text(text: str) -> bool:
    """Return True for a text that reads back as text when written without quotes."""
    return isinstance(resolve(text), str)
