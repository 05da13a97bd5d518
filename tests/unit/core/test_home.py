"""The directory `.lab`: it is removed with its last entry, and never while another process adds one."""

import threading
from pathlib import Path

from lab.core.home import locked_home, remove_empty_home


def test_home_is_removed_with_its_last_entry(tmp_path: Path) -> None:
    home = tmp_path / ".lab"
    for name in ("lab", "machine"):
        with locked_home(home):
            (home / name).touch()
    assert (home / ".gitignore").read_text() == "*\n"
    (home / "lab").unlink()
    remove_empty_home(home)
    assert (home / "machine").exists()
    (home / "machine").unlink()
    remove_empty_home(home)
    assert not home.exists()


def test_removing_a_missing_home_does_nothing(tmp_path: Path) -> None:
    remove_empty_home(tmp_path / "gone" / ".lab")


def test_home_is_not_removed_while_an_entry_is_added(tmp_path: Path) -> None:
    home = tmp_path / ".lab"
    with locked_home(home):
        removing = threading.Thread(target=remove_empty_home, args=[home])
        removing.start()
        removing.join(0.2)
        assert removing.is_alive(), "it did not wait"
        (home / "lab").touch()
    removing.join()
    assert (home / "lab").exists()
