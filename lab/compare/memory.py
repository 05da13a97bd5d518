"""Measurement of a hub: the memory of its OpenVPN processes, and the number of clients whose traffic passes."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Interface

from pyroute2 import IPRoute

from lab.compare.labs import SERVER, network_behind
from lab.runtime.lab import Lab
from lab.tunnel import OpenVpn, RunningTunnel

_KIB = 1 << 10
_ANSWER_WITHIN = 2.0


@dataclass(frozen=True)
class Memory:
    """The memory of one process in bytes (proc(5), `smaps_rollup`)."""

    own: int
    """Anonymous memory, which no other process shares."""
    mapped: int
    """Pages of the program and its libraries, which all its processes share."""


@dataclass(frozen=True)
class Hub:
    """The measurements of a hub."""

    clients: int
    routed_for: int
    """The number of clients behind which an address answers the hub."""
    processes: int
    """The number of OpenVPN processes on the hub."""
    memory: int
    """The bytes that they occupy: the own memory of each, and the mapped pages once."""

    @property
    def memory_per_client(self) -> float:
        """The bytes per client."""
        return self.memory / self.clients


def measure_hub(lab: Lab) -> Hub:
    """Measure a lab built by `labs.hub`."""
    servers: dict[str, OpenVpn] = {t.server.process.tunnel: t.server for t in lab.tunnels.values()}
    routed_for = _routed_for(lab)  # before memory is measured, so that the inner table is filled
    used = [_memory(process) for process in servers.values()]
    return Hub(len(lab.tunnels), routed_for, len(used), sum(m.own for m in used) + max(m.mapped for m in used))


def _memory(process: OpenVpn) -> Memory:
    with process.management() as management:
        pid = management.pid()
    return parse_rollup((process.node.root / "proc" / str(pid) / "smaps_rollup").read_text())


def parse_rollup(text: str) -> Memory:
    """Parse `smaps_rollup`.

    `Pss` is not used: it divides a shared page by all processes of the host that map it, including other labs'.
    """
    sizes = {
        name: int(size) * _KIB
        for name, _, size, *_ in (line.replace(":", " : ").split() for line in text.splitlines()[1:])
    }
    return Memory(own=sizes["Anonymous"], mapped=sizes["Rss"] - sizes["Anonymous"])


def _routed_for(lab: Lab) -> int:
    """Add kernel routes to the networks behind all clients, ping them all at once and count the answers."""
    server = lab.node(SERVER)
    tunnels = list(lab.tunnels.values())

    def route() -> None:
        with IPRoute() as ip:
            for number, tunnel in enumerate(tunnels):
                index = ip.link_lookup(ifname=tunnel.tunnel.server_device)[0]
                via = str(tunnel.tunnel.client_ipv4.ip)
                ip.route("replace", dst=str(network_behind(number)), gateway=via, oif=index)

    for number, tunnel in enumerate(tunnels):
        node = lab.node(tunnel.tunnel.client)
        node.running.add_addresses("lo", [IPv4Interface(f"{network_behind(number)[1]}/32")])
    server.running.namespace.run(route)

    def is_reachable(numbered: tuple[int, RunningTunnel]) -> bool:
        number, _ = numbered
        return server.echo(network_behind(number)[1], count=3, wait=_ANSWER_WITHIN).received > 0

    with ThreadPoolExecutor(max_workers=len(tunnels)) as pool:
        return sum(pool.map(is_reachable, enumerate(tunnels)))
