"""NAT routers in the underlay: a host whose outer address is private, while others know it by a public one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from lab.core.prefixes import Address
from lab.importer.hosts import Host
from lab.importer.pairing import Pair, Pairing

_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))


@dataclass(frozen=True)
class Forward:
    """A port of a NAT router that leads to a host behind it."""

    outer: Address | None
    """The public address; None for all of them."""
    transport: str
    port: int
    host: str
    to_port: int


@dataclass
class NatRouter:
    """A router between hosts with private addresses and the internet."""

    name: str
    hosts: list[str] = field(default_factory=list)
    public: list[Address] = field(default_factory=list)
    """The public addresses that files tell; the lab chooses one if there is none."""
    forwards: list[Forward] = field(default_factory=list)


def is_public(address: Address) -> bool:
    """Return True for an address that is not of a private network; documentation's stand for public ones."""
    return not any(address in network for network in _PRIVATE)


def reaches_public(host: Host, hosts: Sequence[Host], pairing: Pairing) -> Pair | None:
    """Return a pair in which a host connects to a public IPv4 address; None if all are private or not known."""
    by_name = {other.name: other for other in hosts}
    for pair in pairing.pairs:
        if pair.client.host != host.name:
            continue
        address = pair.remote.address or dict(host.facts.names).get(pair.remote.host)
        there = by_name[pair.host]
        held = [address] if address is not None else [a.ip for i in there.interfaces for a in i.addresses]
        if any(a.version == 4 and is_public(a) for a in held):
            return pair
    return None


def forwards_to(host: Host, public: Iterable[Address], pairing: Pairing) -> list[Forward]:
    """Return the ports that must lead to a host behind a NAT, so that others reach its processes."""
    known = set(public)
    found: dict[tuple[object, ...], Forward] = {}
    for pair in pairing.pairs:
        if pair.host != host.name or pair.server is None:
            continue
        remote = pair.remote
        if remote.address is not None and remote.address not in known:
            continue
        forward = Forward(remote.address, remote.transport, remote.port, host.name, pair.server.port)
        found.setdefault((forward.outer, forward.transport, forward.port), forward)
    return list(found.values())


def ruleset_text(router: NatRouter, outer: str, inside: dict[str, Address]) -> str:
    """Return the rules of a NAT router for `nft -f`; `inside` has the private address of each host."""
    lines = [
        "# Made by `lab import`: not from your files. The hosts behind this router have private addresses.",
        "table ip nat {",
        "\tchain prerouting {",
        "\t\ttype nat hook prerouting priority dstnat; policy accept;",
    ]
    for forward in router.forwards:
        if forward.host in inside:
            outer_address = f"ip daddr {forward.outer} " if forward.outer is not None else ""
            lines.append(
                f'\t\tiifname "{outer}" {outer_address}{forward.transport} dport {forward.port} '
                f"dnat to {inside[forward.host]}:{forward.to_port}"
            )
    lines += [
        "\t}",
        "\tchain postrouting {",
        "\t\ttype nat hook postrouting priority srcnat; policy accept;",
        f'\t\toifname "{outer}" masquerade',
        "\t}",
        "}",
    ]
    return "\n".join(lines) + "\n"
