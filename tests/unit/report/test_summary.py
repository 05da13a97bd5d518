"""The summary of a run: valid trials, baselines and ratios."""

import random

import pytest

from lab.measure.instrument.convergence import SAMPLING_INTERVAL
from lab.measure.record import Over, Trial, Variant
from lab.report.page import count_trials
from lab.report.quantities import QUANTITIES, format_value, quantity
from lab.report.summary import EventSummary, Row, RunSummary, baseline_of, summary_of
from lab.report.tables import event_records, event_table
from tests.helpers import runs

CHANCE = random.Random(1)


def variant(over: Over = "tunnel", **changed: str) -> Variant:
    return Variant.model_validate(
        {"event": "announce", "family": "ipv4", "topology": "article", "over": over, **changed}
    )


def trial(number: int, fib: float, of: Variant | None = None, status: str = "valid") -> Trial:
    made = runs.trial(of or variant(), number, CHANCE)
    stages = tuple(s.model_copy(update={"at": fib}) for s in made.stages if s.name == "fib")
    return made.model_copy(update={"status": status, "stages": stages, "data_plane": None, "reason": "because"})


def row(summary: RunSummary, key: str = "fib") -> Row:
    (event,) = summary.events
    return next(row for row in event.rows if row.quantity.key == key)


def test_statistics_use_valid_trials_only() -> None:
    trials = [trial(1, 0.010), trial(2, 9.0, status="invalid"), trial(3, 0.020), trial(4, 8.0, status="timed-out")]
    summary = summary_of(runs.run(), trials)
    found = row(summary)
    assert found.summary is not None
    assert (found.summary.n, found.summary.min, found.summary.max) == (2, 0.010, 0.020)
    assert (found.group.count("invalid"), found.group.count("timed-out")) == (1, 1)
    assert [t.number for t in summary.left_out] == [2, 4]
    assert found.error == runs.ERRORS["fib"]


def test_variant_without_a_valid_trial_has_a_row() -> None:
    found = row(summary_of(runs.run(), [trial(1, 1.0, status="invalid")]), "detection")
    assert found.summary is None
    assert found.group.count("invalid") == 1


def test_thrown_away_attempts_are_counted_by_cause() -> None:
    def invalid(number: int, attempt: int, reason: str) -> Trial:
        update = {"attempt": attempt, "reason": reason}
        return trial(number, 1.0, status="invalid").model_copy(update=update)

    slow = "the sender fell behind: a packet left {} ms late"
    made = [
        *(invalid(1, 1, slow.format(6)), trial(1, 0.01)),
        *(invalid(2, 1, slow.format(7)), invalid(2, 2, "the trial failed: no route")),
        trial(3, 0.02, status="timed-out"),
    ]
    summary = summary_of(runs.run(), made)
    assert dict(summary.thrown_away) == {"the sender fell behind": 2, "the trial failed": 1}
    assert summary.short == {variant(): 1}
    text = count_trials(summary)
    assert "1 valid trials of 1 variants" in text
    assert "3 of 5 attempts were invalid and thrown away: the sender fell behind (2), the trial failed (1)" in text
    assert "No attempt was valid of 1 trials: announce, ipv4, article" in text
    complete = count_trials(summary_of(runs.run(), [trial(1, 0.01)]))
    assert "thrown away" not in complete
    assert "No attempt" not in complete


def test_ratios_pair_trials_by_round() -> None:
    wire = variant("wire")
    trials = [t for n, x in enumerate((1.0, 5.0, 9.0), 1) for t in (trial(n, 2 * x), trial(n, x, wire))]
    summary = summary_of(runs.run(), trials)
    ratio = row(summary).ratios["wire"]
    assert (ratio.value, ratio.low, ratio.high) == (2, 2, 2)
    (tunnel, bare) = summary.events[0].groups
    assert baseline_of(tunnel, "wire", summary.events[0].groups) is bare
    assert baseline_of(bare, "wire", summary.events[0].groups) is None
    assert baseline_of(tunnel, "vxlan", summary.events[0].groups) is None


def test_baseline_is_of_the_same_topology_or_the_only_one() -> None:
    def baseline(*others: Variant) -> Variant | None:
        groups = summary_of(runs.run(), [trial(1, 1.0, v) for v in (variant(), *others)]).events[0].groups
        mine = next(g for g in groups if not g.variant.baseline)
        found = baseline_of(mine, "wire", groups)
        return found.variant if found else None

    same, pair, other = variant("wire"), variant("wire", topology="pair"), variant("wire", topology="other")
    assert baseline(same, pair) == same
    assert baseline(pair) == pair
    assert baseline(pair, other) is None
    assert baseline(pair, variant("vxlan")) is None, "the topology has a baseline of its own, the bare wire"
    assert baseline(variant("wire", family="ipv6")) is None
    assert baseline(variant("wire", detector="hold 3 s")) is None


def test_events_are_in_order_of_occurrence() -> None:
    trials = [trial(1, 1.0, variant(event=name)) for name in ("withdraw", "announce", "withdraw")]
    assert [event.event for event in summary_of(runs.run(), trials).events] == ["withdraw", "announce"]


def test_figures_show_a_quantity_of_each_plane() -> None:
    def shown(event: EventSummary) -> list[str]:
        return [quantity.key for quantity in event.shown]

    announce, blackhole = summary_of(runs.run(), runs.trials(8, families=("ipv4",))).events
    assert shown(announce) == ["fib", "first-packet"]
    assert shown(blackhole) == ["fib", "until-back"]
    stopped = [
        t.model_copy(update={"data_plane": t.data_plane.model_copy(update={"until_back": None, "until_stopped": 0.1})})
        for t in blackhole.groups[0].valid
        if t.data_plane
    ]
    assert shown(summary_of(runs.run(), stopped).events[0]) == ["fib", "until-stopped"]
    assert shown(summary_of(runs.run(), [trial(1, 1.0)]).events[0]) == ["fib"]


def test_quantities_of_a_trial() -> None:
    made = runs.trial(variant(event="blackhole", detector="hold 3 s"), 1, CHANCE)
    assert made.data_plane is not None
    one, two = ({f"10.0.{n}.0/24": n * 0.5 for n in range(1, 1 + count)} for count in (1, 3))
    values = {q.key: q.of(made) for q in QUANTITIES}
    assert values["fib"] == made.at("fib")
    assert values["loss-derived"] == values["until-back"] == made.data_plane.loss_derived
    assert values["until-stopped"] is values["loss-of-connectivity"] is None
    assert values["lost"] == made.data_plane.lost
    assert values["rate-derived"] is values["slowest-prefix"] is None
    slowest = next(q for q in QUANTITIES if q.key == "slowest-prefix")
    for seen, expected in ((one, None), (two, 1.5)):
        data_plane = made.data_plane.model_copy(update={"route_specific": seen})
        assert slowest.of(made.model_copy(update={"data_plane": data_plane})) == expected


def test_values_are_formatted_with_their_unit() -> None:
    assert [format_value(v, "s") for v in (0.0001234, 0.001234, 0.01234, 0.1234, 1.234, 45.0)] == [
        *("0.123 ms", "1.23 ms", "12.3 ms", "123 ms", "1.23 s", "45.00 s")
    ]
    assert format_value(0.9, "s", like=2.0) == "0.90 s"
    assert format_value(None, "s") == ""
    assert [format_value(v, "packets") for v in (12.0, 12.5)] == ["12", "12.5"]


def data_plane(**times: float) -> Trial:
    """Return a trial of a blackhole in which 40 packets were lost, with some times of the data plane."""
    made = runs.trial(variant(event="blackhole", detector="hold 3 s"), 1, CHANCE)
    assert made.data_plane is not None
    none = dict.fromkeys(("until_stopped", "until_back", "loss_derived", "loss_of_connectivity", "rate_derived"))
    return made.model_copy(update={"data_plane": made.data_plane.model_copy(update={**none, "lost": 40, **times})})


def test_lost_packets_are_not_counted_if_traffic_never_came_back() -> None:
    assert quantity("lost").of(data_plane()) is None
    assert quantity("lost").of(data_plane(until_stopped=0.1)) is None
    assert quantity("lost").of(data_plane(until_back=0.04)) == 40
    assert quantity("lost").of(data_plane(lost=0)) == 0


def test_full_convergence_is_known_to_a_sampling_interval() -> None:
    trial = data_plane(until_back=0.04, rate_derived=0.05)
    assert trial.data_plane is not None
    assert quantity("until-back").error(trial) == trial.data_plane.error
    assert quantity("rate-derived").error(trial) == pytest.approx(trial.data_plane.error + SAMPLING_INTERVAL)


def test_row_says_how_many_valid_trials_lack_its_quantity() -> None:
    one, two = data_plane(until_back=0.04), data_plane().model_copy(update={"number": 2})
    (event,) = summary_of(runs.run(), [one, two]).events
    rows = {row[4]: row[5] for row in event_table(event).rows}
    assert rows["until traffic came back"] == "1 of 2"
    assert rows["FIB"] == "2"
    records = {record["quantity"]: record for record in event_records(event)}
    assert [(records[key]["n"], records[key]["valid"]) for key in ("until-back", "fib")] == [(1, 2), (2, 2)]
