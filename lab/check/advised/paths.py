"""Trials of paths: a device that is closed, large packets, a changed address, routes that come and go."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Network, ip_network

from lab.check.advised.clients import inner_routes
from lab.check.advised.logs import COMPLETED, expect_line
from lab.check.advised.restoring import DOWN, restored, session_up
from lab.check.advised.scene import DAEMONS, Scene, Tried
from lab.check.advised.undisturbed import WITHIN
from lab.core.errors import ExpectationFailed
from lab.core.prefixes import Address, family_of
from lab.runtime.node import LabNode
from lab.tunnel.mode import End

RECURSIVE = "Recursive routing detected"
_SECOND_PREFIX_WITHIN = 10
"""Seconds to wait for a prefix after another one that was announced with it."""
_SMALL_SEGMENT = 500
"""Bytes of a TCP segment that each path carries: an IPv4 host accepts 576 (RFC 791)."""


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


def path_mtu(scene: Scene, end: End) -> Tried:
    """See if a TCP transfer through the tunnel stalls, and one with small segments does not."""
    target = scene.inner("server")
    if target is None:
        return Tried(None, "the server has no inner address that could be used")
    if not scene.tunnel_up:
        return Tried(None, DOWN)
    node, pid = scene.server_node, "/tmp/lab-check-iperf3.pid"  # noqa: S108 - in the node
    server = node.exec("iperf3", "--server", "--daemon", "--pidfile", pid, "--bind", str(target))
    if server.exit_code != 0:
        return Tried(None, "the server's node has no iperf3")
    try:
        if _transferred(scene, target):
            return Tried(False, "a transfer of 200 KB by TCP completes")
        # On a busy host, or while OpenVPN restarts, a transfer with segments of any size may stall.
        if not _transferred(scene, target, "--set-mss", str(_SMALL_SEGMENT)):
            return Tried(None, f"a transfer by TCP stalls with segments of {_SMALL_SEGMENT} bytes, too")
        if _transferred(scene, target):
            return Tried(False, "a transfer of 200 KB by TCP completes the second time")
    finally:
        node.exec("sh", "-c", f"kill $(tr -d '\\0' < {pid}); rm -f {pid}")
    return Tried(
        True, f"a transfer of 200 KB by TCP stalls twice, and completes with segments of {_SMALL_SEGMENT} bytes"
    )


def _transferred(scene: Scene, target: Address, *options: str) -> bool:
    """Return whether a TCP transfer from the client's node completes."""
    sent = scene.client_node.exec("timeout", "15", "iperf3", "--client", str(target), "--bytes", "200K", *options)
    return sent.exit_code == 0


def recursive_routing(scene: Scene, end: End) -> Tried:
    """See if a route to the other end's outer address sends this end's packets into the tunnel."""
    other: End = "client" if end == "server" else "server"
    outer = scene.tunnel.addresses(scene.node(other).name).outer
    near, far, target = scene.node(end), scene.node(other), scene.inner(other)
    if outer is None or target is None or far.name not in scene.lab.plans:
        return Tried(None, "the other end's outer address is not known, or it runs no routing daemon")
    if not scene.tunnel_up:
        return Tried(None, DOWN)
    if near.name not in scene.lab.plans:
        return Tried(False, f"{near.name} runs no routing daemon")
    router = scene.lab.router(far.name)
    near.expect_reaches(target, within=WITHIN)
    process = scene.process(end)
    size = process.log_size()
    covering = ip_network(f"{outer}/{outer.max_prefixlen - 1}", strict=False)
    witness = scene.lab.free_prefix("ipv4" if outer.version == 4 else "ipv6")
    with restored(scene), router.announced([covering, witness]):
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
    with restored(scene), _from_another_address(scene, end, outer) as translated:
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
    if not scene.learned and not session_up(scene.lab, scene.client_node.name, scene.server_node.name):
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


def _uncovered(scene: Scene) -> IPv4Network | None:
    """Return an unused prefix that no inner route of the client covers."""
    texts = (str(scene.lab.free_prefix("ipv4")), "192.168.255.0/24", "172.31.255.0/24", "198.18.0.0/24")
    taken, inner = set(scene.server_node.fib.routes()), inner_routes(scene)
    unused = (prefix for text in texts if (prefix := IPv4Network(text)) not in taken)
    return next((prefix for prefix in unused if not any(prefix.subnet_of(route) for route in inner)), None)


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
