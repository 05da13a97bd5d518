"""Tables and progress, on a terminal and elsewhere."""

import io
import re
import sys

import pytest

from lab.cli.output import few, print_table, progress, table_lines, verdict

COLUMNS = ["name", "#MTU", "state"]
ROWS = [("hq", 1, verdict(True, "up")), ("branch", 1234, verdict(False, "down: the server has no client"))]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def use_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in place of stdout and stderr, during the test: pytest replaces them before."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return terminal


def test_table_is_aligned() -> None:
    assert table_lines("Tunnels", COLUMNS, ROWS) == [
        "Tunnels",
        "name     MTU  state",
        "────────────────────────────────────────────",
        "hq         1  up",
        "branch  1234  down: the server has no client",
    ]


def test_cell_of_several_lines_becomes_several_rows() -> None:
    assert table_lines("x", ["a", "b"], [("one\ntwo", 3)])[3:] == ["one  3", "two"]


def test_table_without_rows_has_its_header() -> None:
    assert table_lines("Faults", ["#number", "kind"], []) == ["Faults", "number  kind", "────────────"]


def test_table_for_programs_has_no_styles(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Tunnels", COLUMNS, [("n" * 300, 1, verdict(True, "up"))])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "n" * 300 in shown
    assert shown.endswith("up\n\n")


def test_table_on_a_terminal_has_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = use_terminal(monkeypatch)
    print_table("Tunnels", COLUMNS, ROWS)
    assert "\x1b[32mup" in terminal.getvalue()
    assert "\x1b[1;31mdown" in terminal.getvalue()


@pytest.mark.parametrize("width", [20, 30, 60])
def test_table_on_a_terminal_cuts_off_no_text(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    terminal = use_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    print_table("Tunnels", COLUMNS, [("branch", 1234, "down: the server has no client")])
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert all(len(line) <= width for line in shown.splitlines())
    # Columns share lines, so compare letters: those of the last column and of no other text are all there.
    assert [shown.count(letter) for letter in "dvi"] == [1, 1, 1]
    assert "…" not in shown


def test_progress_on_a_terminal_is_one_line_that_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = use_terminal(monkeypatch)
    with progress() as say:
        say("starting [3 nodes]")
    shown = terminal.getvalue()
    assert "starting [3 nodes]" in shown
    assert shown.count("\n") <= 1
    assert "\x1b[2K" in shown


def test_progress_elsewhere_is_a_line_for_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as say:
        say("one")
        say("two")
    assert capsys.readouterr().err == "one\ntwo\n"


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, ""), (1, "s0"), (3, "s0, s1, s2"), (4, "s0, s1, s2 and 1 more"), (50, "s0, s1, s2 and 47 more")],
)
def test_few_names_at_most_three(number: int, shown: str) -> None:
    assert few([f"s{n}" for n in range(number)]) == shown
