"""The report's tables as data, and as CSV and Markdown."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.measure.record import Over, Trial, Variant
from lab.measure.statistics import Ratio
from lab.report.comparison import Comparison, Difference
from lab.report.machines import MachineRow
from lab.report.quantities import Unit, format_value
from lab.report.summary import BASELINES, EventSummary, Group, Row, RunSummary
from lab.tunnel import display_name

Cell = str | float | int | None

OVER_LABELS: dict[Over, str] = {"tunnel": "tunnel", "wire": "bare wire", "vxlan": "VXLAN"}


@dataclass(frozen=True)
class Table:
    """A table of text for display."""

    name: str
    """Name of its file."""
    caption: str
    columns: tuple[str, ...]
    """Names of columns; `#…` is a column of numbers."""
    rows: tuple[tuple[str, ...], ...]
    heads: int = 1
    """Number of leading cells of a row that are its heading."""


# --- for display --------------------------------------------------------------------------------------------


def event_table(event: EventSummary, *, everything: bool = True) -> Table:
    """Return an event's table: each quantity of each variant, or only those in the figures."""
    overs = [over for over in BASELINES if any(over in row.ratios for row in event.rows)]
    shown = {quantity.key for quantity in event.shown}
    rows = [row for row in event.rows if everything or row.summary is None or row.quantity.key in shown]
    columns = (
        *("detector", "family", "topology", "over", "quantity"),
        *("#n", "#min", "#median", "#p95", "#max", "#error", "#invalid", "#timed out"),
        *(f"#ratio to {OVER_LABELS[over]}" for over in overs),
    )
    return Table(
        name=slug(event.event),
        caption=f"{event.event}: {'all stages and packet counts' if everything else 'times since the event'}",
        columns=columns,
        rows=tuple(_event_row(row, overs) for row in rows),
        heads=5,
    )


def left_out_table(trials: Iterable[Trial]) -> Table:
    """Return a table of the trials that are not valid, with the reason."""
    rows = tuple(
        (str(trial.variant), str(trial.number), str(trial.attempt), trial.status, trial.reason) for trial in trials
    )
    columns = ("variant", "#trial", "#attempt", "status", "reason")
    return Table("left-out", "Trials that are not valid", columns, rows, heads=2)


def thrown_away_table(summary: RunSummary) -> Table:
    """Return a table of the causes for which attempts were thrown away."""
    rows = tuple((cause, str(count)) for cause, count in summary.thrown_away.items())
    return Table("thrown-away", "Attempts that were thrown away", ("cause", "#attempts"), rows)


def flagged_table(trials: Iterable[Trial]) -> Table:
    """Return a table of the valid trials that have flags."""
    rows = tuple((str(trial.variant), str(trial.number), "; ".join(trial.flags)) for trial in trials)
    return Table("flagged", "Valid trials with flags", ("variant", "#trial", "flags"), rows, 2)


def environment_table(summary: RunSummary) -> Table:
    """Return a table of the host and the software."""
    environment = summary.run.environment
    names = [name for name in summary.run.machines if name]
    rows = [
        *([("machines", ", ".join(names))] if len(names) > 1 else []),
        ("kernel", environment.kernel),
        ("CPUs", f"{environment.cpus}, {environment.cpu}"),
        ("memory", f"{environment.memory / (1 << 30):.1f} GiB"),
        ("Python", environment.python),
        ("container engine", environment.engine),
        *environment.versions.items(),
        *((f"image {name}", digest) for name, digest in environment.images.items()),
        ("foreign CPU load during a trial", load_text(summary)),
        ("seed", str(summary.run.seed)),
    ]
    return Table("environment", "Host and software", ("property", "value"), tuple(rows))


def machine_table(rows: Sequence[MachineRow]) -> Table:
    """Return a table of machines beside each other; those that stand out come first."""
    return Table(
        name="machines",
        caption="Machines: ratios within blocks, or times of variants without a baseline",
        columns=(
            "variant",
            "quantity",
            "ratio to",
            "machine",
            "#n",
            "#median",
            "#of the others",
            "#p (Holm)",
            "verdict",
        ),
        rows=tuple(map(_machine_row, sorted(rows, key=lambda row: not row.stands_out))),
        heads=4,
    )


def _machine_row(row: MachineRow) -> tuple[str, ...]:
    def text(value: float) -> str:
        return f"{value:.2f}" if row.over else format_value(value, row.quantity.unit, like=row.of_others)

    return (
        str(row.group.variant),
        row.quantity.label,
        OVER_LABELS[row.over] if row.over else "—",
        row.machine or "—",
        str(len(row.values)),
        text(row.median),
        text(row.of_others),
        f"{row.p:.3f}" if row.p >= 0.001 else "< 0.001",
        "stands out" if row.stands_out else "",
    )


def load_text(summary: RunSummary) -> str:
    """Return how many CPUs other programs kept busy during the trials."""
    load = sorted(summary.foreign_load)
    return f"{load[0]:.2f} to {load[-1]:.2f} CPUs, median {load[len(load) // 2]:.2f}" if load else "unknown"


def difference_table(comparison: Comparison, *, everything: bool = True) -> Table:
    """Return a table of the compared quantities, all or only those beyond the noise; differences come first."""
    shown = comparison.differences if everything else comparison.beyond_noise
    rows = sorted(shown, key=lambda found: (not found.exceeds_noise, found.p))
    return Table(
        name="comparison",
        caption=f"{comparison.after.run.name} against {comparison.before.run.name}",
        columns=(
            *("variant", "quantity", "verdict", "#n before", "#n after", "#median before", "#median after"),
            *("#ratio after/before", "#p (Holm)", "#Cliff's delta", "effect", "#chance of more"),
        ),
        rows=tuple(_difference_row(found) for found in rows),
        heads=3,
    )


def host_table(comparison: Comparison) -> Table:
    """Return a table of the differences of host and software."""
    return Table("hosts", "Differences of host and software", ("property", "before", "after"), comparison.environment)


def _event_row(row: Row, overs: Sequence[Over]) -> tuple[str, ...]:
    variant, unit, found = row.variant, row.quantity.unit, row.summary
    figures = (found.min, found.median, found.p95, found.max) if found else (None,) * 4
    like = found.median if found else None
    return (
        variant.detector or "—",
        "IPv4" if variant.family == "ipv4" else "IPv6",
        variant.topology,
        over_text(variant),
        row.quantity.label if found else "none",
        share_text(row.group, found.n if found else 0),
        *(format_value(value, unit, like=like) for value in figures),
        f"± {format_value(row.error, unit)}" if row.error is not None else "",
        str(row.group.count("invalid")),
        str(row.group.count("timed-out")),
        *(ratio_text(row.ratios.get(over)) for over in overs),
    )


def _difference_row(found: Difference) -> tuple[str, ...]:
    unit: Unit = found.quantity.unit
    return (
        str(found.variant),
        found.quantity.label,
        found.verdict,
        str(found.before.n),
        str(found.after.n),
        format_value(found.before.median, unit, like=found.after.median),
        format_value(found.after.median, unit),
        ratio_text(found.ratio),
        f"{found.p:.3f}" if found.p >= 0.001 else "< 0.001",
        f"{found.test.delta:+.2f}",
        found.test.magnitude,
        f"{found.test.superiority:.0%}",
    )


def over_text(variant: Variant) -> str:
    """Return the medium of a variant: mode and version of the tunnel (`iroute 2.7`), or the baseline."""
    over = " ".join(filter(None, (display_name(variant.mode or ""), variant.openvpn))) or OVER_LABELS[variant.over]
    return f"{over} ({variant.on})" if variant.on else over


def share_text(group: Group, n: int) -> str:
    """Return a number of trials, and of how many: a valid trial may lack a time that others of its variant have."""
    return str(n) if n in (0, len(group.valid)) else f"{n} of {len(group.valid)}"


def ratio_text(ratio: Ratio | None) -> str:
    """Format a ratio with its interval."""
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else ""


def slug(text: str) -> str:
    """Turn a text into a name for files and anchors."""
    return "-".join("".join(c if c.isalnum() and c.isascii() else " " for c in text.lower()).split()) or "event"


# --- for programs ------------------------------------------------------------------------------------------

VARIANT_KEYS = ("event", "detector", "family", "topology", "over", "mode", "openvpn", "on")


def event_records(event: EventSummary) -> list[dict[str, Cell]]:
    """Return an event's rows with numbers: seconds, packets, ratios."""
    return [_event_record(row) for row in event.rows]


def difference_records(comparison: Comparison) -> list[dict[str, Cell]]:
    """Return the rows of a comparison with numbers."""
    return [
        {
            **_variant_record(found.variant),
            "quantity": found.quantity.key,
            "unit": found.quantity.unit,
            "verdict": found.verdict.value,
            "n_before": found.before.n,
            "n_after": found.after.n,
            "median_before": found.before.median,
            "median_after": found.after.median,
            **_ratio_record("ratio", found.ratio),
            "u": found.test.u,
            "exact": found.test.exact,
            "p": found.test.p,
            "p_holm": found.p,
            "cliffs_delta": found.test.delta,
            "effect": found.test.magnitude,
            "superiority": found.test.superiority,
        }
        for found in comparison.differences
    ]


def as_csv(records: Sequence[dict[str, Cell]]) -> str:
    """Return records as CSV (RFC 4180) with a header; unknown values are empty."""
    text = io.StringIO()
    if records:
        writer = csv.DictWriter(text, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    return text.getvalue()


def table_csv(table: Table) -> str:
    """Return a table for display as CSV."""
    names = [column.lstrip("#") for column in table.columns]
    return as_csv([dict(zip(names, row, strict=True)) for row in table.rows])


def as_markdown(table: Table) -> str:
    """Return a table as Markdown, below its caption."""
    heads = [column.lstrip("#") for column in table.columns]
    marks = ["---:" if column.startswith("#") else "---" for column in table.columns]
    lines = [f"| {' | '.join(_escape(cell) for cell in row)} |" for row in (heads, *table.rows)]
    lines.insert(1, f"| {' | '.join(marks)} |")
    return "\n".join([f"**{_escape(table.caption)}**", "", *lines, ""])


def _event_record(row: Row) -> dict[str, Cell]:
    found = row.summary
    return {
        **_variant_record(row.variant),
        "quantity": row.quantity.key,
        "unit": row.quantity.unit,
        "n": found.n if found else 0,
        "valid": len(row.group.valid),
        "min": found.min if found else None,
        "median": found.median if found else None,
        "p95": found.p95 if found else None,
        "max": found.max if found else None,
        "error": row.error,
        "invalid": row.group.count("invalid"),
        "timed_out": row.group.count("timed-out"),
        **{
            key: value for over in BASELINES for key, value in _ratio_record(f"to_{over}", row.ratios.get(over)).items()
        },
    }


def _variant_record(variant: Variant) -> dict[str, Cell]:
    return {key: getattr(variant, key) for key in VARIANT_KEYS}


def _ratio_record(name: str, ratio: Ratio | None) -> dict[str, Cell]:
    return {
        name: ratio.value if ratio else None,
        f"{name}_low": ratio.low if ratio else None,
        f"{name}_high": ratio.high if ratio else None,
    }


def _escape(text: str) -> str:
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
