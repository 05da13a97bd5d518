"""A container that the lab did not start takes part in a lab's links, and is left as it was."""

from collections.abc import Iterator
from ipaddress import ip_address

import docker
import pytest
from docker.models.containers import Container

from lab.core.errors import InputError
from lab.core.expect import Expectation, wait_for
from lab.engine import Engine
from lab.runtime.destroy import destroy
from lab.runtime.lab import Lab
from tests.helpers.labs import IMAGE, Deploy, Write, new_name

pytestmark = [pytest.mark.docker, pytest.mark.only_docker("knows only its own containers")]


@pytest.fixture
def another(engine: Engine, client: docker.DockerClient) -> Iterator[Container]:
    engine.provide(IMAGE, lambda _: None)
    container = client.containers.run(IMAGE, ["sleep", "infinity"], entrypoint=[], name=new_name(), detach=True)
    yield container
    container.remove(force=True)


def body(container: str) -> str:
    return f"""
        nodes: {{one: {{}}, {container}: {{kind: ext-container, exec: ["true"]}}}}
        links:
          - endpoints: ["one:eth1", "{container}:lab1"]
            ipv4: [192.0.2.1/30, 192.0.2.2/30]
    """


def interfaces(container: Container) -> set[str]:
    listed: bytes = container.exec_run(["ls", "/sys/class/net"]).output  # type: ignore[assignment]
    return set(listed.decode().split())


def test_container_is_linked_and_left_running(another: Container, write: Write, deploy: Deploy, engine: Engine) -> None:
    name = str(another.name)
    before = interfaces(another)
    topology = write(body(name))
    lab = deploy(topology)
    assert interfaces(another) == before | {"lab1"}
    lab.node("one").expect_reaches(ip_address("192.0.2.2"))
    with Lab.attach(topology.name, engine=engine) as attached:
        attached.node(name).expect_reaches(ip_address("192.0.2.1"))
    faults = {
        "node-paused": {"node": name},
        "link-down": {"link": f"{name}:lab1"},
        "link-blackhole": {"link": "one:eth1"},
    }
    for kind, where in faults.items():
        with pytest.raises(InputError, match=f"the lab did not start '{name}'.* changes nothing in it"):
            lab.fault(kind, **where)
    another.reload()
    assert another.status == "running"
    lab.node("one").expect_reaches(ip_address("192.0.2.2"))
    with lab.fault("link-down", link="one:eth1"):
        pass
    lab.close()  # its open sockets would keep the node's network namespace
    assert destroy(topology.name, engine=engine)
    wait_for(
        Expectation(
            what="the link to disappear",
            node=name,
            look=lambda: interfaces(another),
            met=lambda names: names == before,
        ),
        within=10,
    )
    another.reload()
    assert another.status == "running"


def test_container_that_does_not_run_is_named(write: Write, deploy: Deploy) -> None:
    with pytest.raises(InputError, match="there is none of that name: start it first"):
        deploy(write(body("not-there")))
