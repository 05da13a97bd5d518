"""`lab advise`: the silent failures that a configuration is exposed to."""

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.errors import FAILED
from lab.cli.options import AsJson, Settings, complete_topology, loaded
from lab.cli.output import print_json, print_table, verdict
from lab.core.errors import InputError


def advise(
    topology: Annotated[
        str | None,
        typer.Argument(
            metavar="[TOPOLOGY]",
            help="A topology file, or the name of one that comes with the lab.",
            autocompletion=complete_topology,
        ),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", metavar="FILE", help="A configuration of OpenVPN, FRR or BIRD of an end; repeatable."),
    ] = None,
    openvpn: Annotated[
        str | None,
        typer.Option("--openvpn", metavar="VERSION", help="OpenVPN version of all ends, as 2.6; of files also 2.7.8."),
    ] = None,
    settings: Settings = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also show failures with the verdict `not exposed`.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Report the silent failures that a topology, or configuration files, are exposed to.

    The exit code is 1 if there are any.
    """
    from lab.advise import Verdict, subjects_of_files, subjects_of_topology
    from lab.advise import advise as judged

    if topology is None and not config:
        raise InputError("nothing to advise on: give a topology, or a file with --config")
    wanted = loaded(topology, openvpn=openvpn, settings=settings) if topology else None
    subjects = subjects_of_topology(wanted) if wanted else []
    subjects += subjects_of_files(config, openvpn) if config else []
    findings = judged(subjects)
    if as_json:
        print_json(findings)
    else:
        if wanted and not wanted.tunnels:
            print(f"{topology}: no tunnels, so there is nothing to advise on")
        for subject in subjects:
            mine = [f for f in findings if f.subject == subject.name]
            shown = [f for f in mine if everything or f.verdict is not Verdict.NOT_EXPOSED]
            columns = ["failure", "verdict", "line", "why", "what to do"]
            rows = [
                (
                    f"{f.rule}: {f.failure}",
                    verdict(f.verdict is not Verdict.EXPOSED, f.verdict),
                    "\n".join(map(str, f.lines)),
                    f.why,
                    f.do,
                )
                for f in shown
            ]
            if rows:
                print_table(subject.name, columns, rows)
            hidden = len(mine) - len(shown)
            print(f"{subject.name}: not exposed to {hidden} of {len(mine)} failures" + (" (--all)" if hidden else ""))
            print()
    if any(f.verdict is Verdict.EXPOSED for f in findings):
        raise typer.Exit(FAILED)
