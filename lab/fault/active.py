"""Faults in force: done, written down, and undone whatever happens to who did them.

Before a lasting fault is done, a file in the lab's directory says so, and the file goes when it is undone. So what a
killed process has left can be told and undone by any other.
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
from lab.fault.base import FaultAction, FaultKind, FaultSite, Moment, Record, written

_DIRECTORY = "faults"


class ActiveFault:
    """A fault that was done. Leave it as a context manager, or call `undo`; an event needs neither."""

    def __init__(self, site: FaultSite, fault: FaultKind, began: Moment, record: Record | None) -> None:
        self._scene = site
        self._record = record
        self.fault = fault
        self.began = began
        """When it was done."""
        self.ended: Moment | None = None
        """When it was undone; None before, and for an event."""

    def __str__(self) -> str:
        return str(self.fault)

    def undo(self) -> Moment | None:
        """Put back what it broke; returns when. Doing so again changes nothing."""
        if self._record is not None and self.ended is None:
            self.ended = undo(self._scene, self._record)
        return self.ended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


def apply(site: FaultSite, fault: FaultKind) -> ActiveFault:
    """Do it; raises `InputError` where it cannot be or is in force already. What fails halfway is undone."""
    fault = fault.settled(site)
    if not fault.lasting:
        return ActiveFault(site, fault, _done(site, fault.prepare(site)), None)
    if same := [r for r in records(site.directory) if r.fault == fault]:
        raise InputError(f"{fault}: that is in force already, undo it with `lab fault undo {same[0].number}`")
    act = fault.prepare(site)
    record = _write(site.directory, fault, act.kept)
    try:
        began = _done(site, act)
    except BaseException as error:
        try:
            undo(site, record)
        except Exception as second:  # whatever it is, the first error is the one to tell
            error.add_note(f"and it could not be undone: {second}; `lab fault undo {record.number}` tries again")
        raise
    return ActiveFault(site, fault, began, record)


def undo(site: FaultSite, record: Record) -> Moment:
    """Put back what a fault broke, whoever did it; the record goes once it is done."""
    ended = _done(site, record.fault.recovery(site, record.kept))
    record.path.unlink(missing_ok=True)
    return ended


def undo_all(site: FaultSite) -> list[Record]:
    """Undo everything in force, the latest first; returns what was. One that resists does not keep the others.

    Raises `EnvironmentBroken` where something could not be undone.
    """
    found = records(site.directory)[::-1]
    failures = []
    for record in found:
        try:
            undo(site, record)
        except Exception as error:  # whatever it is, the others are undone
            failures.append(f"{record.fault}: {error}")
    if failures:
        raise EnvironmentBroken(f"lab {site.name}: not undone: {'; '.join(failures)}: take the lab down and up again")
    return found


def records(directory: Path) -> list[Record]:
    """What is in force in the lab with this directory, oldest first."""
    found = []
    for path in (directory / _DIRECTORY).glob("*.json"):
        from lab.fault.kinds import fault_of  # imports all kinds, so only if there is a fault

        try:
            told = json.loads(path.read_text())
            fault = fault_of(told["kind"], told["where"])
            found.append(Record(int(path.stem), fault, told["kept"], datetime.fromisoformat(told["since"]), path))
        except FileNotFoundError:  # just undone
            continue
        except (ValueError, KeyError, InputError) as error:
            raise EnvironmentBroken(f"{path} cannot be read ({error}): take the lab down and up again") from error
    return sorted(found, key=lambda record: record.number)


def _done(site: FaultSite, act: FaultAction) -> Moment:
    since = time.monotonic()
    try:
        act.do()
        until = time.monotonic()
        site.event_times.record(since, until)
    finally:
        act.then()
    return Moment(since, until)


def _write(directory: Path, fault: FaultKind, kept: Mapping[str, Any]) -> Record:
    """Write a fault down under the next free number, as a whole or not at all."""
    home = directory / _DIRECTORY
    home.mkdir(exist_ok=True)
    since = datetime.now(UTC)
    told = {"kind": fault.kind, "where": written(fault), "kept": kept, "since": since.isoformat()}
    draft = home / f".{os.getpid()}"
    draft.write_text(json.dumps(told))
    number = max((int(p.stem) for p in home.glob("*.json")), default=0) + 1
    try:
        while True:
            path = home / f"{number}.json"
            try:
                os.link(draft, path)
            except FileExistsError:  # somebody else was quicker
                number += 1
                continue
            return Record(number, fault, kept, since, path)
    finally:
        draft.unlink()
