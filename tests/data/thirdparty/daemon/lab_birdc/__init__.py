"""BIRD 2 with a configuration of its own, driven by `birdc`: BGP over numbered sessions."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import PurePosixPath

from lab.core.errors import EnvironmentBroken, NotSupported
from lab.core.files import RenderedFile, templates
from lab.engine.node import RunningNode
from lab.routing import Attributes, Direction, Neighbor, Path, Peer, Rib, RouterPlan, RoutingDaemon, SessionState
from lab.routing.inquiry import (
    BgpSession,
    Candidate,
    Inquiry,
    InteriorInterface,
    Mend,
    Origin,
    Passage,
    RouteState,
)
from lab.topology import Address, Family, Objection, Prefix, RouterIntent

_SOCKET = "/run/birdc.ctl"
_PID = "/run/birdc.pid"
_START = f"exec bird -c /etc/birdc/birdc.conf -s {_SOCKET} -P {_PID} >>/var/log/birdc/start.log 2>&1"
_STOP = f"""
[ -e {_PID} ] || exit 0
pid=$(cat {_PID})
kill -s "$1" "$pid" 2>/dev/null
while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
rm -f {_PID} {_SOCKET}
"""
_FAMILIES: Mapping[Family, int] = {"ipv4": 4, "ipv6": 6}
_FACT = re.compile(r"^\s+(BGP state|Neighbor address|Neighbor AS|Last error):\s+(.*)$", re.MULTILINE)
_ROUTE = re.compile(
    r"^(?P<prefix>\S+/\d+)?\s+(?P<kind>unicast|blackhole) \[(?P<protocol>\S+) [^\]]*?(?: from (?P<peer>\S+))?\]"
    r"(?P<best> \*)?"
)


class Birdc(RoutingDaemon):
    """The daemon `birdc`."""

    name = "birdc"
    summary = "BIRD 2, driven by birdc: BGP over numbered sessions, without policies"
    capabilities = ("NET_BIND_SERVICE", "DAC_OVERRIDE")
    configuration = PurePosixPath("/etc/birdc")
    logs = PurePosixPath("/var/log/birdc")
    owner = (0, 0)
    package = "bird2"
    programs = ("bird",)

    def route_protocol(self, family: Family) -> int:
        """Return RTPROT_BIRD."""
        return 12

    def check(self, intent: RouterIntent) -> Sequence[Objection]:
        """Object to all that the template has no lines for."""
        unsupported = {
            "protocol": intent.protocol != "bgp",
            "sessions": intent.sessions == "unnumbered",
            "multipath": intent.multipath,
            "accept": intent.accept is not None,
            "bfd": intent.bfd is not None,
        }
        what = "birdc does not support it"
        return [Objection((key,), what, "use frr or bird") for key, used in unsupported.items() if used]

    def render(self, plan: RouterPlan) -> Sequence[RenderedFile]:
        """Render birdc.conf, and a file per family with the prefixes that the router originates."""
        text = templates(__name__).get_template("birdc.conf.j2").render(router=plan)
        return [RenderedFile(self.configuration / "birdc.conf", text), *self._own(plan.networks)]

    def host_steps(self, intent: RouterIntent) -> Sequence[str]:
        """Return the command that starts the program."""
        return [f"`{_START}`"]

    def start(self, node: RunningNode, plan: RouterPlan) -> None:
        """Start the program, which goes into the background once it listens."""
        self._write(node, plan.networks)
        if node.exec("sh", "-c", _START).failed:
            raise EnvironmentBroken(f"{node.name}: birdc did not start: {self.start_log(node)}")

    def stop(self, node: RunningNode, signal: str = "KILL") -> None:
        """End the program with a signal."""
        node.exec("sh", "-c", _STOP, "stop", signal).raise_on_error()

    def processes(self, node: RunningNode) -> Sequence[int]:
        """Return the one process."""
        result = node.exec("cat", _PID)
        return [] if result.failed else [int(result.stdout)]

    def is_running(self, node: RunningNode) -> bool:
        """Return whether birdc gets an answer."""
        return not node.exec("birdc", "-s", _SOCKET, "show", "status").failed

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """Return the sessions in `show protocols all`."""
        return list(read_sessions(self._ask(node, "show", "protocols", "all")))

    def rib(self, node: RunningNode, family: Family) -> Rib:
        """Return the routes in `show route all`."""
        return read_routes(self._ask(node, "show", "route", "table", f"master{_FAMILIES[family]}", "all"))

    def reset(self, node: RunningNode, plan: RouterPlan, peers: Sequence[Peer], *, soft: bool) -> None:
        """`reload` or `restart` the protocols of some peers."""
        for peer in peers:
            self._ask(node, "reload" if soft else "restart", f"session{plan.peers.index(peer) + 1}")

    def set_attributes(
        self,
        node: RunningNode,
        plan: RouterPlan,
        peers: Sequence[Peer],
        prefixes: Sequence[Prefix],
        attributes: Attributes | None,
        direction: Direction,
    ) -> None:
        """Refuse: the configuration has no policies."""
        raise NotSupported("attributes by prefix", f"{node.name} runs {self.name}, which has no policies")

    def announce(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Add prefixes to the files, and read them again."""
        self._originate(node, self._known(node) | set(prefixes))

    def withdraw(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Remove prefixes from the files, and read them again."""
        self._originate(node, self._known(node) - set(prefixes))

    def inquiry(self, node: RunningNode, plan: RouterPlan) -> "BirdcInquiry":
        """Answer from the same tables."""
        return BirdcInquiry(self, node, plan)

    def diagnosis(self, node: RunningNode) -> Mapping[str, str]:
        """Return protocols and routes."""
        shown = {"birdc-protocols.txt": ("show", "protocols", "all"), "birdc-routes.txt": ("show", "route", "all")}
        return {file: node.exec("birdc", "-s", _SOCKET, *command).stdout for file, command in shown.items()}

    def _ask(self, node: RunningNode, *command: str) -> list[str]:
        result = node.exec("birdc", "-s", _SOCKET, *command)
        if result.failed:
            raise EnvironmentBroken(f"{node.name}: birdc failed to `{' '.join(command)}`: {result.stdout.strip()}")
        return result.stdout.splitlines()

    def _known(self, node: RunningNode) -> set[Prefix]:
        return set(self.originated(node, "ipv4") | self.originated(node, "ipv6"))

    def _originate(self, node: RunningNode, prefixes: Iterable[Prefix]) -> None:
        self._write(node, prefixes)
        with node.event_times.timing():
            self._ask(node, "configure")

    def _write(self, node: RunningNode, prefixes: Iterable[Prefix]) -> None:
        for file in self._own(prefixes):
            file.write_below(node.files)

    def _own(self, prefixes: Iterable[Prefix]) -> list[RenderedFile]:
        lines = {prefix: f"route {prefix} blackhole;\n" for prefix in sorted(prefixes, key=str)}
        return [
            RenderedFile(
                self.configuration / f"{family}.conf",
                "".join(line for prefix, line in lines.items() if prefix.version == version),
            )
            for family, version in _FAMILIES.items()
        ]


@dataclass
class BirdcInquiry(Inquiry):
    """Sessions and routes as `birdc` shows them, without the effect of filters."""

    daemon: Birdc
    node: RunningNode
    plan: RouterPlan

    def sessions(self) -> Sequence[BgpSession]:
        """Return the sessions, with the settings of the plan that they are rendered from."""
        peers = {peer.address: peer for peer in self.plan.peers}
        return [
            BgpSession(
                name=str(neighbor.address),
                address=neighbor.address,
                interface=neighbor.interface,
                state=SessionState(neighbor.state),
                local_as=self.plan.asn,
                remote_as=neighbor.asn,
                families=frozenset(peers[neighbor.address].families if neighbor.address in peers else ()),
                offered=None,
                hold=self.plan.timers.hold,
                error=neighbor.last_reset,
            )
            for neighbor in self.daemon.neighbors(self.node)
        ]

    def route(self, prefix: Prefix) -> RouteState:
        """Return the paths in the table."""
        paths = self.daemon.rib(self.node, "ipv4" if prefix.version == 4 else "ipv6").get(prefix, ())
        found = [Candidate("bgp", p.peer, p.next_hops, (), p.valid, p.best, as_path=p.as_path) for p in paths]
        return RouteState(tuple(found), f"show route {prefix} all")

    def origin(self, prefix: Prefix) -> Origin:
        """Return whether a path is its own."""
        return Origin(any(c.peer is None for c in self.route(prefix).candidates))

    def sent(self, session: BgpSession, prefix: Prefix) -> Passage:
        """Not told."""
        return Passage(None)

    def received(self, session: BgpSession, prefix: Prefix) -> Passage:
        """Return whether a path is from the neighbour."""
        return Passage(any(c.peer == session.address for c in self.route(prefix).candidates))

    def interior(self) -> Sequence[InteriorInterface]:
        """Return nothing: it speaks BGP only."""
        return []

    def mend(self, mend: Mend) -> str:
        """Name the file."""
        return f"change {mend.action} in birdc.conf of {self.node.name}"


def read_sessions(lines: Iterable[str]) -> Iterator[Neighbor]:
    """Parse `birdc show protocols all`."""
    for block in re.split(r"\n(?=session)", "\n".join(lines))[1:]:
        facts = dict(
            re.findall(r"^\s+(BGP state|Neighbor address|Neighbor AS|Last error):\s+(.*)$", block, re.MULTILINE)
        )
        since = re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", block)
        state = SessionState(facts["BGP state"]) if facts["BGP state"] in list(SessionState) else SessionState.IDLE
        began = datetime.fromisoformat(since[0]).replace(tzinfo=UTC) if since else datetime.now(UTC)
        received = re.findall(r"Channel (ipv[46])\n(?:.*\n)*?\s+Routes:\s+(\d+) imported", block)
        yield Neighbor(
            address=ip_address(facts["Neighbor address"].partition("%")[0]),
            asn=int(facts["Neighbor AS"]),
            state=state,
            uptime=max(0.0, (datetime.now(UTC) - began).total_seconds()) if state.up else 0.0,
            times_established=int(state.up),
            prefixes_received={family: int(count) for family, count in received} if state.up else {},
            last_reset=facts.get("Last error", ""),
        )


def read_routes(lines: Iterable[str]) -> Rib:
    """Parse `birdc show route all` of one table."""
    found: dict[Prefix, list[Path]] = {}
    prefix: Prefix | None = None
    for block in re.split(r"\n(?=\S*\s+(?:unicast|blackhole) \[)", "\n".join(lines)):
        head = _ROUTE.match(block)
        if head is None:
            continue
        prefix = ip_network(head["prefix"]) if head["prefix"] else prefix
        assert prefix is not None
        hops = tuple(ip_address(hop) for hop in re.findall(r"^\s+via (\S+) on", block, re.MULTILINE))
        as_path = re.search(r"BGP\.as_path: (.*)", block)
        peer: Address | None = hops[0] if hops else None
        if head["peer"]:
            peer = ip_address(head["peer"].partition("%")[0])
        found.setdefault(prefix, []).append(
            Path(
                prefix=prefix,
                next_hops=hops,
                as_path=tuple(map(int, as_path[1].split())) if as_path else (),
                peer=None if head["protocol"].startswith("own_") else peer,
                best=bool(head["best"]),
                valid=True,
            )
        )
    return {prefix: tuple(paths) for prefix, paths in found.items()}


DAEMON: RoutingDaemon = Birdc()
