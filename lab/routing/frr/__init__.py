"""FRR, the successor of zebra and quagga (docs.frrouting.org)."""

from lab.routing.frr.frr import Frr

DAEMON = Frr()

__all__ = ["DAEMON", "Frr"]
