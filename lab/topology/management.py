"""containerlab's management network: whether a file asks for it, its settings, and the ports that nodes publish."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from lab.core.prefixes import Prefix
from lab.topology.mistakes import Findings, did_you_mean, quote
from lab.topology.model import Management, Node
from lab.topology.shape import InvalidValue, convert, is_null, note_mismatch
from lab.topology.source import Items, Scalar, Table, Tree

AUTO: Final = "auto"
MANAGED: Final = "bridge"
"""The network mode of a node in the management network."""
MODES: Final = ("none", MANAGED, "host")
"""The network modes that are one word."""
_NOT_TEXT: Final = ("mtu", "external-access", "skip-when-unused", "driver-opts")
"""The keys that an empty text does not leave as they are."""
_OLD_KEYS: Final = {"ipv4_subnet": "ipv4-subnet", "ipv6_subnet": "ipv6-subnet"}
_SUBNETS: Final = ("ipv4-subnet", "ipv6-subnet")
_PORT = r"\d{1,5}(?:-\d{1,5})?"
_PUBLISHED = re.compile(
    rf"(?:(?:(?P<host>[0-9.]+|\[[0-9a-fA-F:.]+\]|[0-9a-fA-F:.]+):)?(?P<outside>{_PORT})?:)?(?P<inside>{_PORT})(?:/(?:tcp|udp|sctp))?",
    re.IGNORECASE,
)


def read_management(tree: Tree | None, findings: Findings) -> Management | None:
    """Read the key `mgmt`; None if the file has none."""
    if tree is None:
        return None
    if is_null(tree):
        findings.add(
            tree, "the key 'mgmt' has no value: containerlab cannot read such a file", "write '{}', or leave it out"
        )
        return Management()
    if not isinstance(tree, Table):
        note_mismatch(tree, Mapping[str, str], findings)
        return Management()
    fields = {info.alias or name: (name, info) for name, info in Management.model_fields.items()}
    values: dict[str, Any] = {}
    for given, value in tree.entries.items():
        key = _OLD_KEYS.get(given, given)
        if key not in fields:
            findings.add(tree.keys[given], f"unknown key {quote(given)}", did_you_mean(given, fields))
            continue
        name, info = fields[key]
        if is_null(value) or (isinstance(value, Scalar) and not value.text and key not in _NOT_TEXT):
            continue
        with suppress(InvalidValue):
            values[name] = convert(value, info.annotation, findings, info)
    management = Management(**values)
    _check_subnets(tree, management, findings)
    if management.external_access:
        what = "'external-access' has no effect: the lab does not open the host's firewall to its nodes"
        findings.note(tree.keys["external-access"], "", what)
    return management


def _check_subnets(tree: Table, management: Management, findings: Findings) -> None:
    for family, subnet, gateway, pool in (
        ("ipv4", management.ipv4_subnet, management.ipv4_gw, management.ipv4_range),
        ("ipv6", management.ipv6_subnet, management.ipv6_gw, management.ipv6_range),
    ):
        known = None if subnet is None or isinstance(subnet, str) else subnet
        for value, key in ((gateway, f"{family}-gw"), (pool, f"{family}-range")):
            if value is not None and (known is None or not _inside(value, known)):
                findings.add(tree.entries[key], f"{value} is not inside the subnet {known or 'of the network'}")


def _inside(value: Any, subnet: Prefix) -> bool:
    inner = ip_network(str(value))
    return inner.version == subnet.version and bool(inner.subnet_of(subnet))  # type: ignore[arg-type]


def asks_for_management(keys: Iterable[Mapping[str, Tree]]) -> bool:
    """Return True if a node's keys, inherited ones included, have a meaning only with the management network."""
    return any(
        any(key in node for key in ("mgmt-ipv4", "mgmt-ipv6", "ports", "aliases"))
        or (isinstance(mode := node.get("network-mode"), Scalar) and mode.text.lower() == MANAGED)
        for node in keys
    )


def check_ports(tree: Tree | None, findings: Findings) -> None:
    """Check the ports that a node publishes, as Docker spells them."""
    for item in tree.items if isinstance(tree, Items) else ():
        if not isinstance(item, Scalar):
            continue
        found = _PUBLISHED.fullmatch(item.text)
        if found is None or not _are_ports(found):
            what = f"{quote(item.text)} is not a port to publish"
            findings.add(item, what, "write '8080:80', '127.0.0.1:8080:80/tcp' or a range as '8000-8002:80-82'")


def _are_ports(found: re.Match[str]) -> bool:
    """Return whether the address and the numbers are valid; 0 outside is a port of Docker's choice."""
    if found["host"]:
        try:
            ip_address(found["host"].strip("[]"))
        except ValueError:
            return False
    ranges = [tuple(map(int, found[name].split("-"))) for name in ("outside", "inside") if found[name]]
    if any(not low <= high <= 65535 for low, high in ((r[0], r[-1]) for r in ranges)):
        return False
    inside = ranges[-1]
    if not inside[0]:
        return False
    # Docker chooses one of a range outside for a single port inside.
    return inside[0] == inside[-1] or len({r[-1] - r[0] for r in ranges}) == 1


def check_addresses(
    management: Management, nodes: Mapping[str, Node], keys: Mapping[str, Mapping[str, Tree]], findings: Findings
) -> None:
    """Check that the addresses that nodes ask for are in the management network."""
    for name, node in nodes.items():
        for address, subnet in ((node.mgmt_ipv4, management.ipv4_subnet), (node.mgmt_ipv6, management.ipv6_subnet)):
            if address is None:
                continue
            tree = keys[name]["mgmt-ipv4" if address.version == 4 else "mgmt-ipv6"]
            if isinstance(subnet, IPv4Network | IPv6Network) and address not in subnet:
                findings.add(tree, f"{address} is not inside the management network's subnet {subnet}")


def check_unique(keys: Mapping[str, Mapping[str, Tree]], findings: Findings) -> None:
    """Check that no two nodes ask for one address, as containerlab does, which asks neither if one has a use for it."""
    seen: dict[IPv4Address | IPv6Address, str] = {}
    for name, of in keys.items():
        for tree in (of[key] for key in ("mgmt-ipv4", "mgmt-ipv6") if key in of):
            with suppress(ValueError):  # of what is not an address, which is reported where a node uses it
                address = ip_address(tree.text if isinstance(tree, Scalar) else "")
                if address in seen:
                    findings.add(tree, f"the address {address} is already that of {quote(seen[address])}")
                seen[address] = name
