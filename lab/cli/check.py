"""`lab check`: does a lab behave as a file of expectations says?"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.errors import FAILED
from lab.cli.live_checks import LiveChecks
from lab.cli.options import (
    AsJson,
    LabName,
    NewName,
    OpenVpnVersion,
    RunScripts,
    Settings,
    attached,
    complete_topology,
    loaded,
)
from lab.cli.output import print_json, print_table, progress, verdict
from lab.core.errors import EnvironmentBroken, ExpectationFailed, InputError

if TYPE_CHECKING:
    from lab.check.model import Checks
    from lab.check.report import CheckReport, ResultReport
    from lab.runtime.lab import Lab
    from lab.topology import Topology


def check(
    context: typer.Context,
    topology: Annotated[
        str | None,
        typer.Argument(
            metavar="[TOPOLOGY]",
            help="A topology file, or the name of one that comes with the lab: it is started, checked and stopped.",
            autocompletion=complete_topology,
        ),
    ] = None,
    lab_name: LabName = None,
    checks: Annotated[
        Path | None,
        typer.Option(
            "--checks", metavar="FILE", help="The expectations; by default NAME.checks.yml beside the topology."
        ),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Write an HTML page with picture and evidence.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not take the lab down at the end.")] = False,
    name: NewName = None,
    openvpn: OpenVpnVersion = None,
    settings: Settings = None,
    run_scripts: RunScripts = False,
    trials: Annotated[
        bool,
        typer.Option(
            "--trials/--no-trials",
            help="Without a file of expectations, also try what `lab advise` calls exposed. Trials interrupt tunnels.",
        ),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Check what a lab should do: tunnels, sessions, routes, packets, before and after faults.

    With TOPOLOGY the lab is started, checked and taken down; with --lab, or
    neither, a running lab is checked, and left as it was found.

    Without a file of expectations those are checked that follow from the
    topology, and each failure to which `lab advise` calls a tunnel exposed is
    tried, and confirmed or refuted by packets; a trial interrupts its tunnel.

    The exit code is 1 if an expectation does not hold, is late, or cannot be
    told.
    """
    if topology is not None and _given(context, "lab_name"):
        raise InputError("TOPOLOGY and --lab exclude each other: give one of them")
    flags = {"name": "--name", "openvpn": "--openvpn", "settings": "--set", "run_scripts": "--run-scripts"}
    only_new = [flag for option, flag in {**flags, "keep": "--keep"}.items() if _given(context, option)]
    if topology is None and only_new:
        raise InputError(f"{only_new[0]} is for a lab that is started: give its topology")
    for written in filter(None, (junit, page)):
        if not written.parent.is_dir():
            raise InputError(f"{written}: directory {written.parent} is missing: make it first")
    with ExitStack() as stack:
        trouble = ""
        if topology is None:
            lab = stack.enter_context(attached(lab_name))
            wanted = _expectations(lab.topology, checks, trials=trials)
        else:
            loaded_one = loaded(topology, name=name, openvpn=openvpn, settings=settings, run_scripts=run_scripts)
            wanted = _expectations(loaded_one, checks, trials=trials)
            lab, trouble = stack.enter_context(_deployed(loaded_one, keep=keep))
        report = _run(lab, wanted, trouble)
    if junit is not None:
        from lab.check.junit import junit as junit_of

        junit.write_text(junit_of(report))
    if page is not None:
        from lab.check.page import page as page_of

        page.write_text(page_of(report, lab.topology))
    if as_json:
        print_json(report)
    else:
        _print(report)
    if not report.held or report.trouble:
        raise typer.Exit(FAILED)


def _given(context: typer.Context, option: str) -> bool:
    """Return whether an option was given on the command line, and not by the environment."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _expectations(topology: "Topology", file: Path | None, *, trials: bool) -> "Checks":
    """Return the checks of a file, of the one beside the topology, or those that follow from the topology."""
    from lab.check.reader import checks_beside, read_checks

    beside = checks_beside(topology.file)
    if file is None and beside.is_file():
        file = beside
    if file is not None:
        return read_checks(file, topology)
    from lab.check.implied import implied

    print(f"there is no {beside}: checking what follows from the topology", file=sys.stderr)
    return implied(topology, trials=trials)


@contextmanager
def _deployed(topology: "Topology", *, keep: bool) -> "Iterator[tuple[Lab, str]]":
    """Start a lab for the block, and take it down at the end; yield it, and why it did not come up as it should.

    A lab whose sessions or routes are missing is checked all the same: the expectations say more.
    """
    from lab.runtime.lab import Lab

    trouble = ""
    with progress() as say:
        lab = Lab.deploy(topology, say=say, wait=False)
    try:
        with progress() as say:
            say("waiting for sessions and routes")
            try:
                lab.wait_ready()
            except (ExpectationFailed, EnvironmentBroken) as error:
                trouble = f"the lab is not ready: {error}"
                print(trouble, file=sys.stderr)
        yield lab, trouble
    finally:
        if keep:
            lab.close()
        else:
            with progress() as say:
                say(f"taking lab {lab.name} down")
                lab.destroy()


def _run(lab: "Lab", checks: "Checks", trouble: str) -> "CheckReport":
    """Run all steps, with each result on stderr as it is decided."""
    from lab.check.report import make_report
    from lab.check.run import Run

    started, since = datetime.now(UTC).astimezone(), time.monotonic()
    live = LiveChecks()
    run = Run(lab, checks, tell=live.tell, begin=live.begin)
    try:
        with live, run:
            run.all()
    except EnvironmentBroken as error:
        if len(run.done) < len(checks.steps):
            raise
        print(error, file=sys.stderr)  # a change could not be undone: the results stand
        trouble = "; ".join(filter(None, [trouble, str(error)]))
    return make_report(
        lab.name,
        lab.topology.file,
        checks,
        run.done,
        started=started,
        seconds=time.monotonic() - since,
        trouble=trouble,
    )


def _print(report: "CheckReport") -> None:
    """Print a table of each step, then the whole of what does not hold."""
    for step in report.steps:
        if step.results:
            rows = [_row(result) for result in step.results]
            title = step.step or f"{report.lab} as it is"
            print_table(title, ["verdict", "expected", "#after", "last seen"], rows)
    for result in report.results:
        if not result.good:
            print(result)
    if report.trouble:
        print(report.trouble)
    print(f"lab {report.lab}: {report.summary}")


def _row(result: "ResultReport") -> tuple[object, ...]:
    seen = "\n".join(filter(None, [result.seen, result.cause and f"cause: {result.cause}"]))
    return verdict(result.good, result.verdict), result.expected, f"{result.after:.2f} s", seen
