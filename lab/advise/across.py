"""Find the BGP neighbours at the other end of a tunnel: those with an address in the tunnel's own network."""

from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from lab.advise.frr import FrrConfiguration, Neighbor
from lab.advise.openvpn import Configuration


def neighbors_across(frr: FrrConfiguration, end: Configuration, peer: Configuration | None) -> list[Neighbor]:
    """Return the BGP neighbours across a tunnel that the files identify."""
    inside = _networks(end) + (_networks(peer) if peer else [])
    device = end.last("dev")
    return [
        n
        for n in frr.neighbors
        if any(n.address in interface.network for interface in inside if n.address)
        or (device is not None and n.name == device.argument(0))
    ]


def _networks(end: Configuration) -> list[IPv4Interface | IPv6Interface]:
    found = []
    for d in end.all("ifconfig", "server", "ifconfig-ipv6", "server-ipv6"):
        first, second = d.argument(0) or "", d.argument(1) or ""
        texts = [first] if d.name.endswith("ipv6") else [f"{first}/{second}"]
        if d.name == "ifconfig" and not second.startswith("255."):
            texts = [first, second]  # point to point: the second is the other end's address
        for text in texts:
            try:
                found.append(ip_interface(text))
            except ValueError:
                continue
    return found
