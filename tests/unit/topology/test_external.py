"""External nodes: what may be asked of a RouterOS, how its ports are called, and what is refused with its reason."""

import re

import pytest

from lab.catalogue.files import find_topology
from lab.catalogue.load import load, vocabulary
from lab.topology import Topology, TopologyError, dump, parse
from tests.helpers.edited import edited

FILE = find_topology("routeros")


def changed(*changes: tuple[str, str]) -> Topology:
    return edited(FILE, *changes)


def test_it_is_read_as_containerlab_has_it() -> None:
    topology = load("routeros")
    ros = topology.nodes["ros"]
    assert (ros.kind, ros.external, ros.image) == ("mikrotik_ros", True, "vrnetlab/mikrotik_routeros:7.20")
    assert [name for name, node in topology.nodes.items() if node.external] == ["ros"]
    (tunnel,) = topology.tunnels
    assert (tunnel.client, tunnel.server, tunnel.profile) == ("ros", "hq", "routeros-7")


def test_ports_have_two_names() -> None:
    shown, inside = load("routeros"), changed(("ros:ether2", "ros:eth1"), ("ros:ether3", "ros:eth2"))
    assert [e.interface for link in shown.links for e in link.endpoints if e.node == "ros"] == ["eth1", "eth2"]
    assert inside.links == shown.links


def test_what_is_written_is_read_as_the_same() -> None:
    topology = load("routeros")
    again = parse(dump(topology), FILE, vocabulary(), environ={})
    assert again == topology


ROUTER = "            asn: 65002\n"
PROFILE = "              profile: routeros-7\n"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("ros:ether2", "ros:ether1"), "'ether1' is no port of a RouterOS; 'ether2' is its first"),
        (("ros:ether2", "ros:eth0"), "'eth0' is no port of a RouterOS"),
        (("ros:ether2", "ros:wlan1"), "'wlan1' is no port of a RouterOS"),
        (
            (PROFILE, ""),
            "'ros' is external: the tunnel has to be confined to what it speaks; say 'profile:",
        ),
        ((ROUTER, f"{ROUTER}            daemon: bird\n"), "'ros' is external: the lab has no command for 'daemon'"),
        (
            (ROUTER, f"{ROUTER}            multipath: true\n"),
            "external: the lab has no command for 'multipath'",
        ),
        ((ROUTER, "            protocol: ospf\n"), "'ros' is external: the lab has commands for BGP only"),
        ((ROUTER, f"{ROUTER}            sessions: unnumbered\n"), "its neighbours are written down by their addresses"),
    ],
)
def test_what_nobody_can_set_in_it_is_refused(change: tuple[str, str], what: str) -> None:
    with pytest.raises(TopologyError) as refusal:
        changed(change)
    assert what in str(refusal.value)


def test_it_is_no_server_of_ours() -> None:
    with pytest.raises(TopologyError, match="'hq' is external: a RouterOS server asks for a name and a password"):
        changed(
            ("    hq:\n      group: router\n", "    hq:\n      kind: mikrotik_ros\n      image: x\n"),
            ("            daemon: frr\n", ""),
        )


def test_no_kernel_tunnel_ends_in_it() -> None:
    gre = "{kind: gre, outer: [203.0.113.1, 198.51.100.1]}"
    link = f'    - {{endpoints: ["ros:eth9", "hq:gre0"], vars: {{encapsulation: {gre}}}}}\n'
    with pytest.raises(TopologyError, match="'ros' is external: no kernel tunnel can be made in it"):
        changed(("  links:\n", f"  links:\n{link}"))


def test_other_kinds_stay_unknown() -> None:
    with pytest.raises(TopologyError, match=re.escape("it builds 'linux', 'bridge', 'mikrotik_ros'")):
        changed(("kind: mikrotik_ros", "kind: vr-vmx"))
