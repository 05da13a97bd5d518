"""Tables and progress: widths, alignment, folding and colours."""

import io
import sys

import pytest

from lab.cli.output import few, print_table, progress, table_lines, verdict

ROWS = [("hq", 1, verdict(True, "up")), ("branch", 1234, verdict(False, "down: the server has no client"))]


def lines(width: int, *, styled: bool = False) -> list[str]:
    return list(table_lines("Tunnels", ["name", "#MTU", "state"], ROWS, width=width, styled=styled))


def test_table_is_aligned() -> None:
    assert lines(1000) == [
        "Tunnels",
        "name     MTU  state",
        "────────────────────────────────────────────",
        "hq         1  up",
        "branch  1234  down: the server has no client",
    ]


@pytest.mark.parametrize("width", range(10, 60))
def test_table_cuts_off_no_text_at_any_width(width: int) -> None:
    shown = lines(width)
    assert all(len(line) <= width for line in shown[1:])
    text = "".join("".join(shown).split())
    for word in ("branch", "1234", "client"):
        assert set(word) <= set(text)
    assert sum(line.count("d") for line in shown[1:]) == 1  # of `down`


def test_long_cell_is_folded_between_words() -> None:
    assert lines(30)[4:] == ["branch  1234  down: the server", "              has no client"]


def test_cell_keeps_its_own_lines() -> None:
    shown = list(table_lines("x", ["a", "b"], [("one\ntwo", 3)], width=80))
    assert shown[3:] == ["one  3", "two"]


def test_styles_are_for_terminals_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert any("\x1b[32mup" in line for line in lines(80, styled=True))
    assert any("\x1b[1;31mdown" in line for line in lines(80, styled=True))
    print_table("Tunnels", ["name", "#MTU", "state"], ROWS)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.endswith("client\n\n")


def test_table_without_rows_has_its_header() -> None:
    assert list(table_lines("Faults", ["#number", "kind"], [], width=80)) == ["Faults", "number  kind", "────────────"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_one_line_that_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "12")
    with progress() as say:
        say("a step with a long name")
        say("two")
    assert terminal.getvalue() == "\r\x1b[Ka step with\r\x1b[Ktwo\r\x1b[K"


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
