"""Destroying a lab whose nodes the engine is still creating."""

from pathlib import Path
from typing import Any

import pytest

from lab.catalogue import load
from lab.core.errors import InputError
from lab.engine import Instance, LabNetwork, NodeState
from lab.runtime import destroy as module
from lab.runtime.destroy import destroy
from lab.runtime.store import LabDirectory


class SlowEngine:
    """An engine that goes on creating nodes, one after the other, after its client was killed."""

    def __init__(self, lab: str, nodes: list[str], directory: Path) -> None:
        self.coming = [Instance(lab, node, node, "image", NodeState.CREATED, directory) for node in nodes]
        self.existing: list[Instance] = []
        self.destroyed: list[str] = []
        self.looks = 0

    def find(self, lab: str | None = None) -> list[Instance]:
        """Create another node at each second look."""
        self.looks += 1
        if self.coming and self.looks % 2 == 0:
            self.existing.append(self.coming.pop(0))
        return list(self.existing)

    def networks(self, lab: str | None = None) -> list[LabNetwork]:
        return []

    def destroy(self, instances: list[Instance]) -> None:
        self.destroyed += [instance.node for instance in instances]
        self.existing = [instance for instance in self.existing if instance not in instances]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabDirectory:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "POLL", 0)
    store = LabDirectory.default("slow")
    store.create(load("article", name="slow"))
    return store


def test_every_node_that_is_created_late_is_destroyed(store: LabDirectory) -> None:
    nodes = sorted(store.nodes)
    assert len(nodes) == 5
    engine: Any = SlowEngine("slow", nodes, store.path)
    assert destroy("slow", engine=engine)
    assert engine.destroyed == nodes
    assert engine.existing == engine.coming == []
    assert not store.path.exists()


def test_destroy_stops_waiting_for_nodes_that_are_never_created(
    store: LabDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("lab.runtime.destroy.time.monotonic", lambda: float(next(clock)))
    engine: Any = SlowEngine("slow", [], store.path)
    assert destroy("slow", engine=engine)
    assert engine.looks <= 4
    assert not store.path.exists()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "_x"])
def test_name_that_no_lab_can_have_is_refused(name: str) -> None:
    engine: Any = SlowEngine("slow", [], Path("nowhere"))
    with pytest.raises(InputError, match="is not the name of a lab"):
        destroy(name, engine=engine)
    assert engine.looks == 0
