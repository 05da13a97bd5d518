"""Labs that belong to a process, such as a test run, and are swept when it is gone, however it ended."""

from lab.core.process import is_alive
from lab.engine import Engine
from lab.runtime.lab import Lab, destroy

_KEPT = "kept"
"""A file in a lab's directory."""


def keep(lab: Lab) -> None:
    """Let a lab outlive its process."""
    (lab.directory / _KEPT).touch()


def sweep(engine: Engine) -> list[str]:
    """Take down the labs whose process is gone; returns their names.

    Labs without an owner, and those that somebody wants to keep, are left alone.
    """
    owned = {i.lab for i in engine.find() if i.owner and not is_alive(i.owner) and not (i.directory / _KEPT).exists()}
    orphans = sorted(owned)
    for name in orphans:
        destroy(name, engine=engine)
    return orphans
