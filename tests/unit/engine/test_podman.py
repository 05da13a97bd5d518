"""Differences of the engine if Podman answers, with a fake client; tests/engine/test_podman.py uses a real one."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.engine import Instance, NodeState
from lab.engine.docker.engine import DockerEngine
from lab.topology import Dns
from tests.helpers.docker_fake import FakeApi, created, node_spec

PODMAN = {"Version": "4.3.1", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def engine(api: FakeApi) -> DockerEngine:
    return DockerEngine(SimpleNamespace(api=api, version=lambda: PODMAN))  # type: ignore[arg-type]


def mounted(host: dict[str, Any], target: str) -> Path:
    (source,) = [bind.split(":")[0] for bind in host["Binds"] if bind.split(":")[1] == target]
    return Path(source)


def test_engine_says_that_it_is_podman(engine: DockerEngine) -> None:
    assert engine.version() == "Podman 4.3.1"


def test_node_without_a_role_has_dockers_default_capabilities(
    engine: DockerEngine, api: FakeApi, tmp_path: Path
) -> None:
    spec = replace(node_spec(capabilities=None, cap_add=("SYS_TIME",)), directory=tmp_path)
    _, host = created(engine, api, spec)
    assert host["CapAdd"] == ["AUDIT_WRITE", "MKNOD", "NET_RAW", "SYS_TIME"]


def test_node_with_a_role_has_its_capabilities_only(engine: DockerEngine, api: FakeApi, tmp_path: Path) -> None:
    _, host = created(engine, api, replace(node_spec(), directory=tmp_path))
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["NET_RAW"])


def test_names_of_the_host_are_not_in_the_node(engine: DockerEngine, api: FakeApi, tmp_path: Path) -> None:
    _, host = created(engine, api, replace(node_spec(), directory=tmp_path))
    assert mounted(host, "/etc/hosts").read_text().splitlines()[:2] == [
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
    ]
    assert mounted(host, "/etc/resolv.conf").read_text() == ""


def test_resolver_is_the_topologys(engine: DockerEngine, api: FakeApi, tmp_path: Path) -> None:
    dns = Dns(servers=("192.0.2.53",), search=("lab.example",), options=("ndots:1",))
    _, host = created(engine, api, replace(node_spec(dns=dns), directory=tmp_path))
    written = mounted(host, "/etc/resolv.conf").read_text()
    assert written == "nameserver 192.0.2.53\nsearch lab.example\noptions ndots:1\n"


def test_files_that_the_topology_mounts_stay(engine: DockerEngine, api: FakeApi, tmp_path: Path) -> None:
    spec = replace(node_spec(binds=("/x:/etc/hosts:ro", "/y:/etc/resolv.conf")), directory=tmp_path)
    _, host = created(engine, api, spec)
    assert mounted(host, "/etc/hosts") == Path("/x")
    assert mounted(host, "/etc/resolv.conf") == Path("/y")
    assert list(tmp_path.iterdir()) == []


def test_node_in_a_network_has_the_engines_files(engine: DockerEngine, api: FakeApi, tmp_path: Path) -> None:
    _, host = created(engine, api, replace(node_spec(network_mode="host"), directory=tmp_path))
    assert not [bind for bind in host["Binds"] if ":/etc/hosts:" in bind or ":/etc/resolv.conf:" in bind]


@pytest.mark.parametrize(("pid", "running"), [(1, True), (0, True), (2**22 + 1, False)])
def test_detached_command_ends_with_its_process(engine: DockerEngine, api: FakeApi, pid: int, running: bool) -> None:
    """Podman 4 says until the end of the container that it runs."""
    answers: dict[str, Any] = {"exec_create": {"Id": "e"}, "exec_inspect": {"Running": True, "Pid": pid}}
    for name, answer in answers.items():
        setattr(api, name, lambda *_, answer=answer, **__: answer)
    node = Instance("x", "hq", "clab-x-hq", "node:1", NodeState.RUNNING, Path("/labs/x"), pid=4711)
    assert engine.spawn(node, ["sleep", "1"])() is running


@pytest.mark.parametrize("registry", ["docker.io", "localhost"])
def test_image_of_the_lab_has_its_name_without_a_registry(engine: DockerEngine, api: FakeApi, registry: str) -> None:
    def inspect(container: str) -> dict[str, Any]:
        facts = FakeApi.inspect_container(api, container)
        facts["Config"]["Image"] = f"{registry}/openvpn-routing-lab/node:2.6-0123"
        return facts

    api.inspect_container = inspect  # type: ignore[method-assign]
    api.listed = ["c0ffee"]
    created(engine, api, node_spec(network_mode="host"))
    (found,) = engine.find()
    assert found.image == "openvpn-routing-lab/node:2.6-0123"
