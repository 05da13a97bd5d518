"""The containers of the article's lab: privileges, devices, sysctls, labels and mounts.

What Docker says of them is asked from its own client; `test_conformance.py` looks at the same from inside the nodes.
"""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from lab.catalogue import load
from lab.core.process import this_process
from lab.engine import Engine
from lab.runtime.lab import Lab
from tests.helpers.labs import new_name

pytestmark = pytest.mark.docker

ROUTERS = ("hq", "branch")
HOSTS = ("hq-lan", "branch-lan")
NODES = (*ROUTERS, "transit", *HOSTS)

INSPECTED = pytest.mark.only_docker("has no `docker inspect`")
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def article(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The article's lab; tests in this module do not change it."""
    name = new_name()
    directory = tmp_path_factory.mktemp("article") / name
    lab = Lab.deploy(load("article", name=name), engine=engine, directory=directory, owner=this_process())
    yield lab
    lab.destroy()


@pytest.fixture(scope="module")
def facts(article: Lab, client: docker.DockerClient) -> dict[str, Facts]:
    """Docker's description of each container."""
    return {name: client.api.inspect_container(i.container) for name, i in article.nodes.items()}


def capabilities(facts: Facts) -> set[str]:
    return {name.removeprefix("CAP_") for name in facts["HostConfig"]["CapAdd"] or ()}


def test_containers_are_named_like_containerlabs(article: Lab, engine: Engine) -> None:
    assert {i.node: i.container for i in engine.find(article.name)} == {
        node: f"clab-{article.name}-{node}" for node in NODES
    }


@INSPECTED
def test_no_container_has_a_docker_network_or_a_published_port(facts: dict[str, Facts]) -> None:
    for node, f in facts.items():
        assert f["HostConfig"]["NetworkMode"] == "none", node
        assert set(f["NetworkSettings"]["Networks"]) <= {"none"}, node
        assert f["Config"]["NetworkDisabled"], node
        assert not f["HostConfig"]["PortBindings"], node
        assert not f["NetworkSettings"]["Ports"], node
        assert not f["HostConfig"]["PublishAllPorts"], node


@INSPECTED
def test_no_container_is_privileged_or_shares_a_host_namespace(facts: dict[str, Facts]) -> None:
    for node, f in facts.items():
        host = f["HostConfig"]
        assert not host["Privileged"], node
        assert [host[key] for key in ("PidMode", "UTSMode")] == ["", ""], node
        assert host["IpcMode"] in ("private", "shareable"), node
        assert host["CapDrop"] == ["ALL"], node


@INSPECTED
def test_node_has_only_the_capabilities_of_its_role_in_docker(facts: dict[str, Facts]) -> None:
    for node in (*HOSTS, "transit"):
        assert capabilities(facts[node]) == {"NET_RAW"}, node
    for node in ROUTERS:
        assert {"NET_ADMIN", "NET_RAW", "SYS_ADMIN"} <= capabilities(facts[node])
        assert not capabilities(facts[node]) & {"SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "SYS_BOOT", "MKNOD"}


def test_processes_have_only_the_requested_capabilities(article: Lab) -> None:
    """The capabilities of the running processes."""
    net_admin = 1 << 12
    for node, may in ((HOSTS[0], False), ("transit", False), (ROUTERS[0], True)):
        status = article.node(node).exec("cat", "/proc/1/status").raise_on_error().stdout
        effective = int(next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1], 16)
        assert bool(effective & net_admin) is may, node


@INSPECTED
def test_only_tunnel_ends_get_a_device_from_docker(facts: dict[str, Facts]) -> None:
    for node in NODES:
        devices = [d["PathInContainer"] for d in facts[node]["HostConfig"]["Devices"] or ()]
        assert devices == (["/dev/net/tun"] if node in ROUTERS else []), node


def test_only_tunnel_ends_have_the_tun_device(article: Lab) -> None:
    for node in NODES:
        assert article.node(node).exec("test", "-e", "/dev/net/tun").failed is (node not in ROUTERS), node


def test_sysctls_of_the_topology_are_set(article: Lab) -> None:
    """A new namespace inherits the host's IPv4 settings, which must not leak into the lab."""
    for node in NODES:
        forwards = "0" if node in HOSTS else "1"
        for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            assert article.node(node).exec("cat", f"/proc/sys/net/{key}").stdout.strip() == forwards, (node, key)


@INSPECTED
def test_labels_name_lab_node_directory_and_owner(article: Lab, facts: dict[str, Facts]) -> None:
    for node, f in facts.items():
        labels = f["Config"]["Labels"]
        assert labels["openvpn-routing-lab.lab"] == article.name
        assert labels["openvpn-routing-lab.node"] == node
        assert labels["openvpn-routing-lab.directory"] == str(article.directory)
        assert labels["openvpn-routing-lab.owner"] == this_process()


@INSPECTED
def test_docker_mounts_configuration_read_only_and_nothing_else(facts: dict[str, Facts]) -> None:
    for node in ROUTERS:
        writable = {m["Destination"] for m in facts[node]["Mounts"] if m["RW"]}
        read_only = {m["Destination"] for m in facts[node]["Mounts"] if not m["RW"]}
        assert writable == {"/etc/hosts", "/var/log/openvpn", "/var/log/frr"}
        assert read_only == {"/etc/openvpn", "/etc/frr"}
    for node in (*HOSTS, "transit"):
        assert [m["Destination"] for m in facts[node]["Mounts"]] == ["/etc/hosts"], node


def test_configuration_files_are_read_only_inside(article: Lab) -> None:
    for node in ROUTERS:
        result = article.node(node).exec("touch", "/etc/openvpn/mine")
        assert result.failed
        assert "Read-only file system" in result.stderr


def test_private_keys_are_readable_by_root_only(article: Lab) -> None:
    """On the host and inside; each end has only its own key, never the authority's."""
    keys = list(article.directory.rglob("*.key"))
    assert len(keys) == 3, "the authority's and one for each end"
    for key in keys:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key
        assert key.stat().st_uid == 0
    for node, end in (("hq", "server"), ("branch", "client")):
        found = article.node(node).exec("find", "/", "-xdev", "-name", "*.key", "-printf", "%m %u %p\n").stdout
        mounted = article.node(node).exec("find", "/etc/openvpn", "-name", "*.key", "-printf", "%m %u %f\n").stdout
        assert found == ""
        assert mounted == f"600 root {end}.key\n"
    assert not any("PRIVATE KEY" in f.read_text(errors="replace") for f in article.directory.rglob("*.conf"))


@INSPECTED
def test_environment_and_labels_contain_no_secrets(facts: dict[str, Facts]) -> None:
    assert "PRIVATE KEY" not in json.dumps(facts)


def test_lab_uses_the_given_directory(article: Lab, engine: Engine) -> None:
    assert {i.directory for i in engine.find(article.name)} == {article.directory}
    assert not Path(".lab", article.name).exists()
