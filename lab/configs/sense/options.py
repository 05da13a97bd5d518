"""The settings that pfSense and OPNsense have in common."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from lab.configs.sense.xml_tree import Element
from lab.configs.translated import Note
from lab.topology.mistakes import quote

Network = IPv4Network | IPv6Network


def network_of(settings: Element, key: str, notes: list[Note]) -> Network | None:
    """Return the network of a setting; a note says if it is an alias of the firewall."""
    text = settings.value(key)
    try:
        return ip_network(text, strict=False) if text else None
    except ValueError:
        notes.append(Note(settings.spot_of(key), f"{quote(text)} is not a network; aliases are not read"))
        return None


def routes_of(element: Element | None, notes: list[Note]) -> Iterator[str]:
    """Iterate over the routes of a list of networks, as options."""
    if element is None:
        return
    for text in (part.strip() for part in element.text.split(",")):
        try:
            network = ip_network(text, strict=False) if text else None
        except ValueError:
            notes.append(Note(element.spot, f"{quote(text)} is not a network; aliases are not read"))
            continue
        if isinstance(network, IPv4Network):
            yield f"route {plain(network)}"
        elif network:
            yield f"route-ipv6 {network}"


def pair_of(tunnel: Element, is_subnet: bool, notes: list[Note]) -> str | None:
    """Return the arguments of `ifconfig-push` for a client's tunnel network."""
    address, _, length = tunnel.text.partition("/")
    try:
        network = IPv4Network(f"{address}/{length or 32}", strict=False)
        return f"{address} {network.netmask}" if is_subnet else f"{network[2]} {network[1]}"
    except (ValueError, IndexError):
        notes.append(Note(tunnel.spot, f"{quote(tunnel.text)} is not a network"))
        return None


def is_file_name(name: str, element: Element, notes: list[Note]) -> bool:
    """Return True for a common name that can name a file of client-config-dir; else add a note."""
    if name and "/" not in name and "\0" not in name and name not in (".", ".."):
        return True
    notes.append(Note(element.spot, f"{quote(name)} cannot name a file of client-config-dir"))
    return False


def plain(network: Network) -> str:
    """Return a network as OpenVPN's options have it."""
    return f"{network.network_address} {network.netmask}"
