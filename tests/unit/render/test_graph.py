"""Pictures of topologies: complete, deterministic, without overlapping text."""

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lab.catalogue import load, topology_names, vocabulary
from lab.render.graph import mermaid, svg
from lab.topology import Topology, parse
from lab.tunnel import display_name

HUB = """
name: hub
topology:
  defaults: {kind: linux, image: openvpn-routing-lab/node:2.6}
  nodes:
    hub: {config: {vars: {router: {asn: 65000}}}}
    s1: {config: {vars: {router: {asn: 65001}, tunnels: [{to: hub}]}}}
    s2: {config: {vars: {router: {asn: 65002}, tunnels: [{to: hub}]}}}
    s3: {config: {vars: {router: {asn: 65003}, tunnels: [{to: hub}]}}}
    net: {kind: bridge}
    alone: {}
  links:
    - {endpoints: ["hub:eth1", "net:p0"], ipv4: [192.0.2.1/24, ""]}
    - {endpoints: ["s1:eth1", "net:p1"], ipv4: [192.0.2.11/24, ""]}
    - {endpoints: ["s2:eth1", "net:p2"], ipv4: [192.0.2.12/24, ""]}
    - {endpoints: ["s3:eth1", "net:p3"], ipv4: [192.0.2.13/24, ""]}
    - {endpoints: ["s1:eth2", "s2:eth2"], ipv4: [10.5.0.1/30, 10.5.0.2/30]}
    - {type: dummy, endpoint: {node: hub, interface: dum0, ipv4: 10.77.0.1/24}}
"""


def hub() -> Topology:
    return parse(HUB, Path("hub.clab.yml"), vocabulary())


def topologies() -> list[Topology]:
    return [*map(load, topology_names()), hub()]


@pytest.mark.parametrize("topology", topologies(), ids=lambda t: t.name)
def test_both_formats_show_every_node_interface_address_and_tunnel(topology: Topology) -> None:
    for text in (mermaid(topology), svg(topology)):
        for name in topology.nodes:
            assert name in text
        for link in topology.links:
            for end in link.endpoints:
                assert end.interface in text
                assert all(str(address) in text for address in end.addresses)
        for tunnel in topology.tunnels:
            assert f"{tunnel.name}: {display_name(tunnel.mode)} over {tunnel.transport.upper()}" in text


@pytest.mark.parametrize("topology", topologies(), ids=lambda t: t.name)
def test_no_text_overlaps_another_or_leaves_the_picture(topology: Topology) -> None:
    root = ElementTree.fromstring(svg(topology))  # noqa: S314 - our own text
    boxes = []
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        width = 7.3 * len((text.text or "").strip()) * (1.3 if text.get("class") == "title" else 1)
        x, y = float(text.get("x", "0")), float(text.get("y", "0"))
        if text.get("text-anchor") == "middle":
            x -= width / 2
        boxes.append((x, y - 11, x + width, y + 3, text.text))
    _, _, right, bottom = map(float, root.get("viewBox", "").split())
    for x1, y1, x2, y2, words in boxes:
        assert x1 >= 0, words
        assert y1 >= 0, words
        assert x2 <= right, words
        assert y2 <= bottom, words
    for one, other in combinations(boxes, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)


def test_svg_is_deterministic() -> None:
    assert svg(load("article")) == svg(load("article"))


def test_svg_puts_the_article_in_a_row_from_lan_to_lan() -> None:
    drawing = svg(load("article"))
    places = {
        name: float(re.findall(rf'x="([\d.]+)"[^>]*class="name"[^>]*>{name}<', drawing)[0])
        for name in ("hq-lan", "hq", "transit", "branch", "branch-lan")
    }
    assert list(places.values()) == sorted(places.values())


def test_mermaid_shows_tunnels_as_dotted_links() -> None:
    assert re.search(r'n1 -\. "branch-hq: iroute over TCP port 1194.*" \.-> n0', mermaid(load("article")))


def test_svg_has_colours_for_dark_pages() -> None:
    assert "prefers-color-scheme: dark" in svg(load("article"))
