"""`lab report`: a page of a run, or a comparison of two."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsJson
from lab.cli.output import print_json, print_table, progress
from lab.core.errors import InputError

if TYPE_CHECKING:
    from lab.report import RunSummary


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN…",
            help="A directory of `lab measure`, two to compare, or the shards of a plan to put together.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The directory to write; by default `report` or `comparison` in that of the last run."
        ),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE", help="Write the results of a run into a Markdown page, between its markers for figures."
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a page of a run with its figures and tables, or of the differences of two runs that exceed the noise."""
    from lab.measure.merge import Part, are_shards, merge
    from lab.report import summary_of

    parts = [Part.read(run) for run in runs]
    if are_shards(parts):
        merged = merge(parts)
        summaries = [summary_of(merged.run, merged.trials, merged.missing)]
    elif len(runs) > 2:
        raise InputError(f"{len(runs)} runs given: give one for a report, two to compare, or shards of one plan")
    else:
        summaries = [summary_of(part.run, part.trials) for part in parts]
    if into and len(summaries) > 1:
        raise InputError("--into writes the results of one run: give one")
    for path, summary in zip(runs, summaries, strict=False):
        if not summary.trials:
            raise InputError(f"{path} has no trials yet: wait until `lab measure` has recorded one")
    if into:
        from lab.report.documentation import put_into

        put_into(into, summaries[0])
        if as_json:
            print_json({"page": str(into)})
        else:
            print(f"{into}: written between its markers")
    elif len(summaries) == 1:
        _one(summaries[0], out or runs[-1] / "report", markdown=markdown, as_json=as_json)
    else:
        _two(summaries[0], summaries[1], out or runs[1] / "comparison", markdown=markdown, as_json=as_json)


def _one(summary: "RunSummary", out: Path, *, markdown: bool, as_json: bool) -> None:
    from lab.report import write_report
    from lab.report.page import about_machines, count_trials, overview_table
    from lab.report.tables import event_records

    with progress() as say:
        written = write_report(summary, out, say)
    if as_json:
        records = [record for event in summary.events for record in event_records(event)]
        print_json(
            {
                "page": str(written.page),
                "rows": records,
                "thrown_away": [{"cause": cause, "attempts": n} for cause, n in summary.thrown_away.items()],
                "missing": [str(shard) for shard in summary.missing],
                "short": [{"variant": str(variant), "trials": n} for variant, n in summary.short.items()],
            }
        )
    elif markdown:
        print(written.markdown.read_text(), end="")
    else:
        table = overview_table(summary)
        print_table(summary.run.name, table.columns, table.rows)
        for line in (count_trials(summary), *about_machines(summary)):
            print(line)
        print(f"{written.page}; {len(written.figures)} figures and {len(written.tables)} tables beside it")


def _two(before: "RunSummary", after: "RunSummary", out: Path, *, markdown: bool, as_json: bool) -> None:
    from lab.report import compare, write_comparison
    from lab.report.page import findings
    from lab.report.tables import difference_records, difference_table

    comparison = compare(before, after)
    with progress() as say:
        written = write_comparison(comparison, out, say)
    if as_json:
        print_json(
            {
                "page": str(written.page),
                "findings": findings(comparison),
                "differences": difference_records(comparison),
                "only_before": list(map(str, comparison.only_before)),
                "only_after": list(map(str, comparison.only_after)),
                "incomparable": list(map(str, comparison.incomparable)),
                "environment": [
                    {"name": name, "before": old, "after": new} for name, old, new in comparison.environment
                ],
            }
        )
    elif markdown:
        print(written.markdown.read_text(), end="")
    else:
        table = difference_table(comparison, everything=False)
        if table.rows:
            print_table(table.caption, table.columns, table.rows)
        for line in findings(comparison):
            print(line)
        print(f"{written.page} has all quantities")
