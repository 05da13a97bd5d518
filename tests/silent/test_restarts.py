"""OpenVPN restarts its connection, or a client comes back too early: what becomes of routes and traffic.

A restart is SIGUSR1, as OpenVPN does it by itself when its peer falls silent (openvpn(8), SIGNALS). Each test is its
own control: the device is seen to stay with `persist-tun` and to go without, by the same kernel events.
"""

import time
from ipaddress import ip_network

import pytest

from lab.claims.claims import Claim
from lab.runtime.lab import Lab
from lab.topology import Prefix
from lab.tunnel import OpenVpn, RunningTunnel
from tests.helpers.article import expect_log
from tests.helpers.sessions import TAKES_OVER, expect_all_back, expect_new_session, named_clients
from tests.helpers.sites import Site
from tests.helpers.underlay import Underlay

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6")]

article = pytest.mark.topology("article")
over_udp = pytest.mark.topology("narrow.clab.yml", tunnel={"transport": "udp"})
over_tcp = pytest.mark.topology("narrow.clab.yml", tunnel={"transport": "tcp"})


@article
@pytest.mark.claims("OpenVPN restarts under a running routing daemon, with `persist-tun`: the FIB comes back by itself")
def test_with_persist_tun_the_fib_comes_back_by_itself(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    """The device stays; what was learnt goes only where the pause outlasts BGP's hold time, which is short here."""
    tunnel = lab.tunnel("branch", "hq")
    for process, here, there in ((tunnel.client, branch, hq), (tunnel.server, hq, branch)):
        since = restart(tunnel, process, claim)
        expect_all_back(lab, hq, branch)
        assert peer_route(tunnel, here) not in went(here, since)
        assert peer_route(tunnel, there) not in went(there, since)
    claim.rib_entry(hq.router, branch.router.plan.networks[0])
    claim.holds()


@article
@pytest.mark.claims(
    "OpenVPN restarts under a running routing daemon, without `persist-tun`: the FIB comes back by itself"
)
def test_without_persist_tun_the_fib_comes_back_by_itself(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    """The device goes, and with it at once all that was learnt through it."""
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(persist_tun=False):
        expect_all_back(lab, hq, branch)
        for process, here, there in ((tunnel.client, branch, hq), (tunnel.server, hq, branch)):
            since = restart(tunnel, process, claim)
            expect_all_back(lab, hq, branch)
            assert went(here, since) >= {peer_route(tunnel, here), *there.router.plan.networks}
        claim.rib_entry(hq.router, branch.router.plan.networks[0])
    expect_all_back(lab, hq, branch)
    claim.holds()


@over_udp
@pytest.mark.claims("a client that comes back while the server still holds its old session has its traffic at once")
def test_a_quick_reconnect_takes_the_old_sessions_place(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    before = tunnel.status()
    size = tunnel.server.log_size()
    tunnel.client.stop("KILL")
    # Over UDP nobody tells the server: it waits for twice the timeout of `keepalive`.
    assert named_clients(tunnel) == [before.client_id]
    tunnel.client.start()
    line = expect_log(tunnel.server, TAKES_OVER, size)
    claim.log_line(tunnel.server, line)
    after = expect_new_session(tunnel, before)
    assert named_clients(tunnel) == [after.client_id]
    assert after.server_pid == before.server_pid
    expect_all_back(lab, hq, branch)
    claim.rib_entry(hq.router, branch.router.plan.networks[0])
    claim.holds()


@over_tcp
@pytest.mark.claims(
    "a client that comes back over TCP before its old connection has ended at the server has its traffic at once"
)
def test_a_quick_reconnect_over_tcp(lab: Lab, hq: Site, branch: Site, underlay: Underlay, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    before, size = tunnel.status(), tunnel.server.log_size()
    tunnel.client.stop("KILL")  # the control: the kernel of a process that dies tells the server
    claim.log_line(tunnel.server, expect_log(tunnel.server, "Connection reset, restarting", size))
    tunnel.client.start()
    after = expect_new_session(tunnel, before)
    assert not tunnel.server.log_lines(TAKES_OVER, since=size)

    size = tunnel.server.log_size()
    with underlay.losing(after.real_address):
        tunnel.client.stop("KILL")
        assert named_clients(tunnel) == [after.client_id]
        tunnel.client.start()
        claim.log_line(tunnel.server, expect_log(tunnel.server, TAKES_OVER, size))
        last = expect_new_session(tunnel, after)
        assert named_clients(tunnel) == [last.client_id]
        expect_all_back(lab, hq, branch)
    claim.rib_entry(hq.router, branch.router.plan.networks[0])
    claim.holds()


def restart(tunnel: RunningTunnel, process: OpenVpn, claim: Claim) -> float:
    """Have one end restart its connection, and wait for the new session; returns when it began."""
    before = tunnel.status()
    size = process.log_size()
    since = time.monotonic()
    pid = before.server_pid if process is tunnel.server else before.client_pid
    assert pid is not None
    process.node.signal(pid, "USR1")
    claim.log_line(process, expect_log(process, "SIGUSR1[hard,] received, process restarting", size))
    after = expect_new_session(tunnel, before)
    assert (after.server_pid, after.client_pid) == (before.server_pid, before.client_pid)
    return since


def peer_route(tunnel: RunningTunnel, site: Site) -> Prefix:
    """The other end's inner address, which the kernel routes into the device as long as that is there."""
    at_server = site.router.name == tunnel.tunnel.server
    return ip_network((tunnel.tunnel.client_ipv4 if at_server else tunnel.tunnel.server_ipv4).ip)


def went(site: Site, since: float) -> set[Prefix]:
    """Prefixes whose route through the tunnel was taken away since then."""
    return {
        event.entry.prefix
        for event in site.router.fib.events(since)
        if event.action == "delete" and site.device in event.entry.interfaces
    }
