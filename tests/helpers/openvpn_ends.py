"""OpenVPN processes that do not run, with their configuration files."""

from pathlib import Path

from lab.engine import Instance, NodeState
from lab.engine.node import RunningNode
from lab.tunnel import OpenVpn
from lab.tunnel.mode import End, Process
from lab.tunnel.running import Versions
from lab.why.in_force import InForce, in_force


def end(root: Path, which: End, text: str, *more: str) -> InForce:
    """Return the configuration of a process with a rendered file."""
    node = {"server": "hq", "client": "branch"}[which]
    process = Process("branch-hq", which, node)
    file = root / "nodes" / node / process.configuration.relative_to("/")
    file.parent.mkdir(parents=True)
    file.write_text(text)
    running = RunningNode(None, Instance("x", node, node, "image", NodeState.RUNNING, root))  # type: ignore[arg-type]
    found = OpenVpn(process, running, "tun0", Versions())
    found.more = more
    return in_force(found)
