"""Why a packet was lost, from the last place where it was captured and from what is found there."""

from lab.why.lost.explain import why_down, why_lost

__all__ = ["why_down", "why_lost"]
