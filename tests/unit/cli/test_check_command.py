"""`lab check`: mistakes on the command line and in files, before any lab is started."""

from pathlib import Path

import pytest

from tests.helpers.paper import Program


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["article", "--lab", "x"], "lab: TOPOLOGY and --lab exclude each other: give one of them\n"),
        (["--keep"], "lab: --keep is for a lab that is started: give its topology\n"),
        (["--run-scripts", "--lab", "x"], "lab: --run-scripts is for a lab that is started: give its topology\n"),
        (["--openvpn", "2.7"], "lab: --openvpn is for a lab that is started: give its topology\n"),
        (["--set", "tunnel.port=1"], "lab: --set is for a lab that is started: give its topology\n"),
        (
            ["article", "--checks", "no.checks.yml"],
            "lab: cannot read the checks 'no.checks.yml': no such file or directory\n",
        ),
        (["article", "--page", "no/x.html"], "lab: no/x.html: directory no is missing: make it first\n"),
        (["article", "--junit", "no/x.xml"], "lab: no/x.xml: directory no is missing: make it first\n"),
    ],
)
def test_mistake_is_one_line(lab: Program, argv: list[str], error: str) -> None:
    result = lab("check", *argv)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", error)


def test_mistakes_of_a_file_are_listed_before_a_lab_is_started(lab: Program, tmp_path: Path) -> None:
    file = tmp_path / "bad.checks.yml"
    file.write_text("expect:\n  - {tunel: branch-hq}\n  - {tunnel: branch}\n")
    result = lab("check", "article", "--checks", str(file))
    assert result.exit_code == 2
    assert result.stderr == (
        f"{file}:2:6: expect[0].tunel: there is no expectation 'tunel'; did you mean 'tunnel'?\n"
        f"{file}:3:14: expect[1].tunnel: there is no tunnel 'branch'; did you mean 'branch-hq'?\n"
    )
    assert lab.engine.instances == []


def test_running_lab_is_checked_by_the_file_beside_its_topology(lab: Program, tmp_path: Path) -> None:
    """Here its nodes do not run, so that nothing can be observed."""
    lab.lay_out("paper")
    file = tmp_path / "one.checks.yml"
    file.write_text("within: 0\nexpect: [{session: hq, node: branch}]")
    result = lab("check", "--checks", str(file))
    assert result.exit_code == 1
    assert "cannot tell" in result.stdout
    assert result.stdout.endswith("lab paper: 0 of 1 expectations held; 1 cannot tell\n")
