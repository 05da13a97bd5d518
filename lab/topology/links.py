"""Links, in brief and in extended form, and the checks of their ends."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from typing import Final

from lab.core.prefixes import FAMILIES, Address, Family, Interface
from lab.topology.addresses import objection_to_address
from lab.topology.intent import Encapsulation, EndpointIntent, LinkIntent
from lab.topology.keys import (
    BRIEF_ENDS_REFUSED,
    BRIEF_KEYS,
    DUMMY_KEYS,
    ENDPOINT_KEYS,
    LINK_REFUSED,
    LINK_TYPES,
    LINK_TYPES_REFUSED,
    VETH_KEYS,
)
from lab.topology.mistakes import Findings, did_you_mean, one_of, quote
from lab.topology.model import DEFAULT_MTU, Endpoint, Link
from lab.topology.names import objection_to_interface
from lab.topology.shape import InvalidValue, convert, is_absent, is_null, note_mismatch
from lab.topology.source import Items, Key, Scalar, Table, Tree

INTERFACES: Final[Mapping[Family, type[Interface]]] = {"ipv4": IPv4Interface, "ipv6": IPv6Interface}

MIN_MTU = 68
MIN_MTU_IPV6 = 1280
"""Octets that every link must carry in one piece (RFC 791, RFC 8200)."""
MAX_MTU = 65535
ETHERNET_MTU = 1500

_MAC = re.compile(r"([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}")


@dataclass
class DraftEnd:
    """One end of a link, as read."""

    tree: Tree
    node: str = ""
    interface: str = ""
    mac: str | None = None
    addresses: dict[Family, tuple[Interface, Tree]] = field(default_factory=dict)
    intent: EndpointIntent = field(default_factory=EndpointIntent)
    damaged: set[Family] = field(default_factory=set)
    """The families in which an address was refused: its absence is not another mistake."""

    def __str__(self) -> str:
        return f"{self.node}:{self.interface}"

    def address(self, family: Family) -> Interface | None:
        """Return its address of a family, if it has one."""
        located = self.addresses.get(family)
        return located[0] if located else None


@dataclass
class DraftLink:
    """A link, as read."""

    kind: str
    tree: Tree
    ends: list[DraftEnd]
    mtu: int = DEFAULT_MTU
    intent: LinkIntent = field(default_factory=LinkIntent)

    def to_link(self) -> Link:
        """Return the link of the model."""
        return Link(
            kind="dummy" if self.kind == "dummy" else "veth",
            endpoints=tuple(
                Endpoint(
                    node=end.node,
                    interface=end.interface,
                    mac=end.mac,
                    ipv4=end.addresses["ipv4"][0] if "ipv4" in end.addresses else None,  # type: ignore[arg-type]
                    ipv6=end.addresses["ipv6"][0] if "ipv6" in end.addresses else None,  # type: ignore[arg-type]
                    intent=end.intent,
                )
                for end in self.ends
            ),
            mtu=self.mtu,
            intent=self.intent,
        )


def read_links(tree: Tree | None, findings: Findings) -> list[DraftLink]:
    """Read the `links` list. A link that is wrong in part is returned without the wrong part."""
    if tree is None or is_null(tree):
        return []
    if not isinstance(tree, Items):
        note_mismatch(tree, tuple[str, ...], findings)
        return []
    links = [_Reader(findings).read(item) for item in tree.items]
    return [link for link in links if link is not None]


@dataclass(frozen=True)
class _Reader:
    findings: Findings

    def read(self, tree: Tree) -> DraftLink | None:
        if not isinstance(tree, Table):
            note_mismatch(tree, Mapping[str, str], self.findings)
            return None
        kind = self._kind(tree)
        if kind is None:
            return None
        keys = {"": BRIEF_KEYS, "veth": VETH_KEYS, "dummy": DUMMY_KEYS}[kind]
        self._check_keys(tree, (*keys, "type"), LINK_REFUSED)
        ends = self._one_end(tree) if kind == "dummy" else self._two_ends(tree, brief=not kind)
        if ends is None:
            return None
        if not kind:
            for family in FAMILIES:
                self._brief_addresses(tree, family, ends)
        intent = self._intent(tree)
        link = DraftLink(kind or "veth", tree, ends, self._mtu(tree, ends, _default_mtu(intent)), intent)
        if link.kind == "dummy" and link.intent.peering:
            self.findings.add(tree.entries["vars"], "'peering' needs a link with two ends")
        if link.kind == "dummy" and (link.intent.impair or any(end.intent.impair for end in ends)):
            self.findings.add(tree, "'impair' needs a link with two ends")
        self._check_encapsulation(link)
        return link

    def _kind(self, tree: Table) -> str | None:
        kind = tree.entries.get("type")
        if kind is None or is_null(kind):
            return ""
        if not isinstance(kind, Scalar):
            note_mismatch(kind, str, self.findings)
            return None
        name = kind.text.strip().lower()
        if name == "brief":
            return ""
        if name in LINK_TYPES:
            return name
        if name in LINK_TYPES_REFUSED:
            self.findings.add(kind, f"the lab does not support links of type {name!r}: {LINK_TYPES_REFUSED[name]}")
        else:
            hint = did_you_mean(name, LINK_TYPES) or f"the types are {one_of(LINK_TYPES)}"
            self.findings.add(kind, f"unknown link type {quote(kind.text)}", hint)
        return None

    def _check_keys(self, tree: Table, known: tuple[str, ...], refused_keys: Mapping[str, str]) -> None:
        for key in tree.entries:
            if key in known:
                continue
            if key in refused_keys:
                why = refused_keys[key]
                self.findings.add(tree.keys[key], f"the lab does not support {key!r} here: {why}")
            else:
                self.findings.add(tree.keys[key], f"unknown key {quote(key)}", did_you_mean(key, known))

    # --- ends ----------------------------------------------------------------------------------------------

    def _two_ends(self, tree: Table, *, brief: bool) -> list[DraftEnd] | None:
        endpoints = tree.entries.get("endpoints")
        if endpoints is None:
            self.findings.add(tree, "the key 'endpoints' is missing")
            return None
        if not isinstance(endpoints, Items) or len(endpoints.items) != 2:
            given = f"{len(endpoints.items)}" if isinstance(endpoints, Items) else "not a list"
            self.findings.add(endpoints, f"a link has a list of two endpoints, this is {given}")
            return None
        ends = [self._brief_end(item) if brief else self._end(item) for item in endpoints.items]
        return [end for end in ends if end is not None] if all(ends) else None

    def _one_end(self, tree: Table) -> list[DraftEnd] | None:
        endpoint = tree.entries.get("endpoint")
        if endpoint is None:
            self.findings.add(tree, "the key 'endpoint' is missing")
            return None
        end = self._end(endpoint)
        return [end] if end else None

    def _brief_end(self, tree: Tree) -> DraftEnd | None:
        if not isinstance(tree, Scalar) or ":" not in tree.text:
            given = quote(tree.text) if isinstance(tree, Scalar) else "this"
            hint = None if isinstance(tree, Scalar) else "the extended form needs 'type: veth'"
            self.findings.add(tree, f"{given} is not an endpoint as in 'node:eth1'", hint)
            return None
        node, _, interface = tree.text.partition(":")
        word = node.strip().lower()
        if word in BRIEF_ENDS_REFUSED:
            why = LINK_TYPES_REFUSED[word]
            self.findings.add(tree, f"the lab does not support links of type {word!r}: {why}")
            return None
        end = DraftEnd(tree, node, interface)
        self._check_interface(end, tree)
        return end

    def _end(self, tree: Tree) -> DraftEnd | None:
        if not isinstance(tree, Table):
            note_mismatch(tree, Mapping[str, str], self.findings)
            return None
        self._check_keys(tree, ENDPOINT_KEYS, {})
        missing = [key for key in ("node", "interface") if is_absent(tree, key)]
        for key in missing:
            self.findings.add(tree, f"the key {key!r} is missing")
        if missing:
            return None
        try:
            node = convert(tree.entries["node"], str, self.findings)
            end = DraftEnd(tree, node, convert(tree.entries["interface"], str, self.findings))
        except InvalidValue:
            return None
        self._check_interface(end, tree.entries["interface"])
        if not is_absent(tree, "mac"):
            self._mac(end, tree.entries["mac"])
        for family in FAMILIES:
            if not is_absent(tree, family):
                self._address(end, family, tree.entries[family])
        if not is_absent(tree, "vars"):
            with suppress(InvalidValue):
                end.intent = convert(tree.entries["vars"], EndpointIntent, self.findings)
        return end

    def _check_interface(self, end: DraftEnd, at: Tree) -> None:
        if objection := objection_to_interface(end.interface):
            self.findings.add(at, f"invalid interface name {quote(end.interface)}", objection)

    def _mac(self, end: DraftEnd, tree: Tree) -> None:
        text = tree.text if isinstance(tree, Scalar) else ""
        if not _MAC.fullmatch(text):
            self.findings.add(tree, f"{quote(text)} is not a MAC address", "write it as '02:00:00:00:00:01'")
        elif int(text[:2], 16) & 1:
            self.findings.add(tree, f"{quote(text)} is a multicast MAC address; an interface needs a unicast one")
        else:
            end.mac = text

    # --- addresses -----------------------------------------------------------------------------------------

    def _brief_addresses(self, tree: Table, family: Family, ends: list[DraftEnd]) -> None:
        listed = tree.entries.get(family)
        if listed is None or is_null(listed):
            return
        if not isinstance(listed, Items):
            note_mismatch(listed, tuple[str, ...], self.findings)
            for end in ends:
                end.damaged.add(family)
            return
        if len(listed.items) > len(ends):
            self.findings.add(listed, f"{len(listed.items)} addresses for a link with two ends")
        for end, item in zip(ends, listed.items, strict=False):
            # An empty entry is for an end without an address.
            if not (isinstance(item, Scalar) and not item.text.strip()):
                self._address(end, family, item)

    def _address(self, end: DraftEnd, family: Family, tree: Tree) -> None:
        try:
            address: Interface = convert(tree, INTERFACES[family], self.findings)
        except InvalidValue:
            end.damaged.add(family)
            return
        if objection := objection_to_address(address):
            self.findings.add(tree, objection)
            end.damaged.add(family)
            return
        end.addresses[family] = (address, tree)

    def _mtu(self, tree: Table, ends: list[DraftEnd], default: int) -> int:
        given = tree.entries.get("mtu")
        # As in containerlab, 0 means the default.
        if given is None or is_null(given) or (isinstance(given, Scalar) and given.text == "0"):
            return default
        try:
            mtu: int = convert(given, int, self.findings)
        except InvalidValue:
            return default
        if not MIN_MTU <= mtu <= MAX_MTU:
            self.findings.add(given, f"the MTU {mtu} is not between {MIN_MTU} and {MAX_MTU} bytes")
            return default
        if mtu < MIN_MTU_IPV6 and any("ipv6" in end.addresses for end in ends):
            what = f"IPv6 needs an MTU of {MIN_MTU_IPV6} bytes or more, this link has {mtu}"
            self.findings.add(given, what)
        return mtu

    def _intent(self, tree: Table) -> LinkIntent:
        variables = tree.entries.get("vars")
        if variables is None or is_null(variables):
            return LinkIntent()
        try:
            intent: LinkIntent = convert(variables, LinkIntent, self.findings)
        except InvalidValue:
            return LinkIntent()
        return intent

    def _check_encapsulation(self, link: DraftLink) -> None:
        encapsulation = link.intent.encapsulation
        if encapsulation is None:
            return
        at = link.tree.entries["vars"] if isinstance(link.tree, Table) else link.tree
        outer = encapsulation.outer
        if link.kind == "dummy":
            self.findings.add(at, "'encapsulation' needs a link with two ends")
        elif len(outer) != 2 or outer[0].version != outer[1].version or outer[0] == outer[1]:
            what = "'outer' needs two different addresses of one family, the first and the second node's"
            self.findings.add(at, what)
        elif not encapsulation.carries:
            self.findings.add(at, f"{encapsulation.kind} does not run over {_word(encapsulation.outer_family)}")
        else:
            self._check_carriage(encapsulation, link.ends)

    def _check_carriage(self, encapsulation: Encapsulation, ends: list[DraftEnd]) -> None:
        """Check that the ends have only addresses that the encapsulation can carry."""
        for end in ends:
            for family, (address, tree) in end.addresses.items():
                if family not in encapsulation.carries:
                    carried = " and ".join(_word(carried) for carried in encapsulation.carries)
                    over = f"{encapsulation.kind} over {_word(encapsulation.outer_family)}"
                    self.findings.add(tree, f"{address} cannot be used: {over} carries {carried} only")
            if end.mac is not None and encapsulation.kind != "vxlan":
                self.findings.add(_part(end, "mac"), f"{encapsulation.kind} has no MAC addresses")


def _word(family: Family) -> str:
    return family.replace("ip", "IP")


def _default_mtu(intent: LinkIntent) -> int:
    """Return containerlab's default for a link; for a kernel tunnel, Ethernet's MTU without its headers."""
    if intent.encapsulation is None:
        return DEFAULT_MTU
    return ETHERNET_MTU - intent.encapsulation.overhead


def check_encapsulations(links: Sequence[DraftLink], inner: Iterable[tuple[str, Address]], findings: Findings) -> None:
    """Check that the nodes of each kernel tunnel have its outer addresses: on links, or `inner` to tunnels."""
    addresses = {(end.node, a.ip) for link in links for end in link.ends for a, _ in end.addresses.values()}
    addresses.update(inner)
    for link in links:
        outers = link.intent.encapsulation.outer if link.intent.encapsulation else ()
        if len(outers) != len(link.ends) or not isinstance(link.tree, Table):
            continue
        for end, outer in zip(link.ends, outers, strict=True):
            if (end.node, outer) not in addresses:
                what = f"{quote(end.node)} has no link or tunnel with the outer address {outer}"
                findings.add(link.tree.entries["vars"], what)


def check_ends(links: list[DraftLink], nodes: Mapping[str, str], findings: Findings) -> None:
    """Check that the node of each end exists and that no interface is used twice; `nodes` has each node's kind."""
    first: dict[tuple[str, str], DraftEnd] = {}
    for link in links:
        for end in link.ends:
            at = _part(end, "node")
            if end.node not in nodes:
                findings.add(at, f"there is no node {quote(end.node)}", did_you_mean(end.node, nodes))
                continue
            bridge = nodes[end.node] == "bridge"
            # containerlab has the ports of all bridges in one namespace, the host's.
            place = ("", end.interface) if bridge else (end.node, end.interface)
            if other := first.get(place):
                line = other.tree.place.line
                what = f"the interface {quote(str(end))} is already used by another link"
                if other.node != end.node:
                    what = f"two bridges cannot have ports of the same name, as {quote(str(other))}"
                findings.add(_part(end, "interface"), f"{what}, see line {line}")
            else:
                first[place] = end
            if bridge:
                _check_bridge_end(link, end, findings)


def _check_bridge_end(link: DraftLink, end: DraftEnd, findings: Findings) -> None:
    if link.kind == "dummy":
        findings.add(end.tree, "a dummy interface needs a node of kind 'linux'")
    for _, tree in end.addresses.values():
        findings.add(tree, f"{quote(str(end))} is a port of a bridge and cannot have an address")
    end.addresses.clear()


def _part(end: DraftEnd, key: str) -> Tree | Key:
    if isinstance(end.tree, Table) and key in end.tree.entries:
        return end.tree.entries[key]
    return end.tree
