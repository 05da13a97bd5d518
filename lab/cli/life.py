"""`lab up`, `lab down`, `lab list`."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.choose import (
    AsJson,
    NewName,
    OpenVpnVersion,
    Settings,
    TopologyName,
    complete_lab,
    lab_named,
    loaded,
)
from lab.cli.observe import show
from lab.cli.output import print_json, print_table, progress
from lab.core.errors import InputError

if TYPE_CHECKING:
    from lab.runtime.lab import Lab


def up(
    topology: TopologyName = "article",
    name: NewName = None,
    openvpn: OpenVpnVersion = None,
    settings: Settings = None,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse",
            help="Be content with a lab of this name that is running already; one whose nodes have all ended is "
            "deployed anew.",
        ),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until tunnels, sessions and routes stand.")
    ] = True,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Leave a lab that failed to come up as it is, to look at it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Deploy a topology, and show what runs."""
    with progress() as say:
        from lab.engine import open_engine
        from lab.runtime.lab import Lab, destroy, runs

        wanted = loaded(topology, name=name, openvpn=openvpn, settings=settings)
        engine = open_engine()
        running = reuse and runs(wanted.name, engine=engine)
        if reuse and not running and engine.find(wanted.name):
            say(
                f"all nodes of lab {wanted.name} have ended, as a restart of the machine leaves them: deploying it anew"
            )
            destroy(wanted.name, engine=engine)
        if running:
            lab = Lab.attach(wanted.name, engine=engine)
        else:
            lab = Lab.deploy(wanted, engine=engine, say=say, wait=wait, keep_failed=keep_failed)
    with lab:
        if running:
            print(f"lab {lab.name} is running already; nothing was changed", file=sys.stderr)
        show(lab, as_json=as_json)
        if not as_json:
            print("Try next:")
            for command in next_steps(lab):
                print(f"  {command}")


def down(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Labs by name, or topology files; by default the only lab that runs.",
            autocompletion=complete_lab,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All labs on this machine.")] = False,
) -> None:
    """Take labs down: containers, wires and files."""
    from lab.engine import open_engine
    from lab.runtime.lab import destroy, running_labs

    if names and everything:
        raise InputError("`lab down` takes names or --all, not both")
    engine = open_engine()
    running = running_labs(engine)
    if everything:
        chosen = running
    elif names:
        chosen = [loaded(name).name if Path(name).is_file() else name for name in names]
    else:
        chosen = [lab_named(None, engine)] if running else []
    if not chosen:
        print("no lab is running", file=sys.stderr)
    for lab in chosen:
        with progress() as say:
            say(f"taking lab {lab} down")
            found = destroy(lab, engine=engine)
        if not found and lab in (names or []):
            known = f"running are {', '.join(running)}" if running else "no lab is running"
            raise InputError(f"no lab named {lab!r} is running; {known}")
        print(f"lab {lab} is down" if found else f"lab {lab} was not running", file=sys.stderr)


def list_(as_json: AsJson = False) -> None:
    """List the labs on this machine."""
    from lab.engine import open_engine
    from lab.status.overview import summaries

    labs = summaries(open_engine())
    if as_json:
        print_json(labs)
    elif not labs:
        print("no lab is running", file=sys.stderr)
    else:
        rows = [
            (s.name, f"{s.nodes_running}/{s.nodes_total}", s.topology or "its directory is gone", s.directory)
            for s in labs
        ]
        print_table("Labs", ["name", "#nodes running", "topology", "directory"], rows)


def next_steps(lab: "Lab") -> list[str]:
    """Three commands that show something in this lab, ready to be copied."""
    from lab.runtime.lab import running_labs

    program = _program()
    which = "" if running_labs(lab.engine) == [lab.name] else f" --lab {lab.name}"
    topology = lab.topology
    routers = [name for name, node in topology.nodes.items() if node.intent.router and not node.external]
    running = {name for name, instance in lab.nodes.items() if instance.state == "running"}
    hosts = [
        name
        for name, node in topology.nodes.items()
        if node.kind == "linux" and not node.intent.router and not node.sysctls and name in running
    ]
    steps = [f"{program} status{which}", f"{program} list", f"{program} logs{which} {next(iter(topology.nodes))}"]
    if len(hosts) > 1:
        target = lab.node(hosts[0]).address("ipv4")
        steps.insert(0, f"{program} exec{which} {hosts[-1]} -- ping -c 3 {target}")
    if topology.tunnels:
        tunnel = topology.tunnels[0]
        end = (tunnel.client, tunnel.device)
        if topology.nodes[tunnel.client].external:
            end = (tunnel.server, tunnel.server_device)
        steps.insert(0, f"{program} capture{which} {end[0]} {end[1]} --count 10")
    if routers:
        steps.insert(0, f"{program} announce{which} {routers[0]} {lab.free_prefix('ipv4')}")
    return steps[:3]


def _program() -> str:
    """How the user calls this program: by name where it is on the PATH, and with sudo where that was used."""
    called = Path(sys.argv[0])
    found = shutil.which("lab")
    inside = called.is_absolute() and called.is_relative_to(Path.cwd())
    program = "lab" if found and Path(found) == called.absolute() else str(called)
    if inside:
        program = str(called.relative_to(Path.cwd()))
    return f"sudo {program}" if os.environ.get("SUDO_USER") else program
