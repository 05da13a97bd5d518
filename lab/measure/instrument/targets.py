"""The destinations of probe packets: addresses that nodes have within prefixes."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from pyroute2 import IPRoute

from lab.core.errors import InputError
from lab.engine.namespace import Namespace
from lab.measure.instrument.probe import Target
from lab.topology import Address, Prefix


def find_targets(prefixes: Iterable[Prefix], nodes: Mapping[str, Namespace]) -> list[Target]:
    """Return for each prefix an address within it that one of the nodes has; of several nodes the first.

    Raises `InputError` if no node has an address in a prefix.
    """
    addresses_of = {node: namespace.run(_addresses) for node, namespace in nodes.items()}
    return [_target(prefix, addresses_of) for prefix in prefixes]


def _target(prefix: Prefix, addresses_of: Mapping[str, list[Address]]) -> Target:
    for node, addresses in addresses_of.items():
        for address in addresses:
            if address.version == prefix.version and address in prefix:
                return Target(prefix, address, node)
    raise InputError(
        f"none of the nodes {', '.join(addresses_of)} has an address in {prefix} for probe packets: give one to a host "
        "(`router.serving(prefix, host)`), or measure without `probe_from`"
    )


def _addresses() -> list[Address]:
    with IPRoute() as ip:
        found = [ip_address(message.get_attr("IFA_ADDRESS")) for message in ip.get_addr()]
    return [address for address in found if not address.is_loopback and not address.is_link_local]
