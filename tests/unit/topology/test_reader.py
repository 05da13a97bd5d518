"""The reader on the article's topology, and dumped topologies in containerlab's format."""

import json
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from lab.topology import Impairment, Topology, Vocabulary, dump, parse, read

ROOT = Path(__file__).parents[3]
TOPOLOGIES = sorted((ROOT / "topologies").glob("*.clab.yml"))
ARTICLE = ROOT / "topologies" / "article.clab.yml"


@pytest.fixture(scope="module")
def article(vocabulary: Vocabulary) -> Topology:
    return read(ARTICLE, vocabulary, environ={})


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft7Validator:
    text = (ROOT / "tests" / "data" / "clab.schema.json").read_text()
    # The schema spells a Unicode class in a way that Python's regular expressions lack.
    return jsonschema.Draft7Validator(json.loads(text.replace(r"[\\p{N}\\p{L}]", r"\\w")))


def validate(schema: jsonschema.Draft7Validator, text: str) -> list[str]:
    data: Any = yaml.safe_load(text)
    return [f"{list(error.path)}: {error.message}" for error in schema.iter_errors(data)]


def test_article_has_its_nodes_links_and_tunnel(article: Topology) -> None:
    assert (article.name, article.prefix, article.file) == ("article", None, ARTICLE)
    assert list(article.nodes) == ["hq", "branch", "transit", "hq-lan", "branch-lan"]
    hq = article.nodes["hq"]
    assert hq.image == "openvpn-routing-lab/node:2.6"
    assert hq.sysctls["net.ipv4.ip_forward"] == "1"
    assert hq.intent.router is not None
    assert hq.intent.router.networks[0] == IPv4Network("10.1.0.0/24")
    assert len(article.links) == 4
    assert article.links[0].endpoints[1].ipv4 == IPv4Interface("198.51.100.2/30")
    (tunnel,) = article.tunnels
    assert (tunnel.name, tunnel.client, tunnel.server, tunnel.port) == ("branch-hq", "branch", "hq", 1194)
    assert tunnel.server_outer == IPv4Address("198.51.100.1")
    assert tunnel.server_ipv6 == IPv6Interface("2001:db8:ff::1/64")
    assert (tunnel.device, tunnel.server_device) == ("tun0", "tun0")


def test_openvpn_version_is_set_by_variable_or_argument(vocabulary: Vocabulary) -> None:
    by_environment = read(ARTICLE, vocabulary, environ={"OPENVPN": "2.7"})
    by_call = read(ARTICLE, vocabulary, environ={}, openvpn="2.7")
    assert by_environment == by_call
    assert {node.image for node in by_call.nodes.values()} == {"openvpn-routing-lab/node:2.7"}


def test_arguments_override_name_and_tunnel_keys(vocabulary: Vocabulary) -> None:
    topology = read(
        ARTICLE,
        vocabulary,
        environ={},
        name="other",
        tunnel={"transport": "udp", "outer": "ipv6", "port": 5000, "options": {"more": [1]}},
    )
    (tunnel,) = topology.tunnels
    assert topology.name == "other"
    assert (tunnel.transport, tunnel.port, tunnel.options["more"]) == ("udp", 5000, [1])
    assert tunnel.options.keys() - {"more"} == read(ARTICLE, vocabulary, environ={}).tunnels[0].options.keys()
    assert str(tunnel.server_outer) == "2001:db8:f00:1::1"


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.name)
def test_every_topology_validates_against_containerlabs_schema(path: Path, schema: jsonschema.Draft7Validator) -> None:
    assert validate(schema, path.read_text()) == []


def test_dumped_article_reads_back_the_same_and_validates(
    article: Topology, vocabulary: Vocabulary, schema: jsonschema.Draft7Validator
) -> None:
    text = dump(article)
    assert parse(text, article.file, vocabulary, environ={}) == article
    assert validate(schema, text) == []


EVERYTHING = r"""
name: all
prefix: ""
topology:
  defaults: {kind: linux}
  groups: {edge: {labels: {role: edge}}}
  nodes:
    n1:
      image: some/image@sha256:00
      image-pull-policy: always
      group: edge
      env: {A: 1, B: "a$$b", C: "{\x7B .Names }}", D: , E: "yes", F: "2.6"}
      exec: [echo __clabNodeName__ __clabDir__, "two\nlines"]
      binds: ["/etc/hostname:/h:ro", "__clabNodeDir__/x:/x"]
      entrypoint: sh -c
      cmd: "null"
      sysctls: {net.ipv4.ip_forward: 1}
      cap-add: [NET_ADMIN]
      devices: [/dev/net/tun]
      security-opts: [no-new-privileges]
      tmpfs: {/run: "size=1M", /tmp: ""}
      shm-size: 64MB
      cpu: 0.5
      cpu-set: 0-1
      memory: 512MB
      user: 0
      hostname: one
      startup-delay: 2
      dns: {servers: [192.0.2.53], search: [example.com]}
      healthcheck: {test: [CMD, "true"], interval: 1, start-period: 3}
      config: {vars: {router: {asn: 65001, bfd: {}, timers: {hold: 9}, router-id: 192.0.2.1}}}
    n2: {image: "x", config: {vars: {
      router: {asn: 65002, daemon: bird, bfd: {interval: 100}},
      routes: [{to: default, via: n1}, {to: "2001:db8:9::/48", via: "2001:db8::1"}],
      tunnels: [{to: n1, mode: p2p, options: {list: [1, "1", 1.5, true, null], "": {x: "on"}}}, {to: n1}]}}}
    br: {kind: bridge}
  links:
    - {type: veth, endpoints: [
        {node: n1, interface: eth1, mac: "02:00:00:00:00:01", ipv4: 192.0.2.1/24, ipv6: "2001:db8::1/64"},
        {node: br, interface: p1, vars: {impair: {loss: 0.1}}}], mtu: 1400, vars: {impair: {delay: 30, jitter: 1.5}}}
    - {endpoints: ["n2:eth1", "br:p2"], ipv4: [192.0.2.2/24], ipv6: ["2001:db8::2/64"]}
    - {endpoints: ["n1:eth2", "n2:eth2"], vars: {peering: true}, ipv6: ["fe80::1/64", "fe80::2/64"]}
    - {endpoints: ["n1:vx0", "n2:vx0"], vars: {encapsulation: {kind: vxlan, outer: ["2001:db8::1", "2001:db8::2"]}}}
    - {type: dummy, endpoint: {node: n2, interface: lo1, ipv4: 198.51.100.1/32}}
"""


def test_dump_keeps_every_key(load: Callable[..., Topology], schema: jsonschema.Draft7Validator) -> None:
    topology = load(EVERYTHING)
    node = topology.nodes["n1"]
    assert node.image_pull_policy == "Always"
    assert dict(node.env) == {"A": "1", "B": "a$b", "C": "{{ .Names }}", "D": "", "E": "yes", "F": "2.6"}
    assert node.exec == ("echo n1 __clabDir__", "two\nlines")
    assert node.tmpfs == ("/run:size=1M", "/tmp")
    assert (node.cmd, node.user, node.cpu) == ("null", "0", 0.5)
    assert [link.mtu for link in topology.links] == [1400, 9500, 9500, 1430, 9500]
    (first, other), link = topology.links[0].endpoints, topology.links[0]
    assert (link.impairment(first), link.impairment(other)) == (Impairment(delay=30, jitter=1.5), Impairment(loss=0.1))
    text = dump(topology)
    again = load(text)
    assert again == topology.model_copy(update={"remarks": ()})
    assert validate(schema, text) == []


def test_dump_is_stable(load: Callable[..., Topology]) -> None:
    text = dump(load(EVERYTHING))
    assert dump(load(text)) == text
