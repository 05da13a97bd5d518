"""The management network: a Docker network of one lab's own, removed with it."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final

from lab.core.errors import EnvironmentBroken, InputError
from lab.engine.base import LABEL_DIRECTORY, LABEL_LAB, LABEL_OWNER
from lab.host.docker_engine import reason
from lab.topology.management import IPV4_SUBNET, IPV6_SUBNET
from lab.topology.model import Management, Node

_TRIES: Final = 64
"""Pairs of subnets to try: if another network has containerlab's, the next ones, unless the file names its own."""
_MTU: Final = 1500


def create(api: Any, lab: str, management: Management, directory: Path, owner: str, *, fixed: bool) -> str:
    """Create the network of a lab and return its name; `fixed` is True if nodes have addresses of their own in it.

    Raises `InputError` if the file names what is taken, `EnvironmentBroken` if Docker refuses the network.
    """
    from docker.errors import APIError

    name = _free_name(api, lab, management)
    labels = {LABEL_LAB: lab, LABEL_DIRECTORY: str(directory), **({LABEL_OWNER: owner} if owner else {})}
    refusal: Exception | None = None
    for ipv4, ipv6 in _subnets(management, fixed=fixed):
        try:
            api.create_network(
                name,
                driver="bridge",
                check_duplicate=True,
                enable_ipv6=ipv6 is not None,
                ipam=_ipam(management, ipv4, ipv6),
                labels=labels,
                options=_options(management),
            )
        except APIError as error:
            if "overlap" not in str(error.explanation).lower():
                raise EnvironmentBroken(
                    f"the management network {name!r} cannot be created: {reason(error)}"
                ) from error
            refusal = error
        else:
            return name
    wanted = " and ".join(
        str(s) for s in (management.ipv4_subnet or IPV4_SUBNET, management.ipv6_subnet or IPV6_SUBNET)
    )
    raise InputError(
        f"the management network {name!r} cannot have the subnets {wanted}: another network of this host has them; "
        "write 'ipv4-subnet: auto' under 'mgmt', or other subnets"
    ) from refusal


def remove(api: Any, lab: str) -> bool:
    """Remove the networks of a lab; return whether there was one. Only what carries the lab's label is removed."""
    found = api.networks(filters={"label": f"{LABEL_LAB}={lab}"})
    for network in found:
        api.remove_network(network["Id"])
    return bool(found)


def endpoint(api: Any, network: str, node: Node) -> Any:
    """Return the settings with which a node's container joins a network."""
    settings = api.create_endpoint_config(
        ipv4_address=_text(node.mgmt_ipv4), ipv6_address=_text(node.mgmt_ipv6), aliases=list(node.aliases) or None
    )
    return api.create_networking_config({network: settings})


def ports(published: tuple[str, ...]) -> tuple[list[tuple[str, str]], Mapping[str, Any]]:
    """Return the ports of a container, and where each is published, from Docker's short form."""
    from docker.utils.ports import build_port_bindings

    bindings: dict[str, Any] = build_port_bindings(list(published))
    numbers = [(port.partition("/")[0], port.partition("/")[2] or "tcp") for port in bindings]
    return numbers, bindings


def _free_name(api: Any, lab: str, management: Management) -> str:
    taken = {network["Name"] for network in api.networks()}
    if management.network not in taken:
        return management.network
    if management.network == Management().network and (own := f"{management.network}-{lab}") not in taken:
        return own
    raise InputError(
        f"a Docker network named {management.network!r} exists already: give the lab's another name under 'mgmt', "
        "or remove that network if you do not need it"
    )


def _subnets(management: Management, *, fixed: bool) -> Iterator[tuple[IPv4Network | None, IPv6Network | None]]:
    """Yield pairs of subnets to try; None is Docker's choice."""
    offsets = range(1 if fixed else _TRIES)
    for offset in offsets:
        ipv4 = management.ipv4_subnet or IPv4Network((int(IPV4_SUBNET.network_address) + (offset << 8), 24))
        ipv6 = management.ipv6_subnet or IPv6Network((int(IPV6_SUBNET.network_address) + (offset << 64), 64))
        if isinstance(ipv6, str):
            ipv6 = _unique_local()
        yield None if isinstance(ipv4, str) else ipv4, ipv6
        if management.ipv4_subnet and management.ipv6_subnet:
            return


def _unique_local() -> IPv6Network:
    """Return a random subnet of the range for local use (RFC 4193)."""
    import secrets

    return IPv6Network(((0xFD << 120) | (secrets.randbits(40) << 80), 64))


def _ipam(management: Management, ipv4: IPv4Network | None, ipv6: IPv6Network | None) -> Any:
    from docker.types import IPAMConfig, IPAMPool

    wanted = (
        (ipv4, management.ipv4_gw, management.ipv4_range),
        (ipv6, management.ipv6_gw, management.ipv6_range),
    )
    pools = [
        IPAMPool(subnet=str(subnet), gateway=_text(gateway), iprange=_text(pool))
        for subnet, gateway, pool in wanted
        if subnet is not None
    ]
    return IPAMConfig(pool_configs=pools)


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def _options(management: Management) -> dict[str, str]:
    options = {"com.docker.network.driver.mtu": str(management.mtu or _MTU)}
    if management.bridge:
        options["com.docker.network.bridge.name"] = management.bridge
    return {**options, **management.driver_opts}
