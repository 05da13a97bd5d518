"""Silent failures of DCO, each with a remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from lab.claims.claims import Claim
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.routing.frr.vty import Vty
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.topology import Prefix
from lab.tunnel import ManagementError
from lab.why.inner import Header, lost_in_tunnel
from tests.helpers.article import expect_log
from tests.helpers.dco import expect_kernel, spokes
from tests.helpers.sites import Site
from tests.helpers.tunnels import route_option, site
from tests.helpers.why import expect_loss, expect_no_loss

pytestmark = [
    pytest.mark.docker,
    pytest.mark.needs_kernel("ovpn"),
    pytest.mark.topology("dco-hub", openvpn="2.7"),
]


@pytest.fixture
def hub(lab: Lab) -> Site:
    expect_kernel(lab)
    return site(lab, lab.tunnel("spoke1", "hub"), "hub")


@contextmanager
def link_local_next_hops(router: Router) -> Iterator[None]:
    """Restore FRR's default for the context: of two IPv6 next hops it uses the link-local one."""

    def configure(line: str) -> None:
        with Vty(router.running.root, "bgpd") as bgpd:
            bgpd.configure(["route-map FROM-PEERS permit 10", line])
        router.reset()

    configure("no set ipv6 next-hop prefer-global")
    try:
        yield
    finally:
        configure("set ipv6 next-hop prefer-global")


@pytest.mark.claims("over DCO IPv6 passes with FRR's default next hop, as IPv4 does")
def test_ipv6_is_lost_with_frrs_default_next_hop(lab: Lab, hub: Site, claim: Claim) -> None:
    one, _ = spokes(lab)
    networks = one.router.plan.networks
    (six,) = (prefix for prefix in networks if prefix.version == 6)

    def link_local() -> bool:
        entry = hub.router.fib.route(six)
        return entry is not None and all(hop.is_link_local for hop in entry.next_hops)

    with link_local_next_hops(hub.router):
        hub.router.expect_session("spoke1")
        hub.router.expect_route(networks, via=hub.device)
        wait_for(Expectation(what=f"{six} via a link-local address", node="hub", look=link_local, met=bool), within=30)
        claim.rib_entry(hub.router, six)
        hub.host.expect_reaches(one.host.address("ipv4"))
        lost = hub.host.echo(one.host.address("ipv6"), count=3)
        assert lost.silent, f"{lost}: the kernel knows no peer of a link-local address"
        cause = expect_loss(lab, hub, one, "ipv6", "dco-link-local")
        assert "`set ipv6 next-hop prefer-global`" in cause.mend
        claim.echo(lost)
    hub.router.expect_session("spoke1")
    hub.router.expect_route(networks, via=hub.device)
    for family in FAMILIES:
        hub.host.expect_reaches(one.host.address(family))
        expect_no_loss(lab, hub, one, family)
    claim.does_not_hold(
        "sessions are up, routes are in the FIB, and every IPv6 packet is lost: the kernel knows no peer of a "
        "link-local address. `set ipv6 next-hop prefer-global` in an inbound route map fixes it"
    )


@contextmanager
def with_address_in(node: Site, prefix: Prefix) -> Iterator[str]:
    """Give a site's host another address, to which no router has a route; yield it."""
    interface, address = node.host.interface_to(node.router).interface, ip_interface(f"{prefix[1]}/32")
    node.host.running.add_addresses(interface, [address])
    try:
        yield str(address.ip)
    finally:
        node.host.running.remove_addresses(interface, [address])


@contextmanager
def routed(router: Router, *route: str) -> Iterator[None]:
    router.exec("ip", "route", "add", *route).raise_on_error()
    try:
        yield
    finally:
        router.exec("ip", "route", "del", *route).raise_on_error()


@contextmanager
def rp_filter(router: Router, value: str) -> Iterator[None]:
    """Set the kernel's reverse path filter (RFC 3704) on all interfaces."""
    files = [Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter") for name in ("all", "default", "tun0")]
    namespace = router.running.namespace
    before = [namespace.run(file.read_text) for file in files]
    for file in files:
        namespace.run(partial(file.write_text, value))
    try:
        yield
    finally:
        for file, old in zip(files, before, strict=True):
            namespace.run(partial(file.write_text, old))


@pytest.mark.claims("a packet from a spoke reaches the hub over DCO, wherever its source is routed")
def test_packet_needs_a_route_back_to_its_peer(lab: Lab, hub: Site, claim: Claim) -> None:
    one, _ = spokes(lab)
    prefix = ip_network("10.77.0.0/24")
    mine, wrong = (lab.tunnel(name, "hub").tunnel.client_ipv4.ip for name in ("spoke1", "spoke2"))

    def arrives() -> bool:
        """Return whether echo requests from that source arrive at the hub's device, answered or not."""
        with hub.router.capture(hub.device) as inside:
            from_host = one.host.exec(
                "ping", "-c", "3", "-i", "0.3", "-W", "1", "-I", source, str(hub.host.address("ipv4"))
            )
            # This one passes, and earlier packets have arrived before it.
            one.host.expect_reaches(hub.host.address("ipv4"))
        mark = ip_address(source).packed
        came = any(mark in packet.data for packet in inside.packets if not packet.outgoing)
        assert came or from_host.failed, "answered, but not captured"
        return came

    with with_address_in(one, prefix) as source, routed(one.router, str(prefix), "dev", "eth2"):
        expect_wrong_peer(lab, hub, source, "does not lead to a client")
        with routed(hub.router, str(prefix), "via", str(wrong), "dev", hub.device):
            expect_wrong_peer(lab, hub, source, "leads to spoke2")
        for value in ("0", "2"):
            with rp_filter(hub.router, value):
                assert not arrives(), "there is no route back"
                with routed(hub.router, str(prefix), "via", str(wrong), "dev", hub.device):
                    assert not arrives(), "the route back leads to another peer"
                with routed(hub.router, str(prefix), "via", str(mine), "dev", hub.device):
                    assert arrives(), "the route back leads to the peer it came from"
        claim.echo(
            f"from {source} behind spoke1: lost without a route back and with one to spoke2, passes with one back"
        )
    for family in FAMILIES:
        one.host.expect_reaches(hub.host.address(family))
    claim.does_not_hold(
        "the kernel drops packets whose source is not routed back to the peer they came from, whatever `rp_filter` is "
        "set to: with asymmetric routing, and from sources that no router announces"
    )


def expect_wrong_peer(lab: Lab, hub: Site, source: str, words: str) -> None:
    """Expect the cause why a packet from a source behind spoke1 is lost."""
    header = Header(ip_address(source), hub.host.address("ipv4"), 84)
    found = lost_in_tunnel(lab, lab.tunnel("spoke1", "hub"), "spoke1", header)
    assert [cause.kind for cause in found.causes] == ["dco-wrong-peer"], found
    assert words in found.causes[0].what


@pytest.mark.claims("over DCO a route through the device needs no next hop")
def test_route_without_next_hop_over_dco(lab: Lab, hub: Site, claim: Claim) -> None:
    one, _ = spokes(lab)
    prefix = lab.free_prefix("ipv4")
    peer = str(lab.tunnel("spoke1", "hub").tunnel.client_ipv4.ip)
    with one.router.serving(prefix, one.host) as address:
        with routed(hub.router, str(prefix), "dev", hub.device):
            lost = hub.host.echo(address, count=3)
            assert lost.silent, f"{lost}, although the route names no peer"
            header = Header(hub.host.address("ipv4"), address, 84)
            found = lost_in_tunnel(lab, lab.tunnel("spoke1", "hub"), "hub", header)
            assert [cause.kind for cause in found.causes] == ["dco-no-next-hop"], found
            claim.echo(lost)
        with routed(hub.router, str(prefix), "via", peer, "dev", hub.device):
            claim.echo(hub.host.expect_reaches(address))
    claim.does_not_hold("the next hop selects the peer: without `via` the packet reaches none")


@pytest.mark.claims("the article's `iroute 0.0.0.0 0.0.0.0` does no harm over DCO")
def test_iroute_for_everything_over_dco(lab: Lab, hub: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("spoke1", "hub")
    everything = ip_network("0.0.0.0/0")
    file = hub.router.running.files / tunnel.server.process.files.relative_to("/") / "clients" / "spoke1"
    before = file.read_text()
    hub.router.expect_not_in_fib(everything)
    size = tunnel.server.log_size()
    try:
        file.write_text(before + "iroute 0.0.0.0 0.0.0.0\n")
        tunnel.client.stop()
        tunnel.client.start()
        found = hub.router.expect_in_fib(everything, via=hub.device)
        assert list(found[everything].next_hops) == [tunnel.tunnel.client_ipv4.ip]
        claim.log_line(tunnel.server, tunnel.server.log_lines("internal route 0.0.0.0/0", since=size)[0])
    finally:
        file.write_text(before)
        tunnel.client.stop()
        tunnel.client.start()
    hub.router.expect_not_in_fib(everything)
    lab.wait_ready()
    claim.does_not_hold("it becomes a default route of the server's kernel, to that client")


@pytest.mark.claims("OpenVPN 2.7 pushes a route to a connected client over DCO, as in userspace")
def test_push_update_does_not_work_over_dco(lab: Lab, hub: Site, claim: Claim) -> None:
    """A server with DCO does not send updates, and a client with DCO ignores them."""
    tunnel, spoke = lab.tunnel("spoke1", "hub"), lab.router("spoke1")
    prefix = lab.free_prefix("ipv4")
    update = f"{route_option(prefix)} {tunnel.tunnel.server_ipv4.ip}"

    def push() -> None:
        client = tunnel.status().client_id
        with tunnel.server.management() as server:
            server.push_update(update, client)

    size = tunnel.server.log_size()
    with pytest.raises(ManagementError, match="no client updated"):
        push()
    claim.log_line(tunnel.server, expect_log(tunnel.server, "cannot currently be sent while DCO is enabled", size))
    for ends, takes in ((("server",), False), (("client",), False), (("server", "client"), True)):
        with tunnel.extended(**{end: ["disable-dco"] for end in ends}):
            tunnel.wait_connected()
            if takes:
                push()
                spoke.expect_in_fib(prefix, via=tunnel.device("spoke1"))
                claim.log_line(tunnel.client, tunnel.client.log_lines("PUSH_UPDATE")[-1])
            else:
                with pytest.raises(ManagementError, match="no client updated"):
                    push()
    lab.wait_ready()
    expect_kernel(lab)
    claim.does_not_hold(
        "neither end supports these updates while its kernel carries the data; "
        "with `disable-dco` at both ends they work"
    )


@pytest.mark.claims("an OpenVPN that was killed can be started again over DCO, as in userspace")
def test_killed_openvpn_restarts_over_dco(lab: Lab, hub: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("spoke1", "hub")
    one, _ = spokes(lab)
    tunnel.client.stop("KILL")
    there = one.router.exec("ip", "-d", "link", "show", one.device).raise_on_error().stdout
    assert "ovpn" in there, there  # the device outlives the process, its peers do not
    assert hub.host.echo(one.host.address("ipv4"), count=3, wait=0.5).silent
    size = tunnel.client.log_size()
    first = one.router.exec("timeout", "30", *tunnel.client.process.argv)
    assert first.exit_code == 1, first
    claim.log_line(tunnel.client, expect_log(tunnel.client, "dco_new_peer: netlink reports device not found", size))
    assert one.router.exec("ip", "link", "show", one.device).failed  # it has removed the device
    tunnel.start()
    lab.wait_ready()
    # The lab removes the device before it starts OpenVPN.
    tunnel.client.stop("KILL")
    tunnel.start()
    lab.wait_ready()
    expect_kernel(lab)
    for family in FAMILIES:
        hub.host.expect_reaches(one.host.address(family))
    claim.holds_if(
        "at the second attempt: the device has remained, and the first new process fails on it, exits and removes it; "
        "`ip link delete` before the start, or a service manager that restarts OpenVPN, solves this"
    )
