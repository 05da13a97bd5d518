"""The stages of a node's start: waiting for stages of other nodes, and commands between them."""

from typing import Final, Literal

from pydantic import Field

from lab.topology.intent import Frozen

StageName = Literal["create", "create-links", "configure", "healthy", "exit"]
STAGES: Final[tuple[StageName, ...]] = ("create", "create-links", "configure", "healthy", "exit")


class StageWait(Frozen):
    """A stage of another node that must be complete."""

    node: str
    """The other node."""
    stage: StageName
    """Its stage."""


class StageCommand(Frozen):
    """A command that runs in the node."""

    command: str = Field(min_length=1)
    """The command and its arguments, without a shell."""
    phase: Literal["on-enter", "on-exit"] = "on-enter"
    """Run it when the node enters the stage, or when the stage is complete."""
    target: Literal["container", "host"] = "container"
    """The place to run it; the lab does not run what is for the `host`."""


class Stage(Frozen):
    """One stage of a node: the stages that it waits for, and its commands."""

    wait_for: tuple[StageWait, ...] = ()
    """Stages of other nodes that are complete before the node enters this one."""
    exec: tuple[StageCommand, ...] = ()
    """The commands of this stage."""

    def commands(self, phase: str) -> list[str]:
        """Return the commands of a phase that run in the node."""
        return [each.command for each in self.exec if each.phase == phase and each.target == "container"]


class Stages(Frozen):
    """The stages of a node: container created, links attached, configured, healthy, ended."""

    create: Stage = Stage()
    create_links: Stage = Stage()
    configure: Stage = Stage()
    healthy: Stage = Stage()
    exit: Stage = Stage()

    def of(self, name: StageName) -> Stage:
        """Return a stage by name."""
        found: Stage = getattr(self, name.replace("-", "_"))
        return found

    def waits(self) -> list[StageWait]:
        """Return all stages of others that the node waits for."""
        return [wait for name in STAGES for wait in self.of(name).wait_for]
