"""Docker containers of the lab that are not nodes, such as the one that runs QEMU for the virtual machine."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import docker
import requests
from docker.errors import APIError, NotFound
from docker.types import Mount as DockerMount

from lab.core.errors import InputError
from lab.engine.base import Mount
from lab.host import docker_engine
from lab.host.docker_engine import translated


@dataclass(frozen=True)
class ContainerSpec:
    """A container to start: no network, no new privileges, and only the capabilities named here."""

    image: str
    argv: Sequence[str]
    name: str
    capabilities: Sequence[str] = ()
    devices: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Container:
    """A container that exists."""

    id: str
    labels: Mapping[str, str]


class Containers:
    """Starts, finds and removes containers. Every method raises `EnvironmentBroken` if Docker fails."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client

    @classmethod
    def connect(cls) -> "Containers":
        """Connect to this host's Docker engine."""
        return cls(docker_engine.connect())

    def start(self, spec: ContainerSpec) -> Container:
        """Start a container and return at once; raises `InputError` if the name is taken."""
        with translated(spec.name):
            try:
                container = self._client.containers.run(
                    spec.image,
                    list(spec.argv),
                    name=spec.name,
                    detach=True,
                    network_mode="none",
                    cap_drop=["ALL"],
                    cap_add=list(spec.capabilities),
                    security_opt=["no-new-privileges"],
                    devices=list(spec.devices),
                    environment=dict(spec.environment),
                    mounts=[DockerMount(str(m.target), str(m.source), "bind", m.read_only) for m in spec.mounts],
                    labels=dict(spec.labels),
                )
            except APIError as error:
                if error.status_code == requests.codes.conflict:
                    raise InputError(f"a container named {spec.name!r} exists already: remove it first") from error
                raise
            return _found(container)

    def succeeds(self, image: str, argv: Sequence[str], devices: Sequence[str] = ()) -> bool:
        """Run a command in a new container without network or capabilities; return whether it exits with 0."""
        try:
            self._client.containers.run(
                image, list(argv), remove=True, network_mode="none", devices=list(devices), cap_drop=["ALL"]
            )
        except docker.errors.DockerException:
            return False
        return True

    def find(self, label: str) -> list[Container]:
        """Return all containers, running or not, that carry a label (`NAME` or `NAME=VALUE`)."""
        with translated(f"containers with the label {label}"):
            listed = self._client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
            return [_found(container) for container in listed]

    def is_running(self, container: str) -> bool:
        """Return whether a container exists and runs."""
        with translated(container):
            try:
                return bool(self._client.containers.get(container).status == "running")
            except NotFound:
                return False

    def output(self, container: str, lines: int) -> str:
        """Return the last lines that a container printed."""
        with translated(container):
            printed: bytes = self._client.containers.get(container).logs(tail=lines)
        return printed.decode(errors="replace").strip()

    def remove(self, container: str) -> None:
        """Kill and remove a container; a missing one is ignored."""
        with translated(container), suppress(NotFound):
            self._client.containers.get(container).remove(force=True, v=False)


def _found(container: Any) -> Container:
    return Container(str(container.id), dict(container.labels))
