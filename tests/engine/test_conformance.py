"""The operations of an engine, seen from the host and from inside the nodes; `--lab-engine` names the engine."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.expect import Expectation, wait_for
from lab.core.process import this_process
from lab.engine import Engine, NodeState
from lab.runtime.destroy import destroy
from lab.runtime.lab import Lab
from tests.helpers.labs import PAIR, Deploy, Write, assert_nothing_left, new_name, topology

pytestmark = pytest.mark.docker

NODES = """
    nodes:
      plain: {}
      router: {config: {vars: {router: {asn: 65001, router-id: 192.0.2.1, networks: [192.0.2.0/24]}}}}
      limited: {cpu: 0.5, memory: 64MB, cpu-set: "0"}
      speaking: {cmd: 'sh -c "echo one; echo two >&2; exec sleep infinity"', env: {COLOUR: "a b"}, user: nobody}
      privileges: {privileged: true}
      unfiltered: {security-opts: ["seccomp=unconfined"]}
"""
"""Nodes whose privileges and settings differ."""
_CAPABILITIES = {"SETUID": 7, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_ADMIN": 21, "SYS_PTRACE": 19, "SYS_MODULE": 16}
HERE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lab(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab that no test of this module changes for longer than the test."""
    place = tmp_path_factory.mktemp("conformance")
    running = Lab.deploy(
        topology(place, new_name(), NODES), engine=engine, directory=place / "lab", owner=this_process(), wait=False
    )
    yield running
    running.destroy()


def seen(lab: Lab, node: str, *argv: str) -> str:
    return lab.node(node).exec(*argv).raise_on_error().stdout.strip()


def content(file: Path) -> str:
    """Return a file of proc(5); empty if its process has ended."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def held(status: str, kind: str) -> set[str]:
    """Return those of the capabilities above that a process has, from its status (proc(5))."""
    (line,) = [line for line in status.splitlines() if line.startswith(f"{kind}:")]
    return {name for name, number in _CAPABILITIES.items() if int(line.split()[1], 16) >> number & 1}


def test_labels_are_found_by_every_process(lab: Lab, engine: Engine) -> None:
    found = {i.node: i for i in engine.find(lab.name)}
    assert set(found) == set(lab.topology.nodes)
    for node, instance in found.items():
        assert (instance.lab, instance.owner, instance.directory) == (lab.name, this_process(), lab.directory)
        assert instance.container == lab.topology.container_name(node)
        assert instance.state is NodeState.RUNNING
        assert instance.digest.startswith("sha256:")
        assert Path(f"/proc/{instance.pid}/root/etc/passwd").exists()
        assert not Path(instance.namespace.path).samefile("/proc/self/ns/net")


@pytest.mark.parametrize("first", [True, False], ids=["first-process", "exec"])
def test_system_calls_are_filtered(lab: Lab, first: bool) -> None:
    status = seen(lab, "plain", "cat", f"/proc/{1 if first else 'self'}/status")
    assert "Seccomp:\t2" in status.splitlines()


def test_node_without_sys_admin_creates_no_namespaces(lab: Lab) -> None:
    """A user namespace would give it all capabilities over its own (user_namespaces(7))."""
    asked = ("unshare", "--user", "true")
    refused = lab.node("plain").exec(*asked)
    assert refused.failed
    assert "Operation not permitted" in refused.stderr
    assert not lab.node("unfiltered").exec(*asked).failed


@pytest.mark.parametrize("first", [True, False], ids=["first-process", "exec"])
def test_privileges_are_those_of_the_role(lab: Lab, first: bool) -> None:
    """A command that is run in a node has the privileges of its first process, and no others."""

    def status(node: str) -> str:
        return (
            Path(f"/proc/{lab.nodes[node].pid}/status").read_text()
            if first
            else seen(lab, node, "cat", "/proc/self/status")
        )

    assert held(status("plain"), "CapBnd") == {"NET_RAW"}
    assert held(status("plain"), "CapEff") == {"NET_RAW"}
    assert held(status("router"), "CapBnd") >= {"NET_ADMIN", "SYS_ADMIN"}
    assert not held(status("router"), "CapBnd") & {"SYS_MODULE", "SYS_PTRACE"}
    assert held(status("speaking"), "CapEff") == set()
    # All privileges are granted by the command line only.
    assert held(status("privileges"), "CapBnd") == {"NET_RAW"}


@pytest.mark.parametrize("node", ["plain", "router"])
def test_kernel_of_the_host_is_out_of_reach(lab: Lab, node: str) -> None:
    for file in ("/proc/sys/kernel/panic", "/proc/sysrq-trigger", "/sys/kernel/uevent_seqnum"):
        assert lab.node(node).exec("sh", "-c", f"echo 1 > {file}").failed, file
    assert seen(lab, node, "sh", "-c", "cat /proc/keys /proc/timer_list; ls /sys/firmware") == ""
    assert lab.node(node).exec("head", "-c", "1", "/dev/vda").failed
    assert "sleep" in seen(lab, node, "ps", "-e")
    assert str(os.getpid()) not in seen(lab, node, "ps", "-e", "-o", "pid=").split()


def test_command_gets_the_settings_of_its_node(lab: Lab) -> None:
    assert seen(lab, "speaking", "sh", "-c", "id -un; echo $COLOUR; hostname") == "nobody\na b\nspeaking"
    assert seen(lab, "plain", "sh", "-c", "id -u; pwd; umask") == "0\n/\n0022"
    # No file of the lab's own process is open in it, and no signal but real-time ones is blocked or ignored.
    assert seen(lab, "plain", "sh", "-c", "ls /proc/$$/fd").split() == ["0", "1", "2"]
    status = seen(lab, "plain", "cat", "/proc/self/status")
    masks = [line.split()[1] for line in status.splitlines() if line.startswith(("SigBlk", "SigIgn"))]
    assert [int(mask, 16) & 0x7FFFFFFF for mask in masks] == [0, 0]


def test_output_has_both_streams_and_its_last_lines(lab: Lab, engine: Engine) -> None:
    instance = lab.nodes["speaking"]
    assert sorted(engine.output(instance).splitlines()) == ["one", "two"]
    assert engine.output(instance, 1) in ("one", "two")


def test_limits_hold(lab: Lab, engine: Engine) -> None:
    assert seen(lab, "limited", "grep", "Cpus_allowed_list", "/proc/self/status").split()[-1] == "0"
    grows = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}"
    assert "200000000" not in lab.node("limited").exec("sh", "-c", grows).stdout
    assert "200000000" in lab.node("plain").exec("sh", "-c", grows).stdout, "the check itself"


def test_memory_grows_with_the_processes(lab: Lab, engine: Engine) -> None:
    before = engine.memory(lab.nodes["plain"])
    grown = "x=$(head -c 50000000 /dev/zero | tr '\\0' x); echo $$ > /tmp/grown; read line < /tmp/go"
    lab.node("plain").exec("mkfifo", "/tmp/go").raise_on_error()
    runs = lab.node("plain").running.spawn(("sh", "-c", grown))
    ready = Expectation("50 MB", "plain", lambda: engine.memory(lab.nodes["plain"]) - before, lambda n: n > 45_000_000)
    wait_for(ready, within=60)
    seen(lab, "plain", "sh", "-c", "echo > /tmp/go")
    wait_for(Expectation("the end", "plain", runs, lambda running: not running), within=60)


def test_spawned_command_belongs_to_the_node(lab: Lab) -> None:
    """Its end is reported to the node's first process, and no process of the host waits for it."""
    runs = lab.node("plain").running.spawn(("sleep", "1234"))
    pid = wait_for(
        Expectation("it", "plain", lambda: lab.node("plain").running.find_process(["sleep", "1234"]), bool), within=30
    )
    assert runs()
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    wait_for(Expectation("its end", "plain", runs, lambda running: not running), within=30)
    wait_for(Expectation("no zombie", "plain", Path(f"/proc/{pid}").exists, lambda there: not there), within=30)


def test_paused_node_runs_nothing_and_goes_on(lab: Lab, engine: Engine) -> None:
    """The counter of a loop stands still while the node is paused."""
    counter = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; done"
    lab.node("plain").running.spawn(("sh", "-c", counter))
    file = lab.nodes["plain"].root / "tmp/count"
    read = Expectation("a number", "plain", lambda: file.read_text() if file.exists() else "", bool)
    wait_for(read, within=30)
    instance = lab.nodes["plain"]
    engine.pause(instance)
    try:
        assert lab.nodes["plain"].state is NodeState.PAUSED
        before = file.read_text()
        assert [file.read_text() for _ in range(1000)] == [before] * 1000
        with pytest.raises(EnvironmentBroken, match="paused"):
            engine.exec(instance, ["true"])
    finally:
        engine.resume(instance)
    goes_on = Expectation("a higher number", "plain", file.read_text, lambda text: text not in ("", before))
    wait_for(goes_on, within=30)
    pid = lab.node("plain").running.find_process(["sh", "-c", counter])
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_attached_command_passes_streams_and_exit_code(lab: Lab, engine: Engine) -> None:
    argv = engine.attach_argv(lab.nodes["plain"], ["sh", "-c", "cat; exit 5"], tty=False)
    done = subprocess.run(argv, input="through\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (5, "through\n")


def test_ended_node_has_its_exit_code(write: Write, deploy: Deploy, engine: Engine) -> None:
    lab = deploy(write(PAIR))
    os.kill(lab.nodes["one"].pid, signal.SIGKILL)
    ended = Expectation("its end", "one", lambda: lab.nodes["one"], lambda i: i.state is NodeState.STOPPED)
    assert wait_for(ended, within=30).exit_code == 137
    assert lab.nodes["two"].state is NodeState.RUNNING


def test_container_name_is_given_once(write: Write, deploy: Deploy, engine: Engine, tmp_path: Path) -> None:
    lab = deploy(write(PAIR).model_copy(update={"prefix": ""}))
    other = write(PAIR).model_copy(update={"name": f"{lab.name}-other", "prefix": ""})
    with pytest.raises(InputError, match=r"a container named '(one|two)' exists already"):
        deploy(other, directory=tmp_path / "other")
    assert_nothing_left(other.name, engine, tmp_path / "other")
    assert all(i.state is NodeState.RUNNING for i in lab.nodes.values())


def test_lab_killed_at_any_moment_leaves_no_trace(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes are killed when none, one or both of the nodes can be found."""
    monkeypatch.chdir(tmp_path)
    for moment in range(6):
        name = new_name()
        file = topology(tmp_path, name, PAIR).file
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.deploying", str(file), name],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(HERE)},
        )
        assert process.stdout is not None
        assert process.stdin is not None
        next(line for line in process.stdout if line.startswith("starting 2 nodes"))
        wanted = moment % 3
        begun = Expectation("nodes", name, lambda name=name: len(engine.find(name)), lambda n, w=wanted: n >= w)  # type: ignore[misc]
        wait_for(begun, within=60)
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()
        destroy(name, engine=engine)
        assert_nothing_left(name, engine, tmp_path / ".lab" / name)
        assert not [p for p in Path("/proc").glob("[0-9]*/mountinfo") if f"-{name}-" in content(p)]
        # os.walk() passes over groups of other labs that end meanwhile.
        left = [group for group, _, _ in os.walk("/sys/fs/cgroup") if name in Path(group).name]
        assert left == []
