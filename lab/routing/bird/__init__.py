"""BIRD 2 and BIRD 3 (bird.network.cz): one configuration language, two programs."""

from lab.routing.bird.bird import Bird

BIRD2 = Bird("bird", "/usr/sbin/bird", "bird2", "BIRD 2: one process, one thread")
BIRD3 = Bird("bird3", "/opt/bird3/usr/sbin/bird", "bird3", "BIRD 3: one process, many threads")

__all__ = ["BIRD2", "BIRD3", "Bird"]
