"""An Ethernet switch: one server process with `dev tap` and any number of clients.

OpenVPN learns the clients' MAC addresses as a switch does and never looks at IP addresses: routed packets pass without
`iroute`, also from client to client (openvpn(8), `--dev-type`, `--client-to-client`).
"""

from lab.tunnel.base import ManyClients
from lab.tunnel.mode import Traits, TunnelMode
from lab.tunnel.options import ServerOptions


class Tap(ManyClients):
    """The mode `tap`."""

    name = "tap"
    summary = "dev tap in mode server: a switch that learns MACs, one process for many clients, no iroute"
    traits = Traits(device="tap", clients_per_process=None, foreign_client=True)
    options = ServerOptions


MODE: TunnelMode = Tap()
