"""What FRR's protocols have in common, so that one unit drives the daemons of each."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

from lab.core.prefixes import family_of
from lab.engine.node import RunningNode
from lab.routing.frr.vty import Vty
from lab.routing.model import Neighbor, Path, Rib
from lab.routing.peers import RouterPlan
from lab.topology import Family, Prefix


class Speaker(Protocol):
    """One protocol of FRR's: the daemons that speak it, and how they are asked."""

    daemons: tuple[str, ...]
    """Besides zebra and mgmtd; the first is the one that counts."""
    reads_file: bool
    """The daemons read frr.conf themselves; else vtysh hands each what is its own."""
    shown: Mapping[str, tuple[str, str]]
    """What a diagnosis keeps: file, daemon, command."""

    def mark(self, plan: RouterPlan) -> tuple[str, str]:
        """A daemon, and a line that its configuration has once it was taken."""

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """See `RoutingDaemon`."""

    def rib(self, node: RunningNode, family: Family) -> Rib:
        """See `RoutingDaemon`."""

    def originate(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix], *, no: bool) -> None:
        """Announce prefixes, or, with `no`, withdraw them."""


def by_family(prefixes: Iterable[Prefix]) -> dict[Family, list[Prefix]]:
    """Prefixes in their families; a family without any is missing."""
    found: dict[Family, list[Prefix]] = {}
    for prefix in prefixes:
        found.setdefault(family_of(prefix), []).append(prefix)
    return found


def zebra_rib(node: RunningNode, family: Family, protocols: Sequence[str]) -> Rib:
    """What the daemons of some protocols gave zebra: `show ip route json`."""
    with Vty(node.root, "zebra") as zebra:
        answer = zebra.ask_json(f"show {'ip' if family == 'ipv4' else 'ipv6'} route json")
    return read_zebra(answer, protocols)


def read_zebra(answer: Mapping[str, Any], protocols: Sequence[str]) -> dict[Prefix, tuple[Path, ...]]:
    """The paths of some protocols in zebra's RIB that lead to a neighbour."""
    found: dict[Prefix, tuple[Path, ...]] = {}
    for text, entries in answer.items():
        prefix = ip_network(text)
        paths = tuple(_path(prefix, entry) for entry in entries if entry.get("protocol") in protocols)
        if learnt := tuple(path for path in paths if path.next_hops):
            found[prefix] = learnt
    return found


def _path(prefix: Prefix, entry: Mapping[str, Any]) -> Path:
    hops = tuple(ip_address(hop["ip"]) for hop in entry.get("nexthops", ()) if "ip" in hop)
    return Path(
        prefix=prefix,
        next_hops=hops,
        as_path=(),
        peer=hops[0] if hops else None,
        best=bool(entry.get("selected", False)),
        valid=bool(entry.get("selected", False)),
    )


def own_paths(prefixes: Iterable[Prefix]) -> dict[Prefix, tuple[Path, ...]]:
    """Paths of what this router originates itself."""
    return {p: (Path(prefix=p, next_hops=(), as_path=(), peer=None, best=True, valid=True),) for p in prefixes}
