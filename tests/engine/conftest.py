"""Fixtures for labs on a real engine, which are taken down after the test."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from lab.core.errors import EnvironmentBroken
from lab.core.process import this_process
from lab.engine import Engine, open_engine
from lab.host import docker_engine
from lab.runtime.destroy import destroy
from lab.runtime.lab import Lab
from lab.topology import Topology
from tests.helpers.labs import Deploy, Write, new_name, topology


@pytest.fixture(scope="session")
def engine() -> Engine:
    return open_engine()


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """Docker's own client, to inspect what the lab has created or to build images; skipped without Docker."""
    try:
        client = docker_engine.connect()
    except EnvironmentBroken as error:
        pytest.skip(f"Docker's client is needed: {error}")
    yield client
    client.close()


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A new name; a lab of that name is taken down after the test, in any state."""
    name = new_name()
    yield name
    destroy(name, engine=engine)


@pytest.fixture
def write(tmp_path: Path, name: str) -> Write:
    """Write a topology named `name`, and read it."""

    def write(body: str) -> Topology:
        return topology(tmp_path, name, body)

    return write


@pytest.fixture
def deploy(tmp_path: Path, engine: Engine) -> Iterator[Deploy]:
    """`Lab.deploy` with a temporary directory; the lab is taken down after the test."""
    labs: list[Lab] = []

    def deploy(topology: Topology, **options: object) -> Lab:
        options = {"engine": engine, "directory": tmp_path / "labs" / topology.name, "owner": this_process()} | options
        lab = Lab.deploy(topology, **options)  # type: ignore[arg-type]
        labs.append(lab)
        return lab

    yield deploy
    for lab in labs:
        lab.destroy()
