"""Translates a config.xml of pfSense or OPNsense: OpenVPN's servers, clients and overrides, and addresses."""

import re
from ipaddress import ip_interface

from lab.configs.disk import Spot, Unreadable
from lab.configs.host.facts import HostFacts
from lab.configs.sense import opnsense, pfsense
from lab.configs.sense.xml_tree import Element, parse
from lab.configs.translated import MAX_TUNNELS, Note, Translated, joined, with_addresses
from lab.core.prefixes import Interface
from lab.topology.mistakes import quote

_PROCESSES = (
    ("openvpn", "openvpn-server"),
    ("openvpn", "openvpn-client"),
    ("OPNsense", "OpenVPN", "Instances", "Instance"),
)


def looks_like_sense(text: str) -> bool:
    """Return True for a config.xml of pfSense or OPNsense."""
    return re.search(r"<(pfsense|opnsense)[\s>]", text[:4096]) is not None


def translate(text: str, name: str) -> Translated:
    """Translate a config.xml; raises `Unreadable` with file and line."""
    root = parse(text, name)
    if root.tag not in ("pfsense", "opnsense"):
        raise Unreadable(f"{root.spot}: <{root.tag}> is not a config.xml of pfSense or OPNsense")
    processes = [element for path in _PROCESSES for element in root.all(*path)]
    if len(processes) > MAX_TUNNELS:
        raise Unreadable(f"{processes[MAX_TUNNELS].spot}: more than {MAX_TUNNELS} servers and clients of OpenVPN")
    parts = [pfsense.translate(root), opnsense.translate(root), _host(root)]
    notes = [
        Note(element.spot, "the routing of the FRR package is not translated: add its frr.conf")
        for path in (("installedpackages", "frr"), ("OPNsense", "quagga"))
        if (element := root.find(*path))
    ]
    return joined([*parts, Translated(notes=tuple(notes))])


def _host(root: Element) -> Translated:
    addresses: list[tuple[str, Interface, Spot]] = []
    notes: list[Note] = []
    for interfaces in root.all("interfaces"):
        for interface in interfaces.children:
            device = interface.value("if") or interface.tag
            for address, length in (("ipaddr", "subnet"), ("ipaddrv6", "subnetv6")):
                found = interface.find(address)
                if found is None or device.startswith("ovpn"):
                    continue
                try:
                    of = ip_interface(f"{found.text}/{interface.value(length)}".rstrip("/"))
                    addresses.append((device, of, found.spot))
                except ValueError:
                    notes.append(
                        Note(found.spot, f"the address of {device} comes by {quote(found.text)} and is not in the file")
                    )
    facts = HostFacts(root.value("system", "hostname") or None, with_addresses(addresses))
    return Translated(notes=tuple(notes), facts=facts)
