"""Unpacked images: names, digests, and what is left if unpacking fails. Without a Docker engine."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.core.errors import EnvironmentBroken, InputError
from lab.image import buildah, recipe, store
from tests.helpers.image_archive import archive

NAME = "example.org/tool:1"


def no_engine() -> None:
    raise EnvironmentBroken("no Docker engine answers")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's data directory; no Docker engine answers, and buildah is not installed."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setattr(store, "data_directory", lambda: data)
    monkeypatch.setattr(buildah, "data_directory", lambda: data)
    monkeypatch.setattr("lab.host.docker_engine.connect", no_engine)
    monkeypatch.setattr(buildah, "is_installed", lambda: False)
    return data


def left(data: Path) -> list[str]:
    return sorted(path.name for path in data.glob("images/*") if path.name != "names")


def test_loaded_image_has_its_files_and_configuration(tmp_path: Path) -> None:
    file = archive(tmp_path, [NAME], {"etc/a": b"1", "etc/b": b"2"}, {"etc/.wh.a": b"", "etc/c": b"3"})
    assert store.load(file) == (NAME,)
    found = store.unpacked(NAME)
    assert sorted(path.name for path in (found.rootfs / "etc").iterdir()) == ["b", "c"]
    assert (found.config.cmd, found.config.env) == (("sh",), ("A=b",))


def test_image_of_two_names_is_unpacked_once(tmp_path: Path, data: Path) -> None:
    store.load(archive(tmp_path, [NAME, "other:2"], {"a": b"1"}))
    assert store.unpacked(NAME) == store.unpacked("other:2")
    assert len(left(data)) == 1


def test_loaded_name_moves_to_another_image(tmp_path: Path) -> None:
    first = store.load(archive(tmp_path, [NAME], {"a": b"1"})), store.unpacked(NAME).digest
    file = tmp_path / "image.tar"
    file.write_bytes(file.read_bytes().replace(b'"A=b"', b'"A=c"'))
    assert (store.load(file), store.unpacked(NAME).digest) != first
    assert store.unpacked(NAME).config.env == ("A=c",)


def test_unknown_image_names_what_is_missing(data: Path) -> None:
    with pytest.raises(
        InputError, match=r"image 'alpine:3' does not exist on this host, and buildah, .*apt-get install"
    ):
        store.unpacked("alpine:3")
    with pytest.raises(EnvironmentBroken, match=r"node:2\.6-\w+ cannot be built: buildah, .*apt-get install buildah"):
        store.provide_unpacked("openvpn-routing-lab/node:2.6", lambda _: None)
    assert left(data) == []


def test_failed_pull_names_image_and_reason(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pull(reference: str, archive: Path) -> None:
        archive.write_bytes(b"half")
        raise EnvironmentBroken("no such host")

    monkeypatch.setattr(buildah, "is_installed", lambda: True)
    monkeypatch.setattr(buildah, "pull", pull)
    with pytest.raises(
        InputError, match=r"'alpine:3' does not exist .* cannot be pulled \(no such host\); load it with"
    ):
        store.unpacked("alpine:3")
    assert left(data) == []


@pytest.mark.parametrize(("policy", "pulls"), [("IfNotPresent", 0), ("Never", 0), ("Always", 1)])
def test_pull_policy_decides_for_an_image_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: Any, pulls: int
) -> None:
    file = archive(tmp_path, [NAME], {"a": b"1"})
    store.load(file)
    pulled: list[str] = []

    def pull(reference: str, into: Path) -> None:
        pulled.append(reference)
        into.write_bytes(file.read_bytes())

    monkeypatch.setattr(buildah, "is_installed", lambda: True)
    monkeypatch.setattr(buildah, "pull", pull)
    assert (store.unpacked(NAME, policy).rootfs / "a").read_text() == "1"
    assert len(pulled) == pulls


def test_pull_policy_never_refuses_an_image_that_is_missing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buildah, "is_installed", lambda: True)
    monkeypatch.setattr(buildah, "pull", lambda *_: pytest.fail("nothing may be pulled"))
    with pytest.raises(InputError, match=r"'alpine:3' does not exist .* `image-pull-policy: Never` forbids"):
        store.unpacked("alpine:3", "Never")


def test_image_of_the_lab_is_built_once(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def build(wanted: recipe.Recipe, into: Path, _: object) -> None:
        built.append(wanted.reference)
        into.write_bytes(archive(tmp_path, [wanted.reference], {"a": b"1"}).read_bytes())

    monkeypatch.setattr(buildah, "is_installed", lambda: True)
    monkeypatch.setattr(buildah, "build", build)
    for _ in range(2):
        assert store.provide_unpacked("openvpn-routing-lab/node:2.7", lambda _: None) == recipe.tag("2.7")
    assert built == [recipe.tag("2.7")]
    assert (store.unpacked(recipe.tag("2.7")).rootfs / "a").read_text() == "1"
    assert [path.name for path in (data / "images").glob("sha256-*/*")].count("archive.tar") == 0


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full: unpacking example.org/tool:1 below "),
        (errno.EROFS, "image example.org/tool:1 cannot be unpacked below .*: Read-only file system"),
    ],
)
def test_image_that_cannot_be_written_leaves_no_trace(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def unpack(archive: Path, rootfs: Path, scratch: Path) -> None:
        (rootfs / "half").write_text("of it")
        raise OSError(number, os.strerror(number))

    file = archive(tmp_path, [NAME], {"a": b"1"})
    with monkeypatch.context() as patched:
        patched.setattr(store, "unpack", unpack)
        with pytest.raises(EnvironmentBroken, match=words):
            store.load(file)
    assert left(data) == []
    store.load(file)
    assert len(left(data)) == 1


def test_directory_on_which_programs_cannot_run_is_refused(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = archive(tmp_path, [NAME], {"a": b"1"})
    with monkeypatch.context() as patched:
        patched.setattr("os.statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
        with pytest.raises(EnvironmentBroken, match=r"is on a file system mounted noexec, .*: mount it with `exec`"):
            store.load(file)
    assert left(data) == []
    assert store.load(file) == (NAME,)


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path, data: Path) -> None:
    (data / "images" / ".partial-1" / "rootfs").mkdir(parents=True)
    store.load(archive(tmp_path, [NAME], {"a": b"1"}))
    assert not (data / "images" / ".partial-1").exists()


def test_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"x" * 2048)
    with pytest.raises(InputError, match=r"x\.tar is not an archive of one image: write one with `docker save"):
        store.load(tmp_path / "x.tar")
    with pytest.raises(InputError, match=r"cannot be read: No such file"):
        store.load(tmp_path / "y.tar")
    with pytest.raises(InputError, match="has no name"):
        store.load(archive(tmp_path, [], {"a": b"1"}))


def test_used_image_is_not_removed(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "runtime_directory", lambda: tmp_path / "run")
    store.load(archive(tmp_path, [NAME], {"a": b"1"}))
    node = tmp_path / "run" / "nodes" / "clab-x-one"
    node.mkdir(parents=True)
    (node / "lower").symlink_to(store.unpacked(NAME).rootfs)
    with pytest.raises(EnvironmentBroken, match="node clab-x-one uses it; take its lab down first"):
        store.remove_unpacked(lambda _: None)
    assert store.unpacked(NAME)
    (node / "lower").unlink()
    store.remove_unpacked(lambda _: None)
    assert left(data) == []
    with pytest.raises(InputError):
        store.unpacked(NAME)
