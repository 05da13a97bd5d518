"""Why a route that a router received is not in its FIB: invalid, not best, or not installed."""

from lab.core.prefixes import family_of
from lab.routing.inquiry import Candidate, Mend, RouteState
from lab.topology import Prefix
from lab.why.cause import Cause, Explanation, one
from lab.why.routers import Asked


def not_installed(router: Asked, prefix: Prefix, state: RouteState, interface: str | None) -> Explanation:
    """Return why none of the paths that a router has from its neighbours leads to a route in its FIB."""
    received = [c for c in state.candidates if c.peer is not None]
    best = state.best
    if best is None or (best.peer is None and not received):
        return _none_valid(router, prefix, state, received)
    if interface is not None and (other := _through(router, received, interface, best)) is not None:
        return _not_best(router, prefix, state, best, other, interface)
    if best.peer is None:
        return _own(router, prefix, state, best)
    return _not_in_kernel(router, prefix, state, best)


def _none_valid(router: Asked, prefix: Prefix, state: RouteState, received: list[Candidate]) -> Explanation:
    if state.obstacle == "filter":
        return _not_in_kernel(router, prefix, state, received[0])
    unresolved = [c for c in received if not c.resolved]
    if not unresolved:
        return Explanation(apart=f"why {router.name} has no valid path among the {len(received)} to {prefix}")
    hop = unresolved[0].next_hops[0] if unresolved[0].next_hops else None
    what = f"{router.name} has no route to {hop or 'it'}, the next hop of {prefix}"
    seen = router.saw(state.source, f"{prefix}: next hop {hop} not reachable")
    value = str(hop or "the next hop")
    mend = f"add a route to {value} at {router.name}, or let its neighbour announce itself as the next hop"
    return one(Cause("next-hop-unresolved", router.name, what, mend, (seen,)))


def _through(router: Asked, received: list[Candidate], interface: str, best: Candidate) -> Candidate | None:
    """Return a valid path through an interface, if the best one leads through another."""
    if interface in router.devices_of(best):
        return None
    return next((c for c in received if c is not best and c.valid and interface in router.devices_of(c)), None)


def _not_best(
    router: Asked, prefix: Prefix, state: RouteState, best: Candidate, other: Candidate, interface: str
) -> Explanation:
    why = other.reason or best.reason
    reason = f": {why}" if why else ""
    what = (
        f"{router.name} prefers the path to {prefix} from {best.peer or 'itself'} to the one from {other.peer} through "
        f"{interface}{reason}"
    )
    seen = router.saw(state.source, f"best: {best.peer or 'its own'}, by {why or 'an unknown rule'}")
    session = next((s for _, s in router.sessions if s.address is not None and s.address == other.peer), None)
    mend = router.inquiry.mend(Mend("prefer", session, family_of(prefix), prefix, value="NUMBER"))
    return one(Cause("not-best", router.name, what, mend, (seen,)))


def _own(router: Asked, prefix: Prefix, state: RouteState, best: Candidate) -> Explanation:
    what = f"{router.name} originates {prefix} itself and prefers that to the path of its neighbour"
    seen = router.saw(state.source, f"best: its own ({best.protocol})")
    mend = f"remove {prefix} from what {router.name} originates"
    return one(Cause("not-best", router.name, what, mend, (seen,)))


def _not_in_kernel(router: Asked, prefix: Prefix, state: RouteState, best: Candidate) -> Explanation:
    seen = (router.saw(state.source, state.seen or f"best: {best.peer}"), router.saw("FIB", f"no route to {prefix}"))
    match state.obstacle:
        case "filter":
            line = str(state.line) if state.line is not None else "a policy"
            what = f"{router.name} has {prefix} in its RIB and not in the kernel: {line} rejects it"
            mend = router.inquiry.mend(Mend("export", None, family_of(prefix), prefix, state.line))
            return one(Cause("not-installed", router.name, what, mend, seen))
        case "other-protocol":
            what = f"{router.name} prefers a route to {prefix} of another protocol: {state.seen}"
            return one(Cause("not-best", router.name, what, "remove that route, or change its distance", seen))
        case "rejected":
            what = f"{router.name}'s kernel refused the route to {prefix}: {state.seen}"
            return one(Cause("not-installed", router.name, what, "see the daemon's log for the kernel's error", seen))
        case "inactive":
            hop = best.next_hops[0] if best.next_hops else "its next hop"
            what = f"{router.name} cannot use {hop}, the next hop of {prefix}"
            mend = f"give {router.name} a route to {hop} through an interface that is up"
            return one(Cause("next-hop-unresolved", router.name, what, mend, seen))
    if state.installed and router.router.fib.route(prefix) is None:
        what = f"{router.name}'s daemon calls {prefix} installed, and the kernel does not have it"
        mend = f"announce it again: `lab.router({router.name!r}).reset()`"
        return one(Cause("not-installed", router.name, what, mend, seen))
    return Explanation(apart=f"why {router.name} does not install {prefix}, which is in its RIB")
