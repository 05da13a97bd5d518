"""What is kept of a failure: for every node its configurations, logs, addresses, routes, RIBs and processes."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lab.engine import Engine, Instance, NodeState
from lab.errors import LabError
from lab.tunnel import RunningTunnel

if TYPE_CHECKING:
    from lab.lab import Lab

_LOOK = {
    "addresses.txt": ("ip", "-details", "address"),
    "routes-ipv4.txt": ("ip", "-4", "route", "show", "table", "all"),
    "routes-ipv6.txt": ("ip", "-6", "route", "show", "table", "all"),
    "neighbours.txt": ("ip", "neighbour"),
    "sockets.txt": ("ss", "-tuanp"),
    "counters.txt": ("ip", "-s", "link"),
    "processes.txt": ("ps", "axfww", "-o", "pid,ppid,stat,etime,rss,args"),
}


def write_diagnosis(lab: "Lab", into: Path) -> Path:
    """Write one folder per node below `into` and return it; what cannot be had says why in its place."""
    into.mkdir(parents=True, exist_ok=True)
    for name, instance in lab.nodes.items():
        folder = into / name
        files = lab.directory / "nodes" / name
        if files.exists():
            # Keys stay behind: artefacts are kept and handed on.
            shutil.copytree(files, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.key"))
        folder.mkdir(exist_ok=True)
        _keep(folder / "container-output.txt", partial(lab.engine.output, instance, lines=200))
        (folder / "state.txt").write_text(f"{instance.state} {instance.image}\n")
        if instance.state is not NodeState.RUNNING:
            continue
        for file, argv in _LOOK.items():
            _keep(folder / file, partial(_stdout, lab.engine, instance, argv))
        if lab.topology.nodes[name].intent.router:
            router = lab.router(name)
            for file, text in router.daemon.diagnosis(router.running).items():
                (folder / file).write_text(text)
    for tunnel in lab.tunnels.values():
        _keep(into / f"tunnel-{tunnel.name}.txt", partial(_status, tunnel))
    return into


def _stdout(engine: Engine, instance: Instance, argv: tuple[str, ...]) -> str:
    return engine.exec(instance, argv).stdout


def _status(tunnel: RunningTunnel) -> str:
    return f"{tunnel.status()}\n"


def _keep(file: Path, text: Callable[[], str]) -> None:
    try:
        file.write_text(text())
    except LabError as error:
        file.write_text(f"{error}\n")
