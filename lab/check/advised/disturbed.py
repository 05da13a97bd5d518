"""Trials of failures that show only when a tunnel is disturbed: by a restart, a blackhole, a route, many addresses.

Each puts the tunnel back as it was.
"""

import json
import re
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Address, IPv4Network, ip_network
from itertools import chain, islice

from lab.check.advised.scene import DAEMONS, Scene, Tried
from lab.check.advised.undisturbed import WITHIN, Trial
from lab.core.errors import ExpectationFailed
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import Address, family_of
from lab.observe.capture import Capture, CapturedPacket
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.tunnel import RunningTunnel
from lab.tunnel.mode import End
from lab.tunnel.running import OpenVpn

COMPLETED = "Initialization Sequence Completed"
FULL = "would exceed maximum number of clients"
RECURSIVE = "Recursive routing detected"
QUOTA = "route quota"
TIMEOUT = "Inactivity timeout"
NOTICE = r"remote-exit|delayed-exit|CC-EEN|server-pushed-connection-reset|[Cc]onnection reset|process exiting"
"""Log lines of an end whose peer announces that it stops."""
PATIENCE = 45
"""The longest timeout in seconds that a trial waits for."""
_SESSION_WITHIN = 30
"""Seconds to wait for a session before a trial of it; the lab has waited for it before."""
_SECOND_PREFIX_WITHIN = 10
"""Seconds to wait for a prefix after another one that was announced with it."""
_SAME_NAME = "the second client has the name of the first, whose session it replaces"
_DOWN = "the server's inner address does not answer the client"
_ENDS: tuple[End, End] = ("server", "client")
_BFD_PACKETS = 300
"""The packets of BFD after which a session that is up counts as lasting."""
_QUOTA = 256
"""OpenVPN's default of `max-routes-per-client`."""


def restart_closes_device(scene: Scene, end: End) -> Tried:
    """See if a restart by SIGUSR1 deletes a device through which a daemon has routes."""
    node, process = scene.node(end), scene.process(end)
    led = scene.led_into_tunnel(end)
    if not any(entry.protocol in DAEMONS for entry in led.values()):
        return Tried(None, "no daemon has a route through the device")
    before, size = _index(node, scene.device(end)), process.log_size()
    with process.management() as management:
        management.signal("SIGUSR1")
    expect_line("the restart", (process, re.compile(COMPLETED), size))
    after = _index(node, scene.device(end))
    return Tried(before != after, f"the device had index {before} and has {after} after a restart")


def second_client(scene: Scene, end: End) -> Tried:
    """See if the first client loses its traffic to a second one, while its tunnel is up."""
    if not any(route.is_default for route in scene.inner_routes) and not scene.client_options.gaps:
        return Tried(False, "the client has no inner default route")
    second = _second(scene)
    behind = next((address for network, address in scene.behind_client.items() if network in scene.routes), None)
    inner = scene.inner("client", "ipv4") or scene.inner("client")
    if second is None or behind is None or inner is None:
        return Tried(None, "it needs a second client of the same server, and a route to a network behind the first")
    with _second_after_first(scene, second, behind):
        lost = not scene.answers("server", behind)
        if lost and len(named_clients(scene.tunnel)) < 2:
            return Tried(False, _SAME_NAME)
        scene.server_node.expect_reaches(inner, within=WITHIN)
    return Tried(lost, f"{behind} {'does not answer' if lost else 'answers'} after a second client has connected")


def overlapping_iroutes(scene: Scene, end: End) -> Tried:
    """See if packets to a network of the first client go to a second one that has connected after it."""
    second = _second(scene)
    claimed = [route for route in _inner_routes(scene) if route.prefixlen]
    behind = next((a for n, a in scene.behind_client.items() if n in scene.routes and n in claimed), None)
    if second is None or behind is None:
        return Tried(None, "it needs a second client of the same server, and an `iroute` and a route to the first one")
    with (
        _second_after_first(scene, second, behind),
        scene.client_node.capture(scene.device("client")) as here,
        scene.lab.node(second.tunnel.client).capture(second.device(second.tunnel.client)) as there,
    ):
        scene.answers("server", behind)
        came = [_arrived(capture, behind) for capture in (here, there)]
        if not came[0] and len(named_clients(scene.tunnel)) < 2:
            return Tried(False, _SAME_NAME)
    whom = "the first client" if came[0] else "the second client" if came[1] else "no client"
    return Tried(not came[0], f"packets to {behind} go to {whom} after the second one has connected")


def quick_reconnect(scene: Scene, end: End) -> Tried:
    """See if the old session of a client that ended without notice prevents a new one, or stays besides it."""
    tunnel = scene.tunnel
    before, connected = named_clients(tunnel, scene.common_name), len(named_clients(tunnel))
    if len(before) != 1:
        return Tried(None, f"the server has {len(before)} clients of this name: which session is the old one?")
    size, seen = tunnel.server.log_size(), tunnel.client.log_size()
    tunnel.client.stop("KILL")
    tunnel.client.start()
    line = expect_line(
        "a new session, or its refusal",
        (tunnel.server, re.compile(FULL), size),
        (tunnel.client, re.compile(COMPLETED), seen),
    )
    happened = before[0] in named_clients(tunnel)
    known = {entry.client for entry in scene.client_options.entries if entry.client is not None}
    if not happened and scene.server.has("max-clients") and connected < len(known):
        return Tried(None, f"{connected} of the {len(known)} clients were connected, so that a slot may have been free")
    return Tried(happened, f"after a client was killed and started again: {line}")


def no_exit_notify(scene: Scene, end: End) -> Tried:
    """See if the other end notices by its timeout that this one has stopped."""
    stopped, left = scene.process(end), scene.process("client" if end == "server" else "server")
    wait = scene.timeouts.get("client" if end == "server" else "server", 0)
    if wait is None or wait > PATIENCE:
        return Tried(None, f"the other end waits {f'{wait} s' if wait else 'forever'}, longer than a trial")
    if not scene.tunnel_up:
        return Tried(None, _DOWN)
    ended = _of_session(scene, "client" if end == "server" else "server", f"{TIMEOUT}|{NOTICE}")
    with _restored(scene):
        size = left.log_size()
        stopped.stop()
        try:
            line = expect_line("the end of the session", (left, ended, size))
        finally:
            stopped.start()
    return Tried(TIMEOUT in line, line)


def route_quota(scene: Scene, end: End) -> Tried:
    """See if packets from addresses that the client's inner routes allow exceed the quota."""
    from scapy.layers.inet import ICMP, IP

    target = scene.inner("server", "ipv4")
    networks = _inner_routes(scene)
    if target is None or not networks:
        return Tried(None, "it needs an inner route for IPv4, and the server's inner IPv4 address")
    if not scene.tunnel_up:
        return Tried(None, _DOWN)
    limit = scene.server.last("max-routes-per-client")
    text = (limit.argument(0) if limit else None) or str(_QUOTA)
    most = int(text) + 2 if text.isdecimal() else _QUOTA + 2
    size = scene.tunnel.server.log_size()
    device = scene.device("client")
    sources = list(islice(chain.from_iterable(map(_addresses, networks)), most))
    with scene.server_node.capture(scene.device("server")) as capture:
        for number, address in enumerate(sources):
            packet = IP(src=str(address), dst=str(target)) / ICMP(id=number & 0xFFFF, seq=1)
            for _ in range(2):  # one may be lost
                scene.client_node.send(packet, device)
        # A packet of the client's own comes after all the others.
        scene.client_node.expect_reaches(target, within=WITHIN)
    came = {packet.ip[12:16] for packet in capture.stop() if not packet.outgoing}
    lines = scene.tunnel.server.log_lines(QUOTA, since=size)
    if not lines and (lost := [address for address in sources if address.packed not in came]):
        why = "another client may have its inner routes"
        return Tried(None, f"packets from {len(lost)} of {len(sources)} addresses behind the client are dropped: {why}")
    return Tried(bool(lines), lines[0] if lines else f"packets from {len(sources)} addresses pass")


def path_mtu(scene: Scene, end: End) -> Tried:
    """See if a TCP transfer through the tunnel stalls after its first packets."""
    target = scene.inner("server")
    if target is None:
        return Tried(None, "the server has no inner address that could be used")
    if not scene.tunnel_up:
        return Tried(None, _DOWN)
    node, pid = scene.server_node, "/tmp/lab-check-iperf3.pid"  # noqa: S108 - in the node
    server = node.exec("iperf3", "--server", "--daemon", "--pidfile", pid, "--bind", str(target))
    if server.exit_code != 0:
        return Tried(None, "the server's node has no iperf3")
    try:
        sent = scene.client_node.exec("timeout", "15", "iperf3", "--client", str(target), "--bytes", "200K")
    finally:
        node.exec("sh", "-c", f"kill $(tr -d '\\0' < {pid}); rm -f {pid}")
    return Tried(sent.exit_code != 0, f"a transfer of 200 KB by TCP {'stalls' if sent.exit_code else 'completes'}")


def hold_time(scene: Scene, end: End) -> Tried:
    """See if BGP has lost its session before OpenVPN restarts, when all packets of the tunnel are lost."""
    tunnel, process = scene.tunnel, scene.process(end)
    here, there = scene.node(end).name, scene.node("client" if end == "server" else "server").name
    if "bgp" not in _protocols(scene, end):
        return Tried(False, f"{here} does not run BGP")
    if not scene.tunnel_up:
        return Tried(None, _DOWN)
    router = scene.lab.router(here)
    router.expect_session(there, within=_SESSION_WITHIN)
    # By its address: when the other end closes its device, that is the address of no node.
    addresses = {neighbor.address for node, neighbor in router.sessions() if node == there and neighbor.up}
    size, timeout = process.log_size(), _of_session(scene, end, TIMEOUT)

    def lasts() -> bool:
        return any(neighbor.up and neighbor.address in addresses for _, neighbor in router.sessions())

    with _restored(scene):
        began = time.monotonic()
        with scene.lab.fault("blackhole", layer="outer", tunnel=tunnel.name):
            found = _first_of(scene, end, timeout, "the BGP session", lasts, since=size)
            after = time.monotonic() - began
    # The last KEEPALIVE came a third of the hold time before the fault, or later (RFC 4271, section 4.4).
    if found.happened and scene.hold is not None and after < scene.hold - -(-scene.hold // 3):
        return Tried(None, f"the BGP session ended after {after:.1f} s, too soon for its hold time of {scene.hold} s")
    return found


def _first_of(
    scene: Scene, end: End, timeout: re.Pattern[str], what: str, lasts: Callable[[], bool], *, since: int
) -> Tried:
    """Wait until an end restarts, or what a routing daemon has through the tunnel ends: the failure is that it does."""
    process = scene.process(end)

    def look() -> tuple[bool, list[str], bool]:
        # What lasts before the log is read, and after it: between two looks both may have happened.
        before = lasts()
        return before, _matching(process, timeout, since), lasts()

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


def dead_interval(scene: Scene, end: End) -> Tried:
    """See if OSPF or RIP loses its routes before OpenVPN restarts, when all packets of the tunnel are lost."""
    node, process = scene.node(end), scene.process(end)
    if not {"ospf", "rip"} & _protocols(scene, end):
        return Tried(False, f"{node.name} runs neither OSPF nor RIP")
    learned = [n for n, entry in scene.led_into_tunnel(end).items() if entry.protocol in DAEMONS - {"bgp"}]
    if not learned:
        return Tried(None, f"no daemon has brought {node.name} a route into the tunnel")
    size, timeout = process.log_size(), _of_session(scene, end, TIMEOUT)
    with _restored(scene), scene.lab.fault("blackhole", layer="outer", tunnel=scene.tunnel.name):
        route = f"the route to {learned[0]}"
        return _first_of(scene, end, timeout, route, lambda: node.fib.route(learned[0]) is not None, since=size)


def idle_restart(scene: Scene, end: End) -> Tried:
    """See if an end restarts before the other one, which runs undisturbed, has sent its next packet."""
    wait = scene.timeouts.get(end, 0)
    if not wait or wait > PATIENCE:
        how = {None: "forever", 0: "for an unknown time"}.get(wait, f"{wait} s, longer than a trial")
        return Tried(None, f"this end waits {how}")
    if not _comes_up(scene):
        return Tried(None, _DOWN)
    if talks := [scene.node(each).name for each in _ENDS if scene.node(each).name in scene.lab.plans]:
        return Tried(None, f"the packets of the routing daemon of {talks[0]} keep the tunnel busy")
    process = scene.process(end)
    size, timeout = process.log_size(), _of_session(scene, end, TIMEOUT)
    node = scene.node(end)
    with Capture(node.running.namespace, None, node=node.name) as capture:

        def look() -> tuple[list[float], list[str]]:
            came = [packet.time for packet in capture.packets if _from_other_end(scene, end, packet)]
            # The log is read after the packets: a restart before the last one is in it.
            return came, _matching(process, timeout, size)

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
        return Tried(None, _DOWN)
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


def recursive_routing(scene: Scene, end: End) -> Tried:
    """See if a route to the other end's outer address sends this end's packets into the tunnel."""
    other: End = "client" if end == "server" else "server"
    outer = scene.tunnel.addresses(scene.node(other).name).outer
    near, far, target = scene.node(end), scene.node(other), scene.inner(other)
    if outer is None or target is None or far.name not in scene.lab.plans:
        return Tried(None, "the other end's outer address is not known, or it runs no routing daemon")
    if not scene.tunnel_up:
        return Tried(None, _DOWN)
    if near.name not in scene.lab.plans:
        return Tried(False, f"{near.name} runs no routing daemon")
    router = scene.lab.router(far.name)
    near.expect_reaches(target, within=WITHIN)
    process = scene.process(end)
    size = process.log_size()
    covering = ip_network(f"{outer}/{outer.max_prefixlen - 1}", strict=False)
    witness = scene.lab.free_prefix("ipv4" if outer.version == 4 else "ipv6")
    with _restored(scene), router.announced([covering, witness]):
        # Where the covering one is accepted, the log line is the proof of it.
        try:
            near.expect_in_fib([witness], via=scene.device(end), within=30)
        except ExpectationFailed:
            return Tried(None, f"{witness}, announced beside {covering} for the trial, does not come to {near.name}")
        # One UPDATE of BGP brings both; OSPF and RIP may send the other one later.
        with suppress(ExpectationFailed):
            near.expect_in_fib([covering], via=scene.device(end), within=_SECOND_PREFIX_WITHIN)
        silent = [near.echo(target, count=3).silent for _ in range(3)]
        lines = process.log_lines(RECURSIVE, since=size)
        entry, receivers = near.fib.route(covering), router.receivers(covering)
    if lines:
        return Tried(True, lines[0])
    if entry is None or scene.device(end) not in entry.interfaces:
        if receivers is not None and near.name not in receivers:
            return Tried(None, f"{far.name} does not announce {covering} to {near.name}")
        return Tried(False, f"{covering} does not come into the FIB of {near.name}")
    stopped = all(silent)
    return Tried(
        stopped, f"with {covering} through {scene.device(end)} the tunnel {'passes nothing' if stopped else 'works'}"
    )


def address_change(scene: Scene, end: End) -> Tried:
    """See if an end drops what the other one sends, when it comes from another outer address."""
    if (scene.server if end == "server" else scene.client).role == "client":
        return Tried(False, "the other end is a server")
    other: End = "client" if end == "server" else "server"
    sender, target = scene.node(other), scene.inner(end)
    outer = scene.tunnel.addresses(sender.name).outer
    if outer is None or target is None:
        return Tried(None, "the other end's outer address, or an inner address here, is not known")
    sender.expect_reaches(target, within=WITHIN)
    with _restored(scene), _from_another_address(scene, end, outer) as translated:
        lost = not scene.answers(other, target)
        if not translated():
            return Tried(None, f"no packet of the tunnel comes from {outer}")
    where = f"{sender.name}, whose outer address has changed"
    return Tried(lost, f"{target} {'does not answer' if lost else 'answers'} {where}")


def new_prefix(scene: Scene, end: End) -> Tried:
    """See if packets to a prefix that the client announces for the trial are dropped."""
    if scene.client_node.name not in scene.lab.plans:
        return Tried(None, "the client runs no routing daemon that could announce another prefix")
    router, prefix = scene.lab.router(scene.client_node.name), _uncovered(scene)
    if prefix is None:
        return Tried(None, "the client's inner routes cover every prefix that the trial could announce")
    if not scene.learned and not _session_up(scene.lab, scene.client_node.name, scene.server_node.name):
        return Tried(None, "the client's routing daemon has no session with the server's, and has brought it no route")
    address = prefix.network_address + 1
    with ExitStack() as stack:
        stack.enter_context(_address(scene.client_node, f"{address}/{prefix.prefixlen}"))
        stack.enter_context(router.announced([prefix]))
        try:
            scene.server_node.expect_in_fib([prefix], via=scene.device("server"), within=30)
        except ExpectationFailed:
            return Tried(None, f"{prefix}, announced by the client for the trial, does not come to the server")
        lost = not scene.answers("server", address)
    return Tried(lost, f"{prefix}, announced by the client for the trial, is {'not ' if lost else ''}reached")


DISTURBED: Mapping[str, Trial] = {
    "second-client": second_client,
    "overlapping-iroutes": overlapping_iroutes,
    "quick-reconnect": quick_reconnect,
    "no-exit-notify": no_exit_notify,
    "route-quota": route_quota,
    "path-mtu": path_mtu,
    "hold-time": hold_time,
    "dead-interval": dead_interval,
    "bfd-jitter": bfd_jitter,
    "idle-restart": idle_restart,
    "address-change": address_change,
    "recursive-routing": recursive_routing,
    "restart-closes-device": restart_closes_device,
}
"""The trials by rule."""


def expect_line(what: str, *places: tuple[OpenVpn, re.Pattern[str], int]) -> str:
    """Wait for a text in one of several logs, each from an offset; return the first line with one."""
    process = places[0][0]
    found = wait_for(
        Expectation(
            what=what,
            node=process.node.name,
            look=lambda: [line for of, pattern, since in places for line in _matching(of, pattern, since)],
            met=bool,
            logs=process.log,
        ),
        within=WITHIN,
    )
    return found[0]


def named_clients(tunnel: RunningTunnel, name: str | None = None) -> list[int]:
    """Return the server's sessions, of one common name or of all, without clients that are not authenticated yet."""
    with tunnel.server.management() as server:
        clients = server.server_status().clients
    return [c.client_id for c in clients if c.common_name != "UNDEF" and name in (None, c.common_name)]


def _of_session(scene: Scene, end: End, pattern: str) -> re.Pattern[str]:
    """Return a pattern for the log lines of an end that are about the tunnel's session.

    A server's log has also lines of its other clients, and of old sessions of this client.
    """
    if end == "client" or scene.server.role != "server":
        return re.compile(pattern)
    with scene.tunnel.server.management() as server:
        clients = server.server_status().clients
    mine = [c for c in clients if scene.common_name in (None, c.common_name) and c.common_name != "UNDEF"]
    newest = max(mine, key=lambda c: c.client_id, default=None)
    port = newest.real_address.rpartition(":")[2] if newest is not None else ""
    return re.compile(rf"/\S+:{port} .*({pattern})" if port.isdecimal() else pattern)


def _matching(process: OpenVpn, pattern: re.Pattern[str], since: int) -> list[str]:
    return [line for line in process.log_lines(since=since) if pattern.search(line)]


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


def _second(scene: Scene) -> RunningTunnel | None:
    """Return the tunnel of another client of the same server process."""
    tunnels = scene.lab.tunnels.values()
    return next((t for t in tunnels if t is not scene.tunnel and t.server is scene.tunnel.server), None)


@contextmanager
def _second_after_first(scene: Scene, second: RunningTunnel, behind: Address) -> Iterator[None]:
    """Connect the first client and then the second, which the server may refuse; connect both again after the block."""
    first = scene.tunnel
    second.client.stop()
    first.client.stop()  # the first one's inner routes may be gone: it has to claim them again
    first.client.start()
    try:
        scene.server_node.expect_reaches(behind, within=WITHIN)
        size, before = first.server.log_size(), second.client.log_size()
        second.client.start()
        expect_line(
            "the second client's session, or its refusal",
            (first.server, re.compile(FULL), size),
            (second.client, re.compile(COMPLETED), before),
        )
        yield
    finally:
        second.client.stop()
        first.client.stop()
        first.client.start()
        second.client.start()


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


def _arrived(capture: Capture, address: Address) -> bool:
    """Return whether a packet to an address has come out of a tunnel."""
    return any(address.packed in packet.ip[12:40] for packet in capture.packets if not packet.outgoing)


@contextmanager
def _restored(scene: Scene) -> Iterator[None]:
    """Wait after the block until the tunnel passes packets, with the sessions and routes that were there before."""
    ends = (scene.client_node.name, scene.server_node.name)
    before = [pair for pair in (ends, ends[::-1]) if _session_up(scene.lab, *pair)]
    routes = {end: list(scene.led_into_tunnel(end)) for end in _ENDS}
    yield
    address = scene.inner("server")
    if address is not None:
        scene.client_node.expect_reaches(address, within=WITHIN)
    for here, there in before:
        scene.lab.router(here).expect_session(there, within=WITHIN)
    for end, prefixes in routes.items():
        scene.node(end).expect_in_fib(prefixes, via=scene.device(end), within=WITHIN)


def _protocols(scene: Scene, end: End) -> frozenset[str]:
    """Return the protocols of an end's routing daemon."""
    plan = scene.lab.plans.get(scene.node(end).name)
    if plan is None:
        return frozenset()
    return frozenset(plan.own.protocols if plan.own is not None else (plan.protocol,))


def _session_up(lab: Lab, here: str, there: str) -> bool:
    """Return whether a router's sessions with another node are up; a dynamic neighbour that is down is not there."""
    plan = lab.plans.get(here)
    if plan is None or not any(peer.node == there for peer in plan.peers):
        return False
    return any(node == there and neighbor.up for node, neighbor in lab.router(here).sessions())


def _index(node: LabNode, device: str) -> str:
    return node.exec("cat", f"/sys/class/net/{device}/ifindex").raise_on_error().stdout.strip()


@contextmanager
def _address(node: LabNode, address: str) -> Iterator[None]:
    node.exec("ip", "address", "add", address, "dev", "lo").raise_on_error()
    try:
        yield
    finally:
        node.exec("ip", "address", "del", address, "dev", "lo")


@contextmanager
def _from_another_address(scene: Scene, end: End, outer: Address) -> Iterator[Callable[[], bool]]:
    """Give the other end's packets another source address where they arrive, and its own one to those it gets.

    Yields a function that returns whether any packet was translated.
    """
    node, port = scene.node(end), scene.tunnel.tunnel.port
    other = scene.lab.free_prefix(family_of(outer)).network_address + 1
    word, there, back = ("ip" if outer.version == 4 else "ip6"), "dport", "sport"
    if end == "client":
        there, back = back, there
    found = re.search(r"(?:via (?P<via>\S+) )?dev (?P<dev>\S+)", node.exec("ip", "route", "get", str(outer)).stdout)
    gateway, device = (found["via"] or str(outer), found["dev"]) if found else (str(outer), "lo")
    table = f"{word} lab-address"
    route = (f"{other}/{other.max_prefixlen}", "via", gateway, "dev", device, "onlink")
    node.exec("ip", "route", "add", *route).raise_on_error()
    try:
        node.exec(
            "nft",
            f"add table {table}; "
            f"add chain {table} in {{ type filter hook prerouting priority raw; }}; "
            f"add rule {table} in {word} saddr {outer} udp {there} {port} counter {word} saddr set {other}; "
            f"add chain {table} out {{ type filter hook output priority raw; }}; "
            f"add rule {table} out {word} daddr {other} udp {back} {port} {word} daddr set {outer}",
        ).raise_on_error()
        yield (
            lambda: (
                re.search(r"packets [1-9]", node.exec("nft", "list", "chain", *table.split(), "in").stdout) is not None
            )
        )
    finally:
        node.exec("nft", "delete", "table", *table.split())
        node.exec("ip", "route", "del", *route)


def _inner_routes(scene: Scene) -> list[IPv4Network]:
    """Return the client's inner routes for IPv4."""
    return [inner.network for inner in scene.inner_routes if isinstance(inner.network, IPv4Network)]


def _uncovered(scene: Scene) -> IPv4Network | None:
    """Return an unused prefix that no inner route of the client covers."""
    texts = (str(scene.lab.free_prefix("ipv4")), "192.168.255.0/24", "172.31.255.0/24", "198.18.0.0/24")
    taken, inner = set(scene.server_node.fib.routes()), _inner_routes(scene)
    unused = (prefix for text in texts if (prefix := IPv4Network(text)) not in taken)
    return next((prefix for prefix in unused if not any(prefix.subnet_of(route) for route in inner)), None)


def _addresses(network: IPv4Network) -> Iterator[IPv4Address]:
    """Return addresses of a network, of a default route those that no host has."""
    return iter(IPv4Network("198.18.0.0/15") if network.prefixlen == 0 else network)
