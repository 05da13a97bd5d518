"""Write a topology of a shape as a file in containerlab's format, for a person to go on with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from lab.catalogue import vocabulary
from lab.core.errors import InputError
from lab.core.files import templates
from lab.image import NODE_IMAGE
from lab.routing import daemons
from lab.shapes.addresses import INNER, AddressPlan
from lab.shapes.shape import PlannedTunnel, Shape
from lab.topology import parse
from lab.topology.mistakes import did_you_mean, one_of, quote
from lab.topology.names import objection_to_name
from lab.topology.reader import MAX_FILE_SIZE
from lab.tunnel import modes

SUFFIX: Final = ".clab.yml"
_PORT: Final = 1194
_VERSION: Final = "2.6"


@dataclass(frozen=True)
class Choices:
    """How the tunnels and routers of a topology run."""

    mode: str = "iroute"
    """The mode of all tunnels."""
    daemon: str = "frr"
    """The routing daemon of all routers; a mode with static routes does without."""
    transport: Literal["tcp", "udp"] = "udp"
    hosts: bool = True
    """A host in each LAN; without, routers announce their LANs, in which nothing answers."""


def topology_text(shape: Shape, choices: Choices, *, name: str, command: str) -> str:
    """Return the text of the topology file; `command` is the one that makes it, for a comment.

    Raises `InputError` for an unknown mode or daemon, and for a mode that cannot run in this shape.
    """
    if choices.mode not in modes():
        hint = did_you_mean(choices.mode, modes()) or f"the modes are {one_of(modes())}"
        raise InputError(f"unknown tunnel mode {quote(choices.mode)}: {hint}")
    if choices.daemon not in daemons():
        hint = did_you_mean(choices.daemon, daemons()) or f"the daemons are {one_of(daemons())}"
        raise InputError(f"unknown routing daemon {quote(choices.daemon)}: {hint}")
    traits = modes()[choices.mode].traits
    static = not traits.families
    if static and shape.several_paths:
        raise InputError(
            f"the mode {choices.mode} has static routes, and in the shape {shape.name} several paths lead to a prefix: "
            "choose a mode over which a routing daemon can run"
        )
    plan = AddressPlan(len(shape.routers))
    tunnels: dict[str, list[tuple[PlannedTunnel, Mapping[str, Any]]]] = {}
    for tunnel in shape.tunnels:
        particular = _particular(shape, tunnel, choices.mode, plan, static=static)
        tunnels.setdefault(tunnel.client, []).append((tunnel, particular))
    text = (
        templates("lab.shapes")
        .get_template("topology.clab.yml.j2")
        .render(
            shape=shape,
            choices=choices,
            name=name,
            command=command,
            plan=plan,
            inner=INNER,
            static=static,
            deprecated=traits.deprecated,
            image=NODE_IMAGE,
            version=_VERSION if _VERSION in traits.openvpn else traits.openvpn[-1],
            tunnels=tunnels,
        )
    )
    if len(text) > MAX_FILE_SIZE:
        raise InputError(
            f"the topology has {len(text):,} characters, and the lab reads files of up to {MAX_FILE_SIZE:,}: choose "
            "fewer routers"
        )
    # Modes and daemons of other packages may refuse what this file has: better now than from the file.
    parse(text, Path(f"{name}{SUFFIX}"), vocabulary(), environ={})
    return text


def write_topology(text: str, file: Path) -> None:
    """Write a topology to a new file; raises `InputError` if there is one already, or it cannot be written."""
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise InputError(f"{file} exists: choose another name with --output") from error
    except OSError as error:
        raise InputError(f"cannot write {file}: {(error.strerror or str(error)).lower()}") from error


def name_of(file: Path) -> str:
    """Return the name of the lab in a file NAME.clab.yml; raises `InputError`."""
    name = file.name.removesuffix(SUFFIX)
    if name == file.name:
        raise InputError(f"{file} does not end in {SUFFIX}: a topology file is named NAME{SUFFIX}, after its lab")
    if objection := objection_to_name(name):
        raise InputError(f"{file}: invalid lab name {quote(name)}: {objection}")
    return name


def _particular(
    shape: Shape, tunnel: PlannedTunnel, mode: str, plan: AddressPlan, *, static: bool
) -> Mapping[str, Any]:
    """Return what is particular to a tunnel: its path, its port, and the options of a mode with static routes."""
    if tunnel.via:
        # A client's second tunnel to the same server needs a server process of its own.
        return {"name": f"over-{tunnel.via}", "via": tunnel.via, "port": _PORT + shape.transits.index(tunnel.via)}
    if not static:
        return {}
    ends = ([str(p) for router in end for p in plan.lan(shape.routers.index(router))] for end in shape.behind(tunnel))
    return {"options": modes()[mode].static_options(*ends)}
