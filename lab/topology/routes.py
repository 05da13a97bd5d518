"""Checks of static routes, of peerings over links, and of router IDs."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from lab.core.prefixes import FAMILIES, Address, Family, family_of
from lab.topology.intent import StaticRoute
from lab.topology.links import DraftLink
from lab.topology.mistakes import Findings, did_you_mean, quote
from lab.topology.nodes import DraftNode, below
from lab.topology.paths import shared_segments
from lab.topology.source import Table, Tree


def check_routes(drafts: Mapping[str, DraftNode], links: Sequence[DraftLink], findings: Findings) -> None:
    """Check every static route of every node."""
    for draft in drafts.values():
        seen = set()
        for route, tree in draft.routes:
            if route.to in seen:
                findings.add(below(tree, ("to",)), f"duplicate route to {route.to}")
            seen.add(route.to)
            _check_route(draft, route, below(tree, ("via",)), drafts, links, findings)


def _check_route(
    draft: DraftNode,
    route: StaticRoute,
    via: Tree,
    drafts: Mapping[str, DraftNode],
    links: Sequence[DraftLink],
    findings: Findings,
) -> None:
    if route.via in drafts:
        _check_via_node(draft, route, via, drafts, links, findings)
        return
    try:
        address: Address = ip_address(route.via)
    except ValueError:
        findings.add(via, f"there is no node {quote(route.via)}", did_you_mean(route.via, drafts))
        return
    if route.to != "default" and route.to.version != address.version:
        findings.add(via, f"{address} and {route.to} are not of the same family")
        return
    own = [end for link in links for end in link.ends if end.node == draft.name]
    held = [interface for end in own for interface, _ in end.addresses.values()]
    if any(interface.ip == address for interface in held):
        findings.add(via, f"{address} is an address of {quote(draft.name)} itself")
    elif not any(address in interface.network for interface in held) and not any(e.damaged for e in own):
        findings.add(via, f"{quote(draft.name)} is not connected to a subnet with {address}")


def _check_via_node(
    draft: DraftNode,
    route: StaticRoute,
    via: Tree,
    drafts: Mapping[str, DraftNode],
    links: Sequence[DraftLink],
    findings: Findings,
) -> None:
    if route.via == draft.name:
        findings.add(via, f"{quote(route.via)} is the node itself")
        return
    if drafts[route.via].node.is_bridge:
        findings.add(via, f"{quote(route.via)} is a bridge and does not route")
        return
    kinds = {name: other.node.kind for name, other in drafts.items()}
    shared = shared_segments(links, kinds, draft.name, route.via)
    if not shared:
        findings.add(via, f"{quote(draft.name)} and {quote(route.via)} share no link")
        return
    families: list[Family] = list(FAMILIES) if route.to == "default" else [family_of(route.to)]
    for segment in shared:
        if segment.mine.damaged or segment.theirs.damaged:
            return
        for family in families:
            mine, theirs = segment.mine.address(family), segment.theirs.address(family)
            if mine is not None and theirs is not None and mine.network == theirs.network:
                return
    which = families[0] if len(families) == 1 else "common"
    findings.add(via, f"{quote(draft.name)} and {quote(route.via)} have no {which} subnet on a shared link")


def check_peerings(drafts: Mapping[str, DraftNode], links: Sequence[DraftLink], findings: Findings) -> None:
    """Check that a link with `peering` has a router at both ends."""
    for link in links:
        if not link.intent.peering or len(link.ends) == 1:
            continue
        at = link.tree.entries.get("vars", link.tree) if isinstance(link.tree, Table) else link.tree
        for end in link.ends:
            if end.node in drafts and drafts[end.node].router is None:
                findings.add(below(at, ("peering",)), f"{quote(end.node)} has no router to peer with")


def check_router_ids(drafts: Mapping[str, DraftNode], findings: Findings) -> None:
    """Check that no two routers have the same router ID."""
    first: dict[object, str] = {}
    for draft in drafts.values():
        router = draft.node.intent.router
        if router is None or router.router_id is None or draft.router is None:
            continue
        holder = first.setdefault(router.router_id, draft.name)
        if holder != draft.name:
            findings.add(
                below(draft.router, ("router-id",)),
                f"the router ID {router.router_id} is already used by {quote(holder)}",
            )
