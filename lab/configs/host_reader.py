"""Reads what is known about a host beside its daemons: outputs of programs, and the files that set its addresses."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from lab.configs.disk import Disk
from lab.configs.host.facts import HostFacts, HostInterface
from lab.configs.host.files import parse_ifupdown, parse_netplan, parse_networkd
from lab.configs.host.outputs import parse_addresses, parse_hosts, parse_routes, parse_ruleset, parse_sysctl
from lab.configs.recognise import FileKind, recognise

MAX_SIZE = 8 << 20
"""The maximum size of an output in bytes; a routing table can be long."""
_FILES = {
    FileKind.IFUPDOWN: parse_ifupdown,
    FileKind.NETPLAN: parse_netplan,
    FileKind.NETWORKD: parse_networkd,
}
_INSTEAD = "add the output of `ip -j address` for its addresses"
_NOT_BY_NAME = f"it matches interfaces by something else than one name: {_INSTEAD}"
_UNREAD = (FileKind.IFCFG, FileKind.NETWORKMANAGER)


def read_host(paths: Iterable[PurePosixPath], disk: Disk | None = None) -> HostFacts:
    """Read one host's files, each recognised by its content; others are skipped. Raises `Unreadable`.

    An interface in the output of `ip address` precedes the same one in a file that sets its addresses.
    """
    disk = disk or Disk()
    seen: dict[str, HostInterface] = {}
    configured: dict[str, HostInterface] = {}
    facts = HostFacts()
    for path in dict.fromkeys(paths):
        kind = recognise(path, disk).kind
        if kind is FileKind.IP_ADDRESS:
            seen |= {i.name: i for i in parse_addresses(disk.text(path, MAX_SIZE), disk.name(path))}
        elif kind is FileKind.IP_ROUTE:
            facts = replace(facts, routes=facts.routes + parse_routes(disk.text(path, MAX_SIZE), disk.name(path)))
        elif kind in _FILES:
            interfaces, routes = _FILES[kind](disk.text(path), disk.name(path))
            configured |= {i.name: i for i in interfaces}
            unread = (f"{disk.name(path)}: {_NOT_BY_NAME}",) if kind is FileKind.NETWORKD and not interfaces else ()
            facts = replace(facts, routes=facts.routes + routes, unread=facts.unread + unread)
        elif kind in _UNREAD:
            facts = replace(facts, unread=(*facts.unread, f"{disk.name(path)}: {kind}, which is not read: {_INSTEAD}"))
        elif kind in (FileKind.SYSCTL, FileKind.HOSTS, FileKind.NFTABLES, FileKind.IPTABLES, FileKind.HOSTNAME):
            facts = _with_text(facts, kind, disk.text(path, MAX_SIZE), disk.name(path))
    return replace(facts, interfaces=tuple((configured | seen).values()))


def _with_text(facts: HostFacts, kind: FileKind, text: str, name: str) -> HostFacts:
    if kind is FileKind.SYSCTL:
        sysctls: Mapping[str, str] = {**facts.sysctls, **parse_sysctl(text)}
        return replace(facts, sysctls=sysctls)
    if kind is FileKind.HOSTS:
        return replace(facts, names=facts.names + parse_hosts(text))
    if kind is FileKind.HOSTNAME:
        return replace(facts, hostname=text.strip())
    translations, drops = parse_ruleset(text, name)
    return replace(
        facts,
        ruleset=text if facts.ruleset is None else f"{facts.ruleset}\n{text}",
        translations=facts.translations + translations,
        forward_drops=bool(facts.forward_drops) or drops,
    )
