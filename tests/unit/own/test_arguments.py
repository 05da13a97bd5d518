"""Arguments that a host's unit gives OpenVPN besides the file: applied, and told."""

from pathlib import Path

import pytest

from lab.catalogue import load
from lab.importer import import_hosts
from lab.topology import Topology, TopologyError, dump
from lab.tunnel.mode import Process
from tests.helpers.configurations import CLIENT, SERVER

TOPOLOGY = """name: own
topology:
  nodes:
    hq:
      kind: linux
      image: openvpn-routing-lab/node:2.7
      config: {{vars: {{openvpn: [{{config: hq/etc/openvpn/server/hub.conf{hq}}}]}}}}
    branch:
      kind: linux
      image: openvpn-routing-lab/node:2.7
      config: {{vars: {{openvpn: [{{config: branch/etc/openvpn/client/home.conf{branch}}}]}}}}
  links:
    - {{endpoints: ["hq:eth1", "branch:eth1"], ipv4: [192.0.2.1/24, 192.0.2.2/24]}}
"""
DROP_IN = "hq/etc/systemd/system/openvpn-server@hub.service.d/port.conf"
COMMAND = "[Service]\nExecStart=\nExecStart=/usr/sbin/openvpn --suppress-timestamps --mssfix 1300 --config %i.conf "


def load_with(directory: Path, *, hq: str = "", branch: str = "", files: dict[str, str] | None = None) -> Topology:
    everything = {
        "hq/etc/openvpn/server/hub.conf": SERVER,
        "branch/etc/openvpn/client/home.conf": CLIENT.replace("nobind\n", "").replace(" 1194", " 443"),
        "own.clab.yml": TOPOLOGY.format(hq=hq, branch=branch),
        **(files or {}),
    }
    for name, text in everything.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return load(directory / "own.clab.yml")


def units(topology: Topology) -> list[tuple[str, str]]:
    return [(r.place, r.what) for r in topology.remarks if r.kind == "unit"]


def test_arguments_of_a_unit_are_applied_before_and_after_the_file(tmp_path: Path) -> None:
    topology = load_with(tmp_path, files={DROP_IN: COMMAND + "--port 443 --daemon\n"})
    hub, home = topology.processes
    assert (hub.before, hub.arguments[:2], hub.port) == (("--mssfix", "1300"), ("--port", "443"), 443)
    argv = Process.of(hub).argv
    assert argv.index("--mssfix") < argv.index("--config") < argv.index("--port")
    assert home.before == ("--nobind",)
    assert [tunnel.port for tunnel in topology.tunnels] == [443]
    gives = "which is not in the file: "
    assert units(topology) == [
        (f"{DROP_IN}:3", f"runs with --mssfix 1300, {gives}openvpn-server@hub.service gives it"),
        (f"{DROP_IN}:3", f"runs with --port 443, {gives}openvpn-server@hub.service gives it"),
        ("openvpn-client@.service", f"runs with --nobind, {gives}openvpn-client@home.service gives it"),
    ]


def test_argument_that_the_file_has_too_is_not_repeated(tmp_path: Path) -> None:
    client = {"branch/etc/openvpn/client/home.conf": CLIENT}
    topology = load_with(tmp_path, files=client)
    assert "nobind" in CLIENT
    assert topology.processes[1].before == ()
    assert units(topology) == []


def test_arguments_in_the_topology_replace_those_of_the_unit(tmp_path: Path) -> None:
    files = {DROP_IN: COMMAND + "--port 443\n"}
    topology = load_with(tmp_path, hq=", arguments: [--port 444, --verb 4]", branch=", arguments: []", files=files)
    hub, home = topology.processes
    assert (hub.before, hub.arguments[:4], hub.port) == ((), ("--port", "444", "--verb", "4"), 444)
    assert home.before == ()
    assert units(topology) == []
    (tmp_path / "again.clab.yml").write_text(dump(topology))
    again = load(tmp_path / "again.clab.yml")
    assert [item.arguments for node in again.nodes.values() for item in node.intent.openvpn] == [
        ("--port 444", "--verb 4"),
        (),
    ]


def test_argument_that_cannot_be_used_in_a_node_is_left_out(tmp_path: Path) -> None:
    topology = load_with(tmp_path, files={DROP_IN: COMMAND + "--mlock --user nobody\n"})
    assert topology.processes[0].arguments[:2] == ("--user", "nobody")
    assert "--mlock" not in topology.processes[0].arguments
    (told,) = (r for r in topology.remarks if "mlock" in r.what)
    assert (told.kind, told.place) == ("override", f"{DROP_IN}:3")


@pytest.mark.parametrize(
    ("given", "what"),
    [("[nobind]", "the first word, 'nobind', is not an option"), ('["--echo \'x"]', "No closing quotation")],
)
def test_malformed_arguments_are_a_mistake_with_its_place(tmp_path: Path, given: str, what: str) -> None:
    with pytest.raises(TopologyError, match=f"own.clab.yml:7.*'arguments': {what}"):
        load_with(tmp_path, hq=f", arguments: {given}")
    load_with(tmp_path, hq=", arguments: [--verb 4]")


def test_import_pairs_by_the_arguments_and_tells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_with(tmp_path, files={DROP_IN: COMMAND + "--port 443\n"})
    hosts = {name: tmp_path / name for name in ("hq", "branch")}
    made = import_hosts(hosts, tmp_path / "made.clab.yml")
    (tunnel,) = made.tunnels
    assert tunnel.server == "hq (hq/etc/openvpn/server/hub.conf)"
    (told,) = (note.text for note in made.notes if "--port" in note.text)
    assert told == (
        "hq/etc/openvpn/server/hub.conf: runs with --port 443, which is not in the file: "
        f"openvpn-server@hub.service gives it ({DROP_IN}:3)"
    )
    (tmp_path / DROP_IN).unlink()
    assert [t.server for t in import_hosts(hosts, tmp_path / "made.clab.yml").tunnels] != [tunnel.server]
