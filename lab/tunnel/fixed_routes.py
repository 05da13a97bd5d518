"""OpenVPN's own static routing: prefixes that are written down, handed out when the client connects, and stay.

A baseline to compare with: `push "route …"` tells the client what lies behind the server, `route` and `iroute` tell
the server what lies behind the client (openvpn(8)). What is not written down does not pass, whoever announces it.
"""

from typing import Literal

from lab.topology import Family, Prefix
from lab.tunnel.iroute import Iroute
from lab.tunnel.iroute import Options as IrouteOptions
from lab.tunnel.mode import Traits


class Options(IrouteOptions):
    """What `options` of a tunnel in this mode may say besides what the mode iroute understands."""

    hand_out: Literal["client-connect", "client-config-dir"] = "client-config-dir"
    iroute: tuple[Family, ...] = ()
    server_networks: tuple[Prefix, ...] = ()
    """Behind the server: pushed to the client as routes when it connects."""
    client_networks: tuple[Prefix, ...] = ()
    """Behind the client: routes on the server, and inner routes to the client."""

    @property
    def inner_networks(self) -> tuple[Prefix, ...]:
        """What lies behind the client."""
        return self.client_networks


class FixedRoutes(Iroute):
    """See the module."""

    name = "fixed-routes"
    summary = "prefixes written into OpenVPN's configuration: not dynamic, a baseline to compare with"
    traits = Traits(needs_iroute=True, families=(), multicast=("ipv4",))
    options = Options
    handed_out = "fixed-routes.handed-out.j2"


MODE = FixedRoutes()
