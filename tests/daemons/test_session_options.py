"""Options of BGP sessions and extra lines, with real sessions; each with its control."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP

from lab.catalogue import load
from lab.core.errors import InputError
from lab.core.expect import Expectation, wait_for
from lab.observe import CapturedPacket
from lab.routing.bird.control import Control
from lab.routing.frr.vty import Vty
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.status.overview import SessionReport, report
from lab.topology import Prefix
from tests.helpers.checking import single
from tests.helpers.labs import new_name
from tests.helpers.pairs import Pair, Trio
from tests.helpers.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.variants, pytest.mark.topology("pair.clab.yml", openvpn="2.7")]

DEFAULT = ip_network("0.0.0.0/0")
LEARNT = ip_network("10.1.0.0/24")


def pairs(hq: str, branch: str, *more: tuple[str, str]) -> list[Pair]:
    """Return pairs of FRR and BIRD in both orders, and of more daemons, with options at each end."""
    return [
        Pair(f"{one}-{other}", f"daemon: {one}, asn: 65001, {hq}", f"daemon: {other}, asn: 65002, {branch}")
        for one, other in (("frr", "bird"), ("bird", "frr"), *more)
    ]


def path_of(router: Router, prefix: Prefix) -> str:
    """Return all that a router's daemon shows about a prefix."""
    if router.plan.daemon == "frr":
        with Vty(router.running.root, "bgpd") as bgpd:
            return json.dumps(bgpd.ask_json(f"show bgp ipv4 unicast {prefix} json"))
    with Control(router.running.root) as bird:
        return "\n".join(line.text for line in bird.ask(f"show route {prefix} all"))


@contextmanager
def running_with(router: Router, signal: str = "TERM", **options: Any) -> Iterator[None]:
    """Run a router's daemon in the context with other options for its neighbours, then with its own again."""
    peers = tuple(replace(peer, **options) for peer in router.plan.peers)
    for number, plan in enumerate((replace(router.plan, peers=peers), router.plan)):
        router.daemon.stop(router.running, signal)
        for file in router.daemon.render(plan):
            file.write_below(router.running.files)
        router.daemon.start(router.running, plan)
        if not number:
            try:
                yield
            except BaseException:
                router.daemon.stop(router.running, signal)
                raise


def sessions(lab: Lab) -> tuple[SessionReport, ...]:
    return report(lab).sessions


BOTH = "password: s3cret, ttl-security: 1"


@pytest.mark.parametrize("pair", pairs(BOTH, BOTH), ids=str, indirect=True)
def test_session_needs_the_same_password_at_both_ends(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    hq.router.expect_session("branch")
    for password in ("wrong", None):
        with running_with(branch.router, password=password):
            wait_for(
                Expectation(
                    what="the kernel to refuse segments by their MD5 digest, and no session",
                    node="hq",
                    look=lambda: sessions(lab),
                    met=lambda found: not any(s.up for s in found) and any("TCP MD5" in s.reason for s in found),
                    seen=str,
                ),
                within=30,
            )
        hq.router.expect_session("branch")
        assert all(session.up for session in sessions(lab))
    assert "s3cret" not in repr(report(lab))


@pytest.mark.parametrize("pair", pairs(BOTH, BOTH), ids=str, indirect=True)
def test_password_is_masked_in_a_diagnosis(lab: Lab, pair: Pair, tmp_path: Path) -> None:
    lab.diagnose(tmp_path / "diagnosis")
    kept = [file for file in (tmp_path / "diagnosis").rglob("*") if file.is_file()]
    assert any("password" in file.read_text(errors="replace") for file in kept)
    assert not [file for file in kept if b"s3cret" in file.read_bytes()]


def is_bgp(packet: CapturedPacket) -> bool:
    frame = packet.decode()
    return TCP in frame and IP in frame and 179 in (frame[TCP].sport, frame[TCP].dport)


@pytest.mark.parametrize("pair", pairs(BOTH, BOTH), ids=str, indirect=True)
def test_session_needs_ttl_security_at_both_ends(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    with hq.router.capture(hq.device) as capture:
        assert capture.expect("a BGP segment", is_bgp).decode()[IP].ttl == 255
    with running_with(branch.router, ttl_security=None), hq.router.capture(hq.device) as capture:
        # The kernel answers with a TTL of its own while no daemon listens.
        capture.expect(
            "a segment of the branch with a TTL of 1",
            lambda p: is_bgp(p) and not p.outgoing and p.decode()[IP].ttl == 1,
        )
        wait_for(
            Expectation(
                what="no session", node="hq", look=lambda: sessions(lab), met=lambda f: not any(s.up for s in f)
            ),
            within=30,
        )
    # A connection whose OPEN was dropped can stay in OpenSent: BIRD's `startup hold time` is 240 s.
    hq.router.reset("branch")
    hq.router.expect_session("branch")


@pytest.mark.parametrize(
    "pair",
    pairs("graceful-restart: 60", "graceful-restart: 60", ("frr", "frr"), ("bird3", "bird3")),
    ids=str,
    indirect=True,
)
def test_graceful_restart_keeps_routes_while_a_daemon_restarts(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    hq.router.daemon.stop(hq.router.running)
    wait_for(
        Expectation(
            what="the session to be down",
            node="branch",
            look=lambda: branch.router.neighbor("hq"),
            met=lambda neighbor: not neighbor.up,
        ),
        within=30,
    )
    branch.router.expect_in_fib(LEARNT, via=branch.device)
    branch.host.expect_reaches(hq.host.address("ipv4"))
    hq.router.daemon.start(hq.router.running, hq.router.plan)
    branch.router.expect_session("hq")
    branch.router.expect_route(LEARNT, via=branch.device)
    hq.router.expect_route(branch.router.plan.networks, via=hq.device)
    branch.host.expect_reaches(hq.host.address("ipv4"))


@pytest.mark.parametrize("pair", pairs("timers: {}", "timers: {}"), ids=str, indirect=True)
def test_routes_go_with_a_daemon_without_graceful_restart(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    hq.router.daemon.stop(hq.router.running)
    branch.router.expect_not_in_fib(LEARNT)
    hq.router.daemon.start(hq.router.running, hq.router.plan)
    branch.router.expect_route(LEARNT, via=branch.device)


ANNOUNCED = "default-originate: true, communities: {10.1.0.0/24: [65001:100, 65001:1:2]}"


@pytest.mark.parametrize("pair", pairs(ANNOUNCED, "recursion-filter: false"), ids=str, indirect=True)
def test_default_route_and_communities_reach_the_neighbour(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    branch.router.expect_route(DEFAULT, via=branch.device)
    shown = path_of(branch.router, LEARNT).replace("(", "").replace(")", "").replace(", ", ":").replace(",", ":")
    assert "65001:100" in shown
    assert "65001:1:2" in shown
    line = "{{route: 10.1.0.0/24, node: branch, in: rib, communities: [{}]}}"
    assert single(lab, line.format('"65001:100", "65001:1:2"')).good
    missing = single(lab, line.format('"65001:100", "65001:9"'), within=1)
    assert (missing.good, missing.seen) == (False, "RIB: 10.1.0.0/24 with communities 65001:100 65001:1:2")
    # Announcing at run time changes neither.
    other = lab.free_prefix("ipv4")
    with hq.router.announced(other):
        branch.router.expect_route(other, via=branch.device)
        assert "65001:100" not in path_of(branch.router, other).replace("(", "").replace(",", ":")
    with running_with(hq.router, default_originate=False):
        branch.router.expect_route(LEARNT, via=branch.device)
        branch.router.expect_no_route(DEFAULT)
    branch.router.expect_route(DEFAULT, via=branch.device)


SAME_AS = [
    Trio(
        spoke,
        "asn: 65000",
        f"daemon: {spoke}, asn: 65001, allowas-in: 1",
        "asn: 65001",
    )
    for spoke in ("frr", "bird")
]


@pytest.mark.topology("hub.clab.yml", openvpn="2.7")
@pytest.mark.parametrize("trio", SAME_AS, ids=str, indirect=True)
def test_allowas_in_accepts_routes_of_the_own_as(lab: Lab, trio: Trio) -> None:
    hub, one, other = (lab.router(name) for name in ("hub", "spoke1", "spoke2"))
    there, here = other.plan.networks[0], one.plan.networks[0]
    one.expect_route(there)
    hub.expect_in_rib(here)
    other.expect_not_in_rib(here)  # the other spoke has no `allowas-in`
    with running_with(one, allowas_in=None):
        one.expect_route(hub.plan.networks[0])
        one.expect_no_route(there)
    one.expect_route(there)


MED = (
    "extra: [route-map FAR deny 5, match ip address prefix-list HIDDEN, route-map FAR permit 10, set metric 77, "
    "ip prefix-list HIDDEN permit 10.99.0.0/24, router bgp 65001, network 10.99.0.0/24, address-family ipv4 unicast, "
    "network 10.98.0.0/24, neighbor 10.255.0.2 route-map FAR out]"
)
STATIC = 'extra: ["protocol static mine { ipv4; route 10.98.0.0/24 blackhole { bgp_med = 77; }; }"]'


@pytest.mark.parametrize(
    "pair",
    [
        Pair("frr", f"daemon: frr, asn: 65001, {MED}", "daemon: bird, asn: 65002"),
        Pair("bird", f"daemon: bird, asn: 65001, {STATIC}", "daemon: frr, asn: 65002"),
    ],
    ids=str,
    indirect=True,
)
def test_extra_lines_change_what_is_announced(lab: Lab, pair: Pair, hq: Site, branch: Site) -> None:
    own = ip_network("10.98.0.0/24")
    branch.router.expect_route([LEARNT, own], via=branch.device)
    assert "77" in path_of(branch.router, own)
    branch.router.expect_not_in_rib(ip_network("10.99.0.0/24"))
    bare = replace(hq.router.plan, extra=())
    hq.router.daemon.stop(hq.router.running, "TERM")
    for file in hq.router.daemon.render(bare):
        file.write_below(hq.router.running.files)
    hq.router.daemon.start(hq.router.running, bare)
    branch.router.expect_no_route(own)
    branch.router.expect_route(LEARNT, via=branch.device)
    with running_with(hq.router):
        branch.router.expect_route([LEARNT, own], via=branch.device)


@pytest.mark.parametrize(
    ("hq", "line", "said"),
    [
        ("asn: 65001, extra: [route-map X permit 10, set metrik 7]", "extra[1]", "FRR: Unknown command: set metrik 7"),
        (
            "asn: 65001, extra: [router bgp 65001, neighbor 10.9.9.9 password s3cret]",
            "extra[1]",
            "FRR: bgpd refuses the line (Specify remote-as or peer-group commands first): "
            "neighbor 10.9.9.9 password ********",
        ),
        ('daemon: bird, asn: 65001, extra: ["# x", "frobnicate;"]', "extra[1]", "BIRD: syntax error"),
        ('daemon: bird3, asn: 65001, extra: ["protocol static x {"]', "extra[0]", "BIRD: syntax error, unexpected END"),
        (
            'daemon: bird, asn: 65001, neighbors: {branch: {extra: ["frobnicate;"]}}',
            "neighbors.branch.extra[0]",
            "BIRD: syntax error",
        ),
    ],
)
def test_refused_line_is_reported_with_its_place(hq: str, line: str, said: str, tmp_path: Path) -> None:
    file = Path(__file__).parent / "pair.clab.yml"
    topology = load(file, name=new_name(), variables={"HQ": hq, "OPENVPN": "2.7"})
    number = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if "${HQ" in text)
    with pytest.raises(InputError) as caught:
        Lab.deploy(topology, directory=tmp_path / "lab")
    place = f"{file}:{number}: topology.nodes.hq.config.vars.router.{line}: "
    assert str(caught.value).startswith(place + said)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
