"""Labs that a process owns, such as a test run; they are destroyed after it has ended, even if it was killed."""

from lab.core.process import is_alive
from lab.engine import Engine, Instance, LabNetwork
from lab.runtime.destroy import destroy
from lab.runtime.lab import Lab

_KEPT = "kept"
"""Marker file in the directory of a lab that `sweep` leaves alone."""


def keep(lab: Lab) -> None:
    """Exclude a lab from `sweep`."""
    (lab.directory / _KEPT).touch()


def sweep(engine: Engine) -> list[str]:
    """Destroy the labs whose process has ended; returns their names.

    Labs without an owner, and those to be kept, are left alone.
    """
    found: list[Instance | LabNetwork] = [*engine.find(), *engine.networks()]
    owned = {o.lab for o in found if o.owner and not is_alive(o.owner) and not (o.directory / _KEPT).exists()}
    orphans = sorted(owned)
    for name in orphans:
        destroy(name, engine=engine)
    return orphans
