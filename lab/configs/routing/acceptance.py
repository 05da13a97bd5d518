"""The answer to the question if a routing daemon accepts a route that covers an address."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import NamedTuple

from lab.configs.disk import Spot
from lab.core.prefixes import Address, Prefix

Policy = Callable[[Prefix], bool | None]
"""Returns True if a prefix passes, False if it is rejected, None if that is unknown."""


class Lengths(NamedTuple):
    """The lengths of prefixes to check."""

    shortest: int = 0
    longest: int | None = None
    """None for those of host routes."""

    def of(self, address: Address) -> range:
        """Return the lengths of prefixes that cover an address."""
        return range(self.shortest, (address.max_prefixlen if self.longest is None else self.longest) + 1)


@dataclass(frozen=True)
class Acceptance:
    """If a route that covers an address is accepted, and why."""

    accepted: Prefix | None
    """A prefix that is accepted for certain; None if there is none."""
    unknown: str
    """The reason why the answer is unknown; empty if it is known."""
    spots: tuple[Spot, ...]
    why: str

    @property
    def answer(self) -> bool | None:
        """True if a prefix is accepted, False if none is, None if unknown."""
        return True if self.accepted is not None else None if self.unknown else False


def accept_covering(
    address: Address, lengths: Lengths, policies: Sequence[Policy], spots: tuple[Spot, ...]
) -> Acceptance:
    """Check if a prefix that covers an address, with one of the lengths, passes all policies."""
    unknown = ""
    for length in lengths.of(address):
        prefix = ip_network(f"{address}/{length}", strict=False)
        outcomes = [passes(prefix) for passes in policies]
        if all(outcome is True for outcome in outcomes):
            return Acceptance(prefix, "", spots, f"{prefix} passes" if policies else "no policy filters it")
        if all(outcome is not False for outcome in outcomes):
            unknown = "its policy has parts that are unknown, or not defined in this file"
    return Acceptance(None, unknown, spots, "its policy accepts no such route")
