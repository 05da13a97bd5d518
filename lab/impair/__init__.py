"""Link conditions: delay, jitter, loss, rate and duplicates, by what this kernel has."""

from lab.impair.oneway import Mechanism, OneWay, impose, in_force, lift

__all__ = ["Mechanism", "OneWay", "impose", "in_force", "lift"]
