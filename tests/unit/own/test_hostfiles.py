"""The user's files of a node: paths of the node, mapped into a directory of the host and never out of it."""

import os
from pathlib import Path, PurePosixPath

import pytest

from lab.configs.disk import Unreadable
from lab.own.hostfiles import HostFiles

SERVER = PurePosixPath("/etc/openvpn/server.conf")


def tree(directory: Path, config: str, path: str | None = None) -> HostFiles:
    file = directory / config
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("dev tun\n")
    return HostFiles.of(config, directory, path)


@pytest.mark.parametrize(
    ("config", "path", "inside", "in_node"),
    [
        ("hq/etc/openvpn/server.conf", None, "/", "/etc/openvpn/server.conf"),
        ("hq/server.conf", None, "/etc/openvpn", "/etc/openvpn/server.conf"),
        ("hq/openvpn/server.conf", "/etc/openvpn/server.conf", "/etc", "/etc/openvpn/server.conf"),
        ("hq/my.ovpn", "/etc/openvpn/client/office.conf", "/etc/openvpn/client", "/etc/openvpn/client/office.conf"),
        ("/etc/openvpn/server.conf", None, "/etc/openvpn", "/etc/openvpn/server.conf"),
        ("/srv/hq/etc/openvpn/server.conf", None, "/", "/etc/openvpn/server.conf"),
    ],
)
def test_the_tree_stands_for_a_directory_of_the_node(
    tmp_path: Path, config: str, path: str | None, inside: str, in_node: str
) -> None:
    files = HostFiles.of(config, tmp_path, path)
    assert (str(files.inside), str(files.path)) == (inside, in_node)
    assert files.name(files.path) == config


def test_an_absolute_path_of_the_node_is_found_in_the_tree(tmp_path: Path) -> None:
    files = tree(tmp_path, "hq/etc/openvpn/server.conf")
    (tmp_path / "hq/etc/openvpn/ccd").mkdir()
    (tmp_path / "hq/etc/openvpn/ccd/branch").write_text("iroute 0.0.0.0 0.0.0.0\n")
    branch = PurePosixPath("/etc/openvpn/ccd/branch")
    assert files.find(branch) == tmp_path / "hq/etc/openvpn/ccd/branch"
    assert files.files(branch.parent) == [branch]
    assert files.name(branch) == "hq/etc/openvpn/ccd/branch"
    assert files.find(SERVER.parent / "../openvpn/./server.conf") == tmp_path / "hq/etc/openvpn/server.conf"


def test_files_outside_of_the_tree_are_absent(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("no")
    files = tree(tmp_path, "hq/server.conf")
    for path in ("/etc/openvpn/../../secret", "/etc/secret", "/secret", str(tmp_path / "secret")):
        assert files.find(PurePosixPath(path)) is None
        with pytest.raises(Unreadable, match="outside of hq"):
            files.text(PurePosixPath(path))


def test_symbolic_links_are_followed_as_in_the_node(tmp_path: Path) -> None:
    files = tree(tmp_path, "hq/etc/openvpn/server.conf")
    (tmp_path / "secret").write_text("no")
    (tmp_path / "hq/etc/key").write_text("yes")
    directory = tmp_path / "hq/etc/openvpn"
    (directory / "absolute").symlink_to("/etc/key")
    (directory / "relative").symlink_to("../key")
    (directory / "out").symlink_to("../../../secret")
    (directory / "loop").symlink_to("loop")
    (directory / "host").symlink_to(tmp_path / "secret")
    (directory / "up").symlink_to("..")
    found = {path.name: files.find(path) for path in (SERVER.parent / name.name for name in directory.iterdir())}
    key = tmp_path / "hq/etc/key"
    assert found.pop("server.conf")
    assert found == {"absolute": key, "relative": key, "out": None, "loop": None, "host": None, "up": None}
    assert files.find(SERVER.parent / "up/key") == key
    assert {path.name for path in files.files(SERVER.parent)} == {"absolute", "relative", "server.conf"}


def test_the_root_is_its_own_parent_as_in_the_node(tmp_path: Path) -> None:
    files = tree(tmp_path, "hq/etc/openvpn/server.conf")
    (tmp_path / "secret").write_text("no")
    (tmp_path / "hq/secret").write_text("the node's own")
    assert files.text(PurePosixPath("/etc/../../../secret")) == "the node's own"


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    files = tree(tmp_path, "hq/server.conf")
    os.mkfifo(tmp_path / "hq/pipe")
    assert files.find(SERVER.parent / "pipe") is None
    with pytest.raises(Unreadable, match=r"hq/pipe: not a regular file"):
        files.text(SERVER.parent / "pipe")


def test_a_missing_directory_is_reported_by_its_name_on_the_host(tmp_path: Path) -> None:
    files = tree(tmp_path, "hq/server.conf")
    with pytest.raises(Unreadable, match="hq/ccd: No such file"):
        files.files(SERVER.parent / "ccd")
