"""`lab doctor`, `lab setup`, `lab clean`: the machine that the lab runs on."""

from typing import Annotated

import typer

from lab.cli.choose import AsJson
from lab.cli.errors import FAILED
from lab.cli.output import print_json, print_table, progress, verdict


def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has and lacks; the exit code is 1 where a lab cannot run on it."""
    from lab.host.doctor import examine

    with progress() as say:
        say("examining this machine")
        findings = examine()
    if as_json:
        print_json(findings)
    else:
        print_table(
            "This machine",
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


def setup(
    openvpn: Annotated[
        list[str] | None,
        typer.Option("--openvpn", metavar="VERSION", help="Only the image for this version. Repeatable."),
    ] = None,
    machine: Annotated[
        bool, typer.Option("--machine", help="Also the image of the lab's own virtual machine, see `lab vm`.")
    ] = False,
) -> None:
    """Have a Docker engine that answers, and the images of the nodes."""
    from lab.host.docker_engine import prepare
    from lab.image import VERSIONS, ensure, ensure_image

    with progress() as say:
        prepare(say)
        for version in openvpn or VERSIONS:
            say(f"{ensure(None, version, say)} is there")
        if machine:
            from lab.vm.machine import RECIPE

            say(f"{ensure_image(None, RECIPE, say)} is there")


def clean() -> None:
    """Take all labs down, and remove the lab's images."""
    from lab.engine import open_engine
    from lab.host.docker_engine import connect
    from lab.image import remove_all
    from lab.runtime.lab import destroy, running_labs
    from lab.vm.machine import forget_disks, sweep_machines

    engine = open_engine()
    with progress() as say:
        for name in running_labs(engine):
            say(f"taking lab {name} down")
            destroy(name, engine=engine)
        for name in sweep_machines():
            say(f"ended the machine {name}")
        forget_disks()
        remove_all(connect(), say)
