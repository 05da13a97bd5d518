"""`.lab` is there from the first that is put into it to the last, and nothing is put into one that is being removed."""

import threading
from pathlib import Path

from lab.core.home import entering, left


def test_it_goes_with_the_last(tmp_path: Path) -> None:
    home = tmp_path / ".lab"
    for name in ("lab", "machine"):
        with entering(home):
            (home / name).touch()
    assert (home / ".gitignore").read_text() == "*\n"
    (home / "lab").unlink()
    left(home)
    assert (home / "machine").exists()
    (home / "machine").unlink()
    left(home)
    assert not home.exists()


def test_one_whose_project_is_gone_is_left_without_a_word(tmp_path: Path) -> None:
    left(tmp_path / "gone" / ".lab")


def test_it_is_not_removed_while_something_is_put_into_it(tmp_path: Path) -> None:
    home = tmp_path / ".lab"
    with entering(home):
        leaving = threading.Thread(target=left, args=[home])
        leaving.start()
        leaving.join(0.2)
        assert leaving.is_alive(), "it did not wait"
        (home / "lab").touch()
    leaving.join()
    assert (home / "lab").exists()
