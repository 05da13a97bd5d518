"""The answer to the question of a failed expectation."""

from lab.runtime.lab import Lab
from lab.runtime.questions import NoAnswer, NoRoute, NoTunnel, Question
from lab.why.ask import ask
from lab.why.cause import Explanation, first
from lab.why.lost import why_down, why_lost
from lab.why.probe import Probe
from lab.why.route import no_route
from lab.why.session import session_down
from lab.why.silent import silent_neighbours
from lab.why.targets import holder

_ASKED = 4
"""The most prefixes without a route that are looked into: they have one cause in most cases."""


def answer(lab: Lab, question: Question) -> str:
    """Return the cause in one sentence; empty if nothing was found."""
    return str(explanation(lab, question))


def explanation(lab: Lab, question: Question) -> Explanation:
    """Return the causes that fit."""
    if isinstance(question, NoAnswer):
        return _no_answer(lab, question)
    if isinstance(question, NoRoute):
        prefixes = sorted(question.prefixes, key=lambda prefix: (prefix.version, prefix))[:_ASKED]
        found = first([no_route(lab, question.node, prefix, question.interface) for prefix in prefixes])
        return found if found.causes else first([silent_neighbours(lab, question.node, why_lost), found])
    if isinstance(question, NoTunnel):
        return why_down(lab, lab.tunnel(question.name))
    found = session_down(lab, question.node, question.other)
    return found if found.causes else first([silent_neighbours(lab, question.node, why_lost, question.other), found])


def _no_answer(lab: Lab, question: NoAnswer) -> Explanation:
    """Send the same echo requests, which forbid fragmentation, and say why they are lost; they may be answered now."""
    probe = Probe(question.destination, size=question.packet_size, df=True)
    traced, found = ask(lab, question.node, holder(lab, question.destination), probe)
    return found if traced.lost else Explanation(apart=f"{question.destination} answers {question.node} now")
