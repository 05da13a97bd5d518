"""A host with what its files say: OpenVPN processes, routing daemon, addresses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from lab.configs.host.facts import HostFacts, HostInterface
from lab.configs.routers import RouterFacts
from lab.core.prefixes import Address, Interface
from lab.importer.ends import End
from lab.topology.addresses import objection_to_address
from lab.topology.names import objection_to_interface

_NOT_A_LINK = re.compile(r"lo|(tun|tap|wg|docker|veth|virbr|gre|sit|ip6tnl|teql|ifb|vti|ppp)[\w.-]*")
_TUNNEL = re.compile(r"(tun|tap|ovpn)[\w.-]*")
_TUNNEL_KINDS = ("tun", "tap", "ovpn", "ovpn-dco")
_KINDS_NOT_A_LINK = (
    "tun",
    "tap",
    "wireguard",
    "veth",
    "gre",
    "sit",
    "ipip",
    "vxlan",
    "ovpn",
    "ovpn-dco",
    "vrf",
    "tunnel",
)


def _is_usable(address: Interface) -> bool:
    """Return True for an address that an interface of the lab can have."""
    broadcast = str(address.ip) == "255.255.255.255"
    return not broadcast and objection_to_address(address) is None and not address.ip.is_link_local


@dataclass(frozen=True)
class MadeFile:
    """A file that the import writes beside the topology."""

    path: PurePosixPath
    """Relative to the topology's directory."""
    text: str = field(repr=False)
    secret: bool = False
    content: bytes | None = field(default=None, repr=False)
    """Of a copy of a file of the user's, in place of `text`."""

    @property
    def data(self) -> bytes:
        """The bytes to write."""
        return self.text.encode() if self.content is None else self.content


@dataclass(frozen=True)
class Question:
    """Something that the files do not tell and the lab needs."""

    host: str
    text: str
    """The missing file or fact, the line that needs it, and the file to copy."""
    assumption: str
    """The assumption with `--assume`."""

    def __str__(self) -> str:
        return f"{self.host}: {self.text}"


@dataclass(frozen=True)
class HostVrf:
    """A VRF of a host."""

    table: int | None
    """Its routing table; None if the files do not tell."""
    interfaces: tuple[str, ...]


@dataclass(frozen=True)
class Host:
    """A host, or a counterpart that the lab makes."""

    name: str
    directory: Path
    ends: tuple[End, ...] = ()
    router: RouterFacts | None = None
    daemon: str = "frr"
    """The routing daemon of the lab that runs the files."""
    router_files: tuple[str, ...] = ()
    """The daemon's files, relative to the topology file."""
    router_text: str = field(default="", repr=False)
    """The text of these files."""
    facts: HostFacts = field(default_factory=HostFacts)
    filters: tuple[str, ...] = ()
    """The packet filters to load, relative to the topology file."""
    made: tuple[MadeFile, ...] = ()
    """Files that the import writes for it: translations, or a counterpart's."""
    notes: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    own: bool = False
    """True for a counterpart."""
    remote_names: frozenset[str] = frozenset()
    """The names under which other hosts' files know a counterpart."""
    addresses: frozenset[Address] = frozenset()
    """The outer addresses that a counterpart must have."""

    @cached_property
    def vrfs(self) -> Mapping[str, HostVrf]:
        """The VRFs with their interfaces, as the output of `ip` and FRR's files tell."""
        tables = {i.name: i.table for i in self.facts.interfaces if i.kind == "vrf"}
        named = self.router.vrfs if self.router is not None else ()
        tables |= {name: None for name in named if name not in tables}
        members: dict[str, dict[str, None]] = {name: {} for name in tables}
        for interface in self.facts.interfaces:
            if interface.master in members:
                members[interface.master][interface.name] = None
        for section in self.router.interfaces if self.router is not None else ():
            if section.vrf in members:
                members[section.vrf][section.name] = None
        return {name: HostVrf(table, tuple(members[name])) for name, table in tables.items() if members[name]}

    @cached_property
    def interfaces(self) -> tuple[HostInterface, ...]:
        """The interfaces with addresses that become links: not the loopback and not tunnels."""
        devices = {end.device for end in self.ends}
        found: dict[str, HostInterface] = {}
        for interface in self.facts.interfaces:
            name = interface.name
            if (
                name in devices
                or name in self.vrfs
                or _NOT_A_LINK.fullmatch(name)
                or interface.kind in _KINDS_NOT_A_LINK
            ):
                continue
            if interface.addresses and len(name) <= 15:
                found[name] = interface
        if self.router is not None:
            for section in self.router.interfaces:
                known = section.name in devices or section.name in found or _NOT_A_LINK.fullmatch(section.name)
                if not known and section.addresses and section.name not in self.vrfs:
                    found[section.name] = HostInterface(section.name, section.spot, section.addresses)
        usable = (replace(i, addresses=tuple(filter(_is_usable, i.addresses))) for i in found.values())
        return tuple(interface for interface in usable if interface.addresses)

    def can_be_link(self, name: str) -> bool:
        """Return True if a name may be that of an interface of a link, and no file says anything else of it."""
        if _NOT_A_LINK.fullmatch(name) or objection_to_interface(name) is not None or self.has_tunnel(name):
            return False
        return all(known.name != name for known in self.facts.interfaces)

    def has_tunnel(self, interface: str) -> bool:
        """Return True if an interface is the device of an OpenVPN tunnel, as far as the files tell."""
        if _TUNNEL.fullmatch(interface) or any(end.device == interface for end in self.ends):
            return True
        return any(known.name == interface and known.kind in _TUNNEL_KINDS for known in self.facts.interfaces)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the host, in lower case."""
        known = {self.name.lower(), *self.remote_names}
        if self.facts.hostname:
            full = self.facts.hostname.lower()
            known |= {full, full.partition(".")[0]}
        return frozenset(known)
