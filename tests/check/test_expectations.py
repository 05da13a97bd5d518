"""Each kind of expectation holds, fails after a fault, and holds again once it is undone."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.check.model import Verdict
from lab.runtime.lab import Lab
from tests.helpers.checking import bad, expectations, run, single

pytestmark = [pytest.mark.docker, pytest.mark.topology("article", openvpn="2.7")]

SOON = 20.0
"""Seconds until something must hold."""
BRIEF = 3.0
"""Seconds in which something does not become true."""

WORKING = [
    "{tunnel: branch-hq, peer: 198.51.100.5, cipher: AES-256-GCM, data: userspace}",
    "{session: hq, node: branch, families: [ipv4, ipv6], received: {ipv4: 1, ipv6: 1}}",
    '{route: [10.1.0.0/24, "2001:db8:1::/64"], node: branch, interface: tun0, exactly: true}',
    "{route: 10.1.0.0/24, node: branch, in: both, next-hop: 10.255.0.1, as-path: [65001], med: 0}",
    "{from: branch-lan, reaches: hq-lan}",
    "{from: branch-lan, reaches: hq-lan, size: 1500, df: true, count: 3}",
    "{from: branch-lan, reaches: hq-lan, tcp: 8080}",
    "{from: hq-lan, reaches: branch-lan, udp: 5000}",
    "{mtu: 1500, from: branch-lan, to: hq-lan}",
    "{path: [branch-lan, branch, branch-hq, hq, hq-lan]}",
]
BROKEN = [
    "{tunnel: branch-hq, state: down}",
    "{session: hq, node: branch, state: down}",
    '{no-route: [10.1.0.0/24, "2001:db8:1::/64"], node: branch, in: both}',
    "{from: branch-lan, does-not-reach: hq-lan}",
    "{from: branch-lan, does-not-reach: hq-lan, tcp: 8080}",
    "{from: hq-lan, does-not-reach: branch-lan, udp: 5000}",
]


def none_holds(lab: Lab, lines: list[str]) -> None:
    results = run(lab, expectations(lines, within=BRIEF))
    assert {checked.what: checked.result.verdict for checked in results if checked.result.good} == {}
    assert all(checked.result.verdict is Verdict.FAILED for checked in results), bad(results)


def all_hold(lab: Lab, lines: list[str]) -> None:
    assert bad(run(lab, expectations(lines, within=SOON))) == []


def test_expectations_of_a_tunnel_follow_the_tunnel(lab: Lab) -> None:
    all_hold(lab, WORKING)
    none_holds(lab, BROKEN)
    with lab.fault("openvpn-terminated", tunnel="branch-hq", end="client"):
        all_hold(lab, BROKEN)
        none_holds(lab, WORKING)
    all_hold(lab, WORKING)


def test_result_names_the_cause_and_the_logs(lab: Lab) -> None:
    with lab.fault("openvpn-terminated", tunnel="branch-hq", end="client"):
        found = single(lab, "{tunnel: branch-hq}", within=BRIEF)
    assert found.verdict is Verdict.FAILED
    assert "OpenVPN client of branch-hq does not run" in found.seen
    assert found.cause
    assert found.logs == lab.running("branch").files


def test_route_through_another_interface_is_not_the_expected_one(lab: Lab) -> None:
    all_hold(lab, ["{route: 10.1.0.0/24, node: branch, interface: tun0}"])
    found = single(lab, "{route: 10.1.0.0/24, node: branch, interface: eth1}", within=0)
    assert (found.verdict, found.cause) == (Verdict.FAILED, "")  # there is a route: nothing is missing
    assert "dev tun0 proto bgp" in found.seen
    other = single(lab, "{route: 10.1.0.0/24, node: branch, in: rib, as-path: [65001, 65001]}", within=0)
    assert (other.verdict, "AS path 65001" in other.seen) == (Verdict.FAILED, True)


def test_exactly_fails_with_one_more_prefix(lab: Lab) -> None:
    line = '{route: [10.1.0.0/24, "2001:db8:1::/64"], node: branch, in: both, exactly: true}'
    all_hold(lab, [line])
    with lab.router("hq").announced(lab.free_prefix("ipv4")):
        lab.router("branch").expect_session("hq")
        all_hold(lab, ["{session: hq, node: branch, received: {ipv4: 2, ipv6: 1}}"])
        found = single(lab, line, within=BRIEF)
        assert (found.verdict, found.seen.startswith("also ")) == (Verdict.FAILED, True)
    all_hold(lab, [line])


def test_packet_in_clear_fails_at_once(lab: Lab) -> None:
    line = "{nothing-in-clear: [branch:eth1, transit:eth1], from: branch-lan, to: hq-lan}"
    all_hold(lab, [line])
    with rerouted(lab, "branch", "10.1.0.0/24", "198.51.100.6"):
        found = single(lab, line, within=SOON)
    assert found.verdict is Verdict.FAILED
    assert "a packet to 10.1.0.10 in clear: branch out of eth1: 10.2.0.10 to 10.1.0.10" in found.seen
    all_hold(lab, [line])


def test_clear_check_cannot_tell_without_a_packet(lab: Lab) -> None:
    line = "{nothing-in-clear: transit:eth1, from: branch-lan, to: hq-lan, family: ipv4}"
    with lab.fault("link-down", link="branch-lan:eth1"):
        found = single(lab, line, within=BRIEF)
    assert (found.verdict, "sent no packet" in found.seen) == (Verdict.CANNOT_TELL, True)
    all_hold(lab, [line])


def test_path_fails_with_another_way(lab: Lab) -> None:
    line = "{path: [branch-lan, branch, branch-hq, hq, hq-lan], family: ipv4}"
    all_hold(lab, [line])
    with rerouted(lab, "branch", "10.1.0.0/24", "198.51.100.6"):
        found = single(lab, line, within=BRIEF)
        assert found.verdict is Verdict.FAILED
        assert "by branch-lan > branch > transit, no answer" in found.seen
    all_hold(lab, [line])


def test_mtu_is_measured(lab: Lab) -> None:
    line = "{mtu: 1500, from: branch-lan, to: hq-lan, family: ipv4}"
    all_hold(lab, [line])
    node = lab.node("branch")
    node.exec("ip", "link", "set", "tun0", "mtu", "1400").raise_on_error()
    try:
        all_hold(lab, ["{mtu: 1400, from: branch-lan, to: hq-lan, family: ipv4}"])
        found = single(lab, line, within=0)
        assert (found.verdict, found.seen) == (Verdict.FAILED, "1400 to 10.1.0.10")
    finally:
        node.exec("ip", "link", "set", "tun0", "mtu", "1500").raise_on_error()
    all_hold(lab, [line])


def test_log_counts_only_lines_after_the_actions_of_its_step(lab: Lab) -> None:
    restarted, silent = '{log: "SIGUSR1", node: branch}', '{no-log: "SIGUSR1", node: branch}'
    text = f"""
within: {SOON}
steps:
  - step: OpenVPN restarts its connection
    do: {{fault: openvpn-usr1, tunnel: branch-hq}}
    expect: [{restarted}, {silent}]
  - step: nothing happens
    do: {{exec: "true", node: branch}}
    within: {BRIEF}
    expect: [{restarted}, {silent}]
"""
    found = [checked.result for checked in run(lab, text)]
    assert [result.good for result in found] == [True, False, False, True]
    assert "SIGUSR1" in found[0].evidence[-1]
    assert "SIGUSR1" in found[1].seen
    lab.wait_ready()


def test_verdict_of_advise_is_compared(lab: Lab) -> None:
    all_hold(lab, ["{advise: no-iroute, verdict: not exposed}"])
    none_holds(lab, ["{advise: no-iroute, verdict: exposed}", "{advise: no-iroute, verdict: cannot tell}"])


@contextmanager
def rerouted(lab: Lab, node: str, prefix: str, via: str) -> Iterator[None]:
    """Send a prefix to another router, in clear, during the block."""
    where = lab.node(node)
    where.exec("ip", "route", "add", prefix, "via", via, "metric", "1").raise_on_error()
    try:
        yield
    finally:
        where.exec("ip", "route", "del", prefix, "via", via, "metric", "1").raise_on_error()
