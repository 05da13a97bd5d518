"""Plain topologies of containerlab's, with images that are not the lab's, come up and do what their author says."""

import io
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import docker
import pytest

from lab.catalogue import load
from lab.core.process import this_process
from lab.engine import Engine, open_engine
from lab.image import buildah, store
from lab.runtime.lab import Lab
from lab.topology import Topology
from tests.helpers.labs import IMAGE, new_name

pytestmark = pytest.mark.docker

RING = Path(__file__).parents[1] / "data" / "containerlab" / "ring" / "ring.clab.yml"
ROUTER = f"""\
FROM {IMAGE}
ENTRYPOINT []
CMD ["sh", "-c", "/usr/lib/frr/frrinit.sh start; exec sleep infinity"]
"""
TOOLS = f"""\
FROM {IMAGE}
ENTRYPOINT []
CMD ["sh"]
"""


@pytest.fixture(scope="module")
def images(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Images under other names: a router that starts FRR, and tools with a shell as the first process.

    Docker builds them; the engine crun unpacks them in a directory of the test's own.
    """
    open_engine("docker").provide(IMAGE, lambda _: None)
    texts = {"lab-test/router:1": ROUTER, "lab-test/tools:1": TOOLS}
    for name, text in texts.items():
        client.images.build(fileobj=io.BytesIO(text.encode()), tag=name, rm=True)
    data = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patched:
        for module in (store, buildah):
            patched.setattr(module, "data_directory", lambda: data)
        patched.setattr(buildah, "runtime_directory", lambda: data)
        yield
        store.remove_unpacked(lambda _: None)
    for name in texts:
        client.images.remove(name, force=True)


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def ring(images: None, engine: Engine, tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> Iterator[Lab]:
    topology: Topology = load(RING, name=new_name())
    directory = tmp_path_factory.mktemp("ring") / "lab"
    lab = Lab.deploy(topology, engine=engine, directory=directory, owner=this_process(), say=said.append)
    yield lab
    lab.destroy()


def test_routers_and_hosts_configure_themselves(ring: Lab) -> None:
    ring.node("pc1").expect_reaches(ip_address("192.0.2.130"))
    ring.node("pc2").expect_reaches(ip_address("192.0.2.2"))


def test_node_without_keys_of_the_lab_forwards(ring: Lab) -> None:
    assert ring.node("pc1").exec("cat", "/proc/sys/net/ipv4/ip_forward").stdout.strip() == "1"


def test_kernel_parameters_of_the_network_are_writable_and_no_others(ring: Lab) -> None:
    assert ring.node("pc1").exec("cat", "/proc/sys/net/ipv6/conf/all/forwarding").stdout.strip() == "1"
    assert ring.node("pc1").exec("sysctl", "-w", "kernel.panic=1").failed


def test_command_that_fails_is_told_and_passed_over(ring: Lab, said: list[str]) -> None:
    assert "pc1: `false` ended with 1: no output; going on, as containerlab does" in said


def test_long_name_of_an_interface_is_an_alternative_one(ring: Lab) -> None:
    shown = ring.node("r2").exec("ip", "-brief", "address", "show", "GigabitEthernet0-0-3").raise_on_error()
    assert "192.0.2.129/25" in shown.stdout


def test_withheld_capabilities_are_named(ring: Lab) -> None:
    (remark,) = [remark for remark in ring.topology.remarks if "privileged" in remark.what]
    assert remark.node == "r1, r2, r3, pc1, pc2"
