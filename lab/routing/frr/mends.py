"""Changes of frr.conf in words."""

from collections.abc import Mapping

from lab.routing.inquiry import Mend
from lab.topology import Family, RoutingProtocol

_OSPF: Mapping[Family, str] = {"ipv4": "ip ospf", "ipv6": "ipv6 ospf6"}
_RIP: Mapping[Family, str] = {"ipv4": "router rip", "ipv6": "router ripng"}
_ROUTER: Mapping[Family, str] = {"ipv4": "router ospf", "ipv6": "router ospf6"}
_TYPES = {"ptp": "point-to-point", "broadcast": "broadcast", "nbma": "non-broadcast", "ptmp": "point-to-multipoint"}


def words(mend: Mend, file: str, protocol: RoutingProtocol, asn: int | None) -> str:
    """Return the line to add or to change, and where, as a clause in the imperative."""
    name = mend.session.name if mend.session else ""
    bgp = f"`router bgp {asn}` in {file}"
    family = f"`address-family {mend.family} unicast` of {bgp}"
    match mend.action:
        case "activate":
            return f"add `neighbor {name} activate` to {family}"
        case "originate":
            return f"add `network {mend.prefix}` to {family}" if protocol == "bgp" else _originate(mend, file, protocol)
        case "interior":
            return _interior(mend, file)
        case "permit":
            return _permit(mend)
        case "policy":
            policy = f"neighbor {name} route-map NAME {mend.direction}"
            return f"add `{policy}` to {family}, or `no bgp ebgp-requires-policy` to {bgp}"
        case "password":
            line = f"`neighbor {name} password …`"
            return (
                f"add {line} to {bgp}, as at the other end"
                if mend.value
                else f"set the same {line} at both ends: in {bgp}"
            )
        case "ttl-security":
            return f"add `neighbor {name} ttl-security hops 1` to {bgp}"
        case "remote-as":
            return f"change it to `neighbor {name} remote-as {mend.value}` in {bgp}"
        case "address":
            return f"add `neighbor {mend.value} remote-as {mend.asn or 'AS'}` to {bgp}"
        case "no-shutdown":
            return f"remove `neighbor {name} shutdown` from {bgp}"
        case "limit":
            line = f"neighbor {name} maximum-prefix NUMBER"
            return f"raise `{line}` in {family}, then `clear bgp {name}`"
        case "hold":
            return f"lower `bgp minimum-holdtime` to {mend.value or '3'} in {bgp}, or raise the neighbour's hold time"
        case "next-hop":
            return f"add `neighbor {name} next-hop-self` to {family}, or a route to {mend.value}"
        case "reflect":
            return f"add `neighbor {name} route-reflector-client` to {family}"
        case "prefer":
            line = f"set local-preference {mend.value}"
            return f"set a higher LOCAL_PREF, `{line}`, in a route-map of `neighbor {name} … in`"
        case "export":
            return f"permit {mend.prefix} there"


def _permit(mend: Mend) -> str:
    line = mend.line
    if line is None:
        return f"permit {mend.prefix}"
    words = line.text.split()
    if "prefix-list" in words[:2]:
        ip, name = words[0], words[2]
        before = words[4] if words[3] == "seq" else ""
        sequence = f" seq {int(before) - 1}" if before.isdigit() and int(before) > 1 else ""
        return f"add `{ip} prefix-list {name}{sequence} permit {mend.prefix}`, or remove that line"
    if words[0] == "neighbor" and words[2:3] == ["prefix-list"]:
        ip = "ip" if mend.prefix is None or mend.prefix.version == 4 else "ipv6"
        return f"add `{ip} prefix-list {words[3]} permit {mend.prefix}`: none of its entries permits it"
    if words[0] == "neighbor":
        return f"add an entry `{' '.join(words[2:4])} permit NUMBER` that matches {mend.prefix}: none permits it"
    return f"permit {mend.prefix} before that line, or remove it"


def _originate(mend: Mend, file: str, protocol: RoutingProtocol) -> str:
    family = mend.family or "ipv4"
    if protocol == "rip":
        return f"add `route {mend.prefix}` to `{_RIP[family]}` in {file}"
    return f"redistribute {mend.prefix} in `{_ROUTER[family]}` in {file}, or run OSPF on its interface"


def _interior(mend: Mend, file: str) -> str:
    """Return the line of an interface, or of RIP's section."""
    found = mend.interface
    assert found is not None
    below = f"`interface {found.interface}` in {file}"
    if found.protocol == "rip":
        router = f"`{_RIP[found.family]}` in {file}"
        line = f"passive-interface {found.interface}"
        return (
            f"remove `{line}` from {router}"
            if mend.setting == "passive"
            else f"add `network {found.interface}` to {router}"
        )
    ospf = _OSPF[found.family]
    match mend.setting:
        case "passive":
            return f"remove `{ospf} passive` from {below}, or `passive-interface {found.interface}`"
        case "hello" | "dead":
            return f"change it to `{ospf} {mend.setting}-interval {mend.value}` below {below}"
        case "network-type":
            return f"change it to `{ospf} network {_TYPES.get(mend.value, mend.value)}` below {below}"
    verb = "change it to" if mend.setting == "area" else "add"
    return f"{verb} `{ospf} area {mend.value or '0'}` below {below}"
