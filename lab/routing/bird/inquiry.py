"""BIRD's answers about one route or one session, from its control socket and the files that it runs with."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address, ip_address
from pathlib import PurePosixPath

from lab.configs.bird import BirdConfiguration, read
from lab.configs.bird.filters import Route
from lab.configs.bird.protocols import BirdProtocol
from lab.configs.bird.statements import Statement
from lab.configs.disk import Disk, Unreadable
from lab.configs.routing.facts import BgpNeighbor
from lab.core.errors import EnvironmentBroken
from lab.core.prefixes import FAMILIES, family_of
from lab.engine.node import RunningNode
from lab.routing.bird import answers, mends
from lab.routing.bird.control import Control
from lab.routing.bird.control import Line as Answer
from lab.routing.bird.interior import read_ospf_interfaces, read_rip_interfaces
from lab.routing.inquiry import (
    BgpSession,
    Candidate,
    Inquiry,
    InteriorInterface,
    Line,
    Mend,
    Notification,
    Origin,
    Passage,
    RouteState,
)
from lab.routing.model import BfdState
from lab.routing.peers import RouterPlan
from lab.topology import Address, Family, Prefix

_VERSION: Mapping[Family, int] = {"ipv4": 4, "ipv6": 6}
_CODES: Mapping[str, tuple[int, int]] = {
    "bad peer as": (2, 2),
    "bad bgp identifier": (2, 3),
    "unacceptable hold time": (2, 6),
    "required capability missing": (2, 7),
    "no supported afi/safi": (2, 8),
    "hold timer expired": (4, 0),
    "maximum number of prefixes reached": (6, 1),
    "administrative shutdown": (6, 2),
    "peer de-configured": (6, 3),
    "administrative reset": (6, 4),
    "connection rejected": (6, 5),
    "other configuration change": (6, 6),
    "connection collision resolution": (6, 7),
}
"""BIRD's names of the NOTIFICATION's codes (`bgp_msg_table` in its source), in small letters."""
_SENT, _RECEIVED = "BGP Error: ", "Received: "
_LIMIT = re.compile(r"^(?:Import|Receive) limit:\s+(\d+)(.*)")
_LOG_LINES = 200
"""The last lines of the log that are read."""
_COMMUNITY = re.compile(r"\(65535, ?65281\)|\(65535, ?65282\)")
"""no-export and no-advertise (RFC 1997)."""


@dataclass(frozen=True)
class NodeDisk(Disk):
    """The files of a node, by the names that the user gave them."""

    given: Mapping[PurePosixPath, str] = field(default_factory=dict)

    def name(self, path: PurePosixPath) -> str:
        """Return a file's name for messages."""
        return self.given.get(path) or f"{path.name} of {self.owner}"


@dataclass
class BirdInquiry(Inquiry):
    """Questions to the BIRD of one node; create one per set of questions, because it remembers the configuration."""

    node: RunningNode
    plan: RouterPlan
    main: PurePosixPath
    """The configuration's path in the node."""

    # --- sessions ------------------------------------------------------------------------------------------

    def sessions(self) -> Sequence[BgpSession]:
        """Read `show protocols all`, and the settings from the configuration."""
        shown = self._ask("show protocols all")
        states = answers.bfd_sessions(self._ask("show bfd sessions")) if answers.has_bfd(shown) else {}
        neighbors = answers.sessions(shown, bfd_states=states)
        found = []
        for head, details in answers.protocols(shown, "BGP"):
            known = neighbors.get(head[0])
            if known is not None:
                bfd = known.bfd
                session = read_session(head, details, self._configured(head[0], known.interface), bfd)
                least = self._least_hold(head[0])
                section = self._section(head[0])
                looped = section is not None and section.last("allow", "local", "as") is not None
                found.append(replace(session, least_hold=least, router_id=self._router_id, allows_own_as=looped))
        return found

    def _least_hold(self, name: str) -> int:
        """Return the value of `min hold time`."""
        section = self._section(name)
        statement = section.last("min", "hold", "time") if section is not None else None
        return int(statement.words[3]) if statement and statement.words[3:] and statement.words[3].isdigit() else 3

    @cached_property
    def _router_id(self) -> IPv4Address | None:
        shown = "\n".join(line.text for line in self._ask("show status"))
        found = re.search(r"Router ID is (\S+)", shown)
        return IPv4Address(found[1]) if found else None

    def _configured(self, name: str, interface: str) -> BgpNeighbor | None:
        """Return a neighbour in the configuration; an accepted session has the range on its interface."""
        if self._configuration is None:
            return None
        known = self._configuration.neighbors
        named = next((n for n in known if n.name == name), None)
        return named or next((n for n in known if n.range is not None and n.interface in (None, interface)), None)

    # --- routes --------------------------------------------------------------------------------------------

    def route(self, prefix: Prefix) -> RouteState:
        """Read the paths in the kernel protocol's table, and what its export filter makes of the best one."""
        command = self._shown(prefix)
        candidates = read_candidates(self._ask_route(f"{command} all"))
        state = RouteState(candidates, f"`{command}`")
        best = state.best
        kernel = self._kernel(family_of(prefix))
        if best is None or best.peer is None or not kernel:
            return state
        if self._ask_route(f"{command} noexport {kernel}"):
            line = self._policy(kernel, family_of(prefix), "export")
            return RouteState(candidates, state.source, installed=False, obstacle="filter", line=line)
        return state

    def _shown(self, prefix: Prefix) -> str:
        family = family_of(prefix)
        table = next(iter(answers.tables(self._protocols, ["Kernel"])[family]), f"master{_VERSION[family]}")
        return f"show route {prefix} table {table}"

    def _kernel(self, family: Family) -> str:
        """Return the protocol that writes a family's routes into the kernel."""
        for head, details in answers.protocols(self._protocols, "Kernel"):
            if f"Channel {family}" in details:
                return head[0]
        return ""

    def origin(self, prefix: Prefix) -> Origin:
        """Look for a path of this router's own, and for the static route that makes one."""
        command = self._shown(prefix)
        own = [c for c in read_candidates(self._ask_route(f"{command} all")) if c.peer is None]
        routes = self._configuration.static_routes if self._configuration else ()
        spot = next((route.spot for route in routes if route.prefix == prefix), None)
        line = Line(f"route {prefix}", str(spot)) if spot else None
        return Origin(bool(own), line, f"`{command}`: {'a' if own else 'no'} path of its own")

    def sent(self, session: BgpSession, prefix: Prefix) -> Passage:
        """Ask BIRD which routes it exports to the protocol (`show route export`)."""
        table = self._table(session, family_of(prefix))
        command = f"show route {prefix} table {table} export {session.name}"
        if self._ask_route(command):
            return Passage(True, source=command, seen="the route")
        if self._ask_route(command.replace(" export ", " noexport ")):
            line = self._policy(session.name, family_of(prefix), "export")
            return Passage(False, "filter", line, command.replace(" export ", " noexport "), "the route")
        shown = self._ask_route(f"show route {prefix} table {table} primary all")
        best = next(iter(read_candidates(shown)), None)
        if best is None:
            return Passage(None, source=command, seen="no route")
        if best.peer is not None and best.peer == session.address:
            return Passage(False, "split-horizon", None, command, "nothing; its best path comes from there")
        if any(_COMMUNITY.search(line.text) for line in shown):
            return Passage(False, "community", None, command, "nothing; its best path is not to be exported")
        if session.internal and best.protocol in {s.name for s in self.sessions() if s.internal}:
            return Passage(False, "not-reflected", None, command, "nothing; its best path is internal")
        return Passage(False, None, None, command, "nothing")

    def received(self, session: BgpSession, prefix: Prefix) -> Passage:
        """Look for a path from the neighbour, and else for what rejects it."""
        family = family_of(prefix)
        command = f"show route {prefix} table {self._table(session, family)} protocol {session.name}"
        if self._ask_route(command):
            return Passage(True, source=command, seen="the route")
        counted = import_updates(self._details(session.name), family)
        seen = "nothing" + "".join(f"; {name}: {count}" for name, count in counted.items())
        if self._ask_route(f"{command} filtered") or self._rejects(session, prefix) is True:
            return Passage(False, "filter", self._policy(session.name, family, "import"), command, seen)
        if (logged := self._invalid_next_hop(session, prefix)) is not None:
            return Passage(False, "next-hop", None, "BIRD's log", logged)
        return Passage(False, None, self._policy(session.name, family, "import"), command, seen)

    def _invalid_next_hop(self, session: BgpSession, prefix: Prefix) -> str | None:
        """Return BIRD's complaint about the next hop of a prefix, if that is the last that its log says about it."""
        complaint = None
        for line in self._log:
            if f"{session.name}: Invalid NEXT_HOP" in line:
                complaint = line
            elif f"{session.name}: Invalid route {prefix} withdrawn" in line and complaint is not None:
                return complaint.partition("> ")[2]
        return None

    def _rejects(self, session: BgpSession, prefix: Prefix) -> bool | None:
        """Return whether the import filter rejects a prefix for certain."""
        if (
            self._configuration is None
            or (policy := self._statement(session.name, family_of(prefix), "import")) is None
        ):
            return None
        route = Route(prefix, "RTS_BGP", session.name, session.interface)
        passes = self._configuration.passes(policy, route, default=True)
        return None if passes is None else not passes

    def _table(self, session: BgpSession, family: Family) -> str:
        lines = [Answer(1002, f"{session.name} BGP"), *(Answer(1006, text) for text in self._details(session.name))]
        return next(iter(answers.tables(lines, ["BGP"])[family]), f"master{_VERSION[family]}")

    def _details(self, name: str) -> Sequence[str]:
        return next((details for head, details in answers.protocols(self._protocols, "BGP") if head[0] == name), ())

    def _policy(self, protocol: str, family: Family, direction: str) -> Line:
        """Return the `import` or `export` statement of a protocol's channel."""
        statement = self._statement(protocol, family, direction)
        if statement is None:
            return Line(f"{direction} of {protocol}", f"bird.conf of {self.node.name}")
        text = " ".join(statement.words) + (" { … }" if statement.body is not None else "")
        return Line(text, str(statement.spot))

    def _statement(self, protocol: str, family: Family, direction: str) -> Statement | None:
        if self._configuration is None:
            return None
        section = self._section(protocol)
        channel = section.channel(family) if section is not None else None
        return channel.policy(direction) if channel is not None else None

    # --- other protocols, and words ------------------------------------------------------------------------

    def interior(self) -> Sequence[InteriorInterface]:
        """Read `show ospf interface` and `show rip interfaces` of each protocol."""
        found: list[InteriorInterface] = []
        for head, details in answers.protocols(self._protocols, "OSPF"):
            family: Family = "ipv6" if "Channel ipv6" in details else "ipv4"
            found += read_ospf_interfaces(self._ask(f"show ospf interface {head[0]}"), family)
        for head, details in answers.protocols(self._protocols, "RIP"):
            family = "ipv6" if "Channel ipv6" in details else "ipv4"
            found += read_rip_interfaces(self._ask(f"show rip interfaces {head[0]}"), family)
        return found

    def mend(self, mend: Mend) -> str:
        """See `mends.words`."""
        return mends.words(mend, self._disk.name(self.main))

    # --- the process and its files -------------------------------------------------------------------------

    @cached_property
    def _protocols(self) -> Sequence[Answer]:
        return self._ask("show protocols all")

    @property
    def _log(self) -> list[str]:
        """The last lines of BIRD's log."""
        own = self.plan.own is not None
        path = self.node.files / ("var/log/bird/lab.log" if own else "var/log/bird/bird.log")
        return path.read_text(errors="replace").splitlines()[-_LOG_LINES:] if path.is_file() else []

    @cached_property
    def _disk(self) -> NodeDisk:
        own = self.plan.own.files if self.plan.own is not None else ()
        given = {file.path: file.given for file in own if file.given}
        return NodeDisk(self.node.files, self.node.name, given)

    @cached_property
    def _configuration(self) -> BirdConfiguration | None:
        """The configuration; None if it cannot be read."""
        try:
            return read(self.main, self._disk)
        except Unreadable:
            return None

    def _section(self, name: str) -> BirdProtocol | None:
        """Return a protocol's section in the configuration; that of an accepted session is the one that accepts it."""
        known = {p.name: p for p in self._sections}
        if name in known:
            return known[name]
        address = next((line for line in self._details(name) if line.startswith("Neighbor address:")), "")
        configured = self._configured(name, address.partition("%")[2])
        return known.get(configured.name) if configured is not None else None

    @property
    def _sections(self) -> Sequence[BirdProtocol]:
        return self._configuration.file.protocols if self._configuration is not None else ()

    def _ask(self, command: str) -> Sequence[Answer]:
        with Control(self.node.root) as control:
            return control.ask(command)

    def _ask_route(self, command: str) -> Sequence[Answer]:
        """Return the routes that a command shows; none if BIRD does not know the network."""
        try:
            return [line for line in self._ask(command) if answers.is_route(line)]
        except EnvironmentBroken as error:
            if "not found" in str(error).lower():
                return ()
            raise


def read_session(
    head: Sequence[str], details: Sequence[str], configured: BgpNeighbor | None, bfd: BfdState | None
) -> BgpSession:
    """Parse a BGP protocol in `show protocols all`; `configured` is the same one in the configuration."""
    facts: dict[str, str] = {}
    families: list[Family] = []
    limits: dict[Family, int] = {}
    offered: frozenset[Family] | None = None
    hit, theirs = False, False
    for line in details:
        key, _, value = line.partition(":")
        if line in ("Channel ipv4", "Channel ipv6"):
            families.append("ipv4" if line.endswith("4") else "ipv6")
        elif line.endswith(" capabilities"):
            theirs = line.startswith("Neighbor")
        elif key == "AF announced" and theirs:
            offered = frozenset(family for family in FAMILIES if family in value.split())
        elif families and (limit := _LIMIT.match(line)):
            limits[families[-1]] = int(limit[1])
            hit = hit or "HIT" in limit[2]
        elif not families:
            facts.setdefault(key, value.strip())
    address, _, interface = facts.get("Neighbor address", "").partition("%")
    error = facts.get("Last error", "")
    return BgpSession(
        name=head[0],
        address=_address(address),
        interface=interface or (configured.interface if configured else None) or "",
        state=answers.session_state(facts.get("BGP state", "Idle")),
        local_as=_number(facts.get("Local AS", "")),
        remote_as=_number(facts.get("Neighbor AS", "")),
        families=frozenset(families),
        offered=offered,
        shutdown=head[3] == "down" and not error.startswith("Automatic"),
        password=configured.password if configured else None,
        ttl_security=bool(configured and configured.ttl_security),
        hold=configured.hold if configured else 0,
        error=error,
        notification=_notification(error),
        limits=limits,
        limit_exceeded=hit or "limit exceeded" in error.lower(),
        bfd=bfd if bfd is not None else BfdState.DOWN if configured and configured.bfd else None,
    )


def _notification(error: str) -> Notification | None:
    for start, sent in ((_SENT, True), (_RECEIVED, False)):
        text = error.removeprefix(start)
        if text != error and (code := _CODES.get(text.lower())) is not None:
            return Notification(*code, sent, text)
    return None


def import_updates(details: Sequence[str], family: Family) -> dict[str, int]:
    """Parse the counters of updates from a neighbour, by the heads of their columns: `received`, `filtered`, …"""
    inside, names = False, [""]
    for line in details:
        if line.startswith("Channel "):
            inside = line == f"Channel {family}"
        elif inside and line.startswith("Route change stats:"):
            names = re.split(r"\s{2,}", line.partition(":")[2].strip())
        elif inside and line.startswith("Import updates:"):
            counts = line.partition(":")[2].split()
            return {name: int(count) for name, count in zip(names, counts, strict=False) if count.isdigit()}
    return {}


def read_candidates(lines: Sequence[Answer]) -> tuple[Candidate, ...]:
    """Parse `show route PREFIX all`."""
    found: list[list[Answer]] = []
    for line in lines:
        if answers.ROUTE_LINE.match(line.text):
            found.append([line])
        elif found:
            found[-1].append(line)
    parsed = [_candidate(block) for block in found]
    best = next((attributes for candidate, attributes in parsed if candidate.best), None)
    return tuple(
        candidate if best is None or candidate.best else _with_reason(candidate, attributes, best)
        for candidate, attributes in parsed
    )


def _candidate(block: Sequence[Answer]) -> tuple[Candidate, dict[str, int]]:
    """Parse one route, and the numbers by which BIRD compares it with others."""
    head = answers.ROUTE_LINE.match(block[0].text)
    assert head is not None
    hops: list[Address] = []
    interfaces: list[str] = []
    as_path: tuple[int, ...] = ()
    communities: set[tuple[int, ...]] = set()
    own, sender = False, None
    attributes = {"preference": int(found[1]) if (found := re.search(r"\((\d+)", block[0].text)) else 0}
    for line in block[1:]:
        text = line.text.strip()
        key, _, value = text.partition(":")
        name = key.removeprefix("BGP.").removeprefix("bgp_")
        if text.startswith("via "):
            words = text.split()
            hops.append(ip_address(words[1].partition("%")[0]))
            interfaces.append(words[3])
        elif answers.OWN_TYPE.match(line.text) or text == "source: static":
            own = True
        elif name in ("as_path", "path"):
            as_path = tuple(int(word) for word in value.split() if word.isdigit())
            attributes["AS path length"] = len(value.split())
        elif name in ("community", "large_community"):
            communities |= {tuple(map(int, numbers.split(","))) for numbers in re.findall(r"\(([\d, ]+)\)", value)}
        elif name in ("local_pref", "med") and value.strip().isdigit():
            attributes[name] = int(value)
        elif name == "next_hop" and not hops:
            hops += [a for word in value.split() if (a := _address(word)) is not None][:1]
    if head["peer"]:
        sender = _address(head["peer"].partition("%")[0])
    elif hops:
        sender = hops[0]
    own = own or head["protocol"].startswith(answers.STATIC)
    candidate = Candidate(
        protocol=head["protocol"],
        peer=None if own else sender,
        next_hops=tuple(hops),
        interfaces=tuple(interfaces),
        valid=head["kind"] in ("unicast", "blackhole"),
        best=bool(head["best"]),
        resolved=head["kind"] != "unreachable",
        as_path=as_path,
        communities=frozenset(communities),
    )
    return candidate, attributes


_HIGHER = {"preference": True, "local_pref": True, "AS path length": False, "med": False}
"""Attributes that BIRD compares, in order; True if the higher number is preferred (`bgp_rte_better` in its source)."""


def _with_reason(candidate: Candidate, attributes: Mapping[str, int], best: Mapping[str, int]) -> Candidate:
    for name, higher in _HIGHER.items():
        mine, its = attributes.get(name), best.get(name)
        if mine is not None and its is not None and mine != its:
            if (its > mine) == higher:
                return replace(candidate, reason=f"{name} {mine}, the best path has {its}")
            return candidate
    return candidate


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _address(text: str) -> Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None
