"""Why a server's inner table does not let a packet pass: no route, one family, another client, a wrong source."""

from dataclasses import dataclass
from ipaddress import ip_network

from lab.core.prefixes import family_of
from lab.topology import Address, Prefix
from lab.tunnel.reason import find_losses
from lab.why.cause import Cause, Observation
from lab.why.crossing import Crossing
from lab.why.in_force import InForce
from lab.why.inner_table import InnerTable, hand_out, iroute_line
from lab.why.kernel import route_of
from lab.why.loss import Lost


@dataclass(frozen=True)
class Judged:
    """A lost packet, judged by the inner table of the server."""

    lost: Lost
    crossing: Crossing
    table: InnerTable
    mine: str
    """The real address of the tunnel's client, by which the table names it."""
    configuration: InForce

    def towards_client(self) -> Cause | None:
        """Judge a packet from the server: the table chooses the client by the destination."""
        address = self.lost.header.destination
        entry = self.table.find(address)
        if entry is None:
            dropped = not self.crossing.left  # else the table has let it pass, by an entry that is gone
            return self._no_route(address, f"{self.lost.server} drops it in OpenVPN's inner table") if dropped else None
        if entry.real_address == self.mine:
            return None
        return self._of_another(address, f"{self.lost.server} hands it to {entry.client}")

    def from_client(self) -> Cause | None:
        """Judge a packet that a client sent: its source has to be the client's, and its destination can be another."""
        if not self.crossing.arrived:
            return None
        source = self.lost.header.source
        entry = self.table.find(source)
        dropped = f"{self.lost.server} drops it on arrival, by its source"
        if entry is None:
            return self._unknown_source(source, dropped)
        if entry.real_address != self.mine:
            return self._of_another(source, dropped)
        return self._bounced()

    def _unknown_source(self, source: Address, dropped: str) -> Cause | None:
        lost = self.lost
        back = route_of(lost.tunnel.server.node.namespace, None, source)
        if back.interface == lost.tunnel.server.device:
            return self._no_route(source, dropped)
        what = f"{dropped}: {source} is not an address of {lost.client} in OpenVPN's inner table, and "
        what += f"{lost.server} has no route to it through the tunnel ({back})"
        mend = f"let {lost.client} send from an address or network that {lost.server} knows behind it, or add "
        mend += f"`{iroute_line(_host(source))}` to {self._place()} and a route to it on {lost.server}"
        return Cause("wrong-source", lost.server, what, mend, (*self._evidence(source), self._back(source, str(back))))

    def _no_route(self, address: Address, where: str) -> Cause:
        """Return the cause that no entry covers an address behind the client."""
        lost, family = self.lost, family_of(address)
        back = route_of(lost.tunnel.server.node.namespace, None, address)
        network = back.prefix if back.prefix is not None and back.interface else _host(address)
        others = self.table.routes(self.mine, "ipv4" if family == "ipv6" else "ipv6")
        seen = (*self._evidence(address), self._back(address, str(back)))
        every = "`iroute-ipv6 ::/0`" if family == "ipv6" else "`iroute 0.0.0.0 0.0.0.0`"
        if others and not self.table.routes(self.mine, family):
            has, lacks = ("IPv4", "IPv6") if family == "ipv6" else ("IPv6", "IPv4")
            what = f"{where}: {lost.client} has an inner route for {has} ({others[0].network}) and none for {lacks}"
            line = every if any(entry.is_default for entry in others) else f"`{iroute_line(network)}`"
            return Cause("one-family", lost.server, what, f"add {line} to {self._place()}", seen)
        if network.prefixlen and self._inside(network):
            what = f"{where}: no client has the address {address}"
            return Cause("no-such-client", lost.server, what, "connect the client that has it", seen)
        what = f"{where}: no client has `{'iroute-ipv6' if family == 'ipv6' else 'iroute'}` for {network}"
        mend = f"add {f'`{iroute_line(network)}`' if network.prefixlen else every} to {self._place()}"
        alone = len({entry.real_address for entry in self.table.entries}) <= 1
        if alone and network.prefixlen:
            mend += f", or {every}"
        return Cause("no-inner-route", lost.server, what, mend, seen)

    def _of_another(self, address: Address, where: str) -> Cause | None:
        """Return the cause that an address belongs to another client: by a route, not by an entry learned from it."""
        lost, entry = self.lost, self.table.route(address)
        if entry is None or entry.real_address == self.mine:
            return None
        seen = self._evidence(address)
        if entry.is_default and (claimed := self._claimed(entry.network)):
            what = f"{where}: OpenVPN's inner table has {entry.network} for {entry.client}, which claimed it after "
            what += f"{lost.client}; the last client that claims it has it alone"
            mend = "run one server process for each client, or give each client `iroute` for its own networks in "
            mend += f"place of {entry.network} ({self._place()})"
            return Cause("second-client", lost.server, what, mend, (*seen, claimed))
        what = f"{where}: in OpenVPN's inner table {address} belongs to {entry.client} ({entry.network})"
        back = route_of(lost.tunnel.server.node.namespace, None, address)
        network = back.prefix if back.prefix is not None and back.interface else _host(address)
        mend = f"add a more specific `iroute` to {self._place()}, or remove the one of {entry.client}"
        if network.prefixlen > entry.network.prefixlen:
            mend = f"add `{iroute_line(network)}` to {self._place()}"
        return Cause("inner-route-of-another", lost.server, what, mend, seen)

    def _bounced(self) -> Cause | None:
        """Return the cause if `client-to-client` sends the packet back among the clients."""
        option = self.configuration.last("client-to-client")
        entry = self.table.route(self.lost.header.destination)
        if option is None or entry is None or not self.crossing.elsewhere:
            return None
        lost, to = self.lost, self.lost.header.destination
        onward = route_of(lost.tunnel.server.node.namespace, None, to)
        if onward.interface == lost.tunnel.server.device:  # the kernel would send it to a client as well
            return None
        place = self.configuration.place("client-to-client")
        what = f"{lost.server} sends it back into the tunnel, to {entry.client}: with `client-to-client` OpenVPN asks "
        what += f"its inner table before the kernel, and {entry.network} covers {to}"
        mend = f"remove `client-to-client` ({place}), or give narrower inner routes than {entry.network} "
        mend += f"({self._place()})"
        return Cause("client-to-client", lost.server, what, mend, (*self._evidence(to), self._back(to, str(onward))))

    def _claimed(self, network: Prefix) -> Observation | None:
        """Return the log line with which this tunnel's client had a route of the table; None if it never had."""
        words = f"internal route {network} -> {self.lost.client}/"
        found = self.lost.tunnel.server.log_lines(words)
        return Observation(self.lost.server, "log of OpenVPN", found[-1]) if found else None

    def _evidence(self, address: Address) -> tuple[Observation, ...]:
        entry = self.table.find(address)
        said = [x for x in find_losses(self.crossing.receiver_lines) if x.kind == "wrong-source"]
        logged = [self.lost.logged(x, self.lost.there) for x in said if str(address) in x.words][:1]
        found = f"{address}: {entry or 'no entry'}; the table: {self.table}"
        return (
            Observation(self.lost.server, "inner table of OpenVPN", found),
            *logged,
            *self.lost.seen(self.crossing),
        )

    def _back(self, address: Address, route: str) -> Observation:
        return Observation(self.lost.server, "FIB", f"{address}: {route}")

    def _inside(self, network: Prefix) -> bool:
        """Return True for the network of the tunnel's own addresses."""
        at = self.lost.tunnel.addresses(self.lost.server)
        own = [interface.network for interface in (at.ipv4, at.ipv6) if interface is not None]
        return network in own

    def _place(self) -> str:
        own = self.lost.tunnel.client.process.own
        return hand_out(self.configuration, (own.common_name if own else None) or self.lost.client)


def _host(address: Address) -> Prefix:
    return ip_network(address)
