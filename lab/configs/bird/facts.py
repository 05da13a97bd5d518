"""Facts about BIRD, from its configuration."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from lab.configs.bird.configuration import BirdConfiguration
from lab.configs.bird.filters import OSPF_SOURCES, Route
from lab.configs.bird.interior import interior_name, stub_networks
from lab.configs.bird.protocols import BirdProtocol, Channel
from lab.configs.bird.statements import Statement
from lab.configs.routing.facts import Originated, Redistribution, RouterFacts, StaticRoute
from lab.core.prefixes import family_of

_MAX_ASKED = 200_000
"""The number of routes that export filters are asked about; more are uncertain."""
_SOURCES = {
    "direct": ("connected", ("RTS_DEVICE",)),
    "kernel": ("kernel", ("RTS_INHERIT",)),
    "bgp": ("bgp", ("RTS_BGP",)),
    "ospf": ("ospf", OSPF_SOURCES),
    "rip": ("rip", ("RTS_RIP",)),
}
"""The protocols whose routes others announce, each with its name in FRR's `redistribute`, and its sources."""
_ANNOUNCING = ("bgp", "ospf", "rip")


def facts(configuration: BirdConfiguration) -> RouterFacts:
    """Return the facts of a BIRD process."""
    file = configuration.file
    asns = [n.local_as for n in configuration.neighbors if n.local_as is not None]
    hostname = next((s for s in file.options if s.starts("hostname") and len(s.head) > 1), None)
    sockets = [s.words[1] for s in file.options if s.starts("cli") and len(s.words) > 1]
    tables: dict[str, None] = {}
    for protocol in file.protocols:
        vrf = protocol.last("vrf")
        if vrf is not None and len(vrf.words) > 1 and vrf.words[1] != "default":
            tables[vrf.words[1]] = None
    exports = _Exports(configuration)
    return RouterFacts(
        daemon="bird1" if file.old else "bird2",
        files=configuration.paths,
        protocols=frozenset(_protocols(configuration)),
        asn=max(dict.fromkeys(asns), key=asns.count, default=None),
        router_id=_router_id(configuration),
        hostname=hostname.words[1] if hostname else None,
        neighbors=configuration.neighbors,
        originated=tuple(exports.originated()),
        redistributions=tuple(exports.redistributions()),
        interior=configuration.interior,
        static_routes=configuration.static_routes,
        vrfs=tuple(tables),
        control_socket=sockets[0] if sockets else None,
        unread=file.unread,
    )


def _protocols(configuration: BirdConfiguration) -> Iterator[str]:
    for protocol in configuration.file.protocols:
        if protocol.switch("disabled"):
            continue
        if protocol.kind in ("ospf", "rip"):
            yield interior_name(protocol, six=configuration.six)
        elif protocol.kind not in ("device", "kernel", "direct"):
            yield protocol.kind


def _router_id(configuration: BirdConfiguration) -> IPv4Address | None:
    for s in configuration.file.options:
        if s.starts("router", "id") and len(s.head) > 2:
            address = configuration.values.address(s.head[2])
            number = configuration.values.number(s.head[2])
            if isinstance(address, IPv4Address):
                return address
            if number is not None and number < 1 << 32:
                return IPv4Address(number)
    return None


class _Exports:
    """Asks the export filters which routes a protocol announces."""

    def __init__(self, configuration: BirdConfiguration) -> None:
        self._configuration = configuration
        self._asked = 0
        self._channels: dict[tuple[str, int], tuple[BirdProtocol, Channel, Statement]] = {}
        for protocol in configuration.file.protocols:
            for channel in protocol.channels if protocol.kind in _ANNOUNCING else ():
                policy = channel.policy("export")
                if policy is not None and not protocol.switch("disabled"):
                    # Neighbours of one template have the same filter.
                    self._channels.setdefault((protocol.kind, id(policy)), (protocol, channel, policy))

    def originated(self) -> Iterator[Originated]:
        """Generate the static routes that a protocol announces, and OSPF's stub networks."""
        file = self._configuration.file
        for kind in _ANNOUNCING:
            for route in self._configuration.static_routes:
                answers = {self._static(route, *found) for (of, _), found in self._channels.items() if of == kind}
                if answers & {True, None}:
                    yield Originated(route.prefix, kind, route.spot, certain=True in answers)
        for protocol in file.by_kind.get("ospf", ()):
            yield from stub_networks(protocol, self._configuration.values)

    def redistributions(self) -> Iterator[Redistribution]:
        """Generate the other sources of routes that a protocol announces."""
        for (kind, _), (_, channel, policy) in self._channels.items():
            for other, (source, names) in _SOURCES.items():
                running = self._configuration.file.by_kind.get(other, ())
                if other == kind or not any(self._gives(p, channel) for p in running):
                    continue
                only = running[0].name if len(running) == 1 else ""
                routes = [Route(None, name, only) for name in names]
                answers = {self._configuration.passes(policy, route, default=False) for route in routes}
                if answers != {False}:
                    yield Redistribution(kind, source, channel.family, policy.spot, certain=answers == {True})

    def _static(self, route: StaticRoute, protocol: BirdProtocol, channel: Channel, policy: Statement) -> bool | None:
        del protocol
        if family_of(route.prefix) != channel.family:
            return False
        self._asked += 1
        if self._asked > _MAX_ASKED:
            return None
        asked = Route(route.prefix, "RTS_STATIC", route.protocol, route.interface or "")
        return self._configuration.passes(policy, asked, default=False)

    @staticmethod
    def _gives(protocol: BirdProtocol, channel: Channel) -> bool:
        if protocol.switch("disabled") or (protocol.kind == "kernel" and not protocol.switch("learn")):
            return False
        return protocol.kind == "direct" or protocol.channel(channel.family) is not None
