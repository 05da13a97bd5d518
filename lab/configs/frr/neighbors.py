"""BGP's neighbours in FRR's and Quagga's configurations."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import Literal

from lab.configs.disk import Spot
from lab.configs.frr.statements import Statement
from lab.configs.numbers import is_number, parse_asn
from lab.configs.routing.facts import BgpNeighbor
from lab.core.prefixes import FAMILIES, Address, Family, Prefix

_EBGP_MULTIHOP = 255
"""The hops of `ebgp-multihop` without a number."""
_POLICIES = ("prefix-list", "route-map", "filter-list", "distribute-list")
_OPTIONS = {"password": "password", "multihop": "ebgp-multihop", "ttl-security": "ttl-security"}
"""The options whose lines rules name, with FRR's words for them."""
_OF_A_FAMILY = ("next-hop-self", "attribute-unchanged", "route-server-client")
"""Options that a neighbour has for each family."""
_BFD = ("check-control-plane-failure", "strict", "profile")
"""The words after `neighbor NAME bfd` that switch it on as well; each is an option of its own."""
_Key = tuple[str, ...]
"""The word after the neighbour's name, and what else makes a statement replace another one."""


class BgpSection:
    """A BGP instance: the statements of its `router bgp` section, by neighbour and peer group."""

    def __init__(self, header: Statement, statements: Sequence[Statement], hold: int) -> None:
        self.vrf = header.vrf
        self.asn = parse_asn(header.words[2]) if len(header.words) > 2 else None
        self._hold: tuple[int, Spot | None] = (hold, None)
        self._defaults: dict[Family, bool] = {"ipv4": True, "ipv6": False}
        self._of: dict[str, dict[_Key, Statement]] = defaultdict(dict)
        self._ranges: list[tuple[Prefix, str, Statement]] = []
        self._bgp = [s for s in statements if s.plain[0] == "bgp"]
        for s in statements:
            words = s.plain
            if s.negated and words[0] == "neighbor" and _deletes(words):
                self._of.pop(words[1], None)
            elif words[0] == "neighbor" and len(words) > 2:
                # A later statement replaces an earlier one, as does its `no`.
                self._of[words[1]][_key(s)] = s
            elif words[:2] == ("timers", "bgp") and len(s.words) == 4 and is_number(s.words[3]):
                self._hold = (int(s.words[3]), s.spot)
            elif words[0] == "bgp" and words[-2:-1] == ("default",):
                for family in FAMILIES:
                    if words[-1] == f"{family}-unicast":
                        self._defaults[family] = not s.negated
            elif s.words[:3] == ("bgp", "listen", "range") and len(s.words) > 5 and (prefix := _prefix(s.words[3])):
                self._ranges.append((prefix, s.words[5], s))

    @cached_property
    def neighbors(self) -> tuple[BgpNeighbor, ...]:
        """All neighbours and ranges, without peer groups."""
        groups = {name for name, found in self._of.items() if (group := found.get(("peer-group",))) and _defines(group)}
        names = [name for name, found in self._of.items() if name not in groups]
        found = [self._named(name) for name in names] + [self._dynamic(*listens) for listens in self._ranges]
        return tuple(n for n in found if n is not None)

    def has(self, neighbor: BgpNeighbor) -> bool:
        """Return True for a neighbour of this instance."""
        return neighbor.name in self._of

    def options(self, name: str) -> list[Statement]:
        """Return the statements of `bgp NAME` and its `no`, in order."""
        return [s for s in self._bgp if name in s.plain[1:2]]

    def activated(self, neighbor: BgpNeighbor, family: Family) -> bool:
        """Return True if a statement, and not the default, activates a family."""
        return self._get(neighbor.name, "activate", family) is not None

    def has_option(self, neighbor: BgpNeighbor, what: str) -> bool:
        """Return True if a neighbour, or its peer group, has an option such as `advertise-map`."""
        return self._get(neighbor.name, what) is not None

    def has_in_family(self, neighbor: BgpNeighbor, what: str, family: Family) -> bool:
        """Return True if a neighbour, or its peer group, has an option of a family, such as `next-hop-self`."""
        return self._get(neighbor.name, what, family) is not None

    def keeps_next_hop(self, neighbor: BgpNeighbor, family: Family) -> Statement | None:
        """Return the line by which routes of other neighbours keep their next hop; None if there is none."""
        found = [self._get(neighbor.name, what, family) for what in ("attribute-unchanged", "route-server-client")]
        lines = [s for s in found if s is not None]
        return next((s for s in lines if s.words[2] != "attribute-unchanged" or _unchanged_next_hop(s)), None)

    def bfd_lines(self, name: str) -> list[Statement]:
        """Return the lines by which a neighbour has BFD; empty without it."""
        off = self._latest(name, ("bfd",))
        if off is not None and off.negated:
            return []
        found = [self._get(name, "bfd", *kind) for kind in ((), *((word,) for word in _BFD))]
        return [s for s in found if s is not None]

    def policies(self, neighbor: BgpNeighbor, family: Family, direction: Literal["in", "out"]) -> list[Statement]:
        """Return the policies for routes from a neighbour (`in`) or to it (`out`)."""
        found = [self._get(neighbor.name, kind, family, direction) for kind in _POLICIES]
        return [s for s in found if s is not None]

    def _named(self, name: str) -> BgpNeighbor | None:
        first = next((s for s in self._of[name].values() if not s.negated), None)
        if first is None:
            return None
        address = _address(name)
        if address is None:
            return self._read(name, first.spot, interface=name)
        at = self._get(name, "interface", "")
        return self._read(name, first.spot, address, at.words[3] if at and len(at.words) > 3 else None)

    def _dynamic(self, prefix: Prefix, group: str, statement: Statement) -> BgpNeighbor:
        name = str(prefix)
        # The statements of its group apply to the range.
        words = ("neighbor", name, "peer-group", group)
        self._of.setdefault(name, {})["peer-group",] = Statement(statement.section, None, words, statement.spot)
        return self._read(name, statement.spot, listens=prefix)

    def _read(
        self,
        name: str,
        spot: Spot,
        address: Address | None = None,
        interface: str | None = None,
        listens: Prefix | None = None,
    ) -> BgpNeighbor:
        remote = self._remote(name)
        local = parse_asn(self._value(name, "local-as") or "")
        own = local or self.asn
        external = remote == "external" if isinstance(remote, str) else None
        if isinstance(remote, int) and own is not None:
            # With another member of a confederation the rules of eBGP apply in part.
            external = None if str(remote) in self._confederation and remote != own else remote != own
        hold, hold_spot = self._timers(name)
        source = self._value(name, "update-source")
        hops = self._value(name, "ebgp-multihop") or ""
        multihop = int(hops) if is_number(hops) else _EBGP_MULTIHOP if self._get(name, "ebgp-multihop") else None
        description = self._get(name, "description")
        return BgpNeighbor(
            name=name,
            spot=spot,
            address=address,
            range=listens,
            interface=interface,
            remote=remote,
            external=external,
            families=frozenset(f for f in FAMILIES if self._active(name, f)),
            hold=hold,
            hold_spot=hold_spot,
            password=self._value(name, "password"),
            local_as=local,
            source=_address(source) if source else None,
            source_interface=source if source and not _address(source) else None,
            multihop=multihop,
            ttl_security=self._get(name, "ttl-security") is not None,
            security_hops=self._security_hops(name),
            options=self._options(name),
            bfd=bool(self.bfd_lines(name)),
            passive=self._get(name, "passive") is not None,
            disabled=self._get(name, "shutdown") is not None or self._shut_down,
            description=" ".join(description.words[3:]) if description else "",
            vrf=self.vrf,
        )

    def _options(self, name: str) -> dict[str, Spot]:
        found = {option: s for option, key in _OPTIONS.items() if (s := self._get(name, key)) is not None}
        if lines := self.bfd_lines(name):
            found["bfd"] = lines[-1]
        return {option: s.spot for option, s in found.items()}

    @cached_property
    def _confederation(self) -> set[str]:
        """The autonomous systems of `bgp confederation peers`."""
        return {word for s in self.options("confederation") if s.words[2:3] == ("peers",) for word in s.words[3:]}

    @cached_property
    def _shut_down(self) -> bool:
        """True for `bgp shutdown`, of all sessions."""
        found = self.options("shutdown")
        return bool(found) and not found[-1].negated

    def _security_hops(self, name: str) -> int:
        s = self._get(name, "ttl-security")
        return int(s.words[4]) if s is not None and len(s.words) > 4 and is_number(s.words[4]) else 1

    def _remote(self, name: str) -> int | Literal["external", "internal"] | None:
        found: int | Literal["external", "internal"] | None = None
        for key in (("remote-as",), ("interface", "remote-as")):
            s = self._get(name, *key)
            if s is not None and "remote-as" in s.words[2:-1]:
                text = s.words[s.words.index("remote-as", 2) + 1]
                found = "external" if text == "external" else "internal" if text == "internal" else parse_asn(text)
        return found

    def _timers(self, name: str) -> tuple[int, Spot | None]:
        s = self._get(name, "timers")
        if s is not None and len(s.words) == 5 and is_number(s.words[3]) and is_number(s.words[4]):
            return int(s.words[4]), s.spot
        return self._hold

    def _active(self, name: str, family: Family) -> bool:
        s = self._latest(name, ("activate", family))
        return self._defaults[family] if s is None else not s.negated

    def _value(self, name: str, what: str) -> str | None:
        s = self._get(name, what)
        return s.words[3] if s and len(s.words) > 3 else None

    def _get(self, name: str, *key: str) -> Statement | None:
        """Return the statement in effect; None if there is none, or if it is negated."""
        s = self._latest(name, key)
        return None if s is None or s.negated else s

    def _latest(self, name: str, key: _Key) -> Statement | None:
        """Return the neighbour's statement, or else that of its peer group; also a `no`."""
        own = self._of.get(name, {})
        if key in own:
            return own[key]
        for membership in (("peer-group",), ("interface", "peer-group"), ("interface", "remote-as")):
            s = own.get(membership)
            if s is not None and not s.negated and "peer-group" in s.words[2:-1]:
                group = s.words[s.words.index("peer-group", 2) + 1]
                if key in self._of.get(group, {}) and group != name:
                    return self._of[group][key]
        return None


def _key(s: Statement) -> _Key:
    what = s.plain[2]
    if what in _OF_A_FAMILY:
        return what, s.family or "ipv4"
    if what in ("activate", *_POLICIES):
        # Outside an address-family section, a statement of one is for IPv4.
        return (what, s.family or "ipv4", *([s.words[-1]] if what in _POLICIES else []))
    if what == "interface":
        return what, next((w for w in ("remote-as", "peer-group") if w in s.words), "")
    if what == "bfd" and s.plain[3:4] and s.plain[3] in _BFD:
        return what, s.plain[3]
    if what == "timers" and s.plain[3:4] in (("connect",), ("delayopen",)):  # another timer than those of the session
        return what, s.plain[3]
    return (what,)


def _unchanged_next_hop(s: Statement) -> bool:
    """Return True for `attribute-unchanged` alone, or with `next-hop`."""
    return len(s.words) == 3 or "next-hop" in s.words


def _deletes(words: tuple[str, ...]) -> bool:
    """Return True for the words of `no neighbor ADDRESS`, which takes all its statements with it."""
    return len(words) == 2 or (words[2:3] == ("remote-as",) and _address(words[1]) is not None)


def _defines(s: Statement) -> bool:
    """Return True for `neighbor NAME peer-group`, which makes a peer group."""
    return not s.negated and len(s.words) == 3


def bgp_sections(statements: Iterable[Statement], hold: int) -> list[BgpSection]:
    """Return the BGP instances; the sections of several files with the same header are one."""
    headers: dict[str, Statement] = {}
    contents: dict[str, list[Statement]] = defaultdict(list)
    for s in statements:
        if s.negated and s.plain[:2] == ("router", "bgp"):
            headers.pop(" ".join(s.plain), None)
            contents.pop(" ".join(s.plain), None)
        if s.section.startswith("router bgp"):
            headers.setdefault(s.section, s)
            contents[s.section].append(s)
    # A section may also begin with a line of an address family; its own words are in its name.
    return [
        BgpSection(Statement(name, None, tuple(name.split()), header.spot), contents[name], hold)
        for name, header in headers.items()
    ]


def _address(text: str) -> Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _prefix(text: str) -> Prefix | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
