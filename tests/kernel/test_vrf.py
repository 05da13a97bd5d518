"""A tunnel with its outer side in one VRF and its device in another, which alone has BGP and traffic."""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from ipaddress import IPv6Interface
from socket import AF_INET, AF_INET6
from typing import Any

import pytest
from pyroute2 import IPRoute

from lab.catalogue import load
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.core.process import this_process
from lab.engine import ExecResult
from lab.routing.frr.vty import Vty
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.runtime.router import Router
from tests.helpers.tunnels import ends, expect_lans_reach_each_other

pytestmark = [
    pytest.mark.docker,
    pytest.mark.variants,
    pytest.mark.needs_kernel("vrf"),
]
OUTER, INSIDE = ("outer", 10), ("inside", 20)
MAIN = 254
PROVIDER = "198.51.100.0/24"
GATEWAYS = {"hq": "198.51.100.2", "branch": "198.51.100.6"}
LANS = {"hq": IPv6Interface("2001:db8:1::1/64"), "branch": IPv6Interface("2001:db8:2::1/64")}
USERSPACE = "disable-dco"
BOUND = f"bind-dev {OUTER[0]}"
SITES = {"hq": ("10.255.0.2", 65001, 65002, "10.1.0.0/24", "2001:db8:1::/64"),
         "branch": ("10.255.0.1", 65002, 65001, "10.2.0.0/24", "2001:db8:2::/64")}  # fmt: skip


def in_namespace(node: LabNode, work: Callable[[IPRoute], Any]) -> Any:
    def entered() -> Any:
        with IPRoute() as ip:
            return work(ip)

    return node.running.namespace.run(entered)


def enslave(ip: IPRoute, vrf: tuple[str, int], interface: str) -> None:
    """Put an interface into a VRF, created if missing; the kernel then removes its IPv6 addresses."""
    name, table = vrf
    if not ip.link_lookup(ifname=name):
        ip.link("add", ifname=name, kind="vrf", vrf_table=table)
    (master,) = ip.link_lookup(ifname=name)
    ip.link("set", index=master, state="up")
    ip.link("set", index=ip.link_lookup(ifname=interface)[0], master=master)


def routes(node: LabNode, table: int) -> dict[str, str]:
    """Return the routes of a kernel table with their devices."""

    def work(ip: IPRoute) -> dict[str, str]:
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in ip.get_links()}
        return {
            f"{route.get_attr('RTA_DST')}/{route['dst_len']}": names.get(route.get_attr("RTA_OIF"), "")
            for family in (AF_INET, AF_INET6)
            for route in ip.get_routes(family=family, table=table)
        }

    found: dict[str, str] = in_namespace(node, work)
    return found


def on_both(lab: Lab, work: Callable[[str, IPRoute], None], addresses: Mapping[str, tuple[str, IPv6Interface]]) -> None:
    """Change both sites' devices, and restore the IPv6 addresses that this removes."""
    for name, (interface, address) in addresses.items():
        node = lab.node(name)
        in_namespace(node, partial(work, name))
        node.running.add_addresses(interface, [address])


def separate(lab: Lab) -> None:
    """Put the links to the provider into one VRF, and the LANs into another."""

    def work(name: str, ip: IPRoute) -> None:
        enslave(ip, OUTER, "eth1")
        ip.route("add", dst=PROVIDER, gateway=GATEWAYS[name], table=OUTER[1])
        enslave(ip, INSIDE, "eth2")

    on_both(lab, work, {name: ("eth2", address) for name, address in LANS.items()})


def start_between(lab: Lab, *lines: str) -> None:
    """Start the tunnel in one VRF and put its device into the other; add `lines` to both ends' configuration."""
    tunnel = lab.tunnel("branch", "hq")
    tunnel.stop()
    for process in (tunnel.server.process, tunnel.client.process):
        file = lab.node(process.node).running.files / process.configuration.relative_to("/")
        own, _, _ = file.read_text().partition(BOUND)
        file.write_text("\n".join([own + BOUND, *lines, ""]))
    tunnel.start()
    inner = {
        "hq": (tunnel.device("hq"), tunnel.tunnel.server_ipv6),
        "branch": (tunnel.device("branch"), tunnel.tunnel.client_ipv6),
    }
    on_both(lab, lambda name, ip: enslave(ip, INSIDE, inner[name][0]), inner)


def configure_bgp(lab: Lab, name: str) -> None:
    """Configure a BGP instance in the VRF."""
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
    """A lab for these tests alone, since they change its VRFs."""
    deployed = Lab.deploy(load("p2p-tls", name=f"vrf-{os.getpid()}", openvpn="2.7"), owner=this_process())
    try:
        expect_lans_reach_each_other(*ends(deployed, deployed.tunnel("branch", "hq")))
        deployed.tunnel("branch", "hq").stop()
        separate(deployed)
        yield deployed
    finally:
        deployed.destroy()


@pytest.mark.needs_kernel("ovpn")
def test_dco_ignores_the_vrf(lab: Lab) -> None:
    """DCO routes its packets by the main table despite `bind-dev`: the handshake passes, data does not."""
    hq, branch = lab.router("hq"), lab.router("branch")
    start_between(lab)
    assert crosses(hq).failed
    assert crosses(branch).failed
    start_between(lab, USERSPACE)
    assert not crosses(hq).failed
    assert not crosses(branch).failed


def crosses(router: Router) -> ExecResult:
    """Ping the tunnel's other end from the VRF of its device."""
    return router.exec("ping", "-c", "5", "-i", "0.3", "-W", "2", "-I", INSIDE[0], SITES[router.name][0])


def test_outer_side_and_device_are_in_different_vrfs(lab: Lab) -> None:
    hq, branch = ends(lab, lab.tunnel("branch", "hq"))
    start_between(lab, USERSPACE)
    for name in SITES:
        configure_bgp(lab, name)
    for here, there in ((hq, branch), (branch, hq)):
        wanted = {str(prefix): here.device for prefix in there.router.plan.networks}
        wait_for(
            Expectation(
                what=f"{', '.join(wanted)} in the VRF's table, through the tunnel",
                node=here.router.name,
                look=partial(routes, here.router, INSIDE[1]),
                met=lambda found, wanted=wanted: wanted.items() <= found.items(),  # type: ignore[misc]
                logs=here.router.running.files,
            ),
            within=60,
        )
        # Neither the main table nor the outer VRF's has a route to the other site.
        for table in (MAIN, OUTER[1]):
            assert not wanted.keys() & routes(here.router, table).keys()
    for family in FAMILIES:
        hq.host.expect_reaches(branch.host.address(family))
