"""A lab of own files that is disturbed from outside: killed processes, deleted files, a killed `lab up`, a twin."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.core.errors import EnvironmentBroken, ExpectationFailed, InputError
from lab.core.expect import Expectation, wait_for
from lab.engine import Engine, open_engine
from lab.runtime.lab import Lab
from lab.runtime.store import LabDirectory
from lab.status.overview import LabReport, report
from tests.helpers.labs import assert_nothing_left
from tests.helpers.own_files import deployed, own_name, write

pytestmark = pytest.mark.docker

HERE = Path(__file__).parents[2]
SERVER = """dev tun0
proto udp4
topology subnet
server 10.8.0.0 255.255.255.0
ca ca.crt
cert server.crt
key server.key
dh none
client-config-dir ccd
keepalive 1 4
persist-tun
"""
CLIENT = """client
dev tun0
proto udp4
remote 192.0.2.1 1194
nobind
ca ca.crt
cert branch.crt
key branch.key
"""
TOPOLOGY = """name: own
topology:
  defaults: {kind: linux, image: "openvpn-routing-lab/node:2.6", network-mode: none}
  nodes:
    hq:
      config:
        vars: {openvpn: [{config: hq/etc/openvpn/server.conf}], router: {daemon: frr, config: hq/etc/frr/frr.conf}}
    branch:
      config:
        vars:
          openvpn: [{config: branch/etc/openvpn/client.conf}]
          router: {daemon: frr, config: branch/etc/frr/frr.conf}
  links:
    - {endpoints: ["hq:eth1", "branch:eth1"], ipv4: [192.0.2.1/24, 192.0.2.2/24]}
"""
BEHIND, ADDRESS = ip_network("10.2.0.0/24"), ip_address("10.2.0.1")


def frr(asn: int, neighbor: str, peer: int, network: str) -> str:
    return (
        f"frr defaults datacenter\nrouter bgp {asn}\n no bgp ebgp-requires-policy\n no bgp network import-check\n"
        f" timers bgp 1 3\n neighbor {neighbor} remote-as {peer}\n neighbor {neighbor} timers connect 1\n"
        f" address-family ipv4 unicast\n  network {network}\n exit-address-family\nexit\n"
    )


FILES = {
    "own.clab.yml": TOPOLOGY,
    "hq/etc/openvpn/server.conf": SERVER,
    "hq/etc/openvpn/ccd/branch": "ifconfig-push 10.8.0.2 255.255.255.0\niroute 10.2.0.0 255.255.255.0\n",
    "hq/etc/frr/frr.conf": frr(65001, "10.8.0.2", 65002, "10.1.0.0/24"),
    "branch/etc/openvpn/client.conf": CLIENT,
    "branch/etc/frr/frr.conf": frr(65002, "10.8.0.1", 65001, "10.2.0.0/24"),
}


@pytest.fixture(scope="session")
def engine() -> Engine:
    return open_engine()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("disturbed")
    write(directory, FILES)
    return directory


@pytest.fixture(scope="module")
def own(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    topology = load(files / "own.clab.yml", name=own_name("disturbed"))
    with deployed(topology, tmp_path_factory.mktemp("lab") / "lab") as lab:
        for node, address in (("branch", ADDRESS), ("hq", ip_address("10.1.0.1"))):
            lab.node(node).exec("ip", "address", "add", f"{address}/24", "dev", "lo").raise_on_error()
        yield lab


def expect_up(lab: Lab) -> None:
    lab.tunnel("branch", "hq").wait_connected()
    lab.router("hq").expect_in_fib(BEHIND, via="tun0", within=60)
    lab.node("hq").expect_reaches(ADDRESS, within=60)
    found = report(lab)
    assert [t.up for t in found.tunnels] == [True]
    assert found.sessions
    assert all(session.up for session in found.sessions)


def until(lab: Lab, what: str, met: Callable[[LabReport], bool]) -> LabReport:
    return wait_for(Expectation(what, lab.name, look=lambda: report(lab), met=met), within=60)


def kill(lab: Lab, node: str, program: str) -> None:
    """Kill a program of a node as something outside of the lab would."""
    pids = lab.node(node).exec("pidof", program).raise_on_error().stdout.split()
    lab.node(node).exec("kill", "-9", *pids).raise_on_error()


@pytest.mark.parametrize("node", ["hq", "branch"])
def test_killed_openvpn_is_noticed_and_can_be_started_again(own: Lab, node: str) -> None:
    expect_up(own)
    tunnel = own.tunnel("branch", "hq")
    kill(own, node, "openvpn")
    found = until(own, "the tunnel to be down", lambda r: not r.tunnels[0].up)
    assert found.tunnels[0].reason
    assert not found.up
    assert not (tunnel.server if node == "hq" else tunnel.client).running
    with pytest.raises(EnvironmentBroken, match="was killed or has crashed"):
        tunnel.wait_connected(within=30)
    tunnel.stop()
    tunnel.start()
    expect_up(own)


def test_killed_daemon_is_noticed(own: Lab) -> None:
    expect_up(own)
    kill(own, "branch", "bgpd")
    found = until(own, "the session to be down", lambda r: not all(s.up for s in r.sessions))
    assert [t.up for t in found.tunnels] == [True]  # OpenVPN is another program
    with pytest.raises(ExpectationFailed):
        own.router("hq").expect_session("branch", within=3)
    branch = own.router("branch")
    branch.daemon.stop(branch.running)
    branch.daemon.start(branch.running, branch.plan)
    expect_up(own)


def test_running_lab_does_without_the_users_files(own: Lab, files: Path) -> None:
    expect_up(own)
    moved = files / "hq" / "moved"
    (files / "hq" / "etc" / "openvpn").rename(moved)
    try:
        expect_up(own)
        tunnel = own.tunnel("branch", "hq")
        tunnel.stop()
        tunnel.start()
        expect_up(own)
        with Lab.attach(own.name) as again:
            assert report(again).up
        with pytest.raises(InputError, match=r"hq/etc/openvpn/server\.conf"):
            load(files / "own.clab.yml")
    finally:
        moved.rename(files / "hq" / "etc" / "openvpn")
    load(files / "own.clab.yml")


def test_two_labs_of_the_same_files_do_not_meet(own: Lab, files: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    with deployed(load(files / "own.clab.yml", name=own_name("twin")), tmp_path / "lab") as twin:
        twin.node("branch").exec("ip", "address", "add", f"{ADDRESS}/24", "dev", "lo").raise_on_error()
        expect_up(own)
        expect_up(twin)
        certificates = {(lab.directory / "nodes/branch/etc/openvpn/branch.crt").read_text() for lab in (own, twin)}
        assert len(certificates) == 2
        kill(twin, "branch", "openvpn")
        until(twin, "the twin's tunnel to be down", lambda r: not r.tunnels[0].up)
        expect_up(own)
    expect_up(own)
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("moment", ["starting 2 nodes", "connecting nodes", "starting OpenVPN"])
def test_killed_up_leaves_nothing_after_down(files: Path, tmp_path: Path, engine: Engine, moment: str) -> None:
    name = own_name("killed")
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    environment = {**os.environ, "PYTHONPATH": str(HERE), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "lab.cli", "up", str(files / "own.clab.yml"), "--name", name]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as up:
        assert up.stdout
        said = next((line for line in up.stdout if line.startswith(moment)), None)
        up.send_signal(signal.SIGKILL)
    assert said is not None
    down = [sys.executable, "-m", "lab.cli", "down", name]
    done = subprocess.run(down, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert_nothing_left(name, engine, LabDirectory.default(name).path)
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before
