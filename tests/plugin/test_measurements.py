"""What tests measure stands beside JUnit's file, in somebody else's project; no lab is needed for it."""

import json
from pathlib import Path

import pytest

_TESTS = """
from lab.measure.instrument.results import publish

def test_first():
    publish({"observer": "branch", "stages": [1]})
    publish({"observer": "hq", "stages": []})

def test_nothing():
    pass

def test_fails():
    publish({"observer": "late"})
    assert False
"""


def rows(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_measurements_are_written_with_their_tests(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
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


def test_without_junit_they_go_to_the_artefacts_and_an_older_file_does_not_stay(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_TESTS)
    pytester.runpytest_subprocess("--lab-artefacts=kept", "--lab-openvpn=2.6")
    file = pytester.path / "kept" / "measurements.jsonl"
    assert len(rows(file)) == 3
    pytester.runpytest_subprocess("--lab-artefacts=kept", "--lab-openvpn=2.6", "-k", "nothing")
    assert not file.exists()
