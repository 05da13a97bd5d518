"""BIRD: one process that runs all protocols, and writes their routes into the kernel."""

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.files import RenderedFile, templates
from lab.core.secrets import mask_secrets
from lab.engine.node import RunningNode
from lab.routing.bird import answers, policy
from lab.routing.bird.control import Control, Line
from lab.routing.bird.trace import Trace, follow
from lab.routing.daemon import RoutingDaemon
from lab.routing.model import Attributes, Direction, Neighbor, Rib
from lab.routing.peer import Peer
from lab.routing.peers import RouterPlan
from lab.topology import ExtraLine, Family, Objection, Prefix, RouterIntent, community_numbers, insert_extra

if TYPE_CHECKING:
    from lab.routing.bird.inquiry import BirdInquiry

_VERSION: Mapping[Family, int] = {"ipv4": 4, "ipv6": 6}
# BIRD goes into the background once it listens on its socket. It gets `-R` (graceful restart recovery) only when it is
# restarted: at the first start two BIRDs would wait for the routes of each other.
_START = """
exec </dev/null >>/var/log/bird/start.log 2>&1
recovery=
[ -e /run/bird/started ] && recovery=$2
mkdir -p /run/bird && touch /run/bird/started &&
"$1" -c /etc/bird/bird.conf -s /run/bird/bird.ctl -P /run/bird/bird.pid $recovery
"""
# Routes stay in the kernel after KILL; BIRD removes those that it does not know when it is started again. BIRD 2.17 may
# close its socket and never end: it gets ten seconds for its own shutdown.
_STOP = """
[ -e /run/bird/bird.pid ] || exit 0
pid=$(cat /run/bird/bird.pid)
kill -s "$1" "$pid" 2>/dev/null
timeout 10 sh -c 'while kill -0 "$1" 2>/dev/null; do sleep 0.02; done' wait "$pid" || kill -s KILL "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
rm -f /run/bird/bird.pid /run/bird/bird.ctl
"""


_REFUSED = re.compile(r"/etc/bird/bird\.conf:(?P<line>\d+):\d+ (?P<why>.*)")
_ORIGINATED = re.compile(r"(?m)^route (\S+) blackhole")


def _communities(plan: RouterPlan | None, prefix: Prefix) -> str:
    """Return the block of a static route that attaches the prefix's communities; empty if it has none."""
    added = []
    for text in plan.communities_of(prefix) if plan is not None else ():
        numbers = community_numbers(text)
        attribute = "bgp_large_community" if len(numbers) == 3 else "bgp_community"
        added.append(f"{attribute}.add(({', '.join(map(str, numbers))}));")
    return f" {{ {' '.join(added)} }}" if added else ""


class Bird(RoutingDaemon):
    """BIRD, version 2 or 3."""

    program: ClassVar[str]
    """The path of the program in a node."""
    reload: ClassVar[str]
    """The command that exchanges all routes of a BGP session again."""

    # /run/bird belongs to the user bird; in a lab BIRD runs as root.
    capabilities = ("NET_BIND_SERVICE", "DAC_OVERRIDE")
    configuration = PurePosixPath("/etc/bird")
    bird_conf = configuration / "bird.conf"
    logs = PurePosixPath("/var/log/bird")
    owner = (0, 0)
    programs = ("bird",)

    def route_protocol(self, family: Family) -> int:
        """Return RTPROT_BIRD, which marks the routes of all protocols."""
        return 12

    def render(self, plan: RouterPlan) -> Sequence[RenderedFile]:
        """Render bird.conf, a file per family with the originated prefixes, and empty files for attributes."""
        return [
            RenderedFile(self.configuration / "bird.conf", self._rendered(plan)[0]),
            *self._originated(plan, plan.networks),
            *self._no_attributes(plan),
        ]

    def _rendered(self, plan: RouterPlan) -> tuple[str, Mapping[int, ExtraLine]]:
        """Return bird.conf, and its lines that are `extra` by number."""
        of_peers = [
            {f"@extra {at} {number}@": line for number, line in enumerate(peer.extra)}
            for at, peer in enumerate(plan.peers)
        ]
        own = {f"@extra {number}@": line for number, line in enumerate(plan.extra)}
        text = (
            templates("lab.routing.bird")
            .get_template("bird.conf.j2")
            .render(
                router=plan,
                unnumbered=answers.UNNUMBERED,
                marks=list(own),
                peer_marks=[list(marks) for marks in of_peers],
            )
        )
        return insert_extra(text, {mark: line for marks in (own, *of_peers) for mark, line in marks.items()})

    def check(self, intent: RouterIntent) -> Sequence[Objection]:
        """Object to `ttl-security` of more than one hop: all neighbours are on a link."""
        what = "BIRD expects a neighbour on the link with a TTL of 255 exactly, which is 1 hop"
        found = [Objection(("ttl-security",), what, "set 1")] if (intent.ttl_security or 1) > 1 else []
        return found + [
            Objection(("neighbors", node, "ttl-security"), what, "set 1")
            for node, neighbor in intent.neighbors.items()
            if (neighbor.ttl_security or 1) > 1
        ]

    def host_steps(self, intent: RouterIntent) -> Sequence[str]:
        """Return the step for the service of either package."""
        return [f"Give `{self.configuration}` and `{self.logs}` to the daemon's user, then restart its service."]

    def start_command(self, plan: RouterPlan) -> Sequence[str]:
        """Return the command that starts BIRD."""
        recovery = "-R" if plan.graceful_restart else ""
        return ("sh", "-c", _START, "start", self.program, recovery)

    def start(self, node: RunningNode, plan: RouterPlan) -> None:
        """Start BIRD with its configuration, and with the prefixes and attributes that the topology declares."""
        for file in [*self._originated(plan, plan.networks), *self._no_attributes(plan)]:
            file.write_below(node.files)
        size = self.start_log_size(node)
        if node.exec(*self.start_command(plan)).failed:
            self._raise_if_refused(node, plan, size)
            raise EnvironmentBroken(f"{node.name}: BIRD did not start: {self.start_log(node)}")
        with Control(node.root):
            pass

    def _raise_if_refused(self, node: RunningNode, plan: RouterPlan, size: int) -> None:
        """Raise `InputError` at the line of `extra` that BIRD refused, according to the log after `size` bytes."""
        _, extra = self._rendered(plan)
        if not extra:
            return
        for logged in self.start_log_since(node, size):
            if (found := _REFUSED.search(logged)) is None:
                continue
            # BIRD gives no line for an unexpected end of the file, which means an unclosed block.
            ended = found["why"].endswith("unexpected END")
            line = extra.get(max(extra) if ended else int(found["line"]))
            if line is not None:
                raise InputError(f"{line.at}: BIRD: {found['why']}: {mask_secrets(line.text.strip())}")

    def stop(self, node: RunningNode, signal: str = "KILL") -> None:
        """Signal the process and wait until it has ended."""
        node.exec("sh", "-c", _STOP, "stop", signal).raise_on_error()

    def processes(self, node: RunningNode) -> Sequence[int]:
        """Return the one process, from bird.pid."""
        file = node.root / "run/bird/bird.pid"
        return [int(file.read_text())] if file.exists() else []

    def is_running(self, node: RunningNode) -> bool:
        """Return whether BIRD answers."""
        try:
            with Control(node.root):
                return True
        except EnvironmentBroken:
            return False

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """Read `show protocols all`, `show ospf neighbors` or `show rip neighbors`."""
        if self.protocol == "bgp":
            shown = self._ask(node, "show protocols all")
            bfd_states = answers.bfd_sessions(self._ask(node, "show bfd sessions")) if answers.has_bfd(shown) else {}
            return answers.bgp_neighbors(shown, bfd_states=bfd_states)
        read: Callable[[Sequence[Line]], list[Neighbor]]
        read = answers.ospf_neighbors if self.protocol == "ospf" else answers.rip_neighbors
        return [
            neighbor
            for version in _VERSION.values()
            for neighbor in read(self._ask(node, f"show {self.protocol} neighbors {self.protocol}{version}"))
        ]

    def rib(self, node: RunningNode, family: Family) -> Rib:
        """Read `show route all`."""
        return answers.routes(self._ask(node, f"show route table master{_VERSION[family]} all"))

    def reset(self, node: RunningNode, plan: RouterPlan, peers: Sequence[Peer], *, soft: bool) -> None:
        """`restart` or `reload` the protocols of some neighbours."""
        command = self.reload if soft else "restart"
        with Control(node.root) as control:
            for peer in peers:
                if peer.address is not None:
                    control.ask(f"{command} peer{plan.peers.index(peer) + 1}")
                    continue
                for name in answers.accepted_sessions(control.ask("show protocols all"), peer.interface):
                    control.ask(f"{command} {name}")

    def set_attributes(
        self,
        node: RunningNode,
        plan: RouterPlan,
        peers: Sequence[Peer],
        prefixes: Sequence[Prefix],
        attributes: Attributes | None,
        direction: Direction,
    ) -> None:
        """Write the files that the neighbours' filters include."""
        for peer in peers:
            for family in peer.families:
                members = [p for p in prefixes if p.version == _VERSION[family]]
                path = self.configuration / policy.policy_file(plan.peers.index(peer) + 1, family, direction)
                file = node.files / path.relative_to("/")
                text = policy.update(file.read_text(), members, attributes, plan.asn)
                RenderedFile(path, text).write_below(node.files)
        self._reconfigure(node)

    def announce(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Add prefixes to the files of originated ones."""
        self._originate(node, plan, self._originated_prefixes(node) | set(prefixes))

    def withdraw(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Remove prefixes from the files of originated ones."""
        self._originate(node, plan, self._originated_prefixes(node) - set(prefixes))

    def monitor(self, node: RunningNode, plan: RouterPlan) -> Trace:
        """Follow the log."""
        return follow(node, plan)

    def inquiry(self, node: RunningNode, plan: RouterPlan) -> "BirdInquiry":
        """Ask the process, and read its configuration."""
        from lab.routing.bird.inquiry import BirdInquiry  # with the readers of configurations

        return BirdInquiry(node, plan, self.configuration / "bird.conf")

    def diagnosis(self, node: RunningNode) -> Mapping[str, str]:
        """Return protocols, routes and interfaces."""
        shown = {
            "bird-status.txt": "show status",
            "bird-protocols.txt": "show protocols all",
            "bird-routes.txt": "show route all",
            "bird-interfaces.txt": "show interfaces",
        }
        texts = {}
        for file, command in shown.items():
            try:
                texts[file] = "".join(f"{line.text}\n" for line in self._ask(node, command))
            except EnvironmentBroken as error:
                texts[file] = f"{error}\n"
        return texts

    def _ask(self, node: RunningNode, command: str) -> list[Line]:
        with Control(node.root) as control:
            return control.ask(command)

    def _originated_prefixes(self, node: RunningNode) -> set[Prefix]:
        """Return the prefixes in the files of originated ones; those of `extra` and default routes are not in them."""
        texts = [
            (node.files / file.path.relative_to("/")).read_text(errors="replace") for file in self._originated(None, ())
        ]
        return {ip_network(prefix) for text in texts for prefix in _ORIGINATED.findall(text)}

    def _originate(self, node: RunningNode, plan: RouterPlan, prefixes: set[Prefix]) -> None:
        for file in self._originated(plan, sorted(prefixes, key=str)):
            file.write_below(node.files)
        self._reconfigure(node)

    def _reconfigure(self, node: RunningNode) -> None:
        with Control(node.root) as control, node.event_times.timing():
            control.ask("configure")

    def _originated(self, plan: RouterPlan | None, prefixes: Sequence[Prefix]) -> list[RenderedFile]:
        return [
            RenderedFile(
                self.configuration / f"originated{version}.conf",
                "".join(
                    f"route {prefix} blackhole{_communities(plan, prefix)};\n"
                    for prefix in prefixes
                    if prefix.version == version
                ),
            )
            for version in _VERSION.values()
        ]

    def _no_attributes(self, plan: RouterPlan) -> list[RenderedFile]:
        return [RenderedFile(path, "") for path in policy.policy_files(self.configuration, plan)]


class Bird2(Bird):
    """BIRD 2, as Debian packages it."""

    name = "bird"
    summary = "BIRD 2: one process, one thread"
    package = "bird2"
    program = "/usr/sbin/bird"
    reload = "reload"


class Bird3(Bird):
    """BIRD 3, which the node image has besides BIRD 2."""

    name = "bird3"
    summary = "BIRD 3: one process, many threads"
    package = "bird3"
    program = "/opt/bird3/usr/sbin/bird"
    reload = "reload bgp"
