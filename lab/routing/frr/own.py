"""FRR with files of the user's: its daemons read them as on a real host, and the lab configures it at run time only."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.files import RenderedFile
from lab.core.secrets import mask_secrets
from lab.engine.node import RunningNode
from lab.routing.frr import own_routes
from lab.routing.frr.bgp import Bgp
from lab.routing.frr.frr import SPEAKERS, Frr
from lab.routing.frr.ospf import read_ospf, read_ospf6
from lab.routing.frr.rip import read_status
from lab.routing.frr.vty import Vty
from lab.routing.model import Attributes, Direction, Neighbor, Path, Rib
from lab.routing.peer import Peer
from lab.routing.peers import RouterPlan
from lab.topology import Family, Prefix
from lab.topology.own import OwnRouter, Remark

# As FRR's service: the daemons read their own files, unless there is an integrated one, which vtysh reads.
# Each writes to start.log which lines it refuses. Modules are tried before, because a daemon ends without them.
_START = """
exec </dev/null >/var/log/frr/start.log 2>&1
for directory in $LOG_DIRECTORIES; do
  [ -d "$directory" ] || { mkdir -p "$directory" && chown frr "$directory"; }
done
[ ! -e /etc/frr/frr.conf ] || vtysh -C -f /etc/frr/frr.conf
$FIRST
wait
$OTHERS
wait
for daemon in $DAEMONS; do [ -S /run/frr/$daemon.vty ] || { echo "lab: $daemon did not start"; failed=1; } done
[ -z "$failed" ] || exit 1
[ ! -e /etc/frr/frr.conf ] || vtysh -b
exit 0
"""
_PROGRAMS = "/usr/lib/frr"
_LOG_FILE = re.compile(r"(?m)^[ \t]*log file (\S+)")
_INTEGRATED = re.compile(
    r"line (?P<line>\d+): (?:% [^:\[]+|Failure to communicate)(?:\[\d+\])?(?: to (?P<daemon>\w+))?"
)
_SPLIT = re.compile(
    r" (?P<daemon>[A-Z0-9]+): .*(?:No such command|Command returned [\w ]+) on config line (?P<line>\d+): (?P<text>.*)"
)
_READ_BY_MGMTD = {"zebra", "staticd", "ripd", "ripngd"}
"""mgmtd reads the files of these daemons, too; each of the two refuses the lines that only the other one has."""


class OwnFrr(Frr):
    """FRR with files of the user's."""

    def __init__(self, own: OwnRouter) -> None:
        super().__init__(own.protocols[0] if own.protocols else "bgp")
        self._own = own

    # --- files and processes -------------------------------------------------------------------------------

    def render(self, plan: RouterPlan) -> Sequence[RenderedFile]:
        """Render nothing: the user's files are copied as they are."""
        return []

    def start(self, node: RunningNode, plan: RouterPlan) -> None:
        """Start the daemons of the user's files; lines that they refuse are remarks, as on a real host."""
        commands = [self._command(node, daemon) for daemon in self._own.start if self._has_program(node, daemon)]
        first = [c for c in commands if c.split()[0].endswith(("/mgmtd", "/zebra"))]
        texts = [text for _, text in self._texts(node)]
        directories = {str(PurePosixPath(log).parent) for text in texts for log in _LOG_FILE.findall(text)}
        values = {
            "$LOG_DIRECTORIES": shlex.join(sorted(directories)),
            "$FIRST": "\n".join(f"{c} &" for c in first),
            "$OTHERS": "\n".join(f"{c} &" for c in commands if c not in first),
            "$DAEMONS": " ".join(d for d in self._own.start if self._has_program(node, d)),
        }
        script = _START
        for key, value in values.items():
            script = script.replace(key, value)
        if node.exec("sh", "-c", script, "start").failed:
            reason = self.start_log(node)
            self.stop(node)
            raise InputError(f"{node.name}: FRR did not start with {self._names()}: {mask_secrets(reason)}")

    def _command(self, node: RunningNode, daemon: str) -> str:
        options = [word for words in self._options(node, daemon) for word in words]
        if daemon == "bgpd" and _has_module(node, "bgpd", "bmp") and "bmp" not in options:
            options += ["-M", "bmp"]
        return shlex.join([f"{_PROGRAMS}/{daemon}", "-d", *options, "--log", "stdout"])

    def _options(self, node: RunningNode, daemon: str) -> list[tuple[str, ...]]:
        """Return the options of a daemon without modules that the image lacks."""
        words = list(self._own.start[daemon])
        found: list[tuple[str, ...]] = []
        while words:
            word = words.pop(0)
            if word in ("-M", "--module") and words:
                name = words.pop(0)
                if _has_module(node, daemon, name):
                    found.append((word, name))
            else:
                found.append((word,))
        return found

    def _has_program(self, node: RunningNode, daemon: str) -> bool:
        return (node.root / f"{_PROGRAMS}/{daemon}".lstrip("/")).exists()

    def _names(self) -> str:
        return ", ".join(file.given for file in self._own.files if file.given)

    def _texts(self, node: RunningNode) -> list[tuple[str, str]]:
        """Return the user's configurations in the node, by their names in /etc/frr."""
        return [
            (file.path.name, (node.files / file.path.relative_to("/")).read_text(errors="replace"))
            for file in self._own.files
            if file.given
        ]

    def remarks(self, node: RunningNode, plan: RouterPlan) -> Sequence[Remark]:
        """Return the lines that FRR refused at its last start, and what the image lacks."""
        log = self._start_log(node)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        given = {file.path.name: file.given for file in self._own.files}
        remarks = [
            Remark(kind="refused", node=node.name, place=f"{given[name]}:{line}", what=what)
            for name, line, what in refused_lines(lines, dict(self._texts(node)))
        ]
        file = given.get("daemons") or self._names()
        for daemon, options in self._own.start.items():
            if not self._has_program(node, daemon):
                what = f"{daemon} is not started: the image does not have it"
                remarks.append(Remark(kind="override", node=node.name, place=file, what=what))
            for name in _modules(options):
                if not _has_module(node, daemon, name):
                    what = f"{daemon} is started without the module {name}: the image does not have it"
                    remarks.append(Remark(kind="override", node=node.name, place=file, what=what))
        return remarks

    def is_running(self, node: RunningNode) -> bool:
        """Return whether zebra and the daemons of the protocols answer."""
        try:
            for daemon in self._answering():
                with Vty(node.root, daemon):
                    pass
        except EnvironmentBroken:
            return False
        return True

    def _answering(self) -> list[str]:
        speakers = [daemon for protocol in self._own.protocols for daemon in SPEAKERS[protocol].daemons]
        return ["zebra", *(daemon for daemon in speakers if daemon in self._own.start)]

    # --- routes --------------------------------------------------------------------------------------------

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """Read the neighbours from the daemons of all protocols."""
        found: list[Neighbor] = []
        start = self._own.start
        if "bgp" in self._own.protocols:
            found += Bgp().neighbors_of_all_vrfs(node) if self._own.vrfs else SPEAKERS["bgp"].neighbors(node)
        if "ospf" in self._own.protocols and "ospfd" in start:
            with Vty(node.root, "ospfd") as vty:
                found += read_ospf(vty.ask_json("show ip ospf neighbor json"))
        if "ospf" in self._own.protocols and "ospf6d" in start:
            with Vty(node.root, "ospf6d") as vty:
                found += read_ospf6(vty.ask_json("show ipv6 ospf6 neighbor json"))
        if "rip" in self._own.protocols:
            for daemon, table in (("ripd", "show ip rip"), ("ripngd", "show ipv6 ripng")):
                if daemon in start:
                    with Vty(node.root, daemon) as vty:
                        found += read_status(vty.ask(f"{table} status"), vty.ask(table))
        return found

    def rib(self, node: RunningNode, family: Family) -> Rib:
        """Merge the RIBs of all protocols."""
        found: dict[Prefix, tuple[Path, ...]] = {}
        ribs: list[Rib] = []
        if "bgp" in self._own.protocols:
            ribs.append(SPEAKERS["bgp"].rib(node, family))
            ribs += [Bgp().rib(node, family, vrf) for vrf in self._own.vrfs]
        interior = {"ospf", "rip"} & set(self._own.protocols)
        if interior:
            ribs.append(own_routes.interior_rib(node, self._own, family))
        for rib in ribs:
            for prefix, paths in rib.items():
                found[prefix] = (*found.get(prefix, ()), *paths)
        return found

    def announce(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Originate prefixes in the running configuration."""
        own_routes.announce(node, self._own, prefixes)

    def withdraw(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Stop originating prefixes in the running configuration; raises `InputError` for one that it still has."""
        own_routes.withdraw(node, self._own, prefixes)

    def receivers(self, node: RunningNode, plan: RouterPlan, prefix: Prefix) -> Sequence[str] | None:
        """Return the BGP neighbours to which bgpd sends a prefix."""
        return own_routes.receivers(node, self._own, prefix) if "bgp" in self._own.protocols else None

    def set_attributes(
        self,
        node: RunningNode,
        plan: RouterPlan,
        peers: Sequence[Peer],
        prefixes: Sequence[Prefix],
        attributes: Attributes | None,
        direction: Direction,
    ) -> None:
        """Set attributes where prefixes are originated; the neighbours' route maps are the user's."""
        if direction == "in":
            raise InputError(
                f"{node.name}: the routes from neighbours pass the route maps of {self._names()}: set LOCAL_PREF there"
            )
        if len(peers) < len(plan.peers):
            raise InputError(f"{node.name}: {self._names()} has the neighbours' route maps: leave out `through`")
        own_routes.set_attributes(node, self._own, prefixes, attributes)

    def diagnosis(self, node: RunningNode) -> Mapping[str, str]:
        """Return tables and the running configurations of the daemons that run."""
        shown = {
            "zebra-ipv4.txt": ("zebra", "show ip route"),
            "zebra-ipv6.txt": ("zebra", "show ipv6 route"),
            "zebra-running-config.txt": ("zebra", "show running-config"),
        }
        for protocol in self._own.protocols:
            shown.update(SPEAKERS[protocol].shown)
        texts = {}
        for file, (daemon, command) in shown.items():
            if daemon not in self._own.start:
                continue
            try:
                with Vty(node.root, daemon) as vty:
                    texts[file] = vty.ask(command)
            except EnvironmentBroken as error:
                texts[file] = f"{error}\n"
        return texts


def refused_lines(log: Iterable[str], texts: Mapping[str, str]) -> list[tuple[str, int, str]]:
    """Return the lines that FRR refused, from start.log: the file, the line's number, and a sentence.

    `texts` are the configurations by their names in /etc/frr.
    """
    if (text := texts.get("frr.conf")) is not None:
        return _refused_integrated(log, text.splitlines())
    refused: dict[tuple[str, int], set[str]] = {}
    for logged in log:
        if (found := _SPLIT.search(logged)) is None:
            continue
        daemon, number = found["daemon"].lower(), int(found["line"])
        for name, text in texts.items():
            lines = text.splitlines()
            if number <= len(lines) and lines[number - 1].strip() == found["text"].strip():
                refused.setdefault((name, number), set()).add(daemon)
    lost = []
    for (name, number), daemons in sorted(refused.items()):
        base = name.removesuffix(".conf")
        readers = {base.removesuffix("d"), *({"mgmtd"} if base in _READ_BY_MGMTD else ())}
        if readers <= daemons:
            line = texts[name].splitlines()[number - 1].strip()
            lost.append((name, number, f"{base} does not accept the line and goes on without it: {mask_secrets(line)}"))
    return lost


def _refused_integrated(log: Iterable[str], lines: Sequence[str]) -> list[tuple[str, int, str]]:
    found: dict[int, str] = {}
    for logged in log:
        if (match := _INTEGRATED.match(logged)) is None:
            continue
        number = int(match["line"])
        line = mask_secrets(lines[number - 1].strip()) if number <= len(lines) else ""
        who = match["daemon"] or "FRR"
        found.setdefault(number, f"{who} does not accept the line and goes on without it: {line}")
    return [("frr.conf", number, what) for number, what in sorted(found.items())]


def _modules(options: Sequence[str]) -> list[str]:
    return [name for flag, name in pairwise(options) if flag in ("-M", "--module")]


def _has_module(node: RunningNode, daemon: str, name: str) -> bool:
    """Return whether the image has a module, which may have the daemon's name before its own."""
    name = name.partition(":")[0]
    root = node.root / "usr/lib"
    found = [*root.glob("frr/modules/*.so"), *root.glob("*/frr/modules/*.so")]
    return any(path.stem in (name, f"{daemon}_{name}") for path in found)
