"""OpenVPN's own static routing: prefixes from the configuration, pushed when the client connects.

A baseline: `push "route …"` gives the client the networks behind the server, `route` and `iroute` give the server those
behind the client (openvpn(8)). Packets to any other network do not pass, even if a routing daemon announces it.

A client can refuse the pushed routes and use its own (`--route-nopull`), or select among them (`--pull-filter`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from lab.topology import Address, Family, Prefix
from lab.topology.intent import Frozen
from lab.tunnel.iroute import Iroute
from lab.tunnel.iroute import Options as IrouteOptions
from lab.tunnel.mode import Traits, TunnelMode

PullFilter = Annotated[str, Field(pattern=r'^(accept|ignore|reject) [^\s"\\][^"\\\n]*$')]
"""`ACTION TEXT`: a text that ends with a blank matches one option, else all options that begin with it."""


class OwnRoute(Frozen):
    """A route into the tunnel from the client's own configuration."""

    to: Prefix
    metric: int | None = Field(None, ge=0, le=4294967295)
    """The kernel's metric: of routes to the same prefix the one with the lowest is used."""


class Options(IrouteOptions):
    """The options of a tunnel in this mode, besides those of the mode iroute."""

    hand_out: Literal["client-connect", "client-config-dir"] = "client-config-dir"
    iroute: tuple[Family, ...] = ()
    server_networks: tuple[Prefix, ...] = ()
    """Networks behind the server: pushed to the client as routes when it connects."""
    client_networks: tuple[Prefix, ...] = ()
    """Networks behind the client: routes on the server, and `iroute` entries for the client."""
    redirect_gateway: bool = False
    """The server pushes a default route through the tunnel, in both families."""
    dns: tuple[Address, ...] = ()
    """Name servers that the server pushes to the client."""
    route_nopull: bool = False
    """The client ignores pushed routes and name servers."""
    pull_filter: tuple[PullFilter, ...] = ()
    """Filters on pushed options at the client; the first that matches decides."""
    routes: tuple[OwnRoute, ...] = ()
    """The client's own routes into the tunnel, besides those that the server pushes."""

    @property
    def inner_networks(self) -> tuple[Prefix, ...]:
        """The networks behind the client."""
        return self.client_networks


class FixedRoutes(Iroute):
    """The mode `fixed-routes`."""

    name = "fixed-routes"
    summary = "prefixes written into OpenVPN's configuration: not dynamic, a baseline to compare with"
    traits = Traits(needs_iroute=True, families=(), multicast=("ipv4",), net30=True, foreign_client=True)
    options = Options
    client_template = "handed-out.j2"

    def static_options(self, server_networks: Sequence[str], client_networks: Sequence[str]) -> Mapping[str, Any]:
        """Return the options `server-networks` and `client-networks`, without those that would be empty."""
        networks = {"server-networks": server_networks, "client-networks": client_networks}
        return {option: list(values) for option, values in networks.items() if values}


MODE: TunnelMode = FixedRoutes()
