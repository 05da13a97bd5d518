"""Shards: every test runs in one of them, files stay together, and the shards take about as long as each other."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.testing.shards import checksum, cut, read_durations

FILES = {"test_one": 1, "test_two": 2, "test_three": 3, "sub/test_four": 4, "sub/test_five": 5}


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    for name, tests in FILES.items():
        file = pytester.path / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        body = "".join(f"    def test_{number}(self): pass\n" for number in range(tests))
        file.write_text(f"class TestIt:\n{body}")
    return pytester


def run(project: pytest.Pytester, *argv: str) -> tuple[set[str], str]:
    """Return the tests that ran, and the sum of the cut."""
    # Workers of xdist find the plugins in a process of their own only.
    start = project.runpytest_subprocess if "-n" in argv else project.runpytest_inprocess
    result = start("-v", "-p", "no:cacheprovider", *argv)
    assert result.ret == pytest.ExitCode.OK, str(result.stdout)
    text = str(result.stdout)
    (digits,) = re.findall(r"cut ([0-9a-f]{8})$", text, re.MULTILINE)
    return set(re.findall(r"(\S+\.py::\S+)", text)), digits


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_each_test_runs_in_one_shard(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    shards = [run(project, "--lab-shard", f"{number}/3", *workers) for number in (1, 2, 3)]
    tests = [test for found, _ in shards for test in found]
    assert len(tests) == len(set(tests)) == sum(FILES.values())
    assert len({digits for _, digits in shards}) == 1
    files = [{test.partition("::")[0] for test in found} for found, _ in shards]
    assert sum(map(len, files)) == len(FILES), "a file is in one shard only"
    assert [len(found) for found, _ in shards] == [5, 5, 5]


def test_shards_are_cut_by_the_durations_of_an_earlier_run(project: pytest.Pytester) -> None:
    assert project.runpytest_inprocess("--junitxml", "last.xml").ret == pytest.ExitCode.OK
    report = project.path / "last.xml"
    slow = re.sub(r'(classname="test_one.TestIt".*?time=")[^"]*"', r'\g<1>90.0"', report.read_text())
    report.write_text(slow)
    argv = ("--lab-durations", "last.xml")
    first, digits = run(project, "--lab-shard", "1/2", *argv)
    assert first == {"test_one.py::TestIt::test_0"}
    second, same = run(project, "--lab-shard", "2/2", *argv)
    assert len(second) == sum(FILES.values()) - 1
    assert digits == same != run(project, "--lab-shard", "1/2")[1]


def test_selection_by_name_is_cut_and_a_shard_may_be_empty(project: pytest.Pytester) -> None:
    argv = ("-k", "test_one", "--lab-shard")
    assert run(project, *argv, "1/2")[0] == {"test_one.py::TestIt::test_0"}
    result = project.runpytest_inprocess(*argv, "2/2")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--lab-shard", "0/3"), "'0/3' does not name a part"),
        (("--lab-shard", "4/3"), "'4/3' does not name a part"),
        (("--lab-shard", "three"), "write for example 3/10"),
        (("--lab-durations", "last.xml"), "--lab-durations: it needs --lab-shard"),
        (("--lab-shard", "1/2", "--lab-durations", "missing.xml"), "missing.xml: No such file"),
        (("--lab-shard", "1/2", "--lab-durations", "test_one.py"), "test_one.py is not a JUnit report"),
    ],
)
def test_mistake_is_told_in_one_line(project: pytest.Pytester, argv: tuple[str, ...], message: str) -> None:
    result = project.runpytest_inprocess(*argv)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in str(result.stderr)
    assert "Traceback" not in str(result.stderr)


# --- the cut -----------------------------------------------------------------------------------------------------


def loads(parts: list[list[str]], durations: Mapping[str, float]) -> list[float]:
    return [sum(durations[file] for file in part) for part in parts]


def test_longest_shard_takes_little_longer_than_the_mean() -> None:
    durations = {f"f{number}": float(number * number % 97 + 1) for number in range(200)}
    parts = cut(dict.fromkeys(durations, 1), durations, 7)
    assert sorted(file for part in parts for file in part) == sorted(durations)
    found = loads(parts, durations)
    assert max(found) - min(found) <= max(durations.values())
    assert max(found) < 1.1 * sum(found) / len(found)


def test_file_that_is_not_known_counts_as_the_mean_of_its_tests() -> None:
    durations = {"a": 10.0, "b": 20.0}
    parts = cut({"a.py": 1, "b.py": 2, "new.py": 4}, durations, 2)
    assert parts == [["new.py"], ["b.py", "a.py"]]


def test_report_with_paths_and_with_classes(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="tests.unit.test_a.TestOne.TestTwo" name="x" time="1.5"/>'
        '<testcase classname="tests.unit.test_a" name="y" time="2"/>'
        '<testcase classname="whatever" file="tests/test_b.py" name="z" time="4"/>'
        '<testcase classname="topologies.article.checks.yml" name="c" time="8"/></testsuite></testsuites>'
    )
    assert read_durations(report) == {
        "tests.unit.test_a": 3.5,
        "tests.test_b": 4.0,
        "topologies.article.checks.yml": 8.0,
    }
    tests = {"topologies/article.checks.yml": 3, "tests/test_b.py": 1, "tests/unit/test_a.py": 2}
    parts = cut(tests, read_durations(report), 2)
    assert parts == [["topologies/article.checks.yml"], ["tests/test_b.py", "tests/unit/test_a.py"]]


def test_sum_does_not_depend_on_the_order_in_a_shard() -> None:
    assert checksum([["a", "b"], ["c"]]) == checksum([["b", "a"], ["c"]]) != checksum([["a"], ["b", "c"]])
