"""A neighbour of a router, as its configuration needs it."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from lab.core.prefixes import FAMILIES
from lab.routing.model import Neighbor
from lab.topology import Address, ExtraLine, Family


@dataclass(frozen=True)
class Peer:
    """A neighbour to configure: one BGP session, or one family's OSPF or RIP."""

    node: str
    address: Address | None
    """None for a neighbour that is found on the interface by its link-local address."""
    asn: int | None
    interface: str
    """The local interface that leads to the neighbour."""
    families: tuple[Family, ...] = FAMILIES
    """The families of the routes that are exchanged."""
    own_ipv6: IPv6Address | None = None
    """This router's IPv6 address on the interface; None if it has none."""
    guarded: bool = False
    """The neighbour is behind a tunnel: its routes that cover one of the router's `outer` addresses are rejected."""
    preference: int | None = None
    """LOCAL_PREF of the routes received from it; None for the default of 100."""
    router_id: IPv4Address | None = None
    """The neighbour's router id, if it distinguishes several neighbours on the interface."""
    priority: int | None = None
    """On an interface with several neighbours, this router's priority in the election of OSPF's designated router (RFC
    2328, section 9.4), not 0 only at the end that reaches all others. None on an interface with one neighbour."""
    reflects: bool = False
    """The neighbour is a client of this route reflector (RFC 4456)."""
    password: str | None = field(default=None, repr=False)
    """The key of TCP MD5 (RFC 2385); None for no key."""
    ttl_security: int | None = None
    """The largest distance of the neighbour in hops (GTSM, RFC 5082); None for no check."""
    default_originate: bool = False
    """A default route of each family is announced to the neighbour."""
    allowas_in: int | None = None
    """How often the own AS number may be in the AS path of a route from the neighbour; None for never."""
    extra: tuple[ExtraLine, ...] = field(default=(), repr=False)
    """More lines for its section of the configuration."""

    @property
    def local_pref(self) -> int:
        """Return the effective LOCAL_PREF: 100 by default, as in every BGP implementation."""
        return 100 if self.preference is None else self.preference

    @property
    def name(self) -> str:
        """Return its name in configurations: the address, or the interface."""
        return str(self.address or self.interface)

    def matches(self, neighbor: Neighbor) -> bool:
        """Return whether a daemon's neighbour is this one."""
        if self.address is not None:
            return neighbor.address == self.address
        if None not in (self.router_id, neighbor.router_id) and neighbor.router_id != self.router_id:
            return False
        link_local = neighbor.address is None or neighbor.address.version == 6
        return link_local and neighbor.interface == self.interface
