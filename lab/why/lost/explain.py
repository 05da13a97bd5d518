"""Why a packet was lost: the place where it was captured last decides what is looked at."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from errno import EMSGSIZE
from functools import partial

from lab.observe.drops import tracing
from lab.runtime.lab import Lab
from lab.tunnel import RunningTunnel
from lab.why.cause import Cause, Explanation, Observation, first, one
from lab.why.journey import Hop
from lab.why.kernel import source_towards
from lab.why.lost.answering import closed_port, ignores_echo
from lab.why.lost.filters import dropped_by_rule
from lab.why.lost.impaired import lost_by_impairment
from lab.why.lost.linked import no_link, too_big, too_big_for_peer, unresolved
from lab.why.lost.nat import forgotten
from lab.why.lost.place import Matches, Place
from lab.why.lost.routed import NO_ROUTE, not_routed
from lab.why.lost.tunnelled import down_or_lost, lost_between, strayed, tunnel_of
from lab.why.packet import ICMP, ICMPV6, RST, Packet
from lab.why.probe import Role, recognise
from lab.why.silent import silent_neighbours
from lab.why.tracer import Traced, trace

_MORE = 24
"""Packets that are sent once more where only some are lost."""
ANSWER = "the answer"


def why_lost(lab: Lab, traced: Traced, *, follow: bool = True) -> Explanation:
    """Return why the first packet that was lost did not arrive, or was not answered; empty if none was lost.

    With `follow`, if a route is missing because a router's neighbour is silent, this says why it is.
    """
    found = _with_counts(traced, _why_lost(lab, traced))
    if not (follow and found.found and found.causes[0].kind in NO_ROUTE):
        return found
    (cause,) = found.causes
    silent = silent_neighbours(lab, cause.node, partial(why_lost, follow=False))
    told = [
        replace(
            each,
            what=f"{cause.what}, since its neighbour is silent: {each.what}",
            evidence=(*cause.evidence, *each.evidence),
        )
        for each in silent.causes
    ]
    return Explanation(tuple(told), silent.apart) if told else found


def why_down(lab: Lab, tunnel: RunningTunnel) -> Explanation:
    """Return why a tunnel is down: from its processes and their logs, else from the way of its packets."""
    return down_or_lost(lab, tunnel, _on_outer_path)


def _why_lost(lab: Lab, traced: Traced) -> Explanation:
    if not traced.lost:
        return Explanation()
    number = traced.shown
    there, back = traced.way(number, "request"), traced.way(number, "reply")
    if back and back[-1].node == traced.sender and back[-1].arrived is not None:
        return _refused_or_dropped(lab, traced, there, back)
    if back:
        return at_place(_place(lab, traced, back, "reply"))
    if number in traced.arrived:
        return _not_answered(lab, traced, there)
    if there:
        return at_place(_place(lab, traced, there, "request"))
    return _at_source(_unsent(lab, traced, traced.sender, "request"), traced)


# --- places ------------------------------------------------------------------------------------------------


def _place(lab: Lab, traced: Traced, way: tuple[Hop, ...], role: Role) -> Place:
    hop = way[-1]
    packet = (hop.arrived or hop.last).packet
    words = ANSWER if role == "reply" else "the packet"
    ends = packet.source, packet.destination
    counts = len(traced.lost), traced.probe.count
    again = _again(lab, traced, role)
    return Place(lab, hop.node, *ends, packet.size, packet.df, words, again, way, traced.captured, *counts)


def _unsent(lab: Lab, traced: Traced, node: str, role: Role) -> Place:
    """Return the place of a packet that its sender did not send."""
    probe = traced.probe
    destination, source, size = probe.destination, probe.source, probe.size or 0
    if role == "reply":  # it goes from the packet's destination to its source, as they are at the receiver
        packet = traced.way(traced.shown, "request")[-1].last.packet
        destination, source = packet.source, packet.destination
        size = packet.size if probe.protocol == "icmp" else 0
    words = ANSWER if role == "reply" else "the packet"
    ends = source or source_towards(lab.running_nodes[node].namespace, destination), destination
    counts = len(traced.lost), traced.probe.count
    return Place(lab, node, *ends, size, probe.df, words, _again(lab, traced, role), (), traced.captured, *counts)


def _again(lab: Lab, traced: Traced, role: Role) -> Callable[[], Matches]:
    """Return the function that sends the probe once more; more packets if only some are lost."""
    some = len(traced.lost) < traced.probe.count
    probe = replace(traced.probe, count=_MORE if some else 2, wait=0.3)

    def again() -> Matches:
        repeated = trace(lab, traced.sender, traced.receiver, probe)
        starts = dict(repeated.starts)

        def matches(packet: Packet) -> bool:
            sign = recognise(probe, repeated.sent, starts, packet)
            return sign is not None and sign.role == role

        return matches

    return again


# --- what is looked at -------------------------------------------------------------------------------------


def at_place(place: Place) -> Explanation:
    """Return why a packet that was captured on a node did not go on."""
    if place.bridge:
        return _first(place, (dropped_by_rule, _by_impairment), f"what the bridge {place.node} did with it")
    if place.hop is None or place.hop.left is None:
        return _on_node(place)
    if (nat := forgotten(place)) is not None:
        return one(nat)
    tunnel = tunnel_of(place.lab, place)
    if tunnel is not None:
        return lost_between(place, tunnel, _on_outer_path)
    behind = f"what became of it behind {place.node}: it left by {place.hop.left.interface}"
    return _first(place, (too_big_for_peer, no_link, _by_impairment), behind)


def _on_node(place: Place) -> Explanation:
    """Return why a packet that a node received did not leave it; without a cause, at least the kernel's reason."""
    found = _judged_on_node(place)
    if found.causes or not place.arrived:
        return found
    with tracing() as dropped:
        place.again()
    reason = dropped.reason(place.arrived, place.size)
    told = f"; the kernel drops it for the reason {reason} (skb:kfree_skb)" if reason else ""
    return Explanation(apart=f"{found.apart}{told}")


def _judged_on_node(place: Place) -> Explanation:
    filtered = _first(place, (dropped_by_rule, forgotten))
    if filtered.causes:
        return filtered
    routed = not_routed(place)
    if routed != Explanation():
        return routed
    if (big := too_big(place)) is not None:
        return one(_with_icmp(place, big))
    linked = _linked(place)
    if linked.causes:
        return linked
    if place.hop is not None and place.hop.last.packet.hop_limit <= 1 and not place.lookup.local:
        return first([strayed(place), one(_loop(place))])
    return Explanation(
        apart=f"what {place.node} did with it: it arrived on {place.arrived}, its route is `{place.lookup}`, and no "
        "rule of nftables drops it"
    )


def _on_outer_path(place: Place) -> Explanation:
    """Return why a tunnel's packet was lost; empty if it reached the other end and nothing there drops it."""
    if not place.received:
        return at_place(place)
    return _first(place, (dropped_by_rule, forgotten, _by_impairment))


def _at_source(place: Place, traced: Traced) -> Explanation:
    """Return why a node did not send a packet of its own."""
    routed = not_routed(place)
    if routed != Explanation():
        return routed
    error = traced.sent.errors.get(traced.shown)
    big = too_big(replace(place, df=place.df or place.family == "ipv6"))
    if big is not None and (error is None or error.errno == EMSGSIZE):
        return one(big)
    if (rule := dropped_by_rule(place)) is not None:
        return one(rule)
    linked = _linked(place)
    if linked.causes:
        return linked
    said = f": {error.strerror}" if error is not None else ""
    return Explanation(apart=f"why {place.node} did not send {place.words}{said}; its route is `{place.lookup}`")


def _linked(place: Place) -> Explanation:
    """Return why a packet did not get from a node to the next one: its link is down, its neighbour silent, or loss."""
    if (broken := no_link(place)) is not None:
        return one(broken)
    silent = unresolved(place)
    impaired = lost_by_impairment(place, neighbour=silent is not None)
    if silent is not None and impaired is not None and not impaired.total:
        # Either loses the questions for the neighbour's address.
        return Explanation((silent, impaired.cause), f"`{impaired.clear}`, and ask again")
    if impaired is not None:
        return one(impaired.cause)
    return Explanation() if silent is None else one(silent)


def _not_answered(lab: Lab, traced: Traced, there: tuple[Hop, ...]) -> Explanation:
    """Return why the receiver sent no answer to a packet that arrived."""
    arriving = _place(lab, traced, there, "request")
    for error in traced.errors(traced.shown):
        if error.node == traced.receiver and _is_closed_port(error.packet):
            return one(closed_port(arriving, traced.probe.protocol, traced.probe.port, f"ICMP {error.packet.icmp}"))
    if (rule := dropped_by_rule(arriving)) is not None:
        return one(rule)
    routed = not_routed(arriving)
    if routed.causes:
        return routed
    if traced.probe.protocol == "icmp" and (ignored := ignores_echo(arriving)) is not None:
        return one(ignored)
    impaired = lost_by_impairment(arriving)
    if impaired is not None and impaired.cause.node != traced.receiver:
        return one(impaired.cause)
    return _at_source(_unsent(lab, traced, traced.receiver, "reply"), traced)


def _is_closed_port(packet: Packet) -> bool:
    return (packet.protocol, packet.icmp) in ((ICMP, (3, 3)), (ICMPV6, (1, 4)))


def _refused_or_dropped(lab: Lab, traced: Traced, there: tuple[Hop, ...], back: tuple[Hop, ...]) -> Explanation:
    """Return why an answer that reached the sender is not one to its program."""
    if back[-1].last.packet.flags & RST:
        return one(closed_port(_place(lab, traced, there, "request"), "tcp", traced.probe.port, "RST"))
    return _on_node(_place(lab, traced, back, "reply"))


# --- details -----------------------------------------------------------------------------------------------


def _first(place: Place, looks: Iterable[Callable[[Place], Cause | None]], apart: str = "") -> Explanation:
    """Return the first cause that one of the looks finds, else what is missing."""
    causes = (look(place) for look in looks)
    cause = next((cause for cause in causes if cause is not None), None)
    return one(cause) if cause is not None else Explanation(apart=apart)


def _by_impairment(place: Place) -> Cause | None:
    found = lost_by_impairment(place)
    return found.cause if found else None


def _with_icmp(place: Place, cause: Cause) -> Cause:
    """Add whether the node says by ICMP that the packet is too big, and whether the sender hears it."""
    sender = place.way[0].node
    told = [seen for seen in place.captured if seen.packet.told_mtu and _is_about(seen.packet.quoted, place)]
    heard = next((seen for seen in told if seen.node == sender and (not seen.outgoing or sender == place.node)), None)
    if heard is not None:
        seen = Observation(sender, "capture", f"ICMP: packet too big, MTU {heard.packet.told_mtu}")
        return replace(cause, evidence=(*cause.evidence, seen))
    if told:
        last = told[-1]
        seen = Observation(last.node, "capture", f"ICMP about it was seen last {last.where}")
        what = f"{cause.what}; its ICMP message is lost on its way to {sender}, behind {last.node}"
    else:
        seen = Observation(place.node, "captures", "no ICMP message about it")
        what = f"{cause.what}, and it sends no ICMP message about it"
    mend = f"{cause.mend}; let the ICMP message pass"
    return replace(cause, kind="mtu-without-icmp", what=what, mend=mend, evidence=(*cause.evidence, seen))


def _is_about(quoted: Packet | None, place: Place) -> bool:
    """Return whether an ICMP message quotes a packet like this one; a NAT has changed its addresses elsewhere."""
    return quoted is not None and (quoted.source, quoted.destination) == (place.source, place.destination)


def _loop(place: Place) -> Cause:
    nodes = [hop.node for hop in place.way]
    again = next((node for node in nodes if nodes.count(node) > 1), place.node)
    seen = place.sees("captures", " > ".join(nodes[:6]))
    what = f"gets it again and again until its hop limit is used up: the routes make a loop over {again}"
    return place.cause("routing-loop", what, f"correct the routes to {place.destination} on these nodes", seen)


def _with_counts(traced: Traced, found: Explanation) -> Explanation:
    """Say of how many packets a cause is, where others pass."""
    lost, sent = len(traced.lost), traced.probe.count
    if lost == sent or not found.causes:
        return found
    seen = Observation(traced.sender, "probe", f"{lost} of {sent} packets were lost")
    causes = tuple(replace(cause, evidence=(*cause.evidence, seen)) for cause in found.causes)
    return Explanation(causes, found.apart)
