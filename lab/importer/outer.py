"""The outer side of each host: the interfaces that it has, and the addresses to which `remote` must lead."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface

from lab.core.errors import InputError
from lab.core.prefixes import Address, Family, Interface, Prefix, family_of, free_prefixes
from lab.importer.hosts import Host
from lab.importer.nat import NatRouter, forwards_to, is_public, reaches_public
from lab.importer.pairing import Pairing
from lab.importer.plan import Plan
from lab.topology.addresses import overlap

_INVENTED_V4 = ("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24", "198.18.0.0/15")
"""For hosts whose outer address no file tells: RFC 5737, and RFC 2544 if these are in use."""
_INVENTED_V6 = "2001:db8:f00::/40"
_SHARED_LENGTH: Mapping[Family, int] = {"ipv4": 24, "ipv6": 64}
"""Addresses of one such network, of hosts whose prefix lengths are not known, are taken to be on one link."""


@dataclass
class Attachment:
    """An interface of a host that becomes the end of a link."""

    host: str
    interface: str
    outer: bool = False
    """True if it leads to the node `internet`."""
    nat: str | None = None
    """The NAT router to which it leads instead."""
    comment: str = ""
    addresses: dict[Family, Interface] = field(default_factory=dict)

    def give(self, address: Interface) -> None:
        """Give it an address."""
        self.addresses[family_of(address)] = address

    @property
    def networks(self) -> list[Prefix]:
        """The networks of its addresses."""
        return [address.network for address in self.addresses.values()]


@dataclass
class Needs:
    """The outer addresses and names that others' files expect of a host."""

    addresses: dict[Address, str] = field(default_factory=dict)
    """The addresses that it must have, each with the reason."""
    names: dict[str, set[Family]] = field(default_factory=dict)
    """The names that must lead to it."""
    families: set[Family] = field(default_factory=set)


def needs_of(hosts: Sequence[Host], pairing: Pairing) -> dict[str, Needs]:
    """Return what each host needs so that every `remote` leads to the right one."""
    needs = {host.name: Needs() for host in hosts}
    known = {host.name: dict(host.facts.names) for host in hosts}
    for pair in pairing.pairs:
        remote, there = pair.remote, needs[pair.host]
        address = remote.address or known[pair.client.host].get(remote.host)
        family: Family = family_of(address) if address is not None else remote.family or "ipv4"
        if remote.address is None:
            there.names.setdefault(remote.host, set()).add(family)
        if address is not None:
            there.addresses.setdefault(address, f"{pair.client.host} connects to it, {remote.spot}")
        there.families.add(family)
        needs[pair.client.host].families.add(family)
    for host in hosts:
        for end in host.ends:
            for address in end.local:
                needs[host.name].addresses.setdefault(address, f"{end.file} listens on it")
        for address in host.addresses:
            needs[host.name].addresses.setdefault(address, "the other end connects to it")
    holders = {i.ip: host.name for host in hosts for interface in host.interfaces for i in interface.addresses}
    for name, needed in needs.items():
        needed.addresses = {
            address: why
            for address, why in needed.addresses.items()
            # Another host that has the address forwards what it gets there.
            if _is_usable(address) and holders.get(address, name) == name
        }
        needed.families |= {family_of(address) for address in needed.addresses}
        needed.families = needed.families or {"ipv4"}
    return needs


def _is_usable(address: Address) -> bool:
    """Return True for an address that a link can have."""
    special = address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    return not special and str(address) != "255.255.255.255"


class Outer:
    """Gives each host its attachments: known interfaces, and invented ones where no file tells."""

    def __init__(
        self, hosts: Sequence[Host], pairing: Pairing, needs: Mapping[str, Needs], taken: Iterable[Prefix], plan: Plan
    ) -> None:
        self._hosts = hosts
        self._pairing = pairing
        self._needs = needs
        self._plan = plan
        self.attachments: list[Attachment] = []
        self.extra: dict[str, list[tuple[str, Interface]]] = {}
        """Further addresses of interfaces, by host: a link has one of each family at each end."""
        self.nats: list[NatRouter] = []
        self._mains: dict[str, Attachment] = {}
        """The outer interfaces that files tell, by host."""
        self._taken = [prefix for prefix in taken if prefix.prefixlen > 0]
        self._taken += [_smallest(a).network for n in needs.values() for a in n.addresses]
        self._v4, self._v6 = self._invented_v4(), self._invented_v6()

    def attach(self) -> None:
        """Attach all hosts."""
        for host in self._hosts:
            self._known(host)
        self._taken += [network for attachment in self.attachments for network in attachment.networks]
        for host in self._hosts:
            mine = [a for a in self.attachments if a.host == host.name]
            if (main := self._outer_of(host, mine, self._needs[host.name])) is not None:
                self._mains[host.name] = main
        for host in self._hosts:
            self._reachable(host)

    def _known(self, host: Host) -> None:
        for interface in host.interfaces:
            attachment = Attachment(host.name, interface.name, comment=f"as in {interface.spot}")
            for address in interface.addresses:
                if family_of(address) in attachment.addresses:
                    self.extra.setdefault(host.name, []).append((interface.name, address))
                else:
                    attachment.give(self._roomy(address, host, interface.name))
            self.attachments.append(attachment)

    def _roomy(self, address: Interface, host: Host, interface: str) -> Interface:
        if address.network.num_addresses > 2:
            return address
        wider = _smallest(address.ip)
        self._plan.note(
            host.name,
            f"{interface} has {address}; the lab's link has {wider}, so that the router at its other end has room",
        )
        return wider

    def _reachable(self, host: Host) -> None:
        mine = [a for a in self.attachments if a.host == host.name]
        needs = self._needs[host.name]
        held = {i.ip for a in mine for i in a.addresses.values()}
        held |= {i.ip for _, i in self.extra.get(host.name, ())}
        missing = {address: why for address, why in needs.addresses.items() if address not in held}
        main = self._outer_of(host, mine, needs)
        if main is None and not host.ends and mine:
            return  # a router without a tunnel: its links are those of its files
        if main is None:
            main = Attachment(host.name, self._outer_name(host), outer=True)
            self.attachments.append(main)
        if self._is_translated(host, main, missing):
            missing = self._behind_nat(host, main, missing)
        else:
            main.outer = True
        for address, why in missing.items():
            if family_of(address) in main.addresses:
                self._translated(host, address, why)
            else:
                main.give(self._placed(address))
                main.comment = main.comment or why
        self._complete(host, main, needs)
        outer = next((a for a in self.attachments if a.host == main.nat), None)
        if outer is not None and "ipv6" in main.addresses and "ipv6" not in outer.addresses:
            outer.give(self._invent("ipv6"))

    def _complete(self, host: Host, main: Attachment, needs: Needs) -> None:
        """Give an outer interface an address of each family that it needs and no file tells."""
        for family in sorted(needs.families - set(main.addresses)):
            main.give(self._invent(family))
            if host.own:
                continue  # everything about a counterpart is the lab's choice
            what = "its outer IPv6 address" if family == "ipv6" else "its outer address"
            self._plan.note(
                host.name,
                f"no file tells {what}, so it has {main.addresses[family].ip}; change it in 'links', or add the "
                "output of `ip -j address` to the host's files and import again",
            )

    # --- NAT -----------------------------------------------------------------------------------------------

    def _is_translated(self, host: Host, main: Attachment, missing: Mapping[Address, str]) -> bool:
        """Return True if a host's own outer address is private, and it is known by a public one or connects to one."""
        private = main.addresses.get("ipv4")
        if host.own or private is None or is_public(private.ip):
            return False
        known = any(address.version == 4 and is_public(address) for address in missing)
        return known or reaches_public(host, self._hosts, self._pairing) is not None

    def _behind_nat(self, host: Host, main: Attachment, missing: Mapping[Address, str]) -> dict[Address, str]:
        """Put a NAT router between a host and the internet; return the addresses that the host still misses."""
        self._keep_apart(host, main)
        held = {i.ip for a in self.attachments for i in a.addresses.values()}
        public = [address for address in missing if address.version == 4 and is_public(address)]
        for address in [address for address in public if address in held]:
            self._plan.note(
                host.name, f"it is not {address}, although {missing[address]}: another node has the address"
            )
        missing = {address: why for address, why in missing.items() if address not in held}
        public = [address for address in public if address not in held]
        nat, outer = self._nat_of(host, main)
        main.nat = nat.name
        nat.hosts.append(host.name)
        for address in public:
            if not nat.public:
                outer.give(self._placed(address))
            else:
                self.extra.setdefault(nat.name, []).append((outer.interface, self._placed(address)))
            nat.public.append(address)
        nat.forwards += forwards_to(host, nat.public, self._pairing)
        if "ipv4" not in outer.addresses:
            outer.give(self._invent("ipv4"))
        self._plan.note(host.name, self._about_nat(host, main, nat, outer, missing))
        return {address: why for address, why in missing.items() if address not in public}

    def _keep_apart(self, host: Host, main: Attachment) -> None:
        """Give a host another private network if its own is the LAN of another host: the lab cannot have it twice."""
        before = main.addresses["ipv4"]
        other = next(
            (
                a
                for a in self.attachments
                if a.host != host.name and a is not self._mains.get(a.host)
                if any(overlap(network, before.network) for network in a.networks)
            ),
            None,
        )
        if other is None:
            return
        used = [*self._taken, *(network for a in self.attachments for network in a.networks)]
        network = next(free_prefixes("ipv4", used), None)
        if network is None:
            return
        main.give(ip_interface(f"{network[2]}/{network.prefixlen}"))
        self._plan.note(
            host.name,
            f"{main.interface} has {main.addresses['ipv4']} instead of {before}: {other.host} has that network on "
            f"{other.interface}, and the lab cannot have a private network twice",
        )

    def _nat_of(self, host: Host, main: Attachment) -> tuple[NatRouter, Attachment]:
        """Return the NAT router of a host's private network, with its outer end; hosts of one network share it."""
        for other in self.attachments:
            shared = other.nat and any(overlap(n, m) for n in other.networks for m in main.networks)
            if shared and other is not main:
                nat = next(nat for nat in self.nats if nat.name == other.nat)
                return nat, next(a for a in self.attachments if a.host == nat.name)
        taken = {h.name for h in self._hosts} | {nat.name for nat in self.nats}
        names = (f"{host.name}-nat{number or ''}" for number in (0, *range(2, 10_000)))
        nat = NatRouter(next(name for name in names if name not in taken))
        outer = Attachment(nat.name, "eth1", outer=True)
        self.nats.append(nat)
        self.attachments.append(outer)
        return nat, outer

    def _about_nat(
        self, host: Host, main: Attachment, nat: NatRouter, outer: Attachment, missing: Mapping[Address, str]
    ) -> str:
        private, public = main.addresses["ipv4"].ip, outer.addresses["ipv4"].ip
        why = next((f"while others know it as {a} ({missing[a]})" for a in nat.public if a in missing), None)
        if why is None:
            pair = reaches_public(host, self._hosts, self._pairing)
            spot = f" ({pair.remote.spot})" if pair is not None else ""
            why = f"while it connects to a public one{spot}"
        ports = ", ".join(f"{f.transport} {f.port}" for f in nat.forwards if f.host == host.name)
        forwards = f", and forwards {ports}" if ports else ""
        shared = [other for other in nat.hosts if other != host.name]
        beside = f", which it shares with {', '.join(shared)} of the same network" if shared else ""
        return (
            f"its outer address {private} is private, {why}: so a NAT router {nat.name} is between it and the "
            f"internet{beside}, with the address {public}{forwards}. To do without, give {main.interface} the "
            "public address in 'links' and connect it to 'internet'"
        )

    # --- without NAT ---------------------------------------------------------------------------------------

    def _outer_name(self, host: Host) -> str:
        """Return the name of an outer interface that no file places: that of a rule that translates addresses there."""
        used = {a.interface for a in self.attachments if a.host == host.name}
        for rule in host.facts.translations:
            name = rule.outgoing
            if name is None or name in used or not host.can_be_link(name) or rule.action not in ("masquerade", "snat"):
                continue
            self._plan.note(
                host.name, f"its outer interface is {name}, since addresses are translated there: {rule.spot}"
            )
            return name
        dynamic = [i for i in host.facts.interfaces if i.dynamic and not i.addresses and i.name not in used]
        if len(dynamic) == 1 and not host.has_tunnel(dynamic[0].name):
            self._plan.note(
                host.name,
                f"its outer interface is {dynamic[0].name}, which gets its address from elsewhere: {dynamic[0].spot}",
            )
            return dynamic[0].name
        return _free_name(host.name, self.attachments, host)

    def _outer_of(self, host: Host, mine: Sequence[Attachment], needs: Needs) -> Attachment | None:
        by_name = {a.interface: a for a in mine}
        for route in host.facts.routes:
            if route.prefix.prefixlen == 0:
                if route.interface in by_name:
                    return by_name[route.interface]
                for attachment in mine:
                    if any(route.via is not None and route.via in network for network in attachment.networks):
                        return attachment
        for attachment in mine:
            if any(i.ip in needs.addresses for i in attachment.addresses.values()):
                return attachment
        return next((a for a in mine if any(is_public(i.ip) for i in a.addresses.values())), None)

    def _translated(self, host: Host, address: Address, why: str) -> None:
        name = _free_name(host.name, self.attachments, host)
        attachment = Attachment(host.name, name, outer=True, comment=why)
        attachment.give(self._placed(address))
        self.attachments.append(attachment)
        self._plan.note(
            host.name,
            f"none of its interfaces has {address}, although {why}: on the real host probably a NAT translates it; "
            f"here the interface {name} has it, without NAT",
        )

    def _placed(self, address: Address) -> Interface:
        """Return an address with its prefix length: that of a known network around it, or a guess."""
        family = family_of(address)
        for attachment in self.attachments:
            for network in attachment.networks:
                if address in network:
                    return ip_interface(f"{address}/{network.prefixlen}")
        others = [a for n in self._needs.values() for a in n.addresses if a != address and family_of(a) == family]
        shared = ip_interface(f"{address}/{_SHARED_LENGTH[family]}")
        if any(other in shared.network for other in others):
            return shared
        return _smallest(address)

    def _invent(self, family: Family) -> Interface:
        """Return an address that no file has; raises `InputError` if their networks leave none."""
        found = next(self._v4, None) if family == "ipv4" else next(self._v6, None)
        if found is None:
            raise InputError(
                f"the networks in the files leave no {family} address for the hosts' outer interfaces: add the output "
                "of `ip -j address` of each"
            )
        return found

    def _invented_v4(self) -> Iterator[IPv4Interface]:
        for pool in map(IPv4Network, _INVENTED_V4):
            for network in pool.subnets(new_prefix=30):
                if not any(overlap(network, other) for other in self._taken):
                    yield IPv4Interface(f"{network[1]}/30")

    def _invented_v6(self) -> Iterator[IPv6Interface]:
        for network in IPv6Network(_INVENTED_V6).subnets(new_prefix=64):
            if not any(overlap(network, other) for other in self._taken):
                yield IPv6Interface(f"{network[1]}/64")


def _smallest(address: Address) -> Interface:
    """Return an address in the smallest network that has room for a router."""
    for length in range(30 if address.version == 4 else 64, 0, -1):
        interface = ip_interface(f"{address}/{length}")
        if address not in (interface.network[0], interface.network[-1]):
            return interface
    raise AssertionError(address)  # `_is_usable` excludes the first and the last address of all


def free_interface(host: Host, attachments: Iterable[Attachment]) -> str:
    """Return the first `ethN` that the host does not have."""
    return _free_name(host.name, attachments, host)


def _free_name(name: str, attachments: Iterable[Attachment], host: Host) -> str:
    used = {a.interface for a in attachments if a.host == name} | {i.name for i in host.interfaces}
    if host.router is not None:
        used |= {i.name for i in host.router.interior if i.name} | {i.name for i in host.router.interfaces}
    return next(f"eth{n}" for n in range(10_000) if f"eth{n}" not in used)
