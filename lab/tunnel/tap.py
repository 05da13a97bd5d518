"""An Ethernet switch: one server process with `dev tap` and any number of clients.

OpenVPN learns which client has which MAC address, as a switch does, and never looks at IP addresses: what a routing
daemon decides passes without `iroute`, from client to client too (openvpn(8), `--dev-type`, `--client-to-client`).
"""

from lab.tunnel.base import ManyClients
from lab.tunnel.mode import Traits
from lab.tunnel.options import ServerOptions


class Tap(ManyClients):
    """See the module."""

    name = "tap"
    summary = "dev tap in mode server: a switch that learns MACs, one process for many clients, no iroute"
    traits = Traits(device="tap", clients_per_process=None)
    options = ServerOptions


MODE = Tap()
