"""Summaries of scale trials, in cases computed by hand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from lab.core.errors import InputError
from lab.measure.scale import Plan, ScaleTrial, lines, read
from lab.measure.scale.processes import busy_ticks
from lab.measure.scale.record import Cost, Passage, Sending
from lab.measure.scale.run import FILE

THEN = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 1 << 20


def cost(program: str = "zebra", cpu: float = 2.0, busiest: float = 1.5) -> Cost:
    return Cost(node="branch", program=program, cpu=cpu, busiest_thread="dplane", busiest_cpu=busiest, memory=100 * MIB)


def passage(last: float, *costs: Cost, first: float = 1.0) -> Passage:
    return Passage(routes=1001, first=first, last=last, error=0.005, in_fib=1001, costs=costs or (cost(),), busy=1.9)


def trial(
    over: Literal["wire", "tunnel"], last: float, *costs: Cost, status: Literal["valid", "timed-out"] = "valid"
) -> ScaleTrial:
    return ScaleTrial(
        family="ipv4",
        prefixes=1001,
        over=over,
        number=1,
        seed=1,
        paths=90,
        started=THEN,
        status=status,
        sent=Sending(first=0.1, last=0.5, size=5000, updates=90, prefixes=1001),
        announced=passage(last, *costs),
        withdrawn=passage(last / 2, first=0.5),
    )


def test_rate_counts_from_the_first_to_the_last_route() -> None:
    assert passage(3.0).rate == 500  # 1000 more in 2 s


def test_rate_needs_ten_times_the_error() -> None:
    assert passage(1.04).rate is None
    assert passage(1.06).rate is not None


def test_lines_have_medians_and_their_ratio() -> None:
    wire, tunnel = lines(
        [trial("tunnel", 4.0), trial("wire", 2.0), trial("tunnel", 6.0), trial("wire", 4.0), trial("tunnel", 5.0)]
    )
    assert (wire.over, wire.trials, wire.last, wire.ratio) == ("wire", 2, 3.0, 1.0)
    assert (tunnel.over, tunnel.trials, tunnel.last, tunnel.withdrawn) == ("tunnel", 3, 5.0, 2.5)
    assert tunnel.ratio == pytest.approx(5 / 3)
    assert tunnel.memory == {"zebra on branch": 100 * MIB}
    assert (tunnel.sent, tunnel.size) == (0.5, 5000)


def test_processor_time_is_summed_before_it_is_compared() -> None:
    wire, tunnel = lines(
        [
            trial("wire", 2.0, cost("zebra", cpu=1), cost("bgpd", cpu=1)),
            trial("tunnel", 3.0, cost(cpu=2), cost("openvpn", cpu=1)),
        ]
    )
    assert (wire.cpu_total, tunnel.cpu_total, tunnel.cpu_ratio) == (2, 3, 1.5)
    assert tunnel.cpu == {"openvpn on branch": 1, "zebra on branch": 2}


def test_lines_are_sorted_by_size() -> None:
    big, small = (trial("wire", 2.0).model_copy(update={"prefixes": n}) for n in (1000, 100))
    assert [line.prefixes for line in lines([big, small])] == [100, 1000]


def test_timed_out_trials_are_counted_but_not_averaged() -> None:
    (line,) = lines([trial("wire", 2.0), trial("wire", 90.0, status="timed-out")])
    assert (line.trials, line.invalid, line.last) == (1, 1, 2.0)
    (line,) = lines([trial("wire", 90.0, status="timed-out")])
    assert (line.trials, line.invalid, line.last, line.cpu) == (0, 1, None, {})


def test_busiest_thread_limits_the_announcement() -> None:
    busy = trial("wire", 10.0, cost("bgpd", cpu=9, busiest=6), cost("zebra", cpu=12, busiest=9))
    assert busy.held_back_by() == "zebra on branch, one thread (dplane)"
    shared = trial("wire", 10.0, cost("bgpd", cpu=7, busiest=5), cost("zebra", cpu=8, busiest=8))
    assert shared.held_back_by() == "no thread alone: 1.9 CPUs were busy, 0.4 of them elsewhere"


@pytest.mark.parametrize(
    ("last", "expected"), [(0.49, "too short to tell"), (0.5, "bgpd on branch, one thread (dplane)")]
)
def test_processor_time_is_significant_from_half_a_second_on(last: float, expected: str) -> None:
    assert trial("wire", last, cost("bgpd", busiest=last)).held_back_by() == expected


def test_trials_survive_a_round_trip_except_a_truncated_line(tmp_path: Path) -> None:
    found = [trial("wire", 2.0), trial("tunnel", 3.0)]
    text = "".join(t.model_dump_json() + "\n" for t in found)
    (tmp_path / FILE).write_text(text + found[0].model_dump_json()[:100])
    assert read(tmp_path) == found
    with pytest.raises(InputError, match="not a directory of `lab scale`"):
        read(tmp_path / "elsewhere")
    (tmp_path / FILE).write_text('{"kind": "other"}\n')
    with pytest.raises(InputError, match="not a trial of `lab scale`"):
        read(tmp_path)


def test_plan_counts_its_trials() -> None:
    plan = Plan(sizes={"ipv4": (1, 100), "ipv6": (10,)}, trials=3)
    assert (len(plan), plan.prefixes) == (18, 666)


def test_busy_ticks_skip_any_process_name() -> None:
    # proc_pid_stat(5): utime and stime are the fields 14 and 15.
    assert busy_ticks("7 (a ) (b) S 1 7 7 0 -1 4194560 100 0 0 0 123 45 9 9 20 0 1 0 5000 1000 10") == 168
