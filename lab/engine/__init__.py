"""Nodes and links behind one interface; see `Engine`."""

from lab.engine.base import HOSTS, Engine, ExecResult, Instance, Mount, NodeSpec, NodeState
from lab.engine.namespace import Namespace

__all__ = ["HOSTS", "Engine", "ExecResult", "Instance", "Mount", "Namespace", "NodeSpec", "NodeState", "open_engine"]


def open_engine() -> Engine:
    """Return this host's engine; raises `EnvironmentBroken` with a remedy if there is none."""
    from lab.engine.docker.engine import DockerEngine
    from lab.host.docker_engine import connect_fast

    return DockerEngine(connect_fast())
