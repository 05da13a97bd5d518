"""A report on disk: the page, and its figures and tables as separate files."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.core.progress import Say, quiet
from lab.report import page, tables
from lab.report.comparison import Comparison
from lab.report.drawing import Drawing
from lab.report.figures import difference_figures, event_figures, load_figure
from lab.report.machines import machine_rows
from lab.report.summary import RunSummary

PAGE = "report.html"
MARKDOWN = "report.md"
FIGURES = "figures"
TABLES = "tables"


@dataclass(frozen=True)
class Written:
    """The files of a report."""

    page: Path
    markdown: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]


def write_report(summary: RunSummary, out: Path, say: Say = quiet) -> Written:
    """Write a run's report into a directory, replacing an earlier one."""
    names = short_names(event.event for event in summary.events)
    figures: dict[str, list[Drawing]] = {}
    for event in summary.events:
        say(f"drawing {event.event}")
        figures[event.event] = event_figures(event, names[event.event])
    load = load_figure(summary)
    say("writing")
    written = _Files(out)
    for drawing in [d for found in figures.values() for d in found] + ([load] if load else []):
        written.figure(drawing)
    parts = [f"# Convergence: {summary.run.name}\n", f"{page.count_trials(summary)}\n"]
    parts += [f"{line}\n" for line in page.about_machines(summary)]
    for event in summary.events:
        written.table(names[event.event], tables.as_csv(tables.event_records(event)))
        parts += [f"## {event.event}\n", tables.as_markdown(tables.event_table(event))]
        parts += [_link(drawing) for drawing in figures[event.event]]
    others = [
        tables.thrown_away_table(summary),
        tables.left_out_table(summary.left_out),
        tables.flagged_table(summary.flagged),
        *([tables.machine_table(machines)] if (machines := machine_rows(summary)) else []),
        tables.environment_table(summary),
    ]
    parts.append("## Invalid trials, flags, and the environment\n")
    for table in others:
        written.table(table.name, tables.table_csv(table))
        parts += [tables.as_markdown(table)] if table.rows else []
    parts += [_link(load)] if load else []
    return written.finish(page.report_page(summary, names, figures, load), "\n".join(parts))


def write_comparison(comparison: Comparison, out: Path, say: Say = quiet) -> Written:
    """Write a comparison into a directory, replacing an earlier one."""
    say("drawing")
    figures = difference_figures(comparison, short_names(d.variant.event for d in comparison.differences))
    written = _Files(out)
    for drawing in figures:
        written.figure(drawing)
    hosts = tables.host_table(comparison)
    written.table("comparison", tables.as_csv(tables.difference_records(comparison)))
    written.table("hosts", tables.table_csv(hosts))
    text = comparison_markdown(comparison) + "".join(f"\n{_link(drawing)}" for drawing in figures)
    return written.finish(page.comparison_page(comparison, figures), text)


def comparison_markdown(comparison: Comparison) -> str:
    """Return a comparison as Markdown."""
    parts = [f"# {comparison.after.run.name} against {comparison.before.run.name}\n"]
    parts += [f"{line}\n" for line in page.findings(comparison)]
    parts.append(tables.as_markdown(tables.difference_table(comparison)))
    for title, variants in page.unshared(comparison).items():
        parts += [f"## {title}\n", "".join(f"* {variant}\n" for variant in variants)]
    hosts = tables.host_table(comparison)
    parts += [tables.as_markdown(hosts)] if hosts.rows else []
    return "\n".join(parts)


def short_names(events: Iterable[str]) -> dict[str, str]:
    """Return a unique name for files and anchors for each event."""
    names: dict[str, str] = {}
    for event in events:
        if event not in names:
            base = name = tables.slug(event)
            number = 1
            while name in names.values():
                number += 1
                name = f"{base}-{number}"
            names[event] = name
    return names


class _Files:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.figures: list[Path] = []
        self.tables: list[Path] = []
        # Remove the figures of events that are no longer in the run.
        for folder, kind in ((FIGURES, "svg"), (TABLES, "csv")):
            (out / folder).mkdir(parents=True, exist_ok=True)
            for old in (out / folder).glob(f"*.{kind}"):
                old.unlink()

    def figure(self, drawing: Drawing) -> None:
        path = self.out / FIGURES / f"{drawing.name}.svg"
        path.write_text(drawing.file)
        self.figures.append(path)

    def table(self, name: str, text: str) -> None:
        path = self.out / TABLES / f"{name}.csv"
        path.write_text(text, newline="")
        self.tables.append(path)

    def finish(self, html: str, markdown: str) -> Written:
        (self.out / PAGE).write_text(html)
        (self.out / MARKDOWN).write_text(markdown)
        return Written(self.out / PAGE, self.out / MARKDOWN, tuple(self.figures), tuple(self.tables))


def _link(drawing: Drawing) -> str:
    return f"![{drawing.caption}]({FIGURES}/{drawing.name}.svg)\n"
