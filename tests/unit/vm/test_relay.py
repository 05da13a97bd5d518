"""What passes between a machine and the tests that are reported here, without a machine."""

import sys
from pathlib import Path
from typing import Any

import pytest

from lab.vm.machine import shown
from lab.vm.relay import REPORTS, Ended, Lines, Relay, append, script


def test_messages_arrive_once_and_whole(tmp_path: Path) -> None:
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


class Booting:
    """A machine whose engine does not answer yet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.jobs: list[str] = []
        self.waited = 0

    def begin(self, script: str) -> None:
        self.jobs.append(script)

    def wait_ready(self) -> None:
        self.waited += 1


def test_a_relay_is_ready_when_it_has_collected_and_the_engine_answers(tmp_path: Path) -> None:
    machine: Any = Booting(tmp_path)
    append(tmp_path / REPORTS, {"report": "of a run before"})
    relay = Relay(machine, tmp_path)
    relay.begin(["tests/a.py"])
    assert len(machine.jobs) == 1
    assert machine.waited == 0, "something here could go on meanwhile"
    append(tmp_path / REPORTS, {"ready": 1})
    relay.wait_ready()
    assert machine.waited == 1
    relay.begin(["tests/b.py"])
    append(tmp_path / REPORTS, {"unknown": "something else"})
    with pytest.raises(Ended, match="the machine's pytest began with"):
        relay.wait_ready()


def test_a_job_runs_this_interpreter_in_the_project(tmp_path: Path) -> None:
    project = tmp_path / "a project"
    text = script(project, [sys.executable, "-m", "pytest", "tests/a b.py"])
    assert f"'{project}/.lab'" in text
    assert "mount -t tmpfs" in text
    last = text.splitlines()[-1]
    assert sys.executable in last
    assert "tests/a b.py" in last


def test_a_machine_sees_programs_and_the_project_and_nothing_twice(tmp_path: Path) -> None:
    seen = shown(tmp_path)
    assert ("programs", "/usr") in seen
    assert ("project", str(tmp_path)) in seen
    for share in ("programs", "project"):
        paths = [Path(path) for of, path in seen if of == share]
        assert not {Path("/"), Path("/etc")} & set(paths)
        for path in paths:
            assert not any(path != other and path.is_relative_to(other) for other in paths)


def test_the_interpreter_in_a_project_lies_over_it(tmp_path: Path) -> None:
    project = Path(sys.prefix).parent
    paths = [path for _, path in shown(project)]
    assert ("project", str(project)) in shown(project)
    assert ("programs", sys.prefix) in shown(project)
    assert paths.index(str(project)) < paths.index(sys.prefix)


def test_scapys_cache_is_seen_and_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "a cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert f"XDG_CACHE_HOME='{cache}' " in script(tmp_path, ["true"])
    assert ("programs", str(cache / "scapy")) not in shown(tmp_path), "nobody has used scapy yet"
    (cache / "scapy").mkdir(parents=True)
    assert ("programs", str(cache / "scapy")) in shown(tmp_path)
    assert str(cache) not in [path for _, path in shown(tmp_path)]
