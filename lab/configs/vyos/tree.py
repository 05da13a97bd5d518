"""Reader of VyOS's and EdgeOS's configurations: `set` commands, or the braces of `config.boot`, as one tree."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lab.configs.disk import Spot, Unreadable

_MAX_DEPTH = 50
_KINDS = "openvpn|ethernet|loopback|dummy|bridge|bonding|switch|tunnel|wireguard|pppoe|vti"
_SET = re.compile(
    rf"""(?mx)^[ \t]*(\S+[#$][ ])?set[ ]['"]?(
    interfaces['"]?[ ]['"]?({_KINDS})['"]?[ ]
    | protocols['"]?[ ]['"]?(static|bgp['"]?[ ]['"]?(\d+|system-as)|ospf|ospfv3)['"]?[ ]
    | system['"]?[ ]['"]?host-name['"]?[ ]
    | pki['"]?[ ]['"]?(ca|certificate|openvpn)['"]?[ ])"""
)
_BRACES = re.compile(rf"(?m)^[ \t]+({_KINDS}) \S+ \{{|^[ \t]+bgp \d+ \{{|^[ \t]+system-as \"?\d")
_PROMPT = re.compile(r"^\s*\S+@\S+[#$]\s+")
_OTHERS = (
    "configure", "commit", "commit-confirm", "save", "exit", "load", "compare", "show", "discard", "run", "sudo",
    "source", "set-e", "end", "quit", "confirm", "comment", "merge", "rollback",
)  # fmt: skip
"""Commands that set nothing."""


class Value(NamedTuple):
    """A word of the tree with its line."""

    text: str
    spot: Spot


@dataclass
class Node:
    """A word of the tree with what is below it: a leaf's only children are its values."""

    spot: Spot
    children: dict[str, "Node"] = field(default_factory=dict)
    was_read: bool = False

    def find(self, *path: str) -> "Node | None":
        """Return the node at a path."""
        node: Node | None = self
        for word in path:
            node = node.children.get(word) if node else None
        return node

    def at(self, *path: str) -> "Node":
        """Return the node at a path; an empty one if there is none."""
        return self.find(*path) or Node(self.spot)

    def spot_of(self, *path: str) -> Spot | None:
        """Return the place of the node at a path, and count it as read; None if there is none."""
        node = self.find(*path)
        if node:
            node.was_read = True
        return node.spot if node else None

    def values(self, *path: str) -> list[Value]:
        """Return the words below a path, in order, and count them as read."""
        node = self.find(*path)
        if node is None:
            return []
        node.was_read = True
        for child in node.children.values():
            child.was_read = True
        return [Value(text, child.spot) for text, child in node.children.items()]

    def value(self, *path: str) -> Value | None:
        """Return the value of a leaf: the last one that was set."""
        found = self.values(*path)
        return found[-1] if found else None

    def nodes(self, *path: str) -> Iterator[tuple[str, "Node"]]:
        """Iterate over the nodes below a path, by name."""
        node = self.find(*path)
        for name, child in list(node.children.items()) if node else []:
            child.was_read = True
            yield name, child

    def unread(self, *above: str) -> Iterator[Value]:
        """Iterate over the leaves that were not read, each as its path."""
        stack = [(above, self)]
        while stack:
            path, node = stack.pop()
            if not node.children and not node.was_read:
                yield Value(" ".join(path), node.spot)
            stack += [((*path, name), child) for name, child in reversed(node.children.items())]

    def skip(self) -> None:
        """Count all leaves as read."""
        stack = [self]
        while stack:
            node = stack.pop()
            node.was_read = True
            stack += node.children.values()

    def put(self, words: list[str], spot: Spot) -> None:
        """Set a path."""
        node = self
        for word in words:
            # A value that is set again is the last one.
            child = node.children.pop(word, None) or Node(spot)
            node.children[word] = child
            node = child

    def drop(self, words: list[str]) -> None:
        """Delete a path."""
        above = self.find(*words[:-1]) if words else None
        if above:
            above.children.pop(words[-1], None)


def looks_like_vyos(text: str) -> bool:
    """Return True for a text with VyOS's or EdgeOS's commands, or their config.boot."""
    return _SET.search(text) is not None or (
        re.search(r"(?m)^(interfaces|protocols) \{", text) is not None and _BRACES.search(text) is not None
    )


def parse(text: str, name: str) -> tuple[Node, list[Value]]:
    """Parse a configuration, and return its other lines as well; raises `Unreadable` with file and line."""
    return (_braces(text, name), []) if _SET.search(text) is None else _commands(text, name)


def _commands(text: str, name: str) -> tuple[Node, list[Value]]:
    root = Node(Spot(name, 1))
    others: list[Value] = []
    level: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        spot = Spot(name, number)
        line = _PROMPT.sub("", line).strip()
        first = line.split(maxsplit=1)[0] if line else "#"
        if first not in ("set", "delete", "edit", "top", "up"):
            if first not in _OTHERS and not first.startswith(("#", "[")):
                others.append(Value(line, spot))
            continue
        command, *words = _words(line, spot)
        if len(level) + len(words) > _MAX_DEPTH:
            raise Unreadable(f"{spot}: more than {_MAX_DEPTH} words in a path")
        if command == "set":
            root.put(level + words, spot)
        elif command == "delete":
            root.drop(level + words)
        elif command == "edit":
            level = level + words
        else:
            level = [] if command == "top" else level[:-1]
    return root, others


def _braces(text: str, name: str) -> Node:
    root = Node(Spot(name, 1))
    path: list[list[str]] = []
    in_comment = False
    for number, line in enumerate(text.splitlines(), 1):
        spot = Spot(name, number)
        line = line.strip()
        if in_comment or line.startswith("/*"):
            in_comment = "*/" not in line
        elif not line or line.startswith("//"):
            continue
        elif line == "}":
            if not path:
                raise Unreadable(f"{spot}: a closing brace without an opening one")
            path.pop()
        else:
            opens = line.endswith("{")
            words = _words(line.removesuffix("{"), spot)
            if len(path) == _MAX_DEPTH:
                raise Unreadable(f"{spot}: more than {_MAX_DEPTH} braces inside each other")
            root.put([word for level in path for word in level] + words, spot)
            if opens:
                path.append(words)
    if path:
        raise Unreadable(f"{name}: {len(path)} braces are not closed")
    return root


def _words(line: str, spot: Spot) -> list[str]:
    try:
        return [word.replace("&quot;", '"') for word in shlex.split(line)]
    except ValueError as error:
        raise Unreadable(f"{spot}: {str(error).lower()}") from error
