"""Measurement of what passes through a tunnel: routed packets, packets to groups, and the MTU."""

import os
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_interface

from lab.compare.facts import Facts, Mtu
from lab.compare.labs import CLIENT, SERVER
from lab.compare.path import TunnelPath
from lab.core.errors import ExpectationFailed
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.engine.namespace import Namespace
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.topology import Family, Interface, Prefix
from lab.tunnel import OpenVpn

_GROUPS = {"ipv4": "224.0.0.5", "ipv6": "ff02::5"}
"""The group of all OSPF routers on a link (RFC 2328, RFC 5340)."""
_DISCARD = 9
_SMALLEST = 1280
"""The smallest MTU of a link with IPv6 (RFC 8200, section 5)."""
_LARGEST = 9000
_ANSWER_WITHIN = 2.0
"""Seconds to wait for an answer; 1 ms is usual."""
_PROBES = 3


def facts(lab: Lab) -> Facts:
    """Measure a running lab of two routers.

    Destroy the lab afterwards, since its server may have lost its `iroute`.
    """
    path = TunnelPath(lab)
    server, client = lab.router(SERVER), lab.router(CLIENT)
    for router in (server, client):
        _add_hosts(router, router.plan.networks)
    families = tuple(family for family in path.families if _announced_passes(path, family))
    multicast = tuple(family for family in path.families if _group_passes(path, family))
    mtu = Mtu(**{family: _path_mtu(path, family) if family in path.families else 0 for family in FAMILIES})
    return Facts(_needs_iroute(path), families, multicast, mtu)


def _announced_passes(path: TunnelPath, family: Family) -> bool:
    """Return whether both ends reach a prefix that the other one announces while the tunnel is up."""
    lab, device = path.lab, path.device
    server, client = lab.router(SERVER), lab.router(CLIENT)
    passed = []
    for here, there in ((server, client), (client, server)):
        prefix = lab.free_prefix(family)
        _add_hosts(there, [prefix])
        with there.announced(prefix):
            here.expect_in_fib(prefix, via=device(here.name))
            passed.append(_answers(here, prefix))
        here.expect_not_in_fib(prefix)
    return all(passed)


def _answers(here: Router, prefix: Prefix) -> bool:
    """Return whether the neighbour's address in a prefix answers a router's pings."""
    return here.echo(_first(prefix).ip, count=_PROBES, wait=_ANSWER_WITHIN).received > 0


def _needs_iroute(path: TunnelPath) -> bool:
    """Return whether the networks behind the client are unreachable without `iroute` in the server's files."""
    tunnel, server, client = path.tunnel, path.lab.router(SERVER), path.lab.router(CLIENT)
    if tunnel is None or not _remove_iroute(tunnel.server):
        return False
    tunnel.stop()
    tunnel.start()
    networks = client.plan.networks
    server.expect_in_fib(networks, via=tunnel.device(SERVER))
    with ThreadPoolExecutor() as pool:
        return not any(pool.map(partial(_answers, server), networks))


def _remove_iroute(process: OpenVpn) -> bool:
    """Remove the lines that begin with `iroute` from a process's own files, and return whether there were any."""
    found = False
    own = process.node.files / process.process.files.relative_to("/")
    for file in filter(lambda path: path.is_file(), own.rglob("*")):
        lines = file.read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith("iroute")]
        if kept != lines:
            found = True
            file.write_text("".join(kept))
    return found


def _group_passes(path: TunnelPath, family: Family) -> bool:
    """Return whether a packet to a link-local group arrives, in both directions."""
    server, client = path.lab.router(SERVER), path.lab.router(CLIENT)
    return all(_group_arrives(path, here, there, family) for here, there in ((server, client), (client, server)))


def _group_arrives(path: TunnelPath, here: Router, there: Router, family: Family) -> bool:
    device = path.device
    mark = os.urandom(16)
    with there.capture(device(there.name)) as capture:

        def arrived() -> bool:
            _send_to_group(here.running.namespace, device(here.name), family, mark)
            return any(mark in packet.data and not packet.outgoing for packet in capture.packets)

        expectation = Expectation(what=f"a packet to {_GROUPS[family]}", node=there.name, look=arrived, met=bool)
        try:
            return wait_for(expectation, within=_ANSWER_WITHIN, grace=0)
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


def _path_mtu(path: TunnelPath, family: Family) -> int:
    """Return the size of the largest IP packet with DF that the server answers."""
    client, destination = path.lab.router(CLIENT), path.server(family)

    def passes(size: int) -> bool:
        return client.echo(destination, count=_PROBES, packet_size=size, wait=_ANSWER_WITHIN).received > 0

    passing, failing = _SMALLEST, _LARGEST
    if not passes(passing):
        return 0
    while failing - passing > 1:
        size = (passing + failing) // 2
        if passes(size):
            passing = size
        else:
            failing = size
    return passing


def _add_hosts(router: Router, prefixes: Iterable[Prefix]) -> None:
    """Add an address in each prefix to a router's `lo`, instead of a host behind it."""
    router.running.add_addresses("lo", [_host_route(prefix) for prefix in prefixes])


def _first(prefix: Prefix) -> Interface:
    return ip_interface((prefix.network_address + 1, prefix.prefixlen))


def _host_route(prefix: Prefix) -> Interface:
    return ip_interface((prefix.network_address + 1, prefix.max_prefixlen))
