"""Parsers of BIRD's output, the text that birdc shows: BIRD has no JSON output."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, ip_address, ip_network

from lab.routing.bird.control import Line
from lab.routing.model import AdjacencyState, BfdState, Neighbor, Path, Rib, RipState, SessionState
from lab.topology import Address, Family, Prefix

_PROTOCOL, _DETAILS = 1002, 1006
_ROUTE, _ATTRIBUTES = 1007, 1012
_OSPF_NEIGHBOR, _RIP_NEIGHBOR, _BFD_SESSION = 1013, 1022, 1020

_BGP_STATES: Mapping[str, SessionState] = {
    "Idle": SessionState.IDLE,
    "Down": SessionState.IDLE,
    "Flush": SessionState.IDLE,  # BIRD 3, while it withdraws the routes
    "Connect": SessionState.CONNECT,
    "Active": SessionState.ACTIVE,
    "OpenSent": SessionState.OPEN_SENT,
    "OpenConfirm": SessionState.OPEN_CONFIRM,
    "Established": SessionState.ESTABLISHED,
    "Close": SessionState.IDLE,
    "Passive": SessionState.ACTIVE,
}
ROUTE_LINE = re.compile(
    r"^\s*(?:(?P<prefix>\S+/\d+)\s+)?(?P<kind>unicast|blackhole|unreachable|prohibit)\s+"
    r"\[(?P<protocol>\S+) (?P<since>[^\]]*?)(?: from (?P<peer>\S+))?\](?P<best> \*)?"
)
STATIC = "originated"
"""Begins the names of the protocols in bird.conf that originate prefixes."""
OWN_TYPE = re.compile(r"^\s*Type: (static|device|inherit|redirect|pipe)\b")
_ATTRIBUTE = re.compile(r"^\s*(?:BGP\.|bgp_)(?P<name>as_path|path|med|local_pref):(?P<value>.*)")
UNNUMBERED = "on:"
"""Begins the name of a protocol that accepts sessions on an interface; the interface follows."""


def bgp_neighbors(
    lines: Sequence[Line], now: datetime | None = None, bfd_states: Mapping[Address, BfdState] | None = None
) -> list[Neighbor]:
    """Parse the sessions in `show protocols all`; `bfd_states` has the states of their BFD sessions."""
    each = [_bgp_neighbor(head, details, now or datetime.now(UTC)) for head, details in protocols(lines, "BGP")]
    found = [replace(n, bfd=(bfd_states or {}).get(n.address) if n.address else None) for n in each]
    # BIRD creates a protocol for each accepted session, in addition to the listening one. It remains after the session
    # has ended, and the neighbour may connect again from another address.
    accepting = {neighbor.interface for neighbor in found if neighbor.address is None}
    connected = {neighbor.interface for neighbor in found if neighbor.up}
    return [
        n for n in found if n.interface not in accepting or (n.up if n.interface in connected else n.address is None)
    ]


def sessions(
    lines: Sequence[Line], now: datetime | None = None, bfd_states: Mapping[Address, BfdState] | None = None
) -> dict[str, Neighbor]:
    """Parse the BGP sessions in `show protocols all` by the names of their protocols, whatever these are.

    A protocol that accepts sessions from a range has a protocol for each session, and no neighbour itself.
    """
    found = {
        head[0]: _bgp_neighbor(head, details, now or datetime.now(UTC))
        for head, details in protocols(lines, "BGP")
        if any(line.startswith("Neighbor address:") for line in details)
    }
    return {name: replace(n, bfd=(bfd_states or {}).get(n.address) if n.address else None) for name, n in found.items()}


def protocol_names(lines: Sequence[Line], kind: str) -> list[str]:
    """Return the names of the protocols of a kind, as `Kernel`, in `show protocols all`."""
    return [head[0] for head, _ in protocols(lines, kind)]


def tables(lines: Sequence[Line], kinds: Iterable[str]) -> dict[Family, list[str]]:
    """Return the tables of the channels of protocols, from `show protocols all`, by family."""
    found: dict[Family, list[str]] = {"ipv4": [], "ipv6": []}
    for kind in kinds:
        for _, details in protocols(lines, kind):
            channel: Family | None = None
            for line in details:
                if line.startswith("Channel "):
                    channel = {"Channel ipv4": "ipv4", "Channel ipv6": "ipv6"}.get(line)  # type: ignore[assignment]
                elif channel is not None and line.startswith("Table:"):
                    found[channel].append(line.split()[1])
    return {family: list(dict.fromkeys(names)) for family, names in found.items()}


def accepted_sessions(lines: Sequence[Line], interface: str) -> list[str]:
    """Return the names of the protocols of sessions that were accepted on an interface."""
    return [
        head[0]
        for head, details in protocols(lines, "BGP")
        if head[0] != f"{UNNUMBERED}{interface}"
        and any(line.startswith("Neighbor address:") and line.endswith(f"%{interface}") for line in details)
    ]


def has_bfd(lines: Sequence[Line]) -> bool:
    """Return whether `show protocols all` lists BFD, without which `show bfd sessions` is an error."""
    return any(True for _ in protocols(lines, "BFD"))


def bfd_sessions(lines: Sequence[Line]) -> dict[Address, BfdState]:
    """Parse `show bfd sessions`: IP address, Interface, State, Since, Interval, Timeout."""
    found: dict[Address, BfdState] = {}
    for line in lines:
        words = line.text.split()
        if line.code == _BFD_SESSION and len(words) > 3 and words[0] != "IP":
            found[ip_address(words[0].partition("%")[0])] = _BFD_STATES.get(words[2], BfdState.DOWN)
    return found


_BFD_STATES = {str(state): state for state in BfdState}


def protocols(lines: Iterable[Line], kind: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the protocols of a kind in `show protocols all`: the words of the head, and the lines below it."""
    head: list[str] = []
    details: list[str] = []
    for line in (*lines, Line(_PROTOCOL, "")):
        if line.code == _PROTOCOL:
            if len(head) > 1 and head[1] == kind:
                yield head, details
            head, details = line.text.split(), []
        elif line.code == _DETAILS:
            details.append(line.text.strip())


def session_state(text: str) -> SessionState:
    """Return a BGP state by BIRD's name."""
    return _BGP_STATES[text]


def is_route(line: Line) -> bool:
    """Return whether a line belongs to a route in `show route`."""
    return line.code in (_ROUTE, _ATTRIBUTES) and not line.text.startswith("Table ")


def _bgp_neighbor(head: Sequence[str], details: Sequence[str], now: datetime) -> Neighbor:
    facts: dict[str, str] = {}
    received: dict[Family, int] = {}
    channel: Family | None = None
    for line in details:
        if line in ("Channel ipv4", "Channel ipv6"):
            channel = "ipv4" if line.endswith("4") else "ipv6"
            continue
        key, _, value = line.partition(":")
        if channel is None:
            facts.setdefault(key, value.strip())
        elif key == "State" and value.strip() == "UP":
            received[channel] = 0
        elif key == "Routes" and channel in received:
            received[channel] = int(value.split()[0])
    state = session_state(facts.get("BGP state", "Idle"))
    address, _, interface = facts.get("Neighbor address", f"%{head[0].removeprefix(UNNUMBERED)}").partition("%")
    since = datetime.fromisoformat(f"{head[4]} {head[5]}+00:00")
    return Neighbor(
        address=ip_address(address) if address else None,
        asn=int(facts["Neighbor AS"]) if facts.get("Neighbor AS", "").isdigit() else None,
        state=state,
        uptime=max(0.0, (now - since).total_seconds()) if state.up else 0.0,
        times_established=int(state.up),  # BIRD has no counter
        prefixes_received=received if state.up else {},
        last_reset="" if state.up else facts.get("Last error", ""),
        interface=interface,
    )


def routes(lines: Sequence[Line]) -> Rib:
    """Parse all paths in `show route all` of one table."""
    found: dict[Prefix, list[Path]] = {}
    prefix: Prefix | None = None
    route_line: re.Match[str] | None = None
    hops: list[Address] = []
    attributes: dict[str, tuple[int, ...]] = {}
    own = False

    def keep() -> None:
        if route_line is not None and prefix is not None:
            found.setdefault(prefix, []).append(_path(prefix, route_line, hops, attributes, own=own))

    for line in lines:
        if line.code == _ROUTE and (match := ROUTE_LINE.match(line.text)):
            keep()
            route_line, hops, attributes, own = match, [], {}, False
            prefix = ip_network(match["prefix"]) if match["prefix"] else prefix
        elif line.code == _ROUTE and line.text.strip().startswith("via "):
            hops.append(ip_address(line.text.split()[1].partition("%")[0]))
        elif OWN_TYPE.match(line.text):
            own = True
        elif match := _ATTRIBUTE.match(line.text):
            numbers = tuple(int(word) for word in match["value"].split() if word.isdigit())
            attributes[match["name"].removeprefix("as_")] = numbers
    keep()
    return {prefix: tuple(paths) for prefix, paths in found.items()}


def _path(
    prefix: Prefix,
    route_line: re.Match[str],
    hops: Sequence[Address],
    attributes: Mapping[str, tuple[int, ...]],
    *,
    own: bool,
) -> Path:
    own = own or route_line["protocol"].startswith(STATIC)
    # BIRD shows the neighbour only if it is not the next hop.
    peer = ip_address(route_line["peer"].partition("%")[0]) if route_line["peer"] else (hops[0] if hops else None)
    return Path(
        prefix=prefix,
        next_hops=tuple(hops),
        as_path=attributes.get("path", ()),
        peer=None if own else peer,
        best=bool(route_line["best"]),
        valid=route_line["kind"] in ("unicast", "blackhole"),
        med=next(iter(attributes.get("med", ())), None),
        local_pref=next(iter(attributes.get("local_pref", ())), None),
    )


def ospf_neighbors(lines: Sequence[Line]) -> list[Neighbor]:
    """Parse `show ospf neighbors`: Router ID, Pri, State, DTime, Interface, Router IP."""
    found = []
    for line in lines:
        words = line.text.split()
        if line.code != _OSPF_NEIGHBOR or len(words) != 6 or words[0] == "Router":
            continue
        state = AdjacencyState(_OSPF_STATES.get(words[2].partition("/")[0].lower(), "Down"))
        found.append(
            Neighbor(
                ip_address(words[5]), None, state, 0.0, int(state.up), {}, "", words[4], router_id=IPv4Address(words[0])
            )
        )
    return found


_OSPF_STATES = {str(state).lower(): str(state) for state in AdjacencyState}


def rip_neighbors(lines: Sequence[Line]) -> list[Neighbor]:
    """Parse `show rip neighbors`: IP address, Interface, Metric, Routes, Seen."""
    found = []
    for line in lines:
        words = line.text.split()
        if line.code != _RIP_NEIGHBOR or len(words) < 5 or words[0] == "IP":
            continue
        found.append(Neighbor(ip_address(words[0]), None, RipState.HEARD, 0.0, 1, {}, "", words[1]))
    return found
