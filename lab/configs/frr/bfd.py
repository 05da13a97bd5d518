"""The intervals of BFD in FRR's configurations: of a neighbour, a profile, or a peer in the `bfd` section."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from lab.configs.frr.statements import Statement
from lab.configs.numbers import is_number
from lab.configs.routing.facts import BfdTimers, BgpNeighbor

_DEFAULT = 300
"""FRR's default of both intervals in milliseconds (docs.frrouting.org, BFD)."""
_MULTIPLIER = 3
_OPTIONS = {"transmit-interval": "transmit", "receive-interval": "receive", "detect-multiplier": "multiplier"}
_KINDS = ("profile", "peer")


def with_timers(neighbor: BgpNeighbor, lines: Sequence[Statement], found: Iterable[Statement]) -> BgpNeighbor:
    """Return a neighbour with its timers; `lines` are its `bfd` lines, `found` those of the whole configuration."""
    if not neighbor.bfd or not lines:
        return neighbor
    sections = dict(_sections(found))
    timers: BfdTimers | None = BfdTimers(_DEFAULT, _DEFAULT, _MULTIPLIER, lines[0].spot)
    for s in lines:
        match s.words[3:]:
            case (multiplier, receive, transmit) if all(map(is_number, (multiplier, receive, transmit))):
                timers = BfdTimers(int(transmit), int(receive), int(multiplier), s.spot)
            case ("profile", name):
                timers = _of(sections.get(("profile", name)), s)
    # A peer of its own in the `bfd` section is the same session.
    for (kind, name), own in sections.items():
        if kind == "peer" and name == str(neighbor.address):
            profile = next((s.words[1] for s in own if s.words[0] == "profile" and len(s.words) > 1), None)
            timers = _of((*sections.get(("profile", profile), ()), *own) if profile else own, own[0])
    return replace(neighbor, bfd_timers=timers)


def _of(lines: Sequence[Statement] | None, at: Statement) -> BfdTimers | None:
    """Return the timers of a section; None if it is not there, or has a line that is not read."""
    if lines is None:
        return None
    found = {"transmit": _DEFAULT, "receive": _DEFAULT, "multiplier": _MULTIPLIER}
    spot = at.spot
    for s in lines:
        if s.words[0] in _OPTIONS:
            if len(s.words) != 2 or not is_number(s.words[1]):
                return None
            found[_OPTIONS[s.words[0]]], spot = int(s.words[1]), s.spot
    return BfdTimers(**found, spot=spot)


def _sections(found: Iterable[Statement]) -> Iterator[tuple[tuple[str, str], tuple[Statement, ...]]]:
    """Generate the profiles and peers of the `bfd` section by kind and name, each with its line and those below it."""
    key: tuple[str, str] | None = None
    lines: list[Statement] = []
    for s in found:
        # The `exit` of a profile also ends the section `bfd` here.
        if s.section not in ("bfd", ""):
            continue
        begins = (
            s.words[0] in _KINDS and len(s.words) > 1 and not (s.words[0] == "profile" and key and key[0] == "peer")
        )
        if begins or s.words[0] == "bfd":
            if key:
                yield key, tuple(lines)
            key, lines = ((s.words[0], s.words[1]), [s]) if begins else (None, [])
        elif key:
            lines.append(s)
    if key:
        yield key, tuple(lines)
