"""Hubs with several spokes: one process for all (`tap`), or a process for each (`iroute`)."""

import pytest

from lab.runtime.lab import Lab
from tests.helpers.matrix import Underlay
from tests.helpers.tunnels import (
    ends,
    expect_lans_reach_each_other,
    expect_one_session_for_both_families,
    expect_prefixes_come_and_go,
    session_of,
    site,
)

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6"), pytest.mark.variants]

switch = pytest.mark.topology("tap-hub", tunnel={"options": {"tls-crypt-v2": True}})


@switch
def test_one_process_serves_all_spokes_and_they_reach_each_other(lab: Lab, over: Underlay) -> None:
    one, other = lab.tunnel("spoke1", "hub"), lab.tunnel("spoke2", "hub")
    before = [session_of(tunnel.status()) for tunnel in (one, other)]
    assert one.status().server_pid == other.status().server_pid
    assert one.device("hub") == other.device("hub") == "tap0"
    hub, spoke1 = ends(lab, one)
    spoke2 = site(lab, other, "spoke2")
    for tunnel, spoke in ((one, spoke1), (other, spoke2)):
        expect_one_session_for_both_families(tunnel, hub, spoke)
        expect_lans_reach_each_other(hub, spoke)
    expect_prefixes_come_and_go(lab, hub, spoke1)
    # The spokes have no session with each other: the hub's routes name the other spoke as their next hop.
    expect_prefixes_come_and_go(lab, spoke1, spoke2)
    expect_lans_reach_each_other(spoke1, spoke2)
    assert [session_of(tunnel.status()) for tunnel in (one, other)] == before


@switch
def test_tap_server_learns_mac_addresses(lab: Lab, over: Underlay) -> None:
    tunnels = [lab.tunnel("spoke1", "hub"), lab.tunnel("spoke2", "hub")]
    with tunnels[0].server.management() as management:
        learnt = {(route.common_name, route.address) for route in management.server_status().routes}
    for tunnel in tunnels:
        link = lab.node(tunnel.tunnel.client).exec(
            "cat", f"/sys/class/net/{tunnel.device(tunnel.tunnel.client)}/address"
        )
        mac = link.raise_on_error().stdout.strip()
        assert any(name == tunnel.tunnel.client and address.startswith(mac) for name, address in learnt), learnt


@pytest.mark.topology("hub-and-spokes")
def test_spokes_with_separate_processes_reach_each_other(lab: Lab, over: Underlay) -> None:
    tunnels = [lab.tunnel(f"spoke{number}", "hub") for number in (1, 2, 3)]
    assert [tunnel.tunnel.port for tunnel in tunnels] == [1194, 1195, 1196]
    assert [tunnel.device("hub") for tunnel in tunnels] == ["tun0", "tun1", "tun2"]
    assert len({tunnel.status().server_pid for tunnel in tunnels}) == 3
    spokes = []
    for tunnel in tunnels:
        hub, spoke = ends(lab, tunnel)
        expect_one_session_for_both_families(tunnel, hub, spoke)
        expect_lans_reach_each_other(hub, spoke)
        spokes.append(spoke)
    expect_lans_reach_each_other(spokes[0], spokes[2])
    expect_prefixes_come_and_go(lab, spokes[0], spokes[1])


@pytest.mark.topology("hub-and-spokes")
def test_leaving_spoke_does_not_disturb_the_others(lab: Lab) -> None:
    leaving, *staying = (lab.tunnel(f"spoke{number}", "hub") for number in (1, 2, 3))
    hub, gone = ends(lab, leaving)
    stay = [site(lab, tunnel, tunnel.tunnel.client) for tunnel in staying]
    before = [session_of(tunnel.status()) for tunnel in staying]
    established = {s.router.name: hub.router.neighbor(s.router).times_established for s in stay}

    leaving.stop()
    try:
        hub.router.expect_no_route(gone.router.plan.networks)
        for spoke in stay:
            spoke.router.expect_no_route(gone.router.plan.networks)
        expect_lans_reach_each_other(*stay)
        expect_prefixes_come_and_go(lab, stay[0], stay[1])
        assert [session_of(tunnel.status()) for tunnel in staying] == before
    finally:
        leaving.start()
    lab.wait_ready()
    for spoke in stay:
        spoke.router.expect_route(gone.router.plan.networks, via=spoke.device)
        expect_lans_reach_each_other(gone, spoke)
        assert hub.router.neighbor(spoke.router).times_established == established[spoke.router.name]
    assert [session_of(tunnel.status()) for tunnel in staying] == before
