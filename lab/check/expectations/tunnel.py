"""`tunnel`: a tunnel is up, with a peer, a cipher, and its data in userspace or in the kernel; or it is down."""

from collections.abc import Iterable, Iterator
from typing import Literal

from lab.check.model import Expected, Problem, Result, Start
from lab.check.problems import unknown_tunnel
from lab.check.waiting import pause, wait
from lab.core.expect import Expectation
from lab.core.prefixes import Address
from lab.runtime.lab import Lab
from lab.runtime.questions import NoTunnel, explain
from lab.status.overview import TunnelReport, tunnel_report
from lab.topology import Topology
from lab.tunnel.management import host_of


class TunnelState(Expected):
    """A tunnel is up or down."""

    kind = "tunnel"
    summary = "a tunnel is up, with a peer, a cipher, and data in userspace or in the kernel; or it is down"

    tunnel: str
    """The tunnel."""
    state: Literal["up", "down"] = "up"
    """Up means that both ends are connected."""
    peer: Address | None = None
    """The client's outer address as its server sees it, behind a NAT that of the NAT."""
    cipher: str | None = None
    """The cipher of the data channel, such as AES-256-GCM."""
    data: Literal["userspace", "kernel"] | None = None
    """Where data is encrypted: in OpenVPN's process, or in the kernel (DCO)."""

    def __str__(self) -> str:
        wanted = [
            f"peer {self.peer}" if self.peer else "",
            f"cipher {self.cipher}" if self.cipher else "",
            f"data in {'the ' if self.data == 'kernel' else ''}{self.data}" if self.data else "",
        ]
        return ", ".join([f"tunnel {self.tunnel} is {self.state}", *filter(None, wanted)])

    @property
    def place(self) -> str:
        """The tunnel."""
        return self.tunnel

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown tunnels, and properties of a tunnel that is down."""
        yield from unknown_tunnel(topology, "tunnel", self.tunnel)
        for key in ("peer", "cipher", "data"):
            if self.state == "down" and getattr(self, key) is not None:
                yield Problem(key, f"a tunnel that is down has no {key}", "leave it out, or say `state: up`")

    def check(self, lab: Lab, start: Start) -> Result:
        """Ask both processes until they report what is expected."""
        tunnel = lab.tunnel(self.tunnel)
        return wait(
            Expectation(
                what=str(self),
                node=self.tunnel,
                look=lambda: tunnel_report(lab, tunnel),
                met=self._met,
                seen=_describe,
                logs=tunnel.client.node.files,
                changed=pause,
                explain=(lambda: explain(lab, NoTunnel(self.tunnel))) if self.state == "up" else None,
            ),
            start,
            evidence=lambda found: _lines(found) if found.up else (),
        )

    def _met(self, found: TunnelReport) -> bool:
        if self.state == "down":
            return not found.up
        return (
            found.up
            and (self.peer is None or host_of(found.real_address or "") == str(self.peer))
            and self.cipher in (None, found.cipher)
            and self.data in (None, found.channel)
        )


def _describe(found: TunnelReport) -> str:
    return ", ".join(_lines(found)) if found.up else f"down: {found.reason}"


def _lines(found: TunnelReport) -> Iterator[str]:
    yield "up"
    yield f"peer {found.real_address}"
    yield f"cipher {found.cipher or 'is not logged'}"
    yield f"data in {found.channel}"
