"""A check in a lab: the changes of its actions, and how each is undone at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab.core.errors import EnvironmentBroken, InputError
from lab.fault import ActiveFault, FaultKind, apply
from lab.runtime.lab import Lab


@dataclass
class Change:
    """A change of the lab that can be undone."""

    what: str
    undo: Callable[[], object]
    fault: ActiveFault | None = None


@dataclass
class Session:
    """The lab and the changes of its actions so far."""

    lab: Lab
    changes: list[Change] = field(default_factory=list)

    def apply(self, fault: FaultKind) -> None:
        """Apply a fault, to be undone at the end unless it is a momentary event."""
        active = apply(self.lab, fault)
        if active.fault.lasting:
            self.changes.append(Change(str(active.fault), active.undo, active))

    def undo_faults(self, kind: str | None) -> None:
        """Undo the faults of a kind that this check applied, or all of them, the latest first.

        Raises `InputError` if there is none.
        """
        found = [c for c in self.changes if c.fault is not None and kind in (None, c.fault.fault.kind)]
        if not found:
            raise InputError(f"this check has applied no fault {kind}" if kind else "this check has applied no fault")
        for change in found[::-1]:
            change.undo()
            self.changes.remove(change)

    def later(self, what: str, undo: Callable[[], object]) -> None:
        """Undo a change at the end."""
        self.changes.append(Change(what, undo))

    def undo_all(self) -> list[str]:
        """Undo all changes, the latest first, and return what could not be undone."""
        failures = []
        while self.changes:
            change = self.changes.pop()
            try:
                change.undo()
            except Exception as error:  # of any kind: the others are undone
                failures.append(f"{change.what}: {error}")
        return failures


@contextmanager
def session(lab: Lab) -> Iterator[Session]:
    """Yield a session whose changes are undone at the end; raises `EnvironmentBroken` if one cannot be."""
    opened = Session(lab)
    try:
        yield opened
    finally:
        failures = opened.undo_all()
    if failures:
        raise EnvironmentBroken(f"lab {lab.name}: not undone: {'; '.join(failures)}")
