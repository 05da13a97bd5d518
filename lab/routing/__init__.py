"""Routing daemons behind one interface: render files, start, read the RIB, announce, withdraw."""

from typing import TYPE_CHECKING

from lab.core.lazy import lazy_exports

if TYPE_CHECKING:
    from lab.routing.daemon import Monitor, RoutingDaemon, daemon_of, daemons
    from lab.routing.model import (
        DOWN,
        AdjacencyState,
        Attributes,
        BfdState,
        Direction,
        Neighbor,
        Path,
        Rib,
        RibEvent,
        RipState,
        SessionState,
        State,
    )
    from lab.routing.peer import Peer
    from lab.routing.peers import RouterPlan, plan_router, plan_routers

__all__ = [
    "DOWN",
    "AdjacencyState",
    "Attributes",
    "BfdState",
    "Direction",
    "Monitor",
    "Neighbor",
    "Path",
    "Peer",
    "Rib",
    "RibEvent",
    "RipState",
    "RouterPlan",
    "RoutingDaemon",
    "SessionState",
    "State",
    "daemon_of",
    "daemons",
    "plan_router",
    "plan_routers",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "lab.routing.daemon": ("Monitor", "RoutingDaemon", "daemon_of", "daemons"),
            "lab.routing.model": (
                "DOWN",
                "AdjacencyState",
                "Attributes",
                "BfdState",
                "Direction",
                "Neighbor",
                "Path",
                "Rib",
                "RibEvent",
                "RipState",
                "SessionState",
                "State",
            ),
            "lab.routing.peer": ("Peer",),
            "lab.routing.peers": ("RouterPlan", "plan_router", "plan_routers"),
        },
    )
