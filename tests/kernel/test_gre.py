"""BGP over GRE inside OpenVPN: sessions, routes and packets of both families take GRE, and GRE takes the tunnel."""

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import GRE

from lab.observe import CapturedPacket
from lab.runtime.lab import Lab
from tests.helpers.sites import Site
from tests.helpers.tunnels import expect_lans_reach_each_other, expect_prefixes_come_and_go

pytestmark = [
    pytest.mark.docker,
    pytest.mark.variants,
    pytest.mark.needs_kernel("gre"),
    pytest.mark.topology("gre.clab.yml", openvpn="2.7"),
]
DEVICE = "gre1"


def is_gre(packet: CapturedPacket) -> bool:
    frame = packet.decode()
    return IP in frame and frame[IP].src.startswith("10.255.0.") and GRE in frame


def test_prefixes_appear_and_disappear_over_gre_in_openvpn(lab: Lab) -> None:
    hq, branch = (Site(lab.router(name), lab.host(f"{name}-lan"), DEVICE) for name in ("hq", "branch"))
    for here, there in ((hq, branch), (branch, hq)):
        here.router.expect_in_fib(there.router.plan.networks, via=DEVICE, alone=True)
    with hq.router.capture(lab.tunnel("branch", "hq").device("hq")) as tunnel:
        expect_lans_reach_each_other(hq, branch)
        tunnel.expect("GRE in the tunnel", is_gre)
    expect_prefixes_come_and_go(lab, hq, branch)
    # Control: GRE fails without the tunnel, although its device stays.
    openvpn = lab.tunnel("branch", "hq")
    openvpn.stop()
    try:
        branch.router.expect_no_route(hq.router.plan.networks)
        assert branch.host.echo(hq.host.address("ipv4"), count=3, wait=0.5).silent
    finally:
        openvpn.start()
    lab.wait_ready()
    expect_lans_reach_each_other(hq, branch)
