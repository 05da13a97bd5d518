"""Which files `lab advise` reads: those in the tree of the given one, for which a copy of a host stands."""

from pathlib import Path

import pytest

from lab.advise import subjects_of_files
from lab.core.errors import InputError

SERVER = "dev tun\nserver 10.8.0.0 255.255.255.0\nclient-config-dir /etc/openvpn/ccd\n"


def test_absolute_paths_are_those_of_the_copied_host(tmp_path: Path) -> None:
    tree = tmp_path / "hq" / "etc" / "openvpn"
    (tree / "ccd").mkdir(parents=True)
    (tree / "server.conf").write_text(SERVER)
    (tree / "ccd" / "branch").write_text("iroute 172.16.21.0 255.255.255.0\n")
    (subject,) = subjects_of_files([tree / "server.conf"])
    (inner,) = subject.client_options.inner
    assert inner.spot.file == str(tree / "ccd" / "branch")


@pytest.mark.parametrize("name", ["../../secret", "/etc/shadow", "link"])
def test_include_out_of_the_tree_is_not_read(name: str, tmp_path: Path) -> None:
    tree = tmp_path / "a" / "etc" / "openvpn"
    tree.mkdir(parents=True)
    (tmp_path / "secret").write_text("hidden text\n")
    (tree / "link").symlink_to(tmp_path / "secret")
    (tree / "server.conf").write_text(f"dev tun\nserver 10.8.0.0 255.255.255.0\nconfig {name}\n")
    with pytest.raises(InputError, match=r"server.conf:3: cannot include") as error:
        subjects_of_files([tree / "server.conf"])
    assert "hidden" not in str(error.value)
    assert "root:" not in str(error.value)
