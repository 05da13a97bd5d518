"""Labs that exist on paper only, for commands that ask an engine."""

from collections.abc import Sequence
from pathlib import Path

from typer.testing import CliRunner, Result

from lab.catalogue import load
from lab.cli.app import app
from lab.engine import Instance, NodeState
from lab.runtime.store import LabDirectory


class PaperEngine:
    """Answers what exists; nothing runs."""

    name = "paper"

    def __init__(self) -> None:
        self.instances: list[Instance] = []

    def find(self, lab: str | None = None) -> list[Instance]:
        """All nodes, or those of one lab."""
        return [i for i in self.instances if lab in (None, i.lab)]

    def attach_argv(self, instance: Instance, argv: Sequence[str], *, tty: bool) -> list[str]:
        """Nothing may run on paper."""
        raise AssertionError(f"{argv} was to run in {instance}")

    def output(self, instance: Instance, lines: int = 20) -> str:
        """What a container printed."""
        return f"{instance.node} printed this"

    def destroy(self, instances: Sequence[Instance]) -> None:
        """Forget nodes."""
        self.instances = [i for i in self.instances if i not in instances]


class Program:
    """Runs `lab` in this process."""

    def __init__(self, engine: PaperEngine, directory: Path) -> None:
        self.engine = engine
        self.directory = directory

    def __call__(self, *argv: str) -> Result:
        """Run a command."""
        return CliRunner().invoke(app, argv, prog_name="lab", env={"LAB_NAME": None, "LAB_DEBUG": None})

    def lay_out(self, name: str, states: dict[str, NodeState] | None = None) -> Path:
        """A lab of the article's topology whose nodes are in some states; others run, as far as labels tell."""
        store = LabDirectory(self.directory / name)
        topology = load("article", name=name)
        store.create(topology)
        for node in topology.nodes:
            state = (states or {}).get(node, NodeState.RUNNING)
            if state is not NodeState.ABSENT:
                self.engine.instances.append(Instance(name, node, f"clab-{name}-{node}", "image", state, store.path))
        return store.path
