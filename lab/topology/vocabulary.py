"""The modes, daemons, versions and images that a topology can name; the caller of the reader provides them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lab.topology.intent import RouterIntent, TunnelIntent


@dataclass(frozen=True)
class Objection:
    """A mode's or a daemon's objection to a value of an intent."""

    path: tuple[str | int, ...]
    """The path of the value in the intent, as in the file, e.g. `("options", "iroute", 0)`."""
    what: str
    hint: str | None = None


TrafficClass = Literal["multicast", "link-local"]
"""Traffic that a routing daemon needs and a mode may not carry: packets to multicast groups, packets from and to IPv6
link-local addresses."""


def _no_limit(_: TunnelIntent) -> int | None:
    return None


def _all_supported(_: TunnelIntent, __: int) -> Mapping[TrafficClass, str]:
    return {}


@dataclass(frozen=True)
class Vocabulary:
    """The names of modes, daemons, versions and images that a topology can use."""

    modes: Mapping[str, Callable[[TunnelIntent], Sequence[Objection]]]
    """The tunnel modes, each with its check of an intent."""
    daemons: Mapping[str, Callable[[RouterIntent], Sequence[Objection]]]
    """The routing daemons, each with its check of an intent."""
    openvpn: Collection[str]
    """The versions of OpenVPN, as in an image's tag, e.g. `("2.6", "2.7")`."""
    node_image: str
    """The repository of the lab's node images, e.g. `openvpn-routing-lab/node`; the tag is OpenVPN's version."""
    images: Collection[str] = ()
    """The repositories of the lab's other images, e.g. `openvpn-routing-lab/servers`."""
    many_clients: Collection[str] = ()
    """The modes whose server process serves many clients: tunnels to the same node share it."""
    devices: Mapping[str, str] = field(default_factory=dict)
    """The prefix of a mode's device names; `tun` by default."""
    initiators: Collection[str] = ()
    """The daemons that can open a BGP session to a neighbour without a configured address."""
    unsupported: Callable[[TunnelIntent, int], Mapping[TrafficClass, str]] = _all_supported
    """The traffic classes that a declared tunnel does not carry, each with the reason; the number is that of the
    tunnels which share the server's process."""
    max_clients: Callable[[TunnelIntent], int | None] = _no_limit
    """The number of clients that the server process of a declared tunnel accepts; None if it has no limit."""
