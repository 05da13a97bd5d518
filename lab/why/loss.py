"""A packet that is lost in a tunnel, and what was seen of others like it."""

from dataclasses import dataclass

from lab.runtime.lab import Lab
from lab.topology import Address
from lab.tunnel import OpenVpn, RunningTunnel
from lab.tunnel.reason import Loss
from lab.why.cause import Observation
from lab.why.crossing import Crossing


@dataclass(frozen=True)
class Header:
    """The fields of a packet that decide its way."""

    source: Address
    destination: Address
    size: int
    """Bytes of the IP packet."""
    df: bool = False


@dataclass(frozen=True)
class Lost:
    """A packet that is lost in a tunnel, and what is known about its two ends."""

    lab: Lab
    tunnel: RunningTunnel
    sender: str
    header: Header

    @property
    def from_server(self) -> bool:
        """True on the way from the server to the client."""
        return self.sender == self.tunnel.tunnel.server

    @property
    def here(self) -> OpenVpn:
        """The process at the sender."""
        return self.tunnel.server if self.from_server else self.tunnel.client

    @property
    def there(self) -> OpenVpn:
        """The process at the other end."""
        return self.tunnel.client if self.from_server else self.tunnel.server

    @property
    def server(self) -> str:
        """The node of the server."""
        return self.tunnel.tunnel.server

    @property
    def client(self) -> str:
        """The node of the client."""
        return self.tunnel.tunnel.client

    def logged(self, loss: Loss, end: OpenVpn) -> Observation:
        """Return a log line as evidence."""
        return Observation(end.node.name, "log of OpenVPN", loss.words)

    def seen(self, crossing: Crossing) -> tuple[Observation, ...]:
        """Return what was seen of the packets as evidence."""
        here, there = self.here, self.there
        aside = f", {' and '.join(crossing.elsewhere)} got them" if crossing.elsewhere else ""
        return (
            Observation(
                here.node.name,
                f"capture on {here.device} and outside",
                f"{crossing.entered} of {crossing.sent} packets of {crossing.size} bytes entered, outer packets: "
                f"{len(crossing.left)}",
            ),
            Observation(
                there.node.name,
                f"capture on {there.device} and outside",
                f"outer packets: {len(crossing.arrived)}, came out: {crossing.emerged}{aside}",
            ),
        )
