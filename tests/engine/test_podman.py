"""A lab on Podman: an engine of the test's own, with storage of its own, at a socket of its own."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import docker
import pytest

from lab.catalogue import load
from lab.core.errors import InputError
from lab.core.expect import Expectation, wait_for
from lab.core.process import this_process
from lab.engine import Engine, NodeSpec, open_engine
from lab.host import docker_engine
from lab.host.docker_engine import answers
from lab.host.doctor import docker_findings
from lab.image import VERSIONS, ensure, remove_all, tag
from lab.runtime.lab import Lab
from tests.helpers.labs import new_name, topology

pytestmark = [
    pytest.mark.docker,
    pytest.mark.thorough,
    pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed"),
]

LIMITS = ["nofile=16384:16384", "nproc=16384:16384"]
BODY = """
    nodes: {one: {}, two: {dns: {servers: [192.0.2.53]}, cap-add: [SYS_TIME]}}
    links:
      - endpoints: ["one:eth1", "two:eth1"]
        ipv4: [192.0.2.1/30, 192.0.2.2/30]
        ipv6: ["2001:db8:9::1/64", "2001:db8:9::2/64"]
"""


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Podman's service; its containers and storage are removed with it."""
    place = tmp_path_factory.mktemp("podman")
    address = f"unix://{place / 'podman.sock'}"
    # As root, Podman raises the limits of a container's processes, which is refused in many sandboxes.
    (place / "containers.conf").write_text(f"[containers]\ndefault_ulimits = {json.dumps(LIMITS)}\n")
    podman = [
        "podman",
        *("--root", str(place / "root"), "--runroot", str(place / "run"), "--tmpdir", str(place / "tmp")),
        *("--cgroup-manager", "cgroupfs", "--events-backend", "file"),
        *(("--runtime", runc) if (runc := shutil.which("runc")) else ()),
    ]
    environment = {**os.environ, "CONTAINERS_CONF": str(place / "containers.conf")}
    with (place / "log").open("wb") as log:
        service = subprocess.Popen(
            [*podman, "system", "service", "--time=0", address], env=environment, stdout=log, stderr=log
        )
    try:
        wait_for(
            Expectation(
                what="an answer",
                node="Podman's service",
                look=lambda: answers(address),
                met=bool,
                seen=lambda _: (place / "log").read_text(errors="replace")[-500:] or "it printed nothing",
            ),
            within=120,
        )
        yield address
    finally:
        subprocess.run([*podman, "rm", "--force", "--all"], env=environment, check=False, capture_output=True)
        service.terminate()
        service.wait()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def engine(socket: str) -> Iterator[Engine]:
    """The engine at Podman's socket, which has the image of nodes, built by Podman."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOCKER_HOST", socket)
        ensure(None, VERSIONS[0], lambda _: None)
        yield open_engine()
        remove_all(docker_engine.connect(), lambda _: None)
        assert docker.from_env().images.list() == []


@pytest.fixture(scope="module")
def lab(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    place = tmp_path_factory.mktemp("lab")
    lab = Lab.deploy(topology(place, new_name(), BODY), engine=engine, directory=place / "lab", owner=this_process())
    yield lab
    lab.destroy()
    assert engine.find(lab.name) == []


def test_engine_and_doctor_say_that_it_is_podman(engine: Engine) -> None:
    assert engine.version().startswith("Podman ")
    first, *_ = docker_findings()
    assert first.status == "ok"
    assert engine.version() in first.detail


def test_nodes_reach_each_other(lab: Lab) -> None:
    one, two = lab.host("one"), lab.host("two")
    one.expect_reaches(two.address("ipv4"))
    one.expect_reaches(two.address("ipv6"))


def test_image_has_the_name_that_the_lab_gave_it(lab: Lab) -> None:
    assert lab.instance("one").image == tag(VERSIONS[0])


def test_nodes_do_not_know_the_hosts_names(lab: Lab) -> None:
    assert lab.node("one").exec("cat", "/etc/resolv.conf").stdout == ""
    assert lab.node("two").exec("cat", "/etc/resolv.conf").stdout == "nameserver 192.0.2.53\n"
    for node in ("one", "two"):
        names = lab.node(node).exec("cat", "/etc/hosts").stdout
        assert names.splitlines()[:2] == ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
        assert platform.node() not in names.split()


def test_capabilities_are_those_of_docker(lab: Lab) -> None:
    """A node that names no role has Docker's default set, in which NET_RAW (13) is, and its own: SYS_TIME is 25."""
    shown = lab.node("two").exec("grep", "CapEff", "/proc/self/status").stdout
    held = int(shown.split()[1], 16)
    assert held >> 13 & 1
    assert held >> 25 & 1
    assert not held >> 12 & 1, "NET_ADMIN"


def test_started_command_ends(lab: Lab) -> None:
    running = lab.engine.spawn(lab.instance("one"), ["sh", "-c", "until [ -e /tmp/end ]; do sleep 0.05; done"])
    assert running()
    lab.node("one").exec("touch", "/tmp/end").raise_on_error()
    wait_for(Expectation("the command to end", "one", running, lambda runs: not runs), within=30)


def test_taken_name_is_refused(lab: Lab, tmp_path: Path) -> None:
    again = topology(tmp_path, lab.name, BODY)
    spec = NodeSpec(lab.name, again.nodes["one"], lab.instance("one").container, tmp_path)
    spec = replace(spec, node=spec.node.model_copy(update={"image": tag(VERSIONS[0])}))
    with pytest.raises(InputError, match="exists already"):
        lab.engine.launch(spec)


def test_missing_image_is_named(engine: Engine, tmp_path: Path) -> None:
    name = new_name()
    body = "nodes: {one: {image: registry.invalid/no-such/image:1}}"
    with pytest.raises(InputError, match=r"'one': image 'registry\.invalid/no-such/image:1' does not exist"):
        Lab.deploy(topology(tmp_path, name, body), engine=engine, directory=tmp_path / "lab", owner=this_process())
    assert engine.find(name) == []


def test_tunnel_session_and_routes_come_up(engine: Engine, tmp_path: Path) -> None:
    name = new_name()
    article = load("article", name=name)
    lab = Lab.deploy(article, engine=engine, directory=tmp_path / "lab", owner=this_process())
    try:
        for prefix in (IPv4Network("10.1.0.0/24"), IPv6Network("2001:db8:1::/64")):
            lab.router("branch").expect_route(prefix, via=lab.tunnel("hq", "branch").device("branch"))
        lab.host("branch-lan").expect_reaches(lab.host("hq-lan").address("ipv4"))
        lab.host("branch-lan").expect_reaches(lab.host("hq-lan").address("ipv6"))
    finally:
        lab.destroy()
