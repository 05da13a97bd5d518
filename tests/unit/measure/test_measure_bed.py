"""The deployments of a plan: detector, mode, and the baselines that replace a tunnel."""

import pytest

from lab.measure.record import Over
from lab.measure.trials.bed import build
from lab.measure.trials.detector import Detector
from lab.measure.trials.events import EVENTS, event_names, event_of
from lab.measure.trials.plan import Bed
from lab.measure.trials.site import path_of, roles
from lab.routing import plan_routers
from lab.topology import Topology

HOLD = Detector.parse("hold 9 s")


def peers(topology: Topology) -> dict[str, list[tuple[str, str, str]]]:
    return {
        name: [(peer.node, str(peer.address), peer.interface) for peer in router.peers]
        for name, router in plan_routers(topology).items()
    }


def test_tunnel_gets_the_detector() -> None:
    topology = build(Bed("article", Detector.parse("ping-restart 6 s"), openvpn="2.7"), "bed")
    (tunnel,) = topology.tunnels
    assert (topology.name, tunnel.mode) == ("bed", "iroute")
    assert (list(tunnel.options["keepalive"]), tunnel.options["persist-tun"]) == ([2, 6], False)
    assert all(r.timers.hold == 180 for r in plan_routers(topology).values())
    assert topology.nodes["hq"].image == "openvpn-routing-lab/node:2.7"


def test_other_mode_keeps_the_options_that_it_has() -> None:
    (tunnel,) = build(Bed("article", HOLD, mode="p2p-tls", openvpn="2.7"), "bed").tunnels
    assert tunnel.mode == "p2p-tls"
    assert "iroute" not in tunnel.options
    assert list(tunnel.options["keepalive"]) == [60, 180]


def test_data_path_is_the_declared_one_on_any_kernel() -> None:
    (article,) = build(Bed("article", HOLD, openvpn="2.7"), "bed").tunnels
    (kernel,) = build(Bed("dco-hub", HOLD, mode="dco", openvpn="2.7"), "bed").tunnels[:1]
    assert article.options.get("disable-dco") is True, "the measured data path depends on the kernel"
    assert "disable-dco" not in kernel.options


@pytest.mark.parametrize("medium", ["wire", "vxlan"])
def test_baseline_has_the_addresses_and_peers_of_the_tunnel(medium: str) -> None:
    tunnel = build(Bed("article", HOLD), "bed")
    baseline = build(Bed("article", HOLD, medium), "bed")  # type: ignore[arg-type]
    assert baseline.tunnels == ()
    assert {node: [p[:2] for p in found] for node, found in peers(baseline).items()} == {
        node: [p[:2] for p in found] for node, found in peers(tunnel).items()
    }
    assert {p[2] for found in peers(baseline).values() for p in found} == {f"{medium}0"}
    assert all(r.timers.hold == 9 for r in plan_routers(baseline).values())


def test_vxlan_has_the_outer_addresses_of_the_tunnel() -> None:
    link = build(Bed("article", HOLD, "vxlan"), "bed").links[-1]
    assert link.intent.encapsulation is not None
    assert [str(a) for a in link.intent.encapsulation.outer] == ["198.51.100.1", "198.51.100.5"]
    assert (link.endpoints[0].node, link.endpoints[1].node, link.mtu) == ("hq", "branch", 1450)


def test_variables_of_a_plan_reach_the_topology() -> None:
    bed = Bed("dual-homed", HOLD, variables=(("PREFERENCE", "200"),))
    assert [tunnel.preference for tunnel in build(bed, "bed").tunnels] == [200, 100]


TARGETS: dict[Over, dict[str, str]] = {
    "tunnel": {
        "hard-reset": "BGP of hq with branch reset",
        "client-killed": "OpenVPN client of branch-hq killed",
        "server-killed": "OpenVPN server of branch-hq killed",
        "blackhole": "outer packets of branch-hq dropped",
        "link-down": "transit:eth2 down",
        "node-paused": "hq paused",
    },
    "wire": {"blackhole": "all frames on the link of hq:wire0 dropped", "link-down": "hq:wire0 down"},
    "vxlan": {"blackhole": "all frames on the link of hq:vxlan0 dropped", "link-down": "transit:eth2 down"},
}
"""The faults of events by what the bed is over, in the article's lab."""


@pytest.mark.parametrize("medium", TARGETS)
def test_faults_break_the_path_that_is_measured(medium: Over) -> None:
    bed = Bed("article", HOLD, medium, openvpn="2.7" if medium == "tunnel" else "")
    path = path_of(build(bed, "bed"), roles(bed))
    assert {event: str(EVENTS[event].fault_on(path)) for event in TARGETS[medium]} == TARGETS[medium]


@pytest.mark.parametrize("name", event_names())
def test_every_event_that_is_a_fault_has_a_target(name: str) -> None:
    event = event_of(name)
    bed = Bed("article", HOLD, openvpn="2.7")
    if event.act == "fault":
        assert event.fault_on(path_of(build(bed, "bed"), roles(bed))).kind == event.fault
