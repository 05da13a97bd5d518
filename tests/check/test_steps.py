"""Steps act on a running lab, and leave it as they found it."""

from ipaddress import ip_network

import pytest

from lab.check.model import Verdict
from lab.check.reader import checks_beside, read_checks
from lab.check.run import Run
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from tests.helpers.checking import bad, run

pytestmark = [pytest.mark.docker, pytest.mark.topology("article", openvpn="2.7")]


def state(lab: Lab) -> dict[str, object]:
    """Return what a check must not change: faults, originated prefixes, addresses."""
    routers = {name: lab.router(name) for name in lab.router_names}
    return {
        "faults": [str(record.fault) for record in lab.faults],
        "originated": {
            name: {family: set(router.daemon.originated(router.running, family)) for family in FAMILIES}
            for name, router in routers.items()
        },
        "addresses": {name: node_addresses(lab, name) for name in lab.topology.nodes},
    }


def node_addresses(lab: Lab, name: str) -> list[str]:
    shown = lab.node(name).exec("ip", "-o", "-br", "address", "show", "scope", "global").raise_on_error().stdout
    # Without the operational state, which the kernel may still change after a link came up.
    links = [line.split() for line in shown.splitlines() if not line.startswith("tun")]
    return sorted(" ".join([name, *addresses]) for name, _, *addresses in links)


def expect_as_before(lab: Lab, before: dict[str, object]) -> None:
    """Expect the same state; a daemon takes a moment to withdraw a prefix."""
    lab.wait_ready()
    wait_for(
        Expectation(
            what="everything to be as before",
            node=lab.name,
            look=lambda: state(lab),
            met=lambda now: now == before,
        ),
        within=20,
    )


def test_file_of_the_article_holds_and_changes_nothing(lab: Lab) -> None:
    before = state(lab)
    checks = read_checks(checks_beside(lab.topology.file), lab.topology)
    with Run(lab, checks) as steps:
        assert bad(steps.all()) == []
    expect_as_before(lab, before)


def test_changes_of_a_broken_run_are_undone(lab: Lab) -> None:
    before = state(lab)
    found = run(
        lab,
        """
within: 20
steps:
  - step: all kinds of changes
    do:
      - {announce: [10.9.0.0/24, "2001:db8:9::/64"], node: hq, behind: hq-lan, med: 5}
      - {withdraw: 10.1.0.0/24, node: hq}
      - {impair: "branch:eth2", loss: 100}
      - {fault: blackhole, tunnel: branch-hq, layer: outer}
    expect:
      - {from: branch-lan, does-not-reach: branch}
      - {no-route: 10.1.0.0/24, node: branch}
  - step: an action that fails
    do: {exec: "false", node: hq}
    expect: [{tunnel: branch-hq}]
  - step: later
    do: {undo: all}
    expect: [{tunnel: branch-hq}]
""",
    )
    verdicts = [(checked.kind, checked.result.verdict) for checked in found]
    assert verdicts == [
        ("does-not-reach", Verdict.HELD),
        ("no-route", Verdict.HELD),
        ("exec", Verdict.FAILED),
        ("tunnel", Verdict.CANNOT_TELL),
        ("tunnel", Verdict.CANNOT_TELL),
    ]
    assert found[-1].result.seen.startswith("not tried: exec in hq: false: ")
    expect_as_before(lab, before)


def test_earlier_prefixes_and_faults_stay(lab: Lab) -> None:
    """A check does not undo prefixes and faults that the user has made."""
    prefix = ip_network("10.8.0.0/24")
    with lab.router("hq").announced(prefix), lab.fault("impair", link="branch:eth2", delay=20):
        before = state(lab)
        found = run(
            lab,
            """
steps:
  - step: the same prefix again
    do: {announce: [10.8.0.0/24, 10.9.0.0/24], node: hq}
    expect: [{route: [10.8.0.0/24, 10.9.0.0/24], node: branch}]
  - step: only its own fault is undone
    do: [{impair: "hq:eth2", delay: 5}, {undo: impair}]
""",
        )
        assert [checked.result.verdict for checked in found] == [Verdict.HELD]
        expect_as_before(lab, before)
        assert before["faults"]


def test_restarted_processes_come_back(lab: Lab) -> None:
    pid = lab.tunnel("branch-hq").status().client_pid
    found = run(
        lab,
        """
within: 60
steps:
  - step: OpenVPN restarts
    do: {restart: openvpn}
    expect:
      - {tunnel: branch-hq}
      - {session: hq, node: branch}
  - step: bgpd restarts, and has an announced prefix again
    do:
      - {announce: 10.9.0.0/24, node: branch, behind: branch-lan}
      - {restart: routing, node: branch}
    expect:
      - {route: 10.9.0.0/24, node: hq, in: both}
      - {from: hq-lan, reaches: 10.9.0.2}
""",
    )
    assert bad(found) == []
    assert lab.tunnel("branch-hq").status().client_pid != pid
    lab.wait_ready()


def test_measured_step_has_stages_and_relations(lab: Lab) -> None:
    found = run(
        lab,
        """
steps:
  - step: the first prefix
    do: {announce: 10.9.0.0/24, node: hq, behind: hq-lan}
    measure: {node: branch, as: first, relations: [fib < 20 s]}
    expect: [{route: 10.9.0.0/24, node: branch}]
  - step: the second prefix
    do: {announce: 10.10.0.0/24, node: hq}
    measure: {node: branch, relations: [fib < 0.001 * first, fib < 1000 * first + 5 s, detection < 1 s]}
""",
    )
    assert [(checked.what, checked.result.verdict) for checked in found] == [
        ("measured", Verdict.HELD),
        ("fib < 20 s", Verdict.HELD),
        ("10.9.0.0/24 in the FIB of branch", Verdict.HELD),
        ("measured", Verdict.HELD),
        ("fib < 0.001 * first.fib", Verdict.FAILED),
        ("fib < 1000 * first.fib + 5 s", Verdict.HELD),
        ("detection < 1 s", Verdict.CANNOT_TELL),  # nothing had to be detected
    ]
    assert found[0].extra["outcome"] == "appears"
    assert {"event", "fib"} <= {line.partition(":")[0] for line in found[0].result.evidence}


def test_command_never_runs_on_the_host(lab: Lab) -> None:
    found = run(lab, "steps: [{step: x, do: {exec: \"sh -c 'hostname > /tmp/where'\", node: hq}}]")
    assert found == []
    assert (lab.running("hq").root / "tmp/where").read_text().strip() == "hq"


def test_daemon_that_does_not_run_cannot_be_observed(lab: Lab) -> None:
    line = "within: 3\nexpect: [{session: hq, node: branch}, {session: hq, node: branch, state: down}]"
    with lab.fault("daemon-killed", node="branch"):
        found = run(lab, line)
    assert [checked.result.verdict for checked in found] == [Verdict.CANNOT_TELL, Verdict.CANNOT_TELL]
    lab.wait_ready()
    assert [checked.result.good for checked in run(lab, line)] == [True, False]


def test_run_that_ends_early_is_undone(lab: Lab) -> None:
    before = state(lab)
    checks = read_checks(checks_beside(lab.topology.file), lab.topology)
    with Run(lab, checks) as steps:
        steps.step(2)
        assert state(lab) != before
    expect_as_before(lab, before)
