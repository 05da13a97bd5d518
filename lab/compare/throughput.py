"""Measurement of throughput by iperf3, through a tunnel and over the bare wire between the same nodes in turn."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from lab.compare.labs import CLIENT, SERVER
from lab.compare.path import TunnelPath
from lab.core.errors import EnvironmentBroken
from lab.core.expect import Expectation, wait_for
from lab.engine import ExecResult
from lab.observe.sockets import listens
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.topology import Address

Direction = Literal["to-server", "to-client"]
DIRECTIONS: tuple[Direction, Direction] = ("to-server", "to-client")
_PORT = 5201
_WITHIN = 30.0


@dataclass(frozen=True)
class Throughput:
    """The goodput of TCP in one direction."""

    ratio: float
    """The throughput of the tunnel divided by that of the bare wire, the median of the rounds."""
    tunnel: tuple[float, ...]
    """The bits per second of each round."""
    wire: tuple[float, ...]

    @classmethod
    def of(cls, tunnel: Sequence[float], wire: Sequence[float]) -> "Throughput":
        """Divide within each round, since the speed of a host drifts between rounds."""
        return cls(median(t / w for t, w in zip(tunnel, wire, strict=True)), tuple(tunnel), tuple(wire))


def throughput(lab: Lab, *, seconds: int, rounds: int) -> Mapping[Direction, Throughput]:
    """Measure a lab built by `labs.pair`: bare wire and tunnel in turn, in both directions."""
    server, client = lab.node(SERVER), lab.node(CLIENT)
    addresses: dict[str, Address] = {
        "wire": server.address("ipv4"),
        "tunnel": TunnelPath(lab).server("ipv4"),
    }
    seen: dict[tuple[str, Direction], list[float]] = {(path, to): [] for path in addresses for to in DIRECTIONS}
    for _ in range(rounds):
        for (path, to), rates in seen.items():
            with _listening(server):
                rates.append(_iperf3(client, addresses[path], to, seconds))
    return {to: Throughput.of(seen["tunnel", to], seen["wire", to]) for to in DIRECTIONS}


@contextmanager
def _listening(server: LabNode) -> Iterator[None]:
    """Run an iperf3 server for one test, because one that serves several resets connections between two of them."""
    runs = server.running.spawn(("iperf3", "--server", "--one-off", "--port", str(_PORT)))
    wait_for(
        Expectation(
            what=f"iperf3 to listen on port {_PORT}",
            node=server.name,
            look=lambda: listens(server.running.namespace, _PORT),
            met=bool,
            seen=lambda _: "it does not listen" if runs() else "iperf3 has ended",
        ),
        within=_WITHIN,
    )
    yield
    wait_for(
        Expectation(what="iperf3 to end", node=server.name, look=runs, met=lambda still: not still),
        within=_WITHIN,
    )


def _iperf3(client: LabNode, server: Address, to: Direction, seconds: int) -> float:
    """Return the received bits per second."""
    reverse = ["--reverse"] if to == "to-client" else []
    argv = ("iperf3", "--client", str(server), "--port", str(_PORT), "--time", str(seconds), "--json", *reverse)
    result = client.exec(*argv)
    answer = _answer(result)
    if "error" in answer:
        raise EnvironmentBroken(f"{client}: iperf3 to {server}: {answer['error']}")
    return float(answer["end"]["sum_received"]["bits_per_second"])


def _answer(result: ExecResult) -> Any:
    try:
        return json.loads(result.stdout)
    except ValueError:
        result.raise_on_error()
        raise EnvironmentBroken(f"{result.node}: iperf3 printed no JSON: {result.stdout[:80]!r}") from None
