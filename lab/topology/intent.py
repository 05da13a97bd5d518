"""The lab's own keys: what a node has in `config.vars`, a link and an endpoint in `vars`.

containerlab takes them for plain variables. The docstring of a field is its description in `lab schema`.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lab.core.prefixes import FAMILIES, Address, Family, Interface, Prefix


class Frozen(BaseModel):
    """Base of all models of a topology file: immutable, kebab-case keys, no unknown key."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )


# --- nodes -------------------------------------------------------------------------------------------------


class Timers(Frozen):
    """BGP timers in seconds (RFC 4271, section 10). FRR's defaults are made for the Internet, not a lab."""

    keepalive: int = Field(default=1, ge=1, le=21845)
    hold: int = Field(default=3, ge=3, le=65535)
    connect: int = Field(default=1, ge=1, le=65535)


class Bfd(Frozen):
    """BFD session parameters (RFC 5880): intervals in milliseconds."""

    multiplier: int = Field(default=3, ge=2, le=255)
    interval: int = Field(default=300, ge=10, le=60000)


class Accepted(Frozen):
    """Prefixes that a router takes from its neighbours: an entry of a prefix list."""

    prefix: Prefix
    ge: int | None = Field(default=None, ge=0, le=128)
    """The shortest length that counts, of prefixes inside this one; by default this one's."""
    le: int | None = Field(default=None, ge=0, le=128)
    """The longest length that counts; by default this one's, or where `ge` is given that of single addresses."""

    @property
    def lengths(self) -> tuple[int, int]:
        """The shortest and the longest length that count."""
        own, longest = self.prefix.prefixlen, self.prefix.max_prefixlen
        return self.ge or own, self.le or (own if self.ge is None else longest)

    @model_validator(mode="after")
    def _counts_something(self) -> Self:
        shortest, longest = self.lengths
        if not self.prefix.prefixlen <= shortest <= longest <= self.prefix.max_prefixlen:
            raise ValueError(f"no prefix inside {self.prefix} has a length from {shortest} to {longest}")
        return self

    def takes(self, prefix: Prefix) -> bool:
        """Whether a prefix is one of these."""
        shortest, longest = self.lengths
        inside = prefix.version == self.prefix.version and prefix.subnet_of(self.prefix)  # type: ignore[arg-type]
        return inside and shortest <= prefix.prefixlen <= longest


RoutingProtocol = Literal["bgp", "ospf", "rip"]
"""What a routing daemon speaks; OSPF and RIP stand for both of their versions, one per family."""
Sessions = Literal["shared", "per-family", "unnumbered"]


class RouterIntent(Frozen):
    """A routing daemon on the node: `config.vars.router`."""

    daemon: str = "frr"
    protocol: RoutingProtocol = "bgp"
    asn: int | None = Field(default=None, ge=1, le=4294967294)
    """BGP's, and only BGP's; the same at both ends of a tunnel makes the session an internal one."""
    sessions: Sessions = "shared"
    """BGP's: one session for both families, one per family, or one for both over link-local addresses."""
    recursion_filter: bool = True
    """Use no route from beyond a tunnel that covers the outer address of a tunnel's other end (recursive routing)."""
    multipath: bool = False
    """BGP's: spread the traffic to a prefix over all paths that are equally good (ECMP), instead of taking one."""
    router_id: IPv4Address | None = None
    networks: tuple[Prefix, ...] = ()
    """Prefixes of both families that the router originates from the start."""
    accept: tuple[Accepted, ...] | None = None
    """BGP's: take only these prefixes from neighbours, of either family; without it all."""
    timers: Timers = Timers()
    bfd: Bfd | None = None


class TunnelEnds(Frozen):
    """The two inner addresses of a tunnel in one family, with their prefix length."""

    local: Interface
    """The address of the node that declares the tunnel: the OpenVPN client."""
    peer: Interface
    """The address of the node named by `to`: the OpenVPN server."""


class TunnelIntent(Frozen):
    """A tunnel, declared by its client: an item of `config.vars.tunnels`."""

    to: str
    """The node that runs the OpenVPN server."""
    name: str | None = None
    """By default `CLIENT-SERVER`, with a number appended from the second on."""
    mode: str = "iroute"
    transport: Literal["tcp", "udp"] = "tcp"
    outer: Family = "ipv4"
    """The family of the underlay."""
    via: str | None = None
    """The neighbour through which the server is dialled, where paths lead to several of its addresses; by default
    the first one on a shortest path. The kernel's routes have to lead there as well."""
    preference: int | None = Field(default=None, ge=0, le=4294967295)
    """The local preference (RFC 4271, section 5.1.5) of what BGP learns through the tunnel, at both ends: of several
    tunnels to a prefix those with the highest carry the traffic. Without one it is BGP's usual 100."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """The server's port; by default the first free one from 1194 on."""
    ipv4: TunnelEnds | None = None
    """Inner addresses; by default the next free ones of the lab's pools."""
    ipv6: TunnelEnds | None = None
    openvpn: str | None = None
    """OpenVPN's version at both ends; by default that of each node's image."""
    profile: str | None = None
    """The implementation at the client's end, to whose abilities the tunnel is confined, as `routeros-7`."""
    options: Mapping[str, Any] = {}
    """What only the mode understands; the mode checks it."""


class StaticRoute(Frozen):
    """A kernel route that the lab sets before any daemon starts: an item of `config.vars.routes`."""

    to: Prefix | Literal["default"]
    via: str
    """A node on a shared link (then every family that both have on that link is used) or an address."""


class NodeIntent(Frozen):
    """What the lab reads from a node's `config.vars`."""

    router: RouterIntent | None = None
    tunnels: tuple[TunnelIntent, ...] = ()
    routes: tuple[StaticRoute, ...] = ()


# --- links and endpoints -----------------------------------------------------------------------------------


EncapsulationKind = Literal["vxlan", "gre", "ipip", "sit", "wireguard"]


class Carriage(NamedTuple):
    """What a kind of kernel tunnel adds to a packet, and which packets it takes."""

    overhead: int
    """Bytes beside the outer IP header, those of an inner Ethernet header included."""
    over_ipv4: tuple[Family, ...] = FAMILIES
    """The families that pass inside where the outer addresses are IPv4's."""
    over_ipv6: tuple[Family, ...] = FAMILIES


CARRIAGES: Mapping[EncapsulationKind, Carriage] = {
    "vxlan": Carriage(8 + 8 + 14),  # UDP, VXLAN, Ethernet (RFC 7348)
    "gre": Carriage(4),  # without key, checksum and sequence numbers (RFC 2784, RFC 7676)
    "ipip": Carriage(0, over_ipv4=("ipv4",)),  # RFC 2003; over IPv6 it is RFC 2473's, for both families
    "sit": Carriage(0, over_ipv4=("ipv6",), over_ipv6=()),  # RFC 4213
    "wireguard": Carriage(8 + 16 + 16),  # UDP, its header, the authentication tag
}
_OUTER_HEADER: Mapping[Family, int] = {"ipv4": 20, "ipv6": 40}


class Encapsulation(Frozen):
    """A kernel tunnel in the place of a wire: what an OpenVPN tunnel is compared with, and what runs inside one."""

    kind: EncapsulationKind
    outer: tuple[Address, ...]
    """The two nodes' addresses on other links or in a tunnel, between which it runs; in the order of the endpoints."""

    @property
    def outer_family(self) -> Family:
        """The family of the packets that carry it."""
        return "ipv6" if any(address.version == 6 for address in self.outer) else "ipv4"

    @property
    def carries(self) -> tuple[Family, ...]:
        """The families that pass inside; none where the kind has no such outer addresses."""
        carriage = CARRIAGES[self.kind]
        return carriage.over_ipv4 if self.outer_family == "ipv4" else carriage.over_ipv6

    @property
    def overhead(self) -> int:
        """Bytes by which a packet outside is larger than the one inside."""
        return _OUTER_HEADER[self.outer_family] + CARRIAGES[self.kind].overhead


class Impairment(Frozen):
    """What a link does to the packets that leave one of its ends; a link without one only hands them over."""

    delay: float = Field(default=0, ge=0, le=60_000)
    """Milliseconds until a packet arrives."""
    jitter: float = Field(default=0, ge=0, le=60_000)
    """Milliseconds by which the delay varies at most, up and down; packets may overtake each other."""
    loss: float = Field(default=0, ge=0, le=100)
    """Percent of the packets that do not arrive, each by a draw of its own."""
    rate: int | None = Field(default=None, ge=8, le=100_000_000)
    """Kilobits per second at most; what is too much waits a tenth of a second at most, and is dropped."""
    duplicate: float = Field(default=0, ge=0, le=100)
    """Percent of the packets that arrive twice."""
    reorder: float = Field(default=0, ge=0, le=100)
    """Percent of the packets that are not delayed, and so overtake others."""

    @model_validator(mode="after")
    def _is_part_of_the_delay(self) -> Self:
        if self.jitter > self.delay:
            raise ValueError(f"a jitter of {self.jitter:g} ms is more than the delay of {self.delay:g} ms")
        if self.reorder and not self.delay:
            raise ValueError("without a delay no packet can overtake another: 'reorder' needs one")
        return self

    def __str__(self) -> str:
        told = []
        if self.delay:
            told.append(f"delay {self.delay:g} ms" + (f" ± {self.jitter:g} ms" if self.jitter else ""))
        if self.loss:
            told.append(f"loss {self.loss:g} %")
        if self.rate is not None:
            told.append(f"rate {self.rate} kbit/s")
        if self.duplicate:
            told.append(f"duplicate {self.duplicate:g} %")
        if self.reorder:
            told.append(f"reorder {self.reorder:g} %")
        return ", ".join(told) or "nothing"


class LinkIntent(Frozen):
    """What the lab reads from a link's `vars`."""

    peering: bool = False
    """Routers at both ends peer over the link's own addresses, as over a tunnel's."""
    preference: int | None = Field(default=None, ge=0, le=4294967295)
    """The local preference of what BGP learns over the link, at both ends; see a tunnel's."""
    impair: Impairment | None = None
    """In both directions, unless an end says otherwise of what leaves it."""
    encapsulation: Encapsulation | None = None
    """The link is no wire but a kernel tunnel. containerlab, which does not know of it, lays a wire."""


class EndpointIntent(Frozen):
    """What the lab reads from the `vars` of a link's end, in the extended form."""

    impair: Impairment | None = None
    """Of what leaves this end, in the place of what the link says."""
