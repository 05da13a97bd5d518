"""The guide of `lab render`: packages, files and steps of each host, by its daemon."""

from pathlib import Path

import pytest

from lab.catalogue import find_topology, load
from lab.render.howto import GUIDE, export
from lab.routing import daemons
from tests.helpers.thirdparty import installed


def guide(directory: Path, daemon: str) -> str:
    """Return the guide of the article with another daemon at hq."""
    text = find_topology("article").read_text()
    (line,) = {line for line in text.splitlines() if line.strip().startswith("daemon: ")}
    file = directory / "mine.clab.yml"
    file.write_text(text.replace(line, line.replace("frr", daemon), 1))
    export(load(file), directory / "out")
    return (directory / "out" / GUIDE).read_text()


def section(text: str, node: str) -> str:
    return text.partition(f"## {node}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("daemon", "packages"),
    [
        ("frr", "`openvpn` and `frr`"),
        ("bird", "`openvpn`, `bird2` and `frr`"),
        ("bird3", "`openvpn`, `bird3` and `frr`"),
    ],
)
def test_guide_names_the_packages_of_all_daemons(tmp_path: Path, daemon: str, packages: str) -> None:
    assert f"Debian's packages {packages} expect them" in guide(tmp_path, daemon)


@pytest.mark.parametrize("daemon", ["frr", "bird", "bird3"])
def test_guide_has_the_steps_and_files_of_the_daemon(tmp_path: Path, daemon: str) -> None:
    text = section(guide(tmp_path, daemon), "hq")
    unit = daemons()[daemon]
    router = load("article").nodes["hq"].intent.router
    assert router is not None
    for step in unit.host_steps(router):
        assert step in text
    assert f"`hq{unit.configuration}/" in text
    assert f"{daemon}'s configuration" in text


def test_guide_has_the_steps_of_a_third_party_daemon(tmp_path: Path) -> None:
    with installed("daemon"):
        text = guide(tmp_path, "birdc")
    assert "`openvpn`, `bird2` and `frr`" in text
    assert "`exec bird -c /etc/birdc/birdc.conf" in section(text, "hq")
    assert "| `/etc/birdc/birdc.conf` | birdc's configuration |" in section(text, "hq")
    assert "birdc" not in section(text, "branch")


@pytest.mark.parametrize(
    ("protocol", "enabled", "command"),
    [
        ("ospf", "set `ospfd=yes` and `ospf6d=yes` in it", "show ip ospf neighbor"),
        ("rip", "set `ripd=yes` and `ripngd=yes` in it", "show ip rip status"),
    ],
)
def test_guide_enables_the_frr_daemons_of_the_protocol(
    tmp_path: Path, protocol: str, enabled: str, command: str
) -> None:
    export(load(protocol), tmp_path / "out")
    text = section((tmp_path / "out" / GUIDE).read_text(), "hq")
    assert enabled in text
    assert f"vtysh -c '{command}'" in text
    assert "| frr's list of daemons to start |" in text


def test_external_node_imports_its_commands(tmp_path: Path) -> None:
    export(load("routeros"), tmp_path / "out")
    text = section((tmp_path / "out" / GUIDE).read_text(), "ros")
    assert "2. `/import routeros.rsc`" in text
    assert "systemctl" not in text
