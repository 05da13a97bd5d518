"""FreeBSD and OpenBSD as external nodes: configured by files, in substitutes, and checked at the other end."""

import os
from collections.abc import Iterator

import pytest

from lab.catalogue import find_topology
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.core.process import this_process
from lab.image import NODE_IMAGE
from lab.runtime.lab import Lab
from lab.status.overview import report
from tests.helpers.bsd_stand_in import FreeBsdStandIn, OpenBsdStandIn
from tests.helpers.edited import edited

pytestmark = [pytest.mark.docker, pytest.mark.variants]

DEBIAN = "image: {}\n      cmd: sleep infinity\n      group: router"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The topology `bsd`, with Debian containers instead of the images of BSDs."""
    topology = edited(
        find_topology("bsd"),
        ("image: vrnetlab/vr-freebsd:${FREEBSD:=14.2}", DEBIAN.format(f"{NODE_IMAGE}:2.6")),
        ("image: vrnetlab/vr-openbsd:${OPENBSD:=7.6}", DEBIAN.format("openvpn-routing-lab/openbgpd")),
        ("cap-add: [NET_ADMIN]", "cap-add: [NET_ADMIN, SYS_ADMIN]"),  # Debian's FRR wants it
        ("devices: [/dev/kvm, /dev/net/tun]", "devices: [/dev/net/tun]"),
        name=f"bsd-{os.getpid()}",
        openvpn="2.6",
    )
    with Lab.deploy(topology, owner=this_process()) as lab:
        yield lab
    lab.destroy()


def test_bsds_are_external(lab: Lab) -> None:
    found = report(lab)
    assert {node.name: node.role for node in found.nodes if node.name.endswith("bsd")} == {
        "freebsd": "external",
        "openbsd": "external",
    }
    assert [tunnel.up for tunnel in found.tunnels] == [False, False]


def test_files_for_freebsd_bring_up_tunnel_session_and_traffic(lab: Lab) -> None:
    FreeBsdStandIn(lab, lab.node("freebsd")).boot()
    hq = lab.router("hq")
    hq.expect_session("freebsd", within=60)
    router = lab.topology.nodes["freebsd"].intent.router
    assert router is not None
    hq.expect_in_fib(router.networks, via=lab.topology.tunnels[0].server_device, within=60)
    for family in FAMILIES:
        lab.host("hq-lan").expect_reaches(lab.host("freebsd-lan").address(family))


def test_files_for_openbsd_bring_up_tunnel_and_routes_of_both_families(lab: Lab) -> None:
    OpenBsdStandIn(lab, lab.node("openbsd")).boot()
    hq = lab.router("hq")
    hq.expect_session("openbsd", within=60)
    router = lab.topology.nodes["openbsd"].intent.router
    assert router is not None
    hq.expect_in_fib(router.networks, via=lab.topology.tunnels[1].server_device, within=60)
    wait_for(  # OpenBGPD's portable edition has no access to Linux's routing table
        Expectation(
            what="routes of both families in OpenBGPD",
            node="openbsd",
            look=lambda: lab.node("openbsd").exec("bgpctl", "show", "rib", "best").stdout,
            met=lambda shown: "10.1.0.0/24" in shown and "2001:db8:1::/64" in shown,
        ),
        within=60,
    )
