"""Why a tunnel that is up loses a packet: inner table, source address, MTU, replay, recursive routing, DCO."""

from collections.abc import Callable, Sequence

from lab.configs.numbers import is_number
from lab.core.errors import LabError
from lab.runtime.lab import Lab
from lab.tunnel import RunningTunnel
from lab.tunnel.reason import Loss, find_losses
from lab.why.cause import Cause, Explanation, Observation, one
from lab.why.crossing import Crossing, cross
from lab.why.dco import forwards_in_kernel, in_kernel
from lab.why.in_force import in_force
from lab.why.inner_judge import Judged
from lab.why.inner_table import InnerTable
from lab.why.kernel import interfaces, route_of
from lab.why.loss import Header, Lost
from lab.why.recursion import recursion
from lab.why.tunnel import tunnel_down

__all__ = ["Header", "lost_in_tunnel"]

_SMALL = 333
"""Bytes of a packet for which no tunnel is too narrow, and that is larger than what routing daemons send when idle."""
_DROPS_LOGGED = 4
"""The `verb` from which on a server logs packets with a wrong source."""


def lost_in_tunnel(lab: Lab, tunnel: RunningTunnel, sender: str, header: Header) -> Explanation:
    """Return why a packet that entered the tunnel at the node `sender` did not leave it at the other end.

    It sends some more packets with the same addresses into the tunnel, and watches them.
    """
    down = tunnel_down(lab, tunnel)
    if down.causes or down.apart:
        return down
    lost = Lost(lab, _meant(tunnel, sender, header), sender, header)
    if lost.tunnel.external:
        return _at_external(lost)
    for cause in (recursion(tunnel), _devices(lost)):
        if cause is not None:
            return one(cause)
    small = cross(lost.tunnel, sender, header.source, header.destination, _SMALL)
    if not small.passed:
        return _general(lost, small)
    if header.size <= _SMALL:
        return Explanation(apart=f"the tunnel {tunnel.name} carries such packets now")
    large = cross(lost.tunnel, sender, header.source, header.destination, header.size)
    if large.passed:
        return Explanation(apart=f"the tunnel {tunnel.name} carries such packets now")
    return _size(lost, small, large)


def _at_external(lost: Lost) -> Explanation:
    """Return the cause in the server's inner table; the lab does not look into an external node."""
    if lost.from_server:
        to = lost.header.destination
        crossing = cross(lost.tunnel, lost.sender, lost.header.source, to, _SMALL)
        if crossing.entered and (cause := _in_inner_table(lost, crossing)) is not None:
            return one(cause)
    return Explanation(apart=f"what {lost.client} does with it: the lab does not look into an external node")


def _meant(tunnel: RunningTunnel, sender: str, header: Header) -> RunningTunnel:
    """Return the tunnel to whose client the server's route leads, among those that share its device."""
    if sender != tunnel.tunnel.server or len(tunnel.sharing) == 1:
        return tunnel
    hop = route_of(tunnel.server.node.namespace, None, header.destination).next_hop or header.destination
    for other in tunnel.sharing:
        at = other.tunnel.client_at
        if hop in [interface.ip for interface in (at.ipv4, at.ipv6) if interface is not None]:
            return other
    return tunnel


def _devices(lost: Lost) -> Cause | None:
    """Return the cause if the device of an end does not exist or is down."""
    for end in (lost.there, lost.here):
        node, device = end.node.name, lost.tunnel.device(end.node.name)
        found = interfaces(end.node.namespace).get(device)
        if found is not None and found.up:
            continue
        state = "does not exist" if found is None else "is down"
        mend = f"restart OpenVPN on {node}" if found is None else f"set it up: `ip link set {device} up`"
        seen = Observation(node, "devices", f"{device} {state}")
        return Cause("inner-device", node, f"{node}: the tunnel's device {device} {state}", mend, (seen,))
    return None


def _general(lost: Lost, crossing: Crossing) -> Explanation:
    """Return why packets of any size are lost."""
    if not crossing.entered:
        why = f": {crossing.refused}" if crossing.refused else ""
        return Explanation(apart=f"{lost.sender} did not send such a packet into {lost.here.device} again{why}")
    if crossing.emerged:
        return _partly(lost, crossing)
    finders: Sequence[Callable[[Lost, Crossing], Cause | None]] = (_logged, in_kernel, _in_inner_table, _outside)
    for find in finders:
        if (cause := find(lost, crossing)) is not None:
            return one(cause)
    return Explanation(apart=_missing(lost, crossing))


def _partly(lost: Lost, crossing: Crossing) -> Explanation:
    seen = f"{crossing.emerged} of {crossing.sent} such packets came out at {lost.there.node.name}"
    if len(crossing.left) >= crossing.sent > len(crossing.arrived):
        outside = f"{len(crossing.left)} outer packets left {lost.sender}, {len(crossing.arrived)} arrived"
        what = f"{lost.sender}: the outer path to {lost.there.node.name} loses packets: {outside}"
        return one(Cause("outer-loss", lost.sender, what, "mend the outer path", lost.seen(crossing)))
    return Explanation(apart=seen)


SAID = {
    "replay": (
        "takes the packets for replayed ones",
        "find what sends them twice or late, or raise `replay-window` in {there}",
    ),
    "data-channel-key": (
        "cannot authenticate the packets",
        "compare keys, `cipher` and `auth` in {there} and {here}, and restart both ends",
    ),
}
"""The reaction of OpenVPN at the other end by its log, and the mend, by kind of loss."""
FRAMINGS = {"compression-framing": ("compress", "comp-lzo"), "fragment-framing": ("fragment",)}
"""Options that add a byte or more to each packet, which the other end takes for a part of it if it lacks them."""
_INVALID = "Invalid argument"
"""The kernel's answer to data that is not an IP packet."""


def _logged(lost: Lost, crossing: Crossing) -> Cause | None:
    """Return the cause that the log of the receiver names for these packets."""
    if not crossing.arrived:
        return None
    losses = find_losses(crossing.receiver_lines)
    node = lost.there.node.name
    for kind, (what, mend) in SAID.items():
        if same := [loss for loss in losses if loss.kind == kind]:
            files = {"here": in_force(lost.here).file, "there": in_force(lost.there).file}
            seen = (lost.logged(same[-1], lost.there), *lost.seen(crossing))
            return Cause(kind, node, f"{node} {what} ({same[-1].words})", mend.format(**files), seen)
    framed = [x for x in losses if x.kind in FRAMINGS or (x.kind == "inner-device" and _INVALID in x.words)]
    return _framing(lost, crossing, framed[-1]) if framed else None


def _framing(lost: Lost, crossing: Crossing, loss: Loss) -> Cause | None:
    """Return the cause if one end adds a header to each packet that the other end does not expect."""
    ends = (in_force(lost.here), in_force(lost.there))
    for kind, names in FRAMINGS.items():
        options = [end.last(*names) for end in ends]
        if (options[0] is None) == (options[1] is None):
            continue
        has, lacks = ends if options[0] is not None else (ends[1], ends[0])
        option = options[0] or options[1]
        what = f"{lost.there.node.name} cannot read the packets ({loss.words}): {has.node} has `{option}` and "
        what += f"{lacks.node} has no such option"
        mend = f"remove it ({has.place(*names)}), or add it to {lacks.file}"
        seen = Observation(has.node, "configuration of OpenVPN", f"{option} ({has.place(*names)})")
        evidence = (lost.logged(loss, lost.there), seen, *lost.seen(crossing))
        return Cause(kind, has.node, what, mend, evidence)
    return None


def _in_inner_table(lost: Lost, crossing: Crossing) -> Cause | None:
    """Return the cause in the inner table of a server over `tun`."""
    traits = lost.tunnel.mode.traits
    if not traits.mode_server or traits.device != "tun" or forwards_in_kernel(lost.tunnel.server):
        return None
    try:
        with lost.tunnel.server.management() as management:
            table = InnerTable.of(management.server_status())
        mine = lost.tunnel.status().real_address
    except LabError:
        return None
    judged = Judged(lost, crossing, table, mine, in_force(lost.tunnel.server))
    return judged.towards_client() if lost.from_server else judged.from_client()


def _outside(lost: Lost, crossing: Crossing) -> Cause | None:
    """Return the cause if the outer packets leave and do not arrive."""
    if not crossing.left or crossing.arrived:
        return None
    what = f"{lost.sender}: the outer packets to {lost.there.node.name} leave it and do not arrive"
    mend = f"look for a filter or a missing route for port {lost.tunnel.tunnel.port} between the two"
    return Cause("outer-dropped", lost.sender, what, mend, lost.seen(crossing))


def _missing(lost: Lost, crossing: Crossing) -> str:
    """Return the observation that would tell more."""
    where = lost.there.node.name if crossing.arrived else lost.sender
    said = f"the packets enter the tunnel at {lost.sender}, "
    said += f"arrive outside at {where}" if crossing.arrived else "no outer packet leaves it"
    verb = in_force(lost.there if crossing.arrived else lost.here).last("verb")
    level = int(verb.argument(0) or 0) if verb and is_number(verb.argument(0) or "") else 1
    if level < _DROPS_LOGGED:
        return f"{said}; set `verb {_DROPS_LOGGED}` at {where}, with which OpenVPN logs dropped packets"
    return f"{said}, and its log says nothing"


def _size(lost: Lost, small: Crossing, large: Crossing) -> Explanation:
    """Return why a large packet is lost and a small one passes."""
    here, there = lost.sender, lost.there.node.name
    seen = (*lost.seen(small), *lost.seen(large))
    if not large.entered:
        return Explanation(apart=f"{here} did not send {large.size} bytes into {lost.here.device}: {large.refused}")
    if large.emerged:
        return Explanation(apart=f"{large.emerged} of {large.sent} packets of {large.size} bytes pass now")
    what = f"{here}: packets of {large.size} bytes are lost in the tunnel and those of {small.size} bytes pass: "
    files = f"{in_force(lost.tunnel.server).file} and {in_force(lost.tunnel.client).file}"
    fits = f"lower `tun-mtu` or set `fragment` in {files}"
    if large.left and not large.arrived:
        outer = max(large.left)
        what += f"its outer packets of {outer} bytes leave {here} and do not arrive at {there}"
        if large.told_mtu is not None:
            by, mtu = large.told_mtu
            seen = (Observation(here, "capture outside", f"ICMP from {by}: the next MTU is {mtu}"), *seen)
            what += f"; {by} says that no more than {mtu} bytes pass"
            fits = f"set `tun-mtu {mtu - (outer - large.size)}` in {files}"
        return one(Cause("outer-mtu", here, what, f"raise the MTU on the outer path, or {fits}", seen))
    for end, lines in ((lost.here, large.sender_lines), (lost.there, large.receiver_lines)):
        if said := find_losses(lines):
            logged = lost.logged(said[-1], end)
            cause = Cause(
                "outer-mtu", end.node.name, f"{what}{end.node.name} logged {said[-1].words}", fits, (logged, *seen)
            )
            return one(cause)
    return Explanation(apart=f"{what}{len(large.left)} outer packets left, {len(large.arrived)} arrived")
