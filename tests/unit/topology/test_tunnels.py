"""Tunnels: defaults, paths and conflicts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.topology import Topology
from tests.helpers.edited import edited

Load = Callable[..., Topology]
Refuse = Callable[..., list[str]]
Two = Callable[..., str]

GRE = Path(__file__).parents[2] / "kernel" / "gre.clab.yml"
NODE_IMAGE = "openvpn-routing-lab/node"


def tunnels(*items: str) -> str:
    return f"config: {{vars: {{tunnels: [{', '.join(f'{{{item}}}' for item in items)}]}}}}"


def test_default_names_ports_and_devices_are_numbered(load: Load, two: Two) -> None:
    topology = load(two(a=tunnels("to: b", "to: b", "to: b, transport: udp"), b=tunnels("to: a")))
    rows = [(t.name, t.transport, t.port, t.device, t.server_device) for t in topology.tunnels]
    assert rows == [
        ("a-b", "tcp", 1194, "tun0", "tun0"),
        ("a-b-2", "tcp", 1195, "tun1", "tun1"),
        ("a-b-3", "udp", 1194, "tun2", "tun2"),
        ("b-a", "tcp", 1194, "tun3", "tun3"),
    ]
    assert [str(t.server_ipv4) for t in topology.tunnels] == [
        "10.255.0.1/30",
        "10.255.0.5/30",
        "10.255.0.9/30",
        "10.255.0.13/30",
    ]
    assert [str(t.client_ipv6) for t in topology.tunnels][:2] == ["2001:db8:ff00::2/64", "2001:db8:ff00:1::2/64"]
    assert str(topology.tunnels[0].server_outer) == "192.0.2.2"


def test_defaults_avoid_declared_names_ports_and_addresses(load: Load, two: Two) -> None:
    topology = load(
        two(
            a=tunnels("to: b", "to: b, name: a-b, port: 1194, ipv4: {local: 10.255.0.2/30, peer: 10.255.0.1/30}"),
            b="config: {vars: {router: {asn: 1, networks: [10.255.0.4/30, 10.0.0.0/8]}}}",
            links='    - {endpoints: ["a:eth2", "b:eth2"], ipv4: [10.255.0.9/29, 10.255.0.10/29]}\n',
        )
    )
    first, second = topology.tunnels
    assert (first.name, first.port, str(first.server_ipv4)) == ("a-b-2", 1195, "10.255.0.17/30")
    assert (second.name, second.port, str(second.server_ipv4)) == ("a-b", 1194, "10.255.0.1/30")


def test_link_over_the_whole_pool_is_refused_if_a_tunnel_needs_an_address(load: Load, refuse: Refuse, two: Two) -> None:
    link = "ipv4: [10.255.0.1/8, 10.255.0.2/8]"
    (line,) = refuse(two(a=tunnels("to: b"), link=link))
    assert "no free subnet in 10.255.0.0/16 for the tunnel; set its 'ipv4'" in line
    load(two(a=tunnels("to: b, ipv4: {local: 11.0.0.2/30, peer: 11.0.0.1/30}"), link=link))


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ("name: t", "name: t", "duplicate tunnel name 't', see line 4"),
        ("port: 1200", "port: 1200", "tcp port 1200 of 'b' is already used by the tunnel 'a-b', see line 4"),
        (
            "ipv4: {local: 10.9.0.2/30, peer: 10.9.0.1/30}",
            "ipv4: {local: 10.9.0.3/29, peer: 10.9.0.4/29}",
            "the subnet 10.9.0.0/29 overlaps 10.9.0.0/30 of the tunnel 'a-b', see line 4",
        ),
    ],
)
def test_conflict_between_two_tunnels_is_refused(refuse: Refuse, two: Two, first: str, second: str, what: str) -> None:
    assert any(what in line for line in refuse(two(a=tunnels(f"to: b, {first}", f"to: b, {second}"))))


def test_udp_and_tcp_tunnels_can_have_the_same_port(load: Load, two: Two) -> None:
    load(two(a=tunnels("to: b, port: 1200", "to: b, port: 1200, transport: udp")))


def test_interface_with_the_name_of_a_tunnel_device_is_refused(refuse: Refuse, two: Two) -> None:
    links = "    - {type: dummy, endpoint: {node: b, interface: tun0}}\n"
    (line,) = refuse(two(a=tunnels("to: b"), links=links))
    assert "the interface 'b:tun0' is the device of the tunnel 'a-b'" in line


CHAIN = """\
name: chain
topology:
  defaults: {kind: linux, image: x}
  nodes:
    client: {config: {vars: {tunnels: [{to: server%s}]}}}
    r1:
    r2:
    server:
    sw: {kind: bridge}
    alone:
  links:
    - {endpoints: ["client:eth1", "r1:eth1"], ipv4: [10.1.0.1/24, 10.1.0.2/24]}
    - {endpoints: ["r1:eth2", "r2:eth1"], ipv4: [10.2.0.1/24, 10.2.0.2/24]}
    - {endpoints: ["r2:eth2", "server:eth1"], ipv4: [10.3.0.1/24, 10.3.0.2/24]}
    - {endpoints: ["r1:eth3", "sw:p1"], ipv4: [10.4.0.1/24]}
    - {endpoints: ["server:eth2", "sw:p2"], %s}
"""


def test_outer_address_is_at_the_end_of_the_shortest_path(load: Load) -> None:
    (tunnel,) = load(CHAIN % ("", "ipv4: [10.4.0.2/24]")).tunnels
    assert str(tunnel.server_outer) == "10.4.0.2", "two links and a bridge, not three links"


def test_path_without_addresses_of_the_outer_family_is_not_used(load: Load, refuse: Refuse) -> None:
    (tunnel,) = load(CHAIN % ("", "mtu: 1500")).tunnels
    assert str(tunnel.server_outer) == "10.3.0.2", "the shorter path has no address at the server"
    (line,) = refuse(CHAIN % (", outer: ipv6", "ipv6: ['2001:db8::1/64']"))
    assert line.endswith(
        "tunnels[0].to: no path of links leads from 'client' to 'server' over ipv6:"
        " no link of 'client' has an ipv6 address"
    )


TWO_WAYS = """\
name: ways
topology:
  defaults: {kind: linux, image: x}
  nodes:
    client: {config: {vars: {tunnels: [{to: server, via: %s}]}}}
    isp1:
    isp2:
    dead-end:
    server:
  links:
    - {endpoints: ["client:eth1", "isp1:eth1"], ipv4: [10.1.0.1/24, 10.1.0.2/24]}
    - {endpoints: ["client:eth2", "isp2:eth1"], ipv4: [10.2.0.1/24, 10.2.0.2/24]}
    - {endpoints: ["client:eth3", "dead-end:eth1"], ipv4: [10.3.0.1/24, 10.3.0.2/24]}
    - {endpoints: ["isp1:eth2", "server:eth1"], ipv4: [10.4.0.1/24, 10.4.0.2/24]}
    - {endpoints: ["isp2:eth2", "server:eth2"], ipv4: [10.5.0.1/24, 10.5.0.2/24]}
"""


@pytest.mark.parametrize(("via", "server"), [("isp1", "10.4.0.2"), ("isp2", "10.5.0.2"), ("null", "10.4.0.2")])
def test_via_selects_the_path(load: Load, via: str, server: str) -> None:
    (tunnel,) = load(TWO_WAYS % via).tunnels
    assert str(tunnel.server_outer) == server


@pytest.mark.parametrize(
    ("via", "what"),
    [
        ("ips1", "tunnels[0].via: no link leads from 'client' to 'ips1'; did you mean 'isp1'?"),
        ("server", "tunnels[0].via: no link leads from 'client' to 'server'"),
        (
            "dead-end",
            "tunnels[0].to: no path of links leads from 'client' to 'server' via 'dead-end'",
        ),
    ],
)
def test_via_that_does_not_lead_to_the_server_is_refused(refuse: Refuse, via: str, what: str) -> None:
    (line,) = refuse(TWO_WAYS % via)
    assert line.endswith(what)


def test_preference_is_refused_for_other_protocols_than_bgp(load: Load, refuse: Refuse, two: Two) -> None:
    def text(router: str) -> str:
        config = f"config: {{vars: {{router: {{{router}}}, tunnels: [{{to: b, preference: 5}}]}}}}"
        return two(a=config, b=f"config: {{vars: {{router: {{{router.replace('1', '2')}}}}}}}")

    assert load(text("asn: 1")).tunnels[0].preference == 5
    (line,) = refuse(text("protocol: ospf"))
    assert line.endswith("tunnels[0].preference: 'preference' is for BGP only, and the protocol is ospf")
    lines = refuse(text("protocol: rip, multipath: true").replace("preference", "port"))
    assert len([line for line in lines if "'multipath' is for BGP only, and the protocol is rip" in line]) == 2


def test_links_at_one_bridge_share_a_subnet(load: Load, refuse: Refuse) -> None:
    text = (
        "name: lan\n"
        "topology:\n"
        "  defaults: {kind: linux, image: x}\n"
        "  nodes:\n"
        "    {h1: {config: {vars: {routes: [{to: default, via: h2}]}}}, h2: , s1: {kind: bridge}, s2: {kind: bridge}}\n"
        "  links:\n"
        '    - {endpoints: ["h1:eth1", "s1:p1"], ipv4: [10.0.0.1/24]}\n'
        '    - {endpoints: ["s1:p2", "s2:p3"]}\n'
        '    - {endpoints: ["h2:eth1", "s2:p4"], ipv4: [%s]}\n'
    )
    load(text % "10.0.0.2/24")
    same = refuse(text % "10.0.0.1/24")
    assert any("the address 10.0.0.1 is already used by 'h1:eth1', see line 7" in line for line in same)
    wider = refuse(text % "10.0.0.2/16")
    assert any("10.0.0.0/16 overlaps 10.0.0.0/24 of 'h1:eth1' on the same link" in line for line in wider)
    port = refuse(text % "10.0.0.2/24, 10.0.0.3/24")
    assert any("'s2:p4' is a port of a bridge and cannot have an address" in line for line in port)


def test_same_port_name_on_two_bridges_is_refused(refuse: Refuse) -> None:
    text = (
        "name: lan\ntopology:\n  nodes: {s1: {kind: bridge}, s2: {kind: bridge}}\n"
        '  links:\n    - {endpoints: ["s1:p1", "s2:p1"]}\n'
    )
    (line,) = refuse(text)
    assert "'s2:p1' has the name of 's1:p1': containerlab has both in the host's network, see line 5" in line


def test_link_local_address_can_repeat_on_another_link(load: Load, refuse: Refuse, two: Two) -> None:
    link = "ipv6: ['fe80::1/64', 'fe80::2/64']"
    load(two(link=link, links=f'    - {{endpoints: ["a:eth2", "b:eth2"], {link}}}\n'))
    (line,) = refuse(two(link="ipv6: ['fe80::1/64', 'fe80::1/64']"))
    assert "the address fe80::1 is already used by 'a:eth1'" in line


def test_duplicate_router_id_and_peering_without_router_are_refused(refuse: Refuse, two: Two) -> None:
    router = "config: {vars: {router: {asn: 1, router-id: 192.0.2.1}}}"
    (line,) = refuse(two(a=router, b=router))
    assert line.startswith("lab.yml:5:")
    assert line.endswith("router-id: the router ID 192.0.2.1 is already used by 'a'")
    (line,) = refuse(two(a=router, link="vars: {peering: true}"))
    assert line.endswith("topology.links[0].vars.peering: 'b' has no router to peer with")


def with_images(a: str, b: str = NODE_IMAGE + ":2.6", *items: str) -> str:
    return (
        "name: v\ntopology:\n  nodes:\n"
        f"    a: {{kind: linux, image: '{a}', {tunnels(*items)}}}\n"
        f"    b: {{kind: linux, image: '{b}'}}\n"
        '  links: [{endpoints: ["a:e1", "b:e1"], ipv4: [192.0.2.1/24, 192.0.2.2/24]}]\n'
    )


def test_tunnel_sets_the_openvpn_version_of_both_ends(load: Load) -> None:
    topology = load(with_images(NODE_IMAGE + ":2.6", NODE_IMAGE, "to: b, openvpn: 2.7"))
    assert {node.image for node in topology.nodes.values()} == {NODE_IMAGE + ":2.7"}
    overridden = load(with_images(NODE_IMAGE + ":9", NODE_IMAGE, "to: b, openvpn: 2.7"), openvpn="2.6")
    assert {node.image for node in overridden.nodes.values()} == {NODE_IMAGE + ":2.6"}
    assert overridden.nodes["a"].intent.tunnels[0].openvpn == "2.6"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (with_images(NODE_IMAGE + ":2.5"), "unknown OpenVPN version '2.5'; the lab has '2.6', '2.7'"),
        (with_images(NODE_IMAGE), "unknown OpenVPN version 'latest'"),
        (
            with_images(NODE_IMAGE + ":2.6", NODE_IMAGE + ":2.6", "to: b, openvpn: 2.6", "to: b, openvpn: 2.7"),
            "another tunnel asks for OpenVPN 2.6 on 'a', this one for 2.7; a node has one version",
        ),
        (
            with_images("x:1", NODE_IMAGE + ":2.6", "to: b, openvpn: 2.6"),
            "cannot set the version on 'a': its image is not one of",
        ),
        (
            with_images(NODE_IMAGE + "@sha256:0", NODE_IMAGE + ":2.6", "to: b, openvpn: 2.6"),
            "the image is pinned by its digest",
        ),
    ],
)
def test_impossible_openvpn_version_is_refused(refuse: Refuse, text: str, what: str) -> None:
    assert any(what in line for line in refuse(text))


def test_unknown_image_of_the_lab_is_refused(refuse: Refuse, load: Load) -> None:
    (line,) = refuse(with_images("openvpn-routing-lab/sewers:1"))
    assert line.endswith(
        "image: the lab has no image 'openvpn-routing-lab/sewers'; "
        "it has 'openvpn-routing-lab/node', 'openvpn-routing-lab/servers'"
    )
    for right in ("openvpn-routing-lab/servers", "openvpn-routing-lab/servers:latest", "elsewhere/sewers:1"):
        assert load(with_images(right)).nodes["a"].image == right


def test_kernel_tunnel_inside_an_openvpn_tunnel(load: Callable[..., Topology], two: Two) -> None:
    """Also with assigned inner addresses; its MTU leaves room for the headers."""
    inside = "    - {endpoints: ['a:KIND', 'b:KIND'], vars: {encapsulation: {kind: KIND, outer: [ONE, OTHER]}}}\n"
    kinds = {"gre": 1476, "ipip": 1480, "sit": 1480, "vxlan": 1450, "wireguard": 1440}
    links = "".join(
        inside.replace("KIND", kind).replace("ONE", "10.255.0.2").replace("OTHER", "10.255.0.1") for kind in kinds
    )
    _, *found = load(two(a="config: {vars: {tunnels: [{to: b}]}}", links=links)).links
    assert [link.mtu for link in found] == list(kinds.values())
    sixth = inside.replace("KIND", "ipip").replace("ONE", "'2001:db8:ff00::2'").replace("OTHER", "'2001:db8:ff00::1'")
    _, link = load(two(a="config: {vars: {tunnels: [{to: b}]}}", links=sixth)).links
    assert link.mtu == 1460
    assert link.intent.encapsulation is not None
    assert link.intent.encapsulation.carries == ("ipv4", "ipv6")


# --- kernel tunnels in the way -----------------------------------------------------------------------------------


def test_outer_path_avoids_kernel_tunnels_inside_the_tunnel() -> None:
    """GRE between the inner addresses is the shortest path to the other end, but OpenVPN cannot use it."""
    (tunnel,) = edited(GRE).tunnels
    assert (str(tunnel.server_outer), str(tunnel.client_outer)) == ("198.51.100.1", "198.51.100.5")


def test_openvpn_tunnel_over_a_kernel_tunnel() -> None:
    (tunnel,) = edited(GRE, ("outer: [10.255.0.1, 10.255.0.2]", "outer: [198.51.100.1, 198.51.100.5]")).tunnels
    assert (str(tunnel.server_outer), str(tunnel.client_outer)) == ("10.254.0.1", "10.254.0.2")
