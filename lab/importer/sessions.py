"""Routers for the neighbours that the hosts' routing daemons expect and for which no files were given."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface

from lab.configs.frr.statements import statements
from lab.configs.host.facts import HostFacts, HostInterface
from lab.configs.routers import BgpNeighbor, InteriorInterface
from lab.core.prefixes import Address, Family, Prefix, family_of, free_prefixes
from lab.importer.counterpart import Place, client_addresses
from lab.importer.ends import End
from lab.importer.hosts import Host, MadeFile, Question
from lab.importer.networks import client_name, inner_routes, networks_behind
from lab.importer.pairing import Pairing
from lab.importer.routers import facts_of_text

_FIRST_ASN = 64512
MAX_ROUTERS = 8
"""The routers that are made as hosts of their own, for neighbours outside of tunnels."""


@dataclass
class _Wanted:
    """The protocols that a neighbour must run."""

    asn: int | None = None
    bgp: list[tuple[Address | str, int | str, BgpNeighbor]] = field(default_factory=list)
    """The address of the other end, or this end's interface; the other's AS number; the statement."""
    device: str | None = None
    """This end's interface of a tunnel."""
    interior: dict[str, list[str]] = field(default_factory=dict)
    """Lines for an interface, by interface."""
    protocols: set[str] = field(default_factory=set)


def add_routers(
    hosts: Sequence[Host], pairing: Pairing, place: Place, *, assume: bool
) -> tuple[list[Host], list[Question], list[str]]:
    """Return the hosts with routers for neighbours without files, what to ask, and notes."""
    maker = _Maker(hosts, pairing, place)
    maker.collect()
    return maker.finish(assume=assume)


class _Maker:
    def __init__(self, hosts: Sequence[Host], pairing: Pairing, place: Place) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._pairing = pairing
        self._place = place
        self._wanted: dict[str, _Wanted] = {}
        self._lone: dict[str, HostInterface] = {}
        """The addresses of routers that are hosts of their own."""
        self._reasons: dict[str, str] = {}
        self._nowhere: list[str] = []
        """The neighbours of which no file tells where they are."""
        self._without_address: list[str] = []
        """The neighbours for which no file tells the address of the user's end."""
        self._without_network: list[str] = []
        """The made routers for which no network is unused."""
        self._holders = dict(self._known_holders())
        self._taken: list[Prefix] = [n for host in hosts for end in host.ends for n in end.inner_networks]
        self._taken += [b.prefix for host in hosts for b in networks_behind(host, pairing)]
        self._taken += [a.network for host in hosts for i in host.interfaces for a in i.addresses]

    # --- what is wanted ------------------------------------------------------------------------------------

    def collect(self) -> None:
        for host in list(self._hosts.values()):
            router = host.router
            if router is None or host.own:
                continue
            for neighbor in router.neighbors:
                if not neighbor.disabled and neighbor.range is None and neighbor.vrf is None:
                    self._bgp(host, neighbor)
            for interior in router.interior:
                if interior.vrf is None and not interior.passive:
                    self._interior(host, interior)

    def _bgp(self, host: Host, neighbor: BgpNeighbor) -> None:
        assert host.router is not None
        holder, device = self._holder(host, neighbor)
        if holder is None:
            holder = self._on_a_link(host, neighbor)
        if holder is None:
            self._nowhere.append(f"{neighbor.name} ({neighbor.spot})")
            return
        if holder in self._hosts and self._hosts[holder].router is not None:
            return
        mine = self._own_address(host, neighbor)
        wanted = self._wanted.setdefault(holder, _Wanted())
        wanted.device = wanted.device or device
        self._reasons.setdefault(holder, f"a neighbour of {host.name} ({neighbor.spot})")
        own = neighbor.local_as or host.router.asn
        if wanted.asn is None:
            if neighbor.remote == "internal":
                wanted.asn = own
            elif isinstance(neighbor.remote, int):
                wanted.asn = neighbor.remote
            else:
                wanted.asn = self._free_asn()
        other = own if own is not None else "external"
        if neighbor.address is None and device is not None:
            wanted.bgp.append((device, other, neighbor))
        elif mine is not None:
            wanted.bgp.append((mine, other, neighbor))
        else:
            self._without_address.append(f"{neighbor.name} ({neighbor.spot})")

    def _interior(self, host: Host, interior: InteriorInterface) -> None:
        for end in host.ends:
            if not _runs_on(interior, end):
                continue
            for partner in self._pairing.partners(end):
                if self._hosts[partner.host].router is not None:
                    continue
                wanted = self._wanted.setdefault(partner.host, _Wanted())
                self._reasons.setdefault(
                    partner.host, f"an {interior.protocol} neighbour of {host.name} ({interior.spot})"
                )
                wanted.protocols.add(interior.protocol)
                lines = wanted.interior.setdefault(partner.device, [])
                lines += [line for line in _interface_lines(host, end.device, interior) if line not in lines]

    # --- holders of addresses -------------------------------------------------------------------------------

    def _known_holders(self) -> Iterator[tuple[Address, str]]:
        for host in self._hosts.values():
            for interface in host.facts.interfaces:
                for address in interface.addresses:
                    yield address.ip, host.name
            for end in host.ends:
                for interface_address in end.inner:
                    yield interface_address.ip, host.name
                for partner in self._pairing.partners(end):
                    if end.is_server:
                        name = client_name(end, partner) or partner.host
                        for given in client_addresses(end, name):
                            yield given.ip, partner.host
                    for peer in end.inner_peers if end.is_peer else ():
                        yield peer, partner.host

    def _holder(self, host: Host, neighbor: BgpNeighbor) -> tuple[str | None, str | None]:
        """Return the host at the other end, and its interface if the session is over a tunnel."""
        known = self._holders.get(neighbor.address) if neighbor.address is not None else None
        if known is not None and neighbor.address is not None and not neighbor.address.is_link_local:
            return (known, None) if known != host.name else (None, None)
        for end in host.ends:
            inside = neighbor.address is not None and any(neighbor.address in n for n in self._networks(end))
            if inside or (neighbor.interface is not None and neighbor.interface == end.device):
                left = [p for p in self._pairing.partners(end) if p.host not in self._holders.values() or not inside]
                partners = left or self._pairing.partners(end)
                if partners and (len({p.host for p in partners}) == 1 or not inside):
                    return partners[0].host, partners[0].device
        return None, None

    def _networks(self, end: End) -> list[Prefix]:
        """Return a tunnel's inner networks, as either end tells them."""
        ends = [end, *self._pairing.partners(end)]
        return [network for one in ends for network in one.inner_networks if network.num_addresses > 1]

    def _own_address(self, host: Host, neighbor: BgpNeighbor) -> Address | None:
        if neighbor.source is not None:
            return neighbor.source
        address = neighbor.address
        if address is None:
            return None
        for end in host.ends:
            if not any(address in n for n in [*self._networks(end), *end.inner_networks]):
                continue
            for interface in end.inner:
                if interface.version == address.version:
                    return interface.ip
            for partner in self._pairing.partners(end):
                if partner.is_server:
                    for given in client_addresses(partner, client_name(partner, end) or host.name):
                        if given.version == address.version:
                            return given.ip
        for known in host.facts.interfaces + host.interfaces:
            for held in known.addresses:
                if address in held.network:
                    return held.ip
        return None

    def _on_a_link(self, host: Host, neighbor: BgpNeighbor) -> str | None:
        address = neighbor.address
        if address is None or len(self._lone) >= MAX_ROUTERS:
            return None
        for interface in host.interfaces:
            for held in interface.addresses:
                if address in held.network:
                    name = _name(f"{host.name}-neighbor{len(self._lone) + 1}", self._hosts)
                    self._lone[name] = HostInterface(
                        "eth0", neighbor.spot, (ip_interface(f"{address}/{held.network.prefixlen}"),)
                    )
                    self._holders[address] = name
                    return name
        return None

    def _free_asn(self) -> int:
        used = {host.router.asn for host in self._hosts.values() if host.router is not None}
        used |= {wanted.asn for wanted in self._wanted.values()}
        return next(asn for asn in range(_FIRST_ASN, 65534) if asn not in used)

    # --- files ---------------------------------------------------------------------------------------------

    def finish(self, *, assume: bool) -> tuple[list[Host], list[Question], list[str]]:
        questions: list[Question] = []
        result = dict(self._hosts)
        for name, wanted in self._wanted.items():
            if not wanted.bgp and not wanted.interior:
                continue
            host = self._hosts.get(name)
            if host is None:
                facts = HostFacts(interfaces=(self._lone[name],))
                note = f"{self._reasons[name]}, which is not among the files: the lab made its configuration"
                host = Host(name, self._place.topology, facts=facts, own=True, notes=(note,))
            elif not host.own:
                text = f"no routing daemon's files, and {name} is {self._reasons[name]}"
                questions.append(Question(name, text, "the lab makes a configuration of FRR for it"))
                if not assume:
                    continue
            result[name] = self._with_router(host, wanted)
        notes = []
        if self._nowhere:
            notes.append(f"no router for the neighbours {_few(self._nowhere)}: no file tells where they are")
        if self._without_address:
            notes.append(
                f"no session for the neighbours {_few(self._without_address)}: no file tells this end's address"
            )
        if self._without_network:
            notes.append(
                f"the routers made for {_few(self._without_network)} originate no network: the files leave none unused"
            )
        return list(result.values()), questions, notes

    def _with_router(self, host: Host, wanted: _Wanted) -> Host:
        text = self._text(host, wanted)
        below = self._place.made / host.name / "etc" / "frr"
        daemons = _daemons(wanted)
        shown = str(below / "frr.conf")
        facts = facts_of_text(text, below / "frr.conf")
        made = (MadeFile(below / "frr.conf", text, secret="password" in text), MadeFile(below / "daemons", daemons))
        return replace(
            host,
            router=facts,
            daemon="frr",
            router_files=(shown, str(below / "daemons")),
            made=(*host.made, *made),
        )

    def _text(self, host: Host, wanted: _Wanted) -> str:
        lines = [
            f"! Made by `lab import` for {host.name}, {self._reasons[host.name]}. This is not one of your files.",
            "frr defaults traditional",
            f"hostname {host.name}",
            "log file /var/log/frr/frr.log informational",
            "service integrated-vtysh-config",
        ]
        families: set[Family] = {family for _, _, n in wanted.bgp for family in n.families}
        families |= {"ipv6" if p in ("ospf6", "ripng") else "ipv4" for p in wanted.protocols}
        networks = self._own_networks(host, families)
        for device, extra in wanted.interior.items():
            lines += [f"interface {device}", *(f" {line}" for line in extra), "exit"]
        if wanted.protocols:
            lines += [f"{'ip' if p.version == 4 else 'ipv6'} route {p} Null0" for p in networks]
        for protocol in sorted(wanted.protocols):
            lines += [f"router {protocol}"]
            if protocol in ("rip", "ripng"):
                lines += [f" network {device}" for device in wanted.interior]
            lines += [" redistribute static", "exit"]
        if wanted.bgp:
            lines += self._bgp_lines(wanted, networks)
        return "".join(f"{line}\n" for line in lines)

    def _bgp_lines(self, wanted: _Wanted, networks: Sequence[Prefix]) -> list[str]:
        lines = [f"router bgp {wanted.asn}", " no bgp ebgp-requires-policy", " no bgp network import-check"]
        lines.append(" no bgp default ipv4-unicast")
        device = wanted.device
        for address, asn, neighbor in wanted.bgp:
            session = f" neighbor {address}"
            lines.append(
                f"{session} interface remote-as {asn}" if isinstance(address, str) else f"{session} remote-as {asn}"
            )
            if not isinstance(address, str) and address.is_link_local and device:
                lines.append(f"{session} interface {device}")
            if neighbor.password is not None:
                lines.append(f"{session} password {neighbor.password}")
            if neighbor.multihop is not None:
                lines.append(f"{session} ebgp-multihop {neighbor.multihop}")
            if neighbor.ttl_security:
                lines.append(f"{session} ttl-security hops 1")
            if neighbor.bfd:
                lines.append(f"{session} bfd")
            if "ipv4" in neighbor.families and not isinstance(address, str) and address.version == 6:
                lines.append(f"{session} capability extended-nexthop")
            lines.append(f"{session} timers connect 5")
        for family in ("ipv4", "ipv6"):
            carried = [address for address, _, n in wanted.bgp if family in n.families]
            if carried:
                lines.append(f" address-family {family} unicast")
                lines += [f"  network {p}" for p in networks if family_of(p) == family]
                lines += [f"  neighbor {address} activate" for address in carried]
                lines.append(" exit-address-family")
        return [*lines, "exit"]

    def _own_networks(self, host: Host, families: set[Family]) -> list[Prefix]:
        """Return what the made router originates: the networks that other files expect behind it, or unused ones."""
        found: list[Prefix] = []
        for end in host.ends:
            for partner in self._pairing.partners(end):
                if partner.is_server:
                    found += [route.network for route in inner_routes(partner, end)]
        for family in sorted(families - {family_of(prefix) for prefix in found}):
            prefix = next(free_prefixes(family, self._taken), None)
            if prefix is None:
                self._without_network.append(host.name)
                continue
            self._taken.append(prefix)
            found.append(prefix)
        return list(dict.fromkeys(found))


def _few(items: Sequence[str]) -> str:
    shown = ", ".join(items[:3])
    return shown if len(items) <= 3 else f"{shown} and {len(items) - 3} more"


def _runs_on(interior: InteriorInterface, end: End) -> bool:
    if interior.name is not None:
        pattern = re.escape(interior.name).replace(r"\*", ".*")
        return re.fullmatch(pattern, end.device) is not None and not interior.is_passive(end.device)
    return interior.prefix is not None and any(i.ip in interior.prefix for i in end.inner)


def _interface_lines(host: Host, device: str, interior: InteriorInterface) -> list[str]:
    """Return the lines of FRR's `interface` section that the other end of a tunnel needs, as this end has them."""
    if interior.protocol in ("rip", "ripng"):
        return []
    command = "ip ospf" if interior.protocol == "ospf" else "ipv6 ospf6"
    lines = [f"{command} area {interior.area or 0}"]
    if host.daemon == "frr":
        return lines + [
            " ".join(s.words)
            for s in statements(host.router_text, "")
            if s.section == f"interface {device}"
            and " ".join(s.words[:2]) == command
            and s.words[2:3] not in (("area",), ("cost",), ("priority",), ("passive",))
        ]
    block = re.search(rf'interface\s[^{{;]*"{re.escape(device)}"[^{{;]*\{{([^}}]*)\}}', host.router_text)
    text = block[1] if block else ""
    if kind := re.search(r"\btype\s+(\w+)", text):
        named = {"ptp": "point-to-point", "pointopoint": "point-to-point", "ptmp": "point-to-multipoint"}
        lines.append(f"{command} network {named.get(kind[1], 'broadcast')}")
    if hello := re.search(r"\bhello\s+(\d{1,5})\b", text):
        lines.append(f"{command} hello-interval {hello[1]}")
    if dead := re.search(r"\bdead\s+(count\s+)?(\d{1,5})\b", text):
        seconds = int(dead[2]) * (int(hello[1]) if hello else 10) if dead[1] else int(dead[2])
        lines.append(f"{command} dead-interval {seconds}")
    return lines


def _daemons(wanted: _Wanted) -> str:
    running = {"bgpd": bool(wanted.bgp), "ospfd": "ospf" in wanted.protocols, "ospf6d": "ospf6" in wanted.protocols}
    running |= {"ripd": "rip" in wanted.protocols, "ripngd": "ripng" in wanted.protocols}
    running["bfdd"] = any(neighbor.bfd for _, _, neighbor in wanted.bgp)
    return "".join(f"{name}={'yes' if runs else 'no'}\n" for name, runs in running.items()) + "vtysh_enable=yes\n"


def _name(wanted: str, hosts: dict[str, Host]) -> str:
    return next(n for n in (wanted, *(f"{wanted}-{k}" for k in range(2, 10_000))) if n not in hosts)
