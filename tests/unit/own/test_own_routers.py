"""Routers with files of the user's: what the topology takes from them, and which files a node gets."""

from ipaddress import ip_address, ip_network
from pathlib import Path, PurePosixPath

import pytest

from lab.core.errors import InputError
from lab.routing import plan_routers
from lab.topology import TopologyError, dump
from tests.helpers.configurations import FRR_CONF
from tests.helpers.own_routers import loaded

OSPF_CONF = "router ospf\n network 10.255.0.0/24 area 0\n network 10.1.0.0/24 area 0\n passive-interface eth2\n"
DAEMONS = 'bgpd=yes\nospfd=no\nvtysh_enable=yes\nbgpd_options="  -A 127.0.0.1 -M rpki -u quagga"\n'


def test_integrated_configuration_is_known(tmp_path: Path) -> None:
    topology = loaded(tmp_path, "config: hq/etc/frr/frr.conf", {"hq/etc/frr/frr.conf": FRR_CONF})
    own = topology.own_routers["hq"]
    assert (own.daemon, own.protocols, own.asn, own.integrated) == ("frr", ("bgp",), 65001, True)
    assert own.networks == (ip_network("10.1.0.0/24"),)
    assert [str(n.address) for n in own.neighbors] == ["10.255.0.2", "192.0.2.77"], "not the one that is shut down"
    assert list(own.start) == ["mgmtd", "zebra", "staticd", "bgpd"]
    router = topology.nodes["hq"].intent.router
    assert router is not None
    assert (router.asn, router.networks) == (65001, own.networks), "its neighbours need them"


def test_node_gets_the_file_unchanged(tmp_path: Path) -> None:
    topology = loaded(tmp_path, "config: hq/etc/frr/frr.conf", {"hq/etc/frr/frr.conf": FRR_CONF})
    file, vtysh = topology.own_routers["hq"].files
    assert (file.path, file.source) == (PurePosixPath("/etc/frr/frr.conf"), tmp_path / "hq/etc/frr/frr.conf")
    assert (file.given, file.text) == ("hq/etc/frr/frr.conf", None)
    assert vtysh.path == PurePosixPath("/etc/frr/vtysh.conf")
    assert "s3cret" not in topology.model_dump_json()


def test_neighbours_are_the_nodes_that_have_their_addresses(tmp_path: Path) -> None:
    plans = plan_routers(loaded(tmp_path, "config: frr.conf", {"frr.conf": FRR_CONF}))
    (peer,) = plans["hq"].peers
    assert (peer.node, peer.address, peer.asn, peer.interface) == ("branch", ip_address("10.255.0.2"), 65002, "tun0")
    (back,) = plans["branch"].peers
    assert (back.node, back.asn) == ("hq", 65001), "the rendered end knows the AS number from the file"
    assert str(plans["hq"].router_id) == "192.0.2.1"


def test_directory_brings_the_files_that_frr_reads(tmp_path: Path) -> None:
    files = {"hq/etc/frr/frr.conf": FRR_CONF, "hq/etc/frr/daemons": DAEMONS, "hq/etc/frr/frr.conf.sav": "old"}
    own = loaded(tmp_path, "config: hq/etc/frr", files).own_routers["hq"]
    assert {file.path.name for file in own.files} == {"frr.conf", "daemons", "vtysh.conf"}
    assert own.start["bgpd"] == ("-A", "127.0.0.1", "-M", "rpki")


def test_option_that_cannot_work_in_a_node_is_left_out_with_a_remark(tmp_path: Path) -> None:
    topology = loaded(tmp_path, "config: [frr.conf, daemons]", {"frr.conf": FRR_CONF, "daemons": DAEMONS})
    assert [(r.kind, r.place, r.what) for r in topology.remarks] == [
        ("override", "daemons", "-u quagga of bgpd is left out: the daemons run as the user frr")
    ]


def test_daemon_that_the_file_disables_does_not_run(tmp_path: Path) -> None:
    files = {"hq/frr.conf": FRR_CONF + OSPF_CONF, "hq/daemons": DAEMONS}
    topology = loaded(tmp_path, "config: [hq/frr.conf, hq/daemons]", files)
    assert topology.own_routers["hq"].protocols == ("bgp",)
    assert "ospfd" not in topology.own_routers["hq"].start
    assert any(r.kind == "refused" and "ospfd is not started" in r.what for r in topology.remarks)


def test_files_of_quagga_are_where_frr_reads_them(tmp_path: Path) -> None:
    files = {"hq/etc/quagga/zebra.conf": "hostname hq\npassword zebra\n", "hq/etc/quagga/ospfd.conf": OSPF_CONF}
    topology = loaded(tmp_path, "config: hq/etc/quagga", files)
    own = topology.own_routers["hq"]
    assert (own.protocols, own.integrated, own.interfaces) == (("ospf",), False, {"ipv4": ("tun0",)})
    assert {str(f.path) for f in own.files} == {"/etc/frr/zebra.conf", "/etc/frr/ospfd.conf", "/etc/frr/vtysh.conf"}
    assert list(own.start) == ["mgmtd", "zebra", "staticd", "ospfd"]
    assert {(r.kind, r.place) for r in topology.remarks} == {("override", name) for name in files}
    assert plan_routers(topology)["branch"].peers == (), "a BGP router does not peer with one that speaks OSPF"


def test_other_keys_beside_the_files_are_mistakes(tmp_path: Path) -> None:
    with pytest.raises(TopologyError) as caught:
        loaded(tmp_path, "config: frr.conf\nasn: 65001\nextra: '! x'", {"frr.conf": FRR_CONF})
    assert [m.what.split(" is ")[0] for m in caught.value.mistakes] == ["'asn'", "'extra'"]
    assert all("your files" in m.what for m in caught.value.mistakes)


def test_missing_file_is_a_mistake_at_its_line(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"'hq/nothing.conf' does not exist") as caught:
        loaded(tmp_path, "config: [frr.conf, hq/nothing.conf]", {"frr.conf": FRR_CONF})
    (mistake,) = caught.value.mistakes
    text = (tmp_path / "own.clab.yml").read_text()
    assert "hq/nothing.conf" in text.splitlines()[mistake.place.line - 1]


@pytest.mark.parametrize(
    ("router", "files", "message"),
    [
        ("config: hq", {"hq/notes.txt": "nothing"}, "hq has no file of the daemon"),
        ("config: binary", {"binary": "\0\1\2 junk"}, "binary is not a configuration of FRR"),
        ("config: daemons", {"daemons": DAEMONS}, "no configuration of FRR is among these files"),
        ("config: [a/frr.conf, b/frr.conf]", {"a/frr.conf": FRR_CONF, "b/frr.conf": FRR_CONF}, "name one of them"),
    ],
)
def test_files_that_are_none_of_the_daemon_are_refused(
    tmp_path: Path, router: str, files: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        loaded(tmp_path, router, files)


def test_written_topology_has_the_files_only(tmp_path: Path) -> None:
    text = dump(loaded(tmp_path, "config: frr.conf", {"frr.conf": FRR_CONF}))
    assert "config: frr.conf" in text
    assert "asn: 65001" not in text
    assert "asn: 65002" in text
