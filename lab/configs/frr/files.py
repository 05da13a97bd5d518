"""The files of a host's FRR or Quagga: one for all daemons, or one for each."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import PurePosixPath

from lab.configs.daemons_file import DAEMONS, looks_like_daemons, parse_daemons
from lab.configs.disk import Disk, Spot
from lab.configs.frr.configuration import FrrConfiguration
from lab.configs.frr.interior import PROTOCOLS
from lab.configs.frr.known import is_known
from lab.configs.frr.statements import Statement, statements
from lab.configs.frr.zebra import interfaces, network
from lab.configs.routing.facts import DaemonsFile, Originated, Redistribution, RouterFacts, Unread
from lab.core.prefixes import Family

MAX_SIZE = 4 << 20
"""The maximum size of a router's configuration in bytes: tens of thousands of neighbours."""
INTEGRATED = ("frr.conf", "Quagga.conf")
SPLIT = tuple(f"{daemon}.conf" for daemon in DAEMONS)
_VTYSH = "vtysh.conf"
_INTERNAL = {"bgpd", "zebra", "ospfd", "ospf6d", "ripd", "ripngd", "router", "quagga", "frr", "staticd"}
"""Names in `hostname` lines of split files that name the daemon and not the host."""


@dataclass(frozen=True)
class FrrFiles:
    """The configuration of a host's daemons, merged from its files."""

    configuration: FrrConfiguration
    paths: tuple[PurePosixPath, ...]
    split: bool
    ignored: tuple[Unread, ...] = ()
    daemons_file: DaemonsFile | None = None


def merge(paths: Sequence[PurePosixPath], disk: Disk) -> FrrFiles:
    """Read a host's files into one configuration; raises `Unreadable`.

    As with the daemons, an integrated file makes them ignore files of their own in the same directory.
    """
    read: dict[PurePosixPath, str] = {path: disk.text(path, MAX_SIZE) for path in paths}
    daemons = [path for path, text in read.items() if path.name not in SPLIT and looks_like_daemons(text)]
    integrated = {path.parent for path in paths if path.name in INTEGRATED}
    kept, ignored = [], []
    for path in paths:
        if path in daemons or path.name == _VTYSH:
            continue
        if path.name in SPLIT and path.parent in integrated:
            text = f"{path.name} is ignored, because there is an integrated configuration beside it"
            ignored.append(Unread(text, Spot(disk.name(path), 1)))
        else:
            kept.append(path)
    found = tuple(s for path in kept for s in statements(read[path], disk.name(path)))
    name = disk.name(kept[0]) if kept else disk.name(paths[0])
    return FrrFiles(
        FrrConfiguration(name, found, quagga=is_quagga(read)),
        tuple(kept),
        split=len(kept) > 1 or any(path.name in SPLIT for path in kept),
        ignored=tuple(ignored),
        daemons_file=parse_daemons(read[daemons[0]], disk.name(daemons[0])) if daemons else None,
    )


def is_quagga(texts: dict[PurePosixPath, str]) -> bool:
    """Return True for files that name Quagga, in their path or text, and none that names FRR."""
    named = any("quagga" in str(path).lower() for path in texts)
    frr = any(re.search(r"(?m)^frr (version|defaults)\b|/(var|etc)/\w+/frr\b", text) for text in texts.values())
    logs = any(re.search(r"/(quagga|Quagga)\b", text) for text in texts.values())
    return not frr and (named or logs)


def facts(files: FrrFiles) -> RouterFacts:
    """Return the facts of a host's daemons."""
    configuration = files.configuration
    found = configuration.statements
    default = next((section for section in configuration.bgp if section.vrf is None), None)
    first = default or next(iter(configuration.bgp), None)
    return RouterFacts(
        daemon="quagga" if configuration.quagga else "frr",
        files=files.paths,
        split=files.split,
        protocols=_protocols(configuration),
        asn=first.asn if first else None,
        router_id=_router_id(found),
        hostname=_hostname(found),
        neighbors=configuration.neighbors,
        originated=tuple(_originated(found)),
        redistributions=tuple(_redistributions(found)),
        interior=configuration.interior,
        static_routes=configuration.static_routes,
        interfaces=interfaces(found),
        vrfs=tuple(dict.fromkeys(s.vrf for s in found if s.vrf is not None)),
        daemons_file=files.daemons_file,
        unread=files.ignored + tuple(Unread(str(s), s.spot) for s in found if not is_known(s)),
    )


def _protocols(configuration: FrrConfiguration) -> frozenset[str]:
    found = {s.words[1] for s in configuration.statements if s.words[0] == "router" and len(s.words) > 1}
    found |= {i.protocol for i in configuration.interior}
    if configuration.static_routes:
        found.add("static")
    if any(s.words == ("bfd",) for s in configuration.statements) or any(n.bfd for n in configuration.neighbors):
        found.add("bfd")
    return frozenset(found - {"id"})


def _router_id(found: Iterable[Statement]) -> IPv4Address | None:
    """Return BGP's router ID, or else OSPF's, or else zebra's."""
    by_rank: dict[int, IPv4Address] = {}
    for s in found:
        match s.section.split()[:2], s.words:
            case ["router", "bgp"], ("bgp", "router-id", text, *_):
                rank = 0
            case ["router", "ospf" | "ospf6"], ("router-id" | "ospf" | "ospf6", *_, text) if "router-id" in s.words:
                rank = 1
            case _, ("router-id", text, *_) | ("ip", "router-id", text, *_) | ("router", "id", text, *_):
                rank = 2
            case _:
                continue
        try:
            by_rank.setdefault(rank, IPv4Address(text))
        except ValueError:
            continue
    return by_rank[min(by_rank)] if by_rank else None


def _hostname(found: Iterable[Statement]) -> str | None:
    names = [s.words[1] for s in found if s.words[0] == "hostname" and len(s.words) > 1]
    return next((name for name in names if name.lower() not in _INTERNAL), None)


def _originated(found: Iterable[Statement]) -> Iterable[Originated]:
    for s in found:
        if s.section.startswith("router bgp") and s.words[0] == "network" and (prefix := network(s.words)):
            yield Originated(prefix, "bgp", s.spot, s.vrf)
        if s.section.split()[1:2] in (["rip"], ["ripng"]) and s.words[0] == "route" and (prefix := network(s.words)):
            yield Originated(prefix, s.section.split()[1], s.spot, s.vrf)  # RIP's own static routes


def _redistributions(found: Iterable[Statement]) -> Iterable[Redistribution]:
    for s in found:
        section = s.section.split()
        if section[:1] == ["router"] and len(section) > 1 and s.words[0] == "redistribute" and len(s.words) > 1:
            yield Redistribution(section[1], s.words[1], _family(s, section[1]), s.spot, s.vrf)


def _family(s: Statement, protocol: str) -> Family | None:
    if protocol == "bgp":
        return s.family or "ipv4"
    return "ipv6" if protocol in ("ospf6", "ripng") else "ipv4" if protocol in PROTOCOLS else None
