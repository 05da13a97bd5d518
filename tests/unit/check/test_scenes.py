"""The networks behind the ends of a tunnel, with an address in each that should answer."""

from pathlib import Path

from lab.catalogue import load, topologies_dir
from lab.check.advised.scenes import networks_behind
from lab.check.derived.ends import ends_of
from lab.topology import Topology
from tests.helpers.networks import BRANCH_VPN, ROADWARRIORS


def behind(topology: Topology) -> dict[str, dict[str, str]]:
    found = networks_behind(topology, ends_of(topology).values())
    return {node: {str(prefix): str(address) for prefix, address in of.items()} for node, of in found.items()}


def test_announced_networks_have_an_address_of_their_router() -> None:
    found = behind(load(topologies_dir() / "article.clab.yml"))
    assert found == {
        "hq": {"10.1.0.0/24": "10.1.0.1", "2001:db8:1::/64": "2001:db8:1::1"},
        "branch": {"10.2.0.0/24": "10.2.0.1", "2001:db8:2::/64": "2001:db8:2::1"},
    }


def test_routes_and_inner_routes_of_openvpn_name_networks_too(tmp_path: Path) -> None:
    found = behind(load(BRANCH_VPN.copy(tmp_path)))
    assert found["north"] == {"10.20.0.0/24": "10.20.0.1", "10.21.0.0/24": "10.21.0.1"}
    assert found["hub"] == {"10.10.0.0/24": "10.10.0.1"}
    fixed = load(topologies_dir() / "fixed-routes.clab.yml")
    assert behind(fixed)["branch"] == {"10.2.0.0/24": "10.2.0.1", "2001:db8:2::/64": "2001:db8:2::1"}


def test_outer_addresses_are_not_behind_an_end(tmp_path: Path) -> None:
    found = behind(load(ROADWARRIORS.copy(tmp_path)))
    assert not [address for of in found.values() for address in of.values() if address.startswith("2001:db8")]
    wide = ("iroute 10.20.0.0 255.255.255.0", "iroute 198.51.0.0 255.255.0.0")
    topology = BRANCH_VPN.changed(tmp_path / "wide", "hub/etc/openvpn/ccd/north", wide)
    assert "198.51.0.0/16" not in behind(topology)["north"]  # it has north's outer address
    assert found["west"]["10.0.0.0/8"] == "10.42.0.1"  # its wide inner route
