"""The corpus for `lab advise`: the choice of options, the files made of them, and the figures of a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab.advise import RULES, Verdict
from lab.catalogue import load
from lab.check.advised.trial import OF_THE_SERVER
from tests.helpers.advised import write_lab
from tests.helpers.corpus.configurations import configuration
from tests.helpers.corpus.counts import exit_code, figures, summary, table
from tests.helpers.corpus.options import VALUES, draw
from tests.helpers.corpus.run import TRIALS, Compared, Outcome, Ran, Source

SEEN = Compared("no-iroute", "server", Source.FILES, Verdict.EXPOSED, "no `iroute`", True, "no answer")


def ran(*compared: Compared) -> Ran:
    return Ran(configuration(1, 0), compared=compared)


def test_options_depend_on_seed_and_number_only() -> None:
    assert draw(1, 7) == draw(1, 7)
    assert len({tuple(draw(seed, number).items()) for seed in (1, 2) for number in range(20)}) == 40


def test_every_value_is_chosen() -> None:
    found = [draw(1, number) for number in range(500)]
    assert {name: {of[name] for of in found if name in of} for name in VALUES} == {n: set(v) for n, v in VALUES.items()}


@pytest.mark.parametrize("number", range(25))
def test_files_make_one_tunnel_for_each_client(tmp_path: Path, number: int) -> None:
    pair = configuration(3, number).pair
    topology = load(write_lab(tmp_path, "corpus", pair.image, [pair]))
    assert len(topology.tunnels) == 1 + pair.second
    assert set(topology.own_routers) == {f"{pair.name}-{end}" for end in pair.routers}


@pytest.mark.parametrize(
    ("rule", "verdict", "happened", "outcome"),
    [
        ("no-iroute", Verdict.EXPOSED, True, Outcome.AGREES),
        ("no-iroute", Verdict.NOT_EXPOSED, False, Outcome.AGREES),
        ("no-iroute", Verdict.NOT_EXPOSED, True, Outcome.WRONG_NOT_EXPOSED),
        ("no-iroute", Verdict.EXPOSED, False, Outcome.WRONG_EXPOSED),
        ("no-iroute", Verdict.CANNOT_TELL, True, Outcome.CANNOT_TELL),
        ("no-iroute", Verdict.EXPOSED, None, Outcome.NOT_SHOWN),
        ("static-key", Verdict.EXPOSED, None, Outcome.NO_TRIAL),
    ],
)
def test_outcome_of_a_verdict_beside_its_trial(
    rule: str, verdict: Verdict, happened: bool | None, outcome: Outcome
) -> None:
    assert replace(SEEN, rule=rule, verdict=verdict, happened=happened).outcome is outcome


def test_figures_count_decided_verdicts_only() -> None:
    refuted = replace(SEEN, happened=False)
    undecided = replace(SEEN, happened=None)
    unknown = replace(SEEN, verdict=Verdict.CANNOT_TELL)
    found = figures([SEEN, SEEN, SEEN, refuted, undecided, unknown])
    assert (found.verdicts, found.decided_exposed, found.decided_not_exposed) == (6, 4, 0)
    assert found.wrong_exposed == 1 / 4
    assert found.cannot_tell == 1 / 6


@pytest.mark.parametrize(
    ("compared", "code"),
    [
        ([SEEN], 0),
        ([SEEN, replace(SEEN, verdict=Verdict.NOT_EXPOSED)], 1),
        ([SEEN, replace(SEEN, happened=False)], 1),
        ([SEEN] * 99 + [replace(SEEN, happened=False)], 0),
        ([], 1),
    ],
)
def test_run_fails_with_a_wrong_not_exposed_or_too_many_wrong_exposed(compared: list[Compared], code: int) -> None:
    assert exit_code([ran(*compared)]) == code


def test_table_has_each_rule_and_source() -> None:
    text = table([ran(SEEN, replace(SEEN, source=Source.TOPOLOGY, rule="one-family"))])
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("no-", "one-", "all"))] == [
        "one-family",
        "all",
        "no-iroute",
        "all",
    ]
    assert "1 `exposed` decided by packets, 0 of them wrong (0.0%)" in summary([ran(SEEN)])


def test_failures_of_servers_are_rules_with_a_trial() -> None:
    assert OF_THE_SERVER <= TRIALS <= {rule.name for rule in RULES}
