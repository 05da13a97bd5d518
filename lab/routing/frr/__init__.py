"""FRR, the successor of zebra and quagga (docs.frrouting.org)."""

from lab.routing.daemon import RoutingDaemon
from lab.routing.frr.frr import Frr

DAEMON: RoutingDaemon = Frr()

__all__ = ["DAEMON", "Frr"]
