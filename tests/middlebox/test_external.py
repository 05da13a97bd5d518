"""RouterOS as an external node: started and linked by the lab, configured by its commands, checked at the other end."""

import os
import time
from collections.abc import Iterator

import pytest

from lab.catalogue import find_topology
from lab.core.errors import EnvironmentBroken, InputError
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.core.process import this_process
from lab.image import NODE_IMAGE
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.status.overview import report
from lab.topology import Prefix
from tests.helpers.edited import edited
from tests.helpers.stand_in import StandIn

pytestmark = [pytest.mark.docker, pytest.mark.variants]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The topology `routeros`, with a Debian container instead of RouterOS's image."""
    topology = edited(
        find_topology("routeros"),
        (
            "image: vrnetlab/mikrotik_routeros:${ROUTEROS:=7.20}",
            f"image: {NODE_IMAGE}:2.7\n      cmd: sleep infinity\n      group: router",
        ),
        ("devices: [/dev/kvm, /dev/net/tun]", "devices: [/dev/net/tun]"),
        name=f"external-{os.getpid()}",
        openvpn="2.7",
    )
    with Lab.deploy(topology, owner=this_process()) as lab:
        yield lab
    lab.destroy()


def test_external_node_is_connected_and_not_waited_for(lab: Lab) -> None:
    ros = lab.node("ros")
    assert "eth1" in ros.exec("ip", "-brief", "link").stdout
    assert "203.0.113.1" not in ros.exec("ip", "-brief", "address").stdout
    lab.wait_ready()
    with pytest.raises(EnvironmentBroken, match="tunnel ros-hq is down: the server has no client"):
        lab.tunnel("ros-hq").status()
    assert [(t.name, t.up) for t in report(lab).tunnels] == [("ros-hq", False)]
    assert {n.name: n.role for n in report(lab).nodes}["ros"] == "external"
    with pytest.raises(InputError, match="node 'ros' is external: the lab runs no routing daemon in it"):
        lab.router("ros")


def test_external_node_configured_by_the_commands_exchanges_routes(lab: Lab) -> None:
    """Tunnel, session, routes of both families, traffic between the LANs, and changing prefixes."""
    hq, hosts = lab.router("hq"), (lab.host("hq-lan"), lab.host("ros-lan"))
    since = time.monotonic()
    StandIn(lab, lab.node("ros")).import_commands()
    hq.expect_session("ros", within=60, since=since)
    router = lab.topology.nodes["ros"].intent.router
    assert router is not None
    hq.expect_in_fib(router.networks, via="tun0", within=60, since=since)
    status = lab.tunnel("ros-hq").status()
    assert (status.cipher, status.client_pid) == ("AES-256-GCM", None)
    assert all(t.up for t in report(lab).tunnels)
    for here, there in (hosts, hosts[::-1]):
        for family in FAMILIES:
            here.expect_reaches(there.address(family))
    for family in FAMILIES:
        prefix = lab.free_prefix(family)
        with hq.announced(prefix):
            expect_route(lab.node("ros"), prefix, there=True)
        expect_route(lab.node("ros"), prefix, there=False)
    # The lab's end can be restarted, and the other one reconnects.
    tunnel = lab.tunnel("ros-hq")
    tunnel.stop()
    assert not tunnel.server.running
    since = time.monotonic()
    tunnel.start()
    hq.expect_session("ros", within=60, since=since)
    with pytest.raises(InputError, match=r"OpenVPN client of ros-hq \(external\) does not run"):
        lab.fault("openvpn-killed", tunnel="ros-hq")


def expect_route(node: LabNode, prefix: Prefix, *, there: bool) -> None:
    """Wait for a route, or its absence, in the kernel of a node whose daemon the lab cannot query."""
    wait_for(
        Expectation(
            what=f"{'a' if there else 'no'} route to {prefix}",
            node=node.name,
            look=lambda: prefix in node.fib.routes(),
            met=lambda found: found is there,
            changed=node.fib.waiter(),
        ),
        within=30,
    )
