"""`lab doctor`: what the lab needs of this host."""

import typer

from lab.cli.errors import FAILED
from lab.cli.options import AsJson
from lab.cli.output import print_json, print_table, progress, verdict


def doctor(as_json: AsJson = False) -> None:
    """Check this host for what the lab needs; the exit code is 1 if a lab cannot run on it."""
    from lab.host.doctor import examine

    with progress() as say:
        say("checking this host")
        findings = examine()
    if as_json:
        print_json(findings)
    else:
        print_table(
            "This host",
            ["what", "status", "needed by", "found", "what to do"],
            [
                (
                    f.name,
                    verdict(f.status == "ok" or not f.required, f.status),
                    "every lab" if f.required else "some tests",
                    f.detail,
                    f.remedy,
                )
                for f in findings
            ],
        )
    if any(f.required and f.status == "missing" for f in findings):
        raise typer.Exit(FAILED)
