"""Names of route protocols: the kernel's, and those that iproute2's tables add in a node."""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from lab.observe import FibWatch
from lab.observe.route_protocols import read_route_protocols
from tests.helpers.sandbox import Sandbox


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


def test_watch_shows_the_number_of_a_protocol_without_a_name(
    sandbox: Callable[[], Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def read(root: Path) -> dict[int, str]:
        asked.append(root)
        return {76: "sample"}

    monkeypatch.setattr("lab.observe.fib.read_route_protocols", read)
    box = sandbox()
    box.ip(("link", "set", {"index": 1, "state": "up"}))
    for number, prefix in ((76, "10.0.1.0/24"), (77, "10.0.2.0/24"), (77, "10.0.3.0/24")):
        box.ip(("route", "add", {"dst": prefix, "oif": 1, "proto": number}))
    with FibWatch(box.namespace) as watch:
        entries = [watch.route(ip_network(f"10.0.{n}.0/24")) for n in (1, 2, 3)]
    assert [entry.protocol for entry in entries if entry] == ["sample", "77", "77"]
    assert set(asked) == {Path(f"/proc/{box.pid}/root")}
    assert len(asked) <= 3, "an unknown number is looked up once"
