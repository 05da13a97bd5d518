"""All files of a node for FreeBSD or OpenBSD."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from lab.core.files import RenderedFile
from lab.render.bsd.freebsd import FreeBsd
from lab.render.bsd.openbsd import OpenBsd
from lab.render.bsd.system import BsdSystem, Site
from lab.topology import Node, Topology
from lab.tunnel.mode import CONFIGURATION

SYSTEMS: Final[Mapping[str, BsdSystem]] = {system.name: system for system in (FreeBsd(), OpenBsd())}
"""The systems by the kind of their nodes."""


def system_of(node: Node) -> BsdSystem | None:
    """Return the system of an external node; None for another kind."""
    return SYSTEMS.get(node.kind)


def bsd_files(topology: Topology, name: str, system: BsdSystem, root: Path) -> Iterator[RenderedFile]:
    """Yield the files of a node on a system, at their paths there.

    `root` has the node's files for Linux: those of OpenVPN are taken from it. Raises `InputError` for a routing daemon
    that the system does not have.
    """
    site = Site(topology, name)
    yield from system.openvpn_files(_openvpn(root))
    yield from system.settings(site)
    if (plan := site.plan) is not None:
        yield from system.routing(plan)


def _openvpn(root: Path) -> Iterator[RenderedFile]:
    directory = root / CONFIGURATION.relative_to("/")
    for path in sorted(directory.rglob("*")) if directory.is_dir() else ():
        if path.is_file():
            inside = PurePosixPath("/") / path.relative_to(root).as_posix()
            yield RenderedFile(inside, path.read_text(), path.stat().st_mode & 0o777)
