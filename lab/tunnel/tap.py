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

    def more(self, process: Process, options: Any, identity: Identity, render: Render) -> Sequence[RenderedFile]:
        """What the server hands out to this tunnel's client: its addresses."""
        if process.end == "client":
            return []
        name = identity.client.common_name
        return [RenderedFile(process.files / "clients" / name, render("parts/addresses-of-client.j2"))]


MODE = Tap()
