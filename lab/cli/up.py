"""`lab up`: deploy a topology."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsJson, NewName, OpenVpnVersion, Settings, TopologyName, loaded
from lab.cli.output import progress
from lab.cli.status import show

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
        from lab.runtime.destroy import destroy
        from lab.runtime.lab import Lab
        from lab.runtime.registry import is_running

        wanted = loaded(topology, name=name, openvpn=openvpn, settings=settings)
        engine = open_engine()
        running = reuse and is_running(wanted.name, engine=engine)
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


def next_steps(lab: "Lab") -> list[str]:
    """Three commands that show something in this lab, ready to be copied."""
    from lab.runtime.registry import running_labs

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
