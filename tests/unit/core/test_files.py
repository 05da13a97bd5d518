"""Rendered files: where they go, who may read them, and templates that do not forgive."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import jinja2
import pytest

from lab.core.files import RenderedFile, templates, write_all


@pytest.fixture(params=[0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Whatever the user's umask is, the files have the rights that were asked for."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_a_file_has_its_place_content_and_rights(tmp_path: Path, mode: int) -> None:
    file = RenderedFile(PurePosixPath("/etc/openvpn/server/hq.conf"), "mode server\n", mode)
    written = file.write_below(tmp_path)
    assert written == tmp_path / "etc/openvpn/server/hq.conf"
    assert written.read_text() == "mode server\n"
    assert rights(written) == mode


def test_a_file_of_another_time_leaves_neither_content_nor_rights(tmp_path: Path) -> None:
    path = PurePosixPath("/etc/key")
    RenderedFile(path, "a long text of another time\n", 0o644).write_below(tmp_path)
    written = RenderedFile(path, "secret\n", 0o600).write_below(tmp_path)
    assert written.read_text() == "secret\n"
    assert rights(written) == 0o600


def test_whoever_holds_the_old_file_open_does_not_see_the_new_secret(tmp_path: Path) -> None:
    path = PurePosixPath("/etc/key")
    with RenderedFile(path, "public\n").write_below(tmp_path).open() as held:
        RenderedFile(path, "secret\n", 0o600).write_below(tmp_path)
        assert held.read() == "public\n"


def test_a_link_that_somebody_planted_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    root = tmp_path / "root"
    root.mkdir()
    (root / "key").symlink_to(elsewhere)
    RenderedFile(PurePosixPath("/key"), "secret\n", 0o600).write_below(root)
    assert elsewhere.read_text() == "untouched"
    assert not (root / "key").is_symlink()


def test_all_files_are_written_in_their_order(tmp_path: Path) -> None:
    files = [RenderedFile(PurePosixPath(f"/etc/{name}"), name) for name in ("b", "a")]
    assert [path.read_text() for path in write_all(files, tmp_path)] == ["b", "a"]


@pytest.mark.parametrize("package", ["lab.tunnel", "lab.routing.frr"])
def test_a_template_refuses_a_name_that_is_not_defined(package: str) -> None:
    environment = templates(package)
    assert environment.list_templates()
    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{{ missing }}").render()


def test_templates_write_text_and_not_html() -> None:
    assert templates("lab.tunnel").from_string("{{ text }}\n").render(text="<a> & 'b'") == "<a> & 'b'\n"
