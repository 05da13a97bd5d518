"""Labs without containers, for commands that query an engine."""

from collections.abc import Sequence
from pathlib import Path

from typer.testing import CliRunner, Result

from lab.catalogue import load
from lab.cli.app import app
from lab.engine import Instance, LabNetwork, NodeState
from lab.runtime.store import LabDirectory
from lab.topology import Topology


class PaperEngine:
    """An engine that reports nodes and runs nothing."""

    name = "paper"

    def __init__(self) -> None:
        self.instances: list[Instance] = []
        self.left: list[LabNetwork] = []

    def require_supported(self, topology: Topology) -> None:
        """Accept everything."""

    def find(self, lab: str | None = None) -> list[Instance]:
        """Return all nodes, or those of one lab."""
        return [i for i in self.instances if lab in (None, i.lab)]

    def networks(self, lab: str | None = None) -> list[LabNetwork]:
        """Return the networks of labs that have no node."""
        return [network for network in self.left if lab in (None, network.lab)]

    def remove_networks(self, lab: str) -> bool:
        """Forget the networks of a lab."""
        self.left = [network for network in self.left if network.lab != lab]
        return True

    def attach_argv(self, instance: Instance, argv: Sequence[str], *, tty: bool) -> list[str]:
        """Fail: nothing can run here."""
        raise AssertionError(f"{argv} was to run in {instance}")

    def output(self, instance: Instance, lines: int = 20) -> str:
        """Return the output of a container."""
        return f"{instance.node} printed this"

    def destroy(self, instances: Sequence[Instance]) -> None:
        """Forget nodes."""
        self.instances = [i for i in self.instances if i not in instances]


class Program:
    """The program `lab`, run in this process."""

    def __init__(self, engine: PaperEngine, directory: Path) -> None:
        self.engine = engine
        self.directory = directory

    def __call__(self, *argv: str) -> Result:
        """Run a command."""
        return CliRunner().invoke(app, argv, prog_name="lab", env={"LAB_NAME": None, "LAB_DEBUG": None})

    def lay_out(self, name: str, states: dict[str, NodeState] | None = None) -> Path:
        """Make a lab of the article's topology with nodes in some states; the others are reported as running."""
        store = LabDirectory(self.directory / name)
        topology = load("article", name=name)
        store.create(topology)
        for node in topology.nodes:
            state = (states or {}).get(node, NodeState.RUNNING)
            if state is not NodeState.ABSENT:
                self.engine.instances.append(Instance(name, node, f"clab-{name}-{node}", "image", state, store.path))
        return store.path
