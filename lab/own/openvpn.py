"""Processes of the user's: role, ports, device and inner addresses, as their configurations tell."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, IPv6Network
from itertools import count
from typing import Literal

from lab.configs.openvpn.configuration import Configuration, Directive
from lab.own.draft import Draft
from lab.topology import Topology
from lab.topology.mistakes import Findings, quote

Transport = Literal["tcp", "udp"]
DEFAULT_PORT = 1194


@dataclass(frozen=True)
class Remote:
    """A place to which a process connects."""

    host: str
    """An address or a name."""
    port: int
    transport: Transport
    directive: Directive


@dataclass(frozen=True)
class Device:
    """The interface of a process."""

    name: str
    tap: bool
    arguments: tuple[str, ...] = ()
    """The arguments that name it, where the file says `tun` or `tap` only."""


def transport_of(configuration: Configuration) -> Transport:
    """Return the transport protocol of a process that listens."""
    word = configuration.last("proto")
    return "tcp" if word and (word.argument(0) or "").startswith("tcp") else "udp"


def listens(configuration: Configuration) -> bool:
    """Return True for a server, and for a peer to which the other one connects."""
    if configuration.role != "peer":
        return configuration.role == "server"
    word = configuration.last("proto")
    return not configuration.has("remote") or bool(word and word.argument(0) in ("tcp-server", "tcp4-server"))


def local_port(configuration: Configuration) -> int:
    """Return the port to which a process binds."""
    local = configuration.last("local")
    given = _port(local.argument(1)) if local else None
    for option in ("lport", "port"):
        found = configuration.last(option)
        if found and given is None:
            given = _port(found.argument(0))
    return given or DEFAULT_PORT


def remotes(configuration: Configuration) -> list[Remote]:
    """Return the places to which a process connects, in the file's order."""
    found = []
    for directive in configuration.all("remote"):
        host = directive.argument(0)
        if not host:
            continue
        block = [d for d in configuration.directives if d.connection in (None, directive.connection)]
        ports = [p for n in ("rport", "port") for d in reversed(block) if d.name == n and (p := _first(d))]
        proto = directive.argument(2) or next(
            (d.argument(0) for d in reversed(block) if d.name == "proto" and d.argument(0)), "udp"
        )
        found.append(
            Remote(
                host,
                _port(directive.argument(1)) or next(iter(ports), DEFAULT_PORT),
                "tcp" if (proto or "").startswith("tcp") else "udp",
                directive,
            )
        )
    return found


def ipv4_of(configuration: Configuration) -> IPv4Interface | None:
    """Return the inner IPv4 address that a file sets."""
    if server := configuration.last("server"):
        network = _interface4(server.argument(0), server.argument(1))
        return IPv4Interface((network.network.network_address + 1, network.network.prefixlen)) if network else None
    if ifconfig := configuration.last("ifconfig"):
        return _interface4(ifconfig.argument(0), ifconfig.argument(1))
    return None


def ipv6_of(configuration: Configuration) -> IPv6Interface | None:
    """Return the inner IPv6 address that a file sets."""
    if server := configuration.last("server-ipv6"):
        try:
            network = IPv6Network(server.argument(0) or "", strict=False)
        except ValueError:
            return None
        return IPv6Interface((int(network.network_address) + 1, network.prefixlen))
    if ifconfig := configuration.last("ifconfig-ipv6"):
        return _interface6(ifconfig.argument(0))
    return None


def pushed_addresses(directives: Iterable[Directive]) -> tuple[IPv4Interface | None, IPv6Interface | None]:
    """Return the inner addresses of a client in its file of `client-config-dir`."""
    ipv4, ipv6 = None, None
    for directive in directives:
        if directive.name == "ifconfig-push":
            ipv4 = _interface4(directive.argument(0), directive.argument(1))
        elif directive.name == "ifconfig-ipv6-push":
            ipv6 = _interface6(directive.argument(0))
    return ipv4, ipv6


def assign_devices(drafts: Sequence[Draft], topology: Topology, findings: Findings) -> Mapping[str, Device]:
    """Return the device of each process by its name: those that the files name, then free numbers."""
    taken: dict[tuple[str, str], str] = {}
    for link in topology.links:
        taken.update({(end.node, end.interface): "a link" for end in link.endpoints})
    for tunnel in topology.tunnels:
        taken[tunnel.client, tunnel.device] = taken[tunnel.server, tunnel.server_device] = f"the tunnel {tunnel.name}"
    found: dict[str, Device] = {}
    for draft in drafts:
        option = draft.configuration.last("dev")
        name = (option.argument(0) if option else None) or "tun"
        tap = draft.configuration.device == "tap"
        if name in ("tun", "tap"):
            continue
        found[draft.name] = Device(name, tap)
        if name == "null":
            continue
        if holder := taken.get((draft.node, name)):
            place = option.spot if option else draft.disk.given
            what = f"{place}: the device {quote(name)} is that of {holder} already"
            findings.add(draft.at, what)
        taken[draft.node, name] = f"the process {draft.name}"
    for draft in drafts:
        if draft.name in found:
            continue
        tap = draft.configuration.device == "tap"
        prefix = "tap" if tap else "tun"
        name = next(name for number in count() if (draft.node, name := f"{prefix}{number}") not in taken)
        taken[draft.node, name] = draft.name
        # Without an option `dev` OpenVPN refuses the file, as it should.
        found[draft.name] = Device(name, tap, ("--dev", name) if draft.configuration.has("dev") else ())
    return found


def check_ports(drafts: Sequence[Draft], topology: Topology, findings: Findings) -> None:
    """Note processes of one node that listen on the same port."""
    taken: dict[tuple[str, Transport, int], list[tuple[str | None, str]]] = {}
    for tunnel in topology.tunnels:
        taken.setdefault((tunnel.server, tunnel.transport, tunnel.port), []).append(
            (str(tunnel.server_at.outer), f"the tunnel {tunnel.name}")
        )
    for draft in drafts:
        if not listens(draft.configuration):
            continue
        local = draft.configuration.last("local")
        address = local.argument(0) if local else None
        transport, port = transport_of(draft.configuration), local_port(draft.configuration)
        others = taken.setdefault((draft.node, transport, port), [])
        for there, holder in others:
            if None in (address, there) or address == there:
                what = f"{draft.disk.given}: {transport} port {port} of {draft.node} is already used by {holder}"
                findings.add(draft.at, what)
                break
        others.append((address, f"the process {draft.name}"))


def _first(directive: Directive) -> int | None:
    return _port(directive.argument(0))


def _port(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() and 0 < int(text) < 65536 else None


def _interface4(address: str | None, other: str | None) -> IPv4Interface | None:
    """Return an address with the netmask `other`, or alone if that is the address of a peer."""
    try:
        if other and int(IPv4Address(other)) >> 24 == 255:
            return IPv4Interface(f"{address}/{other}")
        return IPv4Interface(f"{address}/32")
    except ValueError:
        return None


def _interface6(text: str | None) -> IPv6Interface | None:
    try:
        return IPv6Interface(text or "")
    except ValueError:
        return None
