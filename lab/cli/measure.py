"""`lab measure`: measure convergence by a plan."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsJson
from lab.cli.output import print_json, print_table, progress, span
from lab.core.progress import Say

if TYPE_CHECKING:
    from lab.measure.trials.runner import Watch

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
    from lab.measure.trials.plan import Plan
    from lab.measure.trials.runner import left_of, plan_blocks, run, seconds_of

    if resume and out is None:
        raise InputError("--resume needs --out with the directory of the interrupted run")
    wanted = Plan.read(plan)
    if trials is not None:
        wanted = wanted.with_trials(trials)
    blocks = plan_blocks(wanted)
    count = sum(1 for block in blocks for task in block.tasks if task.number)
    seconds = seconds_of(blocks)
    if dry_run:
        if as_json:
            print_json({"plan": wanted.name, "events": count, "seconds": seconds})
        else:
            rows = [
                (b.beds[0].topology, b.beds[0].detector, ", ".join(dict.fromkeys(t.event.name for t in b.tasks)))
                for b in blocks
            ]
            print_table(
                f"Plan {wanted.name}: {count} events, about {span(seconds)}", ["topology", "detector", "events"], rows
            )
        return
    if resume and out is not None:
        count, seconds = left_of(wanted, out)
    directory = out or _RUNS / f"{wanted.name}-{datetime.now():%Y%m%d-%H%M%S}"
    print(f"{count} events, about {span(seconds)}, into {directory}", file=sys.stderr)
    try:
        with progress() as say:
            run(wanted, directory, resume=resume, say=say, watch=_progress(say))
    except KeyboardInterrupt:
        if (directory / RUN_FILE).exists():
            number = f" --trials {trials}" if trials is not None else ""
            print(f"interrupted: `lab measure {plan}{number} --out {directory} --resume` continues", file=sys.stderr)
        else:
            print("interrupted before the first trial", file=sys.stderr)
        raise
    if as_json:
        print_json({"plan": wanted.name, "directory": str(directory), "events": count})
    else:
        print(f"{directory}: `lab report {directory}` makes a page of it")


def _progress(say: Say) -> "Watch":
    """Return a function that prints progress: each trial on a terminal, otherwise every tenth."""
    from lab.measure.trials.runner import Progress

    last = -_SAID_EVERY

    def watch(now: Progress) -> None:
        nonlocal last
        if sys.stderr.isatty() or now.done - last >= _SAID_EVERY:
            last = now.done
            say(f"{now.done} of {now.total}, {span(now.left)} left: {now.current}")

    return watch
