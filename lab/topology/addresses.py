"""Checks of addresses: each separately, and all of a topology together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lab.core.prefixes import Interface, Prefix
from lab.topology.mistakes import Findings
from lab.topology.source import Tree


@dataclass(frozen=True)
class Use:
    """An address in use."""

    interface: Interface
    holder: str
    """Its user, for messages: `hq:eth1` or `the tunnel branch-hq`."""
    domain: str
    """The broadcast domain or tunnel: only within one can several addresses be of the same subnet."""
    tree: Tree
    node: str = ""
    """The node that has it; empty for an end of a tunnel."""


def objection_to_address(interface: Interface) -> str | None:
    """Return the reason why an interface cannot have this address; None if it can."""
    ip, network = interface.ip, interface.network
    if ip.is_unspecified or ip.is_multicast or ip.is_loopback:
        kind = "the unspecified" if ip.is_unspecified else "a multicast" if ip.is_multicast else "a loopback"
        return f"{interface} cannot be used on an interface: it is {kind} address"
    if network.num_addresses <= 2:  # /31, /32, /127 and /128 have neither network nor broadcast address
        return None
    if ip == network.network_address:
        return f"{interface} cannot be used on an interface: it is the network address of its subnet"
    if ip.version == 4 and ip == network.broadcast_address:
        return f"{interface} cannot be used on an interface: it is the broadcast address of its subnet"
    return None


def overlap(one: Prefix, other: Prefix) -> bool:
    """Return True if two prefixes have an address in common."""
    if one.version != other.version:
        return False
    return bool(one.overlaps(other))


def check_uses(uses: Sequence[Use], findings: Findings, *, plain: bool = False) -> None:
    """Note addresses that are used twice and subnets that overlap; the mistake is the later one in the file.

    Several nodes may have the same address on different links (anycast), and then the same subnet. In a `plain`
    topology, without keys of the lab's own, any subnets of different nodes may overlap: containerlab does not mind.
    """
    ordered = sorted(uses, key=lambda use: (use.tree.place.line, use.tree.place.column))
    holders: dict[tuple[str, object], Use] = {}
    distinct: list[Use] = []
    anycast: set[Prefix] = set()
    for use in ordered:
        # A link-local address is unique on its link only.
        scope = use.domain if use.interface.is_link_local else ""
        first = holders.setdefault((scope, use.interface.ip), use)
        if first is use:
            distinct.append(use)
        elif _are_apart(first, use):
            anycast.add(use.interface.network)
            distinct.append(use)
        else:
            findings.add(
                use.tree,
                f"the address {use.interface.ip} is already used by {first.holder}, see line {_line(first)}",
            )
    _check_overlaps(distinct, anycast, findings, plain=plain)


def _are_apart(one: Use, other: Use) -> bool:
    """Return True if two uses are on different nodes and different links."""
    return bool(one.node and other.node) and one.node != other.node and one.domain != other.domain


def _line(use: Use) -> int:
    return use.tree.place.line


def _check_overlaps(uses: Sequence[Use], anycast: Collection[Prefix], findings: Findings, *, plain: bool) -> None:
    for version in (4, 6):
        distinct: dict[tuple[str, Prefix], Use] = {}
        for use in uses:
            if use.interface.version == version and not use.interface.is_link_local:
                distinct.setdefault((use.domain, use.interface.network), use)
        order = sorted(
            distinct.items(),
            key=lambda item: (int(item[0][1].network_address), item[0][1].prefixlen),
        )
        around: list[tuple[Prefix, Use]] = []
        for (domain, network), use in order:
            # Prefixes are nested or disjoint: the stack has those that enclose this one.
            while around and not overlap(around[-1][0], network):
                around.pop()
            if around and not (_are_apart(around[-1][1], use) and (plain or network in anycast)):
                _note_overlap(around[-1], (network, use), same=around[-1][1].domain == domain, to=findings)
            around.append((network, use))


def _note_overlap(one: tuple[Prefix, Use], other: tuple[Prefix, Use], *, same: bool, to: Findings) -> None:
    (first_net, first), (net, use) = sorted(
        (one, other), key=lambda item: (item[1].tree.place.line, item[1].tree.place.column)
    )
    if same:
        what = f"{net} overlaps {first_net} of {first.holder} on the same link"
    else:
        what = f"the subnet {net} overlaps {first_net} of {first.holder}"
    to.add(use.tree, f"{what}, see line {_line(first)}")
