"""Links to the host's network: they carry packets, and nothing of them is left after the lab."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from pyroute2 import IPRoute

from lab.core.errors import InputError
from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from tests.helpers.labs import Deploy, Write, host_interface, names_of_host

pytestmark = pytest.mark.docker

PARENT, PARENT_PEER = host_interface("par0"), host_interface("par1")
ONE, FAR = host_interface("one"), host_interface("far")
LINKS = f"""
    nodes: {{one: {{}}, two: {{}}}}
    links:
      - endpoints: ["one:eth1", "host:{ONE}"]
        ipv4: [192.0.2.2/24]
      - {{type: macvlan, endpoint: {{node: one, interface: mv0, ipv4: 198.51.100.1/24}}, host-interface: {PARENT}}}
      - {{type: macvlan, endpoint: {{node: two, interface: mv0, ipv4: 198.51.100.2/24}}, host-interface: {PARENT}}}
      - {{type: vxlan, endpoint: {{node: two, interface: vx0}}, remote: 192.0.2.2, vni: 77, parent-interface: {ONE}}}
"""


@pytest.fixture
def parent() -> Iterator[None]:
    """An interface of the host for macvlan links."""
    with IPRoute() as ip:
        ip.link("add", ifname=PARENT, kind="veth", peer={"ifname": PARENT_PEER})
        for name in (PARENT_PEER, PARENT):
            (index,) = ip.link_lookup(ifname=name)
            ip.link("set", index=index, state="up")
        yield
        ip.link("del", index=index)


def exists(name: str) -> bool:
    with IPRoute() as ip:
        return bool(ip.link_lookup(ifname=name))


def gone(name: str) -> None:
    wait_for(
        Expectation(
            what=f"{name} to disappear from the host",
            node="host",
            look=lambda: exists(name),
            met=lambda found: not found,
        ),
        within=10,
    )


def test_links_carry_packets_and_vanish_with_the_lab(parent: None, write: Write, deploy: Deploy) -> None:
    before = names_of_host()
    lab: Lab = deploy(write(LINKS))
    assert names_of_host() == before | {ONE}
    two = lab.node("two")
    two.expect_reaches(ip_address("198.51.100.1"))
    with IPRoute() as ip:
        (index,) = ip.link_lookup(ifname=ONE)
        state = ip.get_links(index)[0].get_attr("IFLA_OPERSTATE")
    assert state == "UP"
    shown = two.exec("ip", "-details", "link", "show", "vx0").raise_on_error().stdout
    assert "vxlan id 77 remote 192.0.2.2" in shown
    assert "dstport 14789" in shown
    lab.destroy()
    gone(ONE)
    assert names_of_host() == before


STITCHED = f"""
    nodes: {{far: {{cap-add: [NET_ADMIN]}}, near: {{}}}}
    links:
      - {{endpoints: ["far:eth1", "host:{FAR}"], ipv4: [203.0.113.2/24]}}
      - type: vxlan-stitch
        endpoint: {{node: near, interface: eth1, mac: "02:00:00:00:00:07", ipv4: 198.51.100.1/24}}
        remote: 203.0.113.2
        vni: 78
        dst-port: 4790
        parent-interface: {FAR}
        mtu: 1450
"""


def test_stitched_pair_carries_every_frame_to_the_other_host(write: Write, deploy: Deploy) -> None:
    before = names_of_host()
    lab = deploy(write(STITCHED))
    assert names_of_host() == before | {FAR}
    with IPRoute() as ip:
        (index,) = ip.link_lookup(ifname=FAR)
        ip.addr("add", index=index, address="203.0.113.1", prefixlen=24)
    vxlan = "ip link add vx type vxlan id 78 local 203.0.113.2 remote 203.0.113.1 dstport 4790"
    lab.node("far").exec("sh", "-c", f"{vxlan} && ip link set vx up").raise_on_error()
    lab.node("far").exec("ip", "address", "add", "198.51.100.2/24", "dev", "vx").raise_on_error()
    lab.node("near").expect_reaches(ip_address("198.51.100.2"))
    shown = lab.node("near").exec("ip", "-details", "link", "show", "eth1").raise_on_error().stdout
    assert "veth" in shown
    assert "02:00:00:00:00:07" in shown
    known = lab.node("far").exec("ip", "neighbor", "show", "dev", "vx").stdout
    assert "02:00:00:00:00:07" in known
    lab.destroy()
    gone(FAR)
    assert names_of_host() == before


def test_interface_of_the_host_that_exists_is_left_alone(parent: None, write: Write, deploy: Deploy) -> None:
    body = f'nodes: {{one: {{}}}}\nlinks: [{{endpoints: ["one:eth1", "host:{PARENT}"]}}]'
    with pytest.raises(InputError, match="the host has an interface of that name"):
        deploy(write(body))
    assert PARENT in names_of_host()


def test_long_name_of_the_hosts_end_is_an_alternative_one(write: Write, deploy: Deploy) -> None:
    lab = deploy(write('nodes: {one: {}}\nlinks: [{endpoints: ["one:eth1", "host:lab-end-of-a-link/1"]}]'))
    with IPRoute() as ip:
        (found,) = [link for link in ip.get_links() if "lab-end-of-a-link-1" in alternative_names(link)]
    lab.destroy()
    gone(found.get_attr("IFLA_IFNAME"))


def alternative_names(link: Any) -> list[str]:
    listed = link.get_attr("IFLA_PROP_LIST")
    return listed.get_attrs("IFLA_ALT_IFNAME") if listed else []


def test_missing_interface_of_the_host_is_named(write: Write, deploy: Deploy) -> None:
    body = 'nodes: {one: {}}\nlinks: [{endpoints: ["one:eth1", "macvlan:no-such-if"]}]'
    with pytest.raises(InputError, match="the host has no interface 'no-such-if'"):
        deploy(write(body))
