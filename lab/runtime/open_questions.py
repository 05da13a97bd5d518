"""The questions that a lab has while it is not as it should be: tunnels that are down, sessions, missing routes."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from lab.core.errors import LabError
from lab.runtime.questions import NoRoute, NoSession, NoTunnel, Question, explain

_ASKED = 3
"""The most questions that are answered: each can take some seconds, and they have one cause in most cases."""


def causes(lab: Any) -> str:
    """Return a line for each question with its answer; says so if there is none. `lab` is the `Lab`."""
    lines = [
        f"{question}\n  {explain(lab, question) or 'no cause was found'}\n" for question in questions(lab)[:_ASKED]
    ]
    return "".join(lines) or "all tunnels are up, all sessions established, and all their routes are there\n"


def questions(lab: Any) -> list[Question]:
    """Return what is down: tunnels, or else sessions, or else routes, since each depends on the ones before."""
    return list(_tunnels(lab)) or list(_sessions(lab)) or list(_routes(lab))


def _tunnels(lab: Any) -> Iterator[Question]:
    for name, tunnel in lab.tunnels.items():
        try:
            tunnel.status()
        except LabError:
            yield NoTunnel(name)


def _sessions(lab: Any) -> Iterator[Question]:
    for name, other in _pairs(lab):
        with suppress(LabError):
            if not lab.router(name).neighbor(other).up:
                yield NoSession(name, other)


def _routes(lab: Any) -> Iterator[Question]:
    for name, other in _pairs(lab):
        with suppress(LabError):
            wanted = lab.plans[name].accepted(lab.plans[other].networks)
            missing = frozenset(wanted) - lab.node(name).fib.routes().keys()
            if missing:
                yield NoRoute(name, missing)


def _pairs(lab: Any) -> Iterator[tuple[str, str]]:
    """Yield the routers that are neighbours by the topology."""
    for name, plan in lab.plans.items():
        if name not in lab.external:
            yield from ((name, other) for other in sorted({peer.node for peer in plan.peers} - lab.external))
