"""Trials of timers: which of two programs notices a loss first, and what a timer does without a loss."""

import json
import re
import struct
import time
from collections.abc import Callable

from lab.check.advised.logs import NOTICE, TIMEOUT, expect_line, matching, of_session
from lab.check.advised.restoring import DOWN, ENDS, protocols, restored
from lab.check.advised.scene import DAEMONS, Scene, Tried
from lab.check.advised.undisturbed import WITHIN
from lab.core.errors import ExpectationFailed
from lab.core.expect import Expectation, wait_for
from lab.observe.capture import Capture, CapturedPacket
from lab.runtime.node import LabNode
from lab.tunnel.mode import End

PATIENCE = 45
"""The longest timeout in seconds that a trial waits for."""
_SESSION_WITHIN = 30
"""Seconds to wait for a session before a trial of it; the lab has waited for it before."""
_BFD_PACKETS = 300
"""The packets of BFD after which a session that is up counts as lasting."""


def no_exit_notify(scene: Scene, end: End) -> Tried:
    """See if the other end notices by its timeout that this one has stopped."""
    stopped, left = scene.process(end), scene.process("client" if end == "server" else "server")
    wait = scene.timeouts.get("client" if end == "server" else "server", 0)
    if wait is None or wait > PATIENCE:
        return Tried(None, f"the other end waits {f'{wait} s' if wait else 'forever'}, longer than a trial")
    if not scene.tunnel_up:
        return Tried(None, DOWN)
    ended = of_session(scene, "client" if end == "server" else "server", f"{TIMEOUT}|{NOTICE}")
    with restored(scene):
        size = left.log_size()
        stopped.stop()
        try:
            line = expect_line("the end of the session", (left, ended, size))
        finally:
            stopped.start()
    return Tried(TIMEOUT in line, line)


def hold_time(scene: Scene, end: End) -> Tried:
    """See if BGP has lost its session before OpenVPN restarts, when all packets of the tunnel are lost."""
    tunnel, process = scene.tunnel, scene.process(end)
    here, there = scene.node(end).name, scene.node("client" if end == "server" else "server").name
    if "bgp" not in protocols(scene, end):
        return Tried(False, f"{here} does not run BGP")
    if not scene.tunnel_up:
        return Tried(None, DOWN)
    router = scene.lab.router(here)
    router.expect_session(there, within=_SESSION_WITHIN)
    # By its address: when the other end closes its device, that is the address of no node.
    addresses = {neighbor.address for node, neighbor in router.sessions() if node == there and neighbor.up}
    size, timeout = process.log_size(), of_session(scene, end, TIMEOUT)

    def lasts() -> bool:
        return any(neighbor.up and neighbor.address in addresses for _, neighbor in router.sessions())

    with restored(scene):
        began = time.monotonic()
        with scene.lab.fault("blackhole", layer="outer", tunnel=tunnel.name):
            found = _first_of(scene, end, timeout, "the BGP session", lasts, since=size)
            after = time.monotonic() - began
    # The last KEEPALIVE came a third of the hold time before the fault, or later (RFC 4271, section 4.4).
    if found.happened and scene.hold is not None and after < scene.hold - -(-scene.hold // 3):
        return Tried(None, f"the BGP session ended after {after:.1f} s, too soon for its hold time of {scene.hold} s")
    return found


def dead_interval(scene: Scene, end: End) -> Tried:
    """See if OSPF or RIP loses its routes before OpenVPN restarts, when all packets of the tunnel are lost."""
    node, process = scene.node(end), scene.process(end)
    if not {"ospf", "rip"} & protocols(scene, end):
        return Tried(False, f"{node.name} runs neither OSPF nor RIP")
    learned = [n for n, entry in scene.led_into_tunnel(end).items() if entry.protocol in DAEMONS - {"bgp"}]
    if not learned:
        return Tried(None, f"no daemon has brought {node.name} a route into the tunnel")
    size, timeout = process.log_size(), of_session(scene, end, TIMEOUT)
    with restored(scene), scene.lab.fault("blackhole", layer="outer", tunnel=scene.tunnel.name):
        route = f"the route to {learned[0]}"
        return _first_of(scene, end, timeout, route, lambda: node.fib.route(learned[0]) is not None, since=size)


def _first_of(
    scene: Scene, end: End, timeout: re.Pattern[str], what: str, lasts: Callable[[], bool], *, since: int
) -> Tried:
    """Wait until an end restarts, or what a routing daemon has through the tunnel ends: the failure is that it does."""
    process = scene.process(end)

    def look() -> tuple[bool, list[str], bool]:
        # What lasts before the log is read, and after it: between two looks both may have happened.
        before = lasts()
        return before, matching(process, timeout, since), lasts()

    before, restarts, after = wait_for(
        Expectation(
            what=f"a restart, or the end of {what}",
            node=scene.node(end).name,
            look=look,
            met=lambda found: not found[0] or bool(found[1]),
            logs=process.log,
        ),
        within=WITHIN,
    )
    if not restarts:
        return Tried(True, f"{what} ended before OpenVPN restarted")
    if before and after:
        return Tried(False, restarts[0])
    return Tried(None, f"between two looks OpenVPN has restarted, and {what} has ended: {restarts[0]}")


def idle_restart(scene: Scene, end: End) -> Tried:
    """See if an end restarts before the other one, which runs undisturbed, has sent its next packet."""
    wait = scene.timeouts.get(end, 0)
    if not wait or wait > PATIENCE:
        how = {None: "forever", 0: "for an unknown time"}.get(wait, f"{wait} s, longer than a trial")
        return Tried(None, f"this end waits {how}")
    if not _comes_up(scene):
        return Tried(None, DOWN)
    if talks := [scene.node(each).name for each in ENDS if scene.node(each).name in scene.lab.plans]:
        return Tried(None, f"the packets of the routing daemon of {talks[0]} keep the tunnel busy")
    process = scene.process(end)
    size, timeout = process.log_size(), of_session(scene, end, TIMEOUT)
    node = scene.node(end)
    with Capture(node.running.namespace, None, node=node.name) as capture:

        def look() -> tuple[list[float], list[str]]:
            came = [packet.time for packet in capture.packets if _from_other_end(scene, end, packet)]
            # The log is read after the packets: a restart before the last one is in it.
            return came, matching(process, timeout, size)

        came, restarts = wait_for(
            Expectation(
                what=f"a restart for want of packets, or packets from the other end over more than {2 * wait} s",
                node=node.name,
                look=look,
                met=lambda found: bool(found[1]) or (bool(found[0]) and found[0][-1] - found[0][0] > 2 * wait),
                logs=process.log,
            ),
            within=4 * PATIENCE + WITHIN,
        )
    return Tried(bool(restarts), restarts[0] if restarts else f"{len(came)} packets came, and it has not restarted")


def bfd_jitter(scene: Scene, end: End) -> Tried:
    """See if BFD takes a session down, on a path that passes packets, before it has got many more of its own."""
    node, other = scene.node(end), scene.node("client" if end == "server" else "server")
    if node.name not in scene.lab.plans:
        return Tried(False, f"{node.name} runs no routing daemon")
    if all(neighbor.bfd is None for _, neighbor in scene.lab.router(node.name).sessions()):
        return Tried(False, f"{node.name} has no session with BFD")
    if scene.lab.plans[node.name].daemon != "frr":
        return Tried(None, "only FRR reports how often BFD took a session down")
    if not scene.tunnel_up:
        return Tried(None, DOWN)
    before = _bfd_counters(node)

    def look() -> tuple[int, int]:
        now = _bfd_counters(node)
        went = sum(max(0, of["session-down"] - before.get(peer, of)["session-down"]) for peer, of in now.items())
        came = (of["control-packet-input"] - before.get(peer, of)["control-packet-input"] for peer, of in now.items())
        return went, min(came, default=0)

    went, came = wait_for(
        Expectation(
            what=f"the end of a session of BFD, or {_BFD_PACKETS} of its packets",
            node=node.name,
            look=look,
            met=lambda found: found[0] > 0 or found[1] > _BFD_PACKETS,
            logs=scene.lab.router(node.name).running.files,
        ),
        within=WITHIN,
    )
    text = (
        f"BFD has taken a session with {other.name} down"
        if went
        else f"{came} packets of BFD came, and no session went down"
    )
    return Tried(bool(went), text)


def _bfd_counters(node: LabNode) -> dict[str, dict[str, int]]:
    """Return FRR's counters of each session of BFD, by its peer."""
    answer = node.exec("vtysh", "-c", "show bfd peers counters json")
    found = json.loads(answer.stdout) if answer.exit_code == 0 and answer.stdout.strip().startswith("[") else []
    names = ("session-down", "control-packet-input")
    return {str(each.get("peer")): {name: int(each.get(name, 0)) for name in names} for each in found}


def _comes_up(scene: Scene) -> bool:
    """Return whether the tunnel passes packets at some time: one that restarts again and again is down at times."""
    address = scene.inner("server")
    if address is None:
        return False
    try:
        scene.client_node.expect_reaches(address, within=_SESSION_WITHIN)
    except ExpectationFailed:
        return False
    return True


def _from_other_end(scene: Scene, end: End, packet: CapturedPacket) -> bool:
    """Return whether an outer packet of the tunnel has arrived from its other end."""
    other = scene.node("client" if end == "server" else "server").name
    source, port = scene.tunnel.addresses(other).outer, scene.tunnel.tunnel.port
    ports = struct.pack("!H", port)
    six = packet.ip[:1] == b"\x60"
    at = 40 if six else (packet.ip[0] & 0xF) * 4 if packet.ip else 0
    mine = packet.ip[at + 2 : at + 4] if end == "server" else packet.ip[at : at + 2]
    from_it = source is None or source.packed in packet.ip[8:24]
    return not packet.outgoing and bool(at) and mine == ports and from_it
