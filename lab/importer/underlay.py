"""The links of the hosts: an internet in which every `remote` leads to the right host, and LANs with a host in each."""

import re
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Interface, IPv4Network, IPv6Network, ip_interface
from pathlib import PurePosixPath

from lab.configs.routers import InteriorInterface
from lab.core.prefixes import FAMILIES, Address, Family, Interface, Prefix, family_of, free_prefixes
from lab.importer.hosts import Host, MadeFile, Question
from lab.importer.nat import NatRouter, ruleset_text
from lab.importer.networks import Behind, networks_behind
from lab.importer.outer import Attachment, Outer, free_interface, needs_of
from lab.importer.pairing import Pairing
from lab.importer.plan import Plan, PlannedEnd, PlannedLink
from lab.importer.routes import static_routes
from lab.topology.addresses import overlap
from lab.topology.names import objection_to_interface

INTERNET = "internet"
_FIRST_TABLE = 1001
"""The first routing table of VRFs whose own ones no file tells."""
MAX_LANS = 4
"""The LANs with a host in each, per host of the user's."""
_SYSCTL = re.compile(
    r"net\.ipv4\.(ip_forward|fib_multipath_hash_policy|conf\.(all|default)\.rp_filter)"
    r"|net\.ipv6\.(fib_multipath_hash_policy|conf\.(all|default)\.forwarding)"
)
_FORWARDING = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}


def plan_underlay(
    plan: Plan, hosts: Sequence[Host], pairing: Pairing, made: PurePosixPath, *, assume: bool
) -> list[Question]:
    """Add nodes, links and the files of NAT routers to a plan; return what the hosts' files do not tell.

    `made` is the directory beside the topology for files that the import writes.
    """
    return _Underlay(plan, hosts, pairing, made, assume=assume).build()


class _Underlay:
    def __init__(
        self, plan: Plan, hosts: Sequence[Host], pairing: Pairing, made: PurePosixPath, *, assume: bool
    ) -> None:
        self._plan = plan
        self._made = made
        self._hosts = hosts
        self._assume = assume
        self._questions: list[Question] = []
        self._behind = {host.name: networks_behind(host, pairing) for host in hosts}
        self._inner = [network for host in hosts for end in host.ends for network in end.inner_networks]
        self._subnets = [network for network in self._inner if network.num_addresses > 1]
        """The inner networks, without the single addresses of point-to-point tunnels, which may be of a LAN."""
        self._addresses = {i.ip for host in hosts for end in host.ends for i in end.inner}
        self._needs = needs_of(hosts, pairing)
        taken = [*self._inner, *(b.prefix for found in self._behind.values() for b in found)]
        self._taken = taken
        self._outer = Outer(hosts, pairing, self._needs, taken, plan)

    def build(self) -> list[Question]:
        for host in self._hosts:
            self._node(host)
        self._outer.attach()
        for nat in self._outer.nats:
            self._plan.add(nat.name, "nat").sysctls = dict(_FORWARDING)
        for host in self._hosts:
            self._lans(host)
        for segment in self._segments():
            self._connect(segment)
        self._names()
        for name in (*(host.name for host in self._hosts), *(nat.name for nat in self._outer.nats)):
            self._extra_addresses(name)
        for host in self._hosts:
            self._static_routes(host)
            self._vrfs(host)
        for nat in self._outer.nats:
            self._translate(nat)
        return self._questions

    # --- nodes ---------------------------------------------------------------------------------------------

    def _node(self, host: Host) -> None:
        node = self._plan.add(host.name, "counterpart" if host.own else "host")
        node.openvpn = [(end.file, end.path) for end in host.ends]
        if host.router_files:
            node.daemon, node.router_files = host.daemon, list(host.router_files)
        node.nftables = list(host.filters)
        for note in host.notes:
            self._plan.note(host.name, note)
        known = {
            key: value for key, value in host.facts.sysctls.items() if _SYSCTL.fullmatch(key) and value.isdecimal()
        }
        if known:
            node.sysctls = dict(sorted(known.items()))
        else:
            node.sysctls = dict(_FORWARDING)
            if not host.own:
                node.comments.append("no output of `sysctl -a`, so it forwards packets: see 'sysctls'")

    def _extra_addresses(self, node: str) -> None:
        for interface, address in self._outer.extra.get(node, ()):
            command = f"ip address add {address} dev {interface}"
            self._plan.nodes[node].exec.append((command, "a further address of the interface"))

    def _static_routes(self, host: Host) -> None:
        ends = [end for link in self._plan.links for end in link.ends]
        held = {address.ip for end in ends for address in end.addresses}
        mine = [(end.interface, address) for end in ends if end.node == host.name for address in end.addresses]
        found = static_routes(host, mine)
        for route in found.kept:
            self._plan.nodes[host.name].routes.append((str(route.prefix), str(route.via), f"as in {route.spot}"))
        absent = dict.fromkeys(str(route.via) for route in found.kept if route.via not in held)
        if absent:
            self._plan.note(
                host.name,
                f"static routes lead to {', '.join(absent)}, which no node has: import that router too, or change "
                "the address of a node on the link",
            )
        if (note := found.note()) is not None:
            self._plan.note(host.name, note)

    def _vrfs(self, host: Host) -> None:
        """Give a node the VRFs of its host, as far as it has their interfaces."""
        node = self._plan.nodes[host.name]
        held = {end.interface for link in self._plan.links for end in link.ends if end.node == host.name}
        held |= {end.device for end in host.ends if end.device not in ("tun", "tap")}
        used = {vrf.table for vrf in host.vrfs.values()}
        for name, vrf in host.vrfs.items():
            members = [interface for interface in vrf.interfaces if interface in held]
            table = vrf.table or next(n for n in range(_FIRST_TABLE, _FIRST_TABLE + 10_000) if n not in used)
            used.add(table)
            if members and objection_to_interface(name) is None:
                node.vrfs[name] = (table, members)
            if vrf.table is None:
                self._plan.note(
                    host.name,
                    f"no file tells the table of the VRF {name}, so it is {table}: add `ip -j -d address`",
                )
            if left := [interface for interface in vrf.interfaces if interface not in held]:
                self._plan.note(host.name, f"the VRF {name} lacks {', '.join(left)}, which the node does not have")

    # --- LANs ----------------------------------------------------------------------------------------------

    def _lans(self, host: Host) -> None:
        unknown = self._unknown_interfaces(host)
        found = self._new_networks(host)
        lans = sum(1 for a in self._outer.attachments if a.host == host.name and not a.outer and not a.nat)
        room = max(MAX_LANS - lans, 0)
        count = max(map(len, found.values()))
        for index in range(min(count, room)):
            both = [found[family][index] for family in FAMILIES if index < len(found[family])]
            interior = unknown.pop(0) if unknown else None
            self._lan(host, both, interior)
        if count > room:
            left = [str(b.prefix) for items in found.values() for b in items[room:]]
            shown = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
            self._plan.note(host.name, f"a host has {MAX_LANS} LANs in the lab at most: none for {shown}")
        for interior in unknown:
            self._ask_for_address(host, interior)

    def _new_networks(self, host: Host) -> dict[Family, list[Behind]]:
        """Return the networks behind a host in which it has no interface yet."""
        used: list[Prefix] = [n for a in self._outer.attachments for n in a.networks]
        mine = [n for a in self._outer.attachments if a.host == host.name for n in a.networks]
        found: dict[Family, list[Behind]] = {"ipv4": [], "ipv6": []}
        for behind in self._behind[host.name]:
            if any(overlap(behind.prefix, other) for other in (*mine, *self._subnets)):
                continue  # the host has an interface in it already
            if behind.prefix.num_addresses == 1 and behind.prefix[0] in self._addresses:
                continue  # `network` with the address of an end of a tunnel
            if behind.prefix.num_addresses <= 2:
                if not any(overlap(behind.prefix, o.prefix) for o in self._behind[host.name] if o is not behind):
                    self._loopback(host, behind)  # else it is one of the addresses of a LAN
            elif any(overlap(behind.prefix, other) for other in used):
                self._plan.note(host.name, f"no LAN for {behind}: it overlaps another network of the lab")
            else:
                used.append(behind.prefix)
                mine.append(behind.prefix)
                found[family_of(behind.prefix)].append(behind)
        return found

    def _lan(self, host: Host, both: Sequence[Behind], interior: InteriorInterface | None) -> None:
        name = interior.name if interior is not None else None
        interface = name or free_interface(host, self._outer.attachments)
        lan = Attachment(host.name, interface, comment="; ".join(map(str, both)))
        for behind in both:
            lan.give(_first(behind.prefix, host, self._addresses))
        self._outer.attachments.append(lan)
        if host.own:
            return  # everything about a counterpart is the lab's choice
        shown = ", ".join(str(a) for a in lan.addresses.values())
        guess = "the network is from the files, the address a guess"
        if interior is None:
            guess = "the network is from the files, interface and address are a guess"
        else:
            lan.comment += f"; {interior.protocol} runs on {interface}, {interior.spot}"
            guess += f", and so is that {interface} leads to it"
        self._plan.note(host.name, f"a LAN on {interface} with {shown}: {guess}")

    def _loopback(self, host: Host, behind: Behind) -> None:
        command = f"ip address add {behind.prefix} dev lo"
        self._plan.nodes[host.name].exec.append((command, f"{behind.why}, {behind.spot}"))

    def _unknown_interfaces(self, host: Host) -> list[InteriorInterface]:
        """Return the interfaces on which OSPF or RIP runs and whose addresses no file tells, each once."""
        known = {a.interface for a in self._outer.attachments if a.host == host.name} | {e.device for e in host.ends}
        known.add("lo")
        found: dict[str, InteriorInterface] = {}
        for interior in host.router.interior if host.router is not None else ():
            name = interior.name
            if name is None or name in known or "*" in name or objection_to_interface(name) is not None:
                continue
            if not name.startswith(("tun", "tap", "wg", "dummy", "lo")):
                found.setdefault(name, interior)
        return list(found.values())

    def _ask_for_address(self, host: Host, interior: InteriorInterface) -> None:
        assert interior.name is not None
        self._questions.append(
            Question(
                host.name,
                f"the address of {interior.name}, on which {interior.protocol} runs ({interior.spot}): add the "
                "output of `ip -j address`",
                f"an unused network on {interior.name}",
            )
        )
        if not self._assume:
            return
        used = [*self._taken, *(n for a in self._outer.attachments for n in a.networks)]
        lan = Attachment(host.name, interior.name, comment=f"{interior.protocol} runs on it ({interior.spot})")
        prefix = next(free_prefixes("ipv4", used), None)
        if prefix is None:
            self._plan.note(host.name, f"no link for {interior.name}: the files leave no network unused")
            return
        lan.give(_first(prefix, host, self._addresses))
        self._outer.attachments.append(lan)

    # --- links ---------------------------------------------------------------------------------------------

    def _segments(self) -> list[list[Attachment]]:
        """Return the attachments by link: those whose networks overlap are on one.

        Addresses that a link would have twice are left out, so that what remains may be on links of its own.
        """
        merged = [self._without_twins(segment) for segment in _touching(self._outer.attachments)]
        return [segment for attachments in merged for segment in _touching(attachments)]

    def _without_twins(self, segment: list[Attachment]) -> list[Attachment]:
        """Leave out addresses that an earlier host on the link has, and give all the widest prefix length."""
        held: dict[Address, Attachment] = {}
        for attachment in segment:
            for family, address in list(attachment.addresses.items()):
                other = held.setdefault(address.ip, attachment)
                if other is attachment:
                    continue
                if attachment.nat is not None and other.host != attachment.host:
                    self._renumber(attachment, family, held)
                    continue
                del attachment.addresses[family]
                where = other.host if other.host != attachment.host else f"its {other.interface}"
                self._plan.note(
                    attachment.host,
                    f"{address} on {attachment.interface} is left out: {where} has the same address, and the lab "
                    "cannot have a network twice",
                )
        for family in FAMILIES:
            lengths = [a.addresses[family].network.prefixlen for a in segment if family in a.addresses]
            for attachment in segment:
                if family in attachment.addresses:
                    attachment.give(ip_interface(f"{attachment.addresses[family].ip}/{min(lengths)}"))
        return [a for a in segment if a.addresses]

    def _renumber(self, attachment: Attachment, family: Family, held: dict[Address, Attachment]) -> None:
        """Give a host behind a NAT another address, since the lab cannot have its private network twice."""
        before = attachment.addresses[family]
        gateways = [route.via for host in self._hosts for route in host.facts.routes if route.via is not None]
        attachment.give(_free_address(before, [*held, *gateways], at=2))
        held[attachment.addresses[family].ip] = attachment
        self._plan.note(
            attachment.host,
            f"it has {attachment.addresses[family]} on {attachment.interface} instead of {before}, which "
            f"{held[before.ip].host} has: the lab cannot have a private network twice",
        )

    def _connect(self, segment: Sequence[Attachment]) -> None:
        if not segment:
            return
        nat = next((attachment.nat for attachment in segment if attachment.nat), None)
        outer = nat is not None or any(attachment.outer for attachment in segment)
        other = self._far_end(segment, nat or INTERNET) if outer else self._far_end(segment, None)
        if len(segment) > 1:
            self._bridge(segment, other)
        else:
            self._link(_end(segment[0]), other, segment[0].comment)
        for attachment in segment if outer else ():
            for via in (other.ipv4, other.ipv6):
                leads_out = attachment.outer or attachment.nat is not None
                if leads_out and via is not None and family_of(via) in attachment.addresses:
                    self._default_route(attachment, via, other.node)
        if nat is not None and other.ipv6 is not None:
            self._route_back(nat, other.ipv6)

    def _default_route(self, attachment: Attachment, via: Interface, router: str) -> None:
        node = self._plan.nodes[attachment.host]
        ways = [a for a in self._outer.attachments if a.host == attachment.host and (a.outer or a.nat)]
        several = len(ways) > 1
        route = ("default", router, "")
        if several:  # the first interface of each family
            route = ("0.0.0.0/0" if via.version == 4 else "::/0", str(via.ip), "")
        if all(to != route[0] for to, _, _ in node.routes):
            node.routes.append(route)

    def _bridge(self, segment: Sequence[Attachment], other: PlannedEnd) -> None:
        taken = {node.name for node in self._plan.nodes.values()}
        name = next(f"segment{n}" for n in range(1, 10_000) if f"segment{n}" not in taken)
        self._plan.add(name, "bridge")
        hosts = ", ".join(dict.fromkeys(a.host for a in segment))
        self._plan.note("", f"{hosts} are on one link ({name}), since their addresses are of one network")
        for number, attachment in enumerate(segment):
            self._link(_end(attachment), PlannedEnd(name, f"{name[:9]}p{number}"), attachment.comment)
        self._link(other, PlannedEnd(name, f"{name[:9]}p{len(segment)}"), "")

    def _link(self, one: PlannedEnd, other: PlannedEnd, comment: str) -> None:
        self._plan.links.append(PlannedLink((one, other), comment))

    def _route_back(self, nat: str, inner: Interface) -> None:
        """Let the internet route a network behind a NAT router: IPv6 is not translated."""
        outer = next(a for a in self._outer.attachments if a.host == nat).addresses.get("ipv6")
        if outer is None:
            return  # the address is of a host that is not behind it
        node = self._plan.add(INTERNET, "internet")
        node.routes.append((str(inner.network), str(outer.ip), f"behind {nat}"))

    def _far_end(self, segment: Sequence[Attachment], router: str | None) -> PlannedEnd:
        """Return the other end of a link: that of the internet or a NAT router, or that of a host in the LAN."""
        outer = router is not None
        if router is not None:
            node = self._plan.add(router, "internet" if router == INTERNET else "nat")
            node.sysctls = dict(_FORWARDING)
        else:
            first = segment[0].host
            names = (f"{first}-lan{number or ''}" for number in (0, *range(2, 10_000)))
            node = self._plan.add(next(name for name in names if name not in self._plan.nodes), "lan")
        number = sum(1 for link in self._plan.links for end in link.ends if end.node == node.name)
        port = 0 if router is None else number + 1 if router == INTERNET else 2  # a NAT router has eth1 and eth2
        end = PlannedEnd(node.name, f"eth{port}")
        for family in FAMILIES:
            held = self._addresses | {a.addresses[family].ip for a in segment if family in a.addresses}
            interface = next((a.addresses[family] for a in segment if family in a.addresses), None)
            if interface is None:
                continue
            gateway = self._gateway(segment, interface) if outer else None
            end.set(gateway or _free_address(interface, held, at=1 if outer else 10))
        if not outer:
            node.routes.append(("default", segment[0].host, ""))
        return end

    def _gateway(self, segment: Sequence[Attachment], interface: Interface) -> Interface | None:
        hosts = {host.name: host for host in self._hosts}
        held = {i.ip for a in segment for i in a.addresses.values()}
        for attachment in segment:
            for route in hosts[attachment.host].facts.routes if attachment.host in hosts else ():
                if route.prefix.prefixlen == 0 and route.via in interface.network and route.via not in held:
                    return ip_interface(f"{route.via}/{interface.network.prefixlen}")
        return None

    def _translate(self, nat: NatRouter) -> None:
        """Write the rules of a NAT router."""
        node = self._plan.nodes[nat.name]
        inside = {
            end.node: end.ipv4.ip
            for link in self._plan.links
            for end in link.ends
            if end.ipv4 is not None
            and any(
                a.nat == nat.name and a.host == end.node and a.interface == end.interface
                for a in self._outer.attachments
            )
        }
        outer = next(a.interface for a in self._outer.attachments if a.host == nat.name)
        path = self._made / nat.name / "etc" / "nftables.conf"
        self._plan.files.append(MadeFile(path, ruleset_text(nat, outer, dict(inside))))
        node.nftables = [str(path)]

    # --- names ---------------------------------------------------------------------------------------------

    def _names(self) -> None:
        outer: dict[str, dict[Family, Interface]] = {}
        for attachment in self._outer.attachments:
            if attachment.outer:
                for family, address in attachment.addresses.items():
                    outer.setdefault(attachment.host, {}).setdefault(family, address)
        for nat in self._outer.nats:
            public = outer.get(nat.name, {}).get("ipv4")
            if public is not None:
                for name in nat.hosts:
                    outer.setdefault(name, {})["ipv4"] = public
        for host in self._hosts:
            stated_names = dict(name for other in self._hosts for name in other.facts.names)
            for name, families in self._needs[host.name].names.items():
                for family in sorted(families):
                    held = outer.get(host.name, {}).get(family)
                    stated = stated_names.get(name)
                    if stated is not None and stated in self._needs[host.name].addresses:
                        self._plan.names.append((str(stated), name))
                    elif held is not None:
                        self._plan.names.append((str(held.ip), name))
                        self._plan.note(host.name, f"the name {name} leads to {held.ip} in the lab (/etc/hosts)")


def _touching(attachments: Iterable[Attachment]) -> list[list[Attachment]]:
    """Group attachments whose networks overlap, directly or through others."""
    segments: list[list[Attachment]] = []
    for attachment in attachments:
        touching = [
            s for s in segments if any(overlap(n, m) for a in s for n in a.networks for m in attachment.networks)
        ]
        merged = [a for s in touching for a in s]
        segments = [s for s in segments if s not in touching]
        segments.append([*merged, attachment])
    return segments


def _end(attachment: Attachment) -> PlannedEnd:
    end = PlannedEnd(attachment.host, attachment.interface)
    for address in attachment.addresses.values():
        end.set(address)
    return end


def _first(prefix: Prefix, host: Host, used: Collection[Address]) -> Interface:
    """Return a router's address in a network: its router ID if it is one of it, else the first that is not in use."""
    router_id = host.router.router_id if host.router is not None else None
    inside = isinstance(prefix, IPv4Network) and router_id is not None and prefix[0] < router_id < prefix[-1]
    if inside and router_id not in used:
        return IPv4Interface(f"{router_id}/{prefix.prefixlen}")
    return _free_address(ip_interface(f"{prefix[1]}/{prefix.prefixlen}"), used, at=1)


def _free_address(interface: Interface, held: Iterable[Address], *, at: int) -> Interface:
    """Return a free address of a network: the one of this number, or the first."""
    network, used = interface.network, set(held)
    size = network.num_addresses
    last = size - 1 if isinstance(network, IPv6Network) else size - 2
    for number in (at if network.version == 4 or at < 10 else 0x10, *range(1, min(last, 1000) + 1)):
        if 0 < number <= last and network[number] not in used:
            return ip_interface(f"{network[number]}/{network.prefixlen}")
    return interface
