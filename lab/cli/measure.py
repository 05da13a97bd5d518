"""`lab measure`: measure convergence by a plan."""

import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsJson, Certificates, Cluster, ShipOption, connected
from lab.cli.output import print_json, print_table, progress, span
from lab.cluster.ship import Ship
from lab.core.progress import Say

if TYPE_CHECKING:
    from lab.measure.trials.forecast import Watch
    from lab.measure.trials.plan import Plan, Setting

_RUNS = Path("measurements")
_SAID_EVERY = 10
"""Trials between two lines of progress without a terminal."""


def measure(
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="The file of a plan, or the name of one that comes with the lab.")
    ] = "quick",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Directory of the run; by default below `measurements`."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in --out.")] = False,
    trials: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Number of trials per variant, in place of the plan's.")
    ] = None,
    shard: Annotated[
        str, typer.Option(metavar="K/N", help="Measure the K-th of N parts of the plan's blocks, on this machine.")
    ] = "1/1",
    cluster: Cluster = None,
    certs: Certificates = None,
    ship: ShipOption = Ship.CHECK,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the events and how long they would take.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure convergence: cause events over tunnels and baselines, and record the time of each stage.

    Each trial is recorded as it ends; --resume continues after Ctrl-C or a crash. `lab report` makes a page of a run.
    """
    from lab.core.errors import InputError
    from lab.measure.record import RUN_FILE
    from lab.measure.shard import WHOLE, Shard
    from lab.measure.trials.forecast import seconds_of
    from lab.measure.trials.plan import Plan
    from lab.measure.trials.recording import count_of, plan_settings
    from lab.measure.trials.runner import left_of, run
    from lab.measure.trials.spread import count_workers, run_on_cluster

    if resume and out is None:
        raise InputError("--resume needs --out with the directory of the interrupted run")
    wanted = Plan.read(plan)
    if trials is not None:
        wanted = wanted.with_trials(trials)
    part = Shard.parse(shard)
    settings = plan_settings(wanted, part)
    with ExitStack() as stack:
        client = stack.enter_context(connected(cluster, certs)) if cluster else None
        machines = count_workers(client) if client else 1
        if dry_run:
            _print_forecast(wanted, settings, machines, as_json=as_json)
            return
        if resume and out is not None:
            settings = left_of(wanted, out, part)
        name = wanted.name if part == WHOLE else f"{wanted.name}-{part.number}-of-{part.count}"
        directory = out or _RUNS / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
        count, on = count_of(settings), f" on {machines} workers" if client else ""
        print(f"{count} events, about {span(seconds_of(settings, machines))}{on}, into {directory}", file=sys.stderr)
        try:
            with progress() as say:
                watch = _progress(say)
                if client:
                    run_on_cluster(
                        wanted,
                        directory,
                        client,
                        shard=part,
                        resume=resume,
                        ship=ship,
                        say=say,
                        watch=watch,
                    )
                else:
                    run(wanted, directory, shard=part, resume=resume, say=say, watch=watch)
        except KeyboardInterrupt:
            if (directory / RUN_FILE).exists():
                options = f" --trials {trials}" if trials is not None else ""
                options += f" --shard {part}" if part != WHOLE else ""
                options += f" --cluster {cluster}" if cluster else ""
                options += f" --ship {ship}" if ship is not Ship.CHECK else ""
                again = f"lab measure {plan}{options} --out {directory} --resume"
                print(f"interrupted: `{again}` continues", file=sys.stderr)
            else:
                print("interrupted before the first trial", file=sys.stderr)
            raise
    if as_json:
        print_json({"plan": wanted.name, "directory": str(directory), "events": count})
    else:
        print(f"{directory}: `lab report {directory}` makes a page of it")


def _print_forecast(plan: "Plan", settings: "list[Setting]", machines: int, *, as_json: bool) -> None:
    from lab.measure.trials.forecast import seconds_of
    from lab.measure.trials.recording import count_of

    count, seconds = count_of(settings), seconds_of(settings, machines)
    if as_json:
        blocks = sum(len(setting.blocks) for setting in settings)
        print_json({"plan": plan.name, "events": count, "blocks": blocks, "seconds": seconds})
        return
    rows = [
        (s.beds[0].topology, s.beds[0].detector, ", ".join(dict.fromkeys(t.event.name for t in s.tasks)))
        for s in settings
    ]
    title = f"Plan {plan.name}: {count} events, about {span(seconds)}"
    print_table(title, ["topology", "detector", "events"], rows)


def _progress(say: Say) -> "Watch":
    """Return a function that prints progress: each trial on a terminal, otherwise every tenth."""
    from lab.measure.trials.forecast import Progress

    last = -_SAID_EVERY

    def watch(now: Progress) -> None:
        nonlocal last
        if sys.stderr.isatty() or now.done - last >= _SAID_EVERY:
            last = now.done
            say(f"{now.done} of {now.total}, {span(now.left)} left: {now.current}")

    return watch
