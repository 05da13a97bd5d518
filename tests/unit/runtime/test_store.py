"""A lab's directory: what it holds, whom it lets in, and what it leaves alone."""

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


def test_what_was_created_is_what_is_loaded(store: LabDirectory, article: Topology) -> None:
    authority = store.create(article)
    topology, kept = store.load(), store.authority()
    assert topology == article
    assert (kept.certificate, kept.key) == (authority.certificate, authority.key)


def test_an_external_node_gets_commands_and_no_daemons_files(store: LabDirectory) -> None:
    topology = load("routeros")
    store.create(topology)
    root = store.roots(topology)["ros"]
    files = {path.name: path for path in root.rglob("*") if path.is_file()}
    assert files["routeros.rsc"].parent == root
    assert {"ca.crt", "client.crt", "client.key"} <= set(files)
    assert "frr.conf" not in files
    assert rights(files["client.key"]) == 0o600


def test_every_node_has_its_files_and_hosts_have_names_alone(store: LabDirectory, article: Topology) -> None:
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


def test_no_private_key_can_be_read_by_others(store: LabDirectory, article: Topology) -> None:
    store.create(article)
    secret = [p for p in store.path.rglob("*") if p.is_file() and "PRIVATE KEY" in p.read_text()]
    assert {p.name for p in secret} == {"ca.key", "server.key", "client.key"}
    assert {rights(p) for p in secret} == {0o600}


def test_a_directory_of_somebody_else_is_refused_and_left_alone(store: LabDirectory, article: Topology) -> None:
    store.path.mkdir(parents=True)
    (store.path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not empty and holds no lab"):
        store.create(article)
    store.remove()
    assert (store.path / "thesis.txt").read_text() == "years of work"
    assert [p.name for p in store.path.iterdir()] == ["thesis.txt"]


def test_an_empty_directory_will_do(store: LabDirectory, article: Topology) -> None:
    store.path.mkdir(parents=True)
    store.create(article)
    assert store.exists


def test_what_a_lab_that_died_left_is_cleared_away(store: LabDirectory, article: Topology) -> None:
    before = store.create(article)
    (store.path / "nodes/hq/stale").write_text("of the lab that died")
    after = store.create(article)
    assert not (store.path / "nodes/hq/stale").exists()
    assert after.key != before.key


def test_the_home_of_labs_goes_with_the_last_one(tmp_path: Path, article: Topology) -> None:
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


def test_a_home_with_something_else_in_it_stays(store: LabDirectory, article: Topology) -> None:
    store.create(article)
    (store.path.parent / "notes.txt").write_text("mine")
    store.remove()
    assert not store.path.exists()
    assert (store.path.parent / "notes.txt").read_text() == "mine"


def test_a_directory_elsewhere_goes_alone(tmp_path: Path, article: Topology) -> None:
    store = LabDirectory(tmp_path / "elsewhere" / "lab")
    store.create(article)
    assert not (tmp_path / "elsewhere" / ".gitignore").exists()
    store.remove()
    assert [p.name for p in tmp_path.rglob("*")] == ["elsewhere"]


def test_to_remove_what_is_not_there_is_no_error(store: LabDirectory) -> None:
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


def test_where_nothing_can_be_written_the_machine_is_to_blame(tmp_path: Path, article: Topology) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentBroken, match="the lab needs to write its files there"):
        LabDirectory(tmp_path / "file" / "lab").create(article)


def test_a_default_directory_is_below_where_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """A temporary directory of its own, so that no lab of this machine is held up."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path / "openvpn-routing-lab"


def can_lock(home: Path, name: str) -> bool:
    with (home / f"{name}.lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_lock_is_for_one_process_at_a_time_and_ends_with_it(lock_home: Path) -> None:
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


def test_a_lock_is_given_back_when_the_work_fails_and_leaves_no_file(lock_home: Path) -> None:
    with pytest.raises(InputError), locked("article"):
        raise InputError("no")
    assert list(lock_home.iterdir()) == []


def test_of_many_who_wait_one_at_a_time_goes_on(lock_home: Path) -> None:
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
