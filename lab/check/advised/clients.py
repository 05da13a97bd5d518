"""Trials with the clients of a server: a second one, one that comes back, one with many addresses."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from itertools import chain, islice

from lab.check.advised.logs import COMPLETED, FULL, expect_line, named_clients
from lab.check.advised.restoring import DOWN
from lab.check.advised.scene import Scene, Tried
from lab.check.advised.undisturbed import WITHIN
from lab.core.prefixes import Address
from lab.observe.capture import Capture
from lab.tunnel import RunningTunnel
from lab.tunnel.mode import End

_QUOTA = 256
"""OpenVPN's default of `max-routes-per-client`."""
QUOTA = "route quota"
_SAME_NAME = "the second client has the name of the first, whose session it replaces"


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
    claimed = [route for route in inner_routes(scene) if route.prefixlen]
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


def route_quota(scene: Scene, end: End) -> Tried:
    """See if packets from addresses that the client's inner routes allow exceed the quota."""
    from scapy.layers.inet import ICMP, IP

    target = scene.inner("server", "ipv4")
    networks = inner_routes(scene)
    if target is None or not networks:
        return Tried(None, "it needs an inner route for IPv4, and the server's inner IPv4 address")
    if not scene.tunnel_up:
        return Tried(None, DOWN)
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


def _arrived(capture: Capture, address: Address) -> bool:
    """Return whether a packet to an address has come out of a tunnel."""
    return any(address.packed in packet.ip[12:40] for packet in capture.packets if not packet.outgoing)


def inner_routes(scene: Scene) -> list[IPv4Network]:
    """Return the client's inner routes for IPv4."""
    return [inner.network for inner in scene.inner_routes if isinstance(inner.network, IPv4Network)]


def _addresses(network: IPv4Network) -> Iterator[IPv4Address]:
    """Return addresses of a network, of a default route those that no host has."""
    return iter(IPv4Network("198.18.0.0/15") if network.prefixlen == 0 else network)
