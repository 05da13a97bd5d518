"""Labs with names of their own on a real engine; whatever a test leaves is taken down after it."""

import itertools
import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from lab.catalogue.load import load
from lab.core.process import this_process
from lab.engine import Engine, open_engine
from lab.runtime.lab import Lab, destroy, running_labs
from lab.topology import Topology

IMAGE = "openvpn-routing-lab/node:2.6"
PAIR = """
    nodes: {one: {}, two: {}}
    links:
      - endpoints: ["one:eth1", "two:eth1"]
        ipv4: [192.0.2.1/30, 192.0.2.2/30]
        ipv6: ["2001:db8:9::1/64", "2001:db8:9::2/64"]
"""
"""The smallest lab in which somebody can reach somebody."""

_counter = itertools.count(1)

Write = Callable[..., Topology]
Deploy = Callable[..., Lab]


def new_name() -> str:
    """A lab name that no other test, and no other run of the tests, has."""
    return f"life-{os.getpid()}-{next(_counter)}"


@pytest.fixture(scope="session")
def engine() -> Engine:
    return open_engine()


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """Docker itself, to see what the lab has really made."""
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A name for a lab, which is taken down afterwards whatever it is then."""
    name = new_name()
    yield name
    destroy(name, engine=engine)


def topology(directory: Path, name: str, body: str) -> Topology:
    """A topology of the lab's own image from what stands below `topology:`."""
    file = directory / f"{name}.clab.yml"
    head = f"name: {name}\ntopology:\n  defaults: {{kind: linux, image: {IMAGE}, network-mode: none}}\n"
    file.write_text(head + textwrap.indent(textwrap.dedent(body), "  "))
    return load(file)


@pytest.fixture
def write(tmp_path: Path, name: str) -> Write:
    """Write a topology named `name`, and read it."""

    def write(body: str) -> Topology:
        return topology(tmp_path, name, body)

    return write


@pytest.fixture
def deploy(tmp_path: Path, engine: Engine) -> Iterator[Deploy]:
    """`Lab.deploy` with a directory of its own; taken down after the test."""
    labs: list[Lab] = []

    def deploy(topology: Topology, **options: object) -> Lab:
        options = {"engine": engine, "directory": tmp_path / "labs" / topology.name, "owner": this_process()} | options
        lab = Lab.deploy(topology, **options)  # type: ignore[arg-type]
        labs.append(lab)
        return lab

    yield deploy
    for lab in labs:
        lab.destroy()


def assert_nothing_left(name: str, engine: Engine, directory: Path) -> None:
    """Neither container nor directory of a lab is left."""
    assert engine.find(name) == []
    assert name not in running_labs(engine)
    assert not directory.exists()
