"""`reaches` and `does-not-reach`: packets from a node are answered, or none is."""

from collections.abc import Iterable, Sequence

from pydantic import Field

from lab.check.model import Expected, Problem, Result, Start
from lab.check.probes import Answer, cause_of, declared_families, destinations, try_probe
from lab.check.problems import unknown_node, unknown_target
from lab.check.waiting import pause, wait
from lab.core.expect import Expectation
from lab.core.prefixes import Address, Family
from lab.runtime.lab import Lab
from lab.topology import Topology
from lab.why.probe import Probe, Protocol


class Probing(Expected):
    """Packets from one node to another."""

    source: str = Field(alias="from")
    """The node that sends."""
    family: Family | None = None
    """The address family; by default all that both have, and each must do what is expected."""
    size: int | None = Field(default=None, ge=46, le=65535)
    """ICMP and UDP: bytes of the IP packet; by default 84."""
    df: bool = False
    """ICMP and UDP: forbid fragmentation (DF); IPv6 packets are then not fragmented at their source either."""
    count: int = Field(default=1, ge=1, le=1000)
    """How many packets, or connections one after another."""
    tcp: int | None = Field(default=None, ge=1, le=65535)
    """Open TCP connections to this port instead of ICMP echo; the check listens there if nothing else does."""
    udp: int | None = Field(default=None, ge=1, le=65535)
    """Send UDP datagrams to this port instead of ICMP echo; the check answers them."""

    @property
    def target(self) -> str:
        """The node or address that should answer."""
        raise NotImplementedError

    @property
    def place(self) -> str:
        """The node that sends."""
        return self.source

    @property
    def protocol(self) -> Protocol:
        """The protocol of the packets."""
        return "tcp" if self.tcp is not None else "udp" if self.udp is not None else "icmp"

    @property
    def how(self) -> str:
        """The packets in words, after a space."""
        parts = [
            "" if self.protocol == "icmp" else f"by {self.protocol.upper()} at port {self.tcp or self.udp}",
            f"with {self.size} bytes" if self.size else "",
            "and DF" if self.df and self.size else "with DF" if self.df else "",
            f"{self.count} times" if "count" in self.model_fields_set else "",
            f"({self.family})" if self.family else "",
        ]
        return "".join(f" {part}" for part in parts if part)

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown nodes, families that a target lacks, and keys that exclude each other."""
        yield from unknown_node(topology, "from", self.source)
        yield from unknown_target(topology, self.kind, self.target)
        if self.tcp and self.udp:
            yield Problem("udp", "a packet is of TCP or of UDP", "make two expectations of it")
        for key in sorted({"size", "df"} & self.model_fields_set) if self.tcp else ():
            yield Problem(key, f"{key} is for ICMP and UDP: TCP chooses its segments", "leave it out")
        families = declared_families(topology, self.target)
        if self.family and families and self.family not in families:
            yield Problem(
                "family", f"{self.target} has no {self.family} address", f"leave it out, or say {families[0]}"
            )

    def answers(self, lab: Lab) -> Sequence[Answer]:
        """Send the packets to each address of the target."""
        return [
            try_probe(lab, self.source, receiver, self.probe(address))
            for receiver, address in destinations(lab, self.source, self.target, self.family)
        ]

    def probe(self, address: Address) -> Probe:
        """Return the packets to one address."""
        port = self.tcp or self.udp or 0
        return Probe(address, self.protocol, port, self.size, self.df, self.count)


class Reaches(Probing):
    """A node is answered by another."""

    kind = "reaches"
    summary = "packets from a node are answered: ICMP echo, TCP or UDP, with size, DF and count"

    reaches: str
    """The node or the address that should answer; of a node the first address of each family on a link."""

    def __str__(self) -> str:
        return f"{self.source} reaches {self.reaches}{self.how}"

    @property
    def target(self) -> str:
        """The node or address that should answer."""
        return self.reaches

    def check(self, lab: Lab, start: Start) -> Result:
        """Send packets until all are answered."""
        node = lab.node(self.source)
        last: Sequence[Answer] = ()

        def look() -> Sequence[Answer]:
            nonlocal last
            last = self.answers(lab)
            return last

        def cause() -> str:
            lost = next((answer for answer in last if not answer.complete), None)
            return cause_of(lab, lost) if lost else ""

        return wait(
            Expectation(
                what=str(self),
                node=self.source,
                look=look,
                met=lambda found: all(answer.complete for answer in found),
                seen=_describe,
                logs=node.running.files,
                changed=pause,
                explain=cause,
            ),
            start,
            evidence=lambda found: map(str, found),
        )


class DoesNotReach(Probing):
    """A node is not answered by another."""

    kind = "does-not-reach"
    summary = "no packet from a node is answered: ICMP echo, TCP or UDP"

    does_not_reach: str
    """The node or the address that should not answer."""
    count: int = Field(default=3, ge=1, le=1000)
    """How many packets, or connections; none may be answered."""

    def __str__(self) -> str:
        return f"{self.source} does not reach {self.does_not_reach}{self.how}"

    @property
    def target(self) -> str:
        """The node or address that should not answer."""
        return self.does_not_reach

    def check(self, lab: Lab, start: Start) -> Result:
        """Send packets until none is answered."""
        node = lab.node(self.source)
        return wait(
            Expectation(
                what=str(self),
                node=self.source,
                look=lambda: self.answers(lab),
                met=lambda found: not any(answer.received for answer in found),
                seen=_describe,
                logs=node.running.files,
                changed=pause,
            ),
            start,
            evidence=lambda found: map(str, found),
        )


def _describe(found: Sequence[Answer]) -> str:
    return "; ".join(map(str, found))
