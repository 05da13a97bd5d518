"""When `make` installs or starts an engine, on hosts where both are fakes that only record the call."""

import socket
from pathlib import Path

import pytest

from bootstrap import docker, packages
from bootstrap.packages import Privileges
from lab.core.errors import EnvironmentBroken
from lab.host import docker_engine


class Host:
    """A host without a running engine, on which installing and starting are only recorded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, installed: bool, systemd: bool = False) -> None:
        self.notes: list[str] = []
        self.installed, self.answers = installed, False
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        monkeypatch.setattr(docker, "is_absent", lambda host: not self.answers)
        monkeypatch.setattr(docker, "answers", lambda host: self.answers)
        monkeypatch.setattr(docker, "_dockerd", lambda: "/usr/sbin/dockerd" if self.installed else None)
        monkeypatch.setattr(docker, "_runs_systemd", lambda: systemd)
        monkeypatch.setattr(docker, "_remove_leftovers", lambda privileges: None)
        monkeypatch.setattr(docker, "_systemctl_start", lambda privileges: self.start("systemctl"))
        monkeypatch.setattr(docker, "_spawn", lambda privileges, log, options: self.start("dockerd"))
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
    privileges = Privileges(root=True, sudo=False, apt=True, allowed=True)
    monkeypatch.setattr(Privileges, "here", classmethod(lambda cls: privileges))


@pytest.mark.parametrize(
    ("installed", "systemd", "notes"),
    [
        (False, False, ["install docker.io", "start dockerd"]),
        (False, True, ["install docker.io", "start systemctl"]),
        (True, False, ["start dockerd"]),
        (True, True, ["start systemctl"]),
    ],
)
def test_missing_engine_is_installed_and_started(
    monkeypatch: pytest.MonkeyPatch, installed: bool, systemd: bool, notes: list[str]
) -> None:
    host, said = Host(monkeypatch, installed=installed, systemd=systemd), list[str]()
    docker.prepare_docker(said.append)
    assert host.notes == notes
    assert said[-1] == "Docker 26.1 answers at unix:///var/run/docker.sock"


def test_running_engine_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, installed=True)
    host.answers = True
    docker.prepare_docker(lambda _: None)
    assert host.notes == []


def test_engine_is_not_started_without_root_or_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, installed=True)
    privileges = Privileges(root=False, sudo=False, apt=True, allowed=True)
    monkeypatch.setattr(Privileges, "here", classmethod(lambda cls: privileges))
    with pytest.raises(EnvironmentBroken, match="start it as root"):
        docker.prepare_docker(lambda _: None)
    assert host.notes == []


def test_engine_named_by_docker_host_is_not_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(packages, "install", lambda *_: pytest.fail("nothing may be installed"))
    with pytest.raises(EnvironmentBroken, match="DOCKER_HOST=unix://"):
        docker.prepare_docker(lambda _: None)


@pytest.mark.parametrize(
    ("pid", "stat", "running"),
    [
        ("7", "7 (dockerd) S 1 7", True),
        ("7", "7 (bash) S 1 7", False),
        ("7", "7 (dockerd) Z 1 7", False),
        ("8", "7 (dockerd) S 1 7", False),
        ("rubbish", "7 (dockerd) S 1 7", False),
    ],
)
def test_pid_file_of_a_running_dockerd_stays_and_others_are_leftovers(
    tmp_path: Path, pid: str, stat: str, running: bool
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(stat)
    (tmp_path / "docker.pid").write_text(pid)
    assert docker.leftovers(tmp_path, tmp_path) == ([] if running else [tmp_path / "docker.pid"])


def test_pid_file_of_a_running_containerd_stays(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (containerd) S 1 7")
    pid_file = tmp_path / "docker/containerd/containerd.pid"
    pid_file.parent.mkdir(parents=True)
    pid_file.write_text("7")
    assert docker.leftovers(tmp_path, tmp_path) == []
    pid_file.write_text("8")
    assert docker.leftovers(tmp_path, tmp_path) == [pid_file]


def test_socket_of_containerd_is_a_leftover_unless_a_process_listens(tmp_path: Path) -> None:
    (tmp_path / "containerd").mkdir()
    path = tmp_path / "containerd/containerd.sock"
    with socket.socket(socket.AF_UNIX) as containerd:
        containerd.bind(str(path))
        containerd.listen()
        assert docker.leftovers(tmp_path, tmp_path) == []
    assert docker.leftovers(tmp_path, tmp_path) == [path]
