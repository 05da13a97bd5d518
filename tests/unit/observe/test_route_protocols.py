"""Names of route protocols: the kernel's, and those that iproute2's tables add in a node."""

from pathlib import Path

from lab.observe.route_protocols import read_route_protocols


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_kernel_names_are_known_without_iproute2(tmp_path: Path) -> None:
    names = read_route_protocols(tmp_path)
    assert (names[2], names[12], names[186]) == ("kernel", "bird", "bgp")


def test_later_tables_override_earlier_ones(tmp_path: Path) -> None:
    write(tmp_path, "usr/share/iproute2/rt_protos", "# comment\n186\tbgp\n77 first # said twice\nbroken\n")
    write(tmp_path, "etc/iproute2/rt_protos", "0x4d second\nnumber name\n")
    write(tmp_path, "etc/iproute2/rt_protos.d/frr.conf", "190  ripng\n196  static\n")
    write(tmp_path, "etc/iproute2/rt_protos.d/README", "186 readme\n")
    names = read_route_protocols(tmp_path)
    assert (names[77], names[186], names[190], names[196]) == ("second", "bgp", "ripng", "static")
