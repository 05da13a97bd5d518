"""Routes and traffic after OpenVPN restarts its connection, and after a client reconnects early.

A restart is SIGUSR1, as OpenVPN does it by itself when its peer is silent (openvpn(8), SIGNALS). Each test is its
own control: by the same kernel events the device stays with `persist-tun`, and is deleted without.
"""

import time
from ipaddress import ip_network

import pytest

from lab.claims.claims import Claim
from lab.runtime.lab import Lab
from lab.topology import Prefix
from lab.tunnel import OpenVpn, RunningTunnel
from tests.helpers.article import expect_log, expect_not_logged
from tests.helpers.sessions import TAKES_OVER, expect_all_back, expect_new_session, expect_sessions
from tests.helpers.sites import Site
from tests.helpers.underlay import Underlay

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6")]

article = pytest.mark.topology("article")
over_udp = pytest.mark.topology("narrow.clab.yml", tunnel={"transport": "udp"})
over_tcp = pytest.mark.topology("narrow.clab.yml", tunnel={"transport": "tcp"})


@article
@pytest.mark.claims(
    "with `persist-tun`, the FIB recovers by itself after OpenVPN restarts under a running routing daemon"
)
def test_fib_recovers_after_a_restart_with_persist_tun(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    """The device stays; routes are lost only if the pause is longer than BGP's hold time, which is short here."""
    tunnel = lab.tunnel("branch", "hq")
    for process, here, there in ((tunnel.client, branch, hq), (tunnel.server, hq, branch)):
        since = restart(tunnel, process, claim)
        expect_all_back(lab, hq, branch)
        for site in (here, there):
            gone, peer = deleted(site, since), peer_route(tunnel, site)
            assert peer not in gone, (
                f"{site.router.name}: expected the route to {peer} to stay; last seen deleted: {gone}"
            )
    claim.rib_entry(hq.router, branch.router.plan.networks[0])
    claim.holds()


@article
@pytest.mark.claims(
    "without `persist-tun`, the FIB recovers by itself after OpenVPN restarts under a running routing daemon"
)
def test_fib_recovers_after_a_restart_without_persist_tun(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    """The device is deleted, and with it at once all routes through it."""
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(persist_tun=False):
        expect_all_back(lab, hq, branch)
        for process, here, there in ((tunnel.client, branch, hq), (tunnel.server, hq, branch)):
            since = restart(tunnel, process, claim)
            expect_all_back(lab, hq, branch)
            gone, through = deleted(here, since), {peer_route(tunnel, here), *there.router.plan.networks}
            assert gone >= through, f"{here.router.name}: expected {through} to be deleted; last seen deleted: {gone}"
        claim.rib_entry(hq.router, branch.router.plan.networks[0])
    expect_all_back(lab, hq, branch)
    claim.holds()


@over_udp
@pytest.mark.claims("a client that reconnects while the server still has its old session has its traffic at once")
def test_early_reconnect_over_udp_replaces_the_old_session(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    before = tunnel.status()
    size = tunnel.server.log_size()
    tunnel.client.stop("KILL")
    # Over UDP the server does not notice: it waits for twice the timeout of `keepalive`.
    expect_sessions(tunnel, before.client_id)
    tunnel.client.start()
    line = expect_log(tunnel.server, TAKES_OVER, size)
    claim.log_line(tunnel.server, line)
    after = expect_new_session(tunnel, before)
    expect_sessions(tunnel, after.client_id)
    assert after.server_pid == before.server_pid
    expect_all_back(lab, hq, branch)
    claim.rib_entry(hq.router, branch.router.plan.networks[0])
    claim.holds()


@over_tcp
@pytest.mark.claims(
    "a client that reconnects over TCP before its old connection has ended at the server has its traffic at once"
)
def test_early_reconnect_over_tcp_replaces_the_old_session(
    lab: Lab, hq: Site, branch: Site, underlay: Underlay, claim: Claim
) -> None:
    tunnel = lab.tunnel("branch", "hq")
    before, size = tunnel.status(), tunnel.server.log_size()
    tunnel.client.stop("KILL")  # the control: the kernel closes the connection of a killed process
    claim.log_line(tunnel.server, expect_log(tunnel.server, "Connection reset, restarting", size))
    tunnel.client.start()
    after = expect_new_session(tunnel, before)
    expect_not_logged(tunnel.server, TAKES_OVER, size)

    size = tunnel.server.log_size()
    with underlay.losing(after.real_address):
        tunnel.client.stop("KILL")
        expect_sessions(tunnel, after.client_id)
        tunnel.client.start()
        claim.log_line(tunnel.server, expect_log(tunnel.server, TAKES_OVER, size))
        last = expect_new_session(tunnel, after)
        expect_sessions(tunnel, last.client_id)
        expect_all_back(lab, hq, branch)
    claim.rib_entry(hq.router, branch.router.plan.networks[0])
    claim.holds()


def restart(tunnel: RunningTunnel, process: OpenVpn, claim: Claim) -> float:
    """Have one end restart its connection, and wait for the new session; returns the time of the restart."""
    before = tunnel.status()
    size = process.log_size()
    since = time.monotonic()
    pid = before.server_pid if process is tunnel.server else before.client_pid
    assert pid is not None
    process.node.signal(pid, "USR1")
    claim.log_line(process, expect_log(process, "SIGUSR1[hard,] received, process restarting", size))
    after = expect_new_session(tunnel, before)
    pids, earlier = (after.server_pid, after.client_pid), (before.server_pid, before.client_pid)
    assert pids == earlier, f"{tunnel.name}: expected the processes {earlier} to stay; last seen: {pids}"
    return since


def peer_route(tunnel: RunningTunnel, site: Site) -> Prefix:
    """Return the other end's inner address, to which the kernel has a route while the device exists."""
    at_server = site.router.name == tunnel.tunnel.server
    return ip_network((tunnel.tunnel.client_ipv4 if at_server else tunnel.tunnel.server_ipv4).ip)


def deleted(site: Site, since: float) -> set[Prefix]:
    """Return the prefixes whose route through the tunnel was deleted since a time."""
    return {
        event.entry.prefix
        for event in site.router.fib.events(since)
        if event.action == "delete" and site.device in event.entry.interfaces
    }
