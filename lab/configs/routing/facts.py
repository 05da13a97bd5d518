"""The facts in the configurations of a host's routing daemons, in one form for FRR, Quagga and BIRD.

Every fact has the line that it comes from. A statement that the readers do not know is `Unread`, never guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Literal

from lab.configs.disk import Spot
from lab.core.prefixes import Address, Family, Interface, Prefix

DaemonKind = Literal["frr", "quagga", "bird1", "bird2"]
"""The program that a configuration is for; `bird2` is also BIRD 3, `bird1` is BIRD 1.6 with a daemon per family."""
InteriorProtocol = Literal["ospf", "ospf6", "rip", "ripng"]
"""OSPFv2, OSPFv3, RIP for IPv4 and for IPv6."""


@dataclass(frozen=True)
class BfdTimers:
    """The intervals of a BFD session, as this side proposes them, in milliseconds (RFC 5880, section 6.8)."""

    transmit: int
    receive: int
    multiplier: int
    spot: Spot


@dataclass(frozen=True)
class BgpNeighbor:
    """A BGP neighbour: an address, a range of addresses, or whoever is at the other end of an interface."""

    name: str
    """Its name in the file: the address, the interface, the range, or the name of BIRD's protocol."""
    spot: Spot
    address: Address | None = None
    """Without a zone; None for a range or an interface."""
    range: Prefix | None = None
    """`bgp listen range`, `neighbor range`: this side accepts sessions from it and opens none."""
    interface: str | None = None
    """The interface of a link-local address, or of a neighbour without an address."""
    remote: int | Literal["external", "internal"] | None = None
    """Its autonomous system; None if the file does not tell."""
    external: bool | None = None
    """True for eBGP, False for iBGP, None if unknown."""
    families: frozenset[Family] = frozenset()
    """The families whose unicast routes the session carries."""
    hold: int = 180
    """The hold time that this side proposes, in seconds."""
    hold_spot: Spot | None = None
    """The line that sets it; None for the daemon's default."""
    password: str | None = field(default=None, repr=False)
    """The TCP MD5 password."""
    local_as: int | None = None
    """This side's autonomous system in this session."""
    source: Address | None = None
    """This side's address of the session (`update-source`, `source address`, `local`); None if the daemon chooses."""
    source_interface: str | None = None
    """The interface that `update-source` names."""
    multihop: int | None = None
    """The hops of `ebgp-multihop` or `multihop`; None for a neighbour on a link."""
    ttl_security: bool = False
    security_hops: int = 1
    """With `ttl_security`, the hops from which packets are accepted."""
    options: Mapping[str, Spot] = field(default_factory=dict, repr=False)
    """The lines of the options `password`, `multihop`, `ttl-security` and `bfd`, as far as they are set."""
    bfd: bool = False
    bfd_timers: BfdTimers | None = None
    """None without BFD, or if the file does not tell them."""
    passive: bool = False
    disabled: bool = False
    """`shutdown` or `disabled`."""
    description: str = ""
    vrf: str | None = None


@dataclass(frozen=True)
class Originated:
    """A prefix that a protocol announces by a statement of its own: `network 10.1.0.0/16`, an exported static route."""

    prefix: Prefix
    protocol: str
    """The protocol that announces it, as `bgp`."""
    spot: Spot
    vrf: str | None = None
    certain: bool = True
    """False if a filter of BIRD decides by what the reader does not know."""


@dataclass(frozen=True)
class Redistribution:
    """`redistribute SOURCE`, or an export filter that names a source."""

    protocol: str
    """The protocol that announces the routes, as `bgp`."""
    source: str
    """`connected`, `static`, `kernel`, or the name of a protocol."""
    family: Family | None
    """None for both, or if unknown."""
    spot: Spot
    vrf: str | None = None
    certain: bool = True
    """False if a filter of BIRD decides by what the reader does not know, as the prefix."""


@dataclass(frozen=True)
class Detection:
    """The times by which OSPF or RIP notices that a neighbour is gone."""

    after: int | None
    """Seconds without a packet until it drops the neighbour or its routes: OSPF's dead interval, RIP's timeout. None if
    the file does not tell."""
    every: int
    """The longest time between two packets of the neighbour, in seconds, if that has the same settings."""
    spot: Spot | None = None
    """The line that sets it; None for the daemon's default."""


@dataclass(frozen=True)
class InteriorInterface:
    """The interfaces on which OSPF or RIP runs: by name, by a pattern, or by the prefix of their addresses."""

    protocol: InteriorProtocol
    spot: Spot
    name: str | None = None
    """A name, or BIRD's pattern with `*`; None for a prefix."""
    prefix: Prefix | None = None
    area: str | None = None
    """OSPF's area as dotted quad; None for RIP."""
    passive: bool = False
    """It announces the interface's network and speaks to no neighbour there (`passive-interface`, `stub`)."""
    exceptions: frozenset[str] = frozenset()
    """Of an entry with a prefix: the interfaces for which `passive` is the opposite."""
    excluded: tuple[str, ...] = ()
    """BIRD's `-"eth0"` before this pattern: names and patterns that it does not match."""
    instance: str = ""
    """The name of BIRD's protocol."""
    vrf: str | None = None
    detection: Detection | None = None
    """How soon it notices that a neighbour is gone; None if that is not known."""
    detections: tuple[tuple[str, Detection], ...] = ()
    """Of an entry with a prefix: the interfaces for which that differs."""

    def is_passive(self, interface: str) -> bool:
        """Return True if the protocol has no neighbours on an interface that this matches."""
        return self.passive != (interface in self.exceptions)


@dataclass(frozen=True)
class StaticRoute:
    """A static route of the daemon."""

    prefix: Prefix
    spot: Spot
    via: Address | None = None
    interface: str | None = None
    discards: bool = False
    """`Null0`, `blackhole`, `reject`, `unreachable`: it only exists to be announced, or to drop packets."""
    protocol: str = ""
    """The name of BIRD's protocol."""
    vrf: str | None = None


@dataclass(frozen=True)
class InterfaceFacts:
    """An `interface` section with the addresses that the daemon sets."""

    name: str
    spot: Spot
    addresses: tuple[Interface, ...] = ()
    vrf: str | None = None
    description: str = ""


@dataclass(frozen=True)
class Unread:
    """A statement that the reader does not know."""

    text: str
    """Without the words of a password."""
    spot: Spot


@dataclass(frozen=True)
class DaemonsFile:
    """FRR's or Quagga's `daemons` file: which daemons start, and their options."""

    enabled: frozenset[str]
    """As `bgpd`; zebra is always among them in FRR."""
    options: tuple[tuple[str, str], ...] = ()
    """`bgpd_options` and the like."""
    name: str = ""


@dataclass(frozen=True)
class RouterFacts:
    """A routing daemon with its configuration, which may consist of several files."""

    daemon: DaemonKind
    files: tuple[PurePosixPath, ...]
    """The files that were read, includes among them; the first is the main one."""
    split: bool = False
    """True for a file per daemon (zebra.conf, bgpd.conf, …)."""
    protocols: frozenset[str] = frozenset()
    """`bgp`, `ospf`, `ospf6`, `rip`, `ripng`, `static`, `bfd`, and those that are only recognised, as `isis`."""
    asn: int | None = None
    """The autonomous system of BGP's default instance."""
    router_id: IPv4Address | None = None
    hostname: str | None = None
    neighbors: tuple[BgpNeighbor, ...] = ()
    originated: tuple[Originated, ...] = ()
    redistributions: tuple[Redistribution, ...] = ()
    interior: tuple[InteriorInterface, ...] = ()
    static_routes: tuple[StaticRoute, ...] = ()
    interfaces: tuple[InterfaceFacts, ...] = ()
    vrfs: tuple[str, ...] = ()
    daemons_file: DaemonsFile | None = None
    control_socket: str | None = None
    """The path in a `cli` section of BIRD 3; None for the default."""
    unread: tuple[Unread, ...] = ()
