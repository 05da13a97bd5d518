"""Obstacles to the labs of an ordinary user, and the command that removes each."""

import os
import pwd
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import EnvironmentBroken
from lab.host import user_namespace
from lab.host.user_namespace import Obstacle, enter, obstacles, refuse_obstacles

USER = pwd.getpwuid(os.getuid()).pw_name
UID = os.getuid()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory in which files stand for those of a host on which nothing is missing."""

    def there(*parts: str) -> Path:
        path = Path(*parts)
        return tmp_path / path.relative_to("/") if path.is_absolute() else path

    for file in ("etc/subuid", "etc/subgid"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(f"somebody:1000:65536\n{USER}:200000:65536\n")
    tun = tmp_path / "tun"
    tun.write_text("")
    monkeypatch.setattr(user_namespace, "Path", there)
    monkeypatch.setattr(user_namespace, "_TUN", tun)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    refuses(monkeypatch, 0)
    return tmp_path


def refuses(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def run(argv: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(argv, code, b"", b"unshare: unshare failed: Operation not permitted\n")

    monkeypatch.setattr("subprocess.run", run)


def test_host_without_obstacles(host: Path) -> None:
    assert obstacles() == []
    refuse_obstacles()


def test_missing_programs_are_named(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    (found,) = obstacles()
    assert str(found) == "newuidmap is missing: `sudo apt install uidmap` allows it"
    with pytest.raises(EnvironmentBroken, match=f"^{USER} cannot run labs without root: newuidmap is missing"):
        refuse_obstacles()


@pytest.mark.parametrize(
    ("line", "enough"),
    [
        (f"{USER}:200000:65536", True),
        (f"{UID}:200000:65536", True),
        (f"{USER}:200000:131072", True),
        (f"{USER}:200000:4096", False),
        ("another:200000:65536", False),
        (f"{USER}:not:numbers", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("file", ["subuid", "subgid"])
def test_subordinate_ids_are_needed(host: Path, file: str, line: str, enough: bool) -> None:
    (host / "etc" / file).write_text(line + "\n")
    found = obstacles()
    assert (found == []) is enough
    assert enough or "sudo usermod --add-subuids" in found[0].command
    assert enough or f"/etc/{file}" in found[0].what


@pytest.mark.parametrize(
    ("parameter", "value", "command"),
    [
        ("user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces=10000"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl kernel.unprivileged_userns_clone=1"),
    ],
)
def test_parameter_that_forbids_user_namespaces_is_named(
    host: Path, monkeypatch: pytest.MonkeyPatch, parameter: str, value: str, command: str
) -> None:
    file = host / "proc/sys" / parameter
    file.parent.mkdir(parents=True)
    file.write_text(f"{value}\n")
    assert obstacles() == [], "it is no obstacle as long as the kernel allows a user namespace"
    refuses(monkeypatch, 1)
    (found,) = obstacles()
    assert found == Obstacle(f"{parameter.replace('/', '.')} is {value}", command)


def test_reason_of_the_kernel_is_told_where_no_parameter_is_known(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(monkeypatch, 1)
    (found,) = obstacles()
    assert str(found) == (
        "the kernel refuses a user namespace (unshare: unshare failed: Operation not permitted): run the lab as root"
    )


def test_missing_device_is_named(host: Path) -> None:
    (host / "tun").unlink()
    (found,) = obstacles()
    assert found.command == "sudo modprobe tun"


@pytest.mark.usefixtures("host")
def test_process_with_threads_is_refused(tmp_path: Path) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with pytest.raises(EnvironmentBroken, match="one thread"):
            enter(tmp_path, lambda: False)
    finally:
        done.set()
        thread.join()
    assert not (tmp_path / "holder").exists()
