"""The labs that exist on this host, found by the labels of their nodes."""

from lab.engine import Engine, NodeState


def running_labs(engine: Engine) -> list[str]:
    """Return the names of all labs that have a node in any state."""
    return sorted({instance.lab for instance in engine.find()})


def is_running(name: str, *, engine: Engine) -> bool:
    """Return whether a node of a lab runs or is paused. A reboot of the host leaves stopped nodes, without links."""
    return any(i.state in (NodeState.RUNNING, NodeState.PAUSED) for i in engine.find(name))
