"""Routing daemons behind one interface: render, start, read, announce, withdraw."""

from lab.routing.daemon import RoutingDaemon, daemons
from lab.routing.model import Neighbor, Path, Rib, SessionState
from lab.routing.plan import Peer, RouterPlan, plan_routers

__all__ = [
    "Neighbor",
    "Path",
    "Peer",
    "Rib",
    "RouterPlan",
    "RoutingDaemon",
    "SessionState",
    "daemons",
    "plan_routers",
]
