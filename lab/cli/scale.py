"""`lab scale`: routing tables of up to a million prefixes, over the tunnel and the bare wire."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.errors import FAILED
from lab.cli.options import (
    AsJson,
    Certificates,
    Cluster,
    FamilyName,
    OpenVpnVersion,
    Settings,
    ShipOption,
    connected,
    tunnel_settings,
)
from lab.cli.output import print_json, print_table, progress, span
from lab.cluster.ship import Ship
from lab.core.errors import InputError

if TYPE_CHECKING:
    from lab.measure.scale import Line

_MIB = 1 << 20
_CLEAR = 0.1
"""Seconds of processor time from which on a ratio means something."""


def scale(
    prefixes: Annotated[
        list[int] | None,
        typer.Option("--prefixes", min=1, help="Size of a table; by default five sizes, up to a million. Repeatable."),
    ] = None,
    family: Annotated[FamilyName | None, typer.Option("--family", help="Only this address family.")] = None,
    trials: Annotated[int, typer.Option(min=1, max=1000, help="Trials of each size over each medium.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the generated tables.")] = 1,
    openvpn: OpenVpnVersion = None,
    settings: Settings = None,
    cluster: Cluster = None,
    certs: Certificates = None,
    ship: ShipOption = Ship.CHECK,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Record each trial there as a line of scale.jsonl.")
    ] = None,
    show: Annotated[
        Path | None, typer.Option("--show", metavar="DIR", help="Show the trials recorded by --out; measure nothing.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of tables.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send large tables over a tunnel and the bare wire, and show the times, the costs and the bottleneck."""
    from lab.measure.scale import SIZES, Plan, lines, read, run
    from lab.measure.scale.spread import run_on_cluster

    if show is not None:
        found = read(show)
    else:
        families = [name for name in SIZES if family is None or name == family.value]
        plan = Plan(
            sizes={name: tuple(prefixes) if prefixes else SIZES[name] for name in families},
            trials=trials,
            seed=seed,
            openvpn=openvpn,
            tunnel=tunnel_settings(settings or []),
        )
        with progress() as say:
            say(f"{len(plan)} trials, about {span(plan.estimate)} on two idle cores")
            if cluster:
                with connected(cluster, certs) as client:
                    found = run_on_cluster(plan, client, into=out, ship=ship, say=say)
            else:
                found = run(plan, into=out, say=say)
    if not found:
        raise InputError(f"{show} has no complete trial: give a directory in which --out has recorded one")
    summary = lines(found)
    if as_json:
        print_json(
            {"trials": [trial.model_dump() for trial in found], "lines": [line.model_dump() for line in summary]}
        )
    elif markdown:
        _print_markdown(summary)
    else:
        for title, columns, rows in _tables(summary):
            print_table(title, columns, rows)
    if any(trial.status != "valid" for trial in found):
        for trial in found:
            if trial.reason:
                typer.echo(f"{trial.prefixes} {trial.family} over the {trial.over}: {trial.reason}", err=True)
        raise typer.Exit(FAILED)


Rows = list[tuple[str, ...]]


def _tables(lines: "list[Line]") -> list[tuple[str, list[str], Rows]]:
    times = [
        "family",
        "#prefixes",
        "over",
        "#trials",
        "#first",
        "#last",
        "#routes/s",
        "#ratio",
        "#gone",
        "#sender alone",
    ]
    programs = sorted({program for line in lines for program in line.cpu})
    costs = ["family", "#prefixes", "over", *(f"#{program}" for program in programs)]
    return [
        (
            "Seconds until the first and the last route in the FIB; medians",
            [*times, "#BGP"],
            [_times(x) for x in lines],
        ),
        (
            "Processor seconds for the announcement",
            [*costs, "#together", "#ratio", "held back by"],
            [_cpu(x, programs) for x in lines],
        ),
        ("Memory with the table in place, MiB", costs, [_memory(x, programs) for x in lines]),
    ]


def _head(line: "Line") -> tuple[str, ...]:
    return line.family, f"{line.prefixes:,}", line.over


def _times(line: "Line") -> tuple[str, ...]:
    return (
        *_head(line),
        str(line.trials) + (f" (and {line.invalid} invalid)" if line.invalid else ""),
        _seconds(line.first),
        _seconds(line.last),
        "" if line.rate is None else f"{line.rate:,.0f}",
        "" if line.ratio is None or line.over == "wire" else f"{line.ratio:.2f}",
        _seconds(line.withdrawn),
        _seconds(line.sent),
        "" if line.size is None else _size(line.size),
    )


def _cpu(line: "Line", programs: list[str]) -> tuple[str, ...]:
    cells = (f"{line.cpu[program]:.2f}" if program in line.cpu else "" for program in programs)
    together = "" if line.cpu_total is None else f"{line.cpu_total:.2f}"
    # Processor time is counted in hundredths: a few of them do not make a ratio.
    clear = line.cpu_ratio is not None and line.over != "wire" and (line.cpu_total or 0) >= _CLEAR
    return (*_head(line), *cells, together, f"{line.cpu_ratio:.2f}" if clear else "", line.held_back_by)


def _memory(line: "Line", programs: list[str]) -> tuple[str, ...]:
    return (*_head(line), *(f"{line.memory[p] / _MIB:.0f}" if p in line.memory else "" for p in programs))


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _size(size: int) -> str:
    return f"{size} B" if size < _MIB else f"{size / _MIB:.1f} MiB"


def _print_markdown(lines: "list[Line]") -> None:
    for title, columns, rows in _tables(lines):
        cells: list[Any] = [[name.lstrip("#") for name in columns]]
        cells.append(["--:" if name.startswith("#") else "---" for name in columns])
        print(f"{title}:\n")
        for row in (*cells, *rows):
            print(f"| {' | '.join(row)} |")
        print()
