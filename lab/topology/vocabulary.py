"""What the rooms further down understand, handed to the reader so that it can name what they don't."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lab.topology.intent import RouterIntent, TunnelIntent


@dataclass(frozen=True)
class Objection:
    """What another room has against a value, relative to the intent it was given."""

    path: tuple[str | int, ...]
    """Where the value stands in the intent, in the file's spelling, e.g. `("options", "iroute", 0)`."""
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
    """What the rooms further down understand, so that the reader can name what they don't."""

    modes: Mapping[str, Callable[[TunnelIntent], Sequence[Objection]]]
    """The tunnel modes, each with its check of an intent."""
    daemons: Mapping[str, Callable[[RouterIntent], Sequence[Objection]]]
    """The routing daemons, each with its check of an intent."""
    openvpn: Collection[str]
    """OpenVPN's versions, as they stand in an image's tag, e.g. `("2.6", "2.7")`."""
    node_image: str
    """Our family of images, e.g. `openvpn-routing-lab/node`; the tag is OpenVPN's version."""
    images: Collection[str] = ()
    """Our other images, e.g. `openvpn-routing-lab/servers`: what begins like these and is none of them is a mistake."""
    many_clients: Collection[str] = ()
    """The modes in which one server process serves many clients: tunnels to the same node share it."""
    devices: Mapping[str, str] = field(default_factory=dict)
    """How the devices of a mode are named, before the number; `tun` where it says nothing."""
    callers: Collection[str] = ()
    """The daemons that find a BGP neighbour whose address nobody wrote down, and call it."""
    unsupported: Callable[[TunnelIntent, int], Mapping[TrafficClass, str]] = _all_supported
    """The traffic classes that a declared tunnel does not carry, each with the reason; the number is that of the
    tunnels which share the server's process."""
    room: Callable[[TunnelIntent], int | None] = _no_limit
    """How many clients the server process of a tunnel as declared lets in; None where nothing limits them."""
