"""The kernel's data channel: shown where the kernel has it, refused by name where it has not."""

import os

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from lab.catalogue import load
from lab.engine import open_engine
from lab.errors import NotSupported
from lab.host.doctor import probe_kernel
from lab.lab import Lab
from lab.status import report
from tests.modes.checks import ends, expect_lans_reach_each_other, expect_prefixes_come_and_go, site

pytestmark = [pytest.mark.docker, pytest.mark.convergence]

MARK = b"whoever reads this has got the packet"
SWITCHED = {"mode": "dco"}


@pytest.mark.needs_kernel("ovpn")
@pytest.mark.topology("dco-hub", openvpn="2.7")
def test_the_kernel_routes_for_all_spokes(lab: Lab) -> None:
    tunnel, other = lab.tunnel("spoke1", "hub"), lab.tunnel("spoke2", "hub")
    assert {t.channel for t in report(lab).tunnels} == {"kernel"}
    hub, spoke1 = ends(lab, tunnel)
    spoke2 = site(lab, other, "spoke2")
    expect_lans_reach_each_other(hub, spoke1)
    expect_lans_reach_each_other(spoke1, spoke2)
    expect_prefixes_come_and_go(lab, spoke1, spoke2)


@pytest.mark.needs_kernel("ovpn")
@pytest.mark.topology("dco-hub", openvpn="2.7")
def test_multicast_does_not_pass(lab: Lab) -> None:
    """Why OSPF, RIP and unnumbered BGP are refused: the kernel looks for the peer that a packet is for."""
    hub, spoke, tunnel = lab.node("hub"), lab.node("spoke1"), lab.tunnel("spoke1", "hub").tunnel
    for groups, here, there in (
        (("224.0.0.5", "224.0.0.9"), tunnel.server_ipv4.ip, tunnel.client_ipv4.ip),
        (("ff02::5", "ff02::9", "ff02::1"), tunnel.server_ipv6.ip, tunnel.client_ipv6.ip),
    ):
        header = IP if here.version == 4 else IPv6
        with spoke.capture(tunnel.device) as arriving:
            # One behind the other: where the last has arrived, the first will not come any more.
            for destination in (*groups, str(there)):
                hub.send(header(src=str(here), dst=destination) / Raw(MARK), tunnel.server_device)
            arriving.expect("what is for its own address", lambda packet: MARK in packet.data)
        # The spoke answers with an ICMP error that quotes it, so what it sends itself is left aside.
        marked = [packet.decode() for packet in arriving.packets if MARK in packet.data]
        assert [packet.dst for packet in marked if packet.src == str(here)] == [str(there)]


def test_a_kernel_without_it_is_named_and_nothing_is_left() -> None:
    name = f"no-dco-{os.getpid()}"
    engine = open_engine()
    topology = load("tap-hub", name=name, openvpn="2.7", tunnel=SWITCHED)
    features = probe_kernel()
    if isinstance(features, str) or features["ovpn"] is None:
        pytest.skip("this kernel has ovpn devices")
    with pytest.raises(NotSupported, match="mode dco") as refusal:
        Lab.deploy(topology, engine=engine)
    assert refusal.value.feature == "ovpn"
    assert engine.find(name) == []
