"""A lab's block in /etc/hosts."""

from pathlib import Path

from lab.host.hosts_file import remove_names, write_names

OTHERS = "127.0.0.1 localhost\n###### CLAB-x-START ######\n192.0.2.1 y\n###### CLAB-x-END ######\n"


def test_block_is_added_replaced_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(OTHERS)
    write_names("x", [("172.20.20.2", "clab-x-r1")], file)
    assert file.read_text().startswith(OTHERS)
    assert "172.20.20.2\tclab-x-r1\n" in file.read_text()
    write_names("xy", [("172.20.20.9", "clab-xy-r1")], file)
    write_names("x", [("172.20.20.3", "clab-x-r1")], file)
    assert "172.20.20.2" not in file.read_text()
    remove_names("x", file)
    assert "172.20.20.3" not in file.read_text()
    assert "172.20.20.9\tclab-xy-r1" in file.read_text()
    remove_names("xy", file)
    assert file.read_text() == OTHERS


def test_file_without_the_block_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost")
    before = file.stat().st_mtime_ns
    remove_names("x", file)
    remove_names("x", tmp_path / "none")
    assert (file.read_text(), file.stat().st_mtime_ns) == ("127.0.0.1 localhost", before)


def test_last_line_without_an_end_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost")
    write_names("x", [("192.0.2.1", "y")], file)
    assert file.read_text().splitlines()[0] == "127.0.0.1 localhost"
