"""The facts of a host: outputs of `ip`, `sysctl` and `nft`, and the files that set its addresses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from lab.configs.disk import Spot
from lab.core.prefixes import Address, Interface, Prefix


@dataclass(frozen=True)
class HostInterface:
    """An interface of a host with its addresses, without link-local ones."""

    name: str
    spot: Spot
    addresses: tuple[Interface, ...] = ()
    mtu: int | None = None
    kind: str = ""
    """`tun`, `bridge`, `vlan`, …; empty for an Ethernet interface, or if the source does not tell."""
    peer: Address | None = None
    """The other end's address of a point-to-point interface."""
    master: str | None = None
    """The bridge, bond or VRF that it belongs to."""
    table: int | None = None
    """Of a VRF: its routing table."""
    dynamic: bool = False
    """True if a file says that it gets its addresses by DHCP or router advertisements."""


@dataclass(frozen=True)
class HostRoute:
    """A route in the kernel, or one that a file sets."""

    prefix: Prefix
    spot: Spot
    via: Address | None = None
    interface: str | None = None
    discards: bool = False
    """`blackhole`, `unreachable` or `prohibit`."""
    origin: str = ""
    """The `protocol` of `ip route`: `kernel`, `static`, `bgp`, …; empty if the source does not tell."""


@dataclass(frozen=True)
class Translation:
    """A rule of nftables or iptables that rewrites addresses."""

    text: str
    """The rule as nft prints it."""
    action: str
    """`masquerade`, `snat`, `dnat` or `redirect`."""
    spot: Spot
    outgoing: str | None = None
    """The interface of its `oifname` or `oif`, if it is one name."""


@dataclass(frozen=True)
class HostFacts:
    """The facts of one host; each is empty if no file has it."""

    hostname: str | None = None
    interfaces: tuple[HostInterface, ...] = ()
    routes: tuple[HostRoute, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    names: tuple[tuple[str, IPv4Address | IPv6Address], ...] = ()
    """The entries of /etc/hosts: a name and its address."""
    unread: tuple[str, ...] = ()
    """Sentences about parts of the files that were not understood, each with its place."""
    ruleset: str | None = None
    """The outputs of `nft list ruleset` and `iptables-save`."""
    translations: tuple[Translation, ...] = ()
    forward_drops: bool | None = None
    """True if a chain of the forward hook has the policy `drop`; None without a ruleset."""
