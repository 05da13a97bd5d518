"""Diagnosis of a failure: configurations, logs, addresses, routes, RIBs and processes of every node."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from lab.core.errors import LabError
from lab.core.secrets import mask_secrets
from lab.engine import Engine, Instance, NodeState
from lab.engine.node import RunningNode, node_files
from lab.routing import RoutingDaemon

_COMMANDS = {
    "addresses.txt": ("ip", "-details", "address"),
    "routes-ipv4.txt": ("ip", "-4", "route", "show", "table", "all"),
    "routes-ipv6.txt": ("ip", "-6", "route", "show", "table", "all"),
    "neighbours.txt": ("ip", "neighbour"),
    "sockets.txt": ("ss", "-tuanp"),
    "counters.txt": ("ip", "-s", "link"),
    "processes.txt": ("ps", "axfww", "-o", "pid,ppid,stat,etime,rss,args"),
}


def write_diagnosis(
    into: Path, instances: Iterable[Instance], engine: Engine, routers: Mapping[str, RoutingDaemon]
) -> Path:
    """Write one folder per node below `into` and return it; if a command fails, its file has the error instead.

    `routers` are the routing daemons by node.
    """
    into.mkdir(parents=True, exist_ok=True)
    for instance in instances:
        folder = into / instance.node
        files = node_files(instance.directory, instance.node)
        if files.exists():
            shutil.copytree(files, folder, dirs_exist_ok=True, ignore=_secret_files)
            for file in (*folder.glob("etc/**/*"), *folder.glob("var/log/**/*")):
                if file.is_file():
                    file.write_text(mask_secrets(file.read_text(errors="replace")))
        folder.mkdir(exist_ok=True)
        _write_or_error(folder / "container-output.txt", partial(engine.output, instance, lines=200))
        (folder / "state.txt").write_text(f"{instance.state} {instance.image}\n")
        if instance.state is not NodeState.RUNNING:
            continue
        for name, argv in _COMMANDS.items():
            _write_or_error(folder / name, partial(_stdout, engine, instance, argv))
        if instance.node in routers:
            for name, text in routers[instance.node].diagnosis(RunningNode(engine, instance)).items():
                (folder / name).write_text(mask_secrets(text))
    return into


def _secret_files(directory: str, names: list[str]) -> set[str]:
    """Return the files that are not copied, because artefacts are published: keys and passwords.

    Only their owner may read these; of configurations with keys inside the secret parts are masked.
    """

    def is_secret(path: Path) -> bool:
        if path.suffix == ".key" or path.name == "proxy.txt":
            return True
        private = path.is_file() and path.stat().st_mode & 0o077 == 0
        return private and path.suffix not in (".conf", ".ovpn", ".log")

    return {name for name in names if is_secret(Path(directory, name))}


def _stdout(engine: Engine, instance: Instance, argv: tuple[str, ...]) -> str:
    return engine.exec(instance, argv).stdout


def _write_or_error(file: Path, text: Callable[[], str]) -> None:
    try:
        file.write_text(text())
    except LabError as error:
        file.write_text(f"{error}\n")
