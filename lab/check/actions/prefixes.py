"""`announce` and `withdraw`: a router originates prefixes, or stops."""

from collections.abc import Iterable
from functools import partial

from pydantic import Field

from lab.check.model import Action, Problem
from lab.check.problems import no_router, unknown_node
from lab.check.session import Session
from lab.core.prefixes import FAMILIES, Address, Prefix, named, prefix_set
from lab.runtime.router import Router
from lab.topology import Topology
from lab.topology.segments import neighbors_of


class Announce(Action):
    """A router originates prefixes, or changes their attributes."""

    kind = "announce"
    summary = "a router originates prefixes, or changes their attributes; withdrawn at the end"

    announce: Prefix | tuple[Prefix, ...]
    """A prefix, or a list of prefixes."""
    node: str
    """The router."""
    behind: str | None = None
    """A host on a link of the router, which gets an address in each prefix: 10.9.0.2 in 10.9.0.0/24."""
    med: int | None = Field(default=None, ge=0, le=4294967295)
    """BGP: MULTI_EXIT_DISC, the lowest is preferred."""
    next_hop: Address | None = None
    """BGP: another next hop than the router itself."""
    prepend: int = Field(default=0, ge=0, le=20)
    """BGP: how many times the own AS is prepended to the path."""
    through: str | None = None
    """BGP: set the attributes for the neighbours on this interface only."""

    def __str__(self) -> str:
        behind = f" behind {self.behind}" if self.behind else ""
        return f"{self.node} announces {named(self.prefixes)}{behind}"

    @property
    def prefixes(self) -> frozenset[Prefix]:
        """The prefixes."""
        return prefix_set(self.announce)

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown nodes, hosts on no link of the router, and attributes that nothing limits."""
        yield from no_router(topology, "node", self.node)
        if not self.prefixes:
            yield Problem("announce", "no prefix is given", "write one, such as 10.9.0.0/24")
        if self.behind is not None:
            yield from unknown_node(topology, "behind", self.behind)
            near = [there.node for _, there in neighbors_of(topology, self.node)] if self.node in topology.nodes else []
            if self.behind in topology.nodes and near and self.behind not in near:
                yield Problem("behind", f"{self.behind} has no link to {self.node}", f"there are {', '.join(near)}")
        if self.through is not None and self.med is None and self.next_hop is None and not self.prepend:
            yield Problem("through", "it limits med, next-hop and prepend to an interface", "give one of them as well")

    def run(self, session: Session) -> None:
        """Originate the prefixes."""
        router = session.lab.router(self.node)
        new = self.prefixes - _originated(router, self.prefixes)
        host = session.lab.host(self.behind) if self.behind else None
        for prefix in sorted(new, key=str) if host else ():
            assert host is not None
            session.later(f"{host} has an address in {prefix}", partial(router.stop_serving, prefix, host))
            router.serve(prefix, host)
        if new:
            session.later(f"{router} announces {named(new)}", partial(router.withdraw, new))
        if self.med is not None or self.next_hop is not None or self.prepend:
            clear = partial(router.clear_attributes, self.prefixes, through=self.through)
            session.later(f"attributes of {named(self.prefixes)} at {router}", clear)
        router.announce(self.prefixes, med=self.med, next_hop=self.next_hop, prepend=self.prepend, through=self.through)


class Withdraw(Action):
    """A router stops originating prefixes."""

    kind = "withdraw"
    summary = "a router stops originating prefixes; those that it had before are announced again at the end"

    withdraw: Prefix | tuple[Prefix, ...]
    """A prefix, or a list of prefixes."""
    node: str
    """The router."""

    def __str__(self) -> str:
        return f"{self.node} withdraws {named(self.prefixes)}"

    @property
    def prefixes(self) -> frozenset[Prefix]:
        """The prefixes."""
        return prefix_set(self.withdraw)

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown nodes, and an empty list."""
        yield from no_router(topology, "node", self.node)
        if not self.prefixes:
            yield Problem("withdraw", "no prefix is given", "write one, such as 10.9.0.0/24")

    def run(self, session: Session) -> None:
        """Stop originating the prefixes."""
        router = session.lab.router(self.node)
        if before := _originated(router, self.prefixes):
            session.later(f"{router} withdrew {named(before)}", partial(router.announce, before))
        router.withdraw(self.prefixes)


def _originated(router: Router, prefixes: frozenset[Prefix]) -> frozenset[Prefix]:
    """Return which of the prefixes a router originates."""
    found = {prefix for family in FAMILIES for prefix in router.daemon.originated(router.running, family)}
    return prefixes & found
