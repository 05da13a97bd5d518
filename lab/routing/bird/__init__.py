"""BIRD 2 and BIRD 3 (bird.network.cz): one configuration language, two programs."""

from lab.routing.bird.bird import Bird2, Bird3
from lab.routing.bird.own import OwnBird2, OwnBird3
from lab.routing.daemon import RoutingDaemon

BIRD2: RoutingDaemon = Bird2(own_files=OwnBird2)
BIRD3: RoutingDaemon = Bird3(own_files=OwnBird3)

__all__ = ["BIRD2", "BIRD3"]
