"""Checks files: what they mean, and every mistake with its place and the nearest right word."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.check.actions.faults import ApplyFault
from lab.check.actions.prefixes import Announce
from lab.check.expectations.reaches import Reaches
from lab.check.expectations.route import RoutePresent
from lab.check.expectations.tunnel import TunnelState
from lab.check.kinds import ACTIONS, EXPECTATIONS
from lab.check.model import WITHIN, Checks
from lab.check.reader import checks_beside, parse_checks, read_checks
from lab.core.errors import InputError
from lab.fault.blackhole import Blackhole
from lab.topology import Topology, TopologyError

FILE = Path("mine.checks.yml")


@pytest.fixture(scope="module")
def article() -> Topology:
    return load("article")


def read(topology: Topology, text: str) -> Checks:
    return parse_checks(text, FILE, topology, environ={})


def mistakes(topology: Topology, text: str) -> list[str]:
    """Return the mistakes of a text, each as `LINE:COLUMN: KEY: WHAT`."""
    with pytest.raises(TopologyError) as caught:
        read(topology, text)
    return [str(mistake).removeprefix(f"{FILE}:") for mistake in caught.value.mistakes]


def test_expectations_and_steps_are_read_in_order(article: Topology) -> None:
    checks = read(
        article,
        """
within: 20
expect:
  - {tunnel: branch-hq, data: userspace}
  - {from: branch-lan, reaches: hq-lan, size: 1500, within: 5}
steps:
  - step: a prefix appears
    do: {announce: 10.9.0.0/24, node: hq, behind: hq-lan}
    within: 10
    expect:
      - {route: 10.9.0.0/24, node: branch, interface: tun0}
  - step: silence
    do:
      - {fault: blackhole, layer: inner, tunnel: branch-hq}
""",
    )
    now, appears, silence = checks.steps
    assert (now.name, now.actions, now.within) == ("", (), 20)
    assert [item.expected for item in now.items] == [
        TunnelState(tunnel="branch-hq", data="userspace"),
        Reaches.model_validate({"reaches": "hq-lan", "from": "branch-lan", "size": 1500, "within": 5}),
    ]
    assert [item.place.line for item in now.items if item.place] == [4, 5]
    assert appears.actions == (Announce(announce=ip_network("10.9.0.0/24"), node="hq", behind="hq-lan"),)
    assert appears.within == 10
    assert appears.items[0].expected == RoutePresent(route=ip_network("10.9.0.0/24"), node="branch", interface="tun0")
    assert silence.actions == (ApplyFault(fault=Blackhole(tunnel="branch-hq", layer="inner")),)
    assert silence.within == 20


def test_deadline_is_thirty_seconds_unless_the_file_says_otherwise(article: Topology) -> None:
    assert read(article, "expect: [{tunnel: branch-hq}]").steps[0].within == WITHIN == 30


def test_variables_are_substituted(article: Topology) -> None:
    checks = parse_checks("expect: [{tunnel: '${WHICH:=branch-hq}'}]", FILE, article, environ={})
    assert checks.steps[0].items[0].expected == TunnelState(tunnel="branch-hq")


def test_key_of_another_kind_can_be_a_further_key(article: Topology) -> None:
    text = "expect: [{tunnel: branch-hq, advise: no-iroute, verdict: not exposed}]"
    assert read(article, text).steps[0].items[0].expected.kind == "advise"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "1:1: the file is empty"),
        ("expects: []", "1:1: expects: unknown key 'expects'; did you mean 'expect'?"),
        ("within: 3", "1:1: nothing is expected; give `expect`, or `steps`"),
        ("within: soon\nexpect: []", "1:9: within: 'soon' is not a number from 0 to 3600"),
        ("expect: {tunnel: branch-hq}", "1:9: expect: a mapping is not a list"),
        ("expect: [branch-hq]", "1:10: expect[0]: 'branch-hq' is not a mapping"),
        (
            "expect: [{tunel: branch-hq}]",
            "1:11: expect[0].tunel: there is no expectation 'tunel'; did you mean 'tunnel'?",
        ),
        (
            "expect: [{reaches: hq-lan, from: hq, does-not-reach: hq}]",
            "1:38: expect[0].does-not-reach: an expectation has one of 'reaches', 'does-not-reach'; "
            "make two items of them",
        ),
        (
            "expect: [{tunnel: branch}]",
            "1:19: expect[0].tunnel: there is no tunnel 'branch'; did you mean 'branch-hq'?",
        ),
        (
            "expect: [{tunnel: branch-hq, ciphers: x}]",
            "1:30: expect[0].ciphers: unknown key 'ciphers'; did you mean 'cipher'?",
        ),
        (
            "expect: [{tunnel: branch-hq, data: kernal}]",
            "1:36: expect[0].data: 'kernal' is not one of 'userspace', 'kernel'; did you mean 'kernel'?",
        ),
        (
            "expect: [{tunnel: branch-hq, state: down, cipher: X}]",
            "1:51: expect[0].cipher: a tunnel that is down has no cipher; leave it out, or say `state: up`",
        ),
        ("expect: [{reaches: hq-lan}]", "1:10: expect[0]: the key 'from' is missing"),
        (
            "expect: [{reaches: hq-lna, from: branch-lan}]",
            "1:20: expect[0].reaches: there is no node 'hq-lna'; did you mean 'hq-lan'?",
        ),
        (
            "expect: [{session: hq, node: transit}]",
            "1:30: expect[0].node: node 'transit' is not a router; routers are hq, branch",
        ),
        (
            "expect: [{session: hq, node: branch, received: {ip4: 1}}]",
            "1:48: expect[0].received: 'ip4' is not a family; did you mean 'ipv4'?",
        ),
        (
            "expect: [{route: 10.1.0.1/24, node: branch}]",
            "1:18: expect[0].route: '10.1.0.1/24' is not an IPv4 or IPv6 prefix or a list; "
            "it has bits set beyond its length: did you mean '10.1.0.0/24'?",
        ),
        (
            "expect: [{route: 10.1.0.0/24, node: branch, interface: tun1}]",
            "1:56: expect[0].interface: there is no interface of branch 'tun1'; did you mean 'tun0'?",
        ),
        (
            "expect: [{route: 10.1.0.0/24, node: branch, med: 5}]",
            "1:50: expect[0].med: a FIB has no path attributes; say `in: rib` or `in: both`",
        ),
        (
            "expect: [{nothing-in-clear: 'transit:eth9', from: hq-lan, to: hq}]",
            "1:29: expect[0].nothing-in-clear: there is no end of a link 'transit:eth9'; did you mean 'transit:eth2'?",
        ),
        (
            "expect: [{path: [branch-lan, brnch, hq-lan]}]",
            "1:17: expect[0].path: there is no node or tunnel 'brnch'; did you mean 'branch'?",
        ),
        (
            "expect: [{advise: no-irout, verdict: exposed}]",
            "1:19: expect[0].advise: there is no failure 'no-irout'; did you mean 'no-iroute'?",
        ),
        ("steps: [{do: {undo: all}}]", "1:9: steps[0]: a step needs a name; begin it with `step: what happens`"),
        ("steps: [{step: x}]", "1:9: steps[0]: the step does nothing and expects nothing; give `do`, `expect` or both"),
        (
            "steps: [{step: x, do: {fault: blakhole}}]",
            "1:31: steps[0].do.fault: there is no fault 'blakhole'; did you mean 'blackhole'?",
        ),
        (
            "steps: [{step: x, do: {fault: blackhole, layr: inner}}]",
            "1:42: steps[0].do.layr: unknown key 'layr'; did you mean 'layer'?",
        ),
        (
            "steps: [{step: x, do: {fault: link-down, link: 'branch:eth8'}}]",
            "1:48: steps[0].do.link: there is no end of a link 'branch:eth8'; did you mean 'branch:eth2'?",
        ),
        (
            "steps: [{step: x, do: {undo: openvpn-usr1}}]",
            "1:30: steps[0].do.undo: openvpn-usr1 is an event: there is nothing to undo; leave it out",
        ),
        (
            "steps: [{step: x, do: {undo: all}}]",
            "1:30: steps[0].do.undo: no fault is in force then; apply it in a step before",
        ),
        (
            "steps: [{step: x, do: [{fault: blackhole}, {undo: blackhole}]}, {step: y, do: {undo: blackhole}}]",
            "1:86: steps[1].do.undo: no blackhole is in force then; apply it in a step before",
        ),
        (
            "steps: [{step: x, do: [{impair: 'hq:eth1', loss: 1}, {undo: link-down}, {undo: impair}, {undo: all}]}]",
            "1:61: steps[0].do[1].undo: no link-down is in force then; apply it in a step before",
        ),
        (
            "steps: [{step: x, do: {announce: 10.9.0.0/24, node: hq, behind: branch-lan}}]",
            "1:65: steps[0].do.behind: branch-lan has no link to hq; there are transit, hq-lan",
        ),
        (
            "steps: [{step: x, do: {impair: 'branch:eth1', only: leaving}}]",
            "1:32: steps[0].do.impair: nothing is impaired; give one of delay, jitter, loss, rate, duplicate, reorder",
        ),
        (
            "steps: [{step: x, do: {restart: openvpn, node: hq}}]",
            "1:48: steps[0].do.node: 'restart: openvpn' has no node; leave it out",
        ),
        (
            "steps: [{step: x, do: {exec: 'ping \"', node: hq}}]",
            "1:30: steps[0].do.exec: the command cannot be split into words: no closing quotation; or give a list",
        ),
        (
            "steps: [{step: x, do: {impair: 'hq:eth1', loss: 1}, measure: {node: branch}}]",
            "1:62: steps[0].measure: nothing is announced or withdrawn in this step; "
            "measure a step whose `do` has one of them",
        ),
        (
            "steps: [{step: x, do: {announce: 10.9.0.0/24, node: hq}, measure: {node: hq, relations: [fbi < 2 s]}}]",
            "1:90: steps[0].measure.relations[0]: unknown stage 'fbi'; did you mean 'fib'?",
        ),
    ],
)
def test_mistake_has_its_place_and_the_nearest_right_word(article: Topology, text: str, mistake: str) -> None:
    assert mistakes(article, text) == [mistake]


def test_all_mistakes_are_reported_at_once(article: Topology) -> None:
    found = mistakes(
        article,
        """
expect:
  - {tunnel: brnch-hq}
  - {from: branch-lan, reaches: nowhere, family: ipv5}
steps:
  - step: one
    do: {announce: 10.9.0.0/24, node: transit}
""",
    )
    assert [line.split(":")[0] for line in found] == ["3", "4", "7"]


def test_missing_file_is_an_error_of_one_line(article: Topology, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^cannot read the checks '.*': no such file or directory$"):
        read_checks(tmp_path / "absent.checks.yml", article)


@pytest.mark.parametrize(
    ("topology", "checks"),
    [("a/article.clab.yml", "a/article.checks.yml"), ("mine.yaml", "mine.checks.yml"), ("mine", "mine.checks.yml")],
)
def test_file_of_checks_is_beside_that_of_the_topology(topology: str, checks: str) -> None:
    assert checks_beside(Path(topology)) == Path(checks)


def test_no_kind_is_a_key_of_all_others() -> None:
    """A mapping has the kind whose further keys include its other keys, so two kinds never name each other."""
    for kinds in (EXPECTATIONS, ACTIONS):
        keys = {name: {info.alias or key for key, info in kind.model_fields.items()} for name, kind in kinds.items()}
        assert [(a, b) for a in kinds for b in kinds if a < b and b in keys[a] and a in keys[b]] == []
