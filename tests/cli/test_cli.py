"""The program `lab` on a running lab: what `tests/unit/cli` cannot test without Docker."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from lab.core.expect import Expectation, wait_for
from lab.engine import NodeState, open_engine
from tests.helpers.program import PATIENCE, Program

pytestmark = pytest.mark.docker


def status(ask: Program) -> Any:
    return json.loads(ask("status", "--json").stdout)


def containers(name: str) -> list[str]:
    return [instance.container for instance in open_engine().find(name)]


@contextmanager
def paused(name: str, node: str) -> Iterator[None]:
    engine = open_engine()
    (instance,) = (i for i in engine.find(name) if i.node == node)
    engine.pause(instance)
    try:
        yield
    finally:
        engine.resume(instance)


def test_status_of_a_healthy_lab(ask: Program, name: str) -> None:
    result = ask("status", "--json")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert (found["lab"], found["up"]) == (name, True)
    assert {node["state"] for node in found["nodes"]} == {"running"}
    (tunnel,) = found["tunnels"]
    assert (tunnel["server"], tunnel["client"], tunnel["reason"]) == ("hq", "branch", "")
    assert tunnel["real_address"].startswith("198.51.100.5:")
    assert tunnel["cipher"] == "AES-256-GCM"
    assert tunnel["mtu"] == 1500
    assert tunnel["channel"] in ("userspace", "kernel")
    assert datetime.fromisoformat(tunnel["connected_since"]).tzinfo is not None
    assert tunnel["uptime"] >= 0
    assert {s["node"]: s["neighbor"] for s in found["sessions"]} == {"hq": "branch", "branch": "hq"}
    for session in found["sessions"]:
        assert session["state"] == "Established"
        assert session["prefixes_received"] == {"ipv4": 1, "ipv6": 1}


def test_second_up_is_refused_and_with_reuse_changes_nothing(ask: Program, lab: Program, name: str) -> None:
    before = set(containers(name))
    refused = lab("up", "article", "--name", name)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    reused = lab("up", "article", "--name", name, "--reuse")
    assert reused.returncode == 0
    assert f"lab {name} is running already; nothing was changed" in reused.stderr
    assert "Try next:" in reused.stdout
    assert set(containers(name)) == before


def test_list(ask: Program, name: str) -> None:
    (mine,) = (lab for lab in json.loads(ask("list", "--json").stdout) if lab["name"] == name)
    assert (mine["nodes_running"], mine["nodes_total"]) == (5, 5)


def test_exec_passes_streams_and_exit_code_through(ask: Program) -> None:
    result = ask("exec", "hq", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.returncode, result.stdout, result.stderr) == (7, "out\n", "err\n")


def test_exec_and_shell_read_stdin(name: str) -> None:
    for command in (["exec", "hq", "--", "cat"], ["shell", "hq"]):
        result = subprocess.run(
            [sys.executable, "-m", "lab.cli", *command],
            input="echo from $0\n",
            env={**os.environ, "LAB_NAME": name},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert "from" in result.stdout


def test_exec_in_a_missing_or_paused_node_is_refused(ask: Program, name: str) -> None:
    missing = ask("exec", "nobody", "--", "true")
    assert missing.returncode == 2
    assert missing.stderr.startswith("lab: unknown node 'nobody'")
    with paused(name, "branch-lan"):
        frozen = ask("exec", "branch-lan", "--", "true")
        assert frozen.returncode == 2
        assert frozen.stderr == f"lab: node 'branch-lan' of lab '{name}' is not running: it is paused\n"
        shown = ask("status", "--json")
        assert shown.returncode == 1
        assert json.loads(shown.stdout)["up"] is False


@pytest.mark.parametrize("prefix", ["10.77.1.0/24", "2001:db8:7701::/64"])
def test_announced_prefix_is_reachable_until_it_is_withdrawn(ask: Program, prefix: str) -> None:
    announced = ask("announce", "hq", prefix, "--behind", "hq-lan")
    assert announced.returncode == 0, announced.stderr
    host = str(ip_network(prefix)[2])
    assert announced.stdout == f"hq-lan has {host}\n"
    tables = json.loads(ask("routes", "branch", "--json").stdout)
    assert prefix in {path["prefix"] for path in tables["rib"] if path["peer"]}
    (entry,) = (entry for entry in tables["fib"] if entry["prefix"] == prefix)
    assert (entry["node"], entry["interfaces"], entry["protocol"]) == ("branch", ["tun0"], "bgp")
    assert ask("exec", "branch-lan", "--", "ping", "-c", "1", "-W", "5", host).returncode == 0

    withdrawn = ask("withdraw", "hq", prefix, "--behind", "hq-lan")
    assert withdrawn.returncode == 0, withdrawn.stderr
    tables = json.loads(ask("routes", "branch", "--json").stdout)
    assert prefix not in {row["prefix"] for row in (*tables["rib"], *tables["fib"])}


def test_routes_can_be_narrowed(ask: Program) -> None:
    both = json.loads(ask("routes", "--json").stdout)
    assert {row["node"] for row in both["rib"]} == {"hq", "branch"}
    rib = json.loads(ask("routes", "hq", "--rib", "--family", "ipv6", "--json").stdout)
    assert rib["fib"] == []
    assert {row["family"] for row in rib["rib"]} == {"ipv6"}
    host = json.loads(ask("routes", "hq-lan", "--json").stdout)
    assert host["rib"] == []
    assert "10.1.0.0/24" in {row["prefix"] for row in host["fib"]}
    assert ask("routes", "hq-lan", "--rib").returncode == 2


def test_capture_writes_pcap_to_stdout(name: str, tmp_path: Path) -> None:
    from scapy.utils import rdpcap

    file = tmp_path / "stream.pcap"
    with file.open("wb") as stream:
        result = subprocess.run(
            [sys.executable, "-m", "lab.cli", "capture", "branch", "tun0", "-w", "-", "--count", "3"],
            stdout=stream,
            stderr=subprocess.PIPE,
            env={**os.environ, "LAB_NAME": name},
            timeout=PATIENCE,
            check=False,
        )
    assert result.returncode == 0
    assert result.stderr == b"3 packets captured on tun0 of branch\n"
    assert len(rdpcap(str(file))) == 3


def test_capture_ends_when_its_reader_closes_the_pipe(name: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "lab.cli", "capture", "branch", "tun0", "-w", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LAB_NAME": name},
    ) as capture:
        assert capture.stdout is not None
        assert capture.stderr is not None
        assert capture.stdout.read(24)[:4] == b"\x4d\x3c\xb2\xa1"
        capture.stdout.close()
        assert capture.wait(PATIENCE) == 0
        assert b"captured on tun0 of branch" in (said := capture.stderr.read())
        assert len(said.splitlines()) == 1


def test_interrupted_capture_is_a_complete_file(name: str, tmp_path: Path) -> None:
    from scapy.utils import rdpcap

    file = tmp_path / "interrupted.pcap"
    with subprocess.Popen(
        [sys.executable, "-m", "lab.cli", "capture", "branch", "tun0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LAB_NAME": name},
    ) as capture:
        assert capture.stdout is not None
        assert capture.stdout.readline()  # the first packet: BGP's keepalives come every second
        capture.send_signal(signal.SIGINT)
        assert capture.wait(PATIENCE) == 0
    timed = subprocess.run(
        [sys.executable, "-m", "lab.cli", "capture", "branch", "tun0", "-w", str(file), "--seconds", "2"],
        env={**os.environ, "LAB_NAME": name},
        timeout=PATIENCE,
        check=False,
    )
    assert timed.returncode == 0
    assert len(rdpcap(str(file))) > 0


def test_capture_on_a_missing_interface_is_refused(ask: Program) -> None:
    result = ask("capture", "branch", "eth9", "-w", "x.pcap")
    assert result.returncode == 2
    assert "eth9" in result.stderr


def test_logs(ask: Program, directory: Path) -> None:
    shown = ask("logs", "branch").stdout
    assert f"==> {directory}/nodes/branch/var/log/openvpn/branch-hq.client.log <==" in shown
    assert f"==> {directory}/nodes/branch/var/log/frr/frr.log <==" in shown


def test_watch_shows_tables_on_a_terminal_until_interrupted(ask: Program, name: str) -> None:
    prefix = "10.77.2.0/24"
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 200, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "lab.cli", "watch", "--interval", "0.2"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "LAB_NAME": name, "TERM": "xterm"},
    ) as watch:
        os.close(theirs)
        shown = Screen(ours)
        shown.expect("Established")
        assert prefix not in shown.text
        assert ask("announce", "hq", prefix).returncode == 0
        shown.expect(f"+ {prefix} via 10.255.0.1 on tun0")
        assert ask("withdraw", "hq", prefix).returncode == 0
        shown.expect(f"- {prefix}")
        watch.send_signal(signal.SIGINT)
        shown.expect_end()
        assert watch.wait(PATIENCE) == 0
    os.close(ours)
    assert "Traceback" not in shown.text


class Screen:
    """The output of a program on its terminal so far."""

    def __init__(self, terminal: int) -> None:
        self.text = ""
        self._terminal = terminal

    def expect(self, part: str) -> None:
        """Read until the text appears."""
        while part not in self.text:
            assert self._read(), f"{part!r} is not in {self.text}"

    def expect_end(self) -> None:
        """Read until the program has closed its terminal."""
        while self._read():
            pass

    def _read(self) -> bool:
        assert select.select([self._terminal], [], [], PATIENCE)[0], f"nothing more came after {self.text}"
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:  # EIO: the other end is closed
            return False
        self.text += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode(errors="replace"))
        return bool(data)


def end(lab: str, *names: str) -> None:
    """Kill the first process of nodes, and wait until their engine has noticed it."""
    engine = open_engine()

    def states() -> set[NodeState]:
        return {instance.state for instance in engine.find(lab) if instance.node in names}

    for instance in engine.find(lab):
        if instance.node in names:
            os.kill(instance.pid, signal.SIGKILL)
    wait_for(Expectation("the end", ", ".join(names), states, lambda found: found == {NodeState.STOPPED}), within=60)


def test_status_of_a_dead_daemon_fails_and_reuse_redeploys_dead_nodes(lab: Program) -> None:
    """After a reboot of the host `make lab-up` has to work as before."""
    name = f"cli-dead-{os.getpid()}"
    assert lab("up", "article", "--name", name).returncode == 0
    try:
        assert lab("exec", "branch", "--lab", name, "--", "pkill", "-KILL", "openvpn").returncode == 0
        assert lab("exec", "hq", "--lab", name, "--", "pkill", "-KILL", "bgpd").returncode == 0
        result = lab("status", "--lab", name, "--json")
        assert result.returncode == 1, result.stderr
        found = json.loads(result.stdout)
        assert "does not run" in found["tunnels"][0]["reason"]
        assert "\n" not in found["tunnels"][0]["reason"]
        (hq,) = (session for session in found["sessions"] if session["node"] == "hq")
        assert hq["state"] is None
        assert "bgpd" in hq["reason"]

        end(name, "hq-lan")
        partly = lab("up", "article", "--name", name, "--reuse")
        assert (partly.returncode, "nothing was changed" in partly.stderr) == (0, True), partly.stderr
        end(name, "hq", "branch", "transit", "branch-lan")
        anew = lab("up", "article", "--name", name, "--reuse")
        assert anew.returncode == 0, anew.stderr
        assert f"all nodes of lab {name} have ended" in anew.stderr
        assert json.loads(lab("status", "--lab", name, "--json").stdout)["up"]
    finally:
        assert lab("down", name).returncode == 0


def test_interrupted_up_removes_everything(lab: Program, tmp_path: Path) -> None:
    name = f"cli-cut-{os.getpid()}"
    with subprocess.Popen(
        [sys.executable, "-m", "lab.cli", "up", "article", "--name", name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as up:
        assert up.stderr is not None
        assert up.stderr.readline().startswith("starting 5 nodes")
        up.send_signal(signal.SIGTERM)
        assert up.stderr.read().splitlines()[-1] == "lab: interrupted"
        assert up.wait(PATIENCE) == 130
    assert containers(name) == []
    assert list(tmp_path.iterdir()) == []


def test_down_removes_everything_and_ends_watch(lab: Program, ask: Program, name: str, directory: Path) -> None:
    """This is the last test, because it takes the module's lab down."""
    with subprocess.Popen(
        [sys.executable, "-m", "lab.cli", "watch", "--json", "--interval", "0.2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LAB_NAME": name},
    ) as watch:
        assert watch.stdout is not None
        assert watch.stderr is not None
        assert json.loads(watch.stdout.readline())["kind"] == "node"
        down = lab("down", name)
        told = watch.stdout.read()  # until it ends
        assert (watch.wait(PATIENCE), watch.stderr.read()) == (0, "")
    assert down.returncode == 0, down.stderr
    kinds = [json.loads(line)["kind"] for line in told.splitlines()]
    assert {"tunnel", "session", "prefixes", "bytes"} <= set(kinds)
    assert kinds[-1] == "end"
    assert containers(name) == []
    assert not directory.exists()
    assert not directory.parent.exists()
    assert ask("status").returncode == 2
