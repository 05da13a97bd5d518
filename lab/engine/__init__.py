"""Containers and wires behind one interface."""

from lab.engine.base import Engine, ExecResult, Instance, Mount, NodeSpec, NodeState
from lab.engine.namespace import Namespace

__all__ = ["Engine", "ExecResult", "Instance", "Mount", "Namespace", "NodeSpec", "NodeState"]
