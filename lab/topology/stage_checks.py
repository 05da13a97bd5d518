"""Stages in a file: inherited by joining their lists, and checked together for all nodes."""

from collections.abc import Collection, Mapping, Sequence

from lab.topology.container_values import check_command
from lab.topology.mistakes import Findings, did_you_mean, quote
from lab.topology.source import Items, Key, Table, Tree, plain
from lab.topology.stages import STAGES, Stages

_OF_CONTAINERS = ("healthy", "exit")
"""The stages that only a container completes."""


def merge_stages(given: Sequence[Table]) -> Table:
    """Merge the stages of several levels, the farthest first: lists are joined, each wait once."""
    entries: dict[str, Tree] = {}
    keys: dict[str, Key] = {}
    for level in given:
        for name, stage in level.entries.items():
            before = entries.get(name)
            if isinstance(before, Table) and isinstance(stage, Table):
                stage = _joined(before, stage)
            entries[name], keys[name] = stage, level.keys[name]
    return Table(given[-1].place, given[-1].path, entries, keys)


def _joined(one: Table, other: Table) -> Table:
    entries = {**one.entries, **other.entries}
    for key, value in other.entries.items():
        before = one.entries.get(key)
        if isinstance(before, Items) and isinstance(value, Items):
            known = [plain(item) for item in before.items] if key == "wait-for" else []
            new = tuple(item for item in value.items if plain(item) not in known)
            entries[key] = Items(value.place, value.path, before.items + new)
    return Table(other.place, other.path, entries, {**one.keys, **other.keys})


def check_stages(
    stages: Mapping[str, Stages],
    at: Mapping[str, Tree],
    earlier: Mapping[str, Sequence[str]],
    findings: Findings,
    bridges: Collection[str] = (),
) -> None:
    """Check waits of all nodes, and commands of those that are containers.

    `at` has the place of each node's stages, `earlier` the nodes that must exist before a node for other reasons.
    """
    for name, own in stages.items():
        for stage in STAGES if name not in bridges else ():
            for item in own.of(stage).exec:
                check_command(item.command, at[name], findings)
                if item.target == "host":
                    what = f"{quote(item.command)} is not run: the lab runs no command on this host for a topology"
                    findings.note(at[name], name, what)
        for wait in own.waits():
            if wait.node not in stages:
                findings.add(
                    at[name], f"there is no node {quote(wait.node)} to wait for", did_you_mean(wait.node, stages)
                )
            if wait.node in bridges and wait.stage in _OF_CONTAINERS:
                what = f"the node would wait forever: the bridge {quote(wait.node)} has no stage {quote(wait.stage)}"
                findings.add(at[name], what, "wait for 'create', 'create-links' or 'configure'")
        for command in own.create.commands("on-enter") if name not in bridges else ():
            what = f"{quote(command)} has no effect: the node does not exist when it enters the stage 'create'"
            findings.note(at[name], name, what)
    before = {
        name: ({*earlier.get(name, ()), *(wait.node for wait in own.waits())}) & set(stages)
        for name, own in stages.items()
    }
    circle = _circle(before)
    waiting = [name for name in circle if name in at]
    if waiting:
        what = f"nodes wait for each other: {', '.join(quote(name) for name in circle)}"
        findings.add(at[waiting[0]], what, "containerlab refuses such a circle too, even one through different stages")


def _circle(before: Mapping[str, set[str]]) -> list[str]:
    """Return the nodes that wait for each other, in the file's order; `before` has what each waits for."""
    left = {name: set(needed) for name, needed in before.items()}
    while True:
        awaited = set().union(*left.values())
        done = {name for name, needed in left.items() if not needed} | (set(left) - awaited)
        if not done:
            return list(left)
        left = {name: needed - done for name, needed in left.items() if name not in done}
