"""Rendered files: their paths and permissions; templates: undefined names are errors."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import jinja2
import pytest

from lab.core.files import RenderedFile, templates, write_all


@pytest.fixture(params=[0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The user's umask, which must not change the permissions of files."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_file_has_its_path_content_and_permissions(tmp_path: Path, mode: int) -> None:
    file = RenderedFile(PurePosixPath("/etc/openvpn/server/hq.conf"), "mode server\n", mode)
    written = file.write_below(tmp_path)
    assert written == tmp_path / "etc/openvpn/server/hq.conf"
    assert written.read_text() == "mode server\n"
    assert permissions(written) == mode


def test_file_replaces_content_and_permissions_of_an_older_one(tmp_path: Path) -> None:
    path = PurePosixPath("/etc/key")
    RenderedFile(path, "a longer text than the new one\n", 0o644).write_below(tmp_path)
    written = RenderedFile(path, "secret\n", 0o600).write_below(tmp_path)
    assert written.read_text() == "secret\n"
    assert permissions(written) == 0o600


def test_open_descriptor_of_the_old_file_does_not_read_the_new_secret(tmp_path: Path) -> None:
    path = PurePosixPath("/etc/key")
    with RenderedFile(path, "public\n").write_below(tmp_path).open() as held:
        RenderedFile(path, "secret\n", 0o600).write_below(tmp_path)
        assert held.read() == "public\n"


def test_symbolic_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    root = tmp_path / "root"
    root.mkdir()
    (root / "key").symlink_to(elsewhere)
    RenderedFile(PurePosixPath("/key"), "secret\n", 0o600).write_below(root)
    assert elsewhere.read_text() == "untouched"
    assert not (root / "key").is_symlink()


def test_write_all_keeps_the_order(tmp_path: Path) -> None:
    files = [RenderedFile(PurePosixPath(f"/etc/{name}"), name) for name in ("b", "a")]
    assert [path.read_text() for path in write_all(files, tmp_path)] == ["b", "a"]


@pytest.mark.parametrize("package", ["lab.tunnel", "lab.routing.frr"])
def test_undefined_name_in_a_template_is_an_error(package: str) -> None:
    environment = templates(package)
    assert environment.list_templates()
    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{{ missing }}").render()


def test_templates_do_not_escape_html() -> None:
    assert templates("lab.tunnel").from_string("{{ text }}\n").render(text="<a> & 'b'") == "<a> & 'b'\n"
