"""A site with two tunnels over two paths: both at once, or one preferred and one spare."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6

from lab.core.expect import Expectation, wait_for
from lab.observe import CapturedPacket
from lab.runtime.lab import Lab
from lab.topology import Address, Family, Prefix
from tests.helpers.sites import Site
from tests.helpers.tunnels import (
    both_ways,
    expect_lans_reach_each_other,
    expect_one_session_for_both_families,
    expect_prefixes_come_and_go,
    session_of,
    site,
)

pytestmark = [
    pytest.mark.docker,
    pytest.mark.usually("2.6"),
    pytest.mark.variants,
    pytest.mark.topology("dual-homed"),
]

ROUNDS = 2
"""The number of changes of preference and back, while a thousand packets a second are sent."""
FLOWS = 64
"""The number of destinations: the kernel chooses a path for each, so all take the same one once in 2 ** 63 runs."""


@pytest.fixture(autouse=True)
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the topology's variables in the environment, before the lab starts."""
    daemon, preference = getattr(request, "param", ("frr", 100))
    monkeypatch.setenv("DAEMON", daemon)
    monkeypatch.setenv("PREFERENCE", str(preference))


either = pytest.mark.parametrize("settings", [("frr", 100), ("bird", 100)], ids=["frr", "bird"], indirect=True)
"""Runs a test with either daemon."""


def sites(lab: Lab, tunnel: str) -> tuple[Site, Site]:
    """Return both sites, with their devices of one of the tunnels."""
    return site(lab, lab.tunnel(tunnel), "hq"), site(lab, lab.tunnel(tunnel), "branch")


def expect_tunnels(lab: Lab, *tunnels: str) -> None:
    """Wait until the kernels route to the other site through exactly these tunnels, in both families."""
    for here, there in both_ways(*sites(lab, "first")):
        wanted = {lab.tunnel(name).device(here.router.name) for name in tunnels}
        expect_interfaces(here, there.router.plan.networks, wanted)


def expect_interfaces(here: Site, prefixes: Iterable[Prefix], wanted: set[str]) -> None:
    def found() -> dict[Prefix, set[str]]:
        routes = here.router.fib.routes()
        return {prefix: set(routes[prefix].interfaces) if prefix in routes else set() for prefix in prefixes}

    wait_for(
        Expectation(
            what=f"the routes of the other site through {', '.join(sorted(wanted))} and nothing else",
            node=here.router.name,
            look=found,
            met=lambda routes: all(interfaces == wanted for interfaces in routes.values()),
            changed=here.router.fib.waiter(),
            logs=here.router.running.files,
        ),
        within=60,
    )


def destination(packet: CapturedPacket) -> str | None:
    """Return the destination of an echo request that was sent into a tunnel."""
    frame = packet.decode()
    if packet.outgoing and IP in frame and ICMP in frame and frame[ICMP].type == 8:
        return str(frame[IP].dst)
    if packet.outgoing and ICMPv6EchoRequest in frame:
        return str(frame[IPv6].dst)
    return None


def request_to(address: Address, here: Site) -> IP | IPv6:
    if address.version == 4:
        return IP(src=str(here.host.address("ipv4")), dst=str(address)) / ICMP()
    return IPv6(src=str(here.host.address("ipv6")), dst=str(address)) / ICMPv6EchoRequest()


def echo_through_both(here: Site, flows: Sequence[Address]) -> tuple[set[str], set[str]]:
    """Send an echo request to each address, and return those that went into the first and the second tunnel."""
    with here.router.capture("tun0") as first, here.router.capture("tun1") as second:

        def seen() -> tuple[set[str], set[str]]:
            one, other = ({to for p in capture.packets if (to := destination(p))} for capture in (first, second))
            return one, other

        for address in flows:
            here.host.send(request_to(address, here))
        return wait_for(
            Expectation(
                what=f"{len(flows)} echo requests in the two tunnels",
                node=here.router.name,
                look=seen,
                met=lambda found: found[0] | found[1] >= set(map(str, flows)),
                seen=lambda found: f"{len(found[0])} and {len(found[1])}",
            ),
            within=30,
        )


@either
def test_two_equal_tunnels_share_the_traffic(lab: Lab) -> None:
    for name in ("first", "second"):
        expect_one_session_for_both_families(lab.tunnel(name), *sites(lab, name))
    expect_tunnels(lab, "first", "second")
    hq, branch = sites(lab, "first")
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)

    for here, there in both_ways(hq, branch):
        flows = [network[number] for network in there.router.plan.networks for number in range(20, 20 + FLOWS)]
        for addresses in echo_through_both(here, flows):
            assert {ip_address(address).version for address in addresses} == {4, 6}, "only one family passes a tunnel"


@either
def test_traffic_moves_to_the_other_tunnel_when_one_is_lost(lab: Lab) -> None:
    lost, kept = lab.tunnel("first"), lab.tunnel("second")
    before = session_of(kept.status())
    expect_tunnels(lab, "first", "second")
    lost.client.stop("KILL")
    try:
        expect_tunnels(lab, "second")
        expect_lans_reach_each_other(*sites(lab, "second"))
        expect_prefixes_come_and_go(lab, *sites(lab, "second"))
    finally:
        lost.client.start()
    expect_tunnels(lab, "first", "second")
    expect_lans_reach_each_other(*sites(lab, "first"))
    assert session_of(kept.status()) == before


@pytest.mark.parametrize(
    "settings",
    [pytest.param(("frr", 200), id="frr"), pytest.param(("bird", 200), id="bird", marks=pytest.mark.thorough)],
    indirect=True,
)
def test_preferred_tunnel_carries_all_traffic_while_it_is_up(lab: Lab) -> None:
    preferred, spare = lab.tunnel("first"), lab.tunnel("second")
    before = session_of(spare.status())
    for name in ("first", "second"):
        expect_one_session_for_both_families(lab.tunnel(name), *sites(lab, name))
    expect_tunnels(lab, "first")
    expect_prefixes_come_and_go(lab, *sites(lab, "first"))

    for end in (preferred.client, preferred.server):
        end.stop("KILL")
        try:
            expect_tunnels(lab, "second")
            expect_lans_reach_each_other(*sites(lab, "second"))
            expect_prefixes_come_and_go(lab, *sites(lab, "second"))
        finally:
            end.start()
        expect_tunnels(lab, "first")  # without a restart
        expect_lans_reach_each_other(*sites(lab, "first"))
    assert session_of(spare.status()) == before


@pytest.mark.parametrize("settings", [("frr", 200), ("bird", 200)], ids=["frr", "bird"], indirect=True)
def test_changing_the_preference_leaves_no_packet_without_a_route(lab: Lab, family: Family) -> None:
    """Both tunnels are up and are preferred in turn: the kernel replaces a route in one step.

    The router's own counter is checked, since a busy host can lose other packets.
    """
    hq, branch = lab.router("hq"), lab.router("branch")
    first, second = (lab.tunnel(name).device("branch") for name in ("first", "second"))
    prefix = lab.free_prefix(family)
    with hq.serving(prefix, lab.host("hq-lan")) as address:
        with hq.announced(prefix):
            branch.expect_in_fib(prefix, via=first, alone=True)
            lab.host("branch-lan").expect_reaches(address)
            before = branch.without_route(family)
            for preference, device in ((300, second), (None, first)) * ROUNDS:
                with lab.measure("branch", prefix, probe_from="branch-lan", until="moves") as measured:
                    branch.prefer(prefix, local_pref=preference, through=second)
                assert measured.status != "timed-out", measured.reason
                branch.expect_in_fib(prefix, via=device, alone=True)
                events = [e for e in branch.fib.events(measured.event) if e.entry.prefix == prefix]
                assert events
                assert not [e for e in events if e.action == "delete"], "the route was deleted for a moment"
                assert measured.data_plane is not None
                assert measured.data_plane.received > 0
                assert branch.without_route(family) == before, "packets had no route"

        branch.expect_not_in_fib(prefix)
        assert lab.host("branch-lan").echo(address, count=3).silent
        assert branch.without_route(family) >= before + 3, "the counter does not count"
