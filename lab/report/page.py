"""The report as one self-contained HTML page."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lab.measure.instrument.convergence import FORWARDING_DELAY, SAMPLING_INTERVAL
from lab.measure.record import Trial
from lab.report.comparison import Comparison
from lab.report.drawing import Drawing
from lab.report.machines import machine_rows, standing_out
from lab.report.quantities import STAGE_LABELS, format_value
from lab.report.summary import RunSummary
from lab.report.tables import (
    Table,
    difference_table,
    environment_table,
    event_table,
    flagged_table,
    host_table,
    left_out_table,
    machine_table,
    thrown_away_table,
)

Figures = Mapping[str, Sequence[Drawing]]
"""The figures by event."""


def report_page(summary: RunSummary, names: dict[str, str], figures: Figures, load: Drawing | None) -> str:
    """Return the page of a run; `names` has a short name for each event."""
    fixed = {"timeline": "Timeline of one trial", "topologies": "Topologies", "trials": "Invalid trials"}
    if not summary.run.topologies:
        del fixed["topologies"]
    machines = machine_rows(summary)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            **_frame(f"Convergence: {summary.run.name}", _when(summary)),
            contents={
                "overview": "Overview",
                **{f"event-{names[event.event]}": event.event for event in summary.events},
                **({"machines": "Machines"} if machines else {}),
                **fixed,
                "environment": "Environment",
            },
            counted=" ".join((count_trials(summary), *about_machines(summary))),
            machines=machine_table(machines),
            delay=format_value(FORWARDING_DELAY, "s"),
            interval=format_value(SAMPLING_INTERVAL, "s"),
            overview=overview_table(summary),
            events=[
                {
                    "name": names[event.event],
                    "title": event.event,
                    "table": event_table(event, everything=False),
                    "everything": event_table(event),
                    "figures": figures[event.event],
                }
                for event in summary.events
            ],
            topologies={name: _image(svg) for name, svg in summary.run.topologies.items()},
            thrown_away=thrown_away_table(summary),
            left_out=left_out_table(summary.left_out),
            flagged=flagged_table(summary.flagged),
            environment=environment_table(summary),
            load=load,
            plan=json.dumps(summary.run.plan, indent=2, ensure_ascii=False),
            data=[
                {"variant": str(variant), "trials": [_trial(trial) for trial in group.trials]}
                for variant, group in summary.groups.items()
            ],
        )
    )


def comparison_page(comparison: Comparison, figures: Sequence[Drawing]) -> str:
    """Return the page of a comparison."""
    before, after = comparison.before, comparison.after
    contents = {
        "overview": "Differences",
        "differences": "All quantities",
        "ratios": "Ratios",
        "unshared": "Not compared",
        "hosts": "Hosts",
    }
    if not figures:
        del contents["ratios"]
    return (
        _environment()
        .get_template("comparison.html.j2")
        .render(
            **_frame(f"{after.run.name} against {before.run.name}", f"Before: {_when(before)} After: {_when(after)}"),
            contents=contents,
            findings=findings(comparison),
            differences=difference_table(comparison),
            figures=figures,
            unshared=unshared(comparison),
            hosts=host_table(comparison),
        )
    )


# --- text -------------------------------------------------------------------------------------------------


def count_trials(summary: RunSummary) -> str:
    """Return a sentence with the number of trials by status."""
    trials = summary.trials
    invalid = summary.thrown_away.total()
    late = sum(trial.status == "timed-out" for trial in trials)
    valid = len(trials) - invalid - late
    text = (
        f"{valid} valid trials of {len(summary.groups)} variants, {len(summary.flagged)} of them with a flag; "
        f"{late} timed out."
    )
    if invalid:
        causes = ", ".join(f"{cause} ({count})" for cause, count in summary.thrown_away.items())
        text += f" {invalid} of {len(trials)} attempts were invalid and thrown away: {causes}."
    if summary.short:
        lacking = ", ".join(f"{variant} ({count})" for variant, count in summary.short.items())
        text += f" No attempt was valid of {sum(summary.short.values())} trials: {lacking}."
    return text


def about_machines(summary: RunSummary) -> list[str]:
    """Return sentences about shards that are missing and machines that stand out."""
    lines = []
    if summary.missing:
        shards = ", ".join(map(str, summary.missing))
        lines.append(f"Missing: shard {shards}; these blocks of the plan are not counted.")
    rows = machine_rows(summary)
    for machine, found in standing_out(rows).items():
        first = found[0]
        what = f"{first.quantity.label} of {first.group.variant}"
        values = [
            f"{value:.2f}" if first.over else format_value(value, first.quantity.unit)
            for value in (first.median, first.of_others)
        ]
        more = f", and in {len(found) - 1} more rows" if len(found) > 1 else ""
        lines.append(f"{machine} stands out: {what} is {values[0]} there and {values[1]} on the other machines{more}.")
    if rows and not standing_out(rows):
        lines.append(f"None of {len({row.machine for row in rows})} machines stands out.")
    return lines


def overview_table(summary: RunSummary) -> Table:
    """Return a table of a run's events."""
    rows = tuple(
        (
            event.event,
            str(len(event.groups)),
            *(str(sum(group.count(status) for group in event.groups)) for status in ("valid", "invalid", "timed-out")),
        )
        for event in summary.events
    )
    columns = ("event", "#variants", "#valid trials", "#invalid", "#timed out")
    return Table("overview", "Trials by event", columns, rows)


def findings(comparison: Comparison) -> list[str]:
    """Return the results of a comparison in sentences."""
    beyond, all_ = len(comparison.beyond_noise), len(comparison.differences)
    if not all_:
        return ["The runs have no variant in common."]
    lines = [
        f"{beyond} of {all_} quantities differ beyond the noise."
        if beyond
        else f"None of {all_} quantities differs beyond the noise."
    ]
    if comparison.moved_baselines:
        moved = ", ".join(dict.fromkeys(f"{d.variant} ({d.quantity.label})" for d in comparison.moved_baselines))
        lines.append(f"Baselines differ too, so that part of the differences comes from the host: {moved}.")
    if comparison.environment:
        changed = ", ".join(name for name, _, _ in comparison.environment)
        lines.append(f"Host or software differ: {changed}.")
    missing = sum(map(len, unshared(comparison).values()))
    if missing:
        lines.append(f"{missing} variants could not be compared; they are listed below.")
    return lines


def unshared(comparison: Comparison) -> dict[str, list[str]]:
    """Return the variants that were not compared, by reason."""
    found = {
        f"Only in {comparison.before.run.name} (before)": comparison.only_before,
        f"Only in {comparison.after.run.name} (after)": comparison.only_after,
        "Without a valid trial in one of the runs": comparison.incomparable,
    }
    return {title: [str(variant) for variant in variants] for title, variants in found.items() if variants}


def _when(summary: RunSummary) -> str:
    environment = summary.run.environment
    host = f"{environment.cpus} CPUs ({environment.cpu}), Linux {environment.kernel}"
    return f"Started {summary.run.started:%Y-%m-%d %H:%M %Z} on {host}."


# --- data for the timeline ---------------------------------------------------------------------------------


def _trial(trial: Trial) -> dict[str, Any]:
    moments: list[dict[str, Any]] = [
        {
            "at": round(stage.at, 6),
            "node": stage.node,
            "what": STAGE_LABELS[stage.name] + (f" ({stage.source})" if stage.source else ""),
            "label": STAGE_LABELS[stage.name],
            "error": round(stage.error, 6),
        }
        for stage in trial.stages
    ]
    moments += [
        {"at": round(moment.at, 6), "node": moment.node, "what": moment.what, "error": None, "label": None}
        for moment in trial.timeline
    ]
    return {
        "number": trial.number,
        "started": trial.started.isoformat(timespec="seconds"),
        "status": trial.status,
        "reason": trial.reason,
        "flags": list(trial.flags),
        "moments": sorted(moments, key=lambda moment: moment["at"]),
    }


# --- the frame ---------------------------------------------------------------------------------------------


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("lab.report"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _frame(title: str, subtitle: str) -> dict[str, str]:
    script = _part("page.js")
    # The Content Security Policy allows this script only, whatever text the records contain.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "title": title,
        "subtitle": subtitle,
        "footer": "Generated by lab report from the records of lab measure.",
        "style": _part("page.css"),
        "script": script,
        "script_hash": f"sha256-{digest}",
    }


def _part(name: str) -> str:
    return files("lab.report").joinpath("templates", name).read_text()


def _image(svg: str) -> str:
    """Return an SVG as a data URL: in an `<img>` its styles do not affect the page, and its scripts do not run."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
