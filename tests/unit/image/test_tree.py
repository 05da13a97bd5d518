"""Root file systems as a stream: everything of a file arrives, and what cannot be stored is refused first."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken
from lab.image import tree
from lab.image.tree import Needs, needs_of, refuse_unstorable

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root creates device nodes and gives files away")


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A root file system with a file of most kinds."""
    root = tmp_path / "rootfs"
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").write_bytes(b"tool" * 1000)
    (root / "bin/tool").chmod(0o4755)
    (root / "bin/hard").hardlink_to(root / "bin/tool")
    (root / "bin/soft").symlink_to("../nowhere")
    (root / "shut").mkdir()
    (root / "shut/inside").touch()
    os.mkfifo(root / "fifo")
    os.setxattr(root / "bin/tool", "user.lab", b"kept")
    os.utime(root / "bin/tool", ns=(1, 1_700_000_000_123_456_789))
    (root / "shut").chmod(0o500)
    return root


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """An empty directory to store in."""
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def facts(root: Path) -> dict[str, tuple[object, ...]]:
    """Return what is known of each file below a directory."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted([root, *root.rglob("*")]):
        at = path.lstat()
        link = str(path.readlink()) if path.is_symlink() else ""
        content = path.read_bytes() if stat.S_ISREG(at.st_mode) else b""
        attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in _attributes(path)}
        mtime = at.st_mtime_ns
        found[str(path.relative_to(root))] = (
            *(at.st_mode, at.st_uid, at.st_gid, at.st_rdev, mtime, content, link, attributes),
            at.st_nlink if stat.S_ISREG(at.st_mode) else 0,
        )
    return found


def _attributes(path: Path) -> list[str]:
    return sorted(name for name in os.listxattr(path, follow_symlinks=False) if name != "security.selinux")


def test_tree_is_the_same_afterwards(rootfs: Path, into: Path) -> None:
    tree.write(tree.read(rootfs), into)
    assert facts(into) == facts(rootfs)


@AS_ROOT
def test_owners_capabilities_devices_and_whiteouts_are_the_same_afterwards(rootfs: Path, into: Path) -> None:
    os.chown(rootfs / "bin/soft", 101, 102, follow_symlinks=False)
    os.chown(rootfs / "shut", 70_000, 70_000)
    # cap_net_raw+ep (capabilities(7), VFS_CAP_REVISION_2)
    os.setxattr(rootfs / "bin/tool", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    os.setxattr(rootfs / "bin", "trusted.overlay.opaque", b"y")
    os.mknod(rootfs / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.mknod(rootfs / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
    tree.write(tree.read(rootfs), into)
    assert facts(into) == facts(rootfs)
    needs = needs_of(rootfs)
    assert (needs.uids, needs.gids, needs.devices) == ([0, 101, 70_000], [0, 102, 70_000], ["/zero"])
    assert needs.size == 2 * 4000, "a file counts for each of its names"


def test_stream_that_breaks_off_is_not_a_tree(rootfs: Path, into: Path) -> None:
    whole = b"".join(tree.read(rootfs))
    with pytest.raises(EnvironmentBroken, match=r"^an image cannot be unpacked into .*/into: Unexpected EOF"):
        tree.write([whole[: whole.index(b"tooltool") + 1000]], into)


def test_error_of_the_source_is_raised(rootfs: Path, into: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield next(tree.read(rootfs))[:3000]
        raise EnvironmentBroken("piece 2 arrived instead of piece 1")

    with pytest.raises(EnvironmentBroken, match=r"^piece 2 arrived"):
        tree.write(chunks(), into)


def test_missing_tree_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBroken, match=r"cannot be read: .*No such file"):
        list(tree.read(tmp_path / "missing"))


ORDINARY = "0 1000 1\n1 100000 65536\n"
"""The map of an ordinary user's namespace."""


@pytest.fixture
def ordinary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in the namespaces of an ordinary user."""
    for kind in ("uid", "gid"):
        (tmp_path / kind).write_text(ORDINARY)
        monkeypatch.setitem(tree._MAPS, kind, tmp_path / kind)


@pytest.mark.usefixtures("ordinary")
@pytest.mark.parametrize(
    ("needs", "why"),
    [
        (Needs(1, [0, 65_536], [0], []), None),
        (
            Needs(1, [0, 65_537], [0], []),
            r"^it has files of uid 65537, which the worker's user cannot own: .*subuid",
        ),
        (Needs(1, [0], [70_000], []), r"^it has files of gid 70000, .*/etc/subgid"),
        (Needs(1, [0], [0], ["/zero"]), r"^it has the device node /zero, which an ordinary user cannot create"),
    ],
    ids=["held", "uid", "gid", "device"],
)
def test_tree_that_an_ordinary_user_cannot_store_is_refused(needs: Needs, why: str | None) -> None:
    if why is None:
        refuse_unstorable(needs, "it")
    else:
        with pytest.raises(EnvironmentBroken, match=why):
            refuse_unstorable(needs, "it")


@AS_ROOT
def test_root_stores_every_tree() -> None:
    refuse_unstorable(Needs(1, [0, 4_000_000_000], [0], ["/zero"]), "it")
