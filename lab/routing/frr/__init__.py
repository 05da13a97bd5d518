"""FRR, the successor of zebra and quagga (docs.frrouting.org)."""

from lab.routing.daemon import RoutingDaemon
from lab.routing.frr.frr import Frr
from lab.routing.frr.own import OwnFrr

DAEMON: RoutingDaemon = Frr(own_files=OwnFrr)

__all__ = ["DAEMON", "Frr"]
