"""Why a BGP session is not established: settings that differ between its ends, and what refused it."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.observe.counters import DROPPED_BY_TTL, counters
from lab.observe.sockets import listens
from lab.routing.inquiry import BgpSession, Mend, Notification
from lab.routing.model import BfdState
from lab.runtime.lab import Lab
from lab.topology import Address, Family
from lab.why.cause import Cause, Explanation, Observation, one
from lab.why.routers import Asked
from lab.why.targets import holder
from lab.why.tcp import new_ttl_drops, refused_by_md5, unanswered

_PORT = 179
_PATIENCE = 4.0
"""Seconds in which a daemon tries to connect again, and the kernel's counters change."""
_LIMIT, _SHUTDOWN, _HOLD, _BAD_AS, _BAD_ID = (6, 1), (6, 2), (2, 6), (2, 2), (2, 3)


@dataclass(frozen=True)
class End:
    """One end of a session that is down."""

    router: Asked
    session: BgpSession

    @property
    def node(self) -> str:
        """The node's name."""
        return self.router.name

    def state(self) -> Observation:
        """Return what the daemon says about the session."""
        error = f", last error: {self.session.error}" if self.session.error else ""
        return self.router.saw(
            f"sessions of {self.router.daemon.name}", f"{self.session.name}: {self.session.state}{error}"
        )

    def setting(self, text: str) -> Observation:
        """Return an observation of the configuration."""
        return self.router.saw(f"configuration of {self.router.daemon.name}", text)

    def mend(self, mend: Mend) -> str:
        """Put a change into the daemon's words."""
        return self.router.inquiry.mend(mend)

    def says(self, code: tuple[int, int]) -> Notification | None:
        """Return the NOTIFICATION that ended the session, if it has this code."""
        found = self.session.notification
        return found if found is not None and (found.code, found.subcode) == code else None


def bgp_session_down(lab: Lab, near: Asked, far: Asked | None, other: str, interface: str | None = None) -> Explanation:
    """Return why a BGP session with another node, through an interface if one is given, is not established.

    No finding if all sessions are.
    """
    if (found := _not_configured(lab, near, far, other)) is not None:
        return one(found)
    ours = near.sessions_on(other, interface)
    down = [session for session in ours if not session.state.up]
    if not down:
        return Explanation() if ours or far is None else _from_the_other_end(lab, near, far)
    here = End(near, down[0])
    there = _other_end(near, far, down[0]) if far is not None else None
    for check in _CHECKS:
        if (found := check(here, there)) is not None:
            return one(found)
    return _unreached(lab, here, there, other)


def _from_the_other_end(lab: Lab, near: Asked, far: Asked) -> Explanation:
    """Return why a session is down that only the other end lists: this one only accepts it."""
    theirs = [session for session in far.sessions_with(near.name) if not session.state.up]
    if not theirs:
        return Explanation(apart=f"which session {near.name} and {far.name} should have: neither lists one")
    there = End(far, theirs[0])
    for check in _CHECKS:
        if (found := check(there, None)) is not None:
            return one(found)
    return Explanation(apart=f"why {near.name} does not accept the session of {far.name}: {there.state().seen}")


def _other_end(near: Asked, far: Asked, session: BgpSession) -> End | None:
    """Return the other router's end of a session; by its family only if its addresses are gone with an interface."""
    theirs = far.sessions_with(near.name)
    exact = [s for s in theirs if far.is_end_of(s, near, session)]
    similar = [s for s in theirs if len({a.version for a in (s.address, session.address) if a is not None}) < 2]
    found = next(iter(exact or similar), None)
    return End(far, found) if found is not None else None


# --- which address --------------------------------------------------------------------------------------


def _not_configured(lab: Lab, near: Asked, far: Asked | None, other: str) -> Cause | None:
    """Return the cause if one end has no session with the other, or with an address that the other does not have."""
    if far is None:
        return None if near.sessions_with(other) else _wrong_address(lab, near, None, other, None)
    for here, there in ((near, far), (far, near)):
        sessions = here.sessions_with(there.name)
        if _accepts(here, there):
            continue
        known = {s.address for s in sessions}
        missing = [a for a in _expected(here, there.name) if a in there.addresses - known]
        wrong = [s for s in sessions if s.address is not None and s.address not in there.addresses]
        if wrong or missing or not sessions:
            return _wrong_address(lab, here, there, there.name, missing[0] if missing else None)
    return None


def _accepts(here: Asked, there: Asked) -> bool:
    """Return whether a router takes a neighbour from a range or finds it on the interface: it may not list it yet."""
    plan = here.router.plan
    if any(peer.node == there.name and peer.address is None for peer in plan.peers):
        return True
    ranges = [n.range for n in plan.own.neighbors if n.range is not None] if plan.own is not None else []
    return any(a.version == r.version and a in r for r in ranges for a in there.addresses)


def _expected(here: Asked, other: str) -> list[Address]:
    """Return the addresses at which a router's plan has a neighbour."""
    return [p.address for p in here.router.plan.peers if p.node == other and p.address is not None]


def _wrong_address(lab: Lab, here: Asked, there: Asked | None, other: str, right: Address | None) -> Cause:
    strays = [s.address for node, s in here.sessions if node in ("", other) and s.address is not None]
    strays = [address for address in strays if not holder(lab, address)]
    seen = [here.saw(f"sessions of {here.daemon.name}", ", ".join(s.name for _, s in here.sessions) or "none")]
    if there is not None:
        seen.append(there.saw("addresses", ", ".join(map(str, sorted(there.addresses, key=str)))))
    at = f"at {other} ({right})" if right else f"at {other}"
    what = f"{here.name} has no neighbour {at}"
    if strays:
        what = f"{here.name} has a neighbour {strays[0]}, an address that no node has, and none {at}"
    address = str(right) if right else f"ADDRESS of {other}"
    mend = here.inquiry.mend(Mend("address", value=address, asn=_as_of(lab, there, other)))
    return Cause("session-address", here.name, what, mend, tuple(seen))


def _as_of(lab: Lab, router: Asked | None, name: str) -> int | None:
    """Return a router's AS number: the one that it runs with, or else the one of its plan."""
    running = next((s.local_as for _, s in router.sessions if s.local_as), None) if router is not None else None
    return running or (lab.plans[name].asn if name in lab.plans else None)


# --- settings -------------------------------------------------------------------------------------------


def _both(here: End, there: End | None) -> list[tuple[End, End | None]]:
    return [(here, there), *([(there, here)] if there is not None else [])]


def _name(end: End | None) -> str:
    return end.node if end is not None else "its neighbour"


def _shutdown(here: End, there: End | None) -> Cause | None:
    for end, other in _both(here, there):
        if end.session.shutdown:
            what = f"{end.node} has shut its session with {_name(other)} ({end.session.name}) down"
            mend = end.mend(Mend("no-shutdown", end.session))
            return Cause("session-shutdown", end.node, what, mend, (end.setting("shutdown"), end.state()))
    if (told := here.says(_SHUTDOWN)) is not None and not told.sent and there is None:
        what = f"{here.session.name}, the neighbour of {here.node}, has shut the session down"
        return Cause("session-shutdown", here.node, what, "enable it there", (here.state(),))
    return None


def _limit(here: End, there: End | None) -> Cause | None:
    for end, other in _both(here, there):
        if end.session.limit_exceeded:
            family, most = next(iter(end.session.limits.items()), (None, 0))
            prefixes = f"{family} prefixes" if family else "prefixes"
            what = f"{end.node} accepts at most {most} {prefixes} from {_name(other)}, which sent more"
            mend = end.mend(Mend("limit", end.session, family))
            return Cause("max-prefix", end.node, what, mend, (end.state(), end.setting(f"limit {most}")))
    if (told := here.says(_LIMIT)) is not None and not told.sent and there is None:
        what = f"{here.node} sent more prefixes than {here.session.name} accepts"
        return Cause("max-prefix", here.node, what, "announce fewer, or raise the limit there", (here.state(),))
    return None


def _password(here: End, there: End | None) -> Cause | None:
    if there is None or here.session.password == there.session.password:
        return None
    seen = [
        end.router.saw("/proc/net/netstat", told)
        for end in (here, there)
        if (told := refused_by_md5(counters(end.router.router.running.namespace)))
    ]
    without = next((end for end in (here, there) if end.session.password is None), None)
    if without is None:
        what = f"{here.node} and {there.node} have different passwords for their session"
    else:
        other = there if without is here else here
        what = f"{without.node} has no password for the session with {other.node}, which has one"
    end = without or here
    held = {True: "a password", False: "no password"}
    settings = [e.setting(f"{e.session.name}: {held[e.session.password is not None]}") for e in (here, there)]
    mend = end.mend(Mend("password", end.session, value="add" if without is not None else ""))
    return Cause("session-password", end.node, what, mend, (*settings, *seen, end.state()))


def _ttl(here: End, there: End | None) -> Cause | None:
    """A neighbour without GTSM sends with a TTL of 1 (eBGP), and the other end's kernel drops that (RFC 5082)."""
    if there is None or here.session.ttl_security == there.session.ttl_security:
        return None
    strict, lax = (here, there) if here.session.ttl_security else (there, here)
    dropped = new_ttl_drops(strict.router.router.running.namespace, _PATIENCE)
    if not dropped:
        return None
    what = f"{lax.node} sends without GTSM, and {strict.node} drops its segments by their TTL"
    seen = strict.router.saw("/proc/net/netstat", f"{DROPPED_BY_TTL}: {dropped} more segments")
    mend = lax.mend(Mend("ttl-security", lax.session))
    settings = strict.setting("ttl-security"), lax.setting("no ttl-security")
    return Cause("session-gtsm", lax.node, what, mend, (*settings, seen, strict.state()))


def _as_number(here: End, there: End | None) -> Cause | None:
    for end, other in _both(here, there):
        expected = end.session.remote_as
        if other is not None:
            actual = other.session.local_as
            if expected is not None and actual is not None and expected != actual:
                what = f"{end.node} expects AS {expected} of {other.node}, which is in AS {actual}"
                mend = end.mend(Mend("remote-as", end.session, value=str(actual)))
                seen = other.setting(f"AS {actual}")
                return Cause("session-as", end.node, what, mend, (end.setting(f"AS {expected}"), seen, end.state()))
        elif end.says(_BAD_AS) is not None:
            what = f"{end.node} expects AS {expected} of {end.session.name}, and one of the two ends refuses the AS"
            mend = "compare the AS numbers of both ends"
            return Cause("session-as", end.node, what, mend, (end.state(),))
    return None


def _hold_time(here: End, there: End | None) -> Cause | None:
    for end, other in _both(here, there):
        if other is not None and 0 < other.session.hold < end.session.least_hold:
            what = (
                f"{end.node} accepts no hold time below {end.session.least_hold} s, and {other.node} proposes "
                f"{other.session.hold} s"
            )
            settings = end.setting(f"at least {end.session.least_hold} s"), other.setting(f"{other.session.hold} s")
            mend = end.mend(Mend("hold", end.session, value=str(other.session.hold)))
            return Cause("session-hold-time", end.node, what, mend, (*settings, end.state()))
        if other is None and (told := end.says(_HOLD)) is not None:
            what = f"{end.node} and {end.session.name} do not agree on a hold time: {told.text}"
            return Cause("session-hold-time", end.node, what, end.mend(Mend("hold", end.session)), (end.state(),))
    return None


def _router_id(here: End, there: End | None) -> Cause | None:
    if there is None or here.session.router_id is None or here.session.router_id != there.session.router_id:
        return None
    if here.says(_BAD_ID) is None and there.says(_BAD_ID) is None:
        return None
    what = f"{here.node} and {there.node} have the same router ID, {here.session.router_id}"
    settings = [end.setting(f"router ID {end.session.router_id}") for end in (here, there)]
    mend = "give each router a router ID of its own"
    return Cause("session-router-id", here.node, what, mend, (*settings, here.state()))


def _families(here: End, there: End | None) -> Cause | None:
    if there is None or here.session.families & there.session.families:
        return None
    families: list[Family] = sorted(here.session.families or there.session.families)
    family = families[0] if families else "ipv4"
    end = there if here.session.families else here
    what = f"{here.node} and {there.node} have no address family in common for their session"
    settings = [e.setting(f"families: {', '.join(sorted(e.session.families)) or 'none'}") for e in (here, there)]
    mend = end.mend(Mend("activate", end.session, family))
    return Cause("family-not-activated", end.node, what, mend, (*settings, here.state()))


def _bfd(here: End, there: End | None) -> Cause | None:
    for end, other in _both(here, there):
        if end.session.bfd in (None, BfdState.UP) or "BFD" not in end.session.error:
            continue
        without = other is not None and other.session.bfd is None
        what = f"{end.node}'s BFD session with {end.session.name} is {end.session.bfd}"
        what += f": {_name(other)} has none configured" if without else ""
        mend = f"configure BFD at {_name(other)}, or remove it here" if without else "see why its packets are lost"
        return Cause("bfd-down", end.node, what, mend, (end.state(), end.router.saw("BFD", str(end.session.bfd))))
    return None


_CHECKS: tuple[Callable[[End, "End | None"], Cause | None], ...] = (
    _shutdown,
    _limit,
    _password,
    _as_number,
    _ttl,
    _hold_time,
    _router_id,
    _families,
    _bfd,
)
"""In the order in which a session comes up; the ones that wait for the kernel's counters late."""


# --- the way between the ends ---------------------------------------------------------------------------


def _unrouted(end: End) -> Cause | None:
    """Return the cause if the kernel of an end has no route to the other one."""
    address = end.session.address
    if address is None or address.is_link_local or end.router.devices_to(address):
        return None
    what = f"{end.node} has no route to its neighbour {address}"
    seen = end.router.saw("FIB", f"no route to {address}")
    mend = f"give {end.node} an address in the neighbour's network, or a route to it"
    return Cause("no-route-to-neighbor", end.node, what, mend, (seen, end.state()))


def _unreached(lab: Lab, here: End, there: End | None, other: str) -> Explanation:
    """Return why the ends do not connect, if neither refuses the other."""
    address = here.session.address
    router = here.router.router
    if address is None:
        return Explanation(apart=f"which address {other} has on {here.session.interface}, where {here.node} finds none")
    error = f" (last error: {here.session.error})" if here.session.error else ""
    logs = Explanation(apart=f"the next lines in the logs of the routing daemons at {here.node} and {other}{error}")
    if address.is_link_local:  # an echo request to it would need the interface
        return logs
    for end, _ in _both(here, there):
        if (unrouted := _unrouted(end)) is not None:
            return one(unrouted)
    if not router.echo(address, wait=1.0).answered:
        return Explanation(apart=f"why {address} does not answer {here.node}: `lab why {here.node} {address}`")
    if there is not None and not listens(there.router.router.running.namespace, _PORT):
        if not listens(router.running.namespace, _PORT):
            what = f"{there.node} does not listen on TCP port 179, and neither does {here.node}"
            closed = (there.router.saw("/proc/net/tcp", "no listener on port 179"), here.state())
            return one(Cause("not-listening", there.node, what, "start its BGP daemon without `-p 0`", closed))
    elif unanswered(router.running.namespace, _PORT, _PATIENCE):
        what = f"{other} answers echo requests of {here.node}, and not its connections to {address} port 179"
        sent = (here.router.saw("/proc/net/tcp", "a connection in SYN_SENT for more than half a second"), here.state())
        return one(Cause("port-filtered", here.node, what, "let TCP port 179 pass between the two", sent))
    return logs
