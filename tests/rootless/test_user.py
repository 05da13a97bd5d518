"""An ordinary user's labs: every command works without root, nothing is left, and others' labs are not seen."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.core.expect import Expectation, wait_for
from lab.core.process import is_alive
from tests.helpers.cluster_processes import line
from tests.helpers.ordinary_user import User

pytestmark = pytest.mark.rootless

PAIR = """\
name: pair
topology:
  defaults: {kind: linux, image: "openvpn-routing-lab/node:2.6", network-mode: none}
  nodes: {one: {}, two: {}}
  links:
    - endpoints: ["one:eth1", "two:eth1"]
      ipv4: [192.0.2.1/30, 192.0.2.2/30]
      ipv6: ["2001:db8:9::1/64", "2001:db8:9::2/64"]
"""


@pytest.fixture
def pair(user: User) -> User:
    """A user with a lab of two nodes."""
    (user.directory / "pair.clab.yml").write_text(PAIR)
    user.done("up", "pair.clab.yml")
    return user


def test_article_runs_without_root(user: User) -> None:
    user.done("up", "article")
    found = json.loads(user.done("status", "--json"))
    assert found["up"] is True
    assert {node["state"] for node in found["nodes"]} == {"running"}
    assert [session["prefixes_received"] for session in found["sessions"]] == [{"ipv4": 1, "ipv6": 1}] * 2
    reached = "1 packets transmitted, 1 received"
    assert reached in user.done("exec", "branch-lan", "--", "ping", "-c", "1", "10.1.0.10")
    assert reached in user.done("exec", "branch-lan", "--", "ping", "-c", "1", "2001:db8:1::10")
    user.done("announce", "hq", "10.128.0.0/24")
    assert "10.128.0.0/24" in user.done("routes", "branch")
    user.done("withdraw", "hq", "10.128.0.0/24")
    assert "10.128.0.0/24" not in user.done("routes", "branch")
    assert "nothing is wrong" in user.done("why", "branch-lan", "hq-lan")


def test_packets_are_captured_and_faults_undone(user: User) -> None:
    user.done("up", "article")
    user.done("capture", "branch", "tun0", "--count", "2", "--seconds", "30", "--write", "packets.pcap")
    assert (user.directory / "packets.pcap").stat().st_size > 24, "a file of packets has more than its header"
    lost = ("exec", "branch-lan", "--", "ping", "-c", "1", "-W", "1", "10.1.0.10")
    user.done("fault", "apply", "blackhole")
    assert user.lab(*lost).returncode != 0
    named = user.lab("why", "branch-lan", "hq-lan")
    assert named.returncode == 1
    assert "the fault 1 is in force" in named.stdout
    user.done("fault", "undo", "1")
    wait_for(
        Expectation(
            what="the echo request to be answered",
            node="branch-lan",
            look=lambda: user.lab(*lost).returncode,
            met=lambda code: code == 0,
        ),
        within=60,
    )
    user.done("impair", "branch:eth1", "--delay", "20ms")
    assert "20 ms" in user.done("impair")
    user.done("impair", "branch:eth1", "--clear")


def test_tests_run_in_several_processes(user: User) -> None:
    (user.directory / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.topology('article')\n"
        "@pytest.mark.parametrize('time', [1, 2])\n"
        "def test_it(lab, time):\n"
        "    assert lab.router('hq').neighbor('branch').prefixes_received == {'ipv4': 1, 'ipv6': 1}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--lab-engine", "crun"],
        cwd=user.directory,
        env={key: value for key, value in user.environment.items() if key != "LAB_ENGINE"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.thorough
@pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed")
def test_image_is_built_without_root(user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Debian's packages where no registry answers; in a data directory that has no image yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    refused = user.lab("up", "article")
    assert refused.returncode == 2
    assert "run `lab setup` first" in refused.stderr.splitlines()[-1]
    user.done("setup", "--openvpn", "2.6")
    user.done("up", "article")
    assert "1 received" in user.done("exec", "branch-lan", "--", "ping", "-c", "1", "10.1.0.10")
    user.done("down", "article")
    user.done("clean")
    assert list((tmp_path / "data").glob("*/images/sha256*")) == []


def test_another_user_sees_nothing(pair: User, tmp_path: Path) -> None:
    """Users have runtime directories of their own."""
    for name in ("elsewhere", "other"):
        (tmp_path / name).mkdir(mode=0o700)
    other = User(tmp_path / "elsewhere", tmp_path / "other")
    assert json.loads(other.done("list", "--json")) == []
    assert [row["name"] for row in json.loads(pair.done("list", "--json"))] == ["pair"]
    assert other.lab("down", "pair").returncode == 2
    assert [row["nodes_running"] for row in json.loads(pair.done("list", "--json"))] == [2]
    assert other.holder == ""


def test_holder_lives_as_long_as_a_lab(pair: User) -> None:
    holder = pair.holder
    assert holder
    pair.done("exec", "one", "--", "ping", "-c", "1", "192.0.2.2")
    assert pair.holder == holder
    pair.done("down", "pair")
    assert pair.holder == ""
    assert not is_alive(holder)
    pair.done("list")
    assert pair.holder == "", "a command without a lab leaves none"


def test_labs_are_found_again_after_their_holder_was_killed(pair: User) -> None:
    killed = pair.holder
    os.kill(int(killed.partition("-")[0]), signal.SIGKILL)
    assert "1 received" in pair.done("exec", "one", "--", "ping", "-c", "1", "192.0.2.2")
    assert pair.holder not in ("", killed)
    pair.done("down", "pair")
    assert pair.left == []


@pytest.mark.parametrize("nodes", [0, 1, 2])
def test_killed_deployment_leaves_no_trace(user: User, nodes: int) -> None:
    """Killed when so many nodes have a directory."""
    (user.directory / "pair.clab.yml").write_text(PAIR)
    with user.start("up", "pair.clab.yml") as up:
        place = user.runtime / "openvpn-routing-lab" / "nodes"
        wait_for(
            Expectation(
                what=f"{nodes} nodes",
                node="host",
                look=lambda: len(list(place.glob("clab-*"))),
                met=lambda found: found >= nodes or up.poll() is not None,
            ),
            within=60,
        )
        up.kill()
    user.lab("down", "pair")
    assert user.left == []
    user.done("up", "pair.clab.yml")
    user.done("down", "pair")


def test_worker_of_a_user_serves_a_cluster(user: User) -> None:
    """Scheduler, worker and caller stay in the host's network; the worker's labs do not."""
    user.done("cluster", "certs", "certs")
    (user.directory / "small.plan.yml").write_text("events: [announce]\nfamilies: [ipv6]\ntrials: 1\nwarm-up: 0\n")
    certs = ("--certs", "certs")
    with ExitStack() as running:
        scheduler = running.enter_context(
            user.running("cluster", "scheduler", *certs, "--host", "127.0.0.1", "--port", "0")
        )
        (address,) = line(scheduler, r"listens at (tls://\S+)").groups()
        worker = running.enter_context(user.running("cluster", "worker", address, *certs, "--name", "desk"))
        line(worker, "serves")
        user.done("measure", "small.plan.yml", "--out", "run", "--cluster", address, *certs)
    trials = [json.loads(text) for text in (user.directory / "run" / "trials.jsonl").read_text().splitlines()]
    assert {trial["machine"] for trial in trials} == {"desk"}
    assert any(trial["stages"] for trial in trials)
    assert user.left == []
