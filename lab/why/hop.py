"""Why a BGP router does not have a prefix that its neighbour has: the way from one to the other, step by step."""

from dataclasses import dataclass

from lab.core.prefixes import family_of
from lab.routing.inquiry import BgpSession, Line, Mend, Passage
from lab.runtime.lab import Lab
from lab.topology import Family, Prefix
from lab.why.cause import Cause, Explanation, Observation, one
from lab.why.routers import Asked
from lab.why.session import sessions_down


@dataclass(frozen=True)
class Hop:
    """Two neighbouring routers, and the two ends of a BGP session between them."""

    sender: Asked
    receiver: Asked
    sending: BgpSession
    receiving: BgpSession
    prefix: Prefix

    @property
    def family(self) -> Family:
        """The prefix's family."""
        return family_of(self.prefix)


def not_passed(lab: Lab, sender: Asked, receiver: Asked, prefix: Prefix, interface: str | None) -> Explanation:
    """Return why a prefix that `sender` has as its best route is not in the RIB of its neighbour `receiver`.

    With `interface`, only the sessions through that interface of the receiver count.
    """
    down = sessions_down(lab, receiver.name, sender.name, interface)
    if down != Explanation():
        return down
    hops = _hops(sender, receiver, prefix, interface)
    if not hops:
        return Explanation(apart=f"which sessions {sender.name} and {receiver.name} have")
    active = [hop for hop in hops if hop.family in hop.sending.families & hop.receiving.families]
    if not active:
        return one(_inactive(hops[0]))
    found = [_explain(hop) for hop in active]
    return next((each for each in found if each.causes), found[0])


def _hops(sender: Asked, receiver: Asked, prefix: Prefix, interface: str | None) -> list[Hop]:
    """Return the sessions between two routers; those that carry the prefix's family first."""
    ends = [
        Hop(sender, receiver, sending, receiving, prefix)
        for receiving in receiver.sessions_on(sender.name, interface)
        for sending in sender.sessions_with(receiver.name)
        if sender.is_end_of(sending, receiver, receiving)
    ]
    version = prefix.version
    return sorted(ends, key=lambda hop: hop.receiving.address is None or hop.receiving.address.version != version)


def _inactive(hop: Hop) -> Cause:
    """Return the end of a session that does not have a family activated."""
    for router, session, other in (
        (hop.receiver, hop.receiving, hop.sender),
        (hop.sender, hop.sending, hop.receiver),
    ):
        if hop.family not in session.families:
            what = f"{router.name} has {hop.family} not activated for its neighbour {other.name} ({session.name})"
            seen = [router.saw(f"sessions of {router.daemon.name}", _families(session))]
            seen += [hop.sender.saw("RIB", f"{hop.prefix}")]
            mend = router.inquiry.mend(Mend("activate", session, hop.family))
            return Cause("family-not-activated", router.name, what, mend, tuple(seen))
    raise AssertionError("both ends have the family")


def _families(session: BgpSession) -> str:
    offered = (
        "" if session.offered is None else f"; the neighbour offers {', '.join(sorted(session.offered)) or 'none'}"
    )
    return f"{session.name}: activated {', '.join(sorted(session.families)) or 'none'}{offered}"


def _explain(hop: Hop) -> Explanation:
    sent = hop.sender.inquiry.sent(hop.sending, hop.prefix)
    if sent.passes is False:
        return _not_sent(hop, sent)
    if hop.receiving.limit_exceeded:
        return one(_over_limit(hop))
    received = hop.receiver.inquiry.received(hop.receiving, hop.prefix)
    if received.passes is not False:
        return Explanation(
            apart=f"what {hop.receiver.name} does with {hop.prefix}: its RIB has it from {hop.sender.name}"
        )
    seen = (_seen(hop.sender, sent), _seen(hop.receiver, received))
    return _not_accepted(hop, received, seen)


def _seen(router: Asked, passage: Passage) -> Observation:
    return router.saw(f"`{passage.source}`", passage.seen)


def _not_sent(hop: Hop, sent: Passage) -> Explanation:
    router, prefix, session = hop.sender, hop.prefix, hop.sending
    seen = (_seen(router, sent),)
    to = hop.receiver.name
    match sent.obstacle:
        case "filter":
            what = f"{router.name} does not announce {prefix} to {to}: {_line(sent.line)} rejects it"
            mend = router.inquiry.mend(Mend("permit", session, hop.family, prefix, sent.line, direction="out"))
            return one(Cause("filtered-outbound", router.name, what, mend, seen))
        case "policy-required":
            what = (
                f"{router.name} announces nothing to {to}: an eBGP session needs a policy (RFC 8212), and it has none"
            )
            mend = router.inquiry.mend(Mend("policy", session, hop.family, direction="out"))
            return one(Cause("ebgp-policy", router.name, what, mend, seen))
        case "not-reflected":
            what = f"{router.name} has {prefix} from an internal neighbour and does not pass it to {to}, another one"
            mend = router.inquiry.mend(Mend("reflect", session, hop.family))
            return one(Cause("not-reflected", router.name, what, mend, seen))
        case "community":
            what = f"{router.name} does not announce {prefix} to {to}: the route has no-export or no-advertise"
            return one(Cause("no-export", router.name, what, "remove the community where the route gets it", seen))
        case "split-horizon":
            what = f"{router.name} has {prefix} from {to} itself and does not send it back"
            return Explanation(apart=f"why {to} lost {prefix}: {what}")
    unknown = f"what {_line(sent.line)} does with it" if sent.line else "why"
    return Explanation(apart=f"{unknown}: {router.name} has {prefix} and does not announce it to {to}")


def _not_accepted(hop: Hop, received: Passage, seen: tuple[Observation, ...]) -> Explanation:
    router, prefix, session = hop.receiver, hop.prefix, hop.receiving
    from_node = hop.sender.name
    match received.obstacle:
        case "filter":
            what = f"{router.name} does not accept {prefix} from {from_node}: {_line(received.line)} rejects it"
            mend = router.inquiry.mend(Mend("permit", session, hop.family, prefix, received.line, direction="in"))
            return one(Cause("filtered-inbound", router.name, what, mend, seen))
        case "policy-required":
            why = "an eBGP session needs a policy (RFC 8212), and it has none"
            what = f"{router.name} accepts nothing from {from_node}: {why}"
            mend = router.inquiry.mend(Mend("policy", session, hop.family, direction="in"))
            return one(Cause("ebgp-policy", router.name, what, mend, seen))
        case "next-hop":
            what = f"{router.name} does not accept the next hop of {prefix} from {from_node}"
            mend = hop.sender.inquiry.mend(Mend("next-hop", hop.sending, hop.family, value="that address"))
            return one(Cause("next-hop-unresolved", router.name, what, mend, seen))
    path = _sent_path(hop)
    if session.local_as in path and not session.allows_own_as:
        text = " ".join(map(str, path))
        what = f"{router.name} does not accept {prefix} from {from_node}: its own AS {session.local_as} is in the path"
        loop = hop.sender.saw("RIB", f"{prefix} is sent with the AS path {text}")
        mend = f"give {router.name} another AS number, or let it accept its own (`allowas-in`, `allow local as`)"
        return one(Cause("as-loop", router.name, what, mend, (*seen, loop)))
    unknown = f"what {_line(received.line)} does with it" if received.line else "why"
    return Explanation(apart=f"{unknown}: {from_node} announces {prefix}, and {router.name} does not have it")


def _sent_path(hop: Hop) -> tuple[int, ...]:
    """Return the AS path with which the sender announces its best route."""
    best = hop.sender.inquiry.route(hop.prefix).best
    path = best.as_path if best is not None else ()
    own = hop.sending.local_as
    return path if hop.sending.internal or own is None else (own, *path)


def _over_limit(hop: Hop) -> Cause:
    router, session = hop.receiver, hop.receiving
    most = session.limits.get(hop.family, next(iter(session.limits.values()), 0))
    what = f"{router.name} accepts at most {most} {hop.family} prefixes from {hop.sender.name}, which sent more"
    seen = router.saw(f"sessions of {router.daemon.name}", f"{session.name}: limit {most} reached")
    return Cause("max-prefix", router.name, what, router.inquiry.mend(Mend("limit", session, hop.family)), (seen,))


def _line(line: Line | None) -> str:
    return str(line) if line is not None else "a policy"
