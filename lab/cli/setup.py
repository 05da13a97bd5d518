"""`lab setup`: build the images of the nodes."""

from typing import Annotated

import typer

from lab.cli.output import progress


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
