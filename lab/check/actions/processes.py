"""`restart` and `exec`: processes of a node are restarted, or a command runs in it."""

import shlex
from collections.abc import Iterable
from typing import Literal

from lab.check.model import Action, Problem
from lab.check.problems import no_router, unknown_node, unknown_tunnel
from lab.check.session import Session
from lab.fault.nodes import DaemonKilled
from lab.topology import Topology


class Restart(Action):
    """OpenVPN or a routing daemon is stopped and started again."""

    kind = "restart"
    summary = "OpenVPN (of a tunnel) or the routing daemon (of a node) is stopped and started again"

    restart: Literal["openvpn", "routing"]
    """OpenVPN of a `tunnel`, or the routing daemon of a `node`, which announces the same prefixes again."""
    tunnel: str | None = None
    """openvpn: the tunnel; may be left out if there is only one."""
    end: Literal["client", "server", "both"] = "both"
    """openvpn: the end whose process is restarted. Tunnels that share a server have the same one."""
    node: str | None = None
    """routing: the router."""

    def __str__(self) -> str:
        if self.restart == "routing":
            return f"restart the routing daemon of {self.node}"
        end = f"the {self.end} of " if self.end != "both" else ""
        return f"restart OpenVPN of {end}{self.tunnel or 'the tunnel'}"

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown names, and keys of the other kind of process."""
        wrong = {"node"} if self.restart == "openvpn" else {"tunnel", "end"}
        for key in sorted(wrong & self.model_fields_set):
            yield Problem(key, f"'restart: {self.restart}' has no {key}", "leave it out")
        if self.restart == "routing":
            if self.node is None:
                yield Problem("restart", "the router is not named", "add `node: NAME`")
            else:
                yield from no_router(topology, "node", self.node)
            return
        yield from unknown_tunnel(topology, "tunnel", self.tunnel)
        if self.tunnel is None and len(topology.tunnels) != 1:
            there = f"there are {', '.join(t.name for t in topology.tunnels)}" if topology.tunnels else "there is none"
            yield Problem("restart", "the tunnel is not named", f"add `tunnel: NAME`; {there}")

    def run(self, session: Session) -> None:
        """Stop the processes and start them again."""
        lab = session.lab
        if self.restart == "routing":
            assert self.node is not None
            lab.fault(DaemonKilled.kind, node=self.node).undo()
            return
        tunnel = lab.tunnel(self.tunnel) if self.tunnel else next(iter(lab.tunnels.values()))
        processes = {"client": [tunnel.client], "server": [tunnel.server], "both": [tunnel.client, tunnel.server]}
        for process in processes[self.end]:
            process.stop()
        for process in processes[self.end][::-1]:
            process.start()


class Exec(Action):
    """A command runs in a node."""

    kind = "exec"
    summary = "a command runs in a node, and must end with exit code 0; what it changes is not undone"

    exec: str | tuple[str, ...]
    """The command: a text, split into words as by a shell, or a list of words. It never runs on the host."""
    node: str
    """The node."""

    def __str__(self) -> str:
        return f"exec in {self.node}: {shlex.join(self.words)}"

    @property
    def words(self) -> tuple[str, ...]:
        """The command and its arguments."""
        return tuple(shlex.split(self.exec)) if isinstance(self.exec, str) else self.exec

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown nodes, empty commands, and commands that cannot be split into words."""
        yield from unknown_node(topology, "node", self.node)
        try:
            if not self.words:
                yield Problem("exec", "the command is empty")
        except ValueError as error:
            yield Problem("exec", f"the command cannot be split into words: {str(error).lower()}", "or give a list")

    def run(self, session: Session) -> None:
        """Run the command; raises `CommandFailed` with its output if it fails."""
        session.lab.node(self.node).exec(*self.words).raise_on_error()
