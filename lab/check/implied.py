"""The checks of a lab without a file: what follows from its topology, and trials of what `lab advise` foresees."""

from collections.abc import Iterator
from dataclasses import replace

from lab.advise import Verdict, advise
from lab.check.advised.trial import Trial
from lab.check.derived import derive
from lab.check.derived.ends import ends_of
from lab.check.model import Checks, Expected, Item, Step
from lab.core.errors import InputError
from lab.topology import Topology

TRIALS = "what `lab advise` calls exposed is tried"
"""The name of the step with the trials."""


def implied(topology: Topology, *, trials: bool = True) -> Checks:
    """Return the expectations that follow from a topology, and a second step that tries what it is exposed to.

    Raises `InputError` if there is nothing to check.
    """
    checks = derive(topology)
    items = tuple(Item(trial) for trial in _trials(topology)) if trials else ()
    if not items and not list(checks.items):
        raise InputError(
            f"{topology.file}: nothing follows from this topology: it has no tunnel and no routers of the lab with "
            "neighbours; write what you expect into a file, see docs/howto/check.md"
        )
    return replace(checks, steps=(*checks.steps, Step(TRIALS, items=items))) if items else checks


def _trials(topology: Topology) -> Iterator[Expected]:
    """Yield a trial of each failure to which an end of a tunnel is exposed."""
    for end in ends_of(topology).values():
        for finding in advise([end.subject]):
            if finding.verdict is Verdict.EXPOSED:
                yield Trial(trial=finding.rule, tunnel=end.tunnel, end=end.end, node=end.node)
