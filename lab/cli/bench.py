"""`lab bench`: what the lab itself costs, and what its instrument and the tunnel reach."""

from typing import Annotated

import typer

from lab.cli.options import AsJson
from lab.cli.output import print_json, print_table, progress


def bench(
    topology: Annotated[str, typer.Argument(help="A topology's name or file.")] = "article",
    trials: Annotated[int, typer.Option(min=1, max=100, help="Counted trials, after one to warm up.")] = 5,
    prefixes: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Size of the large table; 0 leaves it out, and saves minutes.")
    ] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """Measure what the lab costs beside bare containers, how exact its instrument is, and tunnel beside wire."""
    from lab.bench.instrument import convergence, instrument, scale
    from lab.bench.startup import measure

    with progress() as say:
        figures = measure(topology, trials=trials, say=say)
        figures += instrument(trials=trials, say=say)
        figures += convergence(trials=trials, say=say)
        figures += scale(prefixes, say=say) if prefixes else []
    if as_json:
        print_json([figure.as_dict() for figure in figures])
        return
    rows = [(f.name, f"{f.median:.2f}", f"{min(f.values):.2f}", f"{max(f.values):.2f}", f.unit, f.aim) for f in figures]
    title = f"{topology}: {trials} trials"
    print_table(title, ["figure", "#median", "#min", "#max", "unit", "aim on two idle cores"], rows)
