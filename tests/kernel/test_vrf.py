"""A tunnel whose outer side is in one VRF and whose inside is in another: BGP and traffic in the second alone."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pyroute2 import IPRoute

from lab.catalogue import load
from lab.engine import ExecResult
from lab.expect import Expectation, wait_for
from lab.lab import Lab
from lab.node import LabNode
from lab.owner import this_process
from lab.router import FAMILIES, Router
from lab.routing.frr.vty import Vty
from tests.modes.checks import ends, expect_lans_reach_each_other

pytestmark = [
    pytest.mark.docker,
    pytest.mark.convergence,
    pytest.mark.needs_kernel("vrf"),
]
OUTER, INSIDE = ("outer", 10), ("inside", 20)
PROVIDER = "198.51.100.0/24"
GATEWAYS = {"hq": "198.51.100.2", "branch": "198.51.100.6"}
LANS = {"hq": "2001:db8:1::1/64", "branch": "2001:db8:2::1/64"}
USERSPACE = "disable-dco"
SITES = {"hq": ("10.255.0.2", 65001, 65002, "10.1.0.0/24", "2001:db8:1::/64"),
         "branch": ("10.255.0.1", 65002, 65001, "10.2.0.0/24", "2001:db8:2::/64")}  # fmt: skip


def in_namespace(node: LabNode, work: Callable[[IPRoute], Any]) -> Any:
    def entered() -> Any:
        with IPRoute() as ip:
            return work(ip)

    return node.running.namespace.run(entered)


def enslave(node: LabNode, vrf: tuple[str, int], interface: str) -> None:
    """Put an interface into a VRF, which is made where it is not there; IPv6 addresses stay (keep_addr_on_down)."""
    name, table = vrf

    def work(ip: IPRoute) -> None:
        if not ip.link_lookup(ifname=name):
            ip.link("add", ifname=name, kind="vrf", vrf_table=table)
        (master,) = ip.link_lookup(ifname=name)
        ip.link("set", index=master, state="up")
        (index,) = ip.link_lookup(ifname=interface)
        ip.link("set", index=index, master=master)

    in_namespace(node, work)


def routes(node: LabNode, table: str) -> str:
    four, six = (node.exec("ip", f, "route", "show", "table", table).stdout for f in ("-4", "-6"))
    return four + six


@contextmanager
def in_two_vrfs(lab: Lab, *lines: str) -> Iterator[None]:
    """The wires to the provider in one VRF, the tunnel and the LANs in another; `lines` are OpenVPN's, at both ends."""
    tunnel = lab.tunnel("branch", "hq")
    tunnel.stop()
    for name in SITES:
        node = lab.node(name)
        enslave(node, OUTER, "eth1")
        node.exec("ip", "route", "add", PROVIDER, "via", GATEWAYS[name], "table", str(OUTER[1])).raise_on_error()
        enslave(node, INSIDE, "eth2")
        node.exec("ip", "-6", "addr", "add", LANS[name], "dev", "eth2")  # it leaves with the change of tables
    wanted = [f"bind-dev {OUTER[0]}", *lines]
    with tunnel.extended(server=wanted, client=wanted):
        tunnel.wait_connected()
        for name in SITES:
            node, device = lab.node(name), tunnel.device(name)
            address = tunnel.tunnel.server_ipv6 if name == "hq" else tunnel.tunnel.client_ipv6
            enslave(node, INSIDE, device)
            node.exec("ip", "-6", "addr", "add", str(address), "dev", device)  # leaves with the change of tables
        try:
            yield
        finally:
            for name in SITES:
                node = lab.node(name)
                for vrf, _ in (OUTER, INSIDE):
                    node.exec("ip", "link", "delete", vrf).raise_on_error()
                node.exec("ip", "route", "replace", PROVIDER, "via", GATEWAYS[name]).raise_on_error()
                node.exec("ip", "-6", "addr", "replace", LANS[name], "dev", "eth2").raise_on_error()


def speak_bgp(lab: Lab, name: str) -> None:
    """A BGP instance of the VRF's own."""
    neighbor, asn, other, four, six = SITES[name]
    with Vty(lab.router(name).running.root, "bgpd") as bgpd:
        bgpd.configure(
            [
                f"router bgp {asn} vrf {INSIDE[0]}",
                "no bgp ebgp-requires-policy",
                "no bgp network import-check",
                f"neighbor {neighbor} remote-as {other}",
                f"neighbor {neighbor} timers 1 3",
                f"neighbor {neighbor} timers connect 1",
                "address-family ipv4 unicast",
                f"network {four}",
                "exit-address-family",
                "address-family ipv6 unicast",
                f"neighbor {neighbor} activate",
                f"network {six}",
            ]
        )


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab of these tests' own: nobody else should find what they leave in its daemons."""
    deployed = Lab.deploy(load("p2p-tls", name=f"vrf-{os.getpid()}", openvpn="2.7"), owner=this_process())
    try:
        yield deployed
    finally:
        deployed.destroy()


@pytest.mark.needs_kernel("ovpn")
def test_the_kernels_data_channel_looks_for_no_vrf(lab: Lab) -> None:
    """Its packets are routed by the main table, whatever `bind-dev` says: the handshake passes, and no packet does."""
    hq, branch = lab.router("hq"), lab.router("branch")
    with in_two_vrfs(lab):
        assert crosses(hq).failed
        assert crosses(branch).failed
    lab.wait_ready()
    with in_two_vrfs(lab, USERSPACE):
        assert not crosses(hq).failed
        assert not crosses(branch).failed
    lab.wait_ready()


def crosses(router: Router) -> ExecResult:
    """Ask the tunnel's other end, from the VRF that it is in."""
    return router.exec("ping", "-c", "5", "-W", "2", "-I", INSIDE[0], SITES[router.name][0])


def test_outer_and_inner_side_are_in_vrfs_of_their_own(lab: Lab) -> None:
    hq, branch = ends(lab, lab.tunnel("branch", "hq"))
    expect_lans_reach_each_other(hq, branch)
    with in_two_vrfs(lab, USERSPACE):
        for name in SITES:
            speak_bgp(lab, name)
        for here, there in ((hq, branch), (branch, hq)):
            wanted = [str(prefix) for prefix in there.router.plan.networks]
            wait_for(
                Expectation(
                    what=f"{', '.join(wanted)} in the VRF's table, through the tunnel",
                    node=here.router.name,
                    look=lambda node=here.router: routes(node, str(INSIDE[1])),  # type: ignore[misc]
                    met=lambda text, wanted=wanted, device=here.device: all(  # type: ignore[misc]
                        any(line.startswith(prefix) and f"dev {device}" in line for line in text.splitlines())
                        for prefix in wanted
                    ),
                    logs=here.router.running.files,
                ),
                within=60,
            )
            # Neither the main table nor the outer VRF's knows anything of the other site.
            for table in ("main", str(OUTER[1])):
                assert not [prefix for prefix in wanted if prefix in routes(here.router, table)]
        for family in FAMILIES:
            hq.host.expect_reaches(branch.host.address(family))
