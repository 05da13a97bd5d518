"""Readers of the files that set a host's addresses: ifupdown's, netplan's and systemd-networkd's, as far as simple."""

import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import yaml

from lab.configs.disk import Spot, Unreadable
from lab.configs.host.facts import HostInterface, HostRoute
from lab.configs.host.outputs import parse_route
from lab.configs.numbers import is_number
from lab.core.prefixes import Address, Interface

_MAX_LINES = 100_000
_MAX_YAML = 256 << 10
_DEVICES = ("ethernets", "bridges", "bonds", "vlans", "wifis", "tunnels", "dummy-devices", "vrfs")
_DYNAMIC = ("dhcp", "auto")
"""Methods of ifupdown by which an interface gets its addresses from elsewhere."""
_NO = ("", "no", "false", "off", "0")
Addressing = tuple[tuple[HostInterface, ...], tuple[HostRoute, ...]]


def parse_ifupdown(text: str, name: str) -> Addressing:
    """Read /etc/network/interfaces: `iface … static`, `gateway`, and `up ip route add …`."""
    interfaces: dict[str, HostInterface] = {}
    routes: list[HostRoute] = []
    at: HostInterface | None = None
    pending: str | None = None
    for number, line in enumerate(text.split("\n")[:_MAX_LINES], 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        spot = Spot(name, number)
        if words[0] == "iface" and len(words) > 3:
            device = words[1].partition(":")[0]
            at = interfaces.setdefault(device, HostInterface(device, spot))
            if words[3] in _DYNAMIC:
                at = interfaces[device] = replace(at, dynamic=True)
            pending = None
        elif words[0] in ("auto", "allow-hotplug", "source", "source-directory", "mapping", "allow-auto"):
            at = None
        elif at is not None and len(words) > 1:
            name_at = at.name
            at = interfaces[name_at]
            if words[0] == "address":
                pending = words[1]
                interfaces[name_at] = _with(at, _address_of(pending, None))
            elif words[0] == "netmask" and pending is not None and "/" not in pending:
                kept = tuple(a for a in at.addresses if str(a.ip) != pending)
                interfaces[name_at] = _with(replace(at, addresses=kept), _address_of(pending, words[1]))
            elif words[0] == "gateway" and (gateway := _ip(words[1])):
                everything = ip_network("::/0" if gateway.version == 6 else "0.0.0.0/0")
                routes.append(HostRoute(everything, spot, gateway, name_at))
            elif words[0] in ("up", "post-up") and _adds_route(words[1:]):
                rest = words[words.index("add") + 1 :]
                rest = [name_at if word in ("$IFACE", "${IFACE}") else word for word in rest]
                if (route := parse_route(rest, spot)) is not None:
                    routes.append(replace(route, interface=route.interface or name_at))
            elif words[0] in ("up", "post-up") and (address := _adds_address(words[1:], name_at)):
                interfaces[name_at] = _with(at, address)
            elif words[0] in ("mtu", "pre-up", "bridge_ports", "bridge-ports"):
                interfaces[name_at] = _detail(at, words)
    return tuple(interfaces.values()), tuple(routes)


def parse_netplan(text: str, name: str) -> Addressing:
    """Read a file of netplan: `addresses`, `routes` and `gateway4` of each device; raises `Unreadable`."""
    if len(text) > _MAX_YAML:
        raise Unreadable(f"{name}: longer than {_MAX_YAML} characters, not a file of netplan")
    try:
        document = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - it makes nothing but texts
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise Unreadable(f"{name}: {str(error).splitlines()[0]}") from error
    network = _mapping(_mapping(document).get("network"))
    interfaces: list[HostInterface] = []
    routes: list[HostRoute] = []
    for section in _DEVICES:
        for device, settings in _mapping(network.get(section)).items():
            spot = Spot(name, _line_of(text, str(device)))
            found = [_address_of(_text(a), None) for a in _list(_mapping(settings).get("addresses"))]
            mtu = _text(_mapping(settings).get("mtu"))
            dynamic = any(_text(_mapping(settings).get(key)).lower() not in _NO for key in ("dhcp4", "dhcp6"))
            device = _text(_mapping(settings).get("set-name")) or str(device)
            interfaces.append(
                HostInterface(
                    device,
                    spot,
                    tuple(a for a in found if a is not None),
                    int(mtu) if is_number(mtu) else None,
                    section.removesuffix("s") if section != "ethernets" else "",
                    dynamic=dynamic,
                )
            )
            routes += _netplan_routes(_mapping(settings), device, spot)
    return tuple(interfaces), tuple(routes)


def parse_networkd(text: str, name: str) -> Addressing:
    """Read a `.network` file of systemd: `Address`, `Gateway` and `[Route]` of an interface that it matches by name."""
    device: str | None = None
    interface: HostInterface | None = None
    routes: list[HostRoute] = []
    section, pending, start = "", dict[str, str](), 1
    for number, line in enumerate([*text.split("\n")[:_MAX_LINES], "[]"], 1):
        line = line.strip()
        if line.startswith("["):
            if section == "Route" and device is not None:
                routes += _networkd_route(pending, device, Spot(name, start))
            section, pending, start = line.strip("[]"), {}, number
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or key.startswith(("#", ";")):
            continue
        pending[key] = value
        if (section, key) == ("Match", "Name") and device is None and re.fullmatch(r"[\w.@-]+", value):
            device = value
            interface = HostInterface(device, Spot(name, number))
        elif key == "Address" and interface is not None:
            interface = _with(interface, _address_of(value, None))
        elif (section, key) == ("Network", "DHCP") and interface is not None:
            interface = replace(interface, dynamic=value.lower() not in _NO)
        elif (section, key) == ("Network", "Gateway") and device is not None:
            routes += _networkd_route({"Gateway": value}, device, Spot(name, number))
    return ((interface,) if interface else ()), tuple(routes)


def _netplan_routes(settings: dict[Any, Any], device: str, spot: Spot) -> Iterator[HostRoute]:
    for key, everything in (("gateway4", "0.0.0.0/0"), ("gateway6", "::/0")):
        if (gateway := _ip(_text(settings.get(key)))) is not None:
            yield HostRoute(ip_network(everything), spot, gateway, device)
    for entry in _list(settings.get("routes")):
        words = _mapping(entry)
        via = _text(words.get("via"))
        rest = [_text(words.get("to")), *(["via", via] if via else []), "dev", device]
        if (route := parse_route(rest, spot)) is not None:
            yield route


def _networkd_route(settings: dict[str, str], device: str, spot: Spot) -> Iterator[HostRoute]:
    via = _ip(settings.get("Gateway", ""))
    to = settings.get("Destination") or ("::/0" if via is not None and via.version == 6 else "0.0.0.0/0")
    kind = settings.get("Type", "")
    if via is None and "Destination" not in settings:
        return
    if (route := parse_route([to, "dev", device], spot)) is not None:
        yield replace(route, via=via, discards=kind in ("blackhole", "unreachable", "prohibit"))


def _detail(at: HostInterface, words: list[str]) -> HostInterface:
    if words[0] == "mtu" and is_number(words[1]):
        return replace(at, mtu=int(words[1]))
    return replace(at, kind="bridge") if words[0].startswith("bridge") else at


def _adds_route(words: list[str]) -> bool:
    plain = [word for word in words if word not in ("-4", "-6", "||", "true")]
    return plain[:1] in (["ip"], ["/sbin/ip"]) and plain[1:3] in (["route", "add"], ["r", "add"], ["ro", "add"])


def _adds_address(words: list[str], device: str) -> Interface | None:
    """Return the address of `ip address add ADDRESS dev DEVICE` for the device itself."""
    plain = [word for word in words if word not in ("-4", "-6", "||", "true")]
    if plain[:1] not in (["ip"], ["/sbin/ip"]) or not re.fullmatch(r"a(d(d(r(e(s(s)?)?)?)?)?)?", "".join(plain[1:2])):
        return None
    if plain[2:3] != ["add"] or plain[4:5] != ["dev"] or plain[5:6] not in ([device], ["$IFACE"], ["${IFACE}"]):
        return None
    return _address_of(plain[3], None)


def _with(interface: HostInterface, address: Interface | None) -> HostInterface:
    return replace(interface, addresses=(*interface.addresses, address)) if address else interface


def _address_of(text: str, mask: str | None) -> Interface | None:
    try:
        return ip_interface(text if mask is None else f"{text}/{mask}")
    except ValueError:
        return None


def _ip(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _line_of(text: str, device: str) -> int:
    match = re.search(rf"(?m)^\s+[\"']?{re.escape(device)}[\"']?\s*:", text)
    return 1 + text.count("\n", 0, match.end()) if match else 1


def _mapping(value: object) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    # An entry of `addresses` may be a mapping with options.
    if isinstance(value, dict):
        value = next(iter(value), "")
    return value if isinstance(value, str) else ""
