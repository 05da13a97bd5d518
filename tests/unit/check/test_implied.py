"""The checks of a lab without a file: what follows from its topology, and trials of what it is exposed to."""

from pathlib import Path

import pytest

from lab.advise import RULES, advise, subjects_of_topology
from lab.advise import Verdict as Exposure
from lab.catalogue import load, topologies_dir
from lab.check.advised.disturbed import DISTURBED
from lab.check.advised.trial import UNTRIED, Trial
from lab.check.advised.undisturbed import UNDISTURBED
from lab.check.derived import derive
from lab.check.implied import TRIALS, implied
from lab.check.model import Result, Verdict
from lab.core.errors import InputError
from lab.topology import Topology
from tests.helpers.edited import edited
from tests.helpers.networks import BRANCH_VPN, DN42


def lines(topology: Topology) -> list[str]:
    return [str(item) for _, item in derive(topology).items]


def test_article_is_all_that_follows() -> None:
    assert lines(load(topologies_dir() / "article.clab.yml")) == [
        "tunnel branch-hq is up",
        "session of hq with branch is up",
        "session of branch with hq is up",
        "10.1.0.0/24 in the FIB of branch",
        "2001:db8:1::/64 in the FIB of branch",
        "10.2.0.0/24 in the FIB of hq",
        "2001:db8:2::/64 in the FIB of hq",
        "branch reaches 10.255.0.1",
        "branch reaches 2001:db8:ff::1",
        "hq reaches 10.255.0.2",
        "hq reaches 2001:db8:ff::2",
        "branch-lan reaches hq-lan (ipv4)",
        "branch-lan reaches hq-lan (ipv6)",
        "hq-lan reaches branch-lan (ipv4)",
        "hq-lan reaches branch-lan (ipv6)",
        "branch-lan reaches hq-lan with 1500 bytes and DF (ipv4)",
        "branch-lan reaches hq-lan with 1500 bytes and DF (ipv6)",
        "nothing from branch-lan to hq-lan in clear on hq:eth1 or branch:eth1 (ipv4)",
        "nothing from branch-lan to hq-lan in clear on hq:eth1 or branch:eth1 (ipv6)",
    ]


@pytest.mark.parametrize("file", sorted(topologies_dir().rglob("*.clab.yml")), ids=lambda file: file.stem)
def test_implied_expectations_fit_the_topology(file: Path) -> None:
    topology = load(file)
    if not topology.tunnels:
        with pytest.raises(InputError, match="nothing follows from this topology"):
            implied(topology)
        return
    for _, item in implied(topology).items:
        assert not list(item.expected.problems(topology)), str(item)


def test_external_node_is_left_out() -> None:
    assert lines(load(topologies_dir() / "routeros.clab.yml")) == []


def test_expectation_behind_an_unknown_policy_is_a_remark(tmp_path: Path) -> None:
    topology = DN42.changed(tmp_path, "alder/etc/frr/frr.conf", ("match ip address prefix-list own", "match tag 3"))
    uncertain = [item.expected for _, item in derive(topology).items if item.expected.kind == "undecided"]
    assert [str(each) for each in uncertain] == [
        "172.20.101.0/27 of alder in the FIB of birch",
        "alder-lan reaches birch-lan (ipv4)",
        "birch-lan reaches alder-lan (ipv4)",
    ]
    assert not [line for line in lines(topology) if "ipv4" in line and "bytes" in line]


def test_remark_fails_no_check_and_other_doubts_do() -> None:
    assert Result(Verdict.CANNOT_TELL, "", 0.0, remark=True).good
    assert not Result(Verdict.CANNOT_TELL, "", 0.0).good
    assert Result(Verdict.CONFIRMED, "", 0.0).good
    assert Result(Verdict.REFUTED, "", 0.0).good


def test_each_exposure_is_tried_in_a_step_of_its_own(tmp_path: Path) -> None:
    first, second = implied(load(BRANCH_VPN.copy(tmp_path))).steps
    assert (first.name, second.name) == ("", TRIALS)
    assert not [item for item in first.items if isinstance(item.expected, Trial)]
    tried = [str(item) for item in second.items]
    assert "fixed-iroutes: tunnel north-hub, server on hub" in tried
    assert "no-exit-notify: tunnel north-hub, client on north" in tried


def test_undecided_findings_of_lab_advise_are_not_tried(tmp_path: Path) -> None:
    topology = load(DN42.copy(tmp_path))
    findings = advise(subjects_of_topology(topology))
    assert {finding.verdict for finding in findings} == set(Exposure)
    assert len(implied(topology).steps[1].items) == sum(f.verdict is Exposure.EXPOSED for f in findings)


def test_trials_can_be_left_out_and_are_only_of_exposures() -> None:
    topology = edited(topologies_dir() / "article.clab.yml", ("iroute: [ipv4, ipv6]", "iroute: []"))
    assert len(implied(topology, trials=False).steps) == 1
    names = {item.expected.trial for item in implied(topology).steps[1].items if isinstance(item.expected, Trial)}
    assert "no-iroute" in names


def test_every_rule_has_a_trial_or_a_reason() -> None:
    names = [*UNDISTURBED, *DISTURBED, *UNTRIED]
    assert sorted(names) == sorted(rule.name for rule in RULES)
