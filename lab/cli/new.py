"""`lab new`: a topology of a shape to start from."""

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.shapes.shape import MOST_IN_MESH, MOST_ROUTERS

if TYPE_CHECKING:
    from lab.shapes.shape import Shape

app = typer.Typer(
    name="new",
    help="Write a topology to start from: two sites, a hub, a mesh, a chain, a ring, two providers.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)


class TransportName(StrEnum):
    """A transport protocol of the outer packets."""

    TCP = "tcp"
    UDP = "udp"


def _modes(incomplete: str) -> list[str]:
    from lab.tunnel import modes

    return [mode for mode in modes() if mode.startswith(incomplete)]


def _daemons(incomplete: str) -> list[str]:
    from lab.routing import daemons

    return [daemon for daemon in daemons() if daemon.startswith(incomplete)]


Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="The new file, NAME.clab.yml; by default named after the shape."
    ),
]
ModeName = Annotated[str, typer.Option("--mode", help="The mode of the tunnels.", autocompletion=_modes)]
DaemonName = Annotated[str, typer.Option("--daemon", help="The routing daemon.", autocompletion=_daemons)]
Transport = Annotated[TransportName, typer.Option("--transport", help="The transport of the tunnels.")]
Hosts = Annotated[bool, typer.Option("--hosts/--no-hosts", help="A host in the LAN of each router.")]


@app.command()
def pair(
    output: Output = None,
    mode: ModeName = "iroute",
    daemon: DaemonName = "frr",
    transport: Transport = TransportName.UDP,
    hosts: Hosts = True,
) -> None:
    """Two sites, and a tunnel between them."""
    from lab.shapes import shape

    _write(shape.pair(), "pair", output, mode, daemon, transport, hosts=hosts)


@app.command()
def hub(
    spokes: Annotated[int, typer.Option("--spokes", metavar="N", min=1, max=MOST_ROUTERS - 1, help="The spokes.")] = 3,
    output: Output = None,
    mode: ModeName = "iroute",
    daemon: DaemonName = "frr",
    transport: Transport = TransportName.UDP,
    hosts: Hosts = True,
) -> None:
    """A hub, to which each spoke has a tunnel; the mode decides whether they share a server process."""
    from lab.shapes import shape

    _write(shape.hub(spokes), f"hub --spokes {spokes}", output, mode, daemon, transport, hosts=hosts)


@app.command()
def mesh(
    routers: Annotated[int, typer.Argument(metavar="N", min=2, max=MOST_IN_MESH, help="The number of routers.")],
    output: Output = None,
    mode: ModeName = "iroute",
    daemon: DaemonName = "frr",
    transport: Transport = TransportName.UDP,
    hosts: Hosts = True,
) -> None:
    """A full mesh: a tunnel between any two routers."""
    from lab.shapes import shape

    _write(shape.mesh(routers), f"mesh {routers}", output, mode, daemon, transport, hosts=hosts)


@app.command()
def chain(
    routers: Annotated[int, typer.Argument(metavar="N", min=2, max=MOST_ROUTERS, help="The number of routers.")],
    output: Output = None,
    mode: ModeName = "iroute",
    daemon: DaemonName = "frr",
    transport: Transport = TransportName.UDP,
    hosts: Hosts = True,
) -> None:
    """A chain: each router has a tunnel to the one before it."""
    from lab.shapes import shape

    _write(shape.chain(routers), f"chain {routers}", output, mode, daemon, transport, hosts=hosts)


@app.command()
def ring(
    routers: Annotated[int, typer.Argument(metavar="N", min=3, max=MOST_ROUTERS, help="The number of routers.")],
    output: Output = None,
    mode: ModeName = "iroute",
    daemon: DaemonName = "frr",
    transport: Transport = TransportName.UDP,
    hosts: Hosts = True,
) -> None:
    """A ring: each router has a tunnel to both sides, so that it reaches all others when one tunnel fails."""
    from lab.shapes import shape

    _write(shape.ring(routers), f"ring {routers}", output, mode, daemon, transport, hosts=hosts)


@app.command("dual-homed")
def dual_homed(
    output: Output = None,
    mode: ModeName = "iroute",
    daemon: DaemonName = "frr",
    transport: Transport = TransportName.UDP,
    hosts: Hosts = True,
) -> None:
    """Two sites with two providers, and a tunnel over each."""
    from lab.shapes import shape

    _write(shape.dual_homed(), "dual-homed", output, mode, daemon, transport, hosts=hosts)


def _write(
    shape: "Shape",
    arguments: str,
    output: Path | None,
    mode: str,
    daemon: str,
    transport: TransportName,
    *,
    hosts: bool,
) -> None:
    from lab.shapes.write import SUFFIX, Choices, name_of, topology_text, write_topology

    file = output or Path(f"{shape.name}{SUFFIX}")
    chosen = Choices(mode, daemon, transport.value, hosts)
    options = f"--mode {mode} --daemon {daemon} --transport {transport.value}" + ("" if hosts else " --no-hosts")
    text = topology_text(shape, chosen, name=name_of(file), command=f"lab new {arguments} {options}")
    write_topology(text, file)
    print(f"{file} is written: change it as you like, then `lab up {shlex.quote(str(file))}`", file=sys.stderr)
