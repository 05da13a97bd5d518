"""FRR's daemons and zebra, started without `watchfrr`, which would take a tenth of a second."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.files import RenderedFile, templates
from lab.core.secrets import mask_secrets
from lab.engine.node import RunningNode
from lab.routing.daemon import RoutingDaemon
from lab.routing.frr.bgp import Bgp
from lab.routing.frr.ospf import Ospf
from lab.routing.frr.policy import community_lines, set_attributes
from lab.routing.frr.rip import Rip
from lab.routing.frr.speaker import Speaker
from lab.routing.frr.vty import Vty
from lab.routing.model import Attributes, Direction, Neighbor, Rib
from lab.routing.peer import Peer
from lab.routing.peers import RouterPlan
from lab.topology import ExtraLine, Family, Objection, Prefix, RouterIntent, RoutingProtocol, insert_extra
from lab.topology.own import OwnRouter

if TYPE_CHECKING:
    from lab.routing.frr.bmp import Bmp
    from lab.routing.frr.inquiry import FrrInquiry

# Either each daemon reads frr.conf itself, or vtysh passes its part to each, as on a real host.
# bgpd loads its BMP module, which sends nothing until a target is configured.
# zebra and mgmtd are started first: a daemon that cannot connect to them tries again after ten seconds.
_START = """
exec </dev/null >>/var/log/frr/start.log 2>&1
vtysh -C -f /etc/frr/frr.conf || exit
file=$1 keep=$2; shift 2
/usr/lib/frr/mgmtd -d -A 127.0.0.1 -P 0 &
/usr/lib/frr/zebra -d -A 127.0.0.1 -P 0 $keep $file &
wait
for daemon in "$@"; do
  module=
  if [ "$daemon" = bgpd ]; then
    for file_of_module in /usr/lib/frr/modules/bgpd_bmp.so /usr/lib/*/frr/modules/bgpd_bmp.so; do
      [ -e "$file_of_module" ] && module="-M bmp"
    done
  fi
  /usr/lib/frr/$daemon -d -A 127.0.0.1 -P 0 $module $file &
done
wait
for daemon in zebra "$@"; do [ -S /run/frr/$daemon.vty ] || { echo "$daemon did not start"; exit 1; } done
[ -n "$file" ] || vtysh -b
"""
# Routes stay in the kernel after KILL; zebra removes them only when it is started again.
_STOP = """
for file in /run/frr/*.pid; do
  [ -e "$file" ] && kill -s "$1" "$(cat "$file")" 2>/dev/null
done
for file in /run/frr/*.pid; do
  [ -e "$file" ] || continue
  while kill -0 "$(cat "$file")" 2>/dev/null; do sleep 0.02; done
  rm -f "$file"
done
rm -f /run/frr/*.vty /run/frr/*.sock /run/frr/zserv.api
"""


SPEAKERS: Mapping[RoutingProtocol, Speaker] = {"bgp": Bgp(), "ospf": Ospf(), "rip": Rip()}
_ROUTE_PROTOCOL: Mapping[tuple[RoutingProtocol, Family], int] = {
    ("bgp", "ipv4"): 186,
    ("bgp", "ipv6"): 186,
    ("ospf", "ipv4"): 188,
    ("ospf", "ipv6"): 188,
    ("rip", "ipv4"): 189,
    ("rip", "ipv6"): 190,
}
_DAEMON_OF_LINE = tuple(
    (re.compile(start), daemon)
    for start, daemon in (
        (r"router bgp\b", "bgpd"),
        (r"router ospf\b", "ospfd"),
        (r"\s*ip ospf\b", "ospfd"),
        (r"router ospf6\b", "ospf6d"),
        (r"\s*ipv6 ospf6\b", "ospf6d"),
        (r"router rip\b", "ripd"),
        (r"router ripng\b", "ripngd"),
        (r"bfd\b", "bfdd"),
        (r"\s*neighbor \S+ bfd\b", "bfdd"),
        (r"(?:ip|ipv6) route\b", "staticd"),
    )
)
"""The daemons that configuration lines belong to, by the beginning of a line."""
_UNKNOWN = re.compile(r"line (?P<line>\d+): % (?P<why>[^:\[]+)")
_REFUSED = re.compile(r"line (?P<line>\d+): (?P<why>Failure to communicate)\[\d+\] to (?P<daemon>\w+), line: ")
_SHOWN: Mapping[RoutingProtocol, str] = {"bgp": "bgp summary", "ospf": "ip ospf neighbor", "rip": "ip rip status"}


class Frr(RoutingDaemon):
    """FRR: zebra, mgmtd and the daemons of one protocol."""

    def __init__(
        self,
        protocol: RoutingProtocol = "bgp",
        own_files: Callable[[OwnRouter], RoutingDaemon] | None = None,
    ) -> None:
        super().__init__(protocol, own_files)
        self._speaker = SPEAKERS[protocol]

    name = "frr"
    summary = "FRR: zebra with bgpd (and bfdd), with ospfd and ospf6d, or with ripd and ripngd"
    # FRR's daemons change their user, keep SYS_ADMIN, and do not start without it; root needs DAC_OVERRIDE to open
    # vtysh's sockets, which belong to the group frrvty.
    capabilities = ("SYS_ADMIN", "SETUID", "SETGID", "NET_BIND_SERVICE", "DAC_OVERRIDE", "CHOWN", "KILL")
    configuration = PurePosixPath("/etc/frr")
    logs = PurePosixPath("/var/log/frr")
    owner = (92, 92)
    package = "frr"
    programs = ("bgpd", "zebra")
    frr_conf = configuration / "frr.conf"
    initiates_unnumbered = True

    def route_protocol(self, family: Family) -> int:
        """Return zebra's number for the protocol (`zebra2proto` in FRR's source)."""
        return _ROUTE_PROTOCOL[self.protocol, family]

    def render(self, plan: RouterPlan) -> Sequence[RenderedFile]:
        """Render frr.conf, and the files that Debian's service and vtysh read."""
        return [
            RenderedFile(self.configuration / name, self._rendered(name, plan)[0])
            for name in ("frr.conf", "daemons", "vtysh.conf")
        ]

    def _rendered(self, name: str, plan: RouterPlan) -> tuple[str, Mapping[int, ExtraLine]]:
        """Return a rendered file, and its lines that are `extra` by number."""
        marks = {f"@extra {number}@": line for number, line in enumerate(plan.extra)}
        text = (
            templates("lab.routing.frr")
            .get_template(f"{name}.j2")
            .render(router=plan, marks=list(marks), enabled=self._daemons(plan), community_lines=community_lines)
        )
        return insert_extra(text, marks)

    def _daemons(self, plan: RouterPlan) -> tuple[str, ...]:
        """Return the daemons to start besides zebra and mgmtd: of the protocol, and of the lines in `extra`."""
        daemons = [*SPEAKERS[plan.protocol].daemons, *(["bfdd"] if plan.bfd else [])]
        daemons += [daemon for line in plan.extra for start, daemon in _DAEMON_OF_LINE if start.match(line.text)]
        return tuple(dict.fromkeys(daemons))

    def check(self, intent: RouterIntent) -> Sequence[Objection]:
        """Object to lines for one neighbour, for which frr.conf has no section."""
        return [
            Objection(("neighbors", node, "extra"), "frr.conf has no section per neighbour", "use the router's 'extra'")
            for node, neighbor in intent.neighbors.items()
            if neighbor.extra
        ]

    def describe(self, file: PurePosixPath) -> str:
        """Name Debian's list of daemons, and the configuration."""
        return "list of daemons to start" if file.name == "daemons" else "configuration"

    def host_steps(self, intent: RouterIntent) -> Sequence[str]:
        """Return the steps for Debian's service `frr`."""
        always = {"zebra", "staticd"}  # Debian's service always starts these
        names = [*(d for d in SPEAKERS[intent.protocol].daemons if d not in always), *(["bfdd"] if intent.bfd else [])]
        settings = " and ".join(f"`{name}=yes`" for name in names)
        directory = self.configuration
        return [
            f"Let FRR's user read its files: `chown -R frr:frr {directory} && chmod 640 {directory}/*`.",
            f"`{directory}/daemons` enables the needed daemons; if you keep your own file, set {settings} in it.",
            f"`systemctl restart frr`, then check with `vtysh -c 'show {_SHOWN[intent.protocol]}'`.",
        ]

    def start_command(self, plan: RouterPlan) -> Sequence[str]:
        """Return the command that checks frr.conf and starts the daemons with it."""
        # vtysh reports a refused line, and passes each line to its daemon, also after an `exit`.
        file = "-f /etc/frr/frr.conf" if self._speaker.reads_file and not plan.extra else ""
        keep = f"-K {plan.graceful_restart}" if plan.graceful_restart else ""
        return ("sh", "-c", _START, "start", file, keep, *self._daemons(plan))

    def start(self, node: RunningNode, plan: RouterPlan) -> None:
        """Check frr.conf, start the daemons with it, and check that it was read."""
        size = self.start_log_size(node)
        result = node.exec(*self.start_command(plan))
        if result.failed:
            self._raise_if_refused(node, plan, size)
            raise EnvironmentBroken(f"{node.name}: FRR did not start: {self.start_log(node)}")
        daemon, line = self._speaker.loaded_line(plan)
        with Vty(node.root, daemon) as vty:
            if line not in vty.ask("show running-config"):
                raise EnvironmentBroken(f"{node.name}: FRR did not read its configuration: {self.start_log(node)}")

    def _raise_if_refused(self, node: RunningNode, plan: RouterPlan, size: int) -> None:
        """Raise `InputError` at the first line of `extra` that FRR refused, according to the log after `size` bytes."""
        _, extra = self._rendered("frr.conf", plan)
        reason = ""
        for logged in self.start_log_since(node, size):
            if logged.startswith("% "):
                reason = logged.removeprefix("% ")
            found = _UNKNOWN.match(logged) or _REFUSED.match(logged)
            if found is not None and (line := extra.get(int(found["line"]))) is not None:
                why = found["why"]
                if found.re is _REFUSED:
                    why = f"{found['daemon']} refuses the line" + (f" ({reason})" if reason else "")
                self.stop(node)
                raise InputError(f"{line.at}: FRR: {why}: {mask_secrets(line.text.strip())}")

    def stop(self, node: RunningNode, signal: str = "KILL") -> None:
        """Signal all daemons and wait until they have ended."""
        node.exec("sh", "-c", _STOP, "stop", signal).raise_on_error()

    def processes(self, node: RunningNode) -> Sequence[int]:
        """Return all processes, from the pid files in /run/frr."""
        return [int(file.read_text()) for file in sorted((node.root / "run/frr").glob("*.pid"))]

    def is_running(self, node: RunningNode) -> bool:
        """Return whether the protocol's main daemon answers."""
        try:
            with Vty(node.root, self._speaker.daemons[0]):
                return True
        except EnvironmentBroken:
            return False

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """Read the neighbours from the protocol's daemons."""
        return self._speaker.neighbors(node)

    def rib(self, node: RunningNode, family: Family) -> Rib:
        """Read the RIB from the protocol's daemons."""
        return self._speaker.rib(node, family)

    def reset(self, node: RunningNode, plan: RouterPlan, peers: Sequence[Peer], *, soft: bool) -> None:
        """`clear bgp` for some neighbours."""
        with Vty(node.root, "bgpd") as bgpd:
            for peer in peers:
                bgpd.ask(f"clear bgp {peer.name}{' soft' if soft else ''}")

    def set_attributes(
        self,
        node: RunningNode,
        plan: RouterPlan,
        peers: Sequence[Peer],
        prefixes: Sequence[Prefix],
        attributes: Attributes | None,
        direction: Direction,
    ) -> None:
        """Change the route maps, one per neighbour, family and direction."""
        with Vty(node.root, "bgpd") as bgpd:
            for peer in peers:
                set_attributes(bgpd, plan, peer, prefixes, attributes, direction, node.event_times)

    def announce(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Originate prefixes with the protocol's commands."""
        self._speaker.originate(node, plan, prefixes, no=False)

    def withdraw(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """Stop originating prefixes, by the same commands with `no`."""
        self._speaker.originate(node, plan, prefixes, no=True)

    def monitor(self, node: RunningNode, plan: RouterPlan) -> "Bmp | None":
        """Open a BMP session with bgpd; the other daemons do not support BMP."""
        from lab.routing.frr.bmp import Bmp

        return Bmp.open(node, plan) if plan.protocol == "bgp" else None

    def inquiry(self, node: RunningNode, plan: RouterPlan) -> "FrrInquiry":
        """Ask the daemons that run."""
        from lab.routing.frr.inquiry import FrrInquiry  # with the readers of configurations

        return FrrInquiry(node, plan)

    def diagnosis(self, node: RunningNode) -> Mapping[str, str]:
        """Return tables and the running configurations."""
        shown = {
            **self._speaker.shown,
            "zebra-ipv4.txt": ("zebra", "show ip route"),
            "zebra-ipv6.txt": ("zebra", "show ipv6 route"),
        }
        texts = {}
        for file, (daemon, command) in shown.items():
            try:
                with Vty(node.root, daemon) as vty:
                    texts[file] = vty.ask(command)
            except EnvironmentBroken as error:
                texts[file] = f"{error}\n"
        return texts
