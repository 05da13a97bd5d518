"""Options that several commands share, with their completion: lab, node, topology."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cluster.ship import Ship
from lab.core.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

    from lab.engine import Engine, Instance
    from lab.runtime.lab import Lab
    from lab.topology import Topology


class FamilyName(StrEnum):
    """An address family."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


# --- completion --------------------------------------------------------------------------------------------


def _instances() -> "list[Instance]":
    from lab.engine import all_engines

    return [instance for engine in all_engines() for instance in engine.find()]


def _completer(words: Callable[[typer.Context], list[str]]) -> Callable[[typer.Context, str], list[str]]:
    def complete(context: typer.Context, incomplete: str) -> list[str]:
        try:
            found = words(context)
        except Exception:  # completion cannot show an error
            return []
        return sorted({word for word in found if word.startswith(incomplete)})

    return complete


def _lab_names(_: typer.Context) -> list[str]:
    return [instance.lab for instance in _instances()]


def _node_names(context: typer.Context) -> list[str]:
    name = context.params.get("lab_name")
    return [i.node for i in _instances() if name in (None, i.lab)]


def complete_topology(incomplete: str) -> list[str]:
    """Complete names of the lab's topologies, and files."""
    from lab.catalogue import topology_names

    path = Path(incomplete)
    folder = path if incomplete.endswith("/") else path.parent
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [f"{e}/" if e.is_dir() else str(e) for e in entries if e.is_dir() or e.name.endswith(".clab.yml")]
    return [word for word in (*topology_names(), *files) if word.startswith(incomplete)]


complete_lab = _completer(_lab_names)
complete_node = _completer(_node_names)


# --- shared parameters -------------------------------------------------------------------------------------

LabName = Annotated[
    str | None,
    typer.Option(
        "--lab",
        envvar="LAB_NAME",
        metavar="NAME",
        help="The lab; by default the only one that is running.",
        autocompletion=complete_lab,
    ),
]
NodeName = Annotated[str, typer.Argument(metavar="NODE", help="A node of the lab.", autocompletion=complete_node)]
TopologyName = Annotated[
    str,
    typer.Argument(
        metavar="TOPOLOGY",
        help="A topology file, or the name of one that comes with the lab.",
        autocompletion=complete_topology,
    ),
]
NewName = Annotated[str | None, typer.Option("--name", help="Name of the lab; by default the one in its file.")]
OpenVpnVersion = Annotated[
    str | None,
    typer.Option("--openvpn", metavar="VERSION", help="OpenVPN version of all nodes: 2.6 or 2.7, also 2.5 or 2.6.3."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a key of all tunnels, e.g. tunnel.options.hand-out=client-config-dir. Repeatable.",
    ),
]
RunScripts = Annotated[
    bool,
    typer.Option(
        "--run-scripts",
        help="Run the scripts that your own files name, in their nodes; by default stubs log their calls.",
    ),
]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        envvar="LAB_ENGINE",
        metavar="NAME",
        help="The engine that runs the nodes: docker, or crun without a daemon; by default Docker if it answers.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


# --- lab and topology --------------------------------------------------------------------------------------


def lab_named(name: str | None, engines: "Sequence[Engine]") -> str:
    """Return a lab's name: the one given, or that of the only lab."""
    from lab.runtime.registry import running_labs

    if name is not None:
        return name
    names = [name for engine in engines for name in running_labs(engine)]
    if not names:
        raise InputError("no lab is running: `lab up` starts one")
    return only_of(names)


def only_of(names: list[str]) -> str:
    """Return the only name; raises `InputError` if there are several."""
    if len(names) > 1:
        raise InputError(f"several labs are running: choose one with --lab: {', '.join(names)}")
    return names[0]


@contextmanager
def attached(name: str | None) -> "Iterator[Lab]":
    """Attach to a running lab for the block: the one named, or the only one."""
    from lab.engine import all_engines
    from lab.runtime.lab import Lab
    from lab.runtime.registry import engine_with

    engines = all_engines()
    chosen = lab_named(name, engines)
    with Lab.attach(chosen, engine=engine_with(chosen, engines)) as lab:
        yield lab


def loaded(
    topology: str,
    *,
    name: str | None = None,
    openvpn: str | None = None,
    settings: list[str] | None = None,
    run_scripts: bool = False,
    privileged: bool = False,
    mgmt: bool = False,
) -> "Topology":
    """Load a topology with the changes of the options."""
    from lab.catalogue import load

    options: dict[str, Any] = {"run_scripts": run_scripts, "privileged": privileged, "mgmt": mgmt}
    return load(topology, name=name, openvpn=openvpn, tunnel=tunnel_settings(settings or []), **options)


def tunnel_settings(settings: list[str]) -> dict[str, Any]:
    """Return the values of `--set` as nested mappings, each value read as YAML."""
    import yaml

    result: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        scope, *path = key.split(".")
        if not equals or scope != "tunnel" or not path or not all(path):
            raise InputError(f"--set {setting}: write tunnel.KEY=VALUE, e.g. tunnel.transport=udp")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--set {setting}: the value is not valid YAML: quote it") from error
        inner = result
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
            if not isinstance(inner, dict):
                raise InputError(f"--set {setting}: {step!r} has a value already")
        inner[path[-1]] = value
    return result


# --- clusters ----------------------------------------------------------------------------------------------

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS|local:N",
        help="Spread the work over the workers of a Dask scheduler (tls://HOST:8786), or over N on this host.",
    ),
]
Certificates = Annotated[
    Path | None,
    typer.Option(
        "--certs",
        metavar="DIR",
        envvar="LAB_CLUSTER_CERTS",
        help="With --cluster: the directory that `lab cluster certs` has written.",
    ),
]


ShipOption = Annotated[
    Ship,
    typer.Option(
        "--ship",
        help="With --cluster: send the package, the images, or all to workers that lack them, once to each machine; or "
        "only check that all workers are alike.",
    ),
]


@contextmanager
def connected(cluster: str, certificates: Path | None) -> "Iterator[Client]":
    """Connect to the cluster of an option; raises `InputError` if it is none."""
    from lab.cluster.connect import connect

    with connect(cluster, certificates) as client:
        yield client
