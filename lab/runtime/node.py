"""`LabNode`: a node of a running lab, with probes, captures and expectations."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lab.core.errors import InputError
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import named, prefix_set
from lab.engine import ExecResult
from lab.engine.node import RunningNode
from lab.observe import Capture, Echo, FibEntry, FibWatch, echo, send, without_route
from lab.runtime.questions import Explain, NoAnswer, NoRoute
from lab.topology import Address, Endpoint, Family, Node, Prefix, Topology
from lab.topology.segments import endpoints_of, neighbors_of

WITHIN = 30.0
"""Default deadline of an expectation in seconds, generous because hosts are shared."""


@dataclass(frozen=True, eq=False)
class LabNode:
    """A node by its name: `lab.node("hq")`."""

    running: RunningNode
    topology: Topology
    fib: FibWatch
    """The kernel's routes, kept up to date."""
    explain: Explain
    """Answers the question of a failed expectation."""

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The node's name in its topology."""
        return self.running.name

    @property
    def model(self) -> Node:
        """The node's entry in the topology."""
        return self.topology.nodes[self.name]

    def exec(self, *argv: str) -> ExecResult:
        """Run a command inside and wait for it; check the result or call `raise_on_error()`."""
        return self.running.exec(*argv)

    def interface_to(self, other: "LabNode | str") -> Endpoint:
        """Return this node's end of the link to another node, directly or through a bridge."""
        for here, there in neighbors_of(self.topology, self.name):
            if there.node == str(other):
                return here
        raise InputError(f"{self.name} has no link to {other}")

    def address(self, family: Family) -> Address:
        """Return the first address of a family on a link; raises `InputError` if there is none."""
        for endpoint in endpoints_of(self.topology, self.name):
            interface = endpoint.ipv4 if family == "ipv4" else endpoint.ipv6
            if interface is not None:
                return interface.ip
        raise InputError(f"{self.name} has no {family} address on a link")

    def without_route(self, family: Family) -> int:
        """Return the number of packets that the node could not forward for lack of a route, since its start."""
        return without_route(self.running.namespace, family)

    def capture(self, interface: str, **options: Any) -> Capture:
        """Start a capture on an interface; see `Capture`."""
        return Capture(self.running.namespace, interface, node=self.name, **options)

    def send(self, packet: Any, interface: str | None = None) -> None:
        """Send a scapy packet, `IP(…)/…` or `IPv6(…)/…`, unchanged, out of an interface or by the kernel's routes."""
        send(self.running.namespace, packet, interface)

    def echo(self, destination: Address, **options: Any) -> Echo:
        """Send ICMP echo requests; see `lab.observe.echo`."""
        return echo(self.running.namespace, self.name, destination, **options)

    def expect_reaches(
        self, destination: Address, *, within: float = WITHIN, since: float | None = None, **options: Any
    ) -> Echo:
        """Wait until an address answers an echo request."""
        return wait_for(
            Expectation(
                what=f"{destination} to answer {self.name}",
                node=self.name,
                look=lambda: self.echo(destination, wait=0.5, **options),
                met=lambda result: result.answered,
                logs=self.running.files,
                explain=lambda: self.explain(NoAnswer(self.name, destination, options.get("packet_size"))),
            ),
            within=within,
            since=since,
        )

    def expect_in_fib(
        self,
        prefixes: Prefix | Iterable[Prefix],
        *,
        via: str | None = None,
        alone: bool = False,
        within: float = WITHIN,
        since: float | None = None,
    ) -> dict[Prefix, FibEntry]:
        """Wait until the kernel has routes to all prefixes, through the interface `via` if one is given.

        With `alone`, through that interface only.
        """
        wanted = prefix_set(prefixes)

        def look() -> dict[Prefix, FibEntry]:
            routes = ((prefix, self.fib.route(prefix)) for prefix in wanted)
            return {prefix: entry for prefix, entry in routes if entry is not None and matches(entry)}

        def matches(entry: FibEntry) -> bool:
            return via is None or (entry.interfaces == (via,) if alone else via in entry.interfaces)

        suffix = f" through {via}{' alone' if alone else ''}" if via else ""
        return wait_for(
            Expectation(
                what=f"{named(wanted)}{suffix} in the kernel FIB",
                node=self.name,
                look=look,
                met=lambda found: len(found) == len(wanted),
                seen=lambda found: f"{len(found)} of {len(wanted)}, without {named(wanted - found.keys())}",
                logs=self.running.files,
                changed=self.fib.waiter(),
                explain=lambda: self.explain(NoRoute(self.name, wanted, via)),
            ),
            within=within,
            since=since,
        )

    def expect_not_in_fib(
        self, prefixes: Prefix | Iterable[Prefix], *, within: float = WITHIN, since: float | None = None
    ) -> None:
        """Wait until the kernel has no route to any of the prefixes."""
        unwanted = prefix_set(prefixes)
        wait_for(
            Expectation(
                what=f"{named(unwanted)} gone from the kernel FIB",
                node=self.name,
                look=lambda: unwanted & self.fib.routes().keys(),
                met=lambda left: not left,
                seen=lambda left: f"{len(left)} of {len(unwanted)} still there: {named(left)}",
                logs=self.running.files,
                changed=self.fib.waiter(),
            ),
            within=within,
            since=since,
        )
