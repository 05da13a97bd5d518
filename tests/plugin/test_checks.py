"""Files of expectations as tests: `NAME.checks.yml` beside a topology."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.project import TUNNEL, Project

CHECKS = "openvpn-routing-lab-checks"
FILE = """
within: 20
expect:
  - {tunnel: two-one}
  - {from: one, reaches: "2001:db8:ff00::2"}
  - {from: one, reaches: "2001:db8:ff00::2"}
steps:
  - step: the link breaks
    do: {fault: link-down, link: "two:eth1"}
    expect:
      - {from: one, does-not-reach: 192.0.2.2, within: 10}
      - {from: one, reaches: 192.0.2.2, within: 1}
      - {route: 10.77.0.0/24, node: one, within: 1}
  - step: it is mended
    do: {undo: all}
    expect:
      - {from: one, reaches: 192.0.2.2}
  - step: a process starts again
    do: {restart: openvpn, tunnel: two-one, end: client}
"""
PLAIN = """
    nodes: {one: {}, two: {}}
    links:
      - {endpoints: ["one:eth1", "two:eth1"], ipv4: [192.0.2.1/30, 192.0.2.2/30]}
"""


def collected(project: Project, *options: str) -> list[str]:
    """Return the ids of the tests."""
    result = project.run("--collect-only", "-q", *options)
    return [line for line in result.outlines if ".checks.yml::" in line]


@pytest.fixture
def checks(project: Project) -> Path:
    """A file of checks beside a topology with a tunnel."""
    project.topology(TUNNEL)
    path = project.path / "pair.checks.yml"
    path.write_text(FILE)
    return path


def test_ids_are_the_expectations(project: Project, checks: Path) -> None:
    assert [line.removeprefix("pair.checks.yml::") for line in collected(project)] == [
        "tunnel two-one is up",
        "one reaches 2001:db8:ff00__2",
        "one reaches 2001:db8:ff00__2 (2)",
        "the link breaks: one does not reach 192.0.2.2",
        "the link breaks: one reaches 192.0.2.2",
        "the link breaks: 10.77.0.0/24 in the FIB of one",
        "it is mended: one reaches 192.0.2.2",
        "a process starts again: restart OpenVPN of the client of two-one",
    ]


def test_version_of_openvpn_is_in_the_id(project: Project, checks: Path) -> None:
    found = collected(project, "--lab-openvpn=2.6,2.7", "-k", "tunnel", "-m", "docker")
    assert [line.rpartition(" ")[2] for line in found] == ["[openvpn-2.6]", "[openvpn-2.7]"]


@pytest.mark.parametrize("options", [(f"-pno:{CHECKS}",), ("-pno:openvpn-routing-lab",), ("-m", "not docker")])
def test_options_exclude_checks_files(project: Project, checks: Path, options: tuple[str, ...]) -> None:
    assert collected(project, *options) == []


@pytest.mark.parametrize(
    ("new", "workers", "code", "message"),
    [
        ("tunel: two-one", (), pytest.ExitCode.INTERRUPTED,
         "pair.checks.yml:4:6: expect[0].tunel: there is no expectation 'tunel'"),
        ("tunnel: tow-one", ("-n", "1"), pytest.ExitCode.TESTS_FAILED,
         "pair.checks.yml:4:14: expect[0].tunnel: there is no tunnel 'tow-one'"),
    ],
)  # fmt: skip
def test_mistake_has_file_line_and_key(
    project: Project,
    checks: Path,
    no_traceback: Callable[[pytest.RunResult], None],
    new: str,
    workers: tuple[str, ...],
    code: pytest.ExitCode,
    message: str,
) -> None:
    checks.write_text(FILE.replace("tunnel: two-one", new, 1))
    result = project.run(*workers)
    assert result.ret == code
    assert f"{message}; did you mean" in result.stdout.str()
    no_traceback(result)


def test_topology_has_to_be_beside_it(project: Project, checks: Path) -> None:
    checks.rename(checks.with_name("other.checks.yml"))
    assert "topology other.clab.yml is missing beside it" in project.run().stdout.str()


@pytest.mark.docker
def test_steps_run_in_one_lab_and_a_failure_has_its_reason(
    project: Project, checks: Path, no_traceback: Callable[[pytest.RunResult], None]
) -> None:
    project.conftest("""
        def pytest_lab_ready(lab):
            with open("ready.txt", "a") as file:
                print(lab.name, file=file)
    """)
    result = project.run("-v", "--lab-artefacts=artefacts", "--junitxml=junit.xml")
    result.assert_outcomes(passed=6, failed=2)
    text = result.stdout.str()
    for line in (
        "pair.checks.yml::the link breaks: one reaches 192.0.2.2 FAILED*",
        "pair.checks.yml::it is mended: one reaches 192.0.2.2 PASSED*",
        "*does not hold: 10.77.0.0/24 in the FIB of one",
        "seen after * s: 10.77.0.0/24 is not in the FIB",
        "cause: *10.77.0.0/24*",
        "logs: *",
        f"{checks}:13",
    ):
        result.stdout.fnmatch_lines([line])
    assert "logs and configurations of the lab are in artefacts" in text
    assert list((project.path / "artefacts").glob("*/one"))
    no_traceback(result)
    assert len(project.said()) == 1  # one lab, also after a failure
    assert project.left == []
    junit = (project.path / "junit.xml").read_text()
    assert 'classname="pair.checks.yml" name="the link breaks: one reaches 192.0.2.2"' in junit


@pytest.mark.docker
def test_files_run_side_by_side_and_undo_their_steps(project: Project) -> None:
    project.conftest("""
        import os

        def pytest_runtest_logreport(report):
            if report.when == "call" and hasattr(report, "node"):
                with open("workers.txt", "a") as file:
                    print(report.node.gateway.id, report.nodeid, file=file)
    """)
    steps = 'steps: [{step: it breaks, do: {fault: link-down, link: "two:eth1"}, expect: [%s]}]\n'
    for name in ("first", "second"):
        project.topology(PLAIN, f"{name}.clab.yml", name=f"{project.name}-{name}")
        (project.path / f"{name}.checks.yml").write_text(
            "expect: [{from: one, reaches: two}]\n" + steps % "{from: one, does-not-reach: two}"
        )
    result = project.run("-n", "2", "--dist=loadfile", "-p", "no:randomly")
    result.assert_outcomes(passed=4)
    found = [line.split(maxsplit=1) for line in project.said("workers.txt")]
    by_file = {name: {worker for worker, test in found if test.startswith(name)} for name in ("first", "second")}
    assert [len(workers) for workers in by_file.values()] == [1, 1]
    assert project.left == []
