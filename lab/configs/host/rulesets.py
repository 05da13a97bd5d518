"""Reader of packet filters: rulesets of nftables, and the outputs of `iptables-save` and `ip6tables-save`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Literal

from lab.core.prefixes import Address

RulesetForm = Literal["nft", "iptables", "ip6tables"]
"""The program that loads a ruleset: `nft`, `iptables-restore` or `ip6tables-restore`."""

_MAX_LINES = 200_000
_IPTABLES = (re.compile(r"(?m)^\*(filter|nat|mangle|raw|security)\s*$"), re.compile(r"(?m)^:[\w-]+ \S+ \["))
_TABLE = re.compile(r"\s*(?:add\s+)?table\s+(?:(ip6?|inet|arp|bridge|netdev)\s+)?([\w.-]+)\s*(?:\{|;|$)")
_NAME = r"[A-Za-z0-9_.@:+*-]+"
_OPERAND = rf'\{{[^{{}}]*\}}?|vmap\s*\{{[^{{}}]*\}}?|"[^"]+"|{_NAME}'
_FIB = r"\bfib\s+\w+(?:\s*\.\s*\w+)*\s+(?:oifname|oif|type)\b"
_NFT_MATCH = re.compile(
    rf"{_FIB}|(?<!\. )\b(?P<key>[io]if(?:name)?)(?P<space>\s+(?:(?:!=|==)\s*)?)(?P<operand>(?![.$@\d])(?:{_OPERAND}))"
    r"|\"[^\"]*\""
)
"""A comparison with interfaces; or an expression or a text that looks like one, without a key."""
_NFT_DEVICES = re.compile(r"\bdevices?\s*=?\s*(?P<operand>\{[^{}]*\}|\"[^\"]+\"|[A-Za-z0-9_.@-]+)")
_QUOTED = re.compile(rf'"([^"]+)"|(?<![\w.@-])({_NAME})')
_VERDICT = re.compile(r":\s*[a-z]+(\s+[\w.-]+)?")
_IPTABLES_MATCH = re.compile(rf"(?<=\s)(?:-[io]|--(?:in|out)-interface|--physdev-(?:in|out))\s+({_NAME})")
_INCLUDE = re.compile(r'^\s*include\s+["\']([^"\']+)["\']')
_COMPATIBLE = re.compile(r'\bxt (match|target) "([^"]*)"')
_TO = r"(?P<to>[0-9.]+|\[[0-9a-fA-F:.]+\]|[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*)(?::(?P<port>\d{1,5}))?(?![\d:-])"
_FORWARD = {
    True: (
        re.compile(rf"\bdnat (?:ip6? )?to {_TO}"),
        re.compile(r"\b(?P<transport>tcp|udp) dport (?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?(?=\s)"),
        re.compile(r"\bip6? daddr ([0-9a-fA-F:.]+)(?=\s)"),
    ),
    False: (
        re.compile(rf"-j DNAT --to-destination {_TO}"),
        re.compile(r"-p (?P<transport>tcp|udp)\b.* --dports? (?P<first>\d{1,5})(?::(?P<last>\d{1,5}))?(?=\s)"),
        re.compile(r"(?<!! )-d ([0-9a-fA-F:.]+?)(?:/32|/128)?(?=\s)"),
    ),
}
"""The target, the port and the destination address of a port forward; True for nft."""
_ADDRESS6 = re.compile(r"(?<![\w:.])([0-9a-fA-F:]*:[0-9a-fA-F:.]+)(?:/\d+)?(?![\w:.])")


@dataclass(frozen=True)
class Named:
    """An interface that a line of a ruleset names."""

    interface: str
    line: int
    """From 1."""
    how: Literal["name", "index", "device"]
    """`name`: compared with a packet's interface; `index`: with its index, so that the interface must exist when the
    rule is loaded; `device`: the hook of a flowtable or a chain, which must exist too."""

    @property
    def is_pattern(self) -> bool:
        """True for a name with a wildcard, as `tun*` of nft and `tun+` of iptables."""
        return self.interface.endswith(("*", "+"))


def form_of_ruleset(text: str, name: str = "") -> RulesetForm:
    """Return the program that loads a ruleset; `name` is the file's, which may tell the family of iptables' rules."""
    if not looks_like_iptables(text):
        return "nft"
    head = text[:200]
    if "ip6tables-save" in head or "iptables-save" in head:
        return "ip6tables" if "ip6tables-save" in head else "iptables"
    six = any(_is_ipv6(found) for found in _ADDRESS6.findall(text)) or "icmp6" in text or "ipv6-icmp" in text
    return "ip6tables" if six or re.search(r"6tables|v6\b|ipv6", name) else "iptables"


def looks_like_iptables(text: str) -> bool:
    """Return True for an output of `iptables-save` or `ip6tables-save`."""
    return all(pattern.search(text) for pattern in _IPTABLES)


def tables_of(text: str, form: RulesetForm) -> tuple[str, ...]:
    """Return the tables of a ruleset, as `ip nat` or `filter`, each once."""
    found: list[str] = []
    for _, line in _lines(text):
        if form != "nft":
            if line.startswith("*"):
                found.append(line[1:].strip())
        elif match := _TABLE.match(line):
            found.append(f"{match[1] or 'ip'} {match[2]}")
    return tuple(dict.fromkeys(found))


def interfaces_of(text: str, form: RulesetForm) -> Iterator[Named]:
    """Yield the interfaces that a ruleset names, with their lines; names of nft's own variables are left out."""
    for number, line in _lines(text):
        if form != "nft":
            yield from (Named(found, number, "name") for found in _IPTABLES_MATCH.findall(line))
            continue
        for match in _NFT_MATCH.finditer(line):
            if match["key"] is None:
                continue
            how: Literal["name", "index"] = "name" if match["key"].endswith("name") else "index"
            yield from (Named(name, number, how) for name in names_in(match["operand"]))
        if "device" in line:
            for match in _NFT_DEVICES.finditer(line):
                yield from (Named(name, number, "device") for name in names_in(match["operand"]))


@dataclass(frozen=True)
class PortForward:
    """A rule that sends what arrives at a port to another host."""

    transport: str
    """`udp` or `tcp`."""
    ports: range
    """The ports at which it arrives."""
    to: Address
    to_port: int | None
    """The port there; None if it stays the same."""
    destination: Address | None = None
    """The address at which it arrives; None for all of the router's."""


def forwards_of(text: str, form: RulesetForm) -> Iterator[PortForward]:
    """Yield the port forwards of a ruleset, as far as they are one rule each for a single port or range."""
    pattern, port, destination = _FORWARD[form == "nft"]
    for _, line in _lines(text):
        if (target := pattern.search(line)) is None or (ports := port.search(line)) is None:
            continue
        at = destination.search(line)
        try:
            to = ip_address(target["to"].strip("[]"))
            arrives = ip_address(at[1]) if at else None
        except ValueError:
            continue
        first, last = int(ports["first"]), int(ports["last"] or ports["first"])
        yield PortForward(
            transport=ports["transport"],
            ports=range(first, last + 1),
            to=to,
            to_port=int(target["port"]) if target["port"] else None,
            destination=arrives,
        )


def names_in(operand: str) -> Iterator[str]:
    """Yield the names in an operand of nft: one, or those of a set or a verdict map."""
    inside = operand.removeprefix("vmap").strip()
    if inside.startswith("{"):
        inside = _VERDICT.sub("", inside.strip("{}"))
    for quoted, plain in _QUOTED.findall(inside):
        yield quoted or plain


def by_name(line: str, absent: frozenset[str]) -> str:
    """Return a line of nft that compares interfaces by name where it does so by index with one of the `absent`."""

    def replaced(match: re.Match[str]) -> str:
        key = match["key"]
        if key is None:
            return match[0]
        if not key.endswith("name") and absent & set(names_in(match["operand"])):
            key += "name"
        return f"{key}{match['space']}{match['operand']}"

    return _NFT_MATCH.sub(replaced, line)


def without_devices(line: str, absent: frozenset[str]) -> str:
    """Return a line `devices = { … }` of a flowtable without the `absent` interfaces."""
    match = re.search(r"\bdevices\s*=\s*\{([^{}]*)\}\s*;?", line)
    if match is None:
        return line
    kept = [name for name in names_in(match[1]) if name not in absent]
    text = f"devices = {{ {', '.join(kept)} }};" if kept else ""
    return line[: match.start()] + text + line[match.end() :]


def includes_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the path of each `include` of nft."""
    for number, line in _lines(text):
        if match := _INCLUDE.match(line):
            yield number, match[1]


def compatible_rule(text: str) -> tuple[int, str] | None:
    """Return the line and the name of the first rule of `iptables-nft` that nft lists but cannot load; else None."""
    for number, line in _lines(text):
        if match := _COMPATIBLE.search(line):
            return number, match[2]
    return None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines without comments, with their numbers from 1."""
    for number, line in enumerate(text.split("\n")[:_MAX_LINES], 1):
        if not line.lstrip().startswith("#"):
            yield number, line


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
