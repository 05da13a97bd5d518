"""The results of a run in a page of the documentation."""

from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.measure.record import DataPlane, Trial
from lab.report.documentation import BEGIN, END, put_into, results
from lab.report.summary import summary_of
from tests.helpers import runs

TRIALS = runs.trials(30, families=("ipv4",), detectors=1)


def row(text: str, *heads: str) -> list[str]:
    """Return the cells of the row that begins with some cells."""
    start = f"| {' | '.join(heads)} |"
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.strip("| ").split("|")]


def column(text: str, caption: str) -> list[str]:
    """Return the names of the columns of the table below a caption."""
    lines = text.splitlines()
    return [cell.strip() for cell in lines[lines.index(f"**{caption}**") + 2].strip("| ").split("|")]


def test_page_says_what_was_run_where() -> None:
    text = results(summary_of(runs.run(), TRIALS))
    assert "Plan `synthetic`, n = 30 trials of each variant, begun on 2026-01-01." in text
    assert "thrown away: the sender fell behind (6)." in text
    assert "Host: 2 CPUs (Some CPU @ 2.5 GHz), 24 GiB, Linux 6.18.5; OpenVPN 2.7.8, FRR 10.3." in text
    assert "Busy with other programs during a trial: 0.0" in text


def test_routes_are_compared_side_by_side() -> None:
    text = results(summary_of(runs.run(), TRIALS))
    assert column(text, "From the event until the route has changed in the FIB") == [
        *("event", "topology", "detector", "family", "mode", "tunnel", "bare wire", "VXLAN"),
        *("tunnel to bare wire", "tunnel to VXLAN"),
    ]
    cells = row(text, "announce", "article", "—", "IPv4", "iroute 2.7")
    # Of thirty trials one is invalid and one timed out.
    for cell in cells[5:8]:
        assert cell.endswith(", n = 28, 1 timed out")
        assert "ms (" in cell
        assert " to " in cell
    assert cells[8].count(" to ") == 1


def test_cell_with_all_trials_of_the_plan_has_no_number() -> None:
    valid = [t.model_copy(update={"status": "valid"}) for t in TRIALS]
    assert "n = " not in " ".join(row(results(summary_of(runs.run(), valid)), "announce", "article", "—", "IPv4"))


def test_few_trials_have_no_interval() -> None:
    text = results(summary_of(runs.run(), [t for t in TRIALS if t.number in (1, 2, 4)]))
    cell = row(text, "announce", "article", "—", "IPv4")[5]
    assert "(" not in cell
    assert cell.endswith("ms, n = 3")


def times(trial: Trial, **named: float | None) -> Trial:
    """Return a trial with these times of the data plane, and no others."""
    assert trial.data_plane is not None
    none = dict.fromkeys(("until_stopped", "until_back", "loss_derived", "loss_of_connectivity", "rate_derived"))
    plane = DataPlane.model_validate(trial.data_plane.model_dump() | none | named)
    return trial.model_copy(update={"data_plane": plane, "status": "valid"})


def test_times_that_an_event_does_not_have_have_no_cell() -> None:
    made = [times(t, until_stopped=0.11) if t.variant.event == "announce" else times(t) for t in TRIALS]
    text = results(summary_of(runs.run(), made))
    assert column(text, "Traffic, from the event") == [
        *("event", "topology", "detector", "family", "over", "until traffic stopped"),
    ]
    assert row(text, "announce", "article", "—", "IPv4", "bare wire")[5] == "110 ms (110 to 110)"
    traffic = text[text.index("**Traffic") :]
    assert "blackhole" not in traffic
    assert "Traffic" not in results(summary_of(runs.run(), [times(t) for t in TRIALS]))


def test_results_replace_what_was_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nafter {END}\n")
    summary = summary_of(runs.run(), TRIALS)
    put_into(page, summary)
    once = page.read_text()
    assert once.startswith(f"# Before\n\n{BEGIN}\n\nPlan `synthetic`")
    assert once.endswith(f"{END}\n\nafter {END}\n")
    assert "old" not in once
    put_into(page, summary)
    assert page.read_text() == once


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_page_without_a_place_is_not_changed(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(InputError, match=r"page\.md has no place for figures: put the lines"):
        put_into(page, summary_of(runs.run(), TRIALS))
    assert page.read_text() == text


def test_missing_page_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the page"):
        put_into(tmp_path / "none.md", summary_of(runs.run(), TRIALS))


def test_cell_says_how_many_valid_trials_had_no_such_time() -> None:
    def without(trial: Trial) -> Trial:
        assert trial.data_plane is not None
        return trial.model_copy(update={"data_plane": trial.data_plane.model_copy(update={"until_back": None})})

    some = [without(trial) if trial.number > 20 else trial for trial in TRIALS]
    text = results(summary_of(runs.run(), some))
    traffic = text[text.index("**Traffic, from the event**") :]
    assert ", n = 18 of 28, 1 timed out" in traffic
    assert traffic.count("n = 18 of 28") == sum("blackhole" in line for line in traffic.splitlines())
