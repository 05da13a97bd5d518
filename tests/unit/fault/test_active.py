"""Faults in force: apply, record, undo."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.event_times import EventTimes
from lab.fault import FaultAction, FaultKind, FaultSite, apply, kinds, records, undo_all

LOG: list[str] = []
"""The steps that were executed, in order."""


class Sample(FaultKind):
    """A fault that only logs."""

    kind = "sample"
    summary = "nothing"
    name: str = "one"

    def __str__(self) -> str:
        return self.name

    def prepare(self, site: FaultSite) -> FaultAction:
        def do() -> None:
            LOG.append(f"do {self.name} {[r.number for r in records(site.directory)]}")
            if self.name == "bad":
                raise RuntimeError("bad")

        return FaultAction(do, then=lambda: LOG.append(f"then {self.name}"), kept={"was": self.name})

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        def do() -> None:
            LOG.append(f"undo {kept['was']}")
            if self.name == "stuck":
                raise RuntimeError("stuck")

        return FaultAction(do)


class Event(Sample):
    """An event."""

    kind = "event"
    lasting = False


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultSite:
    LOG.clear()
    known = {kind.kind: kind for kind in (Sample, Event)}
    monkeypatch.setattr(kinds, "fault_of", lambda kind, where: known[kind].model_validate(where))
    return cast(FaultSite, SimpleNamespace(directory=tmp_path, name="lab", event_times=EventTimes()))


def test_fault_is_recorded_before_it_is_applied_and_until_it_is_undone(site: FaultSite) -> None:
    with apply(site, Sample()) as fault:
        (record,) = records(site.directory)
        assert (record.number, record.fault, record.kept) == (1, Sample(), {"was": "one"})
        assert fault.began.since <= fault.began.until
        assert fault.ended is None
    assert fault.ended is not None
    assert fault.ended.since >= fault.began.until
    assert records(site.directory) == []
    assert LOG == ["do one [1]", "then one", "undo one"]
    assert fault.undo() == fault.ended
    assert len(LOG) == 3


def test_fault_is_undone_if_the_block_raises(site: FaultSite) -> None:
    with pytest.raises(ZeroDivisionError), apply(site, Sample()):
        raise ZeroDivisionError
    assert LOG[-1] == "undo one"
    assert records(site.directory) == []


def test_fault_that_fails_halfway_is_undone(site: FaultSite) -> None:
    with pytest.raises(RuntimeError, match="bad"):
        apply(site, Sample(name="bad"))
    assert LOG[-1] == "undo bad"
    assert records(site.directory) == []


def test_same_fault_twice_is_refused(site: FaultSite) -> None:
    apply(site, Sample())
    with pytest.raises(InputError, match="in force already: undo it with `lab fault undo 1`"):
        apply(site, Sample())
    assert [r.number for r in records(site.directory)] == [1]
    assert "undo one" not in LOG


def test_event_is_not_recorded(site: FaultSite) -> None:
    with apply(site, Event()) as event:
        assert records(site.directory) == []
    assert event.ended is None
    assert LOG == ["do one []", "then one"]


def test_undo_all_undoes_latest_first_and_reports_failures(site: FaultSite) -> None:
    for name in ("one", "stuck", "two"):
        apply(site, Sample(name=name))
    with pytest.raises(EnvironmentBroken, match="lab lab: not undone: stuck: stuck: take the lab down"):
        undo_all(site)
    assert [line for line in LOG if line.startswith("undo")] == ["undo two", "undo stuck", "undo one"]
    assert [str(r.fault) for r in records(site.directory)] == ["stuck"]
    assert apply(site, Sample(name="three"))
    assert [r.number for r in records(site.directory)] == [2, 3]


def test_damaged_record_is_reported(site: FaultSite) -> None:
    apply(site, Sample())
    (site.directory / "faults/1.json").write_text("{")
    with pytest.raises(EnvironmentBroken, match=r"1\.json cannot be read"):
        records(site.directory)


def test_number_taken_by_another_process_meanwhile_is_skipped(site: FaultSite, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link
    tried: list[str] = []

    def other_process_is_quicker(draft: Path, path: Path) -> None:
        tried.append(path.name)
        assert len(tried) <= 3, "it tries the same number again"
        if len(tried) < 3:
            path.write_text(draft.read_text())
        link(draft, path)

    monkeypatch.setattr(os, "link", other_process_is_quicker)
    fault = apply(site, Sample())
    assert tried == ["1.json", "2.json", "3.json"]
    assert [record.number for record in records(site.directory)] == [1, 2, 3]
    fault.undo()
    assert [record.number for record in records(site.directory)] == [1, 2]
