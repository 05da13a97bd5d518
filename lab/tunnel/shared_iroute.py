"""What the article warns of: one server process for several clients that are all handed an inner route for everything.

OpenVPN's inner table holds one client for a network, and the last that claims it has it (multi.c, multi_learn_addr).
Every tunnel is up, every BGP session stands, and the traffic of all goes to the client that connected last.
"""

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


MODE = SharedIroute()
