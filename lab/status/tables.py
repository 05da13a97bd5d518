"""Routes as rows for `lab routes`: the RIB and the kernel's FIB of nodes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.core.errors import EnvironmentBroken
from lab.core.prefixes import FAMILIES, family_of
from lab.runtime.node import LabNode
from lab.runtime.router import Router
from lab.topology import Address, Family, Prefix


@dataclass(frozen=True)
class RibRow:
    """One path in a router's RIB."""

    node: str
    family: Family
    prefix: Prefix
    next_hops: tuple[Address, ...]
    as_path: tuple[int, ...]
    peer: Address | None
    """The neighbour that sent it; None if the router originates it."""
    best: bool
    valid: bool


@dataclass(frozen=True)
class FibRow:
    """One route of a node's kernel."""

    node: str
    family: Family
    prefix: Prefix
    next_hops: tuple[Address, ...]
    """Empty for an on-link route."""
    interfaces: tuple[str, ...]
    protocol: str
    metric: int


def families(family: str | None) -> Sequence[Family]:
    """Return one family, or both for None."""
    return [known for known in FAMILIES if family in (None, known)]


def rib(router: Router, chosen: Sequence[Family]) -> Iterator[RibRow]:
    """Yield all paths, sorted by prefix."""
    for family in chosen:
        try:
            table = router.rib(family)
        except EnvironmentBroken as error:
            raise EnvironmentBroken(f"{router}: {error}: `lab logs {router}` may say why") from error
        for prefix, paths in sorted(table.items(), key=lambda item: _order(item[0])):
            for path in paths:
                yield RibRow(
                    node=router.name,
                    family=family,
                    prefix=prefix,
                    next_hops=path.next_hops,
                    as_path=path.as_path,
                    peer=path.peer,
                    best=path.best,
                    valid=path.valid,
                )


def fib(node: LabNode, chosen: Sequence[Family]) -> Iterator[FibRow]:
    """Yield all unicast routes of the main table, sorted by prefix."""
    for prefix, entry in sorted(node.fib.routes().items(), key=lambda item: _order(item[0])):
        family = family_of(prefix)
        if family in chosen:
            yield FibRow(
                node=node.name,
                family=family,
                prefix=prefix,
                next_hops=entry.next_hops,
                interfaces=entry.interfaces,
                protocol=entry.protocol,
                metric=entry.metric,
            )


def _order(prefix: Prefix) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen
