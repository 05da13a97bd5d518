"""The relay between a VM and the host's pytest, without a VM."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import EnvironmentBroken
from lab.image.store import images_directory
from lab.vm import relay as relay_module
from lab.vm.relay import QUEUE, REPORTS, Ended, Lines, Relay, append, script
from lab.vm.virtual_machine import shared_paths


def test_lines_yields_each_complete_message_once(tmp_path: Path) -> None:
    file = tmp_path / "reports"
    lines = Lines(file)
    assert list(lines.new()) == []
    append(file, {"ready": 1})
    with file.open("a") as stream:
        stream.write('{"done": "a')
    assert list(lines.new()) == [{"ready": 1}]
    with file.open("a") as stream:
        stream.write('b"}\n')
    append(file, {"end": True})
    assert list(lines.new()) == [{"done": "ab"}, {"end": True}]
    assert list(lines.new()) == []


class FakeMachine:
    """A VM that runs, and whose job prints and ends as a test says."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.jobs: list[str] = []
        self.running = True
        self.code: int | None = None

    def begin(self, script: str) -> None:
        self.jobs.append(script)

    def exit_code(self) -> int | None:
        return self.code

    def describe_console(self) -> str:
        return "the console's last lines: login"


@pytest.fixture
def machine(tmp_path: Path) -> Any:
    return FakeMachine(tmp_path)


@pytest.fixture
def relay(machine: Any, tmp_path: Path) -> Relay:
    relay = Relay(machine, tmp_path)
    relay.begin(["tests/a.py"])
    return relay


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that each sleep advances, and that stops a relay which would wait forever."""
    now = [1000.0]

    def sleep(_: float) -> None:
        now[0] += 1.5
        assert now[0] < 1000 + 10 * relay_module.SILENCE, "the relay waits forever"

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return now


def test_relay_is_ready_after_collection(machine: Any, tmp_path: Path) -> None:
    append(tmp_path / REPORTS, {"report": "of an earlier run"})
    relay = Relay(machine, tmp_path)
    relay.begin(["tests/a.py"])
    assert len(machine.jobs) == 1
    append(tmp_path / REPORTS, {"ready": 1})
    relay.wait_ready()
    relay.begin(["tests/b.py"])
    append(tmp_path / REPORTS, {"unknown": "something else"})
    with pytest.raises(Ended, match="the virtual machine's pytest sent"):
        relay.wait_ready()


def test_run_yields_reports_until_done(relay: Relay, tmp_path: Path) -> None:
    for message in ({"report": {"n": 1}}, {"report": {"n": 2}}, {"done": "a.py::test"}, {"report": {"n": 3}}):
        append(tmp_path / REPORTS, message)
    assert list(relay.run("a.py::test", "a.py::next")) == [{"n": 1}, {"n": 2}]
    assert list(Lines(tmp_path / QUEUE).new()) == [{"run": "a.py::test", "then": "a.py::next"}]


def test_run_of_a_test_that_the_vm_does_not_collect_is_an_error(relay: Relay, tmp_path: Path) -> None:
    append(tmp_path / REPORTS, {"unknown": "a.py::test"})
    (tmp_path / "output.log").write_text("collected 0 items\n")
    with pytest.raises(
        EnvironmentBroken, match=r"does not collect a\.py::test; it printed: collected 0 items"
    ) as caught:
        list(relay.run("a.py::test", None))
    assert not isinstance(caught.value, Ended), "other tests can still run"


def test_silent_vm_is_abandoned(relay: Relay, machine: Any, clock: list[float]) -> None:
    with pytest.raises(Ended, match=r"did not run a\.py::test within 420 s; the console's last lines: login"):
        list(relay.run("a.py::test", None))
    assert machine.running


def test_each_report_extends_the_patience(relay: Relay, tmp_path: Path, clock: list[float]) -> None:
    reports = relay.run("a.py::test", None)
    for number in range(3):
        append(tmp_path / REPORTS, {"report": {"n": number}})
        assert next(reports) == {"n": number}
        clock[0] += 0.9 * relay_module.SILENCE
    append(tmp_path / REPORTS, {"done": "a.py::test"})
    assert list(reports) == []


def test_vm_that_ends_is_detected_before_the_silence_deadline(relay: Relay, machine: Any, clock: list[float]) -> None:
    machine.running = False
    with pytest.raises(Ended, match=r"the virtual machine ended before it could run a\.py::test"):
        list(relay.run("a.py::test", None))
    assert clock[0] < 1000 + 10


def test_pytest_that_exits_is_detected_before_the_silence_deadline(
    relay: Relay, machine: Any, tmp_path: Path, clock: list[float]
) -> None:
    machine.code = 3
    (tmp_path / "output.log").write_text("INTERNALERROR\n")
    with pytest.raises(Ended, match=r"pytest ended with 3 before it could run a\.py::test; it printed: INTERNALERROR"):
        list(relay.run("a.py::test", None))
    assert clock[0] < 1000 + 10


def test_end_waits_until_pytest_exits(relay: Relay, machine: Any, tmp_path: Path, clock: list[float]) -> None:
    machine.code = 0
    relay.end()
    assert list(Lines(tmp_path / QUEUE).new()) == [{"end": True}]


def test_end_reports_a_vm_that_ends_first(relay: Relay, machine: Any, clock: list[float]) -> None:
    machine.running = False
    with pytest.raises(Ended, match="before it could end its tests"):
        relay.end()


def test_job_runs_this_interpreter_in_the_project(tmp_path: Path) -> None:
    project = tmp_path / "a project"
    text = script(project, [sys.executable, "-m", "pytest", "tests/a b.py"])
    assert f"mount -t tmpfs lab '{project}/.lab'" in text
    assert "LAB_ENGINE=crun" in text
    last = text.splitlines()[-1]
    assert sys.executable in last
    assert "tests/a b.py" in last


def test_shares_have_programs_and_project_and_no_path_twice(tmp_path: Path) -> None:
    seen = shared_paths(tmp_path)
    assert ("programs", "/usr") in seen
    assert ("programs", str(images_directory())) in seen, "the nodes' images"
    assert ("project", str(tmp_path)) in seen
    for share in ("programs", "project"):
        paths = [Path(path) for of, path in seen if of == share]
        assert not {Path("/"), Path("/etc")} & set(paths)
        for path in paths:
            assert not any(path != other and path.is_relative_to(other) for other in paths)


def test_interpreter_inside_the_project_is_mounted_over_it(tmp_path: Path) -> None:
    project = Path(sys.prefix).parent
    paths = [path for _, path in shared_paths(project)]
    assert ("project", str(project)) in shared_paths(project)
    assert ("programs", sys.prefix) in shared_paths(project)
    assert paths.index(str(project)) < paths.index(sys.prefix)


def test_cache_of_scapy_is_shared_and_named_to_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "a cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert f"XDG_CACHE_HOME='{cache}' " in script(tmp_path, ["true"])
    assert ("programs", str(cache / "scapy")) not in shared_paths(tmp_path), "it does not exist yet"
    (cache / "scapy").mkdir(parents=True)
    assert ("programs", str(cache / "scapy")) in shared_paths(tmp_path)
    assert str(cache) not in [path for _, path in shared_paths(tmp_path)]
