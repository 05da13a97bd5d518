"""The end of a command: its exit code, and one line for an error.

0    done
1    a check failed
2    bad input, or a host that lacks something
70   a bug (EX_SOFTWARE of sysexits.h)
130  interrupted
141  the reader of the output has closed it
"""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from lab.core.errors import LabError

FAILED = 1
BAD_INPUT = 2
BUG = 70
INTERRUPTED = 130
BROKEN_PIPE = 141


class Commands(TyperGroup):
    """A group of commands that reports every error in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; typer would turn an interruption into a bare exit code, without the notes of the rollback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise typer.Exit(tell(error)) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit."""
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
            sys.stdout.flush()
        except BaseException as error:
            if isinstance(error, SystemExit):
                raise
            code = tell(error)
        sys.exit(code if isinstance(code, int) else 0)


def tell(error: BaseException) -> int:
    """Print an error on stderr, and return its exit code."""
    if isinstance(error, BrokenPipeError):
        discard_stdout()
        return BROKEN_PIPE
    if os.environ.get("LAB_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    code, line = _judged(error)
    say(line)
    for note in getattr(error, "__notes__", ()):
        print(note, file=sys.stderr)
    return code


def discard_stdout() -> None:
    """Replace a closed stdout, because flushing it at exit would raise the error again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say(line: str) -> None:
    """Print lines on stderr; each mistake in a topology has its own, which editors can jump to."""
    print(line, file=sys.stderr)


def _judged(error: BaseException) -> tuple[int, str]:
    from lab.topology.mistakes import TopologyError

    if isinstance(error, TopologyError):
        return error.exit_code, str(error)
    if isinstance(error, LabError):
        return error.exit_code, f"lab: {_one_line(str(error))}"
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED, "lab: interrupted"
    if isinstance(error, typer.TyperException):
        return BAD_INPUT, f"lab: {_usage(error)}"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return BAD_INPUT, f"lab: {where}{error.strerror or error}"
    kind = type(error).__name__
    return BUG, f"lab: this is a bug: {kind}: {_one_line(str(error))}; `lab --debug …` shows the traceback"


def _usage(error: typer.TyperException) -> str:
    message = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "lab"
    return f"{_one_line(message).rstrip('.')}; see `{command} --help`"


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip()) or "no reason given"
