"""What the article warns of: one server process for several clients that are all handed an inner route for everything.

OpenVPN's inner table holds one client for a network, and the last that claims it has it (multi.c, multi_learn_addr).
Every tunnel is up, every BGP session stands, and the traffic of all goes to the client that connected last.
"""

from collections.abc import Mapping

from lab.topology import TrafficClass, TunnelIntent
from lab.tunnel.base import ManyClients
from lab.tunnel.mode import Traits
from lab.tunnel.options import ServerOptions


class SharedIroute(ManyClients):
    """See the module."""

    name = "shared-iroute"
    summary = "one server process whose clients all claim every network: to see what goes wrong, not to use"
    traits = Traits(
        needs_iroute=True,
        clients_per_process=None,
        clients_routed_for=1,
        deprecated="the last client takes all traffic",
    )
    options = ServerOptions
    handed_out = "shared-iroute.handed-out.j2"

    def unsupported(self, intent: TunnelIntent, clients: int) -> Mapping[TrafficClass, str]:
        """The tunnels' own addresses stay with their clients; link-local ones go with everything else."""
        if clients == 1:
            return {}
        return {
            "link-local": "the inner table gives all link-local addresses to the client that connected last, and drops "
            "what comes from those of the others: give each tunnel a `port` of its own"
        }


MODE = SharedIroute()
