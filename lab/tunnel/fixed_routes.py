"""OpenVPN's own static routing: prefixes that are written down, handed out when the client connects, and stay.

A baseline to compare with: `push "route …"` tells the client what lies behind the server, `route` and `iroute` tell
the server what lies behind the client (openvpn(8)). What is not written down does not pass, whoever announces it.

A client need not take what it is told: it can have its own routes instead (`--route-nopull`), or choose among those
that are pushed (`--pull-filter`).
"""

from typing import Annotated, Literal

from pydantic import Field

from lab.topology import Address, Family, Prefix
from lab.topology.model import Frozen
from lab.tunnel.iroute import Iroute
from lab.tunnel.iroute import Options as IrouteOptions
from lab.tunnel.mode import Traits

PullFilter = Annotated[str, Field(pattern=r'^(accept|ignore|reject) [^\s"\\][^"\\\n]*$')]
"""`ACTION TEXT`; a text that ends with a blank names one option, and not all whose names begin so."""


class OwnRoute(Frozen):
    """A route of the client's own into the tunnel."""

    to: Prefix
    metric: int | None = Field(None, ge=0, le=4294967295)
    """The kernel's; among routes to the same prefix the lowest counts."""


class Options(IrouteOptions):
    """What `options` of a tunnel in this mode may say besides what the mode iroute understands."""

    hand_out: Literal["client-connect", "client-config-dir"] = "client-config-dir"
    iroute: tuple[Family, ...] = ()
    server_networks: tuple[Prefix, ...] = ()
    """Behind the server: pushed to the client as routes when it connects."""
    client_networks: tuple[Prefix, ...] = ()
    """Behind the client: routes on the server, and inner routes to the client."""
    redirect_gateway: bool = False
    """The server tells its client to send everything through the tunnel, in both families."""
    dns: tuple[Address, ...] = ()
    """Name servers that the server tells its client to use."""
    route_nopull: bool = False
    """The client takes no route from the server, and no name server."""
    pull_filter: tuple[PullFilter, ...] = ()
    """What the client does with pushed options that begin with a text; the first that fits counts."""
    routes: tuple[OwnRoute, ...] = ()
    """The client's own routes into the tunnel, whatever the server says."""

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
