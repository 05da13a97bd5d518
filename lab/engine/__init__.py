"""Nodes and links behind one interface; see `Engine`."""

import os

from lab.core.errors import EnvironmentBroken, InputError
from lab.engine.base import (
    HOSTS,
    LOCALHOST,
    NODE_SYSCTLS,
    Engine,
    ExecResult,
    Instance,
    LabNetwork,
    Mount,
    NodeSpec,
    NodeState,
    PublishedPort,
)
from lab.engine.namespace import Namespace

__all__ = [
    "ENGINES",
    "ENVIRONMENT",
    "HOSTS",
    "LOCALHOST",
    "NODE_SYSCTLS",
    "Engine",
    "ExecResult",
    "Instance",
    "LabNetwork",
    "Mount",
    "Namespace",
    "NodeSpec",
    "NodeState",
    "PublishedPort",
    "all_engines",
    "named_engine",
    "open_engine",
]

ENGINES = ("docker", "crun")
"""The names of all engines."""
ENVIRONMENT = "LAB_ENGINE"
"""The environment variable that chooses the engine."""


def open_engine(name: str | None = None) -> Engine:
    """Return the engine of a name, of the environment, or this host's.

    That is the one at DOCKER_HOST. Without that variable it is Docker where it answers and this process is root's, as
    Docker's labs need it to be, and crun elsewhere. Raises `EnvironmentBroken` with a remedy if there is none,
    `InputError` for an unknown name.
    """
    if chosen := named_engine(name):
        return _open(chosen)
    from lab.core.places import host_uid
    from lab.host.oci_runtime import is_installed

    if host_uid() != 0 and is_installed():
        return _open("crun")
    try:
        return _open("docker")
    except EnvironmentBroken:
        if is_installed():
            return _open("crun")
        _refuse_without_engine()
        raise


def named_engine(name: str | None = None) -> str | None:
    """Return the engine that is named, by `name`, the environment, or an address of Docker's; None if none is.

    Raises `InputError` for an unknown name.
    """
    chosen = name or os.environ.get(ENVIRONMENT)
    if chosen and chosen not in ENGINES:
        raise InputError(f"unknown engine {chosen!r}: choose one of {', '.join(ENGINES)}")
    # Another engine than the one at DOCKER_HOST would not help.
    return chosen or ("docker" if os.environ.get("DOCKER_HOST") else None)


def all_engines(name: str | None = None) -> list[Engine]:
    """Return all engines that can be used here, that of `open_engine(name)` first: labs of each may run.

    Raises what that raises.
    """
    first = open_engine(name)
    found = [first]
    for name in ENGINES:
        if name != first.name:
            try:
                found.append(_open(name))
            except EnvironmentBroken:
                continue
    return found


def enter_namespaces(*, network: bool = True) -> None:
    """Make an ordinary user root in the namespaces in which the user's labs run; for root, or if done, nothing.

    Without `network` this process stays in the host's network, to build images. It has to have one thread. Raises
    `EnvironmentBroken` with what forbids it.
    """
    from lab.host import user_namespace

    if user_namespace.is_needed():
        from lab.core.places import runtime_directory
        from lab.engine.crun import record

        user_namespace.enter(runtime_directory(), lambda: any(record.recorded()), network=network)


def _refuse_without_engine() -> None:
    """Raise `EnvironmentBroken` if Docker does not run and crun is not installed; Docker may also refuse this user."""
    from lab.host.docker_engine import DEFAULT_HOST, is_absent
    from lab.host.oci_runtime import oci_runtime

    if is_absent(DEFAULT_HOST):
        try:
            oci_runtime()
        except EnvironmentBroken as error:
            raise EnvironmentBroken(
                f"no Docker engine answers, and {error}, or `make lab-up`, which installs what a lab needs"
            ) from None


def _open(name: str) -> Engine:
    # Imported where needed: Docker's client takes a quarter of a second.
    if name == "docker":
        from lab.engine.docker.engine import DockerEngine
        from lab.host.docker_engine import connect_fast

        return DockerEngine(connect_fast())
    if name == "crun":
        from lab.engine.crun.engine import CrunEngine

        enter_namespaces()
        return CrunEngine()
    raise AssertionError(name)
