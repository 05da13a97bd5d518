"""`Cause`: why something does not work, the mend, and the evidence; `Explanation`: all causes that fit."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Observation:
    """Evidence: what was seen, and where."""

    node: str
    source: str
    """The place that was looked at, as in `FIB`, `log of OpenVPN`, `capture on tun0`, `RIB of bgpd`."""
    seen: str
    """A line of a log, a route, a packet, a counter before and after."""


@dataclass(frozen=True)
class Cause:
    """One cause, named only if observations show it."""

    kind: str
    """Its name in the table of causes (docs/why.md), as in `no-inner-route`."""
    node: str
    """The node at which it is."""
    what: str
    """A clause that begins with the node, as in `hub drops it in OpenVPN's inner table: no client has …`."""
    mend: str
    """A clause in the imperative, as in `add `iroute 10.2.0.0 255.255.255.0` to client-config-dir/branch`."""
    evidence: tuple[Observation, ...] = ()

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}" if self.mend else self.what


@dataclass(frozen=True)
class Explanation:
    """The causes that fit the observations: one is the answer, several are still possible, none means no finding."""

    causes: tuple[Cause, ...] = ()
    apart: str = ""
    """The observation that would tell several causes apart, or that is missing where no cause was found."""

    @property
    def found(self) -> bool:
        """True if exactly one cause fits."""
        return len(self.causes) == 1

    def __str__(self) -> str:
        """Return the sentence for a message; empty if there is nothing to say."""
        if self.found:
            return str(self.causes[0])
        if self.causes:
            apart = f"; to tell them apart: {self.apart}" if self.apart else ""
            return f"cannot tell which: {' or: '.join(map(str, self.causes))}{apart}"
        return f"cannot tell why: {self.apart}" if self.apart else ""


def one(cause: Cause) -> Explanation:
    """Return the explanation with a single cause."""
    return Explanation((cause,))


def first(explanations: Sequence[Explanation]) -> Explanation:
    """Return the first explanation that has a cause, else the first one that says what is missing."""
    return next(
        (found for found in explanations if found.causes),
        next((found for found in explanations if found.apart), Explanation()),
    )
