"""Finding an engine: which are refused, what is said when none answers, when one is installed or started."""

import errno
import socket
from pathlib import Path

import pytest
from docker.errors import DockerException

from lab.core.errors import EnvironmentBroken
from lab.host import docker_engine, packages
from lab.host.packages import Powers


@pytest.mark.parametrize("environment", [{}, {"DOCKER_HOST": ""}])
def test_without_docker_host_it_is_the_systems_socket(environment: dict[str, str]) -> None:
    assert docker_engine.endpoint(environment) == "unix:///var/run/docker.sock"


def test_docker_host_is_honoured() -> None:
    assert docker_engine.endpoint({"DOCKER_HOST": "unix:///x"}) == "unix:///x"


@pytest.mark.parametrize("host", ["tcp://192.0.2.1:2375", "ssh://root@elsewhere", "tcp://docker:2376"])
def test_engines_elsewhere_are_refused_in_one_line(host: str) -> None:
    refusal = docker_engine.refuse_remote(host)
    assert refusal is not None
    assert host in refusal
    assert "\n" not in refusal


@pytest.mark.parametrize(
    "host", ["unix:///run/x.sock", "tcp://127.0.0.1:2375", "tcp://localhost:2375", "tcp://[::1]:1"]
)
def test_engines_here_are_not_refused(host: str) -> None:
    assert docker_engine.refuse_remote(host) is None


def test_an_engine_in_a_virtual_machine_is_refused() -> None:
    assert docker_engine.refuse_foreign_kernel("unix:///x", "6.1.0-linuxkit", "6.12.0") is not None
    assert docker_engine.refuse_foreign_kernel("unix:///x", "6.12.0", "6.12.0") is None


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOENT, "no Docker engine answers at unix:///x: run `make lab-up` as root"),
        (errno.ECONNREFUSED, "no Docker engine answers"),
        (errno.EACCES, "may not use the Docker engine"),
    ],
)
def test_system_errors_are_translated(number: int, words: str) -> None:
    bare = docker_engine.translate("unix:///x", OSError(number, "x"))
    assert words in str(bare)
    wrapped = DockerException("Error while fetching server API version")
    wrapped.__cause__ = OSError(number, "x")
    assert str(docker_engine.translate("unix:///x", wrapped)) == str(bare)


def test_permission_names_the_user_and_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ada")
    text = str(docker_engine.translate("unix:///x", PermissionError(errno.EACCES, "x")))
    assert "user ada" in text
    assert "sudo adduser ada docker" in text


def test_any_other_error_stays_readable_in_one_line() -> None:
    text = str(docker_engine.translate("unix:///x", DockerException("client version 1.41\nis too old")))
    assert "client version 1.41 is too old" in text


def test_connect_to_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EnvironmentBroken, match="no Docker engine answers"):
        docker_engine.connect()


def test_connect_to_a_socket_that_somebody_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(EnvironmentBroken, match="no Docker engine answers"):
        docker_engine.connect()


def test_a_named_engine_that_does_not_answer_is_not_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(packages, "install", lambda *_: pytest.fail("nothing may be installed"))
    with pytest.raises(EnvironmentBroken, match="DOCKER_HOST=unix://"):
        docker_engine.prepare(lambda _: None)


class Machine:
    """A machine without an engine, on which installing and starting only leave a note."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, installed: bool, systemd: bool = False) -> None:
        self.notes: list[str] = []
        self.installed, self.answers = installed, False
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        monkeypatch.setattr(docker_engine, "_absent", lambda host: not self.answers)
        monkeypatch.setattr(docker_engine, "_answers", lambda host: self.answers)
        monkeypatch.setattr(docker_engine, "_dockerd", lambda: "/usr/sbin/dockerd" if self.installed else None)
        monkeypatch.setattr(docker_engine, "_runs_systemd", lambda: systemd)
        monkeypatch.setattr(docker_engine, "_clear_the_way", lambda powers: None)
        monkeypatch.setattr(docker_engine, "_systemctl_start", lambda powers: self.start("systemctl"))
        monkeypatch.setattr(docker_engine, "_spawn", lambda powers, log, options: self.start("dockerd"))
        monkeypatch.setattr(docker_engine, "connect", Client)
        monkeypatch.setattr(packages, "install", self.install)

    def install(self, names: tuple[str, ...], *_: object) -> None:
        self.notes.append(f"install {names[0]}")
        self.installed = True

    def start(self, how: str) -> int:
        self.notes.append(f"start {how}")
        self.answers = True
        return 1


class Client:
    def version(self) -> dict[str, str]:
        return {"Version": "26.1"}

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    powers = Powers(root=True, sudo=False, apt=True, allowed=True)
    monkeypatch.setattr(Powers, "here", classmethod(lambda cls: powers))


@pytest.mark.parametrize(
    ("installed", "systemd", "notes"),
    [
        (False, False, ["install docker.io", "start dockerd"]),
        (False, True, ["install docker.io", "start systemctl"]),
        (True, False, ["start dockerd"]),
        (True, True, ["start systemctl"]),
    ],
)
def test_what_is_missing_is_made_up_for(
    monkeypatch: pytest.MonkeyPatch, installed: bool, systemd: bool, notes: list[str]
) -> None:
    machine, said = Machine(monkeypatch, installed=installed, systemd=systemd), list[str]()
    docker_engine.prepare(said.append)
    assert machine.notes == notes
    assert said[-1] == "Docker 26.1 answers at unix:///var/run/docker.sock"


def test_an_engine_that_answers_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, installed=True)
    machine.answers = True
    docker_engine.prepare(lambda _: None)
    assert machine.notes == []


def test_without_root_or_sudo_an_engine_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, installed=True)
    powers = Powers(root=False, sudo=False, apt=True, allowed=True)
    monkeypatch.setattr(Powers, "here", classmethod(lambda cls: powers))
    with pytest.raises(EnvironmentBroken, match="start it as root"):
        docker_engine.prepare(lambda _: None)
    assert machine.notes == []


@pytest.mark.parametrize(
    ("pid", "stat", "lives"),
    [
        ("7", "7 (dockerd) S 1 7", True),
        ("7", "7 (bash) S 1 7", False),
        ("7", "7 (dockerd) Z 1 7", False),
        ("8", "7 (dockerd) S 1 7", False),
        ("rubbish", "7 (dockerd) S 1 7", False),
    ],
)
def test_a_pid_file_counts_only_for_a_living_process_of_that_name(
    tmp_path: Path, pid: str, stat: str, lives: bool
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(stat)
    (tmp_path / "docker.pid").write_text(pid)
    assert docker_engine.is_pid_of(tmp_path / "docker.pid", "dockerd", tmp_path) is lives
