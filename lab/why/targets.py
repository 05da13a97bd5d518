"""Resolve a name on the command line to addresses."""

from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address, ip_network

from lab.core.errors import InputError, LabError
from lab.core.prefixes import FAMILIES, Address, Family, Prefix, family_of
from lab.engine.devices import addresses, addresses_of
from lab.runtime.lab import Lab
from lab.topology.mistakes import did_you_mean
from lab.topology.segments import endpoints_of


def targets(lab: Lab, to: str, family: Family | None = None) -> list[tuple[str, Address]]:
    """Return the node and the address that `to` is, or one address of each family of the node `to`.

    The node's name is empty if no node of the lab has the address. Raises `InputError` without an address.
    """
    wanted = FAMILIES if family is None else (family,)
    if to in lab.topology.nodes:
        found = [(to, address) for each in wanted if (address := address_of(lab, to, each)) is not None]
        if not found:
            what = " or ".join(wanted)
            raise InputError(f"node {to!r} has no {what} address on a link: give an address instead of its name")
        return found
    try:
        address = ip_address(to)
    except ValueError as error:
        hint = did_you_mean(to, lab.topology.nodes) or f"there are {', '.join(lab.topology.nodes)}"
        raise InputError(f"{to!r} is neither a node of lab {lab.name!r} nor an address; {hint}") from error
    if family_of(address) not in wanted:
        raise InputError(f"{to} is no {wanted[0]} address: leave out --family, or give the other one")
    return [(holder(lab, address), address)]


def address_of(lab: Lab, node: str, family: Family) -> Address | None:
    """Return the first address of a family that a node has on a link now, or that its topology declares."""
    namespace = lab.running_nodes[node].namespace
    for endpoint in endpoints_of(lab.topology, node):
        held: Sequence[Address] = ()
        if namespace.exists:
            held = [interface.ip for interface in namespace.run(partial(addresses_of, endpoint.interface))]
        declared = endpoint.ipv4 if family == "ipv4" else endpoint.ipv6
        same = [address for address in held if family_of(address) == family and not address.is_link_local]
        if declared is not None:
            return declared.ip
        if same:
            return same[0]
    return None


def holder(lab: Lab, address: Address) -> str:
    """Return the node that has an address now; empty if none has."""
    for name, node in lab.running_nodes.items():
        try:
            held = node.namespace.run(addresses) if node.namespace.exists else frozenset()
        except LabError:  # it has just ended
            continue
        if address in held and not address.is_loopback:
            return name
    return ""


def prefix_of(lab: Lab, to: Address | Prefix) -> Prefix:
    """Return the prefix in question: for an address the longest one that a router originates or a link has."""
    if not isinstance(to, Address):
        return to
    known = {p for plan in lab.plans.values() for p in plan.networks}
    known |= {a.network for link in lab.topology.links for end in link.endpoints for a in end.addresses}
    inside = [p for p in known if p.version == to.version and to in p]
    return max(inside, key=lambda p: p.prefixlen, default=ip_network(to))
