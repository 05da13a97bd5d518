"""The labs on this host, as rows for `lab list`."""

from dataclasses import dataclass
from pathlib import Path

from lab.engine import Engine, Instance, NodeState
from lab.runtime.store import LabDirectory


@dataclass(frozen=True)
class LabSummary:
    """A lab that exists."""

    name: str
    engine: str
    nodes_running: int
    nodes_total: int
    topology: Path | None
    """None if the lab's directory does not exist."""
    directory: Path


def summaries(engine: Engine) -> list[LabSummary]:
    """Return all labs that have a node in any state, or a management network."""
    labs: dict[str, list[Instance]] = {}
    directories: dict[str, Path] = {}
    for instance in engine.find():
        labs.setdefault(instance.lab, []).append(instance)
    directories |= {network.lab: network.directory for network in engine.networks()}
    directories |= {name: instances[0].directory for name, instances in labs.items()}
    return [
        _summary(name, engine.name, labs.get(name, []), directory) for name, directory in sorted(directories.items())
    ]


def _summary(name: str, engine: str, instances: list[Instance], directory: Path) -> LabSummary:
    store = LabDirectory(directory)
    running = sum(i.state is NodeState.RUNNING for i in instances)
    return LabSummary(name, engine, running, len(store.nodes) or len(instances), store.file, store.path)
