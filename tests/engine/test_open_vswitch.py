"""Bridges of Open vSwitch: they forward as bridges do, and obey their own commands."""

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from lab.core.expect import Expectation, wait_for
from lab.core.process import this_process
from lab.engine import Engine
from lab.runtime.lab import Lab
from lab.status.overview import report
from tests.helpers.labs import new_name, topology

pytestmark = pytest.mark.docker

BODY = """
    nodes: {one: {}, two: {}, br-left: {kind: ovs-bridge}, br-right: {kind: ovs-bridge}}
    links:
      - {endpoints: ["one:eth1", "br-left:one"], ipv4: [192.0.2.1/24], ipv6: ["2001:db8::1/64"], mtu: 1500}
      - {endpoints: ["br-left:trunk", "br-right:trunk2"], mtu: 1500}
      - {endpoints: ["br-right:two", "two:eth1"], ipv4: ["", 192.0.2.2/24], ipv6: ["", "2001:db8::2/64"], mtu: 1500}
"""


@pytest.fixture(scope="module")
def lab(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    place = tmp_path_factory.mktemp("ovs")
    wanted = topology(place, new_name(), BODY)
    lab = Lab.deploy(wanted, engine=engine, directory=place / "lab", owner=this_process())
    yield lab
    lab.destroy()


def test_frames_pass_in_both_families(lab: Lab) -> None:
    for address in ("192.0.2.2", "2001:db8::2"):
        lab.node("one").expect_reaches(ip_address(address))
    assert {node.role for node in report(lab).nodes} == {"host", "bridge"}


def test_tcp_passes_with_right_checksums(lab: Lab) -> None:
    two = lab.node("two")
    two.exec("iperf3", "--server", "--daemon").raise_on_error()
    wait_for(
        Expectation(
            what="iperf3 to send 1 MB",
            node="one",
            look=lambda: lab.node("one").exec("iperf3", "-c", "192.0.2.2", "-n", "1M", "--connect-timeout", "3000"),
            met=lambda result: not result.failed,
        ),
        within=60,
    )


def test_flows_decide(lab: Lab) -> None:
    switch = lab.node("br-left")
    assert switch.exec("ovs-vsctl", "list-ports", "br-left").stdout.split() == ["one", "trunk"]
    switch.exec("ovs-ofctl", "add-flow", "br-left", "priority=9,in_port=one,actions=drop").raise_on_error()
    assert lab.node("one").exec("ping", "-c", "1", "-W", "1", "192.0.2.2").failed
    switch.exec("ovs-ofctl", "--strict", "del-flows", "br-left", "priority=9,in_port=one").raise_on_error()
    lab.node("one").expect_reaches(ip_address("192.0.2.2"))
