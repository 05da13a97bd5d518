"""Node settings of a topology are applied to its container."""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from lab.core.places import data_directory
from lab.core.process import this_process
from lab.engine import Engine, NodeState
from lab.host import docker_engine
from lab.runtime.lab import Lab
from tests.helpers.labs import Deploy, Write, new_name, topology

pytestmark = pytest.mark.docker

INSPECTED = pytest.mark.only_docker("has no `docker inspect`")
NODES = r"""
    nodes:
      all:
        env: {FROM_ENV: "a b=c", BOTH: env}
        env-files: [node.env]
        binds:
          - shared:/shared:ro
          - __clabNodeDir__:/own
          - __clabDir__/nodes:/nodes:ro
        volumes: [/cache, "VOLUME:/kept", "VOLUME:/kept-too:ro"]
        hostname: another-name
        sysctls: {net.ipv4.ip_forward: 1, net.ipv4.conf.all.rp_filter: 2}
        labels: {project: mine}
        memory: 64MB
        cpu: 0.5
        cpu-set: "0"
        shm-size: 32MB
        tmpfs: {/scratch: "size=1m,mode=1777"}
        cap-add: [SYS_TIME]
        dns: {servers: [192.0.2.53], search: [lab.example], options: [ndots:1]}
        healthcheck: {test: [CMD, test, -e, /own/sign], interval: 1, timeout: 2, retries: 7, start-period: 3}
        exec:
          - echo "$(hostname) __clabNodeName__" > /own/sign
      someone:
        user: nobody
        cmd: sh -c "id -un; exec sleep infinity"
        entrypoint: /usr/bin/tini --
      router: {sysctls: {net.ipv4.conf.all.forwarding: 1}}
      plain: {}
      quiet: {config: {vars: {routes: [{to: 198.51.100.0/24, via: 192.0.2.1}]}}}
    links:
      - {endpoints: ["plain:eth1", "quiet:eth1"], ipv4: [192.0.2.1/24, 192.0.2.2/24]}
"""
_NET_RAW, _SYS_TIME = 13, 25
"""Numbers of capabilities (linux/capability.h)."""


@pytest.fixture(scope="module")
def lab(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab whose nodes use every key that each engine has; tests in this module do not change it."""
    place = tmp_path_factory.mktemp("settings")
    (place / "shared").mkdir()
    (place / "shared" / "file").write_text("bound\n")
    (place / "node.env").write_text("FROM_FILE=file\nBOTH=file\n")
    name = new_name()
    lab = Lab.deploy(
        topology(place, name, NODES.replace("VOLUME", name)),
        engine=engine,
        directory=place / "lab",
        owner=this_process(),
    )
    yield lab
    lab.destroy()
    # The volume with a name stays, as the note says.
    if engine.name == "docker":
        with closing(docker_engine.connect()) as client:
            client.volumes.get(name).remove()
    else:
        shutil.rmtree(data_directory() / "volumes" / name)


def volumes(lab: Lab, node: str, client: docker.DockerClient) -> dict[str, dict[str, Any]]:
    """Return Docker's volumes in a node, by directory."""
    mounts = client.api.inspect_container(lab.nodes[node].container)["Mounts"]
    return {mount["Destination"]: mount for mount in mounts if mount["Type"] == "volume"}


@pytest.fixture(scope="module")
def facts(lab: Lab, client: docker.DockerClient) -> dict[str, Any]:
    return {name: client.api.inspect_container(i.container) for name, i in lab.nodes.items()}


def output_of(lab: Lab, node: str, *argv: str) -> str:
    return lab.node(node).exec(*argv).raise_on_error().stdout.strip()


def test_environment(lab: Lab) -> None:
    seen = dict(line.partition("=")[::2] for line in output_of(lab, "all", "env").splitlines())
    assert {key: seen.get(key) for key in ("FROM_ENV", "FROM_FILE", "BOTH")} == {
        "FROM_ENV": "a b=c",
        "FROM_FILE": "file",
        "BOTH": "env",
    }


@pytest.mark.only_docker("does not restart nodes")
def test_restart_policy(write: Write, deploy: Deploy, client: docker.DockerClient) -> None:
    lab = deploy(write("nodes: {again: {restart-policy: always}, once: {}}"))
    found = {name: client.api.inspect_container(i.container) for name, i in lab.nodes.items()}
    policies = {name: f["HostConfig"]["RestartPolicy"]["Name"] for name, f in found.items()}
    assert policies == {"again": "always", "once": ""}


def test_volumes(lab: Lab) -> None:
    output_of(lab, "all", "touch", "/kept/file", "/cache/file")
    assert output_of(lab, "all", "ls", "/kept-too") == "file"
    assert lab.node("all").exec("touch", "/kept-too/mine").failed


@INSPECTED
def test_volumes_are_dockers(lab: Lab, client: docker.DockerClient) -> None:
    assert {path: (m["Name"] == lab.name, m["RW"]) for path, m in volumes(lab, "all", client).items()} == {
        "/cache": (False, True),
        "/kept": (True, True),
        "/kept-too": (True, False),
    }


@INSPECTED
def test_volume_without_a_name_vanishes_with_its_node(
    write: Write, deploy: Deploy, client: docker.DockerClient
) -> None:
    lab = deploy(write("nodes: {one: {volumes: [/cache]}}"))
    (anonymous,) = [mount["Name"] for mount in volumes(lab, "one", client).values()]
    assert client.volumes.list(filters={"name": anonymous})
    lab.destroy()
    assert not client.volumes.list(filters={"name": anonymous})


def test_binds_and_their_variables(lab: Lab) -> None:
    assert output_of(lab, "all", "cat", "/shared/file") == "bound"
    assert lab.node("all").exec("touch", "/shared/mine").failed
    output_of(lab, "all", "touch", "/own/mine")
    assert (lab.directory / "nodes" / "all" / "mine").exists()
    assert "all" in output_of(lab, "all", "ls", "/nodes").split()


def test_hostname_and_exec(lab: Lab) -> None:
    """`exec` runs in a shell of the node, after the links exist."""
    assert output_of(lab, "all", "cat", "/own/sign") == "another-name all"
    assert output_of(lab, "router", "hostname") == "router"


def test_sysctls(lab: Lab) -> None:
    assert output_of(lab, "all", "cat", "/proc/sys/net/ipv4/ip_forward") == "1"
    assert output_of(lab, "all", "cat", "/proc/sys/net/ipv4/conf/all/rp_filter") == "2"
    # The same setting under its other name.
    assert output_of(lab, "router", "cat", "/proc/sys/net/ipv4/ip_forward") == "1"


def test_node_without_keys_of_the_lab_forwards_as_under_containerlab(lab: Lab) -> None:
    """Without the lab it would inherit the host's setting; a node with such keys does not forward unasked."""
    told_all = output_of(
        lab, "plain", "cat", *(f"/proc/sys/net/ipv4/{key}" for key in ("ip_forward", "conf/all/rp_filter"))
    )
    assert told_all.split() == ["1", "0"]
    assert output_of(lab, "quiet", "cat", "/proc/sys/net/ipv4/ip_forward") == "0"


@INSPECTED
def test_limits_are_dockers(facts: dict[str, Any]) -> None:
    host = facts["all"]["HostConfig"]
    assert host["Memory"] == 64 << 20
    assert host["NanoCpus"] == 500_000_000
    assert host["CpusetCpus"] == "0"
    assert host["ShmSize"] == 32 << 20


def test_limits(lab: Lab) -> None:
    assert "size=32768k" in output_of(lab, "all", "grep", " /dev/shm ", "/proc/mounts")
    assert "size=1024k" in output_of(lab, "all", "grep", " /scratch ", "/proc/mounts")
    assert output_of(lab, "all", "grep", "Cpus_allowed_list", "/proc/self/status").split()[-1] == "0"


def test_capabilities_are_added(lab: Lab) -> None:
    status = Path(f"/proc/{lab.nodes['all'].pid}/status").read_text()
    (bounding,) = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd:")]
    assert bounding == 1 << _NET_RAW | 1 << _SYS_TIME


@INSPECTED
def test_labels(facts: dict[str, Any]) -> None:
    assert facts["all"]["Config"]["Labels"]["project"] == "mine"
    assert facts["all"]["Config"]["Labels"]["openvpn-routing-lab.node"] == "all"


def test_resolver(lab: Lab) -> None:
    lines = output_of(lab, "all", "cat", "/etc/resolv.conf").splitlines()
    assert {"nameserver 192.0.2.53", "search lab.example", "options ndots:1"} <= set(lines)


@pytest.mark.parametrize("node", ["all", "plain"])
def test_hosts_file_has_localhost_and_is_writable(lab: Lab, node: str) -> None:
    """/etc/hosts, the engine's or the lab's, has localhost and is writable."""
    known = [line.split()[:2] for line in output_of(lab, node, "cat", "/etc/hosts").splitlines()]
    assert ["127.0.0.1", "localhost"] in known
    assert ["::1", "localhost"] in known
    output_of(lab, node, "sh", "-c", "echo 192.0.2.80 web >> /etc/hosts")
    assert output_of(lab, node, "getent", "hosts", "web").startswith("192.0.2.80 ")


def test_node_does_not_use_the_hosts_name_servers(lab: Lab) -> None:
    assert "nameserver" not in output_of(lab, "plain", "cat", "/etc/resolv.conf")


@INSPECTED
def test_health_check(facts: dict[str, Any]) -> None:
    check = facts["all"]["Config"]["Healthcheck"]
    assert check["Test"] == ["CMD", "test", "-e", "/own/sign"]
    assert (check["Interval"], check["Timeout"], check["StartPeriod"]) == (10**9, 2 * 10**9, 3 * 10**9)
    assert check["Retries"] == 7


def test_user_command_and_entrypoint(lab: Lab) -> None:
    assert output_of(lab, "someone", "id", "-un") == "nobody"
    assert lab.engine.output(lab.nodes["someone"]) == "nobody"
    command = Path(f"/proc/{lab.nodes['someone'].pid}/cmdline").read_text().split("\0")
    assert command[:3] == ["/usr/bin/tini", "--", "sh"]


def test_startup_delay(write: Write, deploy: Deploy, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a fake clock: the node does not exist during its delay."""
    topology = write("nodes: {late: {startup-delay: 1000}}")
    slept: list[tuple[float, int]] = []

    def sleep(seconds: float) -> None:
        slept.append((seconds, len(engine.find(topology.name))))

    monkeypatch.setattr("lab.runtime.deploy.time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    assert deploy(topology).nodes["late"].state is NodeState.RUNNING
    assert slept == [(1000, 0)]
