"""Packet filters of the user's: which files a node gets, what they name, and what must differ in the lab."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from lab.configs.disk import Unreadable
from lab.configs.host import rulesets
from lab.configs.host.rulesets import Named, PortForward, RulesetForm
from lab.configs.host_reader import MAX_SIZE
from lab.core.errors import InputError
from lab.core.prefixes import Address
from lab.own.hostfiles import HostFiles
from lab.topology import Topology
from lab.topology.own import NodeFile, OwnRuleset, Remark
from lab.topology.segments import endpoints_of

DIRECTORY = PurePosixPath("/etc/nftables")
"""The directory in the node of a file without `/etc/` in its name."""
INCLUDES = PurePosixPath("/etc")
"""nft's own directory for includes with a relative path."""
_MAX_INCLUDES = 100
_SHOWN = 5


def with_rulesets(topology: Topology) -> Topology:
    """Return the topology with the rulesets of its nodes; its tunnels are complete already.

    Raises `InputError` for a file that cannot be read or that is not a ruleset.
    """
    found: list[OwnRuleset] = []
    remarks: list[Remark] = []
    for name, node in topology.nodes.items():
        given = node.intent.nftables
        at = f"{topology.file}: topology.nodes.{name}.config.vars.nftables"
        taken: set[PurePosixPath] = set()
        for config in (given,) if isinstance(given, str) else given:
            draft = _read(name, config, topology.file.parent, at)
            if draft.tree.path in taken:
                raise InputError(f"{at}: {config} is {draft.tree.path} in {name}, as another file: rename one of them")
            taken.add(draft.tree.path)
            absent = _absent(topology, name, draft)
            remarks += _remarks(topology, name, draft, absent)
            found.append(draft.complete(absent))
    update = {"rulesets": tuple(found), "remarks": (*topology.remarks, *remarks)}
    return topology.model_copy(update=update) if found else topology


@dataclass(frozen=True)
class Forwards:
    """The port forwards of all nodes, as their rulesets say."""

    by_node: Mapping[str, Sequence[PortForward]] = field(default_factory=dict)

    def follow(self, node: str, address: Address, transport: str, port: int) -> tuple[Address, int] | None:
        """Return address and port to which a node sends what arrives at its address; None if it keeps it."""
        for each in self.by_node.get(node, ()):
            at = each.destination in (None, address) and each.to.version == address.version
            if at and each.transport == transport and port in each.ports:
                return each.to, each.to_port or port
        return None


def port_forwards(topology: Topology) -> Forwards:
    """Return the port forwards of the nodes that load packet filters; a file that cannot be read has none."""
    found: dict[str, list[PortForward]] = {}
    for name, node in topology.nodes.items():
        given = node.intent.nftables
        for config in (given,) if isinstance(given, str) else given:
            tree = HostFiles.of(config, topology.file.parent, default=DIRECTORY)
            try:
                text = tree.text(tree.path, MAX_SIZE)
            except Unreadable:
                continue
            form = rulesets.form_of_ruleset(text, config)
            found.setdefault(name, []).extend(rulesets.forwards_of(text, form))
    return Forwards(found)


@dataclass
class _Draft:
    """A ruleset with the files that it includes, as they are."""

    node: str
    tree: HostFiles
    form: RulesetForm
    texts: dict[PurePosixPath, str] = field(default_factory=dict)
    """The text of each file, the main one first."""

    def name(self, path: PurePosixPath) -> str:
        """Return a file's name for messages."""
        return self.tree.name(path)

    @property
    def named(self) -> Iterator[tuple[PurePosixPath, Named]]:
        """The interfaces that the files name."""
        for path, text in self.texts.items():
            for named in rulesets.interfaces_of(text, self.form):
                yield path, named

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables, each once."""
        return tuple(dict.fromkeys(t for text in self.texts.values() for t in rulesets.tables_of(text, self.form)))

    def complete(self, absent: frozenset[str]) -> OwnRuleset:
        """Return the ruleset as the node gets it, where the `absent` interfaces do not exist when it is loaded."""
        files = []
        for path, text in self.texts.items():
            source = self.tree.find(path)
            assert source is not None
            replaced = _replaced(text, self.form, absent)
            files.append(NodeFile(path=path, source=source, given=self.name(path), replaced=replaced))
        return OwnRuleset(
            node=self.node,
            given=self.tree.given,
            path=self.tree.path,
            form=self.form,
            tables=self.tables,
            files=tuple(files),
        )


def _read(node: str, config: str, directory: Path, at: str) -> _Draft:
    tree = HostFiles.of(config, directory, default=DIRECTORY)
    try:
        text = tree.text(tree.path, MAX_SIZE)
    except Unreadable as error:
        raise InputError(f"{at}: {error}") from error
    draft = _Draft(node, tree, rulesets.form_of_ruleset(text, config), {tree.path: text})
    if draft.form == "nft":
        _include(draft, tree.path)
    if not draft.tables:
        raise InputError(
            f"{at}: {config} has no table: write the output of `nft list ruleset`, `iptables-save` or `ip6tables-save`"
        )
    for path, each in draft.texts.items():
        if (rule := rulesets.compatible_rule(each)) is not None:
            raise InputError(
                f"{draft.name(path)}:{rule[0]}: nft lists the rule of iptables with {rule[1]!r}, but cannot load it: "
                "write the output of `iptables-save` and `ip6tables-save` instead"
            )
    return draft


def _include(draft: _Draft, path: PurePosixPath) -> None:
    """Add the files that one includes, and those that they include; raises `InputError` for one not at hand."""
    for line, pattern in rulesets.includes_of(draft.texts[path]):
        base = PurePosixPath("/") if pattern.startswith("./") else INCLUDES
        target = PurePosixPath(os.path.normpath(base / pattern))
        spot = f"{draft.name(path)}:{line}"
        for included in _matching(draft.tree, target, spot):
            if included in draft.texts:
                continue
            if len(draft.texts) > _MAX_INCLUDES:
                raise InputError(f"{spot}: more than {_MAX_INCLUDES} files are included")
            try:
                draft.texts[included] = draft.tree.text(included, MAX_SIZE)
            except Unreadable as error:
                raise InputError(f"{spot}: {error}") from error
            _include(draft, included)


def _matching(tree: HostFiles, target: PurePosixPath, spot: str) -> Sequence[PurePosixPath]:
    if not set(target.name) & set("*?["):
        if tree.find(target) is None:
            raise InputError(f"{spot}: {tree.name(target)} is not among the files: copy it too")
        return [target]
    if not tree.is_directory(target.parent):
        return []
    return [path for path in tree.files(target.parent) if fnmatchcase(path.name, target.name)]


# --- interfaces --------------------------------------------------------------------------------------------


def _present(topology: Topology, node: str) -> set[str]:
    """Return the interfaces that a node has when its rulesets are loaded."""
    ends = endpoints_of(topology, node)
    found = {"lo", *(end.interface for end in ends), *(end.altname for end in ends if end.altname)}
    return found | ({"eth0"} if topology.nodes[node].network_mode == "bridge" else set())


def _later(topology: Topology, node: str) -> set[str]:
    """Return the interfaces that are made in a node later: VRFs, and those of OpenVPN."""
    found = {process.device for process in topology.processes if process.node == node}
    found |= topology.nodes[node].intent.vrfs.keys()
    for tunnel in topology.tunnels:
        found |= {tunnel.device} if tunnel.client == node else set()
        found |= {tunnel.server_device} if tunnel.server == node else set()
    return found


def _absent(topology: Topology, node: str, draft: _Draft) -> frozenset[str]:
    """Return the interfaces in a ruleset that must exist when it is loaded, and do not."""
    present = _present(topology, node)
    return frozenset(
        named.interface for _, named in draft.named if named.how != "name" and named.interface not in present
    )


def _replaced(text: str, form: RulesetForm, absent: frozenset[str]) -> dict[int, str]:
    """Return the lines of nft, by number, that name interfaces by index or as a device which do not exist yet."""
    if form != "nft" or not absent:
        return {}
    lines = text.split("\n")
    wanted = {
        named.line for named in rulesets.interfaces_of(text, form) if named.how != "name" and named.interface in absent
    }
    changed = {n: rulesets.without_devices(rulesets.by_name(lines[n - 1], absent), absent) for n in sorted(wanted)}
    return {number: line for number, line in changed.items() if line != lines[number - 1]}


def _remarks(topology: Topology, node: str, draft: _Draft, absent: frozenset[str]) -> Iterator[Remark]:
    program = {"nft": "nft", "iptables": "iptables-restore", "ip6tables": "ip6tables-restore"}[draft.form]
    kind = "tables" if len(draft.tables) > 1 else "table"
    what = f"loaded by {program} before OpenVPN starts: the {kind} {', '.join(draft.tables)}"
    yield Remark(kind="note", node=node, place=draft.tree.given, what=what)
    for path, text in draft.texts.items():
        lines = text.split("\n")
        for number, line in _replaced(text, draft.form, absent).items():
            what = f"`{line.strip()}` instead of `{lines[number - 1].strip()}`: the interface is not there yet"
            yield Remark(kind="override", node=node, place=f"{draft.name(path)}:{number}", what=what)
    known = _present(topology, node) | _later(topology, node)
    unknown: dict[str, str] = {}
    for path, named in draft.named:
        if not named.is_pattern and named.interface not in known:
            unknown.setdefault(named.interface, f"{draft.name(path)}:{named.line}")
    if unknown:
        shown = ", ".join(list(unknown)[:_SHOWN]) + (f" and {len(unknown) - _SHOWN} more" * (len(unknown) > _SHOWN))
        what = (
            f"rules for {shown} match nothing unless such an interface is made: the node has "
            f"{', '.join(sorted(known - {'lo'})) or 'lo alone'}"
        )
        yield Remark(kind="unknown", node=node, place=next(iter(unknown.values())), what=what)
