"""Results of measurements beside JUnit's file, in a project that has only installed the lab."""

import json
from pathlib import Path

import pytest

_TESTS = """
from lab.runtime.results import Results

def test_first():
    Results().publish({"observer": "branch", "stages": [1]})
    Results().publish({"observer": "hq", "stages": []})

def test_nothing():
    pass

def test_fails():
    Results().publish({"observer": "late"})
    assert False
"""


def rows(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_results_are_written_beside_junit_with_their_tests(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(_TESTS)
    result = pytester.runpytest_subprocess("--junitxml=out/junit.xml", "--lab-openvpn=2.6", *workers)
    result.assert_outcomes(passed=2, failed=1)
    found = rows(pytester.path / "out" / "junit.measurements.jsonl")
    assert [(str(row["test"]).partition("::")[2], row["passed"], row["observer"]) for row in found] == [
        ("test_first", True, "branch"),
        ("test_first", True, "hq"),
        ("test_fails", False, "late"),
    ]
    assert found[0]["stages"] == [1]


def test_results_go_to_artefacts_without_junit_and_replace_an_older_file(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_TESTS)
    pytester.runpytest_subprocess("--lab-artefacts=kept", "--lab-openvpn=2.6")
    file = pytester.path / "kept" / "measurements.jsonl"
    assert len(rows(file)) == 3
    pytester.runpytest_subprocess("--lab-artefacts=kept", "--lab-openvpn=2.6", "-k", "nothing")
    assert not file.exists()


_FIXTURES = """
import pytest
from lab.runtime.results import Results

@pytest.fixture(scope="module")
def results():
    shared = Results()
    shared.publish({"observer": "during setup"})
    return shared

def test_one(results):
    results.publish({"observer": "one"})

def test_two(results):
    results.publish({"observer": "two"})
"""


def test_results_of_a_shared_lab_go_to_the_test_that_measured(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_FIXTURES)
    pytester.runpytest_subprocess("--lab-artefacts=kept").assert_outcomes(passed=2)
    found = rows(pytester.path / "kept" / "measurements.jsonl")
    assert [(str(row["test"]).partition("::")[2], row["observer"]) for row in found] == [
        ("test_one", "one"),
        ("test_two", "two"),
    ]
