"""The interface to the daemons of one of FRR's protocols, and readers that several of them share."""

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
    """The daemons of one protocol, and the commands that read and configure them."""

    daemons: tuple[str, ...]
    """The daemons besides zebra and mgmtd; the first is the main one."""
    reads_file: bool
    """True if the daemons read frr.conf themselves; False if vtysh passes its part to each."""
    shown: Mapping[str, tuple[str, str]]
    """The output to keep of a failure: daemon and command by the name of the file."""

    def loaded_line(self, plan: RouterPlan) -> tuple[str, str]:
        """Return a daemon, and a line in its running configuration once it has read frr.conf."""

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """See `RoutingDaemon`."""

    def rib(self, node: RunningNode, family: Family) -> Rib:
        """See `RoutingDaemon`."""

    def originate(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix], *, no: bool) -> None:
        """Announce prefixes, or withdraw them with `no`."""


def by_family(prefixes: Iterable[Prefix]) -> dict[Family, list[Prefix]]:
    """Group prefixes by family; a family without prefixes is left out."""
    found: dict[Family, list[Prefix]] = {}
    for prefix in prefixes:
        found.setdefault(family_of(prefix), []).append(prefix)
    return found


def zebra_rib(node: RunningNode, family: Family, protocols: Sequence[str]) -> Rib:
    """Read the routes of some protocols from zebra: `show ip route json`."""
    with Vty(node.root, "zebra") as zebra:
        answer = zebra.ask_json(f"show {'ip' if family == 'ipv4' else 'ipv6'} route json")
    return read_zebra(answer, protocols)


def read_zebra(answer: Mapping[str, Any], protocols: Sequence[str]) -> dict[Prefix, tuple[Path, ...]]:
    """Parse the paths of some protocols in zebra's RIB that have a next hop."""
    found: dict[Prefix, tuple[Path, ...]] = {}
    for text, entries in answer.items():
        prefix = ip_network(text)
        paths = tuple(_path(prefix, entry) for entry in entries if entry.get("protocol") in protocols)
        if learned := tuple(path for path in paths if path.next_hops):
            found[prefix] = learned
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


def originated_paths(prefixes: Iterable[Prefix]) -> dict[Prefix, tuple[Path, ...]]:
    """Return the paths of prefixes that this router originates."""
    return {p: (Path(prefix=p, next_hops=(), as_path=(), peer=None, best=True, valid=True),) for p in prefixes}
