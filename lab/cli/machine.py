"""`lab doctor`, `lab setup`, `lab clean`: the host that the lab runs on."""

from typing import Annotated

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


def setup(
    openvpn: Annotated[
        list[str] | None,
        typer.Option("--openvpn", metavar="VERSION", help="Build only the image for this version. Repeatable."),
    ] = None,
    vm: Annotated[
        bool, typer.Option("--vm", help="Also build the image of the lab's virtual machine, see `lab vm`.")
    ] = False,
) -> None:
    """Build the images of the nodes, unless they exist."""
    from lab.image import VERSIONS, ensure, ensure_image

    with progress() as say:
        for version in openvpn or VERSIONS:
            say(f"{ensure(None, version, say)} exists")
        if vm:
            from lab.vm.virtual_machine import RECIPE

            say(f"{ensure_image(None, RECIPE, say)} exists")


def clean() -> None:
    """Take down all labs, and remove the lab's images."""
    from lab.engine import open_engine
    from lab.image import remove_everything
    from lab.runtime.destroy import destroy
    from lab.runtime.registry import running_labs
    from lab.vm.virtual_machine import forget_disks, sweep_virtual_machines

    engine = open_engine()
    with progress() as say:
        for name in running_labs(engine):
            say(f"taking down lab {name}")
            destroy(name, engine=engine)
        for name in sweep_virtual_machines():
            say(f"ended the virtual machine {name}")
        forget_disks()
        remove_everything(say)
