"""Reads the configurations of a host's routing daemons: FRR's, Quagga's and BIRD's."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from lab.configs import bird, frr
from lab.configs.disk import Disk, Unreadable
from lab.configs.routing.facts import (
    BgpNeighbor,
    DaemonKind,
    DaemonsFile,
    InterfaceFacts,
    InteriorInterface,
    InteriorProtocol,
    Originated,
    Redistribution,
    RouterFacts,
    StaticRoute,
    Unread,
)

__all__ = [
    "BgpNeighbor",
    "DaemonKind",
    "DaemonsFile",
    "InterfaceFacts",
    "InteriorInterface",
    "InteriorProtocol",
    "Originated",
    "Redistribution",
    "RouterFacts",
    "StaticRoute",
    "Unread",
    "read_routers",
]


def read_routers(paths: Iterable[PurePosixPath], disk: Disk | None = None) -> list[RouterFacts]:
    """Read the files of one host's routing daemons; raises `Unreadable`.

    Files of FRR or Quagga are one router, also if each daemon has its own. A file of BIRD that another one includes
    belongs to that one. Other files are skipped.
    """
    disk = disk or Disk()
    paths = list(dict.fromkeys(paths))
    found = []
    if zebra := [path for path in paths if frr.is_file(path, disk)]:
        found.append(frr.facts(frr.merge(zebra, disk)))
    return found + [bird.facts(configuration) for configuration in read_birds(paths, disk)]


def read_birds(paths: Iterable[PurePosixPath], disk: Disk) -> list[bird.BirdConfiguration]:
    """Read the configurations of BIRD among files: those that no other one includes. Raises `Unreadable`."""
    read: list[bird.BirdConfiguration] = []
    failed: dict[PurePosixPath, Unreadable] = {}
    for path in paths:
        if _is_bird(path, disk):
            try:
                read.append(bird.read(path, disk))
            except Unreadable as error:
                failed[path] = error
    included = {path for configuration in read for path in configuration.paths[1:]}
    # A part of a file may not be readable alone.
    for path, why in failed.items():
        if path not in included:
            raise why
    return [configuration for configuration in read if configuration.paths[0] not in included]


def _is_bird(path: PurePosixPath, disk: Disk) -> bool:
    text = disk.text(path, frr.MAX_SIZE)
    return bird.looks_like_bird(text) and not frr.looks_like_frr(text)
