"""Links between containers exist before any daemon starts, and never in the host's namespace."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from lab.catalogue import load
from lab.core.errors import NotSupported
from lab.engine import Engine, Instance
from lab.topology import Interface
from tests.helpers.labs import Deploy, Write, assert_nothing_left, names_of_host, of_another

pytestmark = pytest.mark.docker

SEGMENT = """
    nodes:
      one: {}
      two: {}
      three: {}
      lan: {kind: bridge}
    links:
      - type: veth
        mtu: 1400
        endpoints:
          - {node: one, interface: eth1, mac: "02:00:00:00:00:01", ipv4: 192.0.2.1/24, ipv6: "2001:db8:9::1/64"}
          - {node: lan, interface: port1}
      - endpoints: ["lan:port2", "two:eth1"]
        mtu: 1400
        ipv4: ["", 192.0.2.2/24]
        ipv6: ["", "2001:db8:9::2/64"]
      - endpoints: ["three:eth1", "lan:port3"]
        mtu: 1400
        ipv4: [192.0.2.3/24]
        ipv6: ["2001:db8:9::3/64"]
"""
DUMMY = """
    nodes: {one: {}}
    links:
      - type: dummy
        endpoint: {node: one, interface: dummy1, ipv4: 192.0.2.1/32, ipv6: "2001:db8:9::1/128"}
"""

_RTMGRP_LINK = 1
_RTM_NEWLINK = 16
_IFLA_IFNAME = 3


@contextmanager
def host_links() -> Iterator[set[str]]:
    """Collect the names of the interfaces that appear in the host's namespace within the context, but other tests'."""
    seen: set[str] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as events:
        events.bind((0, _RTMGRP_LINK))
        yield seen
        events.setblocking(False)
        while True:
            try:
                seen.update(_names(events.recv(65536)))
            except BlockingIOError:
                break
    seen -= {name for name in seen if of_another(name)}
    seen |= names_of_host()


def _names(data: bytes) -> Iterator[str]:
    while data:
        length, kind = struct.unpack_from("=IH", data)
        attributes = data[16 + 16 : length] if kind == _RTM_NEWLINK else b""
        while attributes:
            size, attribute = struct.unpack_from("=HH", attributes)
            if attribute == _IFLA_IFNAME:
                yield attributes[4 : size - 1].decode()
            attributes = attributes[(size + 3) & ~3 :]
        data = data[(length + 3) & ~3 :]


def links_of(instance: Instance) -> dict[str, Any]:
    """Return the interfaces in a node's namespace by name."""

    def look() -> dict[str, Any]:
        with IPRoute() as ip:
            return {link.get_attr("IFLA_IFNAME"): link for link in ip.get_links()}

    return instance.namespace.run(look)


def addresses_of(instance: Instance, interface: str) -> set[tuple[str, int]]:
    def look() -> set[tuple[str, int]]:
        with IPRoute() as ip:
            index = ip.link_lookup(ifname=interface)[0]
            return {(a.get_attr("IFA_ADDRESS"), a["prefixlen"]) for a in ip.get_addr(index=index)}

    return instance.namespace.run(look)


def as_pair(address: Interface) -> tuple[str, int]:
    return str(address.ip), address.network.prefixlen


def processes_of(instance: Instance) -> set[str]:
    """Return the names of a container's processes from its /proc."""
    files = (instance.root / "proc").glob("[0-9]*/comm")
    return {file.read_text().strip() for file in files}


def test_bridge_node_connects_three_nodes(write: Write, deploy: Deploy) -> None:
    before = names_of_host()
    with host_links() as seen:
        lab = deploy(write(SEGMENT))
    assert seen - before == set(), "the host's namespace had an interface of the lab"

    nodes = lab.nodes
    assert nodes["lan"].namespace.path != nodes["one"].namespace.path
    assert Path(nodes["lan"].namespace.path).readlink() != Path("/proc/self/ns/net").readlink()
    links = links_of(nodes["lan"])
    assert links["lan"].get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "bridge"
    assert all(links[port].get_attr("IFLA_MASTER") == links["lan"]["index"] for port in ("port1", "port2", "port3"))

    names = ("one", "two", "three")
    for here in names:
        for there in names:
            if here != there:
                for family in ("ipv4", "ipv6"):
                    address = lab.node(there).address(family)
                    # The bridge passes packets of exactly the link's MTU.
                    lab.node(here).expect_reaches(address, packet_size=1400)
                    assert lab.node(here).echo(address, packet_size=1401).silent

    lab.destroy()
    assert names_of_host() - before == set()


INSIDE = """
    nodes:
      "br0|middle": {kind: bridge, network-mode: "container:middle"}
      "br1|middle": {kind: bridge, network-mode: "container:middle"}
      middle: {cap-add: [NET_ADMIN], exec: [ip address add 192.0.2.9/24 dev br0]}
      one: {}
      two: {}
    links:
      - {endpoints: ["one:eth1", "br0|middle:port1"], ipv4: [192.0.2.1/24], mtu: 1500}
      - {endpoints: ["br0|middle:port2", "two:eth1"], ipv4: ["", 192.0.2.2/24], mtu: 1500}
      - {endpoints: ["one:eth2", "middle:eth1"], mtu: 1500}
"""


def test_bridge_in_the_namespace_of_a_node(write: Write, deploy: Deploy) -> None:
    lab = deploy(write(INSIDE))
    assert set(lab.nodes) == {"middle", "one", "two"}
    links = links_of(lab.nodes["middle"])
    assert {"br0", "br1", "port1", "port2", "eth1"} <= set(links)
    masters = {name: links[name].get_attr("IFLA_MASTER") for name in ("port1", "port2", "eth1")}
    assert masters == {"port1": links["br0"]["index"], "port2": links["br0"]["index"], "eth1": None}
    one, middle = lab.node("one"), lab.node("middle")
    one.expect_reaches(lab.node("two").address("ipv4"))
    one.expect_reaches(ip_address("192.0.2.9"))
    middle.expect_reaches(one.address("ipv4"))


def test_link_ends_have_mac_mtu_and_addresses(write: Write, deploy: Deploy) -> None:
    lab = deploy(write(SEGMENT))
    links = links_of(lab.nodes["one"])
    # Other interfaces are the kernel's, and down.
    assert {name for name, link in links.items() if link["state"] == "up"} == {"lo", "eth1"}
    assert links["eth1"].get_attr("IFLA_ADDRESS") == "02:00:00:00:00:01"
    assert links["eth1"].get_attr("IFLA_MTU") == 1400
    assert {("192.0.2.1", 24), ("2001:db8:9::1", 64)} < addresses_of(lab.nodes["one"], "eth1")


def test_dummy_link_is_an_interface_of_one_node(write: Write, deploy: Deploy, engine: Engine) -> None:
    topology = write(DUMMY)
    before = names_of_host()
    lack: NotSupported | None = None
    try:
        lab = deploy(topology)
    except NotSupported as error:
        lack = error
    if lack is not None:
        assert lack.feature == "dummy"
        assert "one:dummy1" in str(lack)
        assert_nothing_left(topology.name, engine, topology.file.parent / "labs" / topology.name)
        pytest.skip(str(lack))
    assert links_of(lab.nodes["one"])["dummy1"]["state"] == "up"
    assert {("192.0.2.1", 32), ("2001:db8:9::1", 128)} <= addresses_of(lab.nodes["one"], "dummy1")
    assert names_of_host() - before == set()


def test_links_are_up_before_any_daemon_starts(name: str, deploy: Deploy, engine: Engine) -> None:
    """Checked in the two steps that the deploying process reports, while it waits."""
    topology = load("article", name=name)
    ends = [(end, link) for link in topology.links for end in link.endpoints]
    looked: list[str] = []

    def say(step: str) -> None:
        if step.startswith("connecting nodes"):
            for instance in engine.find(name):
                assert "eth1" not in links_of(instance), f"{instance.node} has a link too early"
                looked.append("before")
        if step.startswith("starting OpenVPN"):
            instances = {i.node: i for i in engine.find(name)}
            for instance in instances.values():
                assert processes_of(instance) == {"tini", "sleep"}, instance.node
            for end, link in ends:
                interface = links_of(instances[end.node])[end.interface]
                assert interface["state"] == "up", end
                assert interface.get_attr("IFLA_CARRIER") == 1, end
                assert interface.get_attr("IFLA_MTU") == link.mtu
                assert {as_pair(a) for a in end.addresses} <= addresses_of(instances[end.node], end.interface)
                looked.append("after")

    deploy(topology, say=say, wait=False)
    assert looked == ["before"] * 5 + ["after"] * len(ends)


def test_article_creates_nothing_in_the_hosts_namespace(name: str, deploy: Deploy) -> None:
    before = names_of_host()
    with host_links() as seen:
        lab = deploy(load("article", name=name))
        lab.destroy()
    assert seen - before == set()
