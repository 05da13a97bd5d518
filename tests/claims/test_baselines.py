"""Routes in OpenVPN's configuration, static or pushed, and where they are not dynamic."""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_interface

import pytest

from lab.claims.claims import Claim
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from lab.topology import Address, Prefix
from lab.tunnel import ManagementError, RunningTunnel
from tests.helpers.article import DROPPED, expect_control_plane, expect_log, expect_not_logged, expect_passes
from tests.helpers.packets import echo_request, expect_no_answer
from tests.helpers.sites import Site
from tests.helpers.tunnels import route_option

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6")]
BASELINE = pytest.mark.topology("fixed-routes")
# With DCO there is no PUSH_UPDATE, see tests/kernel/test_dco_hub_traps.py.
USERSPACE = {"options": {"disable-dco": True}}


@contextmanager
def grown(lab: Lab, site: str, prefix: Prefix) -> Iterator[Address]:
    """Add a network to a site's LAN, and yield its host's address in it."""
    router, host = lab.node(site), lab.host(f"{site}-lan")
    ours, theirs = (ip_interface(f"{prefix[number]}/{prefix.prefixlen}") for number in (1, 2))
    ends = [
        (router.running, router.interface_to(host).interface, ours),
        (host.running, host.interface_to(router).interface, theirs),
    ]
    for node, interface, address in ends:
        node.add_addresses(interface, [address])
    try:
        yield theirs.ip
    finally:
        for node, interface, address in ends:
            node.remove_addresses(interface, [address])


def reconnect(tunnel: RunningTunnel) -> None:
    """Kill the client's session and wait for a new one."""
    before = tunnel.status()
    assert before.client_id is not None
    with tunnel.server.management() as server:
        server.kill_client(before.client_id)
    expect_another_session(tunnel, before.client_id)


def expect_another_session(tunnel: RunningTunnel, client_id: int | None) -> None:
    """Wait until the client has another session than `before`."""
    wait_for(
        Expectation(
            what="the client to be back",
            node="branch",
            look=tunnel.status,
            met=lambda status: status.client_id != client_id,
            logs=tunnel.client.log,
        ),
        within=60,
    )


@BASELINE
@pytest.mark.claims(
    'static routes (`route`, `push "route …"`, `iroute`) work once the client connects',
    article="says so",
)
def test_static_routes_work(lab: Lab, claim: Claim) -> None:
    for family in FAMILIES:
        for here, there in (("hq-lan", "branch-lan"), ("branch-lan", "hq-lan")):
            claim.echo(lab.host(here).expect_reaches(lab.host(there).address(family)))
    claim.holds()


@BASELINE
@pytest.mark.claims("a route added on the server reaches a connected client", article="says that it does not")
def test_route_added_on_the_server_needs_a_reconnect(lab: Lab, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    branch, host = lab.node("branch"), lab.host("branch-lan")
    handed_out = tunnel.server.node.files / "etc/openvpn/server/branch-hq/clients/branch"
    written = handed_out.read_text()
    prefixes = {family: lab.free_prefix(family) for family in FAMILIES}
    try:
        for prefix in prefixes.values():
            with grown(lab, "hq", prefix) as address:
                with handed_out.open("a") as file:
                    file.write(f'push "{route_option(prefix)}"\n')
                expect_no_answer(host, address, "branch has not connected again", count=5)
                assert branch.fib.route(prefix) is None, (
                    f"branch: expected no route to {prefix} before it connects again"
                )
                reconnect(tunnel)
                branch.expect_in_fib(prefix, via="tun0")
                claim.echo(host.expect_reaches(address))
    finally:
        handed_out.write_text(written)
        reconnect(tunnel)
    for prefix in prefixes.values():
        branch.expect_not_in_fib(prefix)
    claim.does_not_hold("a client gets it when it connects again")


@BASELINE
@pytest.mark.claims("a route added on the client reaches the server", article="says that it does not")
def test_route_added_on_the_client_does_not_reach_the_server(lab: Lab, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    hq, host = lab.node("hq"), lab.host("hq-lan")
    for family in FAMILIES:
        prefix = lab.free_prefix(family)
        with grown(lab, "branch", prefix) as address:
            for attempt in ("connected", "connected again"):
                assert hq.fib.route(prefix) is None, f"hq: expected no route to {prefix} while branch is {attempt}"
                result = expect_no_answer(host, address, "no line of hq's configuration has its network", count=5)
                claim.echo(f"{attempt}: {result}")
                reconnect(tunnel)
            networks = [*tunnel.tunnel.options["client-networks"], str(prefix)]
            with tunnel.configured(client_networks=networks):
                host.expect_reaches(address)
    claim.does_not_hold("never: the server knows only the routes in its own configuration")


@pytest.mark.topology("fixed-routes", openvpn="2.7", tunnel=USERSPACE)
@pytest.mark.claims("OpenVPN 2.7 pushes a route to a connected client (`push-update-broad`)")
def test_push_update_reaches_a_connected_client(lab: Lab, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    before = tunnel.status()
    branch, host = lab.node("branch"), lab.host("branch-lan")
    pushed = [lab.free_prefix(family) for family in FAMILIES]
    for prefix in pushed:
        with grown(lab, "hq", prefix) as address:
            expect_no_answer(host, address, "its network has not been pushed", count=3)
            with tunnel.server.management() as server:
                server.push_update(route_option(prefix))
            branch.expect_in_fib(prefix, via="tun0")
            claim.echo(host.expect_reaches(address))
    after = tunnel.status()
    assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)
    with tunnel.client.management() as client, pytest.raises(ManagementError):
        client.push_update("route 10.98.0.0 255.255.255.0")  # a client cannot push

    # A client rejects an `iroute`: it reconnects, and loses the pushed routes.
    size = tunnel.client.log_size()
    with tunnel.server.management() as server:
        server.push_update("iroute 10.99.0.0 255.255.255.0")
    claim.log_line(tunnel.client, expect_log(tunnel.client, "Pushed option is not updatable: 'iroute", size))
    expect_another_session(tunnel, after.client_id)
    branch.expect_not_in_fib(pushed)
    claim.holds_if(
        "for routes from server to client, without DCO; a pushed `iroute` restarts the client, and a client cannot push"
    )


@pytest.mark.topology("tap-hub", openvpn="2.7", tunnel={"mode": "shared-iroute", "transport": "udp", **USERSPACE})
@pytest.mark.claims("OpenVPN 2.7 pushes a route to one of its connected clients (`push-update-cid`)")
def test_push_update_reaches_one_client_of_two(lab: Lab, claim: Claim) -> None:
    tunnels = {name: lab.tunnel(name, "hub") for name in ("spoke1", "spoke2")}
    before = {name: tunnel.status() for name, tunnel in tunnels.items()}
    gateway = tunnels["spoke1"].tunnel.server_ipv4.ip  # clients of `topology subnet` get no default gateway
    for name, other in (("spoke1", "spoke2"), ("spoke2", "spoke1")):
        mine, everybodys = lab.free_prefix("ipv4"), lab.free_prefix("ipv4")
        with tunnels[name].server.management() as server:
            server.push_update(f"{route_option(mine)} {gateway}", before[name].client_id)
        lab.node(name).expect_in_fib(mine, via="tun0")
        with tunnels[name].server.management() as server:
            server.push_update(f"{route_option(everybodys)} {gateway}")
        for node in (name, other):
            lab.node(node).expect_in_fib(everybodys, via="tun0")
        # Clients get updates in order, so the other client has not got this one.
        expect_not_logged(tunnels[other].client, str(mine.network_address))
        claim.log_line(tunnels[name].client, tunnels[name].client.log_lines(str(mine.network_address))[0])
        lab.node(name).expect_not_in_fib(mine)  # replaced by the next update
    for name, tunnel in tunnels.items():
        after = tunnel.status()
        assert (after.client_id, after.connected_since) == (before[name].client_id, before[name].connected_since)
    with tunnels["spoke1"].server.management() as server, pytest.raises(ManagementError):
        server.push_update("route 10.98.0.0 255.255.255.0", 4711)  # an unknown client
    claim.holds_if("each update replaces all routes of its family that were pushed before")


FIXED = {"mode": "fixed-routes", "options": {"client-networks": ["10.2.0.0/24", "2001:db8:2::/64"], "iroute": []}}


@pytest.mark.topology("article", tunnel=FIXED)
@pytest.mark.claims(
    "with `iroute` for fixed prefixes, a routing daemon's other prefixes pass too", article="says that they do not"
)
def test_iroute_for_fixed_prefixes_drops_other_prefixes(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    expect_control_plane(lab, hq, branch)
    tunnel = lab.tunnel("branch", "hq")
    for family in FAMILIES:
        expect_passes(hq, branch, family)
        other = lab.free_prefix(family)
        with branch.router.serving(other, branch.host) as address, branch.router.announced(other):
            hq.router.expect_route(other, via=hq.device)
            claim.rib_entry(hq.router, other)
            expect_no_answer(hq.host, address, "no `iroute` covers it", count=5)
            size = tunnel.server.log_size()
            branch.host.send(echo_request(address, hq.host.address(family)))
            claim.log_line(tunnel.server, expect_log(tunnel.server, f"{DROPPED} [{address}]", size))
        hq.router.expect_no_route(other)
    with tunnel.configured(iroute=FAMILIES):
        expect_control_plane(lab, hq, branch)
        for family in FAMILIES:
            other = lab.free_prefix(family)
            with branch.router.serving(other, branch.host) as address, branch.router.announced(other):
                hq.router.expect_route(other, via=hq.device)
                hq.host.expect_reaches(address)
    expect_control_plane(lab, hq, branch)
    claim.does_not_hold("the inner table passes the prefixes of its `iroute` lines and drops the rest")
