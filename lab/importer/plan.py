"""The topology that an import makes: nodes and links with the reason for each, before it is written."""

from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from typing import Literal

from lab.core.prefixes import Interface
from lab.importer.hosts import MadeFile

Part = Literal["host", "counterpart", "nat", "internet", "lan", "bridge"]


@dataclass(frozen=True)
class Note:
    """An assumption of the import, or something that it left out, with the way to change it."""

    node: str
    """The node that it is about; empty for the whole topology."""
    text: str


@dataclass
class PlannedNode:
    """A node to be written."""

    name: str
    part: Part
    comments: list[str] = field(default_factory=list)
    openvpn: list[tuple[str, str | None]] = field(default_factory=list)
    """The OpenVPN configurations, each with its path in the node if it must be said."""
    daemon: str | None = None
    router_files: list[str] = field(default_factory=list)
    vrfs: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    """The table and the interfaces of each VRF."""
    nftables: list[str] = field(default_factory=list)
    """The packet filters of the user's to load."""
    routes: list[tuple[str, str, str]] = field(default_factory=list)
    """Destination, next hop, and a comment."""
    sysctls: dict[str, str] = field(default_factory=dict)
    exec: list[tuple[str, str]] = field(default_factory=list)
    """Commands, each with a comment."""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass
class PlannedEnd:
    """One end of a link."""

    node: str
    interface: str
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None

    @property
    def addresses(self) -> list[Interface]:
        """Its addresses."""
        return [address for address in (self.ipv4, self.ipv6) if address is not None]

    def set(self, address: Interface) -> None:
        """Set the address of its family."""
        if isinstance(address, IPv4Interface):
            self.ipv4 = address
        else:
            self.ipv6 = address


@dataclass
class PlannedLink:
    """A link between two nodes."""

    ends: tuple[PlannedEnd, PlannedEnd]
    comment: str = ""
    mtu: int = 1500


@dataclass
class Plan:
    """All nodes and links, and the notes for the summary."""

    name: str
    nodes: dict[str, PlannedNode] = field(default_factory=dict)
    links: list[PlannedLink] = field(default_factory=list)
    names: list[tuple[str, str]] = field(default_factory=list)
    """The entries of /etc/hosts in all nodes: address and name."""
    notes: list[Note] = field(default_factory=list)
    files: list[MadeFile] = field(default_factory=list)
    """The files of the nodes that the import adds, to be written beside the topology."""

    def add(self, name: str, part: Part) -> PlannedNode:
        """Add a node, or return the one of this name."""
        return self.nodes.setdefault(name, PlannedNode(name, part))

    def note(self, node: str, text: str) -> None:
        """Add a note, which also becomes a comment of its node."""
        self.notes.append(Note(node, text))
        if node in self.nodes:
            self.nodes[node].comments.append(text)
