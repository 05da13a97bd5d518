"""Checks that a VPN sends only some traffic through its tunnel.

Captures on both sides show a packet's path: inside, it leaves the user's tunnel device and arrives at the office's;
outside, it leaves the user's link in the clear and arrives at the provider's.
"""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_interface, ip_network
from typing import Literal

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6

from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.observe import Capture, CapturedPacket
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.topology import Address, Family, Prefix

SERVICE: Mapping[Family, Address] = {"ipv4": ip_address("10.20.30.40"), "ipv6": ip_address("2001:db8:20:30::40")}
"""The service that must be reached through the VPN, on tcp/1433."""
MOVED: Mapping[Family, Address] = {"ipv4": ip_address("10.20.30.41"), "ipv6": ip_address("2001:db8:20:30::41")}
"""The service's addresses after it has moved."""
PORT = 1433
NEIGHBOUR: Mapping[Family, Address] = {"ipv4": ip_address("10.20.30.1"), "ipv6": ip_address("2001:db8:20:30::1")}
"""Another address in the service's network, without a route into the tunnel."""
INTERNET: Mapping[Family, Address] = {"ipv4": ip_address("192.0.2.53"), "ipv6": ip_address("2001:db8:53::53")}
"""The name server, which is also a web server."""
USER: Mapping[Family, Address] = {"ipv4": ip_address("203.0.113.2"), "ipv6": ip_address("2001:db8:113::2")}
"""The source address that a server sees outside the VPN."""
OFFICE = ip_address("198.51.100.2")
"""The IPv4 source address that a server sees through the VPN: the office translates."""
OFFICE_NETWORK = ip_network("192.168.100.0/24")
OFFICE_HOST = ip_address("192.168.100.10")
NAME = "service.example.com"

_PATIENCE = 10.0
"""Seconds to wait for a server's answer."""
_SILENCE = 1.0
"""Seconds to wait for a connection that gets no answer."""

Where = Literal["inside", "outside"]


@dataclass(frozen=True)
class Vpn:
    """A VPN between user and office, by the interfaces of its two ends."""

    lab: Lab
    device: str = "tun0"
    far: str = "tun0"

    @property
    def user(self) -> LabNode:
        """The user's node, whose packets are checked."""
        return self.lab.node("user")

    @property
    def office(self) -> LabNode:
        """The other end of the tunnel."""
        return self.lab.node("office")


@dataclass(frozen=True)
class Seen:
    """The first packet of a conversation, and the capture that has it."""

    capture: Capture
    packet: CapturedPacket


def prefix_of(address: Address) -> Prefix:
    """Return a prefix of one address: netmask 255.255.255.255."""
    return ip_network(address)


def talk(node: LabNode, address: Address, port: int = PORT, patience: float = _PATIENCE) -> Address:
    """Open a TCP connection and return the source address that the server saw; raises `OSError` on failure."""

    def work() -> bytes:
        with socket.create_connection((str(address), port), timeout=patience) as connection:
            return connection.makefile("rb").readline()

    seen = ip_address(node.running.namespace.run(work).decode().strip().strip("[]"))
    return (seen.ipv4_mapped or seen) if isinstance(seen, IPv6Address) else seen


def expect_seen_as(vpn: Vpn, address: Address, source: Address, port: int = PORT) -> None:
    """Check that a server sees the user come from an address."""
    came = _source_at(vpn, address, port)
    assert came == source, f"user: expected {address} port {port} to see {source}; last seen: it saw {came}"


def expect_seen_inside(vpn: Vpn, address: Address, port: int = PORT) -> None:
    """Check that a server sees the office's address, or for IPv6, which is not translated, the tunnel's."""
    came, own = _source_at(vpn, address, port), USER["ipv4" if address.version == 4 else "ipv6"]
    inside = came == OFFICE or (address.version == 6 and came != own)
    assert inside, f"user: expected {address} port {port} to see it come from the office; last seen: it saw {came}"


def _source_at(vpn: Vpn, address: Address, port: int) -> Address:
    try:
        return talk(vpn.user, address, port)
    except OSError as error:
        raise AssertionError(f"user: expected an answer of {address} port {port}; last seen: {error}") from error


def resolve(node: LabNode, name: str = NAME) -> str:
    """Resolve the service's name with the node's own name servers."""
    return node.exec("getent", "ahostsv4", name).raise_on_error().stdout


@contextmanager
def watched(vpn: Vpn, *, tunnel: bool = True) -> Iterator[Mapping[Where, list[Capture]]]:
    """Capture on both sides of both paths; without `tunnel` outside only."""
    with ExitStack() as stack:
        outside = [
            stack.enter_context(vpn.user.capture("eth1")),
            stack.enter_context(vpn.lab.node("isp").capture("eth1")),
        ]
        inside = (
            [stack.enter_context(vpn.user.capture(vpn.device)), stack.enter_context(vpn.office.capture(vpn.far))]
            if tunnel
            else []
        )
        yield {"inside": inside, "outside": outside}


def expect_way(vpn: Vpn, address: Address, where: Where, act: Callable[[], object]) -> Seen:
    """Check that packets from and to an address during an action are seen on both sides of one path only."""
    with watched(vpn) as captures:
        act()
    ways = {way: [_with(address, capture) for capture in found] for way, found in captures.items()}
    counted = {
        f"{capture.node} {capture.interface}": len(packets)
        for way, found in captures.items()
        for capture, packets in zip(found, ways[way], strict=True)
    }
    other: Where = "outside" if where == "inside" else "inside"
    assert all(ways[where]), f"packets of {address} should be {where} and were seen at {counted}"
    assert not any(ways[other]), f"packets of {address} should be {where} only and were seen at {counted}"
    return Seen(captures[where][0], ways[where][0][0])


def _with(address: Address, capture: Capture) -> list[CapturedPacket]:
    """Return the captured packets with an address as source or destination."""
    layer, found = (IP if address.version == 4 else IPv6), []
    for packet in capture.packets:
        frame = packet.decode()
        if layer in frame and str(address) in (frame[layer].src, frame[layer].dst):
            found.append(packet)
    return found


def expect_named_inside(vpn: Vpn, families: tuple[Family, ...] = FAMILIES) -> Seen:
    """Check that service and office host are reached through the tunnel; returns a packet to the service."""
    for family in reversed(families):

        def to_service(family: Family = family) -> None:
            expect_seen_inside(vpn, SERVICE[family])

        seen = expect_way(vpn, SERVICE[family], "inside", to_service)
    expect_way(vpn, OFFICE_HOST, "inside", lambda: talk(vpn.user, OFFICE_HOST))
    return seen


def expect_rest_outside(vpn: Vpn) -> Seen:
    """Check that neighbours of the service, web and DNS are reached outside the tunnel; returns a query."""
    for family in FAMILIES:
        expect_way(vpn, NEIGHBOUR[family], "outside", lambda at=NEIGHBOUR[family]: vpn.user.expect_reaches(at))  # type: ignore[misc]

        def to_web(family: Family = family) -> None:
            expect_seen_as(vpn, INTERNET[family], USER[family], 80)

        expect_way(vpn, INTERNET[family], "outside", to_web)

    def ask() -> None:
        told, wanted = resolve(vpn.user), str(SERVICE["ipv4"])
        assert wanted in told, f"user: expected {NAME} to be {wanted}; last seen: {told!r}"

    return expect_way(vpn, INTERNET["ipv4"], "outside", ask)


def expect_split(vpn: Vpn, families: tuple[Family, ...] = FAMILIES) -> Seen:
    """Check that only the named addresses are reached inside; returns a packet to the service."""
    expect_rest_outside(vpn)
    return expect_named_inside(vpn, families)


def expect_all_inside(vpn: Vpn, family: Family = "ipv4") -> Seen:
    """Check that all traffic goes inside: the web server does not see the user's own address."""

    def to_web() -> None:
        expect_seen_inside(vpn, INTERNET[family], 80)

    return expect_way(vpn, INTERNET[family], "inside", to_web)


def named(families: tuple[Family, ...] = FAMILIES) -> list[Prefix]:
    """Return the prefixes that have to be routed into the tunnel."""
    return [*(prefix_of(SERVICE[family]) for family in families), OFFICE_NETWORK]


def expect_leak(vpn: Vpn, family: Family = "ipv4") -> Seen:
    """Check that without a tunnel and a fence the service is reached in the clear, from the user's own address."""
    with watched(vpn, tunnel=False) as captures:
        expect_seen_as(vpn, SERVICE[family], USER[family])
    leaked = [_with(SERVICE[family], capture) for capture in captures["outside"]]
    assert all(leaked), (
        f"expected packets of {SERVICE[family]} at user and isp; last seen: {[len(ps) for ps in leaked]}"
    )
    return Seen(captures["outside"][0], leaked[0][0])


def expect_no_leak(vpn: Vpn, families: tuple[Family, ...] = FAMILIES) -> None:
    """Check that the service is not reached, that no packet to it leaves the node, and that other traffic passes."""
    with watched(vpn, tunnel=False) as captures:
        for family in families:
            try:
                came = talk(vpn.user, SERVICE[family], patience=_SILENCE)
            except OSError:
                continue
            raise AssertionError(f"user: expected no answer of {SERVICE[family]}; last seen: it was reached, by {came}")
        expect_seen_as(vpn, INTERNET["ipv4"], USER["ipv4"], 80)
    for capture in captures["outside"]:
        assert _with(INTERNET["ipv4"], capture), f"{capture.node} {capture.interface} has no packets to the web server"
        for family in families:
            assert not _with(SERVICE[family], capture), f"{capture.node} {capture.interface} has packets to the service"


@contextmanager
def unreachable(vpn: Vpn, families: tuple[Family, ...] = FAMILIES) -> Iterator[None]:
    """Add a fence of routes in the context: the same prefixes, unreachable, with a worse metric than the tunnel's."""
    routes = [str(prefix_of(SERVICE[family])) for family in families]
    for route in routes:
        vpn.user.exec("ip", "route", "add", "unreachable", route, "metric", "4278198272").raise_on_error()
    try:
        yield
    finally:
        for route in routes:
            vpn.user.exec("ip", "route", "del", "unreachable", route, "metric", "4278198272").raise_on_error()


@contextmanager
def firewalled(vpn: Vpn, families: tuple[Family, ...] = FAMILIES) -> Iterator[None]:
    """Add a filter in the context: no packet to the service leaves by the link outside the tunnel."""
    rules = [f"{'ip' if f == 'ipv4' else 'ip6'} daddr {SERVICE[f]} oifname eth1 reject" for f in families]
    chain = "add chain inet fence out { type filter hook output priority 0; }"
    nft = "; ".join(["add table inet fence", chain, *(f"add rule inet fence out {rule}" for rule in rules)])
    vpn.user.exec("nft", nft).raise_on_error()
    try:
        yield
    finally:
        vpn.user.exec("nft", "delete table inet fence").raise_on_error()


def expect_fenced(vpn: Vpn, families: tuple[Family, ...] = FAMILIES) -> Seen:
    """Check without the tunnel that traffic leaks, and that either fence stops it; returns a packet that leaked."""
    vpn.user.expect_not_in_fib(named(families))
    for family in families:
        leaked = expect_leak(vpn, family)
    for fence in (unreachable, firewalled):
        with fence(vpn, families):
            expect_no_leak(vpn, families)
        expect_leak(vpn, families[0])
    return leaked


def expect_no_device(vpn: Vpn) -> None:
    """Wait until the tunnel's device is gone: vpnc and NetworkManager do not wait for the process that they end."""
    wait_for(
        Expectation(
            what=f"{vpn.device} to be gone",
            node=vpn.user.name,
            look=lambda: vpn.user.exec("ip", "link", "show", vpn.device).failed,
            met=bool,
            seen=lambda _: "it is still there",
        ),
        within=30,
    )


def expect_name_server(vpn: Vpn, address: str) -> None:
    """Wait until a name server is the first one; the caller of resolvconf(8) does not wait for it."""
    wait_for(
        Expectation(
            what=f"{address} to be the first name server",
            node=vpn.user.name,
            look=lambda: vpn.user.exec("cat", "/etc/resolv.conf").raise_on_error().stdout,
            met=lambda text: text.find(f"nameserver {address}") == text.find("nameserver "),
        ),
        within=30,
    )


@contextmanager
def moved(vpn: Vpn) -> Iterator[None]:
    """Move the service to other addresses in the context."""
    service = vpn.lab.node("service").running
    here = [ip_interface(f"{SERVICE['ipv4']}/24"), ip_interface(f"{SERVICE['ipv6']}/64")]
    # A different prefix length: with the same one the kernel removes it together with the first.
    there = [ip_interface(f"{MOVED['ipv4']}/25"), ip_interface(f"{MOVED['ipv6']}/64")]
    service.add_addresses("eth1", there)
    service.remove_addresses("eth1", here)
    try:
        yield
    finally:
        service.add_addresses("eth1", here)
        service.remove_addresses("eth1", there)


def expect_not_followed(vpn: Vpn, families: tuple[Family, ...] = FAMILIES) -> Seen:
    """Check that a moved service is reached in the clear; returns such a packet."""
    with moved(vpn):
        for family in reversed(families):

            def to_service(family: Family = family) -> None:
                expect_seen_as(vpn, MOVED[family], USER[family])

            seen = expect_way(vpn, MOVED[family], "outside", to_service)
    return seen
