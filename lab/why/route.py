"""Why a node has no route: where it was originated, sent, received, filtered, and what became of it."""

from collections import deque
from collections.abc import Mapping
from itertools import pairwise

from lab.core.prefixes import family_of
from lab.routing.inquiry import Mend
from lab.runtime.lab import Lab
from lab.topology import Address, Prefix
from lab.why.adjacency import network_types_differ
from lab.why.cause import Cause, Explanation, one
from lab.why.hop import not_passed
from lab.why.routers import Asked, ask_router
from lab.why.selection import not_installed
from lab.why.session import session_down
from lab.why.static import no_static_route
from lab.why.targets import prefix_of


def no_route(lab: Lab, node: str, to: Address | Prefix, interface: str | None = None) -> Explanation:
    """Return why a node's FIB has no route to an address or a prefix, or none through an interface."""
    if node not in lab.plans or node in lab.external:
        return no_static_route(lab, node, to, interface)
    router = ask_router(lab, node)
    if isinstance(router, Cause):
        return one(router)
    prefix = prefix_of(lab, to)
    if _in_fib(router, to, prefix, interface):
        return Explanation()
    state = router.inquiry.route(prefix)
    received = [c for c in state.candidates if c.peer is not None]
    if any(interface is None or interface in router.devices_of(c) for c in received):
        return not_installed(router, prefix, state, interface)
    return _not_received(lab, router, prefix, interface)


def _in_fib(router: Asked, to: Address | Prefix, prefix: Prefix, interface: str | None) -> bool:
    entry = router.router.fib.route(prefix)
    return entry is not None and (interface is None or interface in entry.interfaces)


# --- the way of a prefix through the routers -------------------------------------------------------------


def _not_received(lab: Lab, router: Asked, prefix: Prefix, interface: str | None) -> Explanation:
    """Return why no neighbour's path to a prefix is in a router's RIB."""
    routers: dict[str, Asked] = {router.name: router}
    stopped: dict[str, Cause] = {}
    for name in lab.plans:
        if name in routers or name in lab.external:
            continue
        found = ask_router(lab, name)
        if isinstance(found, Cause):
            stopped[name] = found
        else:
            routers[name] = found
    origins = [r for r in routers.values() if prefix in r.daemon.originated(r.router.running, family_of(prefix))]
    if not origins:
        return _not_originated(lab, routers, stopped, prefix)
    way = _shortest(lab, [r.name for r in origins], router.name, interface)
    if not way:
        return Explanation(
            apart=f"how {prefix} should come from {origins[0].name} to {router.name}: no chain of neighbours"
        )
    for sender, receiver in pairwise(way):
        for name in (sender, receiver):
            if name in stopped:
                return one(stopped[name])
        last = interface if receiver == router.name else None
        if last is not None or not _has(routers[receiver], prefix):
            return _hop(lab, routers[sender], routers[receiver], prefix, last)
    return Explanation(apart=f"what {router.name} does with {prefix}, which its neighbours on the way have")


def _hop(lab: Lab, sender: Asked, receiver: Asked, prefix: Prefix, interface: str | None) -> Explanation:
    """Return why a prefix does not come from one router to the next, through `interface` if it is given."""
    state = receiver.inquiry.route(prefix)
    if interface is None and any(c.peer is not None for c in state.candidates):
        return not_installed(receiver, prefix, state, None)
    if receiver.router.plan.protocol != "bgp" and not receiver.sessions_with(sender.name):
        return _not_flooded(lab, sender, receiver, prefix)
    return not_passed(lab, sender, receiver, prefix, interface)


def _not_flooded(lab: Lab, sender: Asked, receiver: Asked, prefix: Prefix) -> Explanation:
    """Return why OSPF or RIP does not bring a prefix from one router to the next."""
    down = session_down(lab, receiver.name, sender.name)
    if down != Explanation():
        return down
    differ = network_types_differ(lab, receiver, sender, family_of(prefix))
    if differ is not None:
        return one(differ)
    tables = f"the databases of {sender.name} and {receiver.name}"
    return Explanation(apart=f"{tables}: they are neighbours, and {prefix} is missing")


def _has(router: Asked, prefix: Prefix) -> bool:
    """Return whether a router has a valid best path, which it can pass on."""
    return router.inquiry.route(prefix).best is not None


def _shortest(lab: Lab, origins: list[str], node: str, interface: str | None) -> list[str]:
    """Return the routers on the shortest way from one that originates a prefix to the node that lacks it.

    With `interface`, the last of them before the node is a neighbour there.
    """
    neighbors = {name: _neighbors(lab, name) for name in lab.plans}
    last = {p.node for p in lab.plans[node].peers if interface in (None, p.interface)} or set(neighbors[node])
    before: dict[str, str] = {}
    queue = deque(origins)
    seen = set(origins)
    while queue:
        here = queue.popleft()
        if here == node:
            break
        for there in neighbors.get(here, ()):
            if there not in seen and (there != node or here in last):
                seen.add(there)
                before[there] = here
                queue.append(there)
    if node not in before:
        return []
    way = [node]
    while way[-1] in before:
        way.append(before[way[-1]])
    return way[::-1]


def _neighbors(lab: Lab, name: str) -> list[str]:
    """Return the nodes with which a router should have a session; each end may name the other."""
    ours = [peer.node for peer in lab.plans[name].peers]
    theirs = [other for other, plan in lab.plans.items() if any(peer.node == name for peer in plan.peers)]
    return list(dict.fromkeys([*ours, *theirs]))


# --- origination ------------------------------------------------------------------------------------------


def _not_originated(
    lab: Lab, routers: Mapping[str, Asked], stopped: Mapping[str, Cause], prefix: Prefix
) -> Explanation:
    """Return which router should originate a prefix that none does: its plan says so, or it has an address in it."""
    for name, cause in stopped.items():
        if prefix in lab.plans[name].networks:
            return one(cause)
    declared = [r for r in routers.values() if prefix in r.router.plan.networks]
    connected = [r for r in routers.values() if any(a.version == prefix.version and a in prefix for a in r.addresses)]
    candidates = declared or connected
    if not candidates:
        if lab.external:
            return Explanation(
                apart=f"whether {', '.join(sorted(lab.external))} announces {prefix}: no other router does"
            )
        node = next(iter(routers))
        seen = tuple(r.saw("RIB", f"no path of its own to {prefix}") for r in routers.values())
        what = (
            f"{node} has no route to {prefix} because no router of the lab originates it, and none has an address in it"
        )
        where = f"`networks` of a router in {lab.topology.file.name}"
        return one(Cause("not-originated", node, what, f"add {prefix} to {where}", seen))
    router = candidates[0]
    origin = router.inquiry.origin(prefix)
    seen = (router.saw(f"RIB of {router.daemon.name}", origin.seen or f"no path of its own to {prefix}"),)
    if origin.line is not None and not origin.originated:
        what = f"{router.name} does not originate {prefix}, although it has {origin.line}: it has no route to it itself"
        mend = f"give {router.name} a route to {prefix}, or `no bgp network import-check`"
        return one(Cause("not-originated", router.name, what, mend, seen))
    why = "its topology file says so" if declared else "it has an address in it"
    what = f"{router.name} does not originate {prefix}, and no other router does; {why}"
    what = what.replace("; its topology file says so", ", although the topology file says so")
    mend = router.inquiry.mend(Mend("originate", None, family_of(prefix), prefix))
    return one(Cause("not-originated", router.name, what, mend, seen))
