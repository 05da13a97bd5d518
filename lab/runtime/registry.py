"""The labs that exist on this host, found by the labels of their nodes."""

from collections.abc import Sequence

from lab.engine import Engine, NodeState


def running_labs(engine: Engine) -> list[str]:
    """Return the names of all labs that have a node in any state."""
    return sorted({instance.lab for instance in engine.find()})


def existing_labs(engine: Engine) -> list[str]:
    """Return the names of all labs that have a node, or a management network: one that was killed before its first
    node has only that."""
    return sorted({*running_labs(engine), *(network.lab for network in engine.networks())})


def engine_with(name: str, engines: Sequence[Engine]) -> Engine:
    """Return the engine that has a lab in any state, or the first if none has."""
    return next((engine for engine in engines if name in existing_labs(engine)), engines[0])


def is_running(name: str, *, engine: Engine) -> bool:
    """Return whether a node of a lab runs or is paused. A reboot of the host leaves stopped nodes, without links."""
    return any(i.state in (NodeState.RUNNING, NodeState.PAUSED) for i in engine.find(name))
