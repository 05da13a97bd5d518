"""`mtu`: the size of the largest packet that passes between two nodes without fragmentation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import Field

from lab.check.model import Expected, Problem, Result, Start
from lab.check.probes import Answer, cause_of, destinations, try_probe
from lab.check.problems import unknown_node, unknown_target
from lab.check.waiting import pause, wait
from lab.core.expect import Expectation
from lab.core.prefixes import Address, Family
from lab.runtime.lab import Lab
from lab.topology import Topology
from lab.why.probe import Probe

_TRIES = 3
_WAIT = 0.5
_SMALLEST = {4: 68, 6: 1280}
"""The smallest MTU of a link (RFC 791, RFC 8200)."""
_LARGEST = 9500


@dataclass(frozen=True)
class _Tried:
    """Packets to one address, of the expected size and one byte more."""

    lab: Lab
    source: str
    receiver: str
    address: Address

    def answer(self, size: int) -> Answer:
        """Send packets of a size, which may not be fragmented."""
        probe = Probe(self.address, size=size, df=True, count=_TRIES, wait=_WAIT)
        return try_probe(self.lab, self.source, self.receiver, probe)

    def passes(self, size: int) -> bool:
        """Return whether a packet of a size is answered."""
        return self.answer(size).received > 0

    def search(self) -> int:
        """Return the size of the largest packet that is answered; 0 if none is."""
        passing, failing = _SMALLEST[self.address.version], _LARGEST + 1
        if not self.passes(passing):
            return 0
        while failing - passing > 1:
            size = (passing + failing) // 2
            if self.passes(size):
                passing = size
            else:
                failing = size
        return passing


class PathMtu(Expected):
    """The path MTU between two nodes."""

    kind = "mtu"
    summary = "the path MTU between two nodes: packets of this size with DF pass, larger ones do not"

    mtu: int = Field(ge=68, le=_LARGEST)
    """Bytes of the largest IP packet that is answered."""
    source: str = Field(alias="from")
    """The node that sends."""
    target: str = Field(alias="to")
    """The node or the address that answers."""
    family: Family | None = None
    """The address family; by default all that both have."""

    def __str__(self) -> str:
        return f"path MTU {self.mtu} from {self.source} to {self.target}{f' ({self.family})' if self.family else ''}"

    @property
    def place(self) -> str:
        """The node that sends."""
        return self.source

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown nodes, and an MTU that IPv6 does not have."""
        yield from unknown_node(topology, "from", self.source)
        yield from unknown_target(topology, "to", self.target)
        if self.mtu < _SMALLEST[6] and self.family == "ipv6":
            yield Problem("mtu", "no IPv6 link has an MTU below 1280 (RFC 8200)")

    def check(self, lab: Lab, start: Start) -> Result:
        """Send packets of this size and one byte more until the first pass and the others do not."""
        ends = destinations(lab, self.source, self.target, self.family)
        tried = [_Tried(lab, self.source, receiver, address) for receiver, address in ends]

        def cause() -> str:
            lost = next((answer for each in tried if not (answer := each.answer(self.mtu)).received), None)
            return cause_of(lab, lost) if lost else ""

        return wait(
            Expectation(
                what=str(self),
                node=self.source,
                look=lambda: [each for each in tried if not self._is_it(each)],
                met=lambda others: not others,
                seen=lambda others: self._describe(tried, others),
                logs=lab.running(self.source).files,
                changed=pause,
                explain=cause,
            ),
            start,
        )

    def _is_it(self, tried: _Tried) -> bool:
        return tried.passes(self.mtu) and not tried.passes(self.mtu + 1)

    def _describe(self, tried: Sequence[_Tried], others: Sequence[_Tried]) -> str:
        """Describe the path MTU of each address, and search for it where it is another."""
        sizes = {each.address: each.search() if each in others else self.mtu for each in tried}
        return ", ".join(f"{size or 'no packet passes'} to {address}" for address, size in sizes.items())
