"""The pytest plugin for claims: the marker `claims`, the fixture `claim`, the option `--lab-claims DIR`.

    @pytest.mark.topology("article")
    @pytest.mark.claims("an inner packet of 1500 bytes passes", article="says so")
    def test_mtu(lab, claim):
        claim.echo(lab.host("hq-lan").expect_reaches(address, packet_size=1500))
        claim.holds()

Verdicts travel in the test reports, so that they also arrive from the workers of pytest-xdist.
"""

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab.claims.claims import Claim

_PROPERTY = "claim"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--lab-claims`."""
    parser.getgroup("openvpn-routing-lab").addoption(
        "--lab-claims",
        metavar="DIR",
        type=Path,
        default=None,
        help="write the verdicts on claims to DIR, as claims.json and claims.md, with the evidence beside them",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; with `--lab-claims`, register the collector of findings."""
    config.addinivalue_line(
        "markers",
        "claims(sentence, article=''): the sentence on which the test gives a verdict by the fixture `claim`, and what "
        "the article says of it",
    )
    directory: Path | None = config.getoption("--lab-claims")
    if directory is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(directory), "openvpn-routing-lab-findings")
    if not config.pluginmanager.has_plugin("openvpn-routing-lab"):
        config.pluginmanager.register(_NoVersion(), "openvpn-routing-lab-no-version")


@pytest.fixture
def claim(request: pytest.FixtureRequest, lab_openvpn: str | None, tmp_path: Path) -> "Claim":
    """The claim in the marker `claims`; the test has to give a verdict on it."""
    from lab.claims.claims import Claim

    marker = request.node.get_closest_marker("claims")
    if marker is None or len(marker.args) != 1 or marker.kwargs.keys() - {"article"}:
        pytest.fail(
            'the fixture `claim` needs a marker: @pytest.mark.claims("the sentence"), with article="…" at most',
            pytrace=False,
        )
    root: Path = request.config.getoption("--lab-claims") or tmp_path
    test = request.node.originalname
    folder = re.sub(r"[^\w.=-]+", "_", f"{test}-{lab_openvpn}" if lab_openvpn else test)
    topology = request.node.get_closest_marker("topology")
    own = topology.kwargs.get("openvpn") if topology is not None else None
    file, _, _ = request.node.location
    claim = Claim(test, marker.args[0], lab_openvpn or own or "", root / folder, file=file, **marker.kwargs)
    request.node.stash[_CLAIM] = claim
    return claim


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the finding to the report; fail a test that passed without a verdict."""
    report = yield
    claim = item.stash.get(_CLAIM, None)
    if claim is None or report.when != "call":
        return report
    from lab.claims.claims import NoVerdict
    from lab.claims.record import as_json, normalised

    try:
        finding = claim.finding(passed=report.passed, seen_on=_seen_on(item) if report.passed else ())
    except NoVerdict as error:
        report.outcome = "failed"
        report.longrepr = str(error)
        finding = claim.finding(passed=False)
    report.user_properties.append((_PROPERTY, json.loads(as_json([normalised(finding)]))))
    return report


def _seen_on(item: pytest.Item) -> tuple[str, ...]:
    """Return the packages in the labs of a test's fixtures, and the kernel, with their versions; empty without labs."""
    import platform

    from lab.core.errors import LabError
    from lab.runtime.lab import Lab
    from lab.runtime.software import installed

    labs = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Lab)]
    try:
        found = installed(labs)
    except LabError:  # the test has stopped a node
        found = {}
    return (
        (*(f"{package} {version}" for package, version in found.items()), f"Linux {platform.release()}")
        if found
        else ()
    )


class _NoVersion:
    """The fixture that `claim` takes from the lab's main plugin, for a run in which that is switched off."""

    @pytest.fixture(scope="session")
    def lab_openvpn(self) -> None:
        """Return no version: nothing chooses one."""


class _Collector:
    """Collects the findings of a run, and writes them at its end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._found: list[tuple[tuple[str, int, str], object]] = []
        """Each finding with the location of its test."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the finding out of a report."""
        if report.when == "call":
            file, line, _ = report.location
            for name, value in report.user_properties:
                if name == _PROPERTY and isinstance(value, list):
                    self._found += [((file, line or 0, report.nodeid), row) for row in value]

    def pytest_sessionfinish(self) -> None:
        """Write claims.json and claims.md in the order of the tests' files, not in that in which workers finish."""
        from lab.claims.record import as_json, as_markdown, from_json

        rows = [row for _, row in sorted(self._found, key=lambda found: found[0])]
        findings = from_json(json.dumps(rows))
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "claims.json").write_text(as_json(findings))
        (self._directory / "claims.md").write_text(as_markdown(findings))


_CLAIM = pytest.StashKey["Claim"]()
