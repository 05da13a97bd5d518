"""A configuration of BIRD: neighbours, interior protocols, and what its filters accept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import PurePosixPath

from lab.configs.bird.bgp import neighbor
from lab.configs.bird.filters import OSPF_SOURCES, Evaluator, Route
from lab.configs.bird.interior import interior
from lab.configs.bird.protocols import BirdFile, BirdProtocol, parse_file
from lab.configs.bird.statements import Statement
from lab.configs.bird.static import static_routes
from lab.configs.bird.tokens import Source, Token, parse_source, read_source
from lab.configs.bird.values import Values
from lab.configs.disk import Disk, Spot, Unreadable
from lab.configs.routing.acceptance import Acceptance, Lengths, accept_covering
from lab.configs.routing.facts import BgpNeighbor, InteriorInterface, StaticRoute
from lab.configs.routing.judged import EVERY, Direction, Gap, NextHops, Obstacle, RouteSource
from lab.core.prefixes import Address, Family, Prefix, family_of

_NAMES: dict[Family, str] = {"ipv4": "IPv4", "ipv6": "IPv6"}
_JUDGED = (
    "bgp",
    "ospf",
    "rip",
    "static",
    "kernel",
    "device",
    "direct",
    "bfd",
    "radv",
    "pipe",
    "rpki",
    "mrt",
    "bmp",
    "perf",
)

_NEXT_HOP = {"bgp_next_hop", "gw", "ifname"}
"""The words by which a filter sets a next hop."""


@dataclass(frozen=True)
class BirdConfiguration:
    """The configuration of one BIRD process."""

    name: str
    file: BirdFile
    paths: tuple[PurePosixPath, ...] = ()
    """The file and its includes."""
    missing: tuple[tuple[str, Spot], ...] = ()
    """Included files that are not at hand."""
    six: bool = False
    """True for BIRD 1.6's daemon of IPv6."""
    _decided: dict[tuple[object, ...], bool | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def first(self) -> Spot:
        """The line of the first protocol that has routes."""
        found = [p for p in self.file.protocols if p.kind in ("bgp", "ospf", "rip")] or list(self.file.protocols)
        return found[0].spot if found else Spot(self.name, 1)

    @cached_property
    def neighbors(self) -> tuple[BgpNeighbor, ...]:
        """All neighbours and ranges."""
        return tuple(neighbor(p, self.values) for p in self.file.by_kind.get("bgp", ()))

    @cached_property
    def interior(self) -> tuple[InteriorInterface, ...]:
        """Where OSPF and RIP run."""
        found = [*self.file.by_kind.get("ospf", ()), *self.file.by_kind.get("rip", ())]
        return tuple(i for p in found if not p.switch("disabled") for i in interior(p, self.values, six=self.six))

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Protocols that are not judged, and included files that are not at hand."""
        others = [
            Gap(f"{p.kind} runs, which `lab advise` does not judge", p.spot, bgp=False)
            for p in self.file.protocols
            if p.kind not in _JUDGED
        ]
        others += [
            Gap(f"the filter {s.words[2]} is not in the file, and BIRD does not start without it", s.spot)
            for p in self.file.protocols
            for c in p.channels
            for s in (c.policy("import"), c.policy("export"))
            if s is not None and s.words[1:2] == ("filter",) and len(s.words) == 3 and s.body is None
            if s.words[2] not in self.file.filters
        ]
        others += [Gap(u.text, u.spot) for u in self.file.unread if u.text.startswith("the template of")]
        return (*others, *(Gap(f'the included file "{name}" is not at hand', spot) for name, spot in self.missing))

    @cached_property
    def static_routes(self) -> tuple[StaticRoute, ...]:
        """The static routes."""
        found = self.file.by_kind.get("static", ())
        return tuple(route for p in found if not p.switch("disabled") for route in static_routes(p, self.values))

    @property
    def static_prefixes(self) -> frozenset[Prefix]:
        """The prefixes of static routes: their preference is higher than that of BGP, OSPF and RIP."""
        return frozenset(route.prefix for route in self.static_routes)

    def no_policy_needed(self, neighbor: BgpNeighbor) -> str:
        """Return the reason why an eBGP session needs no policy."""
        del neighbor
        if self.file.old:
            return "BIRD 1.6 accepts all routes by default"
        return "BIRD does not start with an eBGP channel without `import` and `export`"

    def missing_policies(self, neighbor: BgpNeighbor) -> list[str]:
        """Return nothing: BIRD does not start without a policy, and 1.6 needs none."""
        del neighbor
        return []

    def undefined_policies(self, neighbor: BgpNeighbor) -> list[Obstacle]:
        """Return nothing: BIRD does not start with a filter that is not defined (see `gaps`)."""
        del neighbor
        return []

    def carries_nothing(self, neighbor: BgpNeighbor, family: Family, direction: Direction) -> Obstacle | None:
        """Return the reason why a session carries no route of a family, whatever its prefix; None if it may."""
        protocol = self._named(neighbor.name)
        channel = protocol.channel(family)
        if channel is None:
            return Obstacle(f"{protocol.name} does not carry {_NAMES[family]}", protocol.spot)
        word = "import" if direction == "in" else "export"
        policy = channel.policy(word)
        if policy is None:  # BIRD imports all by default, and exports nothing
            return None if word == "import" else Obstacle(f"{protocol.name} has no `export`", protocol.spot)
        return Obstacle(f"{protocol.name} has `{word} none`", policy.spot) if policy.words[1:] == ("none",) else None

    def next_hops(self, neighbor: BgpNeighbor, family: Family, direction: Direction) -> NextHops:
        """Return what may give routes another next hop than an address of the session; filters are not evaluated."""
        protocol = self._named(neighbor.name)
        channel = protocol.channel(family)
        policy = channel.policy("import" if direction == "in" else "export") if channel is not None else None
        doubts: list[Obstacle] = []
        if channel is not None and policy is not None and self._sets_next_hop(policy):
            doubts.append(Obstacle("its filter may set the next hop", policy.spot))
        elsewhere = len(self.file.by_kind.get("bgp", ())) > 1
        if channel is not None and direction == "out" and elsewhere:
            hop = channel.last("next", "hop")
            words = hop.words[2:] if hop is not None else ()
            keeps = words[:1] == ("keep",) or (neighbor.external is not True and words[:1] != ("self",))
            if keeps:
                why = f"{protocol.name} keeps the next hops of other neighbours' routes"
                doubts.append(Obstacle(why, hop.spot if hop is not None else channel.spot))
        return NextHops((), doubts[0] if doubts else None)

    def _sets_next_hop(self, policy: Statement) -> bool:
        """Return True if a filter, or a function of the file, has a word that sets the next hop."""
        if policy.words[1:2] in (("all",), ("none",)):
            return False
        bodies: list[Sequence[Token]] = [policy.head, policy.body or (), self.file.filters.get(policy.words[-1], ())]
        words = {t.text for body in bodies for t in body}
        if words & self.file.functions.keys():
            words |= {t.text for _, body in self.file.functions.values() for t in body}
        return bool(_NEXT_HOP & words)

    @property
    def other_bfd(self) -> tuple[Spot, ...]:
        """The lines by which other protocols than BGP have BFD."""
        others = [p for p in self.file.protocols if p.kind not in ("bgp", "bfd")]
        return tuple(
            s.spot
            for p in others
            for s in p.statements
            if any(t.text == "bfd" and t.kind == "name" for t in (*s.head, *(s.body or ())))
        )

    def accepts(self, neighbor: BgpNeighbor, address: Address, lengths: Lengths = EVERY) -> Acceptance:
        """Check if a route that covers `address` passes the import filter, and the export filter to the kernel."""
        protocol = self._named(neighbor.name)
        return self._covering(protocol, "RTS_BGP", address, "", lengths)

    def announces(self, neighbor: BgpNeighbor, prefix: Prefix, source: RouteSource) -> bool | None:
        """Return whether a prefix of the RIB passes the export filter to a neighbour; None if unknown."""
        protocol = self._named(neighbor.name)
        channel = protocol.channel(family_of(prefix))
        if channel is None or neighbor.disabled:
            return False
        return self.passes(channel.policy("export"), self._route(prefix, source), default=False)

    def _route(self, prefix: Prefix, source: RouteSource) -> Route:
        """Return a route of the RIB, with the name of its protocol if the file has only one such protocol."""
        if source == "own":
            static = next((r for r in self.static_routes if r.prefix == prefix), None)
            return Route(prefix, "RTS_STATIC", static.protocol if static else "", (static and static.interface) or "")
        kind, name = ("direct", "RTS_DEVICE") if source == "connected" else ("bgp", "RTS_BGP")
        running = self.file.by_kind.get(kind, [])
        return Route(prefix, name, running[0].name if len(running) == 1 else "")

    def installs(self, found: InteriorInterface, address: Address, device: str, lengths: Lengths = EVERY) -> Acceptance:
        """Check if a route of OSPF or RIP, through a device, that covers `address` reaches the kernel."""
        protocol = self._named(found.instance)
        sources = ("RTS_RIP",) if protocol.kind == "rip" else OSPF_SOURCES
        answers = [self._covering(protocol, source, address, device, lengths) for source in sources]
        # An acceptance of one source is enough.
        by_rank = sorted(answers, key=lambda answer: (answer.accepted is None, not answer.unknown))
        return by_rank[0]

    def passes(self, statement: Statement | None, route: Route, *, default: bool) -> bool | None:
        """Return whether a route passes an `import` or `export` statement; None if unknown."""
        if statement is None:
            return default
        key = (id(statement), route.prefix, route.source, route.interface, route.protocol if self._by_protocol else "")
        if key not in self._decided:
            self._decided[key] = self._passes(statement, route)
        return self._decided[key]

    @cached_property
    def values(self) -> Values:
        """Reads values with this file's constants."""
        return Values(self.file.constants)

    def _covering(
        self, protocol: BirdProtocol, source: str, address: Address, device: str, lengths: Lengths
    ) -> Acceptance:
        family = family_of(address)
        channel = protocol.channel(family)
        if channel is None:
            return Acceptance(None, "", (protocol.spot,), f"{protocol.name} does not carry {_NAMES[family]}")
        kernels = [(k, c) for k in self.file.by_kind.get("kernel", ()) if (c := k.channel(family)) is not None]
        kernels = [(k, c) for k, c in kernels if not k.switch("disabled")]
        imports = channel.policy("import")
        spot = imports.spot if imports else protocol.spot
        if not kernels:
            why = f"no kernel protocol exports {_NAMES[family]} routes to the kernel"
            return Acceptance(None, self.missing[0][0] if self.missing else "", (spot,), why)
        same = [(k, c) for k, c in kernels if c.table == channel.table and k.last("kernel", "table") is None]
        if not same:
            return Acceptance(None, "the routes of this protocol are in another table than the kernel's", (spot,), "")
        exports = same[0][1].policy("export")
        passes = [
            partial(self._asked, imports, source, protocol.name, device, True),
            partial(self._asked, exports, source, protocol.name, device, False),
        ]
        spots = (spot, exports.spot if exports else same[0][0].spot)
        found = accept_covering(address, lengths, passes, spots)
        if found.accepted is not None:
            return Acceptance(found.accepted, "", spots, f"{found.accepted} passes the filters")
        return found

    def _asked(
        self, statement: Statement | None, source: str, protocol: str, device: str, default: bool, prefix: Prefix
    ) -> bool | None:
        return self.passes(statement, Route(prefix, source, protocol, device), default=default)

    def _passes(self, statement: Statement, route: Route) -> bool | None:
        match statement.words[1:]:
            case ("all",):
                return True
            case ("none",):
                return False
            case ("filter",) if statement.body is not None:
                return self._evaluator.run(statement.body, route)
            case ("filter", name):
                return self._evaluator.named(name, route)
            case ("where", *_) if statement.body is None:
                return self._evaluator.condition(statement.head[2:], route)
        return None

    def _named(self, name: str) -> BirdProtocol:
        return self._protocols[name]

    @cached_property
    def _protocols(self) -> dict[str, BirdProtocol]:
        return {p.name: p for p in self.file.protocols}

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self.file.constants, self.file.filters, self.file.functions)

    @cached_property
    def _by_protocol(self) -> bool:
        """True if a filter decides by the name of a protocol."""
        bodies: list[Sequence[Token]] = [
            *self.file.filters.values(),
            *(body for _, body in self.file.functions.values()),
        ]
        bodies += [
            t for p in self.file.protocols for c in p.channels for s in c.statements for t in (s.head, s.body or ())
        ]
        return any(token.kind == "name" and token.text == "proto" for body in bodies for token in body)


def read(path: PurePosixPath, disk: Disk | None = None) -> BirdConfiguration:
    """Read a bird.conf and its includes; raises `Unreadable`."""
    disk = disk or Disk()
    return _configuration(read_source(path, disk), disk.name(path))


def parse(text: str, name: str) -> BirdConfiguration:
    """Parse the text of a file; its includes count as not at hand."""
    path = PurePosixPath("/", "bird.conf")
    return _configuration(parse_source(text, path, _OneText(given=name)), name)


@dataclass(frozen=True)
class _OneText(Disk):
    """No file besides the text that is parsed."""

    given: str = ""

    def text(self, path: PurePosixPath, limit: int = 0) -> str:
        raise Unreadable(f"{path}: not at hand")

    def files(self, path: PurePosixPath) -> list[PurePosixPath]:
        raise Unreadable(f"{path}: not at hand")

    def name(self, path: PurePosixPath) -> str:
        return self.given


def _configuration(source: Source, name: str) -> BirdConfiguration:
    six = _is_six(source, name)
    return BirdConfiguration(
        name, parse_file(source, six=six), tuple(source.paths), tuple((m.name, m.spot) for m in source.missing), six
    )


def _is_six(source: Source, name: str) -> bool:
    """Return True for a file of BIRD 1.6's daemon of IPv6: it has IPv6 addresses, and IPv4 only as router ID."""
    addresses = [
        token.text
        for at, token in enumerate(source.tokens)
        if token.kind == "address" and not (at > 1 and source.tokens[at - 1].text == "id")
    ]
    six = sum(":" in address for address in addresses)
    return six > len(addresses) - six or (not addresses and PurePosixPath(name).name.startswith("bird6"))
