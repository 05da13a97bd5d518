"""Links, in brief and in extended form, and the checks of their ends."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
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
    LINK_INERT,
    LINK_TYPES,
    LINK_TYPES_REFUSED,
    LINK_UNUSED,
    OUTSIDE_KEYS,
    VETH_KEYS,
)
from lab.topology.mistakes import Findings, did_you_mean, one_of, quote
from lab.topology.model import DEFAULT_MTU, Endpoint, Link, Outside
from lab.topology.names import kernel_name, needs_altname, objection_to_interface
from lab.topology.shape import InvalidValue, build, convert, is_absent, is_null, note_mismatch
from lab.topology.source import Items, Key, Scalar, Table, Tree
from lab.topology.variables import own_variables

INTERFACES: Final[Mapping[Family, type[Interface]]] = {"ipv4": IPv4Interface, "ipv6": IPv6Interface}

MIN_MTU = 68
MIN_MTU_IPV6 = 1280
"""Octets that every link must carry in one piece (RFC 791, RFC 8200)."""
MAX_MTU = 65535
ETHERNET_MTU = 1500

_MAC = re.compile(r"[0-9a-fA-F]{2}([:-])([0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}|([0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}")


_LINK_VARIABLES = tuple(info.alias or name for name, info in LinkIntent.model_fields.items())
_END_VARIABLES = tuple(info.alias or name for name, info in EndpointIntent.model_fields.items())

_PAIRS = ("host", "mgmt-net")
"""Links with an end of a veth pair in the host's network."""
_TUNNELS = ("vxlan", "vxlan-stitch")
_HOST = "host"
"""The word for the host in place of a node."""
_NO_ADDRESS = "the address has no effect: the host's end of a link gets none"


@dataclass
class DraftEnd:
    """One end of a link, as read."""

    tree: Tree
    node: str = ""
    interface: str = ""
    altname: str | None = None
    bridge: str | None = None
    mac: str | None = None
    addresses: dict[Family, tuple[Interface, Tree]] = field(default_factory=dict)
    intent: EndpointIntent = field(default_factory=EndpointIntent)
    damaged: set[Family] = field(default_factory=set)
    """The families in which an address was refused: its absence is not another mistake."""

    def __str__(self) -> str:
        return f"{self.node}:{self.altname or self.interface}"

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
    mtu: int | None = DEFAULT_MTU
    intent: LinkIntent = field(default_factory=LinkIntent)
    outside: Outside | None = None

    def to_link(self) -> Link:
        """Return the link of the model."""
        return Link(
            kind=self.kind,  # type: ignore[arg-type]
            outside=self.outside,
            endpoints=tuple(
                Endpoint(
                    node=end.node,
                    interface=end.interface,
                    altname=end.altname,
                    bridge=end.bridge,
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


def read_links(tree: Tree | None, findings: Findings, unsupported: Collection[str] = ()) -> list[DraftLink]:
    """Read the `links` list. A link that is wrong in part is returned without the wrong part.

    The interfaces of `unsupported` nodes are not checked.
    """
    if tree is None or is_null(tree):
        return []
    if not isinstance(tree, Items):
        note_mismatch(tree, tuple[str, ...], findings)
        return []
    links = [_Reader(findings, unsupported).read(item) for item in tree.items]
    return [link for link in links if link is not None]


@dataclass(frozen=True)
class _Reader:
    findings: Findings
    unsupported: Collection[str]

    def read(self, tree: Tree) -> DraftLink | None:
        if not isinstance(tree, Table):
            note_mismatch(tree, Mapping[str, str], self.findings)
            return None
        kind = self._kind(tree)
        if kind is None:
            return None
        self._check_labels(tree)
        if not kind and (word := _word_outside(tree)) is not None:
            return self._brief_outside(tree, word)
        if kind == "veth-stitch":
            kind = "veth"
        keys = {"": BRIEF_KEYS, "veth": VETH_KEYS, "dummy": DUMMY_KEYS, **OUTSIDE_KEYS}[kind]
        self._check_keys(tree, (*keys, *LINK_INERT, *LINK_UNUSED, "type"))
        if kind:
            self._note_unused(tree)
        ends = self._two_ends(tree, brief=not kind) if kind in ("", "veth") else self._one_end(tree)
        outside = self._outside(tree, kind) if kind in OUTSIDE_KEYS else None
        if ends is None or (kind in OUTSIDE_KEYS and outside is None):
            return None
        if not kind:
            for family in FAMILIES:
                self._brief_addresses(tree, family, ends)
        return self._link(kind or "veth", tree, ends, outside)

    def _link(self, kind: str, tree: Table, ends: list[DraftEnd], outside: Outside | None = None) -> DraftLink:
        intent = self._intent(tree, ends[0].node)
        mtu = self._mtu(tree, ends, None if kind in ("macvlan", "vxlan") else _default_mtu(intent))
        link = DraftLink(kind, tree, ends, mtu, intent, outside)
        if len(ends) == 1 and link.intent.peering:
            self.findings.add(tree.entries["vars"], "'peering' needs a link with two ends")
        if len(ends) == 1 and (link.intent.impair or any(end.intent.impair for end in ends)):
            self.findings.add(tree, "'impair' needs a link with two ends")
        self._check_encapsulation(link)
        return link

    def _brief_outside(self, tree: Table, word: str) -> DraftLink | None:
        """Read a brief link with `host:INTERFACE`, `mgmt-net:INTERFACE` or `macvlan:INTERFACE` in place of a node."""
        items = _endpoints(tree)
        position = [_word_of(item) for item in items].index(word)
        self._check_keys(tree, (*BRIEF_KEYS, *LINK_INERT, "type"))
        far = items[position]
        name = far.text.partition(":")[2] if isinstance(far, Scalar) else ""
        end = self._brief_end(items[1 - position])
        if end is None or not self._check_outside(name, far, altname=word in _PAIRS):
            return None
        placeholder = DraftEnd(far)
        ends = [end, placeholder] if position else [placeholder, end]
        for family in FAMILIES:
            self._brief_addresses(tree, family, ends)
            if family in placeholder.addresses:
                self.findings.note(placeholder.addresses[family][1], end.node, _NO_ADDRESS)
        return self._link(word, tree, [end], Outside(interface=name))

    def _outside(self, tree: Table, kind: str) -> Outside | None:
        """Read the keys of the end in the host's network."""
        entries = {"dst-port": tree.entries["udp-port"]} if "udp-port" in tree.entries else {}
        for key in ("mode", "remote", "vni", "dst-port", "src-port"):
            if key in tree.entries:
                entries[key] = tree.entries[key]
        interface = tree.entries.get("parent-interface" if kind in _TUNNELS else "host-interface")
        if interface is not None:
            entries["interface"] = interface
        needed = ("remote", "vni") if kind in _TUNNELS else ("interface",)
        missing = [key for key in needed if key not in entries or is_null(entries[key])]
        for key in missing:
            self.findings.add(tree, f"the key {'host-interface' if key == 'interface' else key!r} is missing")
        try:
            outside = build(Table(tree.place, tree.path, entries, tree.keys), Outside, self.findings)
        except InvalidValue:
            return None
        if missing or (
            interface is not None
            and not self._check_outside(outside.interface or "", interface, altname=kind in _PAIRS)
        ):
            return None
        return outside

    def _check_outside(self, name: str, at: Tree, *, altname: bool) -> bool:
        objection = objection_to_interface(name, altname=altname)
        if name == "lo" and not altname:  # an interface of the host's that exists
            return True
        if objection:
            self.findings.add(at, f"invalid interface name {quote(name)}", objection)
        return objection is None

    def _check_labels(self, tree: Table) -> None:
        with suppress(InvalidValue):
            convert(tree.entries["labels"], Mapping[str, str], self.findings) if "labels" in tree.entries else None

    def _kind(self, tree: Table) -> str | None:
        kind = tree.entries.get("type")
        if kind is None or is_null(kind) or (isinstance(kind, Scalar) and not kind.text):
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

    def _check_keys(self, tree: Table, known: tuple[str, ...]) -> None:
        for key in tree.entries:
            if key not in known:
                self.findings.add(tree.keys[key], f"unknown key {quote(key)}", did_you_mean(key, known))

    def _note_unused(self, tree: Table) -> None:
        for key in LINK_UNUSED:
            with suppress(InvalidValue):
                if not is_absent(tree, key):
                    convert(tree.entries[key], tuple[str, ...], self.findings)
                    what = f"{key!r} of the link has no effect: with a type each endpoint has its own {key!r}"
                    self.findings.note(tree.keys[key], "", what)

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
            why = LINK_TYPES_REFUSED.get(word, "one end is in a node")
            self.findings.add(tree, f"the lab does not support links of type {word!r}: {why}")
            return None
        end = DraftEnd(tree, node, interface)
        self._check_interface(end, tree)
        return end

    def _end(self, tree: Tree) -> DraftEnd | None:
        if not isinstance(tree, Table):
            note_mismatch(tree, Mapping[str, str], self.findings)
            return None
        self._check_keys(tree, ENDPOINT_KEYS)
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
                own = own_variables(tree.entries["vars"], _END_VARIABLES, node, self.findings)
                end.intent = convert(own, EndpointIntent, self.findings)
        return end

    def _check_interface(self, end: DraftEnd, at: Tree) -> None:
        if end.node in self.unsupported:
            return
        if objection := objection_to_interface(end.interface, altname=True):
            self.findings.add(at, f"invalid interface name {quote(end.interface)}", objection)
        elif needs_altname(end.interface):
            end.altname, end.interface = end.interface, kernel_name(end.node, end.interface)

    def _mac(self, end: DraftEnd, tree: Tree) -> None:
        text = tree.text if isinstance(tree, Scalar) else ""
        if not _MAC.fullmatch(text) or not int(re.sub("[-:.]", "", text), 16):
            self.findings.add(tree, f"{quote(text)} is not a MAC address", "write it as '02:00:00:00:00:01'")
        elif int(text[:2], 16) & 1:
            self.findings.add(tree, f"{quote(text)} is a multicast MAC address; an interface needs a unicast one")
        else:
            digits = re.sub("[-:.]", "", text)
            end.mac = ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))

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
            text = item.text.strip() if isinstance(item, Scalar) else None
            if text is None or not isinstance(item, Scalar):
                self._address(end, family, item)
            elif text:
                self._address(end, family, item if text == item.text else replace(item, text=text, value=text))

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

    def _mtu(self, tree: Table, ends: list[DraftEnd], default: int | None) -> int | None:
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

    def _intent(self, tree: Table, node: str) -> LinkIntent:
        variables = tree.entries.get("vars")
        if variables is None or is_null(variables):
            return LinkIntent()
        try:
            own = own_variables(variables, _LINK_VARIABLES, node, self.findings)
            intent: LinkIntent = convert(own, LinkIntent, self.findings)
        except InvalidValue:
            return LinkIntent()
        return intent

    def _check_encapsulation(self, link: DraftLink) -> None:
        encapsulation = link.intent.encapsulation
        if encapsulation is None:
            return
        at = link.tree.entries["vars"] if isinstance(link.tree, Table) else link.tree
        outer = encapsulation.outer
        if len(link.ends) == 1:
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


def lead_to_host(links: Sequence[DraftLink], hosts: Collection[str], findings: Findings) -> None:
    """Turn links to nodes of kind `host`, or to the word, into links to the host's network."""
    for link in links:
        far = [end for end in link.ends if end.node in (*hosts, _HOST)]
        if not far:
            continue
        if len(far) == len(link.ends) or link.kind != "veth" or link.intent != LinkIntent():
            findings.add(link.tree, f"a link to {quote(far[0].node)} is a plain veth pair that leads to another node")
            continue
        for _, tree in far[0].addresses.values():
            findings.note(tree, far[0].node, _NO_ADDRESS)
        link.kind, link.outside = "host", Outside(interface=far[0].altname or far[0].interface)
        link.ends.remove(far[0])


def _endpoints(tree: Table) -> tuple[Tree, ...]:
    endpoints = tree.entries.get("endpoints")
    return endpoints.items if isinstance(endpoints, Items) else ()


def _word_of(end: Tree) -> str:
    return end.text.partition(":")[0].strip().lower() if isinstance(end, Scalar) else ""


def _word_outside(tree: Table) -> str | None:
    """Return the first word in place of a node that makes a brief link one to the host's network, or None."""
    words = [_word_of(end) for end in _endpoints(tree)]
    return next((word for word in words if word in BRIEF_ENDS_REFUSED), None) if len(words) == 2 else None


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
            _check_unused(end, ("" if bridge else end.node, end.interface), first, findings)
            if bridge or end.bridge:
                _check_bridge_end(link, end, findings)
        if link.kind in _PAIRS and link.outside is not None and link.outside.interface:
            outside = DraftEnd(link.tree, _HOST, link.outside.interface)
            _check_unused(outside, ("", outside.interface), first, findings)
        if all(nodes.get(end.node) == "ext-container" for end in link.ends):
            what = "the link has no end in a node of the lab's, with which it would disappear"
            findings.add(link.tree, what, "link the container to a node or a bridge")


def _check_unused(
    end: DraftEnd, place: tuple[str, str], first: dict[tuple[str, str], DraftEnd], findings: Findings
) -> None:
    """Check that an interface is used once in its place: its node, or ``""`` for the host's network.

    containerlab has the ports of all bridges there, and the host's ends of links.
    """
    other = first.setdefault(place, end)
    if other is end:
        return
    line = other.tree.place.line
    what = f"the interface {quote(str(end))} is already used by another link"
    if other.node != end.node:
        what = f"{quote(str(end))} has the name of {quote(str(other))}: containerlab has both in the host's network"
    findings.add(_part(end, "interface"), f"{what}, see line {line}")


def _check_bridge_end(link: DraftLink, end: DraftEnd, findings: Findings) -> None:
    if link.kind in ("dummy", "macvlan", "vxlan"):
        findings.add(end.tree, f"a {link.kind} interface needs a node of kind 'linux'")
    for _, tree in end.addresses.values():
        findings.add(tree, f"{quote(str(end))} is a port of a bridge and cannot have an address")
    end.addresses.clear()


def _part(end: DraftEnd, key: str) -> Tree | Key:
    if isinstance(end.tree, Table) and key in end.tree.entries:
        return end.tree.entries[key]
    return end.tree
