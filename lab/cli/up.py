"""`lab up`: deploy a topology."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsJson, EngineName, NewName, OpenVpnVersion, RunScripts, Settings, TopologyName, loaded
from lab.cli.output import progress
from lab.cli.status import show
from lab.core.errors import InputError, LabError

if TYPE_CHECKING:
    from lab.runtime.lab import Lab


def up(
    topology: TopologyName = "article",
    name: NewName = None,
    openvpn: OpenVpnVersion = None,
    settings: Settings = None,
    run_scripts: RunScripts = False,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse",
            help="Keep a lab of this name that is running already; if all its nodes have ended, deploy it again.",
        ),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until tunnels, sessions and routes are up.")
    ] = True,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Keep a lab that failed to come up, to examine it.")
    ] = False,
    privileged: Annotated[
        bool,
        typer.Option(
            "--privileged",
            help="Run nodes of images that are not the lab's with all privileges on this host, as containerlab does.",
        ),
    ] = False,
    mgmt: Annotated[
        bool,
        typer.Option(
            "--mgmt", help="Connect nodes to containerlab's management network, unless their file says otherwise."
        ),
    ] = False,
    engine_name: EngineName = None,
    as_json: AsJson = False,
) -> None:
    """Deploy a topology, and show its status."""
    with progress() as say:
        from lab.engine import all_engines
        from lab.runtime.destroy import destroy
        from lab.runtime.lab import Lab
        from lab.runtime.registry import engine_with, is_running
        from lab.status.filled import fill_files

        options = {"run_scripts": run_scripts, "privileged": privileged, "mgmt": mgmt}
        wanted = loaded(topology, name=name, openvpn=openvpn, settings=settings, **options)
        engines = all_engines(engine_name)  # the chosen one first
        engine = engines[0]
        having = engine_with(wanted.name, engines)
        if having is not engine:
            raise InputError(
                f"a lab named {wanted.name!r} is running already, with the engine {having.name}: take it down with "
                f"`lab down {wanted.name}`, or give this one another name with --name"
            )
        running = reuse and is_running(wanted.name, engine=engine)
        if reuse and not running and engine.find(wanted.name):
            say(f"all nodes of lab {wanted.name} have ended, as after a reboot of the host: deploying it again")
            destroy(wanted.name, engine=engine)
        if running:
            lab = Lab.attach(wanted.name, engine=engine)
        else:
            lab = Lab.deploy(wanted, engine=engine, say=say, wait=wait, keep_failed=keep_failed)
    with lab:
        fill_files(lab)
        if running:
            print(f"lab {lab.name} is running already; nothing was changed", file=sys.stderr)
        show(lab, as_json=as_json, not_up=wait and bool(lab.topology.own_routers or lab.topology.processes))
        if not as_json:
            print("Try next:")
            for command in next_steps(lab):
                print(f"  {command}")


def next_steps(lab: "Lab") -> list[str]:
    """Return three commands that work in this lab and show something, ready to be copied."""
    from lab.runtime.registry import running_labs

    program = _program()
    which = "" if running_labs(lab.engine) == [lab.name] else f" --lab {lab.name}"
    nodes = lab.nodes
    running = [name for name, instance in nodes.items() if instance.state == "running"]
    routers = [name for name in lab.plans if name in running]
    steps = [
        _announcement(lab, routers, which),
        _capture(lab, running, which),
        _ping(lab, {name: nodes[name].image for name in running}, which),
        f"routes{which}" if routers else None,
        f"logs{which} {running[0]}" if running else None,
        "list",
        "doctor",
    ]
    return [f"{program} {step}" for step in steps if step is not None][:3]


def _announcement(lab: "Lab", routers: list[str], which: str) -> str | None:
    """Return the announcement of a free prefix by a router whose peers all run and accept it."""
    from lab.cli.announce import interfaces_towards

    prefix = lab.free_prefix("ipv4")
    for router in routers:
        peers = interfaces_towards(router, lab.plans)
        if lab.plans[router].own is not None or any(lab.plans[peer].own for peer in peers):
            continue  # a policy in the user's files may keep the prefix back
        if peers and all(peer in routers and lab.plans[peer].accepted([prefix]) for peer in peers):
            return f"announce{which} {router} {prefix}"
    return None


def _capture(lab: "Lab", running: list[str], which: str) -> str | None:
    """Return a capture in the first tunnel, which ends by itself also if nothing passes."""
    for tunnel in lab.topology.tunnels:
        ends = ((tunnel.client, tunnel.device), (tunnel.server, tunnel.server_device))
        for node, device in ends:
            if node in running and node not in lab.external:
                return f"capture{which} {node} {device} --count 10 --seconds 10"
    return None


def _ping(lab: "Lab", images: Mapping[str, str], which: str) -> str | None:
    """Return a ping from the last host to the first, if it is answered now; `images` has those of running nodes."""
    from lab.image.recipe import is_ours

    hosts = [
        name
        for name, node in lab.topology.nodes.items()
        if name in images
        and name not in lab.plans
        and is_ours(images[name])
        and not node.sysctls
        and node.network_mode in ("none", "bridge")
    ]
    if len(hosts) < 2:
        return None
    try:
        target = lab.host(hosts[0]).address("ipv4")
        answered = lab.host(hosts[-1]).echo(target).answered
    except LabError:
        return None
    return f"exec{which} {hosts[-1]} -- ping -c 3 {target}" if answered else None


def _program() -> str:
    """Return how the user called this program: by name if it is on the PATH, with sudo if that was used."""
    called = Path(sys.argv[0])
    found = shutil.which("lab")
    inside = called.is_absolute() and called.is_relative_to(Path.cwd())
    program = "lab" if found and Path(found) == called.absolute() else str(called)
    if inside:
        program = str(called.relative_to(Path.cwd()))
    return f"sudo {program}" if os.environ.get("SUDO_USER") else program
