"""External nodes: the ports of RouterOS, and settings that are refused."""

import re

import pytest

from lab.catalogue import find_topology, load, vocabulary
from lab.topology import Topology, TopologyError, dump, parse
from tests.helpers.edited import edited

FILE = find_topology("routeros")


def changed(*changes: tuple[str, str]) -> Topology:
    return edited(FILE, *changes)


def test_routeros_node_is_external() -> None:
    topology = load("routeros")
    ros = topology.nodes["ros"]
    assert (ros.kind, ros.external, ros.image) == ("mikrotik_ros", True, "vrnetlab/mikrotik_routeros:7.20")
    assert [name for name, node in topology.nodes.items() if node.external] == ["ros"]
    (tunnel,) = topology.tunnels
    assert (tunnel.client, tunnel.server, tunnel.profile) == ("ros", "hq", "routeros-7")


def test_routeros_ports_have_two_names() -> None:
    shown, inside = load("routeros"), changed(("ros:ether2", "ros:eth1"), ("ros:ether3", "ros:eth2"))
    assert [e.interface for link in shown.links for e in link.endpoints if e.node == "ros"] == ["eth1", "eth2"]
    assert inside.links == shown.links


def test_dumped_routeros_topology_reads_back_the_same() -> None:
    topology = load("routeros")
    again = parse(dump(topology), FILE, vocabulary(), environ={})
    assert again == topology


ROUTER = "            asn: 65002\n"
PROFILE = "              profile: routeros-7\n"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("ros:ether2", "ros:ether1"), "'ether1' is not a port of RouterOS; the first is 'ether2'"),
        (("ros:ether2", "ros:eth0"), "'eth0' is not a port of RouterOS"),
        (("ros:ether2", "ros:wlan1"), "'wlan1' is not a port of RouterOS"),
        (
            (PROFILE, ""),
            "'ros' is external: its tunnels need a profile; set 'profile:",
        ),
        ((ROUTER, f"{ROUTER}            daemon: bird\n"), "'ros' is external: the lab has no command for 'daemon'"),
        (
            (ROUTER, f"{ROUTER}            multipath: true\n"),
            "external: the lab has no command for 'multipath'",
        ),
        ((ROUTER, "            protocol: ospf\n"), "'ros' is external: the lab has commands for BGP only"),
        ((ROUTER, f"{ROUTER}            sessions: unnumbered\n"), "its neighbours are configured by address"),
    ],
)
def test_setting_without_a_routeros_command_is_refused(change: tuple[str, str], what: str) -> None:
    with pytest.raises(TopologyError) as refusal:
        changed(change)
    assert what in str(refusal.value)


def test_routeros_as_server_is_refused() -> None:
    with pytest.raises(
        TopologyError, match="'hq' is external: a RouterOS server also asks for a user name and a password"
    ):
        changed(
            ("    hq:\n      group: router\n", "    hq:\n      kind: mikrotik_ros\n      image: x\n"),
            ("            daemon: frr\n", ""),
        )


def test_kernel_tunnel_to_routeros_is_refused() -> None:
    gre = "{kind: gre, outer: [203.0.113.1, 198.51.100.1]}"
    link = f'    - {{endpoints: ["ros:eth9", "hq:gre0"], vars: {{encapsulation: {gre}}}}}\n'
    with pytest.raises(TopologyError, match="'ros' is external: the lab cannot create a kernel tunnel in it"):
        changed(("  links:\n", f"  links:\n{link}"))


def test_kind_of_another_vendor_is_refused() -> None:
    with pytest.raises(TopologyError, match=re.escape("the kinds are 'linux', 'bridge', 'ovs-bridge', 'mikrotik_ros'")):
        changed(("kind: mikrotik_ros", "kind: vr-vmx"))
