"""Impairments, declared and at run time: measured on packets, reported in the status, and undone."""

import json
import time
from collections.abc import Mapping
from ipaddress import ip_address

import pytest

from lab.core.errors import InputError
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from lab.status.overview import LinkReport, link_reports, report
from lab.topology import Address, Family, Impairment
from tests.helpers.processes import elsewhere
from tests.helpers.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.faults]

impaired = pytest.mark.topology("impaired.clab.yml", openvpn="2.7")

SLOW: Mapping[Family, Address] = {"ipv4": ip_address("192.0.2.2"), "ipv6": ip_address("2001:db8:9:1::2")}
"""The host behind the link with a declared delay."""
QUICK: Mapping[Family, Address] = {"ipv4": ip_address("192.0.2.6"), "ipv6": ip_address("2001:db8:9:2::2")}
"""Behind the switch."""
RATE = 5_000


def round_trip(lab: Lab, target: Address, node: str = "one") -> float:
    """Return the seconds from an echo request to its reply."""
    started = time.monotonic()
    lab.node(node).expect_reaches(target)
    result = lab.node(node).echo(target, wait=20)
    took = time.monotonic() - started
    assert result.answered
    return took


def quickest(lab: Lab, target: Address) -> float:
    """Return the shortest of some round trips, which other processes delayed least."""
    times = []
    for _ in range(10):
        started = time.monotonic()
        assert lab.node("one").echo(target, wait=20).answered
        times.append(time.monotonic() - started)
    return min(times)


def links(lab: Lab) -> dict[str, LinkReport]:
    """Return the reports of links by their sending end."""
    return {link.sender: link for link in link_reports(lab)}


@impaired
def test_declared_delay_holds_in_both_directions(lab: Lab, family: Family) -> None:
    slow = quickest(lab, SLOW[family])
    assert slow >= 0.2
    assert quickest(lab, QUICK[family]) < slow
    told = links(lab)
    assert set(told) == {"one:eth1", "two:eth1"}
    for link in told.values():
        assert link.asked == Impairment(delay=100)
        assert (link.declared, link.consistent) == (True, True)
    assert {link.sender for link in report(lab).links} == set(told)


@impaired
def test_impairment_replaces_the_declared_one_until_it_is_undone(lab: Lab) -> None:
    with lab.impair("one:eth1", delay=300, only="leaving"):
        assert quickest(lab, SLOW["ipv4"]) >= 0.4
        told = links(lab)
        assert told["one:eth1"].asked == Impairment(delay=300)
        assert (told["one:eth1"].declared, told["two:eth1"].declared) == (False, True)
        with lab.impair("two:eth1", delay=150):
            assert quickest(lab, SLOW["ipv4"]) >= 0.3
            assert {link.asked for link in links(lab).values()} == {Impairment(delay=150)}
        assert quickest(lab, SLOW["ipv4"]) >= 0.4
    assert all(link.declared and link.consistent for link in links(lab).values())
    assert quickest(lab, SLOW["ipv4"]) >= 0.2


@impaired
def test_loss(lab: Lab, family: Family) -> None:
    """Through a switch as well: the switch's port drops packets that leave the node."""
    lab.node("one").expect_reaches(QUICK[family])
    with lab.impair("one:eth2", loss=30, only="leaving"):
        result = lab.node("one").echo(QUICK[family], count=500, interval=0.002, wait=5)
        # Only on one node's links, in both directions.
        assert [link.sender for link in link_reports(lab, node="switch")] == ["one:eth2"]
        assert {link.sender for link in link_reports(lab, node="two")} == {"one:eth1", "two:eth1"}
        # Binomial: mean 350, standard deviation 10.2; more than ten deviations do not occur.
        assert 248 < result.received < 452, result
    result = lab.node("one").echo(QUICK[family], count=100, interval=0.002, wait=5)
    assert result.answered, result


@impaired
def test_rate_limit(lab: Lab) -> None:
    before = throughput(lab)
    with lab.impair("one:eth2", rate=RATE):
        slowed = throughput(lab)
    assert slowed < RATE * 1000 * 1.15
    assert before > 4 * slowed
    assert throughput(lab) > 4 * slowed


def throughput(lab: Lab) -> float:
    """Return TCP's throughput from one to two through the switch in bit/s, as iperf3 counts it at the receiver."""
    runs = lab.running("two").spawn(["iperf3", "--server", "--one-off", "--bind", str(QUICK["ipv4"])])
    asked = ("iperf3", "--client", str(QUICK["ipv4"]), "--time", "3", "--json")
    answer = wait_for(
        Expectation(
            what="iperf3 to measure",
            node="one",
            look=lambda: lab.node("one").exec(*asked),
            met=lambda result: not result.failed,
            seen=lambda result: result.stdout[-200:],
        ),
        within=60,
    )
    wait_for(Expectation(what="iperf3 to end", node="two", look=runs, met=lambda is_there: not is_there), within=60)
    received: float = json.loads(answer.stdout)["end"]["sum_received"]["bits_per_second"]
    return received


@impaired
def test_impairment_of_a_killed_process_is_undone_by_another(lab: Lab) -> None:
    """Its relays keep running, so the impairment stays active until it is undone."""
    process = elsewhere(lab, 'lab.impair("one:eth2", delay=200)')
    process.kill()
    process.wait()
    slow = quickest(lab, QUICK["ipv6"])
    assert slow >= 0.4
    told = links(lab)
    assert told["one:eth2"].consistent
    assert not told["one:eth2"].declared
    assert [record.kind for record in lab.undo_faults()] == ["impair"]
    assert quickest(lab, QUICK["ipv6"]) < slow
    assert set(links(lab)) == {"one:eth1", "two:eth1"}


@impaired
def test_invalid_impairment_is_refused_and_changes_nothing(lab: Lab) -> None:
    for link, conditions, message in (
        ("one:eth9", {"delay": 5.0}, "no link has the end 'one:eth9'; there are one:eth1"),
        ("one:eth2", {"jitter": 5.0}, "a jitter of 5 ms is more than the delay of 0 ms"),
        ("one:eth2", {"loss": 101.0}, "less than or equal to 100"),
    ):
        with pytest.raises(InputError, match=message):
            lab.fault("impair", link=link, **conditions)
    assert lab.faults == []
    assert set(links(lab)) == {"one:eth1", "two:eth1"}


@pytest.mark.needs_kernel("netem")
@impaired
def test_netem_is_used_if_the_kernel_has_it(lab: Lab) -> None:
    with lab.impair("one:eth2", delay=50, jitter=10, loss=1, duplicate=1, reorder=5, rate=10_000):
        told = links(lab)["one:eth2"]
        assert [mechanism.name for mechanism in told.in_force] == ["netem", "tbf"]
        assert told.in_force[0].figures["delay"] == pytest.approx(50, rel=1e-3)
        assert told.in_force[0].figures["loss"] == pytest.approx(1, rel=1e-3)
        assert told.in_force[0].figures["reorder"] == pytest.approx(5, rel=1e-3)


@pytest.mark.topology("article", openvpn="2.7")
def test_tunnel_has_the_delay_of_its_path(lab: Lab, hq: Site, branch: Site) -> None:
    """OpenVPN over TCP and BGP inside stay up on a path with a delay; traffic through the tunnel has to wait for it."""
    with lab.impair("hq:eth1", delay=100, jitter=5):
        for family in FAMILIES:
            target = branch.host.address(family)
            assert round_trip(lab, target, "hq-lan") >= 0.19
        assert report(lab).up
    lab.wait_ready()
