"""Results of commands inside nodes."""

import pytest

from lab.core.errors import CommandFailed
from lab.engine import ExecResult


def result(exit_code: int, stdout: str = "", stderr: str = "") -> ExecResult:
    return ExecResult("hq", ("ip", "link", "show"), exit_code, stdout, stderr)


def test_raise_on_error_returns_a_successful_result() -> None:
    ended = result(0, "lo\n", "a warning\n")
    assert not ended.failed
    assert ended.raise_on_error() is ended


@pytest.mark.parametrize(
    ("stdout", "stderr", "words"),
    [
        ("out\n", "first\nlast words\n\n", "last words"),
        ("told on stdout\n", "  \n", "told on stdout"),
        ("", "", "no output"),
    ],
)
def test_raise_on_error_quotes_the_last_line_of_output(stdout: str, stderr: str, words: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        result(137, stdout, stderr).raise_on_error()
    assert str(caught.value) == f"hq: `ip link show` ended with 137: {words}"
    assert caught.value.exit_code == 1
