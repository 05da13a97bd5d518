"""The link operations of an engine, shared by all engines: netlink in the namespaces of its nodes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lab.engine.base import Instance

if TYPE_CHECKING:
    from lab.topology import Address, Interface, Link, Node, Prefix


class NamespaceLinks:
    """Implements the methods of `Engine` for links; an engine inherits it.

    Netlink is imported on first use: commands that only list nodes start faster without it.
    """

    def connect_nodes(
        self,
        nodes: "Mapping[str, Node]",
        instances: Mapping[str, Instance],
        links: "Sequence[Link]",
        routes: "Mapping[str, Sequence[tuple[Prefix, Address]]]",
    ) -> None:
        """See `Engine.connect_nodes`."""
        from lab.engine import netlink

        netlink.connect_nodes(nodes, {name: i.namespace for name, i in instances.items()}, links, routes)

    def connect_node(
        self, name: str, nodes: "Mapping[str, Node]", instances: Mapping[str, Instance], links: "Sequence[Link]"
    ) -> None:
        """See `Engine.connect_node`."""
        from lab.engine import netlink

        netlink.connect_node(name, nodes, {name: i.namespace for name, i in instances.items()}, links)

    def add_addresses(self, instance: Instance, interface: str, addresses: "Sequence[Interface]") -> None:
        """See `Engine.add_addresses`."""
        from lab.engine import netlink

        netlink.add_addresses(instance.namespace, interface, addresses)

    def remove_addresses(self, instance: Instance, interface: str, addresses: "Sequence[Interface]") -> None:
        """See `Engine.remove_addresses`."""
        from lab.engine import netlink

        netlink.remove_addresses(instance.namespace, interface, addresses)

    def remove_device(self, instance: Instance, device: str, *, kind: str = "") -> None:
        """See `Engine.remove_device`."""
        from lab.engine import netlink

        netlink.remove_device(instance.namespace, device, kind=kind)

    def try_device(self, instance: Instance, kind: str) -> str | None:
        """See `Engine.try_device`."""
        from lab.engine import netlink

        return netlink.try_device(instance.namespace, kind)
