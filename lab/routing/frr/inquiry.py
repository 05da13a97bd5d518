"""The answers of FRR's daemons about one route or one session."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address, ip_address
from typing import Any

from lab.configs.disk import Spot
from lab.configs.frr import FrrConfiguration
from lab.configs.frr.configuration import configuration
from lab.configs.frr.policy import Policies
from lab.configs.frr.statements import Statement, statements
from lab.configs.routing.facts import BgpNeighbor
from lab.core.prefixes import FAMILIES, family_of
from lab.engine.node import RunningNode
from lab.routing.frr import mends
from lab.routing.frr.interior import read_ospf6_interfaces, read_ospf_interfaces, read_rip_interfaces
from lab.routing.frr.vty import Vty
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
from lab.routing.model import BfdState, Direction, SessionState
from lab.routing.peers import RouterPlan
from lab.topology import Address, Family, Prefix, community_numbers

_AFI_SAFI: Mapping[Family, str] = {"ipv4": "ipv4Unicast", "ipv6": "ipv6Unicast"}
_IP: Mapping[Family, str] = {"ipv4": "ip", "ipv6": "ipv6"}
_NO_ADVERTISE = {"noExport": False, "noAdvertise": True, "localAs": False, "noPeer": False}
"""Well-known communities (RFC 1997) in bgpd's JSON; True if internal neighbours do not get the route either."""
_BFD = {"Admin Down": BfdState.ADMIN_DOWN, "Init": BfdState.INIT, "Up": BfdState.UP}


@dataclass
class FrrInquiry(Inquiry):
    """Questions to the FRR of one node; create one per set of questions, because it remembers the configuration."""

    node: RunningNode
    plan: RouterPlan

    # --- sessions ------------------------------------------------------------------------------------------

    def sessions(self) -> Sequence[BgpSession]:
        """Read `show bgp neighbors json`, and the settings from the running configuration."""
        least = self._least_hold
        sessions = [read_session(name, facts, self._configured(name)) for name, facts in self._neighbors.items()]
        looped = {s.words[1] for s in self._running.statements if s.words[0] == "neighbor" and "allowas-in" in s.words}
        return [replace(s, least_hold=max(least, s.least_hold), allows_own_as=s.name in looped) for s in sessions]

    @property
    def _least_hold(self) -> int:
        """The value of `bgp minimum-holdtime`."""
        for s in self._running.statements:
            if s.words[:2] == ("bgp", "minimum-holdtime") and s.words[-1].isdigit():
                return int(s.words[-1])
        return 0

    @property
    def _neighbors(self) -> Mapping[str, Mapping[str, Any]]:
        if not self._has("bgpd"):
            return {}
        answer = self._json("bgpd", "show bgp neighbors json")
        return {name: facts for name, facts in answer.items() if isinstance(facts, dict)}

    def _configured(self, name: str) -> BgpNeighbor | None:
        """Return a neighbour in the running configuration, or the range that it is in."""
        found = next((n for n in self._running.neighbors if n.name == name), None)
        if found is None and (address := _address(name)) is not None:
            inside = (n for n in self._running.neighbors if n.range is not None and address in n.range)
            found = next(inside, None)
        return found

    # --- routes --------------------------------------------------------------------------------------------

    def route(self, prefix: Prefix) -> RouteState:
        """Read the paths in bgpd, and the entries of all protocols in zebra."""
        command = f"show {_IP[family_of(prefix)]} route {prefix} json"
        entries = self._json("zebra", command).get(str(prefix), [])
        candidates = [read_path(path) for path in self._paths(prefix)]
        candidates += [read_entry(entry) for entry in entries if entry.get("protocol") != "bgp"]
        state = RouteState(tuple(candidates), f"`{self._shown(prefix)}` and `{command}`")
        return self._installed(state, prefix, entries)

    def _paths(self, prefix: Prefix) -> list[Mapping[str, Any]]:
        return list(self._bgp_route(prefix).get("paths", [])) if self._has("bgpd") else []

    def _bgp_route(self, prefix: Prefix) -> Mapping[str, Any]:
        return self._json("bgpd", f"{self._shown(prefix)} json")

    def _shown(self, prefix: Prefix) -> str:
        return f"show bgp {family_of(prefix)} unicast {prefix}"

    def _installed(self, state: RouteState, prefix: Prefix, entries: Sequence[Mapping[str, Any]]) -> RouteState:
        """Return the state with what zebra made of the best path."""
        received = [c for c in state.candidates if c.peer is not None and c.valid]
        best = next((c for c in received if c.best), None)
        if best is None:
            # zebra selects no entry of OSPF or RIP that a route map rejects.
            entered = next((c for c in received if c.protocol != "bgp"), None)
            line = self._not_installed_by(prefix, entered.protocol) if entered is not None else None
            return replace(state, installed=False, obstacle="filter", line=line) if line is not None else state
        mine = next((e for e in entries if e.get("protocol") == best.protocol), None)
        used = next((e for e in entries if e.get("selected")), None)
        shown = (state.candidates, state.source)
        if mine is not None and mine.get("installed"):
            return RouteState(*shown, installed=True)
        if used is not None and used is not mine:
            seen = f"{used['protocol']} (distance {used.get('distance')})"
            return RouteState(*shown, installed=False, obstacle="other-protocol", seen=seen)
        if (line := self._not_installed_by(prefix, best.protocol)) is not None:
            return RouteState(*shown, installed=False, obstacle="filter", line=line)
        if mine is None:
            return RouteState(*shown, installed=False)
        if mine.get("failed"):
            return RouteState(*shown, installed=False, obstacle="rejected", seen="the entry is marked as failed")
        if not any(hop.get("active") for hop in mine.get("nexthops", ())):
            return RouteState(*shown, installed=False, obstacle="inactive", seen="no next hop is active")
        return RouteState(*shown, installed=False)

    def _not_installed_by(self, prefix: Prefix, protocol: str) -> Line | None:
        """Return the line of the route map between zebra and the kernel (`ip protocol bgp route-map`) that rejects."""
        running = tuple(statements(self._ask("mgmtd", "show running-config"), self._file))
        rules = Policies(running)
        start = (_IP[family_of(prefix)], "protocol")
        for s in running:
            if s.words[:2] == start and s.words[2:3] in ((protocol,), ("any",)) and s.words[3:4] == ("route-map",):
                as_neighbor = Statement(s.section, s.family, ("neighbor", protocol, *s.words[3:]), s.spot)
                found = rules.rejecting(as_neighbor, prefix)
                if found is not None:
                    return self._line(s if found is as_neighbor else found)
        return None

    def origin(self, prefix: Prefix) -> Origin:
        """Look for a path of this router's own, and for the line that makes one."""
        own = [c for c in self.route(prefix).candidates if c.peer is None and c.protocol == "bgp"]
        line = next(
            (
                s
                for s in self._running.statements
                if s.words[:1] == ("network",) and len(s.words) > 1 and s.words[1] == str(prefix)
            ),
            None,
        )
        seen = f"`{self._shown(prefix)}`: {'an invalid path' if own else 'no path'} of its own"
        return Origin(any(c.valid for c in own), self._line(line) if line is not None else None, seen)

    def sent(self, session: BgpSession, prefix: Prefix) -> Passage:
        """Read `advertisedTo` in `show bgp … PREFIX json`, and else find out why the neighbour is not in it."""
        answer, source = self._bgp_route(prefix), self._shown(prefix)
        told = {
            name.partition("%")[0]
            for each in (answer, *answer.get("paths", ()))
            for name in each.get("advertisedTo", {})
        }
        if told & {session.name, str(session.address)}:
            return Passage(True, source=source, seen=f"advertised to {session.name}")
        seen = f"not advertised to {session.name}"
        family = family_of(prefix)
        facts = self._neighbors.get(session.name, {})
        if "outboundEbgpRequiresPolicy" in facts.get("addressFamilyInfo", {}).get(_AFI_SAFI[family], {}):
            text = "Outbound updates discarded due to missing policy"
            return Passage(False, "policy-required", None, f"show bgp neighbors {session.name}", text)
        if (line := self._rejecting(session, prefix, "out")) is not None:
            return Passage(False, "filter", line, source, seen)
        paths: list[Mapping[str, Any]] = [p for p in answer.get("paths", ()) if p.get("bestpath", {}).get("overall")]
        best = paths[0] if paths else {}
        peer = best.get("peer", {})
        if session.internal and peer.get("type") == "internal":
            return Passage(False, "not-reflected", None, source, f"{seen}; its best path is internal")
        communities = best.get("community", {}).get("list", ())
        if found := next(
            (c for c in communities if c in _NO_ADVERTISE and (_NO_ADVERTISE[c] or not session.internal)), ""
        ):
            return Passage(False, "community", None, source, f"{seen}; its best path has the community {found}")
        if peer.get("peerId") in (session.name, str(session.address)):
            return Passage(False, "split-horizon", None, source, f"{seen}; its best path comes from there")
        return Passage(False, None, self._undecided(session, prefix, "out"), source, seen)

    def received(self, session: BgpSession, prefix: Prefix) -> Passage:
        """Look for a path from the neighbour, and else for what rejects it."""
        source = self._shown(prefix)
        peers = {path.get("peer", {}).get("peerId") for path in self._paths(prefix)}
        if peers & {session.name, str(session.address)}:
            return Passage(True, source=source, seen=f"a path from {session.name}")
        seen = f"no path from {session.name}"
        facts = self._neighbors.get(session.name, {})
        if "inboundEbgpRequiresPolicy" in facts.get("addressFamilyInfo", {}).get(_AFI_SAFI[family_of(prefix)], {}):
            text = "Inbound updates discarded due to missing policy"
            return Passage(False, "policy-required", None, f"show bgp neighbors {session.name}", text)
        if (line := self._rejecting(session, prefix, "in")) is not None:
            return Passage(False, "filter", line, source, self._filtered(seen, facts))
        return Passage(False, None, self._undecided(session, prefix, "in"), source, self._filtered(seen, facts))

    def _filtered(self, seen: str, facts: Mapping[str, Any]) -> str:
        count = facts.get("prefixStats", {}).get("inboundFiltered", 0)
        return f"{seen}; inboundFiltered: {count}"

    def _rejecting(self, session: BgpSession, prefix: Prefix, direction: Direction) -> Line | None:
        """Return the line of a neighbour's policy that rejects a prefix for certain."""
        for statement in self._policies(session, prefix, direction):
            found = self._rules.rejecting(statement, prefix)
            if found is not None:
                return self._line(found)
        return None

    def _undecided(self, session: BgpSession, prefix: Prefix, direction: Direction) -> Line | None:
        """Return a policy of which it is not known what it does with a prefix."""
        unknown = (s for s in self._policies(session, prefix, direction) if self._rules.passes(s, prefix) is None)
        found = next(unknown, None)
        return self._line(found) if found is not None else None

    def _policies(self, session: BgpSession, prefix: Prefix, direction: Direction) -> list[Statement]:
        neighbor = self._configured(session.name)
        if neighbor is None:
            return []
        section = next(s for s in self._running.bgp if s.vrf == neighbor.vrf and s.has(neighbor))
        return section.policies(neighbor, family_of(prefix), direction)

    # --- other protocols, and words ------------------------------------------------------------------------

    def interior(self) -> Sequence[InteriorInterface]:
        """Read `show ip ospf interface json` and its counterparts."""
        found: list[InteriorInterface] = []
        if self._has("ospfd"):
            found += read_ospf_interfaces(self._json("ospfd", "show ip ospf interface json"))
        if self._has("ospf6d"):
            found += read_ospf6_interfaces(self._json("ospf6d", "show ipv6 ospf6 interface json"))
        if self._has("ripd"):
            found += read_rip_interfaces(self._ask("ripd", "show ip rip status"), "ipv4")
        if self._has("ripngd"):
            found += read_rip_interfaces(self._ask("ripngd", "show ipv6 ripng status"), "ipv6")
        return found

    def mend(self, mend: Mend) -> str:
        """See `mends.words`."""
        return mends.words(mend, self._file, self.plan.protocol, self._asn)

    @property
    def _asn(self) -> int | None:
        return next((section.asn for section in self._running.bgp if section.asn), self.plan.asn)

    @property
    def _file(self) -> str:
        own = self.plan.own
        given = [file.given for file in own.files if file.given and file.path.suffix == ".conf"] if own else []
        named = [name for name in given if "bgpd" in name or "frr" in name]
        return (named or given or [f"frr.conf of {self.node.name}"])[0]

    def _line(self, statement: Statement) -> Line:
        """Return a line of the running configuration, at its place in the user's files if it is there."""
        spot = self._in_own_files(statement)
        if spot is not None:
            return Line(str(statement), str(spot))
        return Line(str(statement), f"frr.conf of {self.node.name}")

    def _in_own_files(self, statement: Statement) -> Spot | None:
        wanted = [word for word in statement.words if word != "seq"]
        found: Spot | None = None
        for file in self.plan.own.files if self.plan.own is not None else ():
            path = self.node.files / file.path.relative_to("/")
            if not file.given or not path.is_file():
                continue
            for each in statements(path.read_text(errors="replace"), file.given):
                words = [word for word in each.words if word != "seq"]
                # bgpd adds the sequence numbers that a file leaves out.
                if words == wanted or (words == [*wanted[:3], *wanted[4:]] and "prefix-list" in words[:2]):
                    # Outside an address family a line of a neighbour is for IPv4.
                    if (each.family or "ipv4") == (statement.family or "ipv4"):
                        return each.spot
                    found = found or each.spot
        return found

    # --- the daemons ---------------------------------------------------------------------------------------

    @cached_property
    def _running(self) -> FrrConfiguration:
        """The configuration that bgpd runs with now."""
        text = self._ask("bgpd", "show running-config") if self._has("bgpd") else ""
        return configuration(statements(text, self._file), self._file)

    @cached_property
    def _rules(self) -> Policies:
        return Policies(self._running.statements)

    def _has(self, daemon: str) -> bool:
        return (self.node.root / f"run/frr/{daemon}.vty").exists()

    def _ask(self, daemon: str, command: str) -> str:
        with Vty(self.node.root, daemon) as vty:
            return vty.ask(command)

    def _json(self, daemon: str, command: str) -> dict[str, Any]:
        with Vty(self.node.root, daemon) as vty:
            return vty.ask_json(command)


def read_session(name: str, facts: Mapping[str, Any], configured: BgpNeighbor | None) -> BgpSession:
    """Parse a neighbour in `show bgp neighbors json`; `configured` is the same one in the running configuration."""
    families = facts.get("addressFamilyInfo", {})
    address = _address(name)
    if address is None:
        address = _address(facts.get("bgpNeighborAddr", ""))
    return BgpSession(
        name=name,
        address=address,
        interface="" if _address(name) else name,
        state=SessionState.IDLE if facts["bgpState"] in ("Clearing", "Deleted") else SessionState(facts["bgpState"]),
        local_as=facts.get("localAs"),
        remote_as=facts.get("remoteAs") or None,
        families=frozenset(family for family in FAMILIES if _AFI_SAFI[family] in families),
        offered=_offered(facts),
        shutdown=bool(facts.get("adminShutDown")),
        password=configured.password if configured else None,
        ttl_security=bool(configured and configured.ttl_security),
        hold=facts.get("bgpTimerConfiguredHoldTimeMsecs", 0) // 1000 or (configured.hold if configured else 0),
        router_id=IPv4Address(facts["localRouterId"]) if "localRouterId" in facts else None,
        error=_error(facts),
        notification=_notification(facts),
        limits={
            family: families[_AFI_SAFI[family]]["prefixAllowedMax"]
            for family in FAMILIES
            if "prefixAllowedMax" in families.get(_AFI_SAFI[family], {})
        },
        limit_exceeded=bool(facts.get("prefixesConfigExceedMax")),
        bfd=_BFD.get(str(facts["peerBfdInfo"].get("status")), BfdState.DOWN) if "peerBfdInfo" in facts else None,
    )


def _offered(facts: Mapping[str, Any]) -> frozenset[Family] | None:
    """Return the families in the neighbour's OPEN, which bgpd keeps while the session is up."""
    extensions = facts.get("neighborCapabilities", {}).get("multiprotocolExtensions")
    if extensions is None:
        return None
    received = ("received", "advertisedAndReceived")
    return frozenset(f for f in FAMILIES if any(extensions.get(_AFI_SAFI[f], {}).get(key) for key in received))


def _error(facts: Mapping[str, Any]) -> str:
    reset = str(facts.get("lastResetDueTo", ""))
    notified = facts.get("lastNotificationReason", "") if "Notification" in reset else ""
    return f"{reset}: {notified}" if notified else reset


def _notification(facts: Mapping[str, Any]) -> Notification | None:
    reset, code = str(facts.get("lastResetDueTo", "")), str(facts.get("lastErrorCodeSubcode", ""))
    if "Notification" not in reset or len(code) != 4:
        return None
    sent = reset.endswith("send")
    return Notification(int(code[:2], 16), int(code[2:], 16), sent, str(facts.get("lastNotificationReason", "")))


def read_path(path: Mapping[str, Any]) -> Candidate:
    """Parse one of the paths in `show bgp … PREFIX json`."""
    hops = [hop for hop in path.get("nexthops", ()) if hop.get("used")] or path.get("nexthops", ())
    own = bool(path.get("sourced") or path.get("local") or path.get("aggregated"))
    best = path.get("bestpath", {})
    peer = path.get("peer", {}).get("peerId", "")
    segments = path.get("aspath", {}).get("segments", ())
    return Candidate(
        protocol="bgp",
        peer=None if own else _address(peer),
        next_hops=tuple(a for hop in hops if (a := _address(hop.get("ip", ""))) is not None),
        interfaces=tuple(hop["interfaceName"] for hop in hops if "interfaceName" in hop),
        valid=bool(path.get("valid")),
        best=bool(best.get("overall")),
        resolved=all(hop.get("accessible", True) for hop in hops),
        as_path=tuple(number for segment in segments for number in segment.get("list", ())),
        reason=str(best.get("selectionReason", "")),
        communities=frozenset(_communities(path)),
    )


def _communities(path: Mapping[str, Any]) -> Iterator[tuple[int, ...]]:
    """Yield the numbers of a path's communities, without well-known ones that the lab has no name for."""
    for text in (*path.get("community", {}).get("list", ()), *path.get("largeCommunity", {}).get("list", ())):
        # bgpd's JSON has `noExport` for no-export.
        with suppress(ValueError):
            yield community_numbers(re.sub(r"[A-Z]", lambda capital: f"-{capital[0].lower()}", text))


def read_entry(entry: Mapping[str, Any]) -> Candidate:
    """Parse an entry of `show ip route PREFIX json`."""
    hops = entry.get("nexthops", ())
    learnt = entry.get("protocol") not in ("static", "connected", "kernel", "local")
    addresses = tuple(a for hop in hops if (a := _address(hop.get("ip", ""))) is not None)
    return Candidate(
        protocol=str(entry.get("protocol")),
        peer=addresses[0] if learnt and addresses else None,
        next_hops=addresses,
        interfaces=tuple(hop["interfaceName"] for hop in hops if "interfaceName" in hop),
        valid=True,
        best=bool(entry.get("selected")),
        resolved=any(hop.get("active") for hop in hops),
        reason=f"distance {entry.get('distance')}",
    )


def _address(text: str) -> Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None
