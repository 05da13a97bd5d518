"""The results of a run in a page of Markdown, between two markers, so that they can be made again."""

from collections.abc import Sequence
from pathlib import Path

from lab.core.errors import InputError
from lab.measure.record import Variant
from lab.measure.statistics import median_interval, summarize
from lab.report.page import about_machines, count_trials
from lab.report.quantities import Quantity, format_value, quantity
from lab.report.summary import BASELINES, Group, Row, RunSummary
from lab.report.tables import OVER_LABELS, Table, as_markdown, load_text, over_text, ratio_text, share_text

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
"""The markers: what is between them is written again."""

_TRAFFIC = ("until-stopped", "until-back", "loss-of-connectivity", "loss-derived", "rate-derived")
_FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6"}


def put_into(page: Path, summary: RunSummary) -> None:
    """Write a run's results between the markers of a page; raises `InputError` if the page has no such place."""
    try:
        text = page.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the page {page}: {error}") from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(f"{page} has no place for figures: put the lines {BEGIN} and {END} where they should be")
    page.write_text(f"{before}{BEGIN}\n\n{results(summary)}\n{END}{after}")


def results(summary: RunSummary) -> str:
    """Return a run's results: what was run where, when routes changed, and when traffic did."""
    tables = [table for table in (_routes(summary), _traffic(summary)) if table.rows]
    return "\n".join([_what_was_run(summary), *map(as_markdown, tables)])


def _what_was_run(summary: RunSummary) -> str:
    run, environment = summary.run, summary.run.environment
    versions = ", ".join(f"{program} {version}" for program, version in environment.versions.items())
    return (
        f"Plan `{run.name}`, n = {_planned(summary)} trials of each variant, begun on {run.started:%Y-%m-%d}. "
        f"{' '.join((count_trials(summary), *about_machines(summary)))}\n\n"
        f"Host: {environment.cpus} CPUs ({environment.cpu}), {environment.memory / (1 << 30):.0f} GiB, "
        f"Linux {environment.kernel}; {versions}. Busy with other programs during a trial: {load_text(summary)}.\n\n"
        "Times are medians with their 95 % intervals, by order statistics, which need six trials; a cell with fewer "
        "than n trials says so: `n = 17 of 20` if the other three had no such time. Ratios are those of the medians "
        "within the run, with bootstrapped 95 % intervals. "
        "An empty cell has no such combination, or an event that has no such time.\n"
    )


def _planned(summary: RunSummary) -> int:
    trials: int = summary.run.plan["trials"]
    return trials


def _routes(summary: RunSummary) -> Table:
    """Return the times until the FIB changed, side by side for the tunnel and the baselines."""
    fib = quantity("fib")
    rows: list[tuple[str, ...]] = []
    for event in summary.events:
        found = {row.variant: row for row in event.rows_of(fib)}
        lines: dict[Variant, list[Row]] = {}
        for variant, row in found.items():
            lines.setdefault(variant.model_copy(update={"over": "tunnel", "mode": "", "openvpn": ""}), []).append(row)
        for line, cells in lines.items():
            tunnels: Sequence[Row | None] = [row for row in cells if not row.variant.baseline] or [None]
            baselines = {row.variant.over: row for row in cells if row.variant.baseline}
            for tunnel in tunnels:
                shown = (tunnel, *(baselines.get(over) for over in BASELINES))
                mode = over_text(tunnel.variant) if tunnel else ""
                times = [_cell(summary, row.group, fib) if row else "" for row in shown]
                ratios = [ratio_text(tunnel.ratios.get(over)) if tunnel else "" for over in BASELINES]
                rows.append((*_heads(line), mode, *times, *ratios))
    columns = (
        *("event", "topology", "detector", "family", "mode", "#tunnel"),
        *(f"#{OVER_LABELS[over]}" for over in BASELINES),
        *(f"#tunnel to {OVER_LABELS[over]}" for over in BASELINES),
    )
    caption = "From the event until the route has changed in the FIB"
    return _without_empty_columns(Table("routes", caption, columns, tuple(rows)))


def _traffic(summary: RunSummary) -> Table:
    """Return the times of the data plane, of the variants that have one."""
    shown = [quantity(key) for key in _TRAFFIC]
    rows = []
    for event in summary.events:
        for group in event.groups:
            cells = [_cell(summary, group, each) for each in shown]
            if any(cells):
                rows.append((*_heads(group.variant), over_text(group.variant), *cells))
    columns = ("event", "topology", "detector", "family", "over", *(f"#{each.label}" for each in shown))
    return _without_empty_columns(Table("traffic", "Traffic, from the event", columns, tuple(rows)))


def _heads(variant: Variant) -> tuple[str, ...]:
    return variant.event, variant.topology, variant.detector or "—", _FAMILIES[variant.family]


def _cell(summary: RunSummary, group: Group, shown: Quantity) -> str:
    """Return a median with its interval, with the number of trials if that is not the plan's, and of those left out."""
    values = group.values(shown)
    if not values:
        return ""
    middle = summarize(values).median
    text = format_value(middle, shown.unit)
    if interval := median_interval(values):
        low, high = (format_value(end, shown.unit, like=middle) for end in interval)
        text += f" ({low.split()[0]} to {high.split()[0]})"
    if len(values) != _planned(summary):
        text += f", n = {share_text(group, len(values))}"
    late = group.count("timed-out")
    return f"{text}, {late} timed out" if late else text


def _without_empty_columns(table: Table) -> Table:
    kept = [place for place in range(len(table.columns)) if any(row[place] for row in table.rows)]

    def select(row: Sequence[str]) -> tuple[str, ...]:
        return tuple(row[place] for place in kept)

    return Table(table.name, table.caption, select(table.columns), tuple(map(select, table.rows)), table.heads)
