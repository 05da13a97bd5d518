"""The lines of FRR's and Quagga's configurations, each with its section.

As in vtysh, a command of another level ends a section; indentation has no meaning.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lab.configs.disk import Spot
from lab.core.prefixes import Family

_TOP = re.compile(
    r"(no )?(router|route-map|ip|ipv6|interface|vrf|line|bfd|key|access-list|frr|hostname|log|service|password|debug|"
    r"end|agentx|rpki|pbr-map|nexthop-group|segment-routing|banner|domainname|zebra|mac|username|enable|"
    r"allow-external-route-update|router-id|mpls|l2vpn|pseudowire|exit-vrf|exec-timeout)(?= |$)"
)
_GLOBAL_IP = {
    "route", "prefix-list", "protocol", "nht", "forwarding", "import-table", "community-list", "large-community-list",
    "extcommunity-list", "as-path", "access-list", "router-id", "multicast-routing", "ssmpingd", "mroute",
}  # fmt: skip
"""The second words of `ip` and `ipv6` commands that do not belong to an interface."""
_SHORT = {"int": "interface", "inter": "interface"}
"""Abbreviations that people write into files; vtysh accepts any that is unique."""
_ABBREVIATED = ("neighbor", "network", "redistribute", "passive-interface", "address-family", "timers")
"""The commands of a `router` section that are read also if they are abbreviated."""
_OPTIONS = (
    "remote-as", "peer-group", "activate", "route-map", "prefix-list", "update-source", "ebgp-multihop", "ttl-security",
    "password", "shutdown", "timers", "bfd", "interface", "local-as", "next-hop-self", "passive", "filter-list",
    "distribute-list", "description", "advertise-map", "attribute-unchanged", "disable-connected-check",
)  # fmt: skip
"""The same for the words after `neighbor NAME`."""
_SECTIONS = ("router", "route-map", "interface", "vrf", "bfd", "key")
_UNICAST: dict[tuple[str, ...], Family] = {
    ("ipv4",): "ipv4",
    ("ipv4", "unicast"): "ipv4",
    ("ipv6",): "ipv6",
    ("ipv6", "unicast"): "ipv6",
}
_OTHER_FAMILY = "router of another address family"


@dataclass(frozen=True)
class Statement:
    """A line with its sections."""

    section: str
    """`router bgp 65001`, `interface tun0`, `route-map X permit 10`, or empty."""
    family: Family | None
    """The family of the `address-family … unicast` section, if the line is in one."""
    words: tuple[str, ...]
    spot: Spot

    @property
    def negated(self) -> bool:
        """True for a command that begins with `no`."""
        return self.words[0] == "no"

    @property
    def plain(self) -> tuple[str, ...]:
        """The words without a leading `no`."""
        return self.words[1:] if self.negated else self.words

    @property
    def vrf(self) -> str | None:
        """The VRF of its section."""
        words = self.section.split()
        if words[:1] == ["vrf"]:
            return words[1] if len(words) > 1 else None
        return words[words.index("vrf", 1) + 1] if "vrf" in words[1:-1] else None

    def __str__(self) -> str:
        """The line, without what follows a password or a key."""
        for number, word in enumerate(self.words):
            if word in ("password", "key", "key-string", "md5", "secret", "authentication-key"):
                return " ".join((*self.words[: number + 1], "…"))
        return " ".join(self.words)


def statements(text: str, name: str) -> Iterator[Statement]:
    """Return the lines of a file without comments."""
    section = ""
    family: Family | None = None
    outer = ""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        words = tuple(line.split())
        if not words or words[0].startswith(("!", "#")) or words == ("no",):
            continue
        if words[0] in _SHORT:
            words = (_SHORT[words[0]], *words[1:])
        if outer.startswith("router"):
            words = _expanded(words)
        plain = " ".join(words)
        if _TOP.match(plain) and not _belongs(section, words):
            section = plain if words[0] in _SECTIONS else ""
            family, outer = None, section
        elif words[0] == "address-family" and outer.startswith("router"):
            family = _UNICAST.get(words[1:])
            section = outer if family else _OTHER_FAMILY
        elif words[0] == "exit-address-family" or (words[0] == "exit" and (family or section == _OTHER_FAMILY)):
            section, family = outer, None
            continue
        elif words[0] == "exit":
            section = outer = ""
            continue
        yield Statement(section, family, words, Spot(name, number))


def _expanded(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a command in a `router` section without abbreviations, which FRR accepts in files as well."""
    at = 1 if words[0] == "no" else 0
    found = list(words)
    found[at] = _whole(words[at], _ABBREVIATED)
    if found[at] == "neighbor" and len(words) > at + 2:
        found[at + 2] = _whole(words[at + 2], _OPTIONS)
    return tuple(found)


def _whole(word: str, known: tuple[str, ...]) -> str:
    found = [name for name in known if name.startswith(word)]
    return found[0] if len(found) == 1 and len(word) > 2 else word


def _belongs(section: str, words: tuple[str, ...]) -> bool:
    """Return True for a line of a section whose first word is also a command outside of sections."""
    if words[0] == "no":
        words = words[1:]
    kind, _, rest = section.partition(" ")
    match kind, words[:2]:
        case "interface", ("ip" | "ipv6", what):
            return what not in _GLOBAL_IP
        case "interface", ("bfd" | "mac" | "mpls", _):
            return True
        case "vrf", ("ip" | "ipv6", "route" | "protocol" | "nht" | "router-id"):
            return True
        case "key", ("key", what):
            return what != "chain"
        case "router", ("interface", _):
            return rest.startswith("ospf6")
        case "router", ("route-map", _):
            return len(words) > 2 and words[2] in ("in", "out")
        case "router", ("router-id" | "segment-routing" | "mpls", _):
            return True
    return False
