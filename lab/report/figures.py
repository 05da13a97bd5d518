"""The figures of a report: distributions, stages, ratios, and the load of the host."""

import math
from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from typing import Any, TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from lab.measure.record import STAGES, Over, StageName, Variant
from lab.measure.statistics import Ratio, ecdf
from lab.report.comparison import Comparison
from lab.report.drawing import INK, PALETTE, Drawing, as_drawing, settings
from lab.report.quantities import STAGE_LABELS, Quantity, format_value
from lab.report.summary import BASELINES, EventSummary, RunSummary
from lab.report.tables import OVER_LABELS, over_text

_WIDTH = 8.0
"""Width of a figure in inches."""
_DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
_STAGE_COLOURS: dict[StageName, str] = dict(zip(STAGES[1:], PALETTE, strict=False))
_MARKERS = "osD^vP"

_Style = TypeVar("_Style")


def event_figures(event: EventSummary, name: str) -> list[Drawing]:
    """Draw all figures of an event that have trials."""
    with settings():
        drawn = [
            *(_ecdf(event, shown, name) for shown in event.shown),
            _waterfall(event, name),
            _ratios(event, name),
        ]
    return [figure for figure in drawn if figure is not None]


def load_figure(summary: RunSummary) -> Drawing | None:
    """Draw the load of other programs during the run; None if it is unknown."""
    known = [
        ((trial.started - summary.run.started).total_seconds() / 60, trial.foreign_load)
        for trial in summary.trials
        if trial.foreign_load is not None
    ]
    if not known:
        return None
    with settings():
        figure = Figure(figsize=(_WIDTH, 2.0), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(*zip(*sorted(known), strict=True), ".", markersize=4, color=PALETTE[0])
        axes.set(xlabel="minutes since the run began", ylabel="CPUs", ylim=(0, None))
        axes.grid(True)
        alt = f"CPUs busy with other programs in each of {len(known)} trials, {max(c for _, c in known):.2f} at most."
        return as_drawing(figure, name="foreign-load", caption="Foreign CPU load during each trial", alt=alt)


def difference_figures(comparison: Comparison, names: dict[str, str]) -> list[Drawing]:
    """Draw the ratios of the second run's medians to the first run's, one figure per event."""
    drawn = []
    for event, name in names.items():
        found = [d for d in comparison.differences if d.variant.event == event and d.ratio and d.quantity.unit == "s"]
        points = [
            (f"{_describe(d.variant)}: {d.quantity.label}", d.ratio, 0 if d.exceeds_noise else 5)
            for d in found
            if d.ratio
        ]
        if not points:
            continue
        beyond = sum(d.exceeds_noise for d in found)
        with settings():
            figure = _forest(points, "median after / median before")
            handles = [_handle("exceeds the noise", 0), _handle("within the noise, or too few trials", 5)]
            figure.legend(handles=handles, loc="outside upper right", ncols=2)
            drawn.append(
                as_drawing(
                    figure,
                    name=f"{name}-differences",
                    caption=f"{event}: ratios of the medians, with 95 % intervals",
                    alt=f"{event}: ratios of {len(found)} medians, {beyond} of them beyond the noise; see the table.",
                )
            )
    return drawn


# --- distributions -----------------------------------------------------------------------------------------


def _ecdf(event: EventSummary, shown: Quantity, name: str) -> Drawing | None:
    """Draw distributions: a panel per topology and family, a colour per detector, a line style per medium."""
    rows = [row for row in event.rows_of(shown) if any(value > 0 for value in row.group.values(shown))]
    if not rows:
        return None
    panels = dict.fromkeys((row.variant.topology, row.variant.family) for row in rows)
    colours = _assign((row.variant.detector for row in rows), PALETTE)
    dashes = _assign((over_text(row.variant) for row in rows), _DASHES)
    columns = min(len(panels), 2)
    lines = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(_WIDTH, 2.6 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, (topology, family) in zip(grid.flat, panels, strict=False):
        for row in rows:
            variant = row.variant
            if (variant.topology, variant.family) != (topology, family):
                continue
            # A logarithmic axis has no zero: values too short to measure are the first step, at the left edge.
            steps = ecdf(row.group.values(shown))
            begin = sum(share for value, share in steps[:1] if value <= 0)
            positive = [(value, share) for value, share in steps if value > 0]
            xs = [positive[0][0], *(value for value, _ in positive)]
            ys = [begin, *(share for _, share in positive)]
            axes.step(
                xs,
                ys,
                where="post",
                color=colours[variant.detector],
                linestyle=dashes[over_text(variant)],
                linewidth=1.6,
            )
        axes.set_title(f"{topology}, {_family(family)}")
        axes.set_xscale("log")
        axes.set_ylim(0, 1.02)
        axes.grid(True)
    _ticks(grid.flat[0])  # the panels share their axis
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel(f"{_time(shown)} (s)", fontsize=9)
    figure.supylabel("share of the trials", fontsize=9)
    handles = [
        *(Patch(color=colour, label=detector or "no detector needed") for detector, colour in colours.items()),
        *(Line2D([], [], color=INK, linestyle=dash, label=over) for over, dash in dashes.items()),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 4))
    medians = "; ".join(
        f"{_describe(row.variant)} {format_value(row.summary.median, shown.unit)}"
        for row in rows
        if row.summary is not None
    )
    return as_drawing(
        figure,
        name=f"{name}-{shown.key}-ecdf",
        caption=f"{event.event}: distribution of the {_time(shown)}, by detector",
        alt=f"Share of the trials by {_time(shown)}, logarithmic. Medians: {medians}.",
    )


def _time(shown: Quantity) -> str:
    if shown.label.startswith("until "):
        return f"time {shown.label}"
    return f"time to {shown.label}"


def _ticks(axes: Axes) -> None:
    """Set readable ticks on a logarithmic axis, whatever its span."""
    low, high = axes.get_xlim()
    # Powers of ten are too far apart on one or two decades; on less than one a logarithm is almost linear.
    if high / low < 6:
        axes.xaxis.set_major_locator(MaxNLocator(6))
    elif high / low < 300:
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    else:
        axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


# --- stages ------------------------------------------------------------------------------------------------


def _waterfall(event: EventSummary, name: str) -> Drawing | None:
    """Draw a bar per variant: the medians of its stages, on one scale per topology and detector."""
    bars = {group.variant: _stages(event, group.variant) for group in event.groups}
    bars = {variant: stages for variant, stages in bars.items() if stages}
    if not bars:
        return None
    panels: dict[tuple[str, str], list[Variant]] = {}
    for variant in bars:
        panels.setdefault((variant.topology, variant.detector), []).append(variant)
    heights = [len(variants) + 1.6 for variants in panels.values()]
    # If detection takes most of the time, the later stages are too narrow to see: draw them again in a second column.
    late = any(stages[0][0] == "detection" and stages[0][1] > stages[-1][1] / 2 for stages in bars.values())
    columns = 2 if late else 1
    figure = Figure(figsize=(_WIDTH, 0.6 + 0.27 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(panels), columns, squeeze=False, height_ratios=heights)
    for row, ((topology, detector), variants) in zip(grid, panels.items(), strict=True):
        labels = [f"{over_text(v)}, {_family(v.family)}" for v in variants]
        _bars(row[0], [bars[variant] for variant in variants], labels)
        row[0].set_title(", ".join(filter(None, (topology, detector))))
        if late:
            after = [_since_detection(bars[variant]) for variant in variants]
            _bars(row[1], after, [""] * len(variants))
    for axes, start in zip(grid[-1], ("the event", "detection"), strict=False):
        axes.set_xlabel(f"seconds since {start}, medians")
    seen = {stage for stages in bars.values() for stage, _ in stages}
    handles = [
        Patch(color=_STAGE_COLOURS[stage], label=f"… to {STAGE_LABELS[stage]}") for stage in STAGES if stage in seen
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    words = "; ".join(
        f"{_describe(variant)}: " + ", ".join(f"{STAGE_LABELS[stage]} {format_value(at, 's')}" for stage, at in stages)
        for variant, stages in bars.items()
    )
    return as_drawing(
        figure,
        name=f"{name}-stages",
        caption=f"{event.event}: the stages, from the event to the first packet",
        alt=f"Medians of the stages since the event. {words}.",
    )


def _bars(axes: Axes, bars: Sequence[Sequence[tuple[StageName, float]]], labels: Sequence[str]) -> None:
    for place, stages in enumerate(bars):
        before = 0.0
        for stage, at in stages:
            if at > before:
                axes.barh(place, at - before, left=before, height=0.6, color=_STAGE_COLOURS[stage], linewidth=0)
            axes.plot(at, place, "|", color=INK, markersize=11, markeredgewidth=1.2)
            before = max(before, at)
    axes.set_yticks(range(len(bars)), labels)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.grid(True, axis="x")


def _since_detection(stages: Sequence[tuple[StageName, float]]) -> list[tuple[StageName, float]]:
    """Return the stages after detection, counted from it; none without a detection."""
    found = dict(stages)
    if "detection" not in found:
        return []
    return [(stage, at - found["detection"]) for stage, at in stages if stage != "detection"]


def _stages(event: EventSummary, variant: Variant) -> list[tuple[StageName, float]]:
    found = {row.quantity.key: row.summary for row in event.rows if row.variant == variant and row.summary}
    return [(stage, found[stage].median) for stage in STAGES if stage in found]


# --- ratios ------------------------------------------------------------------------------------------------


def _ratios(event: EventSummary, name: str) -> Drawing | None:
    """Draw the ratios of a tunnel's medians to those of the baselines."""
    keys = {shown.key for shown in event.shown}
    rows = [row for row in event.rows if row.quantity.key in keys and row.ratios]
    if not rows:
        return None
    points = [
        (f"{_describe(row.variant)}: {row.quantity.label} / {OVER_LABELS[over]}", ratio, BASELINES.index(over))
        for row in rows
        for over, ratio in row.ratios.items()
    ]
    figure = _forest(points, "median over the tunnel / median of the baseline")
    overs: dict[Over, None] = dict.fromkeys(over for row in rows for over in row.ratios)
    handles = [_handle(f"to {OVER_LABELS[over]}", BASELINES.index(over)) for over in overs]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    return as_drawing(
        figure,
        name=f"{name}-ratios",
        caption=f"{event.event}: ratio to the baseline, with 95 % intervals",
        alt="Ratios to the baseline: "
        + "; ".join(f"{label} {ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" for label, ratio, _ in points)
        + ".",
    )


def _forest(points: Sequence[tuple[str, Ratio, int]], label: str) -> Figure:
    """Draw a forest plot: a line per ratio, from the low to the high end of its interval."""
    figure = Figure(figsize=(_WIDTH, 0.9 + 0.25 * len(points)), layout="constrained")
    axes = figure.add_subplot()
    for place, (_, ratio, style) in enumerate(points):
        axes.plot([ratio.low, ratio.high], [place, place], color=PALETTE[style], linewidth=2)
        axes.plot(ratio.value, place, _MARKERS[style], color=PALETTE[style], markersize=5)
    axes.axvline(1, color=INK, linewidth=1)
    ends = [value for _, ratio, _ in points for value in (ratio.low, ratio.high)]
    if min(ends) > 0:
        axes.set_xlim(min(*ends, 0.9) / 1.05, max(*ends, 1.1) * 1.05)
        axes.set_xscale("log")
        _ticks(axes)
    axes.set_yticks(range(len(points)), [text for text, _, _ in points])
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.set_xlabel(label)
    axes.grid(True, axis="x")
    return figure


# --- labels and styles ---------------------------------------------------------------------------------------


def _handle(label: str, style: int) -> Line2D:
    return Line2D([], [], color=PALETTE[style], marker=_MARKERS[style], markersize=5, label=label)


def _describe(variant: Variant) -> str:
    words = (variant.topology, variant.detector, over_text(variant), _family(variant.family))
    return ", ".join(filter(None, words))


def _family(family: str) -> str:
    return "IPv4" if family == "ipv4" else "IPv6"


def _assign(names: Iterable[str], styles: Sequence[_Style]) -> dict[str, _Style]:
    different = list(dict.fromkeys(names))
    return dict(zip(different, islice(cycle(styles), len(different)), strict=True))
