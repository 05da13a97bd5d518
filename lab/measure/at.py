"""`lab.measure(...)`: a measurement at a node of a running lab."""

from collections.abc import Iterable

from lab.core.outcome import Outcome
from lab.core.prefixes import Prefix, prefix_set
from lab.measure.instrument.armed import RATE, ProbePath
from lab.measure.instrument.measurement import SETTLE, WATCH, WITHIN, Measurement
from lab.measure.instrument.targets import find_targets
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode


def at(
    lab: Lab,
    observer: str | LabNode,
    prefixes: Prefix | Iterable[Prefix],
    *,
    probe_from: str | LabNode | None = None,
    probe_to: str | LabNode | None = None,
    rate: float = RATE,
    until: Outcome | None = None,
    within: float = WITHIN,
    settle: float = SETTLE,
    watch: float = WATCH,
    rib: bool = True,
    recovery: bool = False,
) -> Measurement:
    """Measure how prefixes converge at a node while something happens in the `with` block.

    `probe_from` is the node that sends `rate` packets/s to each prefix: to `probe_to`, by default to the first node
    with an address in the prefix. `until` is the outcome to wait for, by default any change of the route to each
    prefix. `within`, `settle` and `watch` are in seconds: the deadline of the outcome after the event, the time for
    which it must last, and the time in which an interruption may begin (`until="returns"`). `rib=False` does not
    monitor the routing daemon. `recovery` says that the block undoes an earlier event, so that traffic comes back.
    """
    observed = prefix_set(prefixes)
    probe = None
    if probe_from is not None:
        source = lab.node(str(probe_from))
        names = [str(probe_to)] if probe_to is not None else lab.running_names(except_for={source.name, str(observer)})
        receivers = {name: lab.running(name).namespace for name in names}
        probe = ProbePath(source.running.namespace, find_targets(observed, receivers), receivers, rate)
    name = str(observer)
    return Measurement(
        lab.router(name) if name in lab.router_names else lab.node(name),
        observed,
        results=lab.results,
        probe=probe,
        until=until,
        within=within,
        settle=settle,
        watch=watch,
        rib=rib,
        recovery=recovery,
    )
