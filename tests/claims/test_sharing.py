"""One server process with an `iroute` for everything serves one client; a process for each client serves all."""

import pytest

from lab.claims.claims import Claim
from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.tunnel import RunningTunnel
from tests.helpers.hubs import expect_control_plane, expect_heard, expect_silence
from tests.helpers.tunnels import session_of

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.7")]


def reconnect(tunnel: RunningTunnel) -> None:
    """Reconnect the client, so that it is the last to claim its inner routes."""
    before = tunnel.status().client_id
    assert before is not None
    with tunnel.server.management() as server:
        server.kill_client(before)
    wait_for(
        Expectation(
            what="the client to be back",
            node=tunnel.tunnel.client,
            look=tunnel.status,
            met=lambda status: status.client_id != before,
            logs=tunnel.client.log,
        ),
        within=60,
    )


def expect_bgp_undisturbed(hub: Router, spoke: str, before: int) -> None:
    """Check that a spoke's BGP session has not been established again since its count was `before`."""
    count = hub.neighbor(spoke).times_established
    assert count == before, f"hub: expected the BGP session with {spoke} to stay; last seen: {count - before} new ones"


@pytest.mark.topology("tap-hub", tunnel={"mode": "shared-iroute", "transport": "tcp"})
@pytest.mark.claims(
    "one server process serves one client only: a second one takes the traffic of the first", article="says so"
)
def test_a_second_client_takes_the_traffic(lab: Lab, claim: Claim) -> None:
    hub, spokes = lab.router("hub"), [lab.router("spoke1"), lab.router("spoke2")]
    first, second = lab.tunnel("spoke1", "hub"), lab.tunnel("spoke2", "hub")
    session = hub.neighbor("spoke1").times_established

    reconnect(second)
    expect_control_plane(hub, spokes)
    expect_heard(lab, "spoke2")
    expect_silence(lab, "spoke1")
    expect_bgp_undisturbed(hub, "spoke1", session)
    claim.rib_entry(hub, spokes[0].plan.networks[0])
    claim.echo("hub-lan gets no packet from spoke1-lan, although session and routes are up")

    second.client.stop()  # the first client's routes do not return …
    hub.expect_no_route(spokes[1].plan.networks)
    expect_control_plane(hub, spokes[:1])
    expect_silence(lab, "spoke1")
    claim.echo("nor after spoke2 has left")

    reconnect(first)  # … until the first client claims it again
    expect_control_plane(hub, spokes[:1])
    for echo in expect_heard(lab, "spoke1"):
        claim.echo(echo)
    second.client.start()
    lab.wait_ready()
    claim.holds_if("with `tun` in userspace; a `tap` server serves many")


@pytest.mark.topology("tap-hub")
@pytest.mark.claims("with `dev tap`, too, one server process serves one client only")
def test_a_tap_server_serves_many_clients(lab: Lab, claim: Claim) -> None:
    hub, spokes = lab.router("hub"), [lab.router("spoke1"), lab.router("spoke2")]
    tunnels = [lab.tunnel(spoke.name, "hub") for spoke in spokes]
    pids = {tunnel.status().server_pid for tunnel in tunnels}
    assert len(pids) == 1, f"hub: expected one server process for both clients; last seen: {pids}"
    for last in tunnels:  # no client loses a route, in either order
        reconnect(last)
        expect_control_plane(hub, spokes)
        for tunnel in (last, *tunnels):
            expect_heard(lab, tunnel.tunnel.client)
    with tunnels[0].server.management() as server:
        learnt = {route.common_name for route in server.server_status().routes}
    names = {spoke.name for spoke in spokes}
    assert learnt == names, f"hub: expected MAC addresses of {names} in the inner table; last seen: of {learnt}"
    for spoke in spokes:
        claim.rib_entry(hub, spoke.plan.networks[0])
        for echo in expect_heard(lab, spoke.name):
            claim.echo(echo)
    claim.does_not_hold(
        "a `tap` server learns which client has which MAC address, as a switch does, and needs no `iroute`"
    )


@pytest.mark.topology("hub-and-spokes")
@pytest.mark.claims(
    "with a server process for each client, a new client does not disturb the others",
    article="says so, as its solution",
)
def test_processes_per_client_do_not_disturb_each_other(lab: Lab, claim: Claim) -> None:
    hub, spokes = lab.router("hub"), [lab.router("spoke1"), lab.router("spoke2")]
    first = lab.tunnel("spoke1", "hub")
    before, session = session_of(first.status()), hub.neighbor("spoke1").times_established
    reconnect(lab.tunnel("spoke2", "hub"))
    expect_control_plane(hub, spokes)
    for spoke in spokes:
        for echo in expect_heard(lab, spoke.name):
            claim.echo(echo)
    expect_bgp_undisturbed(hub, "spoke1", session)
    after = session_of(first.status())
    assert after == before, f"spoke1: expected the tunnel's session to stay; before: {before}; last seen: {after}"
    claim.holds()
