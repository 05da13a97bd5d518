"""FRR's bgpd with zebra, started without `watchfrr`: all daemons stand within a tenth of a second."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import PurePosixPath
from typing import Any, Self

from lab.engine.node import RunningNode
from lab.errors import EnvironmentBroken
from lab.files import RenderedFile, templates
from lab.routing.frr.vty import Vty
from lab.routing.model import Neighbor, Path, Rib, SessionState
from lab.routing.plan import RouterPlan
from lab.topology import Family, Objection, Prefix, RouterIntent, RoutingProtocol

_FAMILIES: Mapping[Family, str] = {"ipv4": "ipv4 unicast", "ipv6": "ipv6 unicast"}
_AFI_SAFI: Mapping[str, Family] = {"ipv4Unicast": "ipv4", "ipv6Unicast": "ipv6"}
# Each daemon reads frr.conf itself, as far as it is its own. `vtysh -b` would mark the beginning and the end of a
# configuration, and bgpd then holds its peers back for four seconds in case more is coming; here it only checks.
# zebra and mgmtd have to listen before the others look for them: a client that misses them waits ten seconds.
_START = """
exec </dev/null >>/var/log/frr/start.log 2>&1
configuration=/etc/frr/frr.conf
vtysh -C -f $configuration || exit
/usr/lib/frr/mgmtd -d -A 127.0.0.1 -P 0 &
/usr/lib/frr/zebra -d -A 127.0.0.1 -P 0 -f $configuration &
wait
for daemon in "$@"; do /usr/lib/frr/$daemon -d -A 127.0.0.1 -P 0 -f $configuration & done
wait
for daemon in zebra "$@"; do [ -S /run/frr/$daemon.vty ] || { echo "$daemon did not start"; exit 1; } done
"""
# The routes of the dead daemons would stay in the kernel for ever; zebra sweeps them only when it starts again.
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


class Frr:
    """See `RoutingDaemon`."""

    name = "frr"
    summary = "FRR: bgpd, zebra and, where BFD is wanted, bfdd"
    # FRR's daemons change their user and keep SYS_ADMIN, and refuse to start without; root needs DAC_OVERRIDE to
    # open vtysh's sockets, which belong to the group frrvty.
    capabilities = ("SYS_ADMIN", "SETUID", "SETGID", "NET_BIND_SERVICE", "DAC_OVERRIDE", "CHOWN", "KILL")
    configuration = PurePosixPath("/etc/frr")
    logs = PurePosixPath("/var/log/frr")
    owner = (92, 92)

    def check(self, intent: RouterIntent) -> Sequence[Objection]:
        """Nothing: FRR can all of it."""
        return []

    def speaking(self, protocol: RoutingProtocol) -> Self:
        """The same daemon with another protocol."""
        return self

    def render(self, plan: RouterPlan) -> Sequence[RenderedFile]:
        """frr.conf, and the files that Debian's service and vtysh read."""
        environment = templates("lab.routing.frr")
        return [
            RenderedFile(self.configuration / name, environment.get_template(f"{name}.j2").render(router=plan))
            for name in ("frr.conf", "daemons", "vtysh.conf")
        ]

    def start(self, node: RunningNode, plan: RouterPlan) -> None:
        """Check frr.conf and start the daemons with it."""
        others = ["bgpd", *(["bfdd"] if plan.bfd else [])]
        result = node.exec("sh", "-c", _START, "start", *others)
        if result.failed:
            raise EnvironmentBroken(f"{node.name}: FRR did not start: {self._start_log(node)}")
        with Vty(node.root, "bgpd") as bgpd:
            if f"router bgp {plan.asn}" not in bgpd.ask("show running-config"):
                raise EnvironmentBroken(f"{node.name}: bgpd did not take its configuration: {self._start_log(node)}")

    def stop(self, node: RunningNode, signal: str = "KILL") -> None:
        """Kill all daemons; with KILL they have no time to withdraw their routes from the kernel."""
        node.exec("sh", "-c", _STOP, "stop", signal).raise_on_error()

    def running(self, node: RunningNode) -> bool:
        """True where bgpd answers."""
        try:
            with Vty(node.root, "bgpd"):
                return True
        except EnvironmentBroken:
            return False

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """`show bgp neighbors`."""
        with Vty(node.root, "bgpd") as bgpd:
            answer = bgpd.ask_json("show bgp neighbors json")
        return [_neighbor(address, facts) for address, facts in answer.items() if isinstance(facts, dict)]

    def rib(self, node: RunningNode, family: Family) -> Rib:
        """`show bgp ipv4 unicast`."""
        with Vty(node.root, "bgpd") as bgpd:
            answer = bgpd.ask_json(f"show bgp {_FAMILIES[family]} json")
        return {
            (prefix := ip_network(text)): tuple(_path(prefix, facts) for facts in paths)
            for text, paths in answer.get("routes", {}).items()
        }

    def announce(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """`network PREFIX`."""
        self._networks(node, plan, "network", prefixes)

    def withdraw(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix]) -> None:
        """`no network PREFIX`."""
        self._networks(node, plan, "no network", prefixes)

    def originated(self, node: RunningNode, family: Family) -> frozenset[Prefix]:
        """Prefixes with a path of our own."""
        rib = self.rib(node, family)
        return frozenset(prefix for prefix, paths in rib.items() if any(p.peer is None for p in paths))

    def diagnosis(self, node: RunningNode) -> Mapping[str, str]:
        """Tables and the configuration in force."""
        shown = {
            "bgp-summary.txt": ("bgpd", "show bgp summary"),
            "bgp-neighbors.json": ("bgpd", "show bgp neighbors json"),
            "rib-ipv4.json": ("bgpd", "show bgp ipv4 unicast json"),
            "rib-ipv6.json": ("bgpd", "show bgp ipv6 unicast json"),
            "zebra-ipv4.txt": ("zebra", "show ip route"),
            "zebra-ipv6.txt": ("zebra", "show ipv6 route"),
            "bgpd-running-config.txt": ("bgpd", "show running-config"),
        }
        texts = {}
        for file, (daemon, command) in shown.items():
            try:
                with Vty(node.root, daemon) as vty:
                    texts[file] = vty.ask(command)
            except EnvironmentBroken as error:
                texts[file] = f"{error}\n"
        return texts

    def _start_log(self, node: RunningNode) -> str:
        log = node.files / self.logs.relative_to("/") / "start.log"
        return " / ".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else "it left no log"

    def _networks(self, node: RunningNode, plan: RouterPlan, command: str, prefixes: Iterable[Prefix]) -> None:
        by_family: dict[Family, list[Prefix]] = {}
        for prefix in prefixes:
            by_family.setdefault("ipv4" if isinstance(prefix, IPv4Network) else "ipv6", []).append(prefix)
        lines = [f"router bgp {plan.asn}"]
        for family, members in by_family.items():
            lines += [f"address-family {_FAMILIES[family]}", *(f"{command} {p}" for p in members)]
            lines.append("exit-address-family")
        with Vty(node.root, "bgpd") as bgpd:
            bgpd.configure(lines)


def _neighbor(address: str, facts: Mapping[str, Any]) -> Neighbor:
    received = {
        family: int(facts["addressFamilyInfo"][name].get("acceptedPrefixCounter", 0))
        for name, family in _AFI_SAFI.items()
        if name in facts.get("addressFamilyInfo", {}) and _negotiated(name, facts)
    }
    # On the way back to Idle bgpd knows two states of its own.
    state = SessionState.IDLE if facts["bgpState"] in ("Clearing", "Deleted") else SessionState(facts["bgpState"])
    return Neighbor(
        address=ip_address(address),
        asn=int(facts["remoteAs"]),
        state=state,
        uptime=facts.get("bgpTimerUpMsec", 0) / 1000 if state is SessionState.ESTABLISHED else 0.0,
        times_established=int(facts.get("connectionsEstablished", 0)),
        prefixes_received=received,
        last_reset=str(facts.get("lastResetDueTo", "")),
    )


def _negotiated(name: str, facts: Mapping[str, Any]) -> bool:
    capabilities = facts.get("neighborCapabilities", {}).get("multiprotocolExtensions", {})
    return bool(capabilities.get(name, {}).get("advertisedAndReceived", False))


def _path(prefix: Prefix, facts: Mapping[str, Any]) -> Path:
    peer = facts.get("peerId", "(unspec)")
    return Path(
        prefix=prefix,
        next_hops=tuple(ip_address(hop["ip"]) for hop in facts.get("nexthops", ()) if "ip" in hop),
        as_path=tuple(int(asn) for asn in facts.get("path", "").split() if asn.isdigit()),
        peer=None if peer == "(unspec)" else ip_address(peer),
        best=bool(facts.get("bestpath", False)),
        valid=bool(facts.get("valid", False)),
    )
