"""What a hub's OpenVPN processes occupy, and for how many of its clients traffic passes."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Interface

from pyroute2 import IPRoute

from lab.compare.labs import SERVER, behind
from lab.runtime.lab import Lab
from lab.tunnel import OpenVpn, RunningTunnel

_KIB = 1 << 10
_SILENCE = 2.0


@dataclass(frozen=True)
class Memory:
    """Of one process, in bytes (proc(5), `smaps_rollup`)."""

    own: int
    """Anonymous memory: another process has none of it."""
    mapped: int
    """Pages of the program and its libraries, which all processes share."""


@dataclass(frozen=True)
class Hub:
    """What was seen of a hub."""

    clients: int
    routed_for: int
    """Clients that the hub hears from through an address behind them."""
    processes: int
    """OpenVPN's, on the hub."""
    memory: int
    """Bytes that they occupy: what each has of its own, and once what all of them map."""

    @property
    def memory_per_client(self) -> float:
        """Bytes."""
        return self.memory / self.clients


def measure_hub(lab: Lab) -> Hub:
    """Measure a lab of `labs.hub`."""
    servers: dict[str, OpenVpn] = {t.server.process.tunnel: t.server for t in lab.tunnels.values()}
    routed_for = _routed_for(lab)  # first: the inner table is then filled, and belongs to what is measured
    used = [_memory(process) for process in servers.values()]
    return Hub(len(lab.tunnels), routed_for, len(used), sum(m.own for m in used) + max(m.mapped for m in used))


def _memory(process: OpenVpn) -> Memory:
    with process.management() as management:
        pid = management.pid()
    return parse_rollup((process.node.root / "proc" / str(pid) / "smaps_rollup").read_text())


def parse_rollup(text: str) -> Memory:
    """Read `smaps_rollup`.

    Not its `Pss`: that divides a shared page by everybody on the machine who maps it, the clients and other labs too.
    """
    sizes = {
        name: int(size) * _KIB
        for name, _, size, *_ in (line.replace(":", " : ").split() for line in text.splitlines()[1:])
    }
    return Memory(own=sizes["Anonymous"], mapped=sizes["Rss"] - sizes["Anonymous"])


def _routed_for(lab: Lab) -> int:
    """Have the hub's kernel route to what lies behind each client, and ask all of them at once."""
    server = lab.node(SERVER)
    tunnels = list(lab.tunnels.values())

    def route() -> None:
        with IPRoute() as ip:
            for number, tunnel in enumerate(tunnels):
                index = ip.link_lookup(ifname=tunnel.tunnel.server_device)[0]
                via = str(tunnel.tunnel.client_ipv4.ip)
                ip.route("replace", dst=str(behind(number)), gateway=via, oif=index)

    for number, tunnel in enumerate(tunnels):
        node = lab.node(tunnel.tunnel.client)
        node.running.add_addresses("lo", [IPv4Interface(f"{behind(number)[1]}/32")])
    server.running.namespace.run(route)

    def heard(numbered: tuple[int, RunningTunnel]) -> bool:
        number, _ = numbered
        return server.echo(behind(number)[1], count=3, wait=_SILENCE).received > 0

    with ThreadPoolExecutor(max_workers=len(tunnels)) as pool:
        return sum(pool.map(heard, enumerate(tunnels)))
