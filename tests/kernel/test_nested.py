"""Kernel tunnels inside OpenVPN: MTU, fragmentation, and path MTU discovery."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from lab.claims.claims import Claim
from lab.runtime.lab import Lab
from lab.topology.links import ETHERNET_MTU
from tests.helpers.datagrams import Sent, datagrams, fragments
from tests.helpers.nested import DEVICE, KINDS, WAYS, Kind, nested

FEATURES = tuple(dict.fromkeys(kind.feature for kind in KINDS))
NARROW = 1300
FEW, MANY = 20, 300

pytestmark = [
    pytest.mark.docker,
    pytest.mark.needs_kernel("ovpn", *FEATURES),
    pytest.mark.topology("nested.clab.yml", openvpn="2.7"),
]


def each_kind(question: int) -> pytest.MarkDecorator:
    """Each kind of tunnel over each path; by default one path per kind, another one in each test."""
    cases = [
        pytest.param(kind, way, id=f"{kind.kind}-over-{kind.outer}-{way}", marks=marks)
        for number, kind in enumerate(KINDS)
        for way in WAYS
        for marks in [() if way == WAYS[(number + question) % len(WAYS)] else pytest.mark.thorough]
    ]
    return pytest.mark.parametrize(("kind", "way"), cases)


@pytest.mark.claims("secondary tunnels are easy: each kind works inside OpenVPN as over a bare wire", article="says so")
def test_nested_tunnel_has_the_mtu_of_a_bare_wire(lab: Lab, claim: Claim) -> None:
    for kind in KINDS:
        for way in WAYS:
            with nested(lab, kind, way) as tunnel:
                for family in tunnel.families:
                    largest = tunnel.largest(family, likely=kind.mtu)
                    claim.echo(f"{kind}, {way}: packets of {largest} bytes of {family} pass")
                    assert largest == kind.mtu, (str(kind), way, family)
    claim.holds()


@each_kind(0)
def test_path_mtu_discovery_works_through_a_nested_tunnel(lab: Lab, kind: Kind, way: str) -> None:
    """ICMP comes from the tunnel's start, and from beyond its end; packets of the learnt size pass."""
    h1, h2 = lab.node("h1"), lab.node("h2")
    with nested(lab, kind, way) as tunnel:
        for family in tunnel.families:
            with datagrams(h1, h2, family) as packets:
                assert packets.send_until(ETHERNET_MTU).refused == kind.mtu, family
                assert packets.send_until(kind.mtu).arrived, family
                with narrower(lab, NARROW):
                    assert packets.send_until(kind.mtu).refused == NARROW, family
                    assert packets.send_until(NARROW).arrived, family


@each_kind(1)
def test_fragments_are_made_inside_a_nested_tunnel(lab: Lab, kind: Kind, way: str) -> None:
    """The router at its start fragments IPv4, the sender IPv6; outer packets are not fragmented."""
    h1, h2, r1 = lab.node("h1"), lab.node("h2"), lab.node("r1")
    with nested(lab, kind, way) as tunnel:
        for family in tunnel.families:
            before, inside, outside = (r1.capture(interface) for interface in ("eth2", DEVICE, tunnel.below))
            with before, inside, outside, datagrams(h1, h2, family) as packets:
                assert packets.send_until(ETHERNET_MTU, fragment=True).arrived, family
            assert fragments(inside.packets), family
            assert bool(fragments(before.packets)) == (family == "ipv6"), family
            assert not fragments(outside.packets), family


@each_kind(2)
def test_nested_tunnel_with_too_large_mtu(lab: Lab, kind: Kind, way: str) -> None:
    """With MTU 1500 at its ends, most kinds return an ICMP error; others fragment outer packets, or lose them."""
    h1, h2, r1 = lab.node("h1"), lab.node("h2"), lab.node("r1")
    with nested(lab, kind, way, mtu=ETHERNET_MTU) as tunnel:
        for family in tunnel.families:
            outside = r1.capture(tunnel.below)
            with outside, datagrams(h1, h2, family) as packets:
                sent = packets.send_until(ETHERNET_MTU, tries=FEW if family in kind.lost else MANY)
                assert packets.send_until(kind.mtu).arrived, family
            if family in kind.lost:
                assert sent == Sent(False), family
            else:
                assert sent == {"told": Sent(False, kind.mtu), "cut": Sent(True)}[kind.too_large], family
            assert bool(fragments(outside.packets)) == (kind.too_large == "cut"), family


@pytest.mark.parametrize(
    "way", ["dco", *(pytest.param(way, marks=pytest.mark.thorough) for way in WAYS if way != "dco")]
)
def test_vxlan_over_ipv6_loses_large_ipv4_packets(lab: Lab, way: str) -> None:
    """The device knows the path MTU, but by default a router does not use it."""
    h1, h2, r1 = lab.node("h1"), lab.node("h2"), lab.node("r1")
    (kind,) = (kind for kind in KINDS if kind.lost)
    with nested(lab, kind, way, mtu=ETHERNET_MTU):
        for believes, became in (("0", Sent(False)), ("1", Sent(False, kind.mtu)), ("0", Sent(False))):
            r1.running.namespace.run(partial(Path("/proc/sys/net/ipv4/ip_forward_use_pmtu").write_text, believes))
            with datagrams(h1, h2, "ipv4") as packets:
                assert packets.send_until(ETHERNET_MTU, tries=MANY if became.refused else FEW) == became


def test_openvpn_fragments_the_outer_packets(lab: Lab) -> None:
    """A full inner packet exceeds the MTU outside: IP fragments over UDP, segments over TCP, no ICMP error."""
    h1, h2, r1 = lab.node("h1"), lab.node("h2"), lab.node("r1")
    kind = KINDS[0]
    for way in WAYS:
        with nested(lab, kind, way) as tunnel:
            for family in tunnel.families:
                inside, outside = r1.capture(tunnel.below), r1.capture("eth1")
                with inside, outside, datagrams(h1, h2, family) as packets:
                    assert packets.send_until(kind.mtu).arrived, (way, family)
                assert not fragments(inside.packets), (way, family)
                assert bool(fragments(outside.packets)) == (way in ("udp", "dco")), (way, family)


@contextmanager
def narrower(lab: Lab, mtu: int) -> Iterator[None]:
    """Reduce the MTU of the link from r2 to h2 for the context."""
    r2 = lab.node("r2")
    namespace, interface = r2.running.namespace, r2.interface_to("h2").interface
    namespace.run(lambda: _set_mtu(interface, mtu))
    try:
        yield
    finally:
        namespace.run(lambda: _set_mtu(interface, ETHERNET_MTU))


def _set_mtu(interface: str, mtu: int) -> None:
    with IPRoute() as ip:
        ip.link("set", index=ip.link_lookup(ifname=interface)[0], mtu=mtu)
