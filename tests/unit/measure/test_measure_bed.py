"""The deployments of a plan: detector, mode, and the baselines that replace a tunnel."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.measure.record import Over
from lab.measure.trials.bed import build
from lab.measure.trials.detector import Detector
from lab.measure.trials.events import EVENTS, event_names, event_of
from lab.measure.trials.plan import Bed
from lab.measure.trials.site import path_of, roles
from lab.routing import plan_routers
from lab.topology import Topology
from tests.helpers.own_routers import article_with

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


OWN = """\
router bgp 65001
 neighbor 10.255.0.2 remote-as 65002
 neighbor 10.255.0.2 timers 3 9
"""


def test_router_with_the_users_files_is_measured_with_the_detector_of_the_files(tmp_path: Path) -> None:
    file = article_with(tmp_path, "config: frr.conf", {"frr.conf": OWN})
    for over in ("tunnel", "wire"):
        topology = build(Bed(str(file), HOLD, over), "bed")
        assert topology.own_routers["hq"].hold == 9
        assert peers(topology)["hq"] == [("branch", "10.255.0.2", "tun0" if over == "tunnel" else "wire0")]
    assert path_of(build(Bed(str(file), HOLD), "bed"), roles(Bed(str(file), HOLD))).far == "hq"
    for detector in ("hold 3 s", "bfd 3x100 ms", "ping-restart 6 s"):
        with pytest.raises(InputError, match=rf"hq runs with your own files, .*{detector} .*its hold time is 9 s"):
            build(Bed(str(file), Detector.parse(detector)), "bed")
    build(Bed(str(file), Detector.parse("interface")), "bed")


def test_routers_that_do_not_peer_cannot_be_measured(tmp_path: Path) -> None:
    stranger = OWN.replace("10.255.0.2", "192.0.2.9")
    file = article_with(tmp_path, "config: frr.conf", {"frr.conf": stranger})
    with pytest.raises(InputError, match="hq has no session with branch"):
        path_of(build(Bed(str(file), HOLD), "bed"), roles(Bed(str(file), HOLD)))


POOL = """name: pool
topology:
  defaults: {kind: linux, image: "openvpn-routing-lab/node:2.7", network-mode: none}
  nodes:
    hq:
      config: {vars: {openvpn: [{config: hq/server.conf}], router: {config: hq/frr.conf}}}
    branch:
      config: {vars: {openvpn: [{config: branch/client.conf}], router: {config: branch/frr.conf}}}
    hq-lan: {config: {vars: {routes: [{to: default, via: hq}]}}}
    branch-lan: {config: {vars: {routes: [{to: default, via: branch}]}}}
  links:
    - {endpoints: ["hq:eth1", "branch:eth1"], ipv4: [192.0.2.1/24, 192.0.2.2/24]}
    - {endpoints: ["hq:eth2", "hq-lan:eth1"], ipv4: [10.1.0.1/24, 10.1.0.2/24]}
    - {endpoints: ["branch:eth2", "branch-lan:eth1"], ipv4: [10.2.0.1/24, 10.2.0.2/24]}
"""
NEIGHBOR = "router bgp {0}\n neighbor {1} remote-as {2}\n neighbor {1} timers 3 9\n"


def pool(directory: Path, server: str) -> Bed:
    files = {
        "pool.clab.yml": POOL,
        "hq/server.conf": f"dev tun\ntopology subnet\nca ca\ncert hq\nkey k\ndh none\n{server}",
        "branch/client.conf": "client\ndev tun\nremote 192.0.2.1\nca ca\ncert branch\nkey k\n",
        "hq/frr.conf": NEIGHBOR.format(65001, "10.8.0.2", 65002),
        "branch/frr.conf": NEIGHBOR.format(65002, "10.8.0.1", 65001),
    }
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return Bed(str(directory / "pool.clab.yml"), HOLD, "wire")


@pytest.mark.parametrize("medium", ["wire", "vxlan"])
def test_baseline_of_own_files_has_the_addresses_of_the_pool(tmp_path: Path, medium: Over) -> None:
    bed = replace(pool(tmp_path, "server 10.8.0.0 255.255.255.0\nserver-ipv6 fd00:8::/64\n"), over=medium)
    topology = build(bed, "bed")
    assert topology.processes == ()
    ends = {end.node: (end.interface, *map(str, end.addresses)) for end in topology.links[-1].endpoints}
    assert ends == {
        "hq": ("tun0", "10.8.0.1/24", "fd00:8::1/64"),
        "branch": ("tun0", "10.8.0.2/24", "fd00:8::1000/64"),
    }
    assert peers(topology)["hq"] == [("branch", "10.8.0.2", "tun0")]
    assert peers(build(replace(bed, over="tunnel"), "bed"))["hq"] == [("branch", "10.8.0.2", "tun0")]


def test_baseline_of_own_files_may_have_one_family(tmp_path: Path) -> None:
    (link,) = build(pool(tmp_path, "server 10.8.0.0 255.255.255.0\n"), "bed").links[-1:]
    assert [str(a) for end in link.endpoints for a in end.addresses] == ["10.8.0.1/24", "10.8.0.2/24"]


def test_baseline_without_known_addresses_is_refused(tmp_path: Path) -> None:
    bed = pool(tmp_path, "mode server\ntls-server\n")
    with pytest.raises(InputError, match="no file tells the inner addresses of both ends of branch-hq, which the base"):
        build(bed, "bed")
    build(replace(bed, over="tunnel"), "bed")
