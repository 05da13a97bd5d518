"""What passes through a tunnel, found by sending it: packets of both families, to groups, and as large as possible."""

import os
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_interface

from lab.compare.facts import Facts, Mtu
from lab.compare.labs import CLIENT, SERVER
from lab.compare.way import Way
from lab.core.errors import ExpectationFailed
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.engine.namespace import Namespace
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.topology import Family, Interface, Prefix
from lab.tunnel import OpenVpn

_GROUPS = {"ipv4": "224.0.0.5", "ipv6": "ff02::5"}
"""All OSPF routers of a link (RFC 2328, RFC 5340)."""
_DISCARD = 9
_LEAST = 1280
"""Bytes that any link must pass with IPv6 (RFC 8200, section 5)."""
_LARGEST = 9000
_SILENCE = 2.0
"""Seconds without an answer that are taken for none: the way takes a millisecond."""
_PROBES = 3


def facts(lab: Lab) -> Facts:
    """Measure a lab of two routers that runs. Afterwards its tunnel may lack its inner routes: take the lab down."""
    way = Way(lab)
    server, client = lab.router(SERVER), lab.router(CLIENT)
    for router in (server, client):
        _live_in(router, router.plan.networks)
    families = tuple(family for family in way.families if _announced_passes(way, family))
    multicast = tuple(family for family in way.families if _group_is_heard(way, family))
    mtu = Mtu(**{family: _largest(way, family) if family in way.families else 0 for family in FAMILIES})
    return Facts(_needs_iroute(way), families, multicast, mtu)


def _announced_passes(way: Way, family: Family) -> bool:
    """Whether both ends reach what the other one announces only now."""
    lab, device = way.lab, way.device
    server, client = lab.router(SERVER), lab.router(CLIENT)
    passed = []
    for here, there in ((server, client), (client, server)):
        prefix = lab.free_prefix(family)
        _live_in(there, [prefix])
        with there.announced(prefix):
            here.expect_in_fib(prefix, via=device(here.name))
            passed.append(_answers(here, prefix))
        here.expect_not_in_fib(prefix)
    return all(passed)


def _answers(here: Router, prefix: Prefix) -> bool:
    """Whether a router hears of its neighbour's address in a prefix."""
    return here.echo(_first(prefix).ip, count=_PROBES, wait=_SILENCE).received > 0


def _needs_iroute(way: Way) -> bool:
    """Whether without `iroute` in any of the server's files nothing passes that lies behind the client."""
    tunnel, server, client = way.tunnel, way.lab.router(SERVER), way.lab.router(CLIENT)
    if tunnel is None or not _without_iroute(tunnel.server):
        return False
    tunnel.stop()
    tunnel.start()
    networks = client.plan.networks
    server.expect_in_fib(networks, via=tunnel.device(SERVER))
    with ThreadPoolExecutor() as pool:
        return not any(pool.map(partial(_answers, server), networks))


def _without_iroute(process: OpenVpn) -> bool:
    """Take the lines that begin with `iroute` out of a process's own files; whether there were any."""
    found = False
    own = process.node.files / process.process.files.relative_to("/")
    for file in filter(lambda path: path.is_file(), own.rglob("*")):
        lines = file.read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("iroute")]
        if kept != lines:
            found = True
            file.write_text("".join(kept))
    return found


def _group_is_heard(way: Way, family: Family) -> bool:
    """Whether a packet to a link-local group arrives, in both directions."""
    server, client = way.lab.router(SERVER), way.lab.router(CLIENT)
    return all(_hears(way, here, there, family) for here, there in ((server, client), (client, server)))


def _hears(way: Way, here: Router, there: Router, family: Family) -> bool:
    device = way.device
    mark = os.urandom(16)
    with there.capture(device(there.name)) as capture:

        def arrived() -> bool:
            _send_to_group(here.running.namespace, device(here.name), family, mark)
            return any(mark in packet.data and not packet.outgoing for packet in capture.packets)

        expectation = Expectation(what=f"a packet to {_GROUPS[family]}", node=there.name, look=arrived, met=bool)
        try:
            return wait_for(expectation, within=_SILENCE, grace=0)
        except ExpectationFailed:
            return False


def _send_to_group(namespace: Namespace, device: str, family: Family, mark: bytes) -> None:
    def work() -> None:
        version = socket.AF_INET if family == "ipv4" else socket.AF_INET6
        with socket.socket(version, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            index = socket.if_nametoindex(device)
            scope = (_GROUPS[family], _DISCARD) if family == "ipv4" else (_GROUPS[family], _DISCARD, 0, index)
            sender.sendto(mark, scope)

    namespace.run(work)


def _largest(way: Way, family: Family) -> int:
    """Bytes of the largest IP packet that the client may send into the tunnel, with DF, and hears the answer to."""
    client, destination = way.lab.router(CLIENT), way.server(family)

    def passes(size: int) -> bool:
        return client.echo(destination, count=_PROBES, packet_size=size, wait=_SILENCE).received > 0

    passing, failing = _LEAST, _LARGEST
    if not passes(passing):
        return 0
    while failing - passing > 1:
        size = (passing + failing) // 2
        if passes(size):
            passing = size
        else:
            failing = size
    return passing


def _live_in(router: Router, prefixes: Iterable[Prefix]) -> None:
    """Give a router an address in each prefix, as if a host of it lay behind."""
    router.running.add_addresses("lo", [_host_route(prefix) for prefix in prefixes])


def _first(prefix: Prefix) -> Interface:
    return ip_interface((prefix.network_address + 1, prefix.prefixlen))


def _host_route(prefix: Prefix) -> Interface:
    return ip_interface((prefix.network_address + 1, prefix.max_prefixlen))
