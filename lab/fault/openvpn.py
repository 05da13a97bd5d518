"""Faults of OpenVPN's processes: signals (openvpn(8), SIGNALS)."""

import os
import signal
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from lab.core.errors import InputError
from lab.fault.base import FaultAction, FaultSite, OnTunnel
from lab.fault.path import PathEffect
from lab.tunnel import OpenVpn
from lab.tunnel.management import ManagementError


class _OnProcess(OnTunnel):
    """A signal to one of a tunnel's two OpenVPN processes."""

    end: Literal["client", "server"] = "client"
    """The end of the tunnel whose process it is."""
    signal: ClassVar[signal.Signals]
    state: ClassVar[str]
    """The process afterwards, in words."""

    def __str__(self) -> str:
        return f"OpenVPN {self.end} of {self.label} {self.state}"

    def process(self, site: FaultSite) -> OpenVpn:
        """Return the process; tunnels that share a server have the same one."""
        tunnel = self.target(site)
        return tunnel.client if self.end == "client" else tunnel.server

    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that signals the process by its id on the host."""
        process = self.process(site)
        try:
            with process.management() as management:
                pid = management.pid()
        except ManagementError as error:
            raise InputError(f"{process} does not run: there is nothing to signal") from error
        (host_pid,) = process.node.host_pids([pid])
        ends = self.lasting
        return FaultAction(
            do=lambda: os.kill(host_pid, self.signal),
            then=lambda: process.wait_ended(pid, self.signal.name) if ends else None,
        )


class _Ended(_OnProcess):
    """A signal that ends the process; undoing the fault starts it again."""

    effect = PathEffect(noticed_by="interface")

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        """Return the action that starts the process, unless it runs."""
        return FaultAction(self.process(site).start)


class Killed(_Ended):
    """SIGKILL: the process sends nothing; the kernel closes its sockets."""

    kind = "openvpn-killed"
    summary = "OpenVPN's client or server killed (SIGKILL); undone: started again"
    signal = signal.SIGKILL
    state = "killed"


class Terminated(_Ended):
    """SIGTERM: the process sends an exit notification if it can, and removes its device."""

    kind = "openvpn-terminated"
    summary = "OpenVPN's client or server terminated (SIGTERM); undone: started again"
    signal = signal.SIGTERM
    state = "terminated"


class SoftRestart(_OnProcess):
    """SIGUSR1: the connection is established again; device, keys and addresses may persist."""

    kind = "openvpn-usr1"
    summary = "OpenVPN restarts its connection, as after `ping-restart` (SIGUSR1); it recovers by itself"
    lasting = False
    effect = PathEffect(outcome="returns")
    signal = signal.SIGUSR1
    state = "restarting (SIGUSR1)"


class HardRestart(_OnProcess):
    """SIGHUP: everything is closed, and the configuration is read again."""

    kind = "openvpn-hup"
    summary = "OpenVPN closes everything and reads its configuration again (SIGHUP); it recovers by itself"
    lasting = False
    effect = PathEffect(outcome="returns")
    signal = signal.SIGHUP
    state = "restarting (SIGHUP)"
