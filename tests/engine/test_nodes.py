"""Nodes in every state, and commands inside them."""

import os
import signal
from collections.abc import Iterator

import pytest

from lab.core.errors import CommandFailed, EnvironmentBroken, InputError
from lab.core.expect import Expectation, wait_for
from lab.core.process import this_process
from lab.engine import Engine, NodeState
from lab.runtime.lab import Lab
from tests.helpers.labs import PAIR, Deploy, Write, new_name, topology

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def pair(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two nodes; a test that changes one restores it."""
    place = tmp_path_factory.mktemp("pair")
    lab = Lab.deploy(topology(place, new_name(), PAIR), engine=engine, directory=place / "lab", owner=this_process())
    yield lab
    lab.destroy()


def test_exec_returns_exit_code_and_both_streams(pair: Lab) -> None:
    script = "echo to stdout; echo to stderr >&2; exit 3"
    result = pair.node("one").exec("sh", "-c", script)
    assert result.node == "one"
    assert result.argv == ("sh", "-c", script)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "to stdout\n", "to stderr\n")
    assert result.failed
    with pytest.raises(CommandFailed, match=r"one: .* ended with 3: to stderr"):
        result.raise_on_error()


def test_successful_command_does_not_raise(pair: Lab) -> None:
    result = pair.node("one").exec("true")
    assert not result.failed
    assert result.raise_on_error() is result
    assert (result.stdout, result.stderr) == ("", "")


def test_exec_replaces_invalid_utf8(pair: Lab) -> None:
    result = pair.node("one").exec("printf", r"\377\376caf\303\251\n")
    assert result.exit_code == 0
    assert result.stdout == "��café\n"


def test_exec_returns_long_output(pair: Lab) -> None:
    """More than a pipe or frame holds, on both streams at once."""
    result = pair.node("one").exec("sh", "-c", "seq 100000; seq 100000 >&2")
    assert result.stdout == result.stderr
    assert result.stdout.splitlines() == [str(number) for number in range(1, 100001)]


def test_exec_returns_although_a_process_in_the_background_keeps_its_output(pair: Lab) -> None:
    """Such a daemon may run as long as the node; the command has ended."""
    result = pair.node("one").exec("sh", "-c", "sleep 1000 & echo $!")
    assert not result.failed
    assert not pair.node("one").exec("kill", result.stdout.strip()).failed


def test_exec_of_a_missing_program_fails(pair: Lab) -> None:
    result = pair.node("one").exec("no-such-program")
    assert result.exit_code in (126, 127)
    with pytest.raises(CommandFailed, match="no-such-program"):
        result.raise_on_error()


def test_exec_does_not_use_a_shell(pair: Lab) -> None:
    argument = "a  b $HOME `id` 'q' \" * ; & | \\ ü"
    assert pair.node("one").exec("printf", "%s", argument).stdout == argument


def test_spawn_returns_whether_the_command_runs(pair: Lab) -> None:
    one = pair.node("one")
    one.exec("mkfifo", "/tmp/go").raise_on_error()
    runs = one.running.spawn(("sh", "-c", "read line < /tmp/go"))
    assert runs()
    one.exec("sh", "-c", "echo now > /tmp/go").raise_on_error()
    wait_for(Expectation("the command to end", "one", runs, lambda runs: not runs), within=30)


def state_of(lab: Lab, node: str) -> NodeState:
    return lab.nodes[node].state


def test_paused_node_keeps_its_links_and_resumes(pair: Lab, engine: Engine) -> None:
    one, two = pair.node("one"), pair.node("two")
    engine.pause(pair.nodes["two"])
    try:
        assert state_of(pair, "two") is NodeState.PAUSED
        with pytest.raises(InputError, match=f"node 'two' of lab '{pair.name}' is not running: it is paused"):
            pair.instance("two")
        with pytest.raises(EnvironmentBroken, match=r"two: .*paused"):
            two.exec("true")
        # The kernel still answers: only processes are frozen.
        assert one.echo(two.address("ipv4")).answered
    finally:
        engine.resume(pair.nodes["two"])
    assert state_of(pair, "two") is NodeState.RUNNING
    assert not two.exec("true").failed
    assert pair.instance("two").node == "two"


def test_paused_lab_can_be_taken_down(write: Write, deploy: Deploy, engine: Engine, name: str) -> None:
    lab = deploy(write(PAIR))
    engine.pause(lab.nodes["one"])
    lab.destroy()
    assert engine.find(name) == []


def test_stopped_and_absent_nodes_are_reported(write: Write, deploy: Deploy, engine: Engine) -> None:
    lab = deploy(write(PAIR))
    instances = lab.nodes
    assert not lab.node("one").exec("true").failed

    os.kill(instances["one"].pid, signal.SIGKILL)
    stopped = Expectation("its end", "one", lambda: lab.nodes["one"].state, lambda state: state is NodeState.STOPPED)
    wait_for(stopped, within=30)
    assert lab.nodes["one"].exit_code == 137
    for look in (lab.node, lab.host, lab.instance):
        with pytest.raises(InputError, match=f"node 'one' of lab '{lab.name}' is not running: it is stopped"):
            look("one")
    assert not lab.node("two").exec("true").failed

    engine.destroy([instances["two"]])
    assert list(lab.nodes) == ["one"]
    for look in (lab.node, lab.host, lab.instance):
        with pytest.raises(InputError, match=f"node 'two' of lab '{lab.name}' is not running: it is absent"):
            look("two")
    with Lab.attach(lab.name, engine=engine) as attached, pytest.raises(InputError, match="it is absent"):
        attached.node("two")


def test_unknown_node_name_is_refused(pair: Lab) -> None:
    with pytest.raises(InputError, match=r"unknown node 'tow' in lab .*did you mean 'two'"):
        pair.node("tow")
    with pytest.raises(InputError, match=r"unknown tunnel 'x'"):
        pair.tunnel("x")
    with pytest.raises(InputError, match=r"node 'one' is not a router"):
        pair.router("one")
