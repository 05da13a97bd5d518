"""A topology with files of the user's that is written elsewhere: it loads there and means the same."""

from pathlib import Path
from typing import Any

import pytest

from lab.catalogue import load
from lab.core.errors import InputError
from lab.own import moved
from lab.topology import Topology, dump
from tests.helpers.configurations import CLIENT, FRR_CONF, SERVER

TOPOLOGY = """name: own
topology:
  defaults: {{kind: linux, image: "openvpn-routing-lab/node:2.7", network-mode: none}}
  nodes:
    hq:
      config:
        vars:
          router: {{daemon: frr, config: {frr}}}
          openvpn: [{{config: {server}}}]
    branch:
      config:
        vars:
          router: {{daemon: bird, config: [{bird}]}}
          openvpn: [{{config: {client}}}]
  links:
    - type: veth
      endpoints:
        - {{node: hq, interface: eth1, ipv4: 192.0.2.1/24}}
        - {{node: branch, interface: eth1, ipv4: 192.0.2.2/24}}
"""
BIRD = "router id 192.0.2.2;\nprotocol device {}\nprotocol bgp hq { local as 65002; neighbor 10.8.0.1 as 65001; }\n"
PLAIN = {"frr": "hq/frr.conf", "server": "hq/server.conf", "bird": "branch/bird.conf", "client": "branch/office.ovpn"}
TREES = {
    "frr": "hq/etc/frr",
    "server": "hq/etc/openvpn/server/server.conf",
    "bird": "branch/etc/bird/bird.conf",
    "client": "branch/etc/openvpn/office.ovpn",
}


def written(directory: Path, **names: str) -> Topology:
    frr = names["frr"] if names["frr"].endswith(".conf") else f"{names['frr']}/frr.conf"
    files = {frr: FRR_CONF, names["bird"]: BIRD, names["server"]: SERVER, names["client"]: CLIENT}
    files[f"{Path(names['server']).parent}/ccd/branch"] = "ifconfig-push 10.8.0.9 255.255.255.0\n"
    for name, text in {**files, "own.clab.yml": TOPOLOGY.format(**names)}.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return load(directory / "own.clab.yml")


def meaning(topology: Topology) -> dict[str, Any]:
    """Everything that the files say, without the names by which messages call them."""
    data = topology.model_dump(mode="json", include={"processes", "tunnels", "own_routers"})
    for item in (*data["processes"], *data["own_routers"].values()):
        item.pop("given", None)
        for file in item["files"]:
            file.pop("given")
    return data


@pytest.mark.parametrize("names", [PLAIN, TREES])
@pytest.mark.parametrize("there", ["elsewhere", "net/out", "net/hq/etc/out", "etc/out"])
def test_files_are_found_from_another_directory(tmp_path: Path, names: dict[str, str], there: str) -> None:
    topology = written(tmp_path / "net", **names)
    assert len(topology.processes) == 2
    assert set(topology.own_routers) == {"hq", "branch"}
    out = tmp_path / there
    out.mkdir(parents=True)
    (out / "topology.clab.yml").write_text(dump(moved(topology, out)))
    assert meaning(load(out / "topology.clab.yml")) == meaning(topology)


def test_a_process_below_a_directory_etc_keeps_its_path_by_the_key_path(tmp_path: Path) -> None:
    topology = written(tmp_path / "etc/net", **PLAIN)
    with pytest.raises(InputError, match=r"hq/frr\.conf: no name leads there"):
        moved(topology, tmp_path / "out")
    alone = without_routers(topology)
    (item,) = moved(alone, tmp_path / "out").nodes["hq"].intent.openvpn
    assert (item.config, item.path) == (str(tmp_path / "etc/net/hq/server.conf"), "/etc/openvpn/server.conf")


def without_routers(topology: Topology) -> Topology:
    nodes = {
        name: node.model_copy(update={"intent": node.intent.model_copy(update={"router": None})})
        for name, node in topology.nodes.items()
    }
    return topology.model_copy(update={"nodes": nodes})
