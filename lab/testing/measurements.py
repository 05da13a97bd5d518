"""The pytest plugin for measurements: the results of `lab.measure()` in any test, as JSON lines.

The file is beside JUnit's (`junit.xml`, `junit.measurements.jsonl`), or else in the directory for artefacts. Results
travel in the test reports, so that they also arrive from the workers of pytest-xdist.
"""

import json
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lab.runtime.results import attaching

NAME = "measurements.jsonl"
_ATTRIBUTE = "lab_measurements"


def register(config: pytest.Config) -> None:
    """Collect measurements in this process; write them too if it is not a worker."""
    config.pluginmanager.register(_Collector(), "openvpn-routing-lab-measurements")
    file = _file(config)
    if file is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Writer(file), "openvpn-routing-lab-measurements-file")


def _file(config: pytest.Config) -> Path | None:
    junit: str | None = config.getoption("xmlpath", None)
    if junit:
        return Path(junit).with_suffix(f".{NAME}")
    artefacts: Path | None = config.getoption("--lab-artefacts")
    return None if artefacts is None else artefacts / NAME


class _Collector:
    """Adds the results of a test's measurements to its report, for labs of the fixture and of the test's own."""

    def __init__(self) -> None:
        self._found: list[dict[str, Any]] | None = None
        self._attached = ExitStack()
        self._attached.enter_context(attaching(lambda results: results.receive(self._take)))

    def pytest_unconfigure(self) -> None:
        """Attach to no further lab."""
        self._attached.close()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Collect while a test runs, not while its fixtures do."""
        self._found = item.stash.setdefault(_FOUND, [])
        try:
            yield
        finally:
            self._found = None

    def _take(self, result: dict[str, Any]) -> None:
        if self._found is not None:
            self._found.append(result)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the results to the report."""
        report = yield
        if report.when == "call" and (found := item.stash.get(_FOUND, [])):
            setattr(report, _ATTRIBUTE, found)
        return report


class _Writer:
    """Writes the measurements of a run at its end, in the order of the tests' files, not in which workers finish."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: list[tuple[tuple[str, int, str], list[dict[str, Any]]]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the measurements out of a report."""
        found = getattr(report, _ATTRIBUTE, None)
        if found:
            file, line, _ = report.location
            told = [{"test": report.nodeid, "passed": report.passed, **each} for each in found]
            self._found.append(((file, line or 0, report.nodeid), told))

    def pytest_sessionfinish(self) -> None:
        """Write the file, or remove that of an earlier run if nothing was measured."""
        self._file.unlink(missing_ok=True)
        if not self._found:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("w") as file:
            for _, told in sorted(self._found, key=lambda found: found[0]):
                file.writelines(json.dumps(each) + "\n" for each in told)


_FOUND = pytest.StashKey[list[dict[str, Any]]]()
