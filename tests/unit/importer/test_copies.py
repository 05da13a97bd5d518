"""The keys that a translated configuration names: those in the host's directory are copied beside the translation."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.importer import Import, write_import

Importing = Callable[..., Import]
OPENWRT = Path(__file__).parents[2] / "data" / "hosts" / "openwrt"
STATIC = f"-----BEGIN OpenVPN Static key V1-----\n{'0123456789abcdef' * 32}\n-----END OpenVPN Static key V1-----\n"
KEY = b"-----BEGIN PRIVATE KEY-----\nnot\xff text\n-----END PRIVATE KEY-----\n"
BELOW = Path("mine") / "south" / "etc" / "openvpn"


@pytest.fixture
def south(tmp_path: Path) -> Path:
    """A host with OpenWrt, whose configuration names ca.crt, south.crt, south.key and ta.key."""
    return Path(shutil.copytree(OPENWRT, tmp_path / "south"))


def give(south: Path, name: str, content: bytes, below: str = "etc/openvpn") -> None:
    (south / below).mkdir(parents=True, exist_ok=True)
    (south / below / name).write_bytes(content)


def notes(made: Import) -> list[str]:
    return [note.text for note in made.notes if note.text.startswith("copies of files")]


def test_keys_at_hand_are_copied_with_their_permissions(importing: Importing, south: Path, tmp_path: Path) -> None:
    give(south, "ca.crt", b"public")
    give(south, "south.key", KEY)
    give(south, "ta.key", STATIC.encode())
    give(south, "other.key", KEY)
    made = importing("hub", south=south)
    write_import(made)
    copied = {path.name: path for path in (tmp_path / BELOW).iterdir()}
    assert copied.keys() == {"ca.crt", "south.key", "ta.key"}
    assert copied["south.key"].read_bytes() == KEY
    modes = {name: path.stat().st_mode & 0o777 for name, path in copied.items()}
    assert modes == {"ca.crt": 0o644, "south.key": 0o600, "ta.key": 0o600}
    assert notes(made) == [
        "copies of files that the translated configurations name: mine/south/etc/openvpn/ca.crt, "
        "mine/south/etc/openvpn/south.key, mine/south/etc/openvpn/ta.key"
    ]
    assert not any("not\\xff" in repr(part) or "PRIVATE KEY" in repr(part) for part in (made, made.files))


def test_lab_uses_the_copy_and_issues_the_rest(importing: Importing, south: Path) -> None:
    give(south, "ta.key", STATIC.encode())
    made = importing("hub", south=south)
    write_import(made)
    (process,) = (p for p in load(made.file).processes if p.node == "south")
    assert {str(file.path) for file in process.files} >= {"/etc/openvpn/ta.key"}
    issued = {str(issue.path) for issue in process.issues}
    assert "/etc/openvpn/south.crt" in issued
    assert "/etc/openvpn/ta.key" not in issued


def test_directory_that_stands_for_a_part_of_the_path_has_the_file(
    importing: Importing, south: Path, tmp_path: Path
) -> None:
    give(south, "ta.key", STATIC.encode(), below="openvpn")
    give(south, "south.crt", b"public", below=".")
    write_import(importing("hub", south=south))
    assert (tmp_path / BELOW / "ta.key").read_text() == STATIC
    assert (tmp_path / BELOW / "south.crt").read_bytes() == b"public"


def test_file_outside_of_the_directory_is_never_copied(importing: Importing, south: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.key").write_bytes(KEY)
    give(south, "ca.crt", b"public")
    (south / "etc" / "openvpn" / "south.key").symlink_to(tmp_path / "outside.key")
    (south / "etc" / "openvpn" / "ta.key").symlink_to("../../../outside.key")
    uci = south / "etc" / "config" / "openvpn"
    uci.write_text(uci.read_text().replace("/etc/openvpn/south.crt", f"../../../..{tmp_path}/outside.key"))
    write_import(importing("hub", south=south))
    assert [path.name for path in (tmp_path / BELOW).iterdir()] == ["ca.crt"]
    assert not [p for p in (tmp_path / "mine").rglob("*") if p.is_file() and KEY in p.read_bytes()]


def test_certificate_with_its_key_in_one_file_is_secret(importing: Importing, south: Path, tmp_path: Path) -> None:
    give(south, "south.crt", b"-----BEGIN CERTIFICATE-----\n" + KEY)
    write_import(importing("hub", south=south))
    assert (tmp_path / BELOW / "south.crt").stat().st_mode & 0o777 == 0o600


def test_import_into_the_directory_itself_keeps_the_keys(importing: Importing, south: Path, tmp_path: Path) -> None:
    give(south, "south.key", KEY)
    inside = tmp_path / "mine" / "south"
    shutil.copytree(south, inside)
    made = importing("hub", south=inside)
    write_import(made, force=True)
    assert (inside / "etc" / "openvpn" / "south.key").read_bytes() == KEY
