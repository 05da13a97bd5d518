"""A rule about BFD's intervals and the jitter of the path."""

from lab.advise.detection import interval, timers_of
from lab.advise.rule import Judgement, Rule, Verdict, exposed, safe, unknown
from lab.advise.rules.routing import ADD_ROUTER
from lab.advise.subject import Subject
from lab.configs.disk import Spot
from lab.configs.routing.facts import BgpNeighbor

_RANKS = (Verdict.EXPOSED, Verdict.CANNOT_TELL, Verdict.NOT_EXPOSED)
_DO = "set longer intervals, or a higher multiplier: `detect-multiplier`, `multiplier` in BIRD"


def jitter(subject: Subject) -> Judgement:
    """Judge if BFD takes the variation of the delay for the loss of the other end."""
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel")
    router, runs = subject.router, subject.runs
    if router is None:
        return unknown(subject.no_router, do=ADD_ROUTER)
    if router.gaps:
        return unknown(router.gaps[0].why, *[gap.spot for gap in router.gaps], do="test it")
    maybe = [n for n in runs.unclear if n.bfd]
    if other := [*router.other_bfd, *_spots(maybe)]:
        return unknown("whether this BFD session runs through the tunnel is unknown", *other, do="test it")
    judged = [_of_session(subject, n) for n in runs.neighbors if n.bfd]
    if not judged:
        return safe("no session through this tunnel has BFD", *[n.spot for n in runs.neighbors])
    return min(judged, key=lambda judgement: _RANKS.index(judgement.verdict))


def _of_session(subject: Subject, n: BgpNeighbor) -> Judgement:
    spots = _spots([n])
    found = timers_of(subject.peer_runs.neighbors)
    if n.bfd_timers is None or not found:
        which = "this file does" if n.bfd_timers is None else "the other end's router does"
        return unknown(f"{which} not show the intervals of BFD", *spots, do="add the other end's files, or test it")
    there = found[0]
    every = interval(n.bfd_timers, there)
    after = there.multiplier * every
    spots += [n.bfd_timers.spot, there.spot]
    waits = f"BFD gives the other end up after {after} ms without a packet, which come every {every} ms"
    if subject.path_jitter is None:
        return unknown(f"{waits}; the jitter of the path is not in the files", *spots, do="measure it")
    varies = f"the delay of the path varies by {subject.path_jitter:g} ms up and down"
    if every + 2 * subject.path_jitter <= after:
        return safe(f"{waits}, and {varies}", *spots)
    if subject.path_jitter >= after:
        return exposed(f"{waits}, and {varies}: sessions go down while the path works", *spots, do=_DO)
    return unknown(f"{waits}, and {varies}: whether so many packets are late in a row is chance", *spots, do=_DO)


def _spots(neighbors: list[BgpNeighbor]) -> list[Spot]:
    return [n.options.get("bfd", n.spot) for n in neighbors]


RULES = (
    Rule(
        "bfd-jitter",
        "BFD takes the other end for dead when packets are late, and BGP drops all routes of a path that works.",
        ("frr.conf: bfd, transmit-interval, receive-interval, detect-multiplier", "bird.conf: bfd"),
        "RFC 5880, section 6.8.4; tested with OpenVPN 2.6.14 and 2.7.8 and FRR 10.3",
        jitter,
        "test_verdicts_are_what_disturbances_do",
    ),
)
