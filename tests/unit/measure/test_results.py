"""Results of measurements stay with their lab."""

from typing import Any

from lab.runtime.results import Results, attaching


def test_receiver_gets_results_of_its_lab_alone() -> None:
    one, other = Results(), Results()
    received: list[dict[str, Any]] = []
    one.receive(received.append)
    other.publish({"observer": "hq"})
    assert received == []
    one.publish({"observer": "branch"})
    assert received == [{"observer": "branch"}]


def test_attaching_sees_labs_made_during_the_block_and_their_later_results() -> None:
    before = Results()
    received: list[dict[str, Any]] = []
    with attaching(lambda results: results.receive(received.append)):
        during = Results()
    after = Results()
    for number, results in enumerate((before, during, after)):
        results.publish({"number": number})
    assert received == [{"number": 1}]
