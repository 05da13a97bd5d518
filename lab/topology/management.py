"""containerlab's management network: whether a file asks for it, its settings, and the ports that nodes publish."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from lab.core.prefixes import Address, Prefix
from lab.topology.mistakes import Findings, did_you_mean, quote
from lab.topology.model import Management, Node
from lab.topology.names import objection_to_interface
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
_SMALLEST: Final = {"ipv4": 4, "ipv6": 4}
"""Addresses of a subnet in which a gateway and a node can be."""
IPV4_SUBNET: Final = IPv4Network("172.20.20.0/24")
IPV6_SUBNET: Final = IPv6Network("3fff:172:20:20::/64")
"""containerlab's subnets, if the file has none."""
_PORT = r"\d{1,5}(?:-\d{1,5})?"
_PUBLISHED = re.compile(
    rf"(?:(?:(?P<host>[0-9.]+|\[[0-9a-fA-F:.]+\]|[0-9a-fA-F:.]+):)?(?P<outside>{_PORT})?:)?(?P<inside>{_PORT})(?:/(?P<protocol>tcp|udp|sctp))?",
    re.IGNORECASE,
)


_EVERYWHERE: Final = {"", "0.0.0.0", "::"}  # noqa: S104 - as in the file
"""The addresses of the host that stand for all of them."""


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
    if management.bridge is not None and (objection := objection_to_interface(management.bridge)):
        findings.add(tree.entries["bridge"], f"invalid bridge name {quote(management.bridge)}", objection)
    for family, subnet, gateway, pool in (
        ("ipv4", management.ipv4_subnet, management.ipv4_gw, management.ipv4_range),
        ("ipv6", management.ipv6_subnet, management.ipv6_gw, management.ipv6_range),
    ):
        known = None if subnet is None or isinstance(subnet, str) else subnet
        for value, key in ((gateway, f"{family}-gw"), (pool, f"{family}-range")):
            if value is not None and (known is None or not _inside(value, known)):
                findings.add(tree.entries[key], f"{value} is not inside the subnet {known or 'of the network'}")
        if known is not None and known.num_addresses < _SMALLEST[family]:
            at = tree.entries.get(f"{family}-subnet") or tree.entries[f"{family}_subnet"]
            findings.add(at, f"the subnet {known} has no address for a node besides the gateway's")
        elif known is not None and gateway is not None and _is_reserved(gateway, known):
            findings.add(tree.entries[f"{family}-gw"], f"{gateway} is the network or broadcast address of {known}")


def _is_reserved(address: Address, subnet: Prefix) -> bool:
    """Return whether Docker assigns an address of a subnet to no node and no gateway."""
    return address == subnet.network_address or (subnet.version == 4 and address == subnet.broadcast_address)


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
    silent = not (management.ipv4_subnet or management.ipv6_subnet)
    for name, node in nodes.items():
        if node.mgmt_ipv4 is not None:
            subnet, gateway = IPV4_SUBNET if silent else management.ipv4_subnet, management.ipv4_gw
            _check_address(node.mgmt_ipv4, subnet, gateway, keys[name]["mgmt-ipv4"], findings)
        if node.mgmt_ipv6 is not None:
            subnet6, gateway6 = IPV6_SUBNET if silent else management.ipv6_subnet, management.ipv6_gw
            _check_address(node.mgmt_ipv6, subnet6, gateway6, keys[name]["mgmt-ipv6"], findings)


def _check_address(
    address: Address,
    subnet: Prefix | str | None,
    gateway: Address | None,
    at: Tree,
    findings: Findings,
) -> None:
    """Check that an address can be a node's; the default gateway is the first address of the subnet."""
    family = f"ipv{address.version}"
    if subnet is None or isinstance(subnet, str):
        what = (
            f"{address} needs a subnet, and the file gives the management network none of {family.replace('ip', 'IP')}"
        )
        findings.add(at, what, f"set '{family}-subnet' under 'mgmt'")
    elif address not in subnet:
        findings.add(at, f"{address} is not inside the management network's subnet {subnet}")
    elif _is_reserved(address, subnet):
        findings.add(at, f"{address} is the network or broadcast address of {subnet}")
    elif address == (gateway or subnet.network_address + 1):
        findings.add(at, f"{address} is the address of the management network's gateway")


def check_published(keys: Mapping[str, Mapping[str, Tree]], findings: Findings) -> None:
    """Check that no two nodes, or no two ports of one, are published at one port of the host."""
    seen: list[tuple[str, range, str, Tree]] = []
    for of in keys.values():
        tree = of.get("ports")
        for item in tree.items if isinstance(tree, Items) else ():
            found = _PUBLISHED.fullmatch(item.text) if isinstance(item, Scalar) else None
            if found is None or not _are_ports(found) or not found["outside"]:
                continue
            low, _, high = found["outside"].partition("-")
            if not int(low) or (high and "-" not in found["inside"]):  # Docker's choice
                continue
            ports, protocol = range(int(low), int(high or low) + 1), (found["protocol"] or "tcp").lower()
            host = (found["host"] or "").strip("[]")
            for other, taken, of_protocol, at in seen:
                shared = range(max(ports.start, taken.start), min(ports.stop, taken.stop))
                if shared and protocol == of_protocol and (host == other or _EVERYWHERE & {host, other}):
                    what = f"the port {shared.start}/{protocol} of this host is published twice"
                    findings.add(item, f"{what}, see line {at.place.line}")
                    break
            seen.append((host, ports, protocol, item))


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
