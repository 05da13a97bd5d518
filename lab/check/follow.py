"""The path of a packet and of its answer, as the nodes and tunnels that it crossed."""

from collections.abc import Sequence

from lab.core.prefixes import Address
from lab.runtime.lab import Lab
from lab.why.journey import Hop
from lab.why.probe import Probe
from lab.why.tracer import Traced, trace

Chain = tuple[str, ...]


def follow(lab: Lab, source: str, receiver: str, address: Address) -> Traced:
    """Send one echo request and capture it everywhere."""
    return trace(lab, source, receiver, Probe(address, count=1))


def chains(lab: Lab, traced: Traced) -> tuple[Chain, Chain]:
    """Return what the packet and its answer crossed; empty where it was seen nowhere."""
    return _chain(lab, traced.way(1, "request")), _chain(lab, traced.way(1, "reply"))


def lines(traced: Traced) -> list[str]:
    """Return the hops of the packet and of its answer, one line each."""
    ways = {"": traced.way(1, "request"), "answer: ": traced.way(1, "reply")}
    return [f"{traced.probe.destination}: {name}{_hop_line(hop)}" for name, way in ways.items() for hop in way]


def _hop_line(hop: Hop) -> str:
    return ", ".join([hop.node, *(seen.where for seen in (hop.arrived, hop.left) if seen is not None)])


def _chain(lab: Lab, way: Sequence[Hop]) -> Chain:
    chain: list[str] = []
    for before, hop in zip((None, *way), way, strict=False):
        if before is not None and (tunnel := _tunnel_between(lab, before, hop)):
            chain.append(tunnel)
        chain.append(hop.node)
    return tuple(chain)


def _tunnel_between(lab: Lab, before: Hop, hop: Hop) -> str | None:
    """Return the tunnel whose two devices a packet left and entered by."""
    if before.left is None or hop.arrived is None:
        return None
    for tunnel in lab.tunnels.values():
        if {tunnel.tunnel.server, tunnel.tunnel.client} != {before.node, hop.node}:
            continue
        if (before.left.interface, hop.arrived.interface) == (tunnel.device(before.node), tunnel.device(hop.node)):
            return tunnel.name
    return None
