"""BIRD's files: which path each has in the node, with the files that they include."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from lab.configs.routers import read_routers
from lab.core.errors import InputError
from lab.own.hostfiles import HostFiles
from lab.own.router_files import GivenFiles, NamedFiles, expand
from lab.topology.own import Remark

DIRECTORY = PurePosixPath("/etc/bird")
MAIN = "bird.conf"


def read(node: str, configs: Sequence[str], directory: Path, at: str) -> GivenFiles:
    """Read the files of BIRD that a topology names, the main one first or as bird.conf; raises `InputError`."""
    trees = [
        HostFiles.of(config, directory, default=DIRECTORY)
        for config in expand(configs, directory, lambda name: name in (MAIN, "bird6.conf", "bird2.conf"), at)
    ]
    trees.sort(key=lambda tree: tree.config.name != MAIN)
    disk = NamedFiles(trees={tree.path: tree for tree in trees})
    routers = [r for r in read_routers(list(disk.trees), disk) if r.daemon in ("bird1", "bird2")]
    if not routers:
        raise InputError(f"{at}: {', '.join(configs)}: no configuration of BIRD is among these files")
    facts = routers[0]
    if facts.daemon == "bird1":
        raise InputError(
            f"{disk.name(facts.files[0])}: the file has the syntax of BIRD 1.6, which BIRD 2 and 3 do not accept: "
            "`lab import` converts it"
        )
    paths = dict.fromkeys((*facts.files, *disk.trees))
    files = tuple(disk.node_file(path) for path in paths)
    remarks = []
    if facts.control_socket is not None:
        what = f"BIRD's control socket is /run/bird/bird.ctl and not {facts.control_socket}, so that the lab finds it"
        remarks.append(Remark(kind="override", node=node, place=disk.name(facts.files[0]), what=what))
    return GivenFiles(facts, files, {"bird": ()}, tuple(remarks))
