"""Translates VyOS's and EdgeOS's configurations: `set` commands, or `config.boot`.

The tunnels of `interfaces openvpn` become OpenVPN's files, `protocols` and `policy` a frr.conf; addresses of interfaces
are facts of the host. What is left out of these parts is noted.
"""

from ipaddress import ip_interface

from lab.configs.disk import Spot, Unreadable
from lab.configs.host.facts import HostFacts
from lab.configs.translated import MAX_TUNNELS, Note, Translated, joined, with_addresses
from lab.configs.vyos import frr as vyos_frr
from lab.configs.vyos import openvpn as vyos_openvpn
from lab.configs.vyos.tree import Node, Value, looks_like_vyos, parse
from lab.core.prefixes import Interface
from lab.topology.mistakes import quote

__all__ = ["looks_like_vyos", "translate"]

_MAX_NOTES = 20
_NO_PART = ("firewall", "hw-id", "mac", "duplex", "speed", "traffic-policy", "mtu", "description")
"""Leaves of interfaces that concern neither tunnels nor routing."""


def translate(text: str, name: str) -> Translated:
    """Translate a configuration; raises `Unreadable` with file and line."""
    root, others = parse(text, name)
    if len(root.at("interfaces", "openvpn").children) > MAX_TUNNELS:
        raise Unreadable(f"{root.at('interfaces', 'openvpn').spot}: more than {MAX_TUNNELS} interfaces of OpenVPN")
    hostname = root.value("system", "host-name")
    parts = [
        vyos_openvpn.translate(interface, node, root.at("pki"))
        for interface, node in root.nodes("interfaces", "openvpn")
    ]
    parts += [vyos_frr.translate(root), _addresses(root)]
    parts.append(Translated(notes=_left_out(root, others), facts=HostFacts(hostname.text if hostname else None)))
    return joined(parts)


def _addresses(root: Node) -> Translated:
    addresses: list[tuple[str, Interface, Spot]] = []
    notes: list[Note] = []
    for kind, named in root.nodes("interfaces"):
        if kind == "openvpn":
            continue
        for interface, node in named.nodes():
            found = [(interface, node)]
            for vif, vlan in node.nodes("vif"):
                found.append((f"{interface}.{vif}", vlan))
            for device, of in found:
                for value in of.values("address"):
                    try:
                        addresses.append((device, ip_interface(value.text), value.spot))
                    except ValueError:
                        notes.append(
                            Note(
                                value.spot,
                                f"the address of {device} comes by {quote(value.text)} and is not in the file",
                            )
                        )
    return Translated(notes=tuple(notes), facts=HostFacts(interfaces=with_addresses(addresses)))


def _left_out(root: Node, others: list[Value]) -> tuple[Note, ...]:
    left = others + [
        value
        for part in (("interfaces", "openvpn"), ("protocols",), ("policy",))
        if (node := root.find(*part))
        for value in node.unread(*part)
        if not any(word in _NO_PART for word in value.text.split())
    ]
    notes = [Note(value.spot, f"{quote(value.text)} is not translated") for value in left[:_MAX_NOTES]]
    if len(left) > _MAX_NOTES:
        notes.append(
            Note(left[_MAX_NOTES].spot, f"{len(left) - _MAX_NOTES} more lines from here on are not translated")
        )
    return tuple(notes)
