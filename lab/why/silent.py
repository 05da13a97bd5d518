"""Neighbours whose sessions with a router are down because no packet passes between them."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from lab.core.errors import LabError
from lab.core.prefixes import Address
from lab.runtime.lab import Lab
from lab.why.cause import Explanation, Observation, first
from lab.why.probe import Probe
from lab.why.tracer import Traced, trace

_ASKED = 3
"""The most neighbours that are traced."""


def silent_neighbours(
    lab: Lab, node: str, explain: Callable[[Lab, Traced], Explanation], other: str | None = None
) -> Explanation:
    """Return why a router's neighbours without a session do not answer, by tracing packets to them.

    Only those of the node `other`, if it is given. No finding if the node is not a router, or if they answer.
    """
    found = []
    for neighbour, address in _down(lab, node, other)[:_ASKED]:
        probe = Probe(address, count=2)
        traced = trace(lab, node, neighbour, probe)
        if len(traced.lost) < probe.count:
            continue
        why = explain(lab, traced)
        seen = Observation(node, "sessions", f"the one with {neighbour} ({address}) is not established")
        causes = tuple(replace(cause, evidence=(seen, *cause.evidence)) for cause in why.causes)
        found.append(Explanation(causes, why.apart))
    return first(found)


def _down(lab: Lab, node: str, other: str | None) -> list[tuple[str, Address]]:
    """Return the neighbours without a session, each with its address."""
    if node not in lab.router_names or node in lab.external:
        return []
    with suppress(LabError):
        return [
            (name, neighbor.address)
            for name, neighbor in lab.router(node).sessions()
            if name and neighbor.address is not None and not neighbor.address.is_link_local
            if not neighbor.state.up and other in (None, name)
        ]
    return []
