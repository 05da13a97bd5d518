"""Why an adjacency of OSPF, or an exchange of RIP, is down: settings that differ between its ends."""

from dataclasses import dataclass

from lab.engine.devices import devices
from lab.routing import AdjacencyState, Neighbor
from lab.routing.inquiry import InteriorInterface, Mend, Setting
from lab.routing.own_peers import adjacent_nodes
from lab.runtime.lab import Lab
from lab.topology import Family
from lab.why.cause import Cause, Explanation, Observation, one
from lab.why.routers import Asked


@dataclass(frozen=True)
class End:
    """One end of an adjacency."""

    router: Asked
    device: str
    """The interface that leads to the other end."""
    running: InteriorInterface | None
    """The protocol on it; None if it does not run there."""

    @property
    def node(self) -> str:
        """The node's name."""
        return self.router.name

    def saw(self, seen: str) -> Observation:
        """Return an observation of the protocol's interfaces."""
        return self.router.saw(f"interfaces of {self.router.daemon.name}", f"{self.device}: {seen}")

    def mend(self, setting: Setting, value: str, like: InteriorInterface) -> str:
        """Put a change of this end into the daemon's words."""
        there = self.running or InteriorInterface(like.protocol, self.device, like.family)
        return self.router.inquiry.mend(Mend("interior", interface=there, setting=setting, value=value))

    @property
    def mtu(self) -> int | None:
        """The MTU of the interface."""
        found = self.router.router.running.namespace.run(devices).get(self.device)
        return found.mtu if found else None


def adjacency_down(lab: Lab, near: Asked, far: Asked | None, other: str) -> Explanation:
    """Return why two routers do not exchange routes by OSPF or RIP; no finding if they do."""
    down = [n for node, n in near.router.sessions() if node == other and not n.up]
    if not down or far is None:
        return Explanation() if far is not None else Explanation(apart=f"how {other} is configured, which is external")
    for neighbor in down:
        if (cause := _differ(lab, near, far, family_of_neighbor(neighbor), neighbor)) is not None:
            return one(cause)
    text = ", ".join(f"{n.state} on {n.interface}" for n in down)
    return Explanation(apart=f"whether multicast packets pass between {near.name} and {other}: its neighbour is {text}")


def family_of_neighbor(neighbor: Neighbor) -> Family:
    """Return the family of an adjacency: OSPFv3 and RIPng have link-local neighbours, or none with an address."""
    return "ipv4" if neighbor.address is not None and neighbor.address.version == 4 else "ipv6"


def network_types_differ(lab: Lab, near: Asked, far: Asked, family: Family) -> Cause | None:
    """Return the cause if OSPF's network types differ: the adjacency is Full then, and no route is calculated."""
    for here, there in _ends(lab, near, far, family):
        one_end, other = here.running, there.running
        if one_end and other and one_end.network_type != other.network_type:
            ours, theirs = one_end.network_type, other.network_type
            what = f"{here.node} runs OSPF on {here.device} as {ours}, and {there.node} as {theirs}"
            seen = (here.saw(ours), there.saw(theirs))
            mend = here.mend("network-type", other.network_type, other)
            return Cause("ospf-network-type", here.node, what, mend, seen)
    return None


def _ends(lab: Lab, near: Asked, far: Asked, family: Family) -> list[tuple[End, End]]:
    """Return the two ends of each link or tunnel between two routers."""
    here = [a.interface for a in adjacent_nodes(lab.topology, near.name) if a.node == far.name]
    there = [a.interface for a in adjacent_nodes(lab.topology, far.name) if a.node == near.name]
    return [
        (_end(near, device, family), _end(far, remote, family)) for device, remote in zip(here, there, strict=False)
    ]


def _end(router: Asked, device: str, family: Family) -> End:
    found = (i for i in router.inquiry.interior() if i.interface == device and i.family == family)
    return End(router, device, next(found, None))


def _differ(lab: Lab, near: Asked, far: Asked, family: Family, neighbor: Neighbor) -> Cause | None:
    """Return the first setting in which the ends differ, on the interface of a neighbour."""
    for here, there in _ends(lab, near, far, family):
        if neighbor.interface and here.device != neighbor.interface:
            continue
        for one_end, other in ((here, there), (there, here)):
            if (cause := _silent(one_end, other)) is not None:
                return cause
        if here.running is not None and there.running is not None:
            cause = _setting(here, there, here.running, there.running) or _mtu(here, there, neighbor)
            return cause or network_types_differ(lab, near, far, family)
    return None


def _silent(here: End, there: End) -> Cause | None:
    """Return the cause if the protocol does not run at an end, or runs passively."""
    like = there.running
    if like is not None and here.running is None:
        protocol = like.protocol.upper()
        what = f"{here.node} does not run {protocol} for {like.family} on {here.device}, and {there.node} does"
        mend = here.mend("enabled", like.area, like)
        return Cause(f"{like.protocol}-not-enabled", here.node, what, mend, (here.saw("not there"), there.saw("runs")))
    if here.running is not None and here.running.passive:
        protocol = here.running.protocol.upper()
        what = f"{here.node} is passive on {here.device}: it sends no {protocol} packets to {there.node}"
        mend = here.mend("passive", "", here.running)
        return Cause(f"{here.running.protocol}-passive", here.node, what, mend, (here.saw("passive"),))
    return None


def _setting(here: End, there: End, one_end: InteriorInterface, other: InteriorInterface) -> Cause | None:
    settings: tuple[tuple[str, Setting, object, object], ...] = (
        ("ospf-area", "area", one_end.area, other.area),
        ("ospf-timers", "hello", one_end.hello, other.hello),
        ("ospf-timers", "dead", one_end.dead, other.dead),
    )
    for kind, setting, ours, theirs in settings:
        if ours != theirs and None not in (ours, theirs):
            word = setting if setting == "area" else f"{setting} interval"
            what = f"{here.node} has the OSPF {word} {ours} on {here.device}, and {there.node} has {theirs}"
            mend = here.mend(setting, str(theirs), other)
            return Cause(kind, here.node, what, mend, (here.saw(f"{word} {ours}"), there.saw(f"{word} {theirs}")))
    return None


def _mtu(here: End, there: End, neighbor: Neighbor) -> Cause | None:
    """Return the cause if the database exchange is stuck and the MTUs differ (RFC 2328, section 10.6)."""
    if neighbor.state not in (AdjacencyState.EX_START, AdjacencyState.EXCHANGE) or here.mtu == there.mtu:
        return None
    what = f"{here.node} has the MTU {here.mtu} on {here.device}, {there.node} has {there.mtu}, and OSPF refuses that"
    seen = (here.saw(f"MTU {here.mtu}"), there.saw(f"MTU {there.mtu}"), here.saw(f"neighbour in {neighbor.state}"))
    return Cause("ospf-mtu", here.node, what, "give both ends the same MTU, or `ip ospf mtu-ignore`", seen)
