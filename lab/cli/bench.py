"""`lab bench`: what the lab itself costs, and what its instrument and the tunnel reach."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsJson
from lab.cli.output import print_json, print_table, progress

if TYPE_CHECKING:
    from lab.bench.figure import Figure


class Part(StrEnum):
    """A part of the bench."""

    COMMANDS = "commands"
    DEPLOYMENT = "deployment"
    NODES = "nodes"
    HUBS = "hubs"
    INSTRUMENT = "instrument"
    CONVERGENCE = "convergence"
    SCALE = "scale"


class EngineName(StrEnum):
    """An engine."""

    DOCKER = "docker"
    CRUN = "crun"


NODES = (5, 20, 100, 200)
SPOKES = (10, 50, 100)


def bench(
    topology: Annotated[str, typer.Argument(help="The name or file of the topology to deploy.")] = "article",
    only: Annotated[list[Part] | None, typer.Option("--only", help="Run only this part. Repeatable.")] = None,
    trials: Annotated[int, typer.Option(min=1, max=100, help="Counted trials, after one to warm up.")] = 5,
    prefixes: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Size of the large table; 0 leaves it out, and saves minutes.")
    ] = 1_000_000,
    engine: Annotated[
        list[EngineName] | None,
        typer.Option("--engine", help="Compare this engine; by default all that can run. Repeatable."),
    ] = None,
    nodes: Annotated[
        list[int] | None,
        typer.Option("--nodes", metavar="N", min=3, max=1000, help="Nodes of a ring; by default 5, 20, 100, 200."),
    ] = None,
    spokes: Annotated[
        list[int] | None,
        typer.Option("--spokes", metavar="N", min=1, max=999, help="Spokes of a hub; by default 10, 50, 100."),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, max=100, help="How often rings and hubs are started by each engine, in turn.")
    ] = 2,
    as_json: AsJson = False,
) -> None:
    """Measure the cost of commands, engines and labs, the error of the instrument, and the tunnel."""
    from lab.bench.commands import commands
    from lab.bench.deployment import deployment
    from lab.bench.instrument import instrument
    from lab.bench.tunnel import convergence, scale

    parts = only or list(Part)
    figures: list[Figure] = []
    with progress() as say:
        if Part.COMMANDS in parts:
            figures += commands(trials=trials, say=say)
        if Part.DEPLOYMENT in parts:
            figures += deployment(topology, trials=trials, say=say)
        if Part.NODES in parts or Part.HUBS in parts:
            from lab.bench.engines import engines_here, hubs, rings

            engines = engines_here(engine or (), say)
            if Part.NODES in parts:
                figures += rings(nodes or NODES, engines, rounds=rounds, say=say)
            if Part.HUBS in parts:
                figures += hubs(spokes or SPOKES, engines, rounds=rounds, say=say)
        if Part.INSTRUMENT in parts:
            figures += instrument(trials=trials, say=say)
        if Part.CONVERGENCE in parts:
            figures += convergence(trials=trials, say=say)
        if Part.SCALE in parts and prefixes:
            figures += scale(prefixes, say=say)
    if as_json:
        print_json([figure.as_dict() for figure in figures])
        return
    rows = [(f.name, f"{f.median:.2f}", f"{min(f.values):.2f}", f"{max(f.values):.2f}", f.unit, f.aim) for f in figures]
    title = f"{topology}: {trials} trials"
    print_table(title, ["figure", "#median", "#min", "#max", "unit", "aim on two idle cores"], rows)
