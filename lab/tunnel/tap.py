"""An Ethernet switch: one server process with `dev tap` and any number of clients.

OpenVPN learns which client has which MAC address, as a switch does, and never looks at IP addresses: what a routing
daemon decides passes without `iroute`, from client to client too (openvpn(8), `--dev-type`, `--client-to-client`).
"""

from collections.abc import Sequence
from typing import Any

from lab.files import RenderedFile
from lab.tunnel.base import Mode, Render
from lab.tunnel.mode import Identity, Process, Traits
from lab.tunnel.options import TlsOptions


class Tap(Mode):
    """See the module."""

    name = "tap"
    summary = "dev tap in mode server: a switch that learns MACs, one process for many clients, no iroute"
    traits = Traits(device="tap", clients_per_process=None)
    options = TlsOptions
    handed_out = "parts/addresses-of-client.j2"
    """The template of what the server hands out to a tunnel's client: its addresses."""

    def more(self, process: Process, options: Any, identity: Identity, render: Render) -> Sequence[RenderedFile]:
        """The server's file for this tunnel's client."""
        if process.end == "client":
            return []
        name = identity.client.common_name
        return [RenderedFile(process.files / "clients" / name, render(self.handed_out))]


MODE = Tap()
