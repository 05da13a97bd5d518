"""The lab's own keys: `config.vars` of a node, `vars` of a link and of an endpoint.

For containerlab they are plain variables. The docstrings of the fields are the descriptions in `lab schema`.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, ip_network
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lab.core.prefixes import FAMILIES, Address, Family, Interface, Prefix


class Frozen(BaseModel):
    """Base of all models of a topology file: immutable, kebab-case keys, no unknown key."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        alias_generator=lambda name: name.replace("_", "-"),
        defer_build=True,  # a command builds the validators of the models that it uses
    )


# --- nodes -------------------------------------------------------------------------------------------------


class Timers(Frozen):
    """BGP timers in seconds (RFC 4271, section 10), by default short ones that suit a lab."""

    keepalive: int = Field(default=1, ge=1, le=21845)
    """Seconds between KEEPALIVE messages."""
    hold: int = Field(default=3, ge=3, le=65535)
    """Seconds without a message after which a session is closed."""
    connect: int = Field(default=1, ge=1, le=65535)
    """Seconds between attempts to open a session."""


class Bfd(Frozen):
    """The parameters of BFD sessions (RFC 5880)."""

    multiplier: int = Field(default=3, ge=2, le=255)
    """The number of missed packets after which a neighbour is down."""
    interval: int = Field(default=300, ge=10, le=60000)
    """Milliseconds between packets."""


class Accepted(Frozen):
    """An entry of a prefix list: prefixes that a router accepts from its neighbours."""

    prefix: Prefix
    """Accept this prefix, or with `ge` and `le` prefixes inside it."""
    ge: int | None = Field(default=None, ge=0, le=128)
    """The shortest accepted prefix length; by default that of `prefix`."""
    le: int | None = Field(default=None, ge=0, le=128)
    """The longest accepted prefix length; by default that of `prefix`, or with `ge` that of single addresses."""

    @property
    def lengths(self) -> tuple[int, int]:
        """The shortest and the longest accepted length."""
        own, longest = self.prefix.prefixlen, self.prefix.max_prefixlen
        return self.ge or own, self.le or (own if self.ge is None else longest)

    @model_validator(mode="after")
    def _accepts_something(self) -> Self:
        shortest, longest = self.lengths
        if not self.prefix.prefixlen <= shortest <= longest <= self.prefix.max_prefixlen:
            raise ValueError(f"no prefix inside {self.prefix} has a length from {shortest} to {longest}")
        return self

    def accepts(self, prefix: Prefix) -> bool:
        """Return True if a prefix is accepted."""
        shortest, longest = self.lengths
        inside = prefix.version == self.prefix.version and prefix.subnet_of(self.prefix)  # type: ignore[arg-type]
        return inside and shortest <= prefix.prefixlen <= longest


Extra = str | tuple[str, ...]
"""Lines of a daemon's configuration: a text, or a list of lines."""


class SessionIntent(Frozen):
    """Options of BGP sessions: of one neighbour, or of all in `config.vars.router`."""

    password: str | None = Field(default=None, repr=False)
    """BGP: the key that authenticates the TCP segments of a session (TCP MD5, RFC 2385), the same at both ends."""
    ttl_security: int | None = Field(default=None, ge=1, le=254)
    """BGP: accept packets only from neighbours at most this many hops away, by a TTL of at least 256 minus that (GTSM,
    RFC 5082); needed at both ends, since it also makes the router send with a TTL of 255."""
    default_originate: bool | None = None
    """BGP: announce a default route of each family to the neighbour, also if the router has none itself."""
    allowas_in: int | None = Field(default=None, ge=1, le=10)
    """BGP: accept routes whose AS path contains the router's own AS number, up to this many times."""

    @field_validator("password")
    @classmethod
    def _fits_a_tcp_md5_key(cls, password: str | None) -> str | None:
        if password is not None and not re.fullmatch(r"[!#-~]{1,80}", password):
            raise ValueError("a password has 1 to 80 printable ASCII characters, without spaces and double quotes")
        return password


class NeighborIntent(SessionIntent):
    """Options of the sessions with one neighbour: an entry of `config.vars.router.neighbors`."""

    extra: Extra = Field(default=(), repr=False)
    """BIRD: lines to append to the neighbour's `protocol bgp`, unchanged: a text, or a list of lines."""


_COMMUNITY = re.compile(r"\d{1,10}:\d{1,10}(:\d{1,10})?")
WELL_KNOWN_COMMUNITIES: Mapping[str, tuple[int, int]] = {
    "graceful-shutdown": (65535, 0),  # RFC 8326
    "blackhole": (65535, 666),  # RFC 7999
    "no-export": (65535, 65281),
    "no-advertise": (65535, 65282),
    "local-as": (65535, 65283),
}


def community_numbers(text: str) -> tuple[int, ...]:
    """Return the two numbers of a community, or the three of a large one; raises `ValueError`."""
    if text in WELL_KNOWN_COMMUNITIES:
        return WELL_KNOWN_COMMUNITIES[text]
    numbers = tuple(map(int, text.split(":"))) if _COMMUNITY.fullmatch(text) else ()
    largest = 65535 if len(numbers) == 2 else 2**32 - 1
    if not numbers or max(numbers) > largest:
        raise ValueError(
            f"{text!r} is not a community: write two numbers up to 65535 as 65001:100, three up to 4294967295 as "
            f"65001:1:100, or one of {', '.join(WELL_KNOWN_COMMUNITIES)}"
        )
    return numbers


RoutingProtocol = Literal["bgp", "ospf", "rip"]
"""A routing protocol; OSPF and RIP mean both of their versions, one per family."""
Sessions = Literal["shared", "per-family", "unnumbered"]


class RouterIntent(SessionIntent):
    """A routing daemon on the node: `config.vars.router`."""

    daemon: str = "frr"
    """The routing daemon."""
    config: str | tuple[str, ...] = ()
    """Run the daemon with your own configuration: a file, a directory with the daemon's files, or a list of files, such
    as `hq/frr.conf` and `hq/daemons`, relative to the topology file. The keys below are not allowed beside it."""
    protocol: RoutingProtocol = "bgp"
    """The routing protocol; `ospf` means OSPFv2 and OSPFv3, `rip` RIPv2 and RIPng."""
    asn: int | None = Field(default=None, ge=1, le=4294967294)
    """BGP: the AS number, required. The same at both ends of a tunnel makes the session an iBGP one."""
    sessions: Sessions = "shared"
    """BGP: one session for both families, one per family, or one for both over link-local addresses."""
    recursion_filter: bool = True
    """Reject routes learned through a tunnel that cover the outer address of a tunnel's other end: with such a route
    the tunnel's own packets would go into the tunnel (recursive routing)."""
    multipath: bool = False
    """BGP: use all equally good paths to a prefix (ECMP) instead of one."""
    router_id: IPv4Address | None = None
    """The router ID; by default derived from the node's addresses."""
    networks: tuple[Prefix, ...] = ()
    """Prefixes of both families that the router originates from the start."""
    accept: tuple[Accepted, ...] | None = None
    """BGP: accept only these prefixes from neighbours, of both families; by default all."""
    timers: Timers = Timers()
    """BGP: the timers."""
    bfd: Bfd | None = None
    """BGP: run BFD with each neighbour; by default without."""
    communities: Mapping[str, tuple[str, ...]] = {}
    """BGP: the communities (RFC 1997, large ones RFC 8092) that the router attaches to its `networks`, by prefix:
    `{10.1.0.0/24: [65001:100, 65001:1:100, no-export]}`. With `no-export` FRR announces its own prefix to no other AS,
    while BIRD leaves that to the neighbour."""
    graceful_restart: int | None = Field(default=None, ge=1, le=4095)
    """BGP: keep the neighbours' routes for this many seconds while they restart, and ask them to do so for this router
    (RFC 4724); needed at both ends. The router's own kernel routes stay while its daemon restarts."""
    neighbors: Mapping[str, NeighborIntent] = {}
    """BGP: options of the sessions with a neighbour, by its node: `password`, `ttl-security`, `default-originate` and
    `allowas-in` take precedence over those of the router."""
    extra: Extra = Field(default=(), repr=False)
    """Lines to append to the daemon's configuration, unchanged: a text, or a list of lines."""

    @field_validator("communities")
    @classmethod
    def _are_communities(cls, communities: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for prefix, texts in communities.items():
            try:
                ip_network(prefix)
            except ValueError:
                raise ValueError(f"{prefix!r} is not an IPv4 or IPv6 prefix") from None
            for text in texts:
                community_numbers(text)
        return communities

    def communities_of(self, prefix: Prefix) -> tuple[str, ...]:
        """Return the communities of an originated prefix."""
        return next((texts for key, texts in self.communities.items() if ip_network(key) == prefix), ())


class TunnelEnds(Frozen):
    """The two inner addresses of a tunnel in one family, with their prefix length."""

    local: Interface
    """The address of the OpenVPN client: the node that declares the tunnel."""
    peer: Interface
    """The address of the OpenVPN server: the node in `to`."""


class TunnelIntent(Frozen):
    """A tunnel, declared by its client: an item of `config.vars.tunnels`."""

    to: str
    """The node that runs the OpenVPN server."""
    name: str | None = None
    """The tunnel's name; by default `CLIENT-SERVER`, with a number from the second one on."""
    mode: str = "iroute"
    """The way to run OpenVPN."""
    transport: Literal["tcp", "udp"] = "tcp"
    """The transport protocol of the outer packets."""
    outer: Family = "ipv4"
    """The family of the outer packets."""
    via: str | None = None
    """The neighbour through which the client reaches the server, if paths lead to several addresses of the server; by
    default the first neighbour on a shortest path. The kernel's routes must lead there too."""
    preference: int | None = Field(default=None, ge=0, le=4294967295)
    """The local preference (RFC 4271, section 5.1.5) of routes that BGP learns through the tunnel, at both ends: of
    several tunnels to a prefix, those with the highest carry the traffic. BGP's default is 100."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """The server's port; by default the first free one from 1194 on."""
    ipv4: TunnelEnds | None = None
    """The inner IPv4 addresses; by default free ones of 10.255.0.0/16."""
    ipv6: TunnelEnds | None = None
    """The inner IPv6 addresses; by default free ones of 2001:db8:ff00::/40."""
    openvpn: str | None = None
    """OpenVPN's version at both ends; by default that of each node's image."""
    profile: str | None = None
    """Another implementation of OpenVPN at the client's end, as `routeros-7`: the tunnel may use only its features."""
    options: Mapping[str, Any] = {}
    """The options of the mode."""


class OpenVpnIntent(Frozen):
    """An OpenVPN process with your own configuration file: an item of `config.vars.openvpn`."""

    config: str
    """The configuration file, relative to the topology file. The files that it names come along."""
    path: str | None = None
    """The file's path in the node: files that it names are found relative to it, and absolute ones in the same tree. By
    default the part of `config` from `/etc/` on, else a file of its name in /etc/openvpn."""
    name: str | None = None
    """The name of the process in the lab; by default `NODE-FILE`, without the file's extension."""
    arguments: tuple[str, ...] | None = None
    """Arguments of OpenVPN after `--config`, as `--nobind` or `--port 443`, instead of those that the host's unit of
    systemd gives it; an empty list for none."""


class StaticRoute(Frozen):
    """A kernel route that the lab sets before any daemon starts: an item of `config.vars.routes`."""

    to: Prefix | Literal["default"]
    """The destination; `default` means both families."""
    via: str
    """The next hop: an address, or a node on a shared link, which means its addresses of both families there."""


class VrfIntent(Frozen):
    """A VRF of a node: an item of `config.vars.vrfs`."""

    table: int = Field(ge=1, le=4294967295)
    """The number of its routing table in the kernel."""
    interfaces: tuple[str, ...] = ()
    """The interfaces that belong to it: ends of links, and devices of tunnels."""


class NodeIntent(Frozen):
    """The lab's keys of a node: `config.vars`."""

    router: RouterIntent | None = None
    """Run a routing daemon on the node."""
    tunnels: tuple[TunnelIntent, ...] = ()
    """The tunnels of which the node is the OpenVPN client."""
    openvpn: tuple[OpenVpnIntent, ...] = ()
    """OpenVPN processes with configuration files of your own."""
    routes: tuple[StaticRoute, ...] = ()
    """Static routes in the kernel, set before any daemon starts."""
    vrfs: Mapping[str, VrfIntent] = {}
    """VRFs of the kernel, by their names, made before any daemon starts. A routing daemon with your own configuration
    finds them."""
    nftables: str | tuple[str, ...] = ()
    """Load packet filters of your own in the node: a file or a list of files relative to the topology file, each an
    output of `nft list ruleset`, `iptables-save` or `ip6tables-save`, or a file for `nft -f`."""


# --- links and endpoints -----------------------------------------------------------------------------------


EncapsulationKind = Literal["vxlan", "gre", "ipip", "sit", "wireguard"]


class Carriage(NamedTuple):
    """The overhead of a kind of kernel tunnel, and the families that it carries."""

    overhead: int
    """Bytes besides the outer IP header, including an inner Ethernet header."""
    over_ipv4: tuple[Family, ...] = FAMILIES
    """The inner families over IPv4."""
    over_ipv6: tuple[Family, ...] = FAMILIES
    """The inner families over IPv6."""


CARRIAGES: Mapping[EncapsulationKind, Carriage] = {
    "vxlan": Carriage(8 + 8 + 14),  # UDP, VXLAN, Ethernet (RFC 7348)
    "gre": Carriage(4),  # without key, checksum and sequence numbers (RFC 2784, RFC 7676)
    "ipip": Carriage(0, over_ipv4=("ipv4",)),  # RFC 2003; over IPv6 RFC 2473, for both families
    "sit": Carriage(0, over_ipv4=("ipv6",), over_ipv6=()),  # RFC 4213
    "wireguard": Carriage(8 + 16 + 16),  # UDP, its header, the authentication tag
}
_OUTER_HEADER: Mapping[Family, int] = {"ipv4": 20, "ipv6": 40}


class Encapsulation(Frozen):
    """A kernel tunnel instead of a veth pair: to compare with OpenVPN, or to run inside an OpenVPN tunnel."""

    kind: EncapsulationKind
    """The kind of kernel tunnel."""
    outer: tuple[Address, ...]
    """The outer addresses of both nodes, on other links or in a tunnel, in the order of the endpoints."""

    @property
    def outer_family(self) -> Family:
        """The family of the outer packets."""
        return "ipv6" if any(address.version == 6 for address in self.outer) else "ipv4"

    @property
    def carries(self) -> tuple[Family, ...]:
        """The families that it carries; empty if the kind does not run over the outer family."""
        carriage = CARRIAGES[self.kind]
        return carriage.over_ipv4 if self.outer_family == "ipv4" else carriage.over_ipv6

    @property
    def overhead(self) -> int:
        """The difference between the sizes of an outer and an inner packet, in bytes."""
        return _OUTER_HEADER[self.outer_family] + CARRIAGES[self.kind].overhead


class Impairment(Frozen):
    """The impairment of packets that leave an end of a link (netem in the kernel)."""

    delay: float = Field(default=0, ge=0, le=60_000)
    """The delay of each packet in milliseconds."""
    jitter: float = Field(default=0, ge=0, le=60_000)
    """The maximum deviation from the delay in milliseconds; packets may overtake each other."""
    loss: float = Field(default=0, ge=0, le=100)
    """Percent of packets that are lost, independently of each other."""
    rate: int | None = Field(default=None, ge=8, le=100_000_000)
    """The rate limit in kilobits per second; the queue holds a tenth of a second and drops the rest."""
    duplicate: float = Field(default=0, ge=0, le=100)
    """Percent of packets that arrive twice."""
    reorder: float = Field(default=0, ge=0, le=100)
    """Percent of packets that are not delayed, and so overtake others."""

    @model_validator(mode="after")
    def _has_a_delay_to_vary(self) -> Self:
        if self.jitter > self.delay:
            raise ValueError(f"a jitter of {self.jitter:g} ms is more than the delay of {self.delay:g} ms")
        if self.reorder and not self.delay:
            raise ValueError("without a delay no packet can overtake another: 'reorder' needs one")
        return self

    def __str__(self) -> str:
        parts = []
        if self.delay:
            parts.append(f"delay {self.delay:g} ms" + (f" ± {self.jitter:g} ms" if self.jitter else ""))
        if self.loss:
            parts.append(f"loss {self.loss:g} %")
        if self.rate is not None:
            parts.append(f"rate {self.rate} kbit/s")
        if self.duplicate:
            parts.append(f"duplicate {self.duplicate:g} %")
        if self.reorder:
            parts.append(f"reorder {self.reorder:g} %")
        return ", ".join(parts) or "nothing"


class LinkIntent(Frozen):
    """The lab's keys of a link: `vars`."""

    peering: bool = False
    """The routers at both ends peer over the addresses of the link."""
    preference: int | None = Field(default=None, ge=0, le=4294967295)
    """The local preference of routes that BGP learns over the link, at both ends, as of a tunnel."""
    impair: Impairment | None = None
    """The impairment in both directions; an endpoint's own impairment takes precedence."""
    encapsulation: Encapsulation | None = None
    """Make the link a kernel tunnel. containerlab ignores this and creates a veth pair."""


class EndpointIntent(Frozen):
    """The lab's keys of an endpoint in the extended form: `vars`."""

    impair: Impairment | None = None
    """The impairment of packets that leave this end, instead of the link's."""
