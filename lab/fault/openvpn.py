"""Faults of OpenVPN's processes: killed, terminated, or told to restart (openvpn(8), SIGNALS)."""

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
    """A signal to one of a tunnel's two processes."""

    end: Literal["client", "server"] = "client"
    """The end of the tunnel whose process it is."""
    signal: ClassVar[signal.Signals]
    word: ClassVar[str]

    def __str__(self) -> str:
        return f"OpenVPN {self.end} of {self.whose} {self.word}"

    def process(self, site: FaultSite) -> OpenVpn:
        """The process that is meant; tunnels that share a server share it here, too."""
        tunnel = self.found(site)
        return tunnel.client if self.end == "client" else tunnel.server

    def prepare(self, site: FaultSite) -> FaultAction:
        """The process's id on the host."""
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
            then=lambda: process.expect_gone(pid, self.signal.name) if ends else None,
        )


class _Ended(_OnProcess):
    """A process that is gone until it is started again."""

    effect = PathEffect(noticed_by="interface")

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        """Start it again; one that runs is left alone."""
        return FaultAction(self.process(site).start)


class Killed(_Ended):
    """SIGKILL: the process has no time for a word; what it held the kernel closes."""

    kind = "openvpn-killed"
    summary = "OpenVPN's client or server killed (SIGKILL); undone: started again"
    signal = signal.SIGKILL
    word = "killed"


class Terminated(_Ended):
    """SIGTERM: the process says good-bye where it can, and takes its device down."""

    kind = "openvpn-terminated"
    summary = "OpenVPN's client or server ended in good order (SIGTERM); undone: started again"
    signal = signal.SIGTERM
    word = "terminated"


class SoftRestart(_OnProcess):
    """SIGUSR1: the connection is built anew; device, keys and addresses may persist."""

    kind = "openvpn-usr1"
    summary = "OpenVPN restarts its connection, as after `ping-restart` (SIGUSR1); comes back by itself"
    lasting = False
    effect = PathEffect(outcome="returns")
    signal = signal.SIGUSR1
    word = "restarting (SIGUSR1)"


class HardRestart(_OnProcess):
    """SIGHUP: everything is closed, the configuration read again."""

    kind = "openvpn-hup"
    summary = "OpenVPN closes everything and reads its configuration again (SIGHUP); comes back by itself"
    lasting = False
    effect = PathEffect(outcome="returns")
    signal = signal.SIGHUP
    word = "restarting (SIGHUP)"
