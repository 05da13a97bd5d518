"""Faults in force: apply, record, undo.

A lasting fault is recorded in a file of the lab's directory before it is applied, and the file is removed after it was
undone. Any process can list and undo the faults left by a killed one.
"""

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.core.errors import EnvironmentBroken, InputError
from lab.fault.base import FaultAction, FaultKind, FaultSite, Moment, Record, fault_fields

_DIRECTORY = "faults"


class ActiveFault:
    """A fault that was applied. The end of the `with` block or `undo` undoes it; an event needs neither."""

    def __init__(self, site: FaultSite, fault: FaultKind, began: Moment, record: Record | None) -> None:
        self._site = site
        self._record = record
        self.fault = fault
        self.began = began
        """When it was applied."""
        self.ended: Moment | None = None
        """When it was undone; None before that, and for an event."""

    def __str__(self) -> str:
        return str(self.fault)

    def undo(self) -> Moment | None:
        """Undo the fault and return when; a second call changes nothing."""
        if self._record is not None and self.ended is None:
            self.ended = undo(self._site, self._record)
        return self.ended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


def apply(site: FaultSite, fault: FaultKind) -> ActiveFault:
    """Apply a fault; it is undone if applying it fails.

    Raises `InputError` if its target does not exist or is a container that the lab did not start, or if the same fault
    is in force already.
    """
    fault = fault.resolved(site)
    _refuse_borrowed(site, fault)
    if not fault.lasting:
        return ActiveFault(site, fault, _run(site, fault.prepare(site)), None)
    if same := [r for r in records(site.directory) if r.fault == fault]:
        raise InputError(f"{fault}: this fault is in force already: undo it with `lab fault undo {same[0].number}`")
    action = fault.prepare(site)
    record = _write(site.directory, fault, action.kept)
    try:
        began = _run(site, action)
    except BaseException as error:
        try:
            undo(site, record)
        except Exception as second:  # of any kind: the first error is raised
            error.add_note(f"and it could not be undone: {second}; `lab fault undo {record.number}` tries again")
        raise
    return ActiveFault(site, fault, began, record)


def undo(site: FaultSite, record: Record) -> Moment:
    """Undo a recorded fault, and remove its record."""
    ended = _run(site, record.fault.recovery(site, record.kept))
    record.path.unlink(missing_ok=True)
    return ended


def undo_all(site: FaultSite) -> list[Record]:
    """Undo all faults in force, the latest first, and return their records.

    If one fails, the others are still undone, and `EnvironmentBroken` is raised at the end.
    """
    found = records(site.directory)[::-1]
    failures = []
    for record in found:
        try:
            undo(site, record)
        except Exception as error:  # of any kind: the others are undone
            failures.append(f"{record.fault}: {error}")
    if failures:
        raise EnvironmentBroken(f"lab {site.name}: not undone: {'; '.join(failures)}: take the lab down and up again")
    return found


def records(directory: Path) -> list[Record]:
    """Return the records of all faults in force in a lab's directory, oldest first."""
    found = []
    for path in (directory / _DIRECTORY).glob("*.json"):
        from lab.fault.kinds import fault_of  # imports all kinds, so only if there is a fault

        try:
            recorded = json.loads(path.read_text())
            fault = fault_of(recorded["kind"], recorded["where"])
            found.append(
                Record(int(path.stem), fault, recorded["kept"], datetime.fromisoformat(recorded["since"]), path)
            )
        except FileNotFoundError:  # just undone
            continue
        except (ValueError, KeyError, InputError) as error:
            raise EnvironmentBroken(f"{path} cannot be read ({error}): take the lab down and up again") from error
    return sorted(found, key=lambda record: record.number)


def _refuse_borrowed(site: FaultSite, fault: FaultKind) -> None:
    """Raise `InputError` if a fault would change something in a container that the lab did not start."""
    for name in fault.acts_on(site):
        node = site.topology.nodes.get(name)
        if node is not None and node.borrowed:
            raise InputError(
                f"{fault}: the lab did not start {name!r}, kind 'ext-container', and changes nothing in it: choose "
                "another target"
            )


def _run(site: FaultSite, action: FaultAction) -> Moment:
    since = time.monotonic()
    try:
        action.do()
        until = time.monotonic()
        site.event_times.record(since, until)
    finally:
        action.then()
    return Moment(since, until)


def _write(directory: Path, fault: FaultKind, kept: Mapping[str, Any]) -> Record:
    """Record a fault under the next free number, atomically."""
    home = directory / _DIRECTORY
    home.mkdir(exist_ok=True)
    since = datetime.now(UTC)
    recorded = {"kind": fault.kind, "where": fault_fields(fault), "kept": kept, "since": since.isoformat()}
    draft = home / f".{os.getpid()}"
    draft.write_text(json.dumps(recorded))
    number = max((int(p.stem) for p in home.glob("*.json")), default=0) + 1
    try:
        while True:
            path = home / f"{number}.json"
            try:
                os.link(draft, path)
            except FileExistsError:  # another process took the number
                number += 1
                continue
            return Record(number, fault, kept, since, path)
    finally:
        draft.unlink()
