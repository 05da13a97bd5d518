"""The setup that the article warns against: one server process whose clients all get an `iroute` for everything.

OpenVPN's inner table maps a network to one client, the last one that claims it (multi.c, multi_learn_addr). All tunnels
are up, all BGP sessions are established, and all traffic goes to the client that connected last.
"""

from collections.abc import Mapping

from lab.topology import TrafficClass, TunnelIntent
from lab.tunnel.base import ManyClients
from lab.tunnel.mode import Traits, TunnelMode
from lab.tunnel.options import ServerOptions


class SharedIroute(ManyClients):
    """The mode `shared-iroute`."""

    name = "shared-iroute"
    summary = "one server process whose clients all get an iroute for everything: to reproduce the failure"
    traits = Traits(
        needs_iroute=True,
        clients_per_process=None,
        clients_routed_for=1,
        deprecated="the last client takes all traffic",
    )
    options = ServerOptions
    client_template = "handed-out.j2"

    def unsupported(self, intent: TunnelIntent, clients: int) -> Mapping[TrafficClass, str]:
        """Return link-local packets, if there are several clients."""
        if clients == 1:
            return {}
        return {
            "link-local": "the inner table maps all link-local addresses to the client that connected last, and "
            "the server drops packets from those of the others: give each tunnel a `port` of its own"
        }


MODE: TunnelMode = SharedIroute()
