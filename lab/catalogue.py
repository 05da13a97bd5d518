"""Topologies by name or path, read with the vocabulary of all that is installed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.errors import InputError
from lab.image import NODE_IMAGE, VERSIONS
from lab.resources import topologies_dir
from lab.routing import daemons
from lab.topology import Topology, Vocabulary, read
from lab.topology.mistakes import did_you_mean
from lab.tunnel import modes

SUFFIX = ".clab.yml"


def vocabulary() -> Vocabulary:
    """The tunnel modes, routing daemons and images that the reader shall know."""
    return Vocabulary(
        modes={name: mode.check for name, mode in modes().items()},
        daemons=tuple(daemons()),
        openvpn=VERSIONS,
        node_image=NODE_IMAGE,
    )


def names() -> list[str]:
    """The topologies that come with the lab."""
    return sorted(path.name.removesuffix(SUFFIX) for path in topologies_dir().glob(f"*{SUFFIX}"))


def find(topology: str | Path) -> Path:
    """The file of a topology: a path, or the name of one that comes with the lab; raises `InputError`."""
    path = Path(topology)
    if path.exists() or len(path.parts) > 1 or path.suffix in (".yml", ".yaml"):
        return path
    if path.name not in names():
        hint = did_you_mean(path.name, names()) or f"there are {', '.join(names())}"
        raise InputError(f"there is no topology {path.name!r}, neither as a file nor among the lab's own; {hint}")
    return topologies_dir() / f"{path.name}{SUFFIX}"


def load(
    topology: str | Path,
    *,
    name: str | None = None,
    openvpn: str | None = None,
    tunnel: Mapping[str, Any] | None = None,
) -> Topology:
    """Read a topology; `tunnel` is laid over every tunnel's intent. Raises `TopologyError` with all mistakes."""
    return read(find(topology), vocabulary(), name=name, openvpn=openvpn, tunnel=tunnel)
