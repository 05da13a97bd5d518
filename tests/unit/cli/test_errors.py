"""Every error ends in one line and an exit code."""

import errno

import pytest
import typer
from typer.testing import CliRunner

from lab.cli.errors import Commands
from lab.core.errors import EnvironmentBroken, ExpectationFailed, InputError
from tests.helpers.paper import Program


def broken_off() -> BaseException:
    error = KeyboardInterrupt()
    error.add_note("hq is still there")
    return error


def failing_with_note() -> BaseException:
    error = EnvironmentBroken("hq: it died")
    error.add_note("hq printed before it ended:\nno memory")
    return error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("no such node"), 2, "lab: no such node\n"),
        (EnvironmentBroken("line one\nline two"), 2, "lab: line one; line two\n"),
        (ExpectationFailed("it did not come"), 1, "lab: it did not come\n"),
        (failing_with_note(), 2, "lab: hq: it died\nhq printed before it ended:\nno memory\n"),
        (OSError(errno.ENOSPC, "No space left on device", "f.pcap"), 2, "lab: f.pcap: No space left on device\n"),
        (broken_off(), 130, "lab: interrupted\nhq is still there\n"),
        (KeyError("x"), 70, "lab: this is a bug: KeyError: 'x'; `lab --debug …` shows the traceback\n"),
    ],
)
def test_one_line_and_a_code(error: BaseException, code: int, said: str) -> None:
    app = typer.Typer(cls=Commands)

    @app.command()
    def fail() -> None:
        raise error

    @app.command()
    def other() -> None: ...

    result = CliRunner().invoke(app, ["fail"])
    assert result.exit_code == code
    assert result.stderr == said
    assert result.stdout == ""


def test_debug_shows_the_traceback(lab: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_DEBUG", "")  # so that what the option sets is taken back
    result = CliRunner().invoke(lab_app(), ["--debug", "render", "nowhere", "--out", "out"], prog_name="lab")
    assert "Traceback" in result.stderr


def lab_app() -> typer.Typer:
    from lab.cli.app import app

    return app


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["status", "--colour"], "lab: No such option: --colour; see `lab status --help`\n"),
        (["announce", "hq"], "lab: Missing argument 'PREFIX...'; see `lab announce --help`\n"),
        (["frobnicate"], "lab: No such command 'frobnicate'; see `lab --help`\n"),
        (["up", "nowhere"], "lab: no topology 'nowhere': give a file, or one of "),
        (["up", "--set", "transport=udp"], "lab: --set transport=udp: write tunnel.KEY=VALUE"),
        (["status"], "lab: no lab is running: `lab up` starts one\n"),
        (["status", "--lab", "x"], "lab: no lab named 'x' is running; no lab is running"),
        (["down", "x"], "lab: no lab named 'x' is running; no lab is running\n"),
        (["down", "x", "--all"], "lab: `lab down` takes names or --all, not both\n"),
    ],
)
def test_bad_input(lab: Program, argv: list[str], said: str) -> None:
    result = lab(*argv)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_help_needs_no_engine(lab: Program) -> None:
    assert lab("--help").exit_code == 0
    assert lab("up", "--help").exit_code == 0


def test_each_mistake_of_a_topology_is_a_line_for_editors(lab: Program) -> None:
    file = lab.directory / "wrong.clab.yml"
    file.write_text("name: wrong\ntopology:\n  nodes:\n    a: {kid: linux}\n    b: {kind: linux, imag: x}\n")
    result = lab("up", str(file))
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) > 1
    assert all(line.startswith(f"{file}:") for line in lines)
