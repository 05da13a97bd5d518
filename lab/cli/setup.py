"""`lab setup`: build the images of the nodes."""

from pathlib import Path
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
    load: Annotated[
        list[Path] | None,
        typer.Option(
            "--load",
            metavar="FILE",
            help="Only load an image that `docker save` wrote, for the engine crun. Repeatable.",
        ),
    ] = None,
) -> None:
    """Build the images of the nodes, unless they exist."""
    from lab.engine import open_engine
    from lab.image import NODE_IMAGE, VERSIONS, ensure_image

    with progress() as say:
        if load:
            from lab.image.store import load as load_archive

            for archive in load:
                say(f"loaded {', '.join(load_archive(archive))}")
            return
        engine = open_engine()
        for version in openvpn or VERSIONS:
            say(f"{engine.provide(f'{NODE_IMAGE}:{version}', say)} exists")
        if vm:
            from lab.vm.virtual_machine import RECIPE

            say(f"{ensure_image(None, RECIPE, say)} exists")
