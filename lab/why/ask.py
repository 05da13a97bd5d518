"""The whole question: trace the packets, and if some are lost, find out why."""

from lab.runtime.lab import Lab
from lab.why.cause import Explanation
from lab.why.probe import Probe
from lab.why.tracer import Traced, trace

_TRIES = 2
"""The lab may change while it is looked at: routes disappear, tunnels start again."""


def ask(lab: Lab, sender: str, receiver: str, probe: Probe) -> tuple[Traced, Explanation]:
    """Send the packets of a probe; return what was seen of them, and why the first one that was lost was lost."""
    for _ in range(_TRIES):
        traced = trace(lab, sender, receiver, probe)
        found = Explanation()
        if not traced.lost:
            break
        from lab.why.lost import why_lost  # with pyroute2, whose import takes as long as a trace

        found = why_lost(lab, traced)
        if found.causes:
            break
    return traced, found
