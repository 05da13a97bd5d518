"""The labs on this host, as rows for `lab list`."""

from dataclasses import dataclass
from pathlib import Path

from lab.engine import Engine, Instance, NodeState
from lab.runtime.store import LabDirectory


@dataclass(frozen=True)
class LabSummary:
    """A lab that exists."""

    name: str
    nodes_running: int
    nodes_total: int
    topology: Path | None
    """None if the lab's directory does not exist."""
    directory: Path


def summaries(engine: Engine) -> list[LabSummary]:
    """Return all labs that have a node in any state."""
    labs: dict[str, list[Instance]] = {}
    for instance in engine.find():
        labs.setdefault(instance.lab, []).append(instance)
    return [_summary(name, instances) for name, instances in sorted(labs.items())]


def _summary(name: str, instances: list[Instance]) -> LabSummary:
    store = LabDirectory(instances[0].directory)
    running = sum(i.state is NodeState.RUNNING for i in instances)
    return LabSummary(name, running, len(store.nodes) or len(instances), store.file, store.path)
