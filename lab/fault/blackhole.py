"""Blackholes: packets are dropped, while interfaces and processes stay up and the sender gets no error.

nftables drops the packets at the receiving end: a drop at the sending end returns an error to the sender.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from lab.core.errors import InputError
from lab.engine.nft import Chain, Expression, Family, Nft, Table, counter, device_is, drop, port_is, rule, source_is
from lab.fault.base import FaultAction, FaultSite, OnLink, OnTunnel
from lab.fault.path import PathEffect
from lab.topology.segments import endpoints_of
from lab.tunnel import RunningTunnel


class Blackhole(OnTunnel):
    """A tunnel's packets are dropped: the outer ones on the underlay, or the inner ones at the tunnel device."""

    kind = "blackhole"
    summary = (
        "a tunnel's packets are dropped, no interface goes down: outer (OpenVPN detects) or inner ones (routing does)"
    )
    effect = PathEffect(silent=True)

    layer: Literal["outer", "inner"] = "outer"
    """The packets to drop: the tunnel's own, or those inside it."""
    direction: Literal["both", "to-server", "to-client"] = "both"
    """The direction in which they are dropped."""

    def __str__(self) -> str:
        towards = "" if self.direction == "both" else f" {self.direction.replace('-', ' the ')}"
        return f"{self.layer} packets of {self.label}{towards} dropped"

    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that adds a dropping table at each receiving end."""
        tunnel = self.target(site)
        conditions = self._inner(tunnel) if self.layer == "inner" else self._outer(site, tunnel)
        tables = {
            node: Table("inet", self._table(tunnel), [Chain("prerouting", [rule(c, counter(), drop()) for c in rules])])
            for node, rules in conditions.items()
        }
        return _add_tables(site, tables)

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        """Return the action that removes the tables."""
        tunnel = self.target(site)
        ends = (tunnel.tunnel.server, tunnel.tunnel.client)
        return _delete_tables(site, {node: ("inet", self._table(tunnel)) for node in ends})

    def _table(self, tunnel: RunningTunnel) -> str:
        return f"lab-blackhole-{self.layer}-{tunnel.name}"

    def _inner(self, tunnel: RunningTunnel) -> dict[str, list[list[Expression]]]:
        if tunnel.tunnel.shared is not None:
            raise InputError(
                f"{tunnel} shares its device on {tunnel.tunnel.server} with other tunnels, and an inner packet "
                "does not identify its tunnel: use layer=outer"
            )
        return self._by_receiver(
            tunnel,
            [device_is(tunnel.device(tunnel.tunnel.server))],
            [device_is(tunnel.device(tunnel.tunnel.client))],
        )

    def _outer(self, site: FaultSite, tunnel: RunningTunnel) -> dict[str, list[list[Expression]]]:
        declared = tunnel.tunnel
        here = port_is(declared.transport, "destination", declared.port)
        if declared.shared is None:  # by port only, since NAT may change the address
            to_server = [here]
        else:
            version = declared.client_outer.version
            addresses = [
                a.ip for e in endpoints_of(site.topology, declared.client) for a in e.addresses if a.version == version
            ]
            to_server = [rule(source_is(address), here) for address in addresses]
        from_server = port_is(declared.transport, "source", declared.port)
        address = declared.server_at.outer
        to_client = [from_server if address is None else rule(source_is(address), from_server)]
        return self._by_receiver(tunnel, to_server, to_client)

    def _by_receiver(
        self, tunnel: RunningTunnel, to_server: list[list[Expression]], to_client: list[list[Expression]]
    ) -> dict[str, list[list[Expression]]]:
        found = {}
        if self.direction != "to-client":
            found[tunnel.tunnel.server] = to_server
        if self.direction != "to-server":
            found[tunnel.tunnel.client] = to_client
        return found


class LinkBlackhole(OnLink):
    """All frames on a link are dropped, in both directions; both ends keep their carrier."""

    kind = "link-blackhole"
    summary = "all frames on a link are dropped, and both its ends stay up"
    effect = PathEffect(silent=True)

    def __str__(self) -> str:
        return f"all frames on the link of {self.link} dropped"

    def prepare(self, site: FaultSite) -> FaultAction:
        """Return the action that adds a dropping table at each end."""
        tables = {
            node: Table("netdev", self._table(interface), [Chain("ingress", [rule(counter(), drop())], interface)])
            for node, interface in self._ends(site)
        }
        return _add_tables(site, tables)

    def recovery(self, site: FaultSite, kept: Mapping[str, Any]) -> FaultAction:
        """Return the action that removes the tables."""
        return _delete_tables(site, {node: ("netdev", self._table(interface)) for node, interface in self._ends(site)})

    def _ends(self, site: FaultSite) -> list[tuple[str, str]]:
        node, interface = self.end(site)
        for link in site.topology.links:
            ends = [(e.node, e.interface) for e in link.endpoints]
            if (node, interface) in ends:
                return ends
        raise AssertionError("the end was found before")

    @staticmethod
    def _table(interface: str) -> str:
        return f"lab-blackhole-{interface}"


def _add_tables(site: FaultSite, tables: Mapping[str, Table]) -> FaultAction:
    """Return the action that adds tables, by sockets opened beforehand in the nodes' namespaces."""
    sockets = {node: site.running(node).namespace.run(Nft) for node in tables}

    def do() -> None:
        for node, table in tables.items():
            sockets[node].add(table)

    def then() -> None:
        for each in sockets.values():
            each.close()

    return FaultAction(do, then)


def _delete_tables(site: FaultSite, tables: Mapping[str, tuple[Family, str]]) -> FaultAction:
    sockets = {node: site.running(node).namespace.run(Nft) for node in tables}
    deletions = [partial(sockets[node].delete, family, name) for node, (family, name) in tables.items()]

    def do() -> None:
        for delete in deletions:
            delete()

    def then() -> None:
        for each in sockets.values():
            each.close()

    return FaultAction(do, then)
