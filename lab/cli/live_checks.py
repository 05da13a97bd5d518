"""The results of `lab check` on stderr as they are decided: lines, and on a terminal also what is still waited for."""

import sys
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lab.cli.output import few

if TYPE_CHECKING:
    from lab.check.model import Checked, Step

_WIDTH = 13
_SHOWN_FROM = 0.1
"""Seconds from which on the time of a result is worth a mention."""


class LiveChecks:
    """A list that grows while a lab is checked."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._stack = ExitStack()
        self._console: Any = None
        self._status: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console

            self._console = Console(file=sys.stderr, highlight=False)
            self._status = self._stack.enter_context(self._console.status(""))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def begin(self, step: "Step") -> None:
        """List the actions of a step."""
        if step.name:
            self._print("", f"\n{step.name}")
        for action in step.actions:
            self._print(f"  {'do':>{_WIDTH}}  ", str(action), "dim")
        self._waiting = [str(item) for item in step.items]
        self._show_waiting()

    def tell(self, checked: "Checked") -> None:
        """List a result."""
        result = checked.result
        after = f", {result.after:.1f} s" if result.after >= _SHOWN_FROM else ""
        style = "green" if result.good else "bold red"
        self._print(f"  {result.verdict:>{_WIDTH}}  ", f"{checked.what}{after}", style)
        if checked.what in self._waiting:
            self._waiting.remove(checked.what)
        self._show_waiting()

    def _print(self, head: str, text: str, style: str = "") -> None:
        if self._console is None:
            print(f"{head}{text}", file=sys.stderr, flush=True)
            return
        from rich.text import Text

        self._console.print(Text.assemble((head, style), text))

    def _show_waiting(self) -> None:
        if self._status is None:
            return
        from rich.markup import escape

        self._status.update(escape(f"waiting for {few(self._waiting)}") if self._waiting else "")
