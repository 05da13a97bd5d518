"""A lab's directory: its files, their permissions, and the lab's lock."""

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from lab.catalogue import load
from lab.core.errors import EnvironmentBroken, InputError
from lab.runtime.store import LabDirectory, locked
from lab.topology import Topology


@pytest.fixture
def store(tmp_path: Path) -> LabDirectory:
    return LabDirectory(tmp_path / ".lab" / "article")


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_load_returns_what_create_wrote(store: LabDirectory, article: Topology) -> None:
    authority = store.create(article)
    topology, kept = store.load(), store.authority()
    assert topology == article
    assert (kept.certificate, kept.key) == (authority.certificate, authority.key)


def test_external_node_gets_commands_and_no_daemon_files(store: LabDirectory) -> None:
    topology = load("routeros")
    store.create(topology)
    root = store.roots(topology)["ros"]
    files = {path.name: path for path in root.rglob("*") if path.is_file()}
    assert files["routeros.rsc"].parent == root
    assert {"ca.crt", "client.crt", "client.key"} <= set(files)
    assert "frr.conf" not in files
    assert rights(files["client.key"]) == 0o600


def test_files_of_each_node(store: LabDirectory, article: Topology) -> None:
    store.create(article)
    files = {
        name: {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
        for name, root in store.roots(article).items()
    }
    assert {"etc/openvpn/server/branch-hq.conf", "etc/frr/frr.conf"} <= files["hq"]
    assert {"etc/openvpn/client/branch-hq.conf", "etc/frr/frr.conf"} <= files["branch"]
    assert files["transit"] == files["hq-lan"] == files["branch-lan"] == {"etc/hosts"}
    for name in ("hq", "branch"):
        root = store.roots(article)[name]
        assert (root / "var/log/openvpn").is_dir()
        assert (root / "var/log/frr").is_dir()


def test_private_keys_have_mode_600(store: LabDirectory, article: Topology) -> None:
    store.create(article)
    secret = [p for p in store.path.rglob("*") if p.is_file() and "PRIVATE KEY" in p.read_text()]
    assert {p.name for p in secret} == {"ca.key", "server.key", "client.key"}
    assert {rights(p) for p in secret} == {0o600}


def test_only_the_owner_enters_the_directory(store: LabDirectory, article: Topology) -> None:
    store.create(article)
    assert rights(store.path) == 0o700


def test_directory_without_a_lab_is_refused_and_kept(store: LabDirectory, article: Topology) -> None:
    store.path.mkdir(parents=True)
    (store.path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not empty and holds no lab"):
        store.create(article)
    store.remove()
    assert (store.path / "thesis.txt").read_text() == "years of work"
    assert [p.name for p in store.path.iterdir()] == ["thesis.txt"]


def test_empty_directory_is_used(store: LabDirectory, article: Topology) -> None:
    store.path.mkdir(parents=True)
    store.create(article)
    assert store.exists


def test_create_removes_the_files_of_an_earlier_lab(store: LabDirectory, article: Topology) -> None:
    before = store.create(article)
    (store.path / "nodes/hq/stale").write_text("of the lab that died")
    after = store.create(article)
    assert not (store.path / "nodes/hq/stale").exists()
    assert after.key != before.key


def test_home_is_removed_with_the_last_lab(tmp_path: Path, article: Topology) -> None:
    home = tmp_path / ".lab"
    first, second = LabDirectory(home / "first"), LabDirectory(home / "second")
    first.create(article)
    second.create(article)
    assert (home / ".gitignore").read_text() == "*\n"
    first.remove()
    assert second.exists
    second.remove()
    assert not home.exists()
    assert tmp_path.exists()


def test_home_with_other_files_is_kept(store: LabDirectory, article: Topology) -> None:
    store.create(article)
    (store.path.parent / "notes.txt").write_text("mine")
    store.remove()
    assert not store.path.exists()
    assert (store.path.parent / "notes.txt").read_text() == "mine"


def test_directory_outside_home_is_removed_alone(tmp_path: Path, article: Topology) -> None:
    store = LabDirectory(tmp_path / "elsewhere" / "lab")
    store.create(article)
    assert not (tmp_path / "elsewhere" / ".gitignore").exists()
    store.remove()
    assert [p.name for p in tmp_path.rglob("*")] == ["elsewhere"]


def test_remove_of_a_missing_directory_is_no_error(store: LabDirectory) -> None:
    store.remove()
    assert not store.path.exists()


@pytest.mark.parametrize(
    ("damaged", "read"),
    [
        ("topology.json", LabDirectory.load),
        ("pki/ca.crt", LabDirectory.authority),
        ("pki/ca.key", LabDirectory.authority),
    ],
)
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_damaged_file_is_reported_in_one_line_with_a_remedy(
    store: LabDirectory, article: Topology, damaged: str, read: Callable[[LabDirectory], object], how: str
) -> None:
    store.create(article)
    file = store.path / damaged
    if how == "gone":
        file.unlink()
    else:
        file.write_text(file.read_text()[:40])
    with pytest.raises(InputError, match="take the lab down and up again") as caught:
        read(store)
    assert str(store.path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unwritable_directory_breaks_the_environment(tmp_path: Path, article: Topology) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentBroken, match="the lab needs to write its files there"):
        LabDirectory(tmp_path / "file" / "lab").create(article)


def test_default_directory_is_below_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert LabDirectory.default("article").path == tmp_path / ".lab" / "article"


# --- the lock ----------------------------------------------------------------------------------------------

HOLDER = """
import sys
from lab.runtime.store import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate temporary directory, so that the test's locks do not block labs of this host."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path / f"openvpn-routing-lab-locks-{os.geteuid()}"


def can_lock(home: Path, name: str) -> bool:
    with (home / f"{name}.lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_lock_is_exclusive_and_ends_with_its_process(lock_home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, "article"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert not can_lock(lock_home, "article")
        with locked("another"):  # another lab is not held up
            assert not can_lock(lock_home, "another")
        holder.kill()
    assert can_lock(lock_home, "article"), "its file outlives who was killed, and that is no lock"
    with locked("article"):
        assert not can_lock(lock_home, "article")


def test_lock_is_released_on_failure_and_leaves_no_file(lock_home: Path) -> None:
    with pytest.raises(InputError), locked("article"):
        raise InputError("no")
    assert list(lock_home.iterdir()) == []


def test_waiting_threads_get_the_lock_one_at_a_time(lock_home: Path) -> None:
    """Each removes the file that the others are waiting for."""
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with locked("article"):
                inside += 1
                most = max(most, inside)
                os.sched_yield()
                inside -= 1

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(lock_home.iterdir()) == []
