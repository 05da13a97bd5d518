"""Readers of what programs print about a host: `ip address`, `ip route`, `sysctl -a` and `nft list ruleset`."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from itertools import pairwise
from typing import Any

from lab.configs.disk import Spot, Unreadable
from lab.configs.host.facts import HostInterface, HostRoute, Translation
from lab.configs.host.rulesets import looks_like_iptables
from lab.core.prefixes import Address, Interface, Prefix

_MAX_ITEMS = 200_000
_DISCARDING = ("blackhole", "unreachable", "prohibit")
_LINK = re.compile(r"\d+: (?P<name>[^\s:@]+)(?:@\S+)?: <(?P<flags>[A-Z0-9_,-]*)> mtu (?P<mtu>\d{1,9})\b(?P<rest>.*)")
_TRANSLATION = re.compile(r"\b(masquerade|snat|dnat|redirect)\b")
_OUTGOING = re.compile(r'\boif(?:name)?\s+"?([A-Za-z0-9_.@-]+)"?(?:\s|$)')
_TRANSLATION_OF_IPTABLES = re.compile(r"-A \S+ .*-j (MASQUERADE|SNAT|DNAT|REDIRECT)\b")
_OUTGOING_OF_IPTABLES = re.compile(r"(?<!! )(?:-o|--out-interface) ([A-Za-z0-9_.@-]+)(?:\s|$)")
_FORWARD_DROP_OF_IPTABLES = re.compile(r"(?m)^:FORWARD DROP\b")
_FORWARD_DROP = re.compile(r"\bhook\s+forward\b[^\n}]*\bpolicy\s+(drop|accept)\b")


def parse_addresses(text: str, name: str) -> tuple[HostInterface, ...]:
    """Read the output of `ip address`, with or without `-j`; raises `Unreadable`."""
    if text.lstrip().startswith("["):
        return tuple(_json_interface(item, text, name) for item in _items(text, name) if "ifname" in item)
    return tuple(_text_interfaces(text, name))


def parse_routes(text: str, name: str) -> tuple[HostRoute, ...]:
    """Read the output of `ip route` or `ip -6 route`, with or without `-j`; raises `Unreadable`."""
    if text.lstrip().startswith("["):
        found = (_json_route(item, name) for item in _items(text, name))
    else:
        lines = enumerate(text.split("\n")[:_MAX_ITEMS], 1)
        found = (parse_route(line.split(), Spot(name, number)) for number, line in lines)
    return tuple(route for route in found if route is not None)


def parse_route(words: list[str], spot: Spot) -> HostRoute | None:
    """Return the route in the words of `ip route`, as `10.0.0.0/8 via 192.0.2.1 dev eth0`; None for another text."""
    discards = words[:1] != [] and words[0] in _DISCARDING
    if discards or words[:1] == ["unicast"]:
        words = words[1:]
    if not words:
        return None
    options = dict(pairwise(words[1:]))
    via = _address(options.get("via", "").removeprefix("inet6 "))
    prefix = _prefix(words[0], six=(via is not None and via.version == 6))
    if prefix is None:
        return None
    return HostRoute(prefix, spot, via, options.get("dev"), discards, options.get("proto", ""))


def parse_sysctl(text: str) -> dict[str, str]:
    """Read the output of `sysctl -a`, or a file of sysctl.d."""
    found = {}
    for line in text.split("\n")[:_MAX_ITEMS]:
        key, equals, value = line.partition("=")
        key = key.strip().removeprefix("-")
        if equals and re.fullmatch(r"[a-z][\w./@:*-]*", key, re.ASCII):
            # A key of sysctl.d may have slashes; then a dot is part of an interface's name.
            first = re.search(r"[./]", key)
            if first is not None and first[0] == "/":
                key = key.replace(".", "\0").replace("/", ".").replace("\0", "/")
            found[key] = value.strip()
    return found


def parse_ruleset(text: str, name: str) -> tuple[tuple[Translation, ...], bool]:
    """Return the rules that rewrite addresses, and if a chain of the forward hook drops by default.

    The ruleset is nftables' own, or an output of `iptables-save`.
    """
    if looks_like_iptables(text):
        return tuple(_translations_of_iptables(text, name)), bool(_FORWARD_DROP_OF_IPTABLES.search(text))
    translations = []
    for number, line in enumerate(text.split("\n")[:_MAX_ITEMS], 1):
        rule = line.strip()
        match = _TRANSLATION.search(rule)
        if match and not rule.startswith(("#", "chain", "table", "type")):
            outgoing = _OUTGOING.search(rule)
            translations.append(Translation(rule, match[1], Spot(name, number), outgoing[1] if outgoing else None))
    return tuple(translations), "drop" in _FORWARD_DROP.findall(text)


def _translations_of_iptables(text: str, name: str) -> Iterator[Translation]:
    for number, line in enumerate(text.split("\n")[:_MAX_ITEMS], 1):
        if match := _TRANSLATION_OF_IPTABLES.search(line):
            outgoing = _OUTGOING_OF_IPTABLES.search(line)
            interface = outgoing[1] if outgoing else None
            yield Translation(line.strip(), match[1].lower(), Spot(name, number), interface)


def parse_hosts(text: str) -> tuple[tuple[str, Address], ...]:
    """Read /etc/hosts, without the names of this host's own loopback and of multicast."""
    found = []
    for line in text.split("\n")[:_MAX_ITEMS]:
        words = line.partition("#")[0].split()
        address = _address(words[0]) if len(words) > 1 else None
        if address is not None and not (address.is_loopback or address.is_multicast or words[0] == "fe00::0"):
            found += [(word, address) for word in words[1:]]
    return tuple(found)


# --- ip -j -------------------------------------------------------------------------------------------------


def _items(text: str, name: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{name}: not the output of `ip -j`: {str(error)[:80]}") from error
    if not isinstance(found, list):
        raise Unreadable(f"{name}: not the output of `ip -j`: not a list")
    return [item for item in found[:_MAX_ITEMS] if isinstance(item, dict)]


def _json_interface(item: dict[str, Any], text: str, file: str) -> HostInterface:
    name = str(item["ifname"])
    infos = item.get("addr_info")
    addresses: list[Interface] = []
    peer = None
    for info in infos if isinstance(infos, list) else []:
        if not isinstance(info, dict) or info.get("scope") == "link":
            continue
        address = _interface(f"{info.get('local')}/{info.get('prefixlen')}")
        if address is not None:
            addresses.append(address)
            peer = _address(str(info.get("address", ""))) or peer
    link = item.get("linkinfo")
    kind = link.get("info_kind") if isinstance(link, dict) else None
    if item.get("link_type") == "loopback":
        kind = "loopback"
    mtu, master = item.get("mtu"), item.get("master")
    data = link.get("info_data") if isinstance(link, dict) else None
    table = data.get("table") if kind == "vrf" and isinstance(data, dict) else None
    return HostInterface(
        name,
        Spot(file, _line(text, json.dumps(name))),
        tuple(addresses),
        mtu if isinstance(mtu, int) else None,
        str(kind or ""),
        peer,
        str(master) if master else None,
        table if isinstance(table, int) and 0 < table < 1 << 32 else None,
    )


def _json_route(item: dict[str, Any], name: str) -> HostRoute | None:
    via = _address(str(item.get("gateway") or ""))
    if via is None and isinstance(item.get("via"), dict):
        via = _address(str(item["via"].get("host", "")))
    device = item.get("dev")
    hops = item.get("nexthops")
    if via is None and isinstance(hops, list) and hops and isinstance(hops[0], dict):
        via, device = _address(str(hops[0].get("gateway") or "")), hops[0].get("dev")
    prefix = _prefix(str(item.get("dst", "")), six=via is not None and via.version == 6)
    if prefix is None:
        return None
    return HostRoute(
        prefix,
        Spot(name, 1),
        via,
        str(device) if device else None,
        item.get("type") in _DISCARDING,
        str(item.get("protocol") or ""),
    )


def _line(text: str, quoted: str) -> int:
    return 1 + text.count("\n", 0, max(text.find(quoted), 0))


# --- ip without -j -----------------------------------------------------------------------------------------


def _text_interfaces(text: str, file: str) -> Iterator[HostInterface]:
    at: HostInterface | None = None
    for number, line in enumerate(text.split("\n")[:_MAX_ITEMS], 1):
        if match := _LINK.match(line):
            if at is not None:
                yield at
            rest = match["rest"].split()
            master = rest[rest.index("master") + 1] if "master" in rest[:-1] else None
            kind = "loopback" if "LOOPBACK" in match["flags"].split(",") else ""
            at = HostInterface(match["name"], Spot(file, number), (), int(match["mtu"]), kind, None, master)
            continue
        words = line.split()
        if at is None or len(words) < 2 or words[0] not in ("inet", "inet6") or "link" in _scope(words):
            continue
        # With `peer` the length is the other end's.
        other = words[3] if words[2:3] == ["peer"] and len(words) > 3 else None
        address = _interface(words[1] if other is None else f"{words[1]}/{other.rpartition('/')[2]}")
        if address is not None:
            peer = _address(other.partition("/")[0]) if other else at.peer
            at = replace(at, addresses=(*at.addresses, address), peer=peer)
    if at is not None:
        yield at


def _scope(words: list[str]) -> str:
    return words[words.index("scope") + 1] if "scope" in words[:-1] else ""


def _prefix(text: str, *, six: bool) -> Prefix | None:
    if text == "default":
        return ip_network("::/0" if six else "0.0.0.0/0")
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _interface(text: str) -> Interface | None:
    try:
        return ip_interface(text)
    except ValueError:
        return None
