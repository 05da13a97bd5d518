"""The scene of a trial: a running tunnel with the networks behind both ends, and what is seen there before it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from lab.configs.openvpn.client_options import AllClientOptions, InnerRoute
from lab.configs.openvpn.configuration import Configuration
from lab.core.prefixes import Address, Family, Prefix, family_of
from lab.observe.fib import FibEntry
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.tunnel import RunningTunnel
from lab.tunnel.mode import End
from lab.tunnel.running import OpenVpn

DAEMONS = frozenset({"bgp", "ospf", "rip", "bird"})
"""The origin of routes of a routing daemon, as the kernel names it."""

Networks = Mapping[Prefix, Address]
"""Networks, with an address in each that answers."""


class Tried(NamedTuple):
    """The result of a trial."""

    happened: bool | None
    """True if the failure was seen; None if the trial could not show it."""
    seen: str
    """The observation, or the reason why the trial could not show it."""


_BACK = 30.0
"""Seconds until a daemon has a route again that it has lost."""


@dataclass(frozen=True)
class Scene:
    """A tunnel of a running lab."""

    lab: Lab
    tunnel: RunningTunnel
    server: Configuration
    """The files of both ends."""
    client: Configuration
    client_options: AllClientOptions = field(default_factory=AllClientOptions)
    """The options that the server gives to its clients."""
    behind_client: Networks = field(default_factory=dict)
    behind_server: Networks = field(default_factory=dict)
    common_name: str | None = None
    """The client's common name, if known."""
    timeouts: Mapping[End, int | None] = field(default_factory=dict)
    """Seconds without a packet until an end restarts, as far as they are known."""
    hold: int | None = None
    """The agreed BGP hold time in seconds; None if it is unknown, or if BFD may end a session sooner."""

    # --- both ends -------------------------------------------------------------------------------------------

    @cached_property
    def server_node(self) -> LabNode:
        """The server's node."""
        return self.lab.node(self.tunnel.tunnel.server)

    @cached_property
    def client_node(self) -> LabNode:
        """The client's node."""
        return self.lab.node(self.tunnel.tunnel.client)

    def node(self, end: End) -> LabNode:
        """Return the node of an end."""
        return self.server_node if end == "server" else self.client_node

    def process(self, end: End) -> OpenVpn:
        """Return the process of an end."""
        return self.tunnel.server if end == "server" else self.tunnel.client

    def device(self, end: End) -> str:
        """Return the tunnel's device at an end."""
        return self.tunnel.device(self.node(end).name)

    def behind(self, end: End) -> Networks:
        """Return the networks behind an end."""
        return self.behind_server if end == "server" else self.behind_client

    def inner(self, end: End, family: Family | None = None) -> Address | None:
        """Return an end's inner address, by default the first; None if it has none that can be pinged."""
        found = [a.ip for a in self.tunnel.addresses(self.node(end).name).inner if not a.ip.is_link_local]
        return next((a for a in found if family in (None, family_of(a))), None)

    @property
    def inner_routes(self) -> list[InnerRoute]:
        """The client's inner routes, of both families."""
        clients = self.client_options.clients
        return [inner for name, of in clients if name in (None, self.common_name) for inner in of]

    # --- what is seen ----------------------------------------------------------------------------------------

    def led_into_tunnel(self, end: End) -> dict[Prefix, FibEntry]:
        """Return an end's kernel routes to the networks behind the other end that lead into the tunnel."""
        node, device = self.node(end), self.device(end)
        found = {network: node.fib.route(network) for network in self.behind("client" if end == "server" else "server")}
        return {network: entry for network, entry in found.items() if entry and device in entry.interfaces}

    @cached_property
    def routes(self) -> Mapping[Prefix, FibEntry]:
        """The server's routes to networks behind the client that lead into the tunnel."""
        return self.led_into_tunnel("server")

    @cached_property
    def learned(self) -> frozenset[Prefix]:
        """The networks behind the client that a daemon has put into the server's kernel."""
        return frozenset(network for network, entry in self.routes.items() if entry.protocol in DAEMONS)

    @cached_property
    def reached(self) -> frozenset[Prefix]:
        """The networks behind the client that the server reaches.

        Raises `ExpectationFailed` if the route to one of them is gone in the meantime, and does not come back.
        """
        found = {n for n in self.routes if self.answers("server", self.behind_client[n])}
        for network in self.routes.keys() - found:  # a daemon may have lost and found its route while the lab was asked
            self.server_node.expect_in_fib([network], via=self.device("server"), within=_BACK)
            if self.answers("server", self.behind_client[network]):
                found.add(network)
        return frozenset(found)

    @cached_property
    def tunnel_up(self) -> bool:
        """True if the server's inner address answers the client."""
        address = self.inner("server")
        return address is not None and self.answers("client", address)

    @cached_property
    def large(self) -> Mapping[End, bool | None]:
        """For each end, whether a packet of its device's MTU reaches the other end; None without an address."""
        return {"server": self._carries("server"), "client": self._carries("client")}

    def answers(self, end: End, address: Address, count: int = 3) -> bool:
        """Return whether an address answers an end's node."""
        return not self.node(end).echo(address, count=count).silent

    def log(self, *texts: str) -> str:
        """Return the first line of either end's log that has one of these texts; empty if none has."""
        ends = (self.tunnel.server, self.tunnel.client)
        return next((line for end in ends for text in texts for line in end.log_lines(text)), "")

    def _carries(self, end: End) -> bool | None:
        other = self.inner("client" if end == "server" else "server")
        if other is None:
            return None
        shown = self.node(end).exec("ip", "link", "show", self.device(end)).raise_on_error().stdout
        found = re.search(r"mtu (\d+)", shown)
        if found is None:
            return None
        # Twice: a busy host loses packets as well.
        echoes = (
            self.node(end).echo(other, count=3, packet_size=int(found[1]), interval=0.3, wait=w) for w in (2.0, 5.0)
        )
        return any(not echo.silent for echo in echoes)
