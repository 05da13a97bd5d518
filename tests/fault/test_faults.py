"""Each fault breaks its target and nothing else, and undoing it restores everything."""

import time

import pytest
from pyroute2 import IPRoute

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.engine import NodeState
from lab.runtime.lab import Lab
from lab.status.overview import report
from tests.helpers.processes import elsewhere
from tests.helpers.sites import Site, networks

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.7"), pytest.mark.faults]

either = pytest.mark.topology("article")
once = pytest.mark.topology("article", openvpn="2.7")
"""For tests that do not depend on OpenVPN's version."""


IFF_UP = 0x1
Interfaces = dict[str, tuple[int, bool, bool, list[str]]]
"""By name: index, up, carrier, and addresses without link-local ones."""


def interfaces(lab: Lab, node: str) -> Interfaces:
    """Return a node's interfaces."""

    def work() -> Interfaces:
        with IPRoute() as ip:
            addresses: dict[int, list[str]] = {}
            for a in ip.get_addr():
                text = f"{a.get_attr('IFA_ADDRESS')}/{a['prefixlen']}"
                if not text.startswith("fe80"):
                    addresses.setdefault(a["index"], []).append(text)
            return {
                link.get_attr("IFLA_IFNAME"): (
                    link["index"],
                    bool(link["flags"] & IFF_UP),
                    bool(link.get_attr("IFLA_CARRIER")),
                    sorted(addresses.get(link["index"], [])),
                )
                for link in ip.get_links()
            }

    return lab.running(node).namespace.run(work)


def everything(lab: Lab) -> dict[str, object]:
    """All interfaces and kernel routes of all nodes, without each interface's automatic routes."""
    return {
        name: (
            interfaces(lab, name),
            {(p, e.interfaces) for p, e in lab.node(name).fib.routes().items() if not p.is_link_local},
        )
        for name in lab.topology.nodes
    }


def expect_as_before(lab: Lab, hq: Site, branch: Site, before: dict[str, object]) -> None:
    """Expect all routes, sessions and interfaces as before, and traffic to pass."""
    lab.wait_ready()
    assert lab.faults == []
    for family in FAMILIES:
        hq.host.expect_reaches(branch.host.address(family))
    wait_for(
        Expectation(
            what="all interfaces and routes to be as before",
            node=lab.name,
            look=lambda: everything(lab),
            met=lambda now: now == before,
        ),
        within=30,
    )


def expect_routing_is_gone(hq: Site, branch: Site, since: float) -> None:
    """Wait until neither end has the other's prefixes."""
    hq.router.expect_no_route(networks(branch), since=since)
    branch.router.expect_no_route(networks(hq), since=since)


@either
@pytest.mark.parametrize("layer", ["inner", "outer"])
def test_blackhole_leaves_interfaces_up(lab: Lab, hq: Site, branch: Site, layer: str) -> None:
    """Only BGP's hold timer detects it. Inside, OpenVPN keeps its session, since its own pings pass."""
    before, tunnel = everything(lab), lab.tunnel("branch", "hq")
    session = tunnel.status()
    down = {name: interfaces(lab, name) for name in lab.topology.nodes}
    with lab.fault("blackhole", layer=layer) as fault:
        expect_routing_is_gone(hq, branch, fault.began.since)
        assert {name: interfaces(lab, name) for name in lab.topology.nodes} == down
        assert report(lab).tunnels[0].up
        assert [f.kind for f in report(lab).faults] == ["blackhole"]
        for family in FAMILIES:
            assert hq.host.echo(branch.host.address(family), wait=0.5).silent
    expect_as_before(lab, hq, branch, before)
    after = tunnel.status()
    assert (after.client_id, after.server_pid, after.client_pid) == (
        session.client_id,
        session.server_pid,
        session.client_pid,
    )


@once
def test_blackhole_in_one_direction_leaves_the_other(lab: Lab, hq: Site, branch: Site) -> None:
    """Requests arrive, and replies do not."""
    server = lab.tunnel("branch", "hq").tunnel.server_ipv4.ip
    with lab.fault("blackhole", layer="inner", direction="to-client"), hq.router.capture(hq.device) as heard:
        assert branch.router.echo(server, count=3, wait=0.5).silent
        wait_for(
            Expectation(
                what="three requests and three answers",
                node="hq",
                look=lambda: [p for p in heard.packets if p.decode().haslayer("ICMP")],
                met=lambda seen: len(seen) == 6,
            ),
            within=10,
        )
    lab.wait_ready()


@either
@pytest.mark.parametrize(
    ("kind", "end"), [("openvpn-killed", "client"), ("openvpn-killed", "server"), ("openvpn-terminated", "client")]
)
def test_undo_starts_an_ended_process(lab: Lab, hq: Site, branch: Site, kind: str, end: str) -> None:
    tunnel = lab.tunnel("branch", "hq")
    before = tunnel.status()
    with lab.fault(kind, tunnel=tunnel.name, end=end) as fault:
        victim = tunnel.client if end == "client" else tunnel.server
        assert not victim.running
        with pytest.raises(EnvironmentBroken, match=f"OpenVPN {end} of branch-hq does not run"):
            tunnel.status()
        expect_routing_is_gone(hq, branch, fault.began.since)
        with pytest.raises(InputError, match="does not run: there is nothing to signal"):
            lab.fault("openvpn-usr1", end=end)
    lab.wait_ready()
    after = tunnel.status()
    survivor = "client" if end == "server" else "server"
    assert getattr(after, f"{end}_pid") != getattr(before, f"{end}_pid")
    assert getattr(after, f"{survivor}_pid") == getattr(before, f"{survivor}_pid")


@either
@pytest.mark.parametrize(
    ("kind", "end"), [("openvpn-usr1", "client"), ("openvpn-usr1", "server"), ("openvpn-hup", "client")]
)
def test_restarting_process_recovers_by_itself(lab: Lab, kind: str, end: str) -> None:
    tunnel = lab.tunnel("branch", "hq")
    before, size = tunnel.status(), (tunnel.client if end == "client" else tunnel.server).log_size()
    event = lab.fault(kind, end=end)
    assert lab.faults == []
    process = tunnel.client if end == "client" else tunnel.server
    wait_for(
        Expectation(
            what=f"{process} to say that it restarts",
            node=process.node.name,
            look=lambda: process.log_lines("received, process restarting", since=size),
            met=bool,
        ),
        within=30,
        since=event.began.since,
    )
    after = wait_for(
        Expectation(
            what="another session of the client",
            node=tunnel.tunnel.server,
            look=tunnel.status,
            met=lambda now: now.real_address != before.real_address,
        ),
        within=60,
        since=event.began.since,
    )
    assert (after.server_pid, after.client_pid) == (before.server_pid, before.client_pid)
    lab.wait_ready()


@once
@pytest.mark.parametrize("link", ["hq:eth1", "transit:eth2"])
def test_link_down_affects_both_ends_and_undo_restores_everything(lab: Lab, hq: Site, branch: Site, link: str) -> None:
    before = everything(lab)
    node, _, interface = link.partition(":")
    (ends,) = [
        [(e.node, e.interface) for e in found.endpoints]
        for found in lab.topology.links
        if (node, interface) in [(e.node, e.interface) for e in found.endpoints]
    ]
    with lab.fault("link-down", link=link) as fault:
        assert not any(interfaces(lab, n)[i][2] for n, i in ends)
        assert [interfaces(lab, n)[i][1] for n, i in ends] == [end != (node, interface) for end in ends]
        expect_routing_is_gone(hq, branch, fault.began.since)
        with pytest.raises(InputError, match="in force already"):
            lab.fault("link-down", link=link)
    expect_as_before(lab, hq, branch, before)


@once
def test_link_blackhole_keeps_the_carrier(lab: Lab, hq: Site, branch: Site) -> None:
    before = everything(lab)
    with lab.fault("link-blackhole", link="hq:eth1") as fault:
        assert {name: interfaces(lab, name) for name in lab.topology.nodes} == {
            name: state[0] for name, state in before.items() if isinstance(state, tuple)
        }
        expect_routing_is_gone(hq, branch, fault.began.since)
    expect_as_before(lab, hq, branch, before)


@once
def test_undo_of_a_killed_daemon_originates_the_same_prefixes(lab: Lab, hq: Site, branch: Site) -> None:
    prefix = lab.free_prefix("ipv6")
    with hq.router.announced(prefix):
        branch.router.expect_route(prefix, via=branch.device)
        with lab.fault("daemon-killed", node="hq") as fault:
            assert not hq.router.daemon.is_running(hq.router.running)
            branch.router.expect_no_route([prefix, *networks(hq)], since=fault.began.since)
            # No process removes the learnt routes from the kernel.
            assert set(networks(branch)) <= hq.router.fib.routes().keys()
        lab.wait_ready()
        branch.router.expect_route(prefix, via=branch.device)
    branch.router.expect_no_route(prefix)


@once
def test_paused_node_keeps_its_interfaces(lab: Lab, hq: Site, branch: Site) -> None:
    before = everything(lab)
    with lab.fault("node-paused", node="branch") as fault:
        assert lab.nodes["branch"].state is NodeState.PAUSED
        hq.router.expect_no_route(networks(branch), since=fault.began.since)
        assert not report(lab).up
        assert interfaces(lab, "branch")["eth1"][1:3] == (True, True)
        with pytest.raises(InputError, match=r"node 'branch' is paused|in force already"):
            lab.fault("node-paused", node="branch")
    expect_as_before(lab, hq, branch, before)


@once
def test_bgp_resets(lab: Lab, hq: Site, branch: Site) -> None:
    """A hard reset closes the session, a soft one does not."""
    before = hq.router.expect_session(branch.router)
    lab.fault("bgp-soft-reset", node="hq", neighbor="branch")
    after = hq.router.neighbor(branch.router)
    assert (after.up, after.times_established) == (True, before.times_established)
    lab.fault("bgp-reset", node="hq", neighbor="branch")
    wait_for(
        Expectation(
            what="another session",
            node="hq",
            look=lambda: hq.router.neighbor(branch.router),
            met=lambda now: now.up and now.times_established == before.times_established + 1,
        ),
        within=30,
    )
    lab.wait_ready()
    with pytest.raises(InputError, match="hq has no session with hq-lan configured"):
        lab.fault("bgp-reset", node="hq", neighbor="hq-lan")


@once
@pytest.mark.parametrize("kind", ['"blackhole", layer="inner"', '"link-down", link="hq:eth1"', '"openvpn-killed"'])
def test_fault_of_a_killed_process_is_undone_by_another(lab: Lab, hq: Site, branch: Site, kind: str) -> None:
    """After SIGKILL the record in the lab's directory remains."""
    before = everything(lab)
    since = time.monotonic()
    process = elsewhere(lab, f"lab.fault({kind})")
    process.kill()
    process.wait()
    expect_routing_is_gone(hq, branch, since)
    assert [f.fault.kind for f in lab.faults] == [kind.split('"')[1]]
    (healed,) = lab.undo_faults()
    assert healed.number == 1
    if "openvpn" in kind:  # a device that is created again has another index
        lab.wait_ready()
    else:
        expect_as_before(lab, hq, branch, before)


@pytest.mark.topology("frr-bird", openvpn="2.7")
def test_faults_of_bird_are_those_of_frr(lab: Lab) -> None:
    """The soft reset keeps BIRD's session, the hard one does not; undo restarts a killed BIRD with its prefixes."""
    bird = next(router for router in lab.routers.values() if router.plan.daemon == "bird")
    (other,) = {peer.node for peer in bird.plan.peers}
    frr = lab.router(other)
    before = frr.expect_session(bird)
    lab.fault("bgp-soft-reset", node=bird.name)
    assert frr.neighbor(bird).times_established == before.times_established
    lab.fault("bgp-reset", node=bird.name, neighbor=frr.name)
    wait_for(
        Expectation(
            what="another session",
            node=frr.name,
            look=lambda: frr.neighbor(bird),
            met=lambda now: now.up and now.times_established == before.times_established + 1,
        ),
        within=30,
    )
    prefix = lab.free_prefix("ipv4")
    with bird.announced(prefix):
        frr.expect_route(prefix)
        with lab.fault("daemon-killed", node=bird.name) as fault:
            frr.expect_no_route(prefix, since=fault.began.since)
            assert bird.daemon.processes(bird.running) == []
        frr.expect_route(prefix)
    frr.expect_no_route(prefix)
    lab.wait_ready()


@once
def test_node_without_tracked_connections_is_refused(lab: Lab) -> None:
    with pytest.raises(InputError, match="node 'hq' tracks no connection: there is nothing to forget"):
        lab.fault("connections-forgotten", node="hq")
