"""What `lab advise` warns of and no other test shows."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.expect import Expectation, wait_for
from lab.lab import Lab
from lab.routing.frr.vty import Vty
from lab.tunnel import RunningTunnel
from tests.convergence.checks import expect_control_plane, expect_log
from tests.convergence.conftest import Site
from tests.silent.sessions import expect_all_back
from tests.silent.underlay import Underlay

pytestmark = [pytest.mark.docker, pytest.mark.topology("narrow.clab.yml", tunnel={"transport": "udp"})]


def test_ebgp_without_a_policy_carries_no_route(lab: Lab, hq: Site, branch: Site) -> None:
    """RFC 8212, as FRR does it outside of its datacenter profile."""
    required = ["router bgp 65001", "bgp ebgp-requires-policy"]
    with Vty(hq.router.running.root, "bgpd") as bgpd:
        bgpd.configure(required)
        try:
            before = branch.router.neighbor("hq").times_established
            bgpd.ask("clear bgp *")
            wait_for(
                Expectation(
                    what="another session",
                    node="branch",
                    look=lambda: branch.router.neighbor("hq"),
                    met=lambda neighbor: neighbor.up and neighbor.times_established > before,
                    logs=branch.router.running.files,
                ),
                within=30,
            )
            # What comes in passes a filter, which is a policy; what goes out has none.
            hq.router.expect_route(branch.router.plan.networks, via=hq.device)
            branch.router.expect_no_route(hq.router.plan.networks)
        finally:
            bgpd.configure([required[0], f"no {required[1]}"])
            bgpd.ask("clear bgp *")
    expect_all_back(lab, hq, branch)


def test_bgp_gives_up_long_before_openvpn(lab: Lab, hq: Site, branch: Site, underlay: Underlay) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(keepalive=(15, 45)):
        expect_control_plane(lab, hq, branch)
        before = tunnel.status()
        with underlay.losing(before.real_address):
            for here, there in ((hq, branch), (branch, hq)):
                here.router.expect_no_route(there.router.plan.networks)
            after = tunnel.status()
            assert (after.client_id, after.connected_since) == (before.client_id, before.connected_since)
        expect_all_back(lab, hq, branch)
    expect_control_plane(lab, hq, branch)


def test_ends_that_differ_in_sizes(lab: Lab, hq: Site, branch: Site) -> None:
    """Of `tun-mtu` only what the other end has no room for is lost; of `fragment` everything."""
    tunnel = lab.tunnel("branch", "hq")
    inner = tunnel.tunnel.client_ipv4.ip
    with tunnel.at_odds(server={"tun_mtu": 9000}, client={"tun_mtu": 1500}):
        expect_control_plane(lab, hq, branch)
        hq.router.expect_reaches(inner, packet_size=1600)
        size = tunnel.client.log_size()
        assert hq.router.echo(inner, packet_size=3000, count=3).silent
        assert expect_log(tunnel.client, "AEAD Decrypt error", size)
    with tunnel.at_odds(server={"tun_mtu": 1500}, client={"tun_mtu": 1400}):
        expect_all_back(lab, hq, branch)
        hq.router.expect_reaches(inner, packet_size=1500)
    with fragmenting(tunnel):
        size = tunnel.server.log_size()
        assert expect_log(tunnel.server, "FRAG_IN error", size)
        assert hq.router.echo(inner, count=3).silent
    expect_all_back(lab, hq, branch)


@contextmanager
def fragmenting(tunnel: RunningTunnel) -> Iterator[None]:
    """The server alone has `fragment`."""
    with tunnel.configured():
        tunnel.stop()
        process = tunnel.server.process
        with (tunnel.server.node.files / process.configuration.relative_to("/")).open("a") as file:
            file.write("fragment 1300\n")
        tunnel.start()
        yield
