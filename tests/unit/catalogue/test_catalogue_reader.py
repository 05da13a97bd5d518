"""Topologies by name or path, with the installed modes and daemons."""

from pathlib import Path

import pytest

from lab.catalogue import find_topology, load, vocabulary
from lab.core.errors import InputError
from lab.image import NODE_IMAGE, OLD_VERSIONS, VERSIONS
from lab.topology import TopologyError


def test_vocabulary_has_the_installed_modes_and_daemons() -> None:
    words = vocabulary()
    assert "iroute" in words.modes
    assert "frr" in words.daemons
    assert words.openvpn == (*VERSIONS, *OLD_VERSIONS)
    assert words.node_image == NODE_IMAGE


def test_topology_is_read_by_name_and_by_path(tmp_path: Path) -> None:
    copy = tmp_path / "mine.clab.yml"
    copy.write_text(find_topology("article").read_text())
    by_name, by_path = load("article"), load(copy)
    assert by_name.name == "article"
    assert by_path.file == copy
    assert by_path.nodes == by_name.nodes
    assert by_path.tunnels == by_name.tunnels


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no topology 'artikel'.*article"):
        load("artikel")


def test_name_argument_renames_the_lab_and_its_containers() -> None:
    topology = load("article", name="second")
    assert topology.name == "second"
    assert topology.container_name("hq") == "clab-second-hq"


@pytest.mark.parametrize("version", VERSIONS)
def test_openvpn_argument_sets_the_image_of_both_ends(version: str) -> None:
    nodes = load("article", openvpn=version).nodes
    assert {nodes[end].image for end in ("hq", "branch")} == {f"{NODE_IMAGE}:{version}"}


def test_tunnel_argument_changes_only_the_tunnels() -> None:
    plain, other = load("article"), load("article", tunnel={"transport": "udp"})
    (before,), (after,) = plain.tunnels, other.tunnels
    assert (before.transport, after.transport) == ("tcp", "udp")
    assert after.model_copy(update={"transport": "tcp"}) == before
    assert other.links == plain.links


def test_tunnel_argument_is_checked_by_the_mode() -> None:
    with pytest.raises(TopologyError, match="tun-mtu"):
        load("article", tunnel={"options": {"tun-mtu": "huge"}})


def test_protocol_that_the_mode_does_not_carry_is_refused() -> None:
    with pytest.raises(TopologyError, match="link-local addresses, which this tunnel does not carry"):
        load("ospf", tunnel={"mode": "fixed-routes"})
    assert load("ospf", tunnel={"mode": "fixed-routes", "options": {"iroute": ["ipv4", "ipv6"]}}).tunnels
