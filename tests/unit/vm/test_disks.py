"""Which versions of OpenVPN a machine's disk has, and when another disk is made."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.image import VERSIONS
from lab.testing.kernel import _versions
from lab.vm import machine

OLD, NEW = VERSIONS


class Shelf:
    """The disks, of which each is an empty file."""

    def __init__(self, root: Path) -> None:
        self.root, self.made, self.base = root, 0, "a" * 64

    def wanted(self, *versions: str) -> Path:
        images = SimpleNamespace(get=lambda _: SimpleNamespace(id=f"sha256:{self.base}"))
        client: Any = SimpleNamespace(images=images)
        return machine._prepared(client, "vm", versions, lambda _: None)

    def prepare(self, _: object, __: str, directory: Path, *___: object) -> None:
        self.made += 1
        (directory / "disk.qcow2").touch()

    @property
    def there(self) -> int:
        return sum(path.is_dir() for path in self.root.iterdir())


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    found = Shelf(tmp_path)
    monkeypatch.setattr(machine, "disks", lambda: tmp_path)
    monkeypatch.setattr(machine, "_prepare", found.prepare)
    monkeypatch.setattr(machine, "ensure", lambda _, version, __: f"node:{version}-d{version}")
    return found


def test_a_disk_that_has_more_will_do_and_one_that_has_less_will_not(shelf: Shelf) -> None:
    few = shelf.wanted(NEW)
    assert shelf.wanted(NEW) == few
    assert shelf.made == 1
    both = shelf.wanted(OLD, NEW)
    assert both != few
    assert (shelf.made, shelf.there) == (2, 1), "the first has nothing that the second has not"
    assert shelf.wanted(NEW) == shelf.wanted(OLD) == both
    assert shelf.made == 2


def test_a_disk_that_was_not_finished_and_one_over_another_image_are_replaced(shelf: Shelf) -> None:
    (shelf.wanted(NEW) / "disk.qcow2").unlink()
    shelf.wanted(NEW)
    assert (shelf.made, shelf.there) == (2, 1)
    shelf.base = "b" * 64
    shelf.wanted(NEW)
    assert (shelf.made, shelf.there) == (3, 1)


TESTS = """
    import pytest

    @pytest.mark.topology("article", openvpn="2.7")
    def test_one(): pass

    @pytest.mark.topology("article")
    def test_each(lab_openvpn): pass

    def test_of_its_own(): pass
"""


def test_a_machine_has_what_its_tests_ask_for_and_all_where_one_does_not_say(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    items, _ = pytester.inline_genitems("--lab-openvpn=all")
    one, old, new, own = items
    assert _versions([one]) == (NEW,)
    assert _versions([one, old]) == VERSIONS
    assert _versions([one, new]) == (NEW,)
    assert _versions([one, own]) == VERSIONS
