"""The pytest plugin that cuts a run into shards, one for each machine or CI job.

    pytest --lab-shard 3/10 --lab-durations last/junit.xml

Tests of one file stay together, since they share labs. With the durations of an earlier run, the shards take about as
long as each other; without, they have about as many tests. Each job has to be given the same durations, because each
cuts for itself: the summary has a sum over the shards that has to be the same in all of them.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

_SHARD = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")
_SUMMARY = pytest.StashKey[str]()
_OUTPUT = "lab_shard"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for shards."""
    group = parser.getgroup("openvpn-routing-lab")
    group.addoption(
        "--lab-shard",
        metavar="K/N",
        type=_shard,
        help="run the K-th of N parts of the tests; the files with tests are spread over the parts",
    )
    group.addoption(
        "--lab-durations",
        metavar="FILE",
        type=Path,
        help="with --lab-shard: the JUnit report of an earlier run, by whose durations the parts are cut; the "
        "same file for all parts",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse durations without a shard."""
    if config.getoption("--lab-durations") and not config.getoption("--lab-shard"):
        raise pytest.UsageError("--lab-durations: it needs --lab-shard")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of other shards, after all other selections."""
    shard: tuple[int, int] | None = config.getoption("--lab-shard")
    if shard is None:
        return
    number, count = shard
    tests = Counter(_file(item) for item in items)
    durations: Path | None = config.getoption("--lab-durations")
    parts = cut(tests, read_durations(durations) if durations else {}, count)
    mine = set(parts[number - 1])
    others = [item for item in items if _file(item) not in mine]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if _file(item) in mine]
    config.stash[_SUMMARY] = f"shard {number}/{count}: {len(items)} tests of {tests.total()}; cut {checksum(parts)}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the summary of a worker of pytest-xdist to the process that prints."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None and _SUMMARY in session.config.stash:
        output[_OUTPUT] = session.config.stash[_SUMMARY]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the summary of a worker."""
    if summary := getattr(node, "workeroutput", {}).get(_OUTPUT):
        node.config.stash[_SUMMARY] = summary


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which part was run, and the sum that tells whether all jobs cut alike."""
    if summary := config.stash.get(_SUMMARY, None):
        terminalreporter.write_line(summary)


def cut(tests: Mapping[str, int], durations: Mapping[str, float], count: int) -> list[list[str]]:
    """Spread files over `count` shards so that the longest takes little longer than the others.

    The longest file that is left goes to the shard that has least. `tests` has the number of tests of each file,
    `durations` the seconds of the modules that are known; a test of another one counts as the mean of these.
    """
    known = {file: durations[_module(file)] for file in tests if _module(file) in durations}
    each = mean(known.values()) / mean(tests[file] for file in known) if known and sum(known.values()) else 1.0
    weights = {file: known.get(file, number * each) for file, number in tests.items()}
    parts: list[list[str]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for file in sorted(weights, key=lambda file: (-weights[file], file)):
        least = loads.index(min(loads))
        parts[least].append(file)
        loads[least] += weights[file]
    return parts


def checksum(parts: Sequence[Sequence[str]]) -> str:
    """Return eight digits that are the same in all jobs that cut alike."""
    return hashlib.sha256(repr([sorted(part) for part in parts]).encode()).hexdigest()[:8]


def read_durations(report: Path) -> Mapping[str, float]:
    """Return the seconds of each module in a JUnit report; raises `pytest.UsageError` if it cannot be read."""
    from xml.etree import ElementTree

    found: dict[str, float] = {}
    try:
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it, for the same user
            module = _reported(case.attrib)
            found[module] = found.get(module, 0) + float(case.get("time", 0))
    except OSError as error:
        raise pytest.UsageError(f"--lab-durations: {report}: {error.strerror}") from None
    except (ElementTree.ParseError, ValueError) as error:
        raise pytest.UsageError(f"--lab-durations: {report} is not a JUnit report: {error}") from None
    if not found:
        raise pytest.UsageError(f"--lab-durations: {report} has no test")
    return found


def _reported(attributes: Mapping[str, str]) -> str:
    """Return the module of a test in a report."""
    if file := attributes.get("file"):
        return _module(file)
    parts = attributes.get("classname", "").split(".")
    while parts and parts[-1][:1].isupper():  # a class in the module
        parts.pop()
    return ".".join(parts)


def _module(file: str) -> str:
    """Return a file's name in a report, which has dots for slashes and no `.py`."""
    return file.removesuffix(".py").replace("/", ".")


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _shard(text: str) -> tuple[int, int]:
    if (found := _SHARD.fullmatch(text)) is None or int(found[1]) > int(found[2]):
        raise pytest.UsageError(f"--lab-shard: {text!r} does not name a part: write for example 3/10")
    return int(found[1]), int(found[2])
