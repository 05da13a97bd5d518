"""The VM's disks: which OpenVPN versions one holds, and when another is made."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.image import VERSIONS
from lab.testing.kernel import _versions
from lab.vm import virtual_machine

OLD, NEW = VERSIONS


class Shelf:
    """A directory of disks, each an empty file."""

    def __init__(self, root: Path) -> None:
        self.root, self.made, self.base = root, 0, "a" * 64

    def disk(self, *versions: str) -> Path:
        containers: Any = SimpleNamespace(image_id=lambda _: f"sha256:{self.base}")
        return virtual_machine._prepared(containers, "vm", versions, lambda _: None)

    def prepare(self, _: object, __: str, directory: Path, *___: object) -> None:
        self.made += 1
        (directory / "disk.qcow2").touch()

    @property
    def count(self) -> int:
        return sum(path.is_dir() for path in self.root.iterdir())


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    found = Shelf(tmp_path)
    monkeypatch.setattr(virtual_machine, "disks", lambda: tmp_path)
    monkeypatch.setattr(virtual_machine, "_prepare", found.prepare)
    monkeypatch.setattr(virtual_machine, "ensure", lambda _, version, __: f"node:{version}-d{version}")
    return found


def test_disk_with_more_versions_is_used_and_one_with_fewer_is_replaced(shelf: Shelf) -> None:
    few = shelf.disk(NEW)
    assert shelf.disk(NEW) == few
    assert shelf.made == 1
    both = shelf.disk(OLD, NEW)
    assert both != few
    assert (shelf.made, shelf.count) == (2, 1), "the second holds everything that the first held"
    assert shelf.disk(NEW) == shelf.disk(OLD) == both
    assert shelf.made == 2


def test_unfinished_disk_and_disk_of_another_image_are_replaced(shelf: Shelf) -> None:
    (shelf.disk(NEW) / "disk.qcow2").unlink()
    shelf.disk(NEW)
    assert (shelf.made, shelf.count) == (2, 1)
    shelf.base = "b" * 64
    shelf.disk(NEW)
    assert (shelf.made, shelf.count) == (3, 1)


TESTS = """
    import pytest

    @pytest.mark.topology("article", openvpn="2.7")
    def test_one(): pass

    @pytest.mark.topology("article")
    def test_each(lab_openvpn): pass

    def test_of_its_own(): pass
"""


def test_vm_holds_the_versions_of_its_tests_or_all_if_one_names_none(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    items, _ = pytester.inline_genitems("--lab-openvpn=all")
    one, old, new, own = items
    assert _versions([one]) == (NEW,)
    assert _versions([one, old]) == VERSIONS
    assert _versions([one, new]) == (NEW,)
    assert _versions([one, own]) == VERSIONS
