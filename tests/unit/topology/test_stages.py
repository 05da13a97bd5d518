"""The stages of nodes in a file: inherited, checked, and dumped."""

from collections.abc import Callable

import pytest

from lab.topology import Topology, dump
from lab.topology.stages import StageCommand, StageWait
from tests.helpers.clab_schema import is_valid

Load = Callable[..., Topology]
Refuse = Callable[..., list[str]]
Two = Callable[..., str]

FILE = """\
name: staged
topology:
  defaults:
    kind: linux
    image: "x:1"
    network-mode: none
    stages: {create: {wait-for: [{node: base, stage: healthy}]}}
  groups:
    late: {stages: {create: {wait-for: [{node: b, stage: create-links}], exec: [{command: one, phase: on-exit}]}}}
  nodes:
    base: {stages: {create: {wait-for: []}}}
    b: {}
    c:
      group: late
      stages:
        create: {wait-for: [{node: b, stage: create-links}], exec: [{command: two, phase: on-exit}]}
        configure: {exec: [{command: three, phase: on-enter}]}
"""


def test_lists_of_all_levels_are_joined(load: Load) -> None:
    text = FILE.replace("stages: {create: {wait-for: [{node: base, stage: healthy}]}}", "startup-delay: 0")
    node = load(text).nodes["c"]
    assert node.stages.create.wait_for == (StageWait(node="b", stage="create-links"),)
    assert node.stages.create.commands("on-exit") == ["one", "two"]
    assert node.stages.configure.exec == (StageCommand(command="three", phase="on-enter"),)
    assert load(dump(load(text))).nodes == load(text).nodes
    assert is_valid(text)


def test_inherited_wait_of_a_node_for_itself_is_a_circle(refuse: Refuse) -> None:
    (line,) = refuse(FILE)
    assert "nodes wait for each other: 'base'; containerlab refuses such a circle too" in line


def wait(node: str, stage: str, own: str = "create") -> str:
    return f"stages: {{{own}: {{wait-for: [{{node: {node}, stage: {stage}}}]}}}}"


def test_circle_through_different_stages_is_refused(load: Load, refuse: Refuse, two: Two) -> None:
    load(two(a=wait("b", "create", "configure")))
    (line,) = refuse(two(a=wait("b", "create", "configure"), b=wait("a", "create", "exit")))
    assert line.startswith("lab.yml:4:")
    assert "nodes wait for each other: 'a', 'b'" in line


def test_namespace_of_another_and_an_address_of_its_own_are_waits_too(refuse: Refuse, two: Two) -> None:
    text = two(a=wait("b", "create"), b="X").replace("network-mode: none, X", "network-mode: 'container:a'")
    assert "nodes wait for each other: 'a', 'b'" in refuse(text)[0]
    text = two(a=f"mgmt-ipv4: 172.20.20.9, {wait('b', 'healthy')}")
    assert "nodes wait for each other: 'a', 'b'" in refuse(text)[0]


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        (wait("c", "create"), "there is no node 'c' to wait for"),
        (wait("b", "created"), "'created' is not one of 'create', 'create-links', 'configure', 'healthy', 'exit'"),
        ("stages: {create: {wait-for: [{node: b}]}}", "the key 'stage' is missing"),
        ("stages: {crate: {}}", "unknown key 'crate'; did you mean 'create'?"),
        ("stages: {create: {exec: {on-enter: [ls]}}}", "a mapping is not a list"),
        ("stages: {create: {exec: [ls]}}", "'ls' is not a mapping"),
        ("stages: {exit: {exec: [{command: ls, phase: on-start}]}}", "'on-start' is not one of 'on-enter', 'on-exit'"),
    ],
)
def test_mistake_is_one_line(refuse: Refuse, two: Two, keys: str, what: str) -> None:
    (line,) = refuse(two(a=keys))
    assert line.startswith("lab.yml:4:")
    assert what in line


def with_bridge(text: str, keys: str = "") -> str:
    return text.replace("  links:\n", f"    br: {{kind: bridge{keys}}}\n  links:\n")


@pytest.mark.parametrize("stage", ["healthy", "exit"])
def test_stage_that_a_bridge_does_not_reach(load: Load, refuse: Refuse, two: Two, stage: str) -> None:
    """containerlab 0.79 starts, and never ends: a bridge completes no stage of containers."""
    for reached in ("create", "create-links", "configure"):
        assert load(with_bridge(two(a=wait("br", reached))))
    (line,) = refuse(with_bridge(two(a=wait("br", stage))))
    assert f"the node would wait forever: the bridge 'br' has no stage '{stage}'" in line


def test_waits_of_a_bridge_are_checked(load: Load, refuse: Refuse, two: Two) -> None:
    """containerlab 0.79: `dependee node c not found`, and `cyclic dependencies found!`."""
    load(with_bridge(two(), f", {wait('b', 'create')}"))
    (line,) = refuse(with_bridge(two(), f", {wait('c', 'create')}"))
    assert "there is no node 'c' to wait for" in line
    (line,) = refuse(with_bridge(two(a=wait("br", "create")), f", {wait('a', 'create')}"))
    assert "nodes wait for each other: 'a', 'br'" in line


def test_command_before_the_node_exists_is_noted(load: Load, two: Two) -> None:
    (note,) = [r for r in load(two(a="stages: {create: {exec: [{command: ls}]}}")).remarks if r.kind == "note"]
    assert "'ls' has no effect: the node does not exist when it enters the stage 'create'" in note.what


def test_node_that_others_wait_to_end(load: Load, two: Two) -> None:
    assert load(two(a=wait("b", "exit", "create-links"))).ending == {"b"}
    assert load(two(a=wait("b", "healthy"))).ending == frozenset()
