"""The kernel's routing decision: no route, a route that refuses, `rp_filter`, forwarding off."""

from lab.core.prefixes import Address, Prefix
from lab.observe.counters import DROPPED_BY_RP_FILTER, counters
from lab.topology.segments import endpoints_of, static_routes
from lab.why.cause import Cause, Explanation, Observation, one
from lab.why.kernel import forwards, route_of, setting
from lab.why.lost.place import Place
from lab.why.route import no_route

NO_ROUTE = ("no-route", "no-route-back", "no-route-at-source")
"""The kinds of causes that only say that a route is missing."""
_INVALID = ("EXDEV", "EINVAL")
"""The answers of old and of new kernels about a packet that `rp_filter` drops; the latter has other reasons too."""
_REFUSING = {"EHOSTUNREACH": "unreachable", "EACCES": "prohibit", "EINVAL": "blackhole"}
"""The kernel's error, and the kind of the route that causes it."""


def not_routed(place: Place) -> Explanation:
    """Return why the kernel does not route the packet; empty if it does."""
    asked = _asked(place)
    refused = place.lookup.refused
    if refused in _INVALID and (filtered := _rp_filter(place, asked)) is not None:
        return one(filtered)
    sent_on = not place.lookup.local
    if place.arrived and sent_on and forwards(place.namespace, place.family, place.arrived) is False:
        return one(_not_forwarding(place))
    if not refused:
        return Explanation()
    if (kind := _REFUSING.get(refused)) and (route := _refusing_route(place, kind)):
        what = f"has a route of the kind {kind} for {place.words}: `{route}`"
        return one(place.cause("route-refuses", what, f"delete the route `{route}`", asked))
    if refused == "ENETUNREACH":
        return _without_route(place, asked)
    return Explanation(apart=f"{place.node} answers {refused} when it is asked for the route to {place.destination}")


def _asked(place: Place) -> Observation:
    way = f" iif {place.arrived}" if place.arrived else ""
    return place.sees(f"ip route get {place.destination} from {place.source}{way}", str(place.lookup))


def _rp_filter(place: Place, asked: Observation) -> Cause | None:
    """Return the cause if the kernel counts the packet among those that it drops by `rp_filter`."""
    before = counters(place.namespace).get(DROPPED_BY_RP_FILTER, 0)
    place.again()
    dropped = counters(place.namespace).get(DROPPED_BY_RP_FILTER, 0) - before
    if not dropped:
        return None
    every, this = (setting(place.namespace, f"ipv4/conf/{name}/rp_filter") for name in ("all", place.arrived))
    back = route_of(place.namespace, None, place.source)
    evidence = (
        asked,
        place.sees("rp_filter", f"all {every}, {place.arrived} {this}"),
        place.sees("counters", f"{DROPPED_BY_RP_FILTER} rose by {dropped}"),
        place.sees(f"ip route get {place.source}", str(back)),
    )
    value = max(int(every or 0), int(this or 0))
    other = f"its route to {place.source} is `{back}`" if not back.refused else f"it has no route to {place.source}"
    what = f"drops {place.words} by rp_filter={value} on {place.arrived}: {other}"
    strict = value == 1
    setting_to = "2 (loose) or 0" if strict and not back.refused else "0"
    mend = (
        f"route {place.source} through {place.arrived}, or set net.ipv4.conf.all.rp_filter and "
        f"net.ipv4.conf.{place.arrived}.rp_filter to {setting_to} in the sysctls of {place.node}"
    )
    return place.cause("rp-filter", what, mend, *evidence)


def _not_forwarding(place: Place) -> Cause:
    name = "net.ipv4.ip_forward" if place.family == "ipv4" else "net.ipv6.conf.all.forwarding"
    shown = f"net.ipv4.conf.{place.arrived}.forwarding" if place.family == "ipv4" else name
    what = f"does not forward {place.words}: {shown} is 0"
    mend = f"set `{name}: 1` in the `sysctls` of {place.node}"
    return place.cause("forwarding-off", what, mend, place.sees("sysctl", f"{shown} = 0"))


def _refusing_route(place: Place, kind: str) -> str:
    """Return the route of a kind that refuses packets, as `ip route` prints it; empty if there is none."""
    version = f"-{place.destination.version}"
    node = place.lab.running_nodes[place.node]
    listed = node.exec("ip", version, "route", "show", "match", str(place.destination))
    lines = [line.strip() for line in listed.stdout.splitlines()]
    return next((line for line in lines if line.startswith(f"{kind} ")), "")


def _without_route(place: Place, asked: Observation) -> Explanation:
    if (down := _interface_down(place)) is not None:
        return one(down)
    role = "back to" if "answer" in place.words else "to"
    found = no_route(place.lab, place.node, place.destination)
    what = f"has no route {role} {place.destination}"
    if not found.causes:
        mend = f"add a route to it, or announce it to {place.node}" + (f" ({found.apart})" if found.apart else "")
        kind = "no-route" if place.arrived else "no-route-back" if "answer" in place.words else "no-route-at-source"
        return one(place.cause(kind, what, mend, asked))
    told = [
        Cause(cause.kind, cause.node, f"{place.node} {what}: {cause.what}", cause.mend, (asked, *cause.evidence))
        for cause in found.causes
    ]
    return Explanation(tuple(told), found.apart)


def _interface_down(place: Place) -> Cause | None:
    """Return the cause if the route to the destination would lead through an interface that is down."""
    hops = [
        hop for prefix, hop in static_routes(place.lab.topology)[place.node] if _contains(prefix, place.destination)
    ]
    for endpoint in endpoints_of(place.lab.topology, place.node):
        networks = [address.network for address in endpoint.addresses]
        wanted = (place.destination, *hops)
        leads = any(_contains(network, address) for network in networks for address in wanted)
        interface = place.interfaces.get(endpoint.interface)
        if leads and interface is not None and not interface.up:
            return down(place, endpoint.interface)
    return None


def down(place: Place, interface: str, node: str = "") -> Cause:
    """Return the cause that an interface is down, by a fault of the lab if it is one."""
    at = node or place.node
    seen = place.sees("interfaces", f"{interface} is down", at)
    for record in place.faults():
        if record.fault.kind == "link-down" and getattr(record.fault, "link", "") == f"{at}:{interface}":
            fault = place.sees("faults in force", f"{record.number}: {record.fault}", at)
            what = f"has {interface} down: the fault {record.number} is in force ({record.fault})"
            return place.cause("fault", what, f"undo it with `lab fault undo {record.number}`", seen, fault, node=at)
    what = f"has {interface} down, through which {place.words} would go"
    return place.cause("link-down", what, f"set it up with `ip link set {interface} up`", seen, node=at)


def _contains(network: Prefix, address: Address) -> bool:
    return address.version == network.version and address in network
