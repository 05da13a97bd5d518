"""BIRD with a configuration of the user's: a file of the lab includes it unchanged, and adds what the lab announces."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.files import RenderedFile
from lab.core.prefixes import family_of
from lab.core.secrets import mask_secrets
from lab.engine.node import RunningNode
from lab.routing.bird import answers
from lab.routing.bird.bird import Bird, Bird2, Bird3
from lab.routing.bird.control import Control
from lab.routing.bird.trace import Trace
from lab.routing.model import Attributes, Direction, Neighbor, Path, Rib
from lab.routing.peer import Peer
from lab.routing.peers import RouterPlan
from lab.topology import Address, Family, Prefix, RoutingProtocol
from lab.topology.own import OwnRouter, Remark

if TYPE_CHECKING:
    from lab.routing.bird.inquiry import BirdInquiry

_DIRECTORY = PurePosixPath("/etc/bird/lab")
_MAIN = _DIRECTORY / "bird.conf"
_ANNOUNCED = _DIRECTORY / "announced.conf"
_LOG = "var/log/bird/lab.log"
_KINDS: Mapping[RoutingProtocol, str] = {"bgp": "BGP", "ospf": "OSPF", "rip": "RIP"}
_WRAPPER = """\
# BIRD is started with this file of the lab. It includes your configuration, {given}, unchanged.
include "{main}";
# The lab reads times in BIRD's answers and in its own log.
timeformat protocol iso long ms;
timeformat log iso long us;
log "/{log}" all;
# The prefixes that `lab announce` originates.
include "{announced}";
"""
# Your file is checked alone first, for an error at its own line.
_START = """
exec </dev/null >/var/log/bird/start.log 2>&1
for directory in $3; do mkdir -p "$directory"; done
mkdir -p /run/bird
"$1" -p -c "$2" || { echo "lab: refused"; exit 1; }
"$1" -c $4 -s /run/bird/bird.ctl -P /run/bird/bird.pid
"""
_LOG_FILE = re.compile(r'\blog\s+"([^"]+)"')
_ERROR = re.compile(r"(?:^|\s)(?P<file>/\S+?):(?P<line>\d+):\d+ (?P<why>.*)")
_TIME_FORMAT = re.compile(r"(?m)^[ \t]*timeformat[ \t]")
_ROUTE = re.compile(r"^  route (\S+) blackhole(.*);$")


class OwnBird(Bird):
    """BIRD with files of the user's."""

    def __init__(self, own: OwnRouter) -> None:
        super().__init__(own.protocols[0] if own.protocols else "bgp")
        self._own = own

    # --- files and processes -------------------------------------------------------------------------------

    def render(self, plan: RouterPlan) -> Sequence[RenderedFile]:
        """Render the file that includes the user's; these are copied as they are."""
        main = self._own.files[0]
        text = _WRAPPER.format(given=main.given, main=main.path, log=_LOG, announced=_ANNOUNCED)
        return [RenderedFile(_MAIN, text), RenderedFile(_ANNOUNCED, "")]

    def start(self, node: RunningNode, plan: RouterPlan) -> None:
        """Start BIRD; raises `InputError` at the line of the user's that it does not accept."""
        RenderedFile(_ANNOUNCED, "").write_below(node.files)
        logs = {str(PurePosixPath(log).parent) for _, text in self._texts(node) for log in _LOG_FILE.findall(text)}
        main = str(self._own.files[0].path)
        argv = ["start", self.program, main, shlex.join(sorted(logs)), str(_MAIN)]
        if node.exec("sh", "-c", _START, *argv).failed:
            raise InputError(self._refusal(node) or f"{node.name}: BIRD did not start: {self.start_log(node)}")
        with Control(node.root):
            pass

    def _refusal(self, node: RunningNode) -> str:
        """Return the error that BIRD found in the user's files, with its line; empty if it is none of them."""
        given = {str(file.path): file for file in self._own.files}
        for logged in self._start_log(node).read_text(errors="replace").splitlines():
            found = _ERROR.search(logged)
            if found is None or (file := given.get(found["file"])) is None:
                continue
            lines = (node.files / file.path.relative_to("/")).read_text(errors="replace").splitlines()
            number = int(found["line"])
            line = f": {mask_secrets(lines[number - 1].strip())}" if 0 < number <= len(lines) else ""
            return f"{file.given}:{number}: {node.name}: {self.package} does not accept the file: {found['why']}{line}"
        return ""

    def _texts(self, node: RunningNode) -> list[tuple[str, str]]:
        files = [(file.given, node.files / file.path.relative_to("/")) for file in self._own.files]
        return [(given, path.read_text(errors="replace")) for given, path in files]

    def remarks(self, node: RunningNode, plan: RouterPlan) -> Sequence[Remark]:
        """Return the files whose format of times the lab replaces."""
        what = "`timeformat` has the form that the lab reads, as in 2026-11-30 12:00:00.000"
        return [
            Remark(
                kind="override", node=node.name, place=f"{given}:{text.count(chr(10), 0, found.start()) + 1}", what=what
            )
            for given, text in self._texts(node)
            if (found := _TIME_FORMAT.search(text)) is not None
        ]

    # --- neighbours and routes -----------------------------------------------------------------------------

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """Read the neighbours of all protocols, whatever their names."""
        found: list[Neighbor] = []
        with Control(node.root) as control:
            shown = control.ask("show protocols all")
            states = answers.bfd_sessions(control.ask("show bfd sessions")) if answers.has_bfd(shown) else {}
            found += answers.sessions(shown, bfd_states=states).values()
            for kind, read in (("OSPF", answers.ospf_neighbors), ("RIP", answers.rip_neighbors)):
                for name in answers.protocol_names(shown, kind):
                    found += read(control.ask(f"show {kind.lower()} neighbors {name}"))
        return found

    def rib(self, node: RunningNode, family: Family) -> Rib:
        """Read the tables of the routing protocols' channels."""
        found: dict[Prefix, tuple[Path, ...]] = {}
        with Control(node.root) as control:
            for table in self._tables(control)[family]:
                for prefix, paths in answers.routes(control.ask(f"show route table {table} all")).items():
                    found[prefix] = (*found.get(prefix, ()), *paths)
        return found

    def _tables(self, control: Control) -> Mapping[Family, list[str]]:
        """Return the tables that the router announces from: those of its first protocol with channels."""
        shown = control.ask("show protocols all")
        for protocol in self._own.protocols:
            found = answers.tables(shown, [_KINDS[protocol]])
            if any(found.values()):
                return found
        return answers.tables([], [])

    def reset(self, node: RunningNode, plan: RouterPlan, peers: Sequence[Peer], *, soft: bool) -> None:
        """`restart` or `reload` the protocols of some neighbours."""
        command = self.reload if soft else "restart"
        with Control(node.root) as control:
            for name, neighbor in answers.sessions(control.ask("show protocols all")).items():
                if any(_is(peer, neighbor) for peer in peers):
                    control.ask(f"{command} {name}")

    # --- announcements -------------------------------------------------------------------------------------

    def announce(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Add prefixes to the static protocols of the lab, one per table of the routing protocols."""
        known = self._announced(node)
        self._write(node, {**dict.fromkeys(prefixes, ""), **known})

    def withdraw(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Remove prefixes; raises `InputError` for one that the user's files originate."""
        known = self._announced(node)
        for prefix in prefixes:
            if prefix not in known and prefix in self.originated(node, family_of(prefix)):
                raise InputError(
                    f"{node.name}: {prefix} is originated by {self._own.files[0].given}: the lab withdraws only what "
                    "it has announced"
                )
        self._write(node, {prefix: block for prefix, block in known.items() if prefix not in prefixes})

    def set_attributes(
        self,
        node: RunningNode,
        plan: RouterPlan,
        peers: Sequence[Peer],
        prefixes: Sequence[Prefix],
        attributes: Attributes | None,
        direction: Direction,
    ) -> None:
        """Set attributes where the lab originates prefixes; the neighbours' filters are the user's."""
        given = self._own.files[0].given
        if direction == "in":
            raise InputError(f"{node.name}: routes from neighbours pass the filters of {given}: set LOCAL_PREF there")
        known = self._announced(node)
        own = [p for p in prefixes if p not in known and p in self.originated(node, family_of(p))]
        if own:
            raise InputError(f"{node.name}: {own[0]} is originated by {given}: set its attributes there")
        block = "" if attributes is None else f" {{ {_assignments(node, self._own, attributes)} }}"
        changed = prefixes if attributes is not None else [p for p in prefixes if p in known]
        self._write(node, {**known, **dict.fromkeys(changed, block)})

    def receivers(self, node: RunningNode, plan: RouterPlan, prefix: Prefix) -> Sequence[str] | None:
        """Return the neighbours whose export filters let a prefix pass, while their sessions are up."""
        if "bgp" not in self._own.protocols:
            return None
        found = []
        with Control(node.root) as control:
            for name, neighbor in answers.sessions(control.ask("show protocols all")).items():
                if not neighbor.up or family_of(prefix) not in neighbor.prefixes_received:
                    continue
                try:
                    shown = control.ask(f"show route {prefix} export {name}")
                except EnvironmentBroken:  # "Network not found"
                    continue
                if answers.routes(shown):
                    found.append(str(neighbor.address))
        return found

    def _announced(self, node: RunningNode) -> dict[Prefix, str]:
        """Return the prefixes that the lab originates, each with the block of its attributes."""
        text = (node.files / _ANNOUNCED.relative_to("/")).read_text()
        return {ip_network(found[1]): found[2] for line in text.splitlines() if (found := _ROUTE.match(line))}

    def _write(self, node: RunningNode, routes: Mapping[Prefix, str]) -> None:
        before = (node.files / _ANNOUNCED.relative_to("/")).read_text()
        with Control(node.root) as control:
            tables = self._tables(control)
            if without := [p for p in routes if not tables[family_of(p)]]:
                raise InputError(
                    f"{node.name}: {self._own.files[0].given} has no {family_of(without[0])} channel of a routing "
                    f"protocol that could announce {without[0]}"
                )
            RenderedFile(_ANNOUNCED, "".join(_protocols(routes, tables))).write_below(node.files)
            try:
                with node.event_times.timing():
                    control.ask("configure")
            except EnvironmentBroken:
                RenderedFile(_ANNOUNCED, before).write_below(node.files)
                raise

    # --- changes -------------------------------------------------------------------------------------------

    def inquiry(self, node: RunningNode, plan: RouterPlan) -> "BirdInquiry":
        """Ask the process, and read the user's configuration."""
        from lab.routing.bird.inquiry import BirdInquiry  # with the readers of configurations

        return BirdInquiry(node, plan, self._own.files[0].path)

    def monitor(self, node: RunningNode, plan: RouterPlan) -> Trace:
        """Follow the lab's log, with the protocols of the user's names."""
        with Control(node.root) as control:
            shown = control.ask("show protocols all")
        names: dict[str, Address | None] = {name: n.address for name, n in answers.sessions(shown).items()}
        routing = list(names) if plan.protocol == "bgp" else answers.protocol_names(shown, _KINDS[plan.protocol])
        return Trace(node, names, log=_LOG, routing=routing, kernel=answers.protocol_names(shown, "Kernel"))


class OwnBird2(OwnBird, Bird2):
    """BIRD 2 with files of the user's."""


class OwnBird3(OwnBird, Bird3):
    """BIRD 3 with files of the user's."""


def _is(peer: Peer, neighbor: Neighbor) -> bool:
    if peer.address is not None:
        return neighbor.address == peer.address
    return bool(peer.interface) and neighbor.interface == peer.interface


def _protocols(routes: Mapping[Prefix, str], tables: Mapping[Family, Iterable[str]]) -> Iterable[str]:
    """Yield a static protocol for each table that gets prefixes."""
    for family, names in tables.items():
        members = {prefix: block for prefix, block in routes.items() if family_of(prefix) == family}
        for table in names if members else ():
            yield f"protocol static lab_{table} {{\n  {family} {{ table {table}; }};\n"
            yield from (f"  route {prefix} blackhole{block};\n" for prefix, block in sorted(members.items(), key=str))
            yield "}\n"


def _assignments(node: RunningNode, own: OwnRouter, attributes: Attributes) -> str:
    if attributes.next_hop is not None:
        raise InputError(f"{node.name}: the lab does not set next hops on a router with files of its own")
    if attributes.med is not None:
        raise InputError(
            f"{node.name}: BIRD sends MULTI_EXIT_DISC to another AS only if the neighbour's export filter sets it: "
            f"`bgp_med = {attributes.med};` in {own.files[0].given}"
        )
    if attributes.prepend and own.asn is None:
        raise InputError(f"{node.name}: its files have no AS number to prepend")
    words = [f"bgp_path.prepend({own.asn});"] * attributes.prepend
    return " ".join(words)
