"""What a mode needs and what passes through it: as it declares, as it was measured, and where the two differ."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from lab.core.prefixes import FAMILIES
from lab.topology import Family
from lab.tunnel import TunnelMode


@dataclass(frozen=True)
class Mtu:
    """Bytes of the largest IP packet that passes in one piece; 0 where none of the family passes."""

    ipv4: int
    ipv6: int


@dataclass(frozen=True)
class Facts:
    """What can be said of a mode by its declaration, and by watching its packets."""

    needs_iroute: bool
    families: tuple[Family, ...]
    """Those in which a prefix passes that a routing daemon announces while the tunnel is up, in both directions."""
    multicast: tuple[Family, ...]
    """Those in which a packet to a link-local group arrives, in both directions."""
    mtu: Mtu


@dataclass(frozen=True)
class Disagreement:
    """A fact that the mode declares otherwise than it was measured."""

    fact: str
    declared: str
    measured: str

    def __str__(self) -> str:
        return f"{self.fact}: {self.measured} measured, {self.declared} declared"


def declared(mode: TunnelMode) -> Facts:
    """What a mode says of itself."""
    traits = mode.traits
    return Facts(traits.needs_iroute, traits.families, traits.multicast, Mtu(traits.mtu, traits.mtu))


def disagreements(said: Facts, seen: Facts) -> tuple[Disagreement, ...]:
    """Where a declaration and a measurement differ."""
    names = {field.name: field.name.replace("_", " ") for field in fields(Facts)}
    return tuple(
        Disagreement(name, told(getattr(said, key)), told(getattr(seen, key)))
        for key, name in names.items()
        if getattr(said, key) != getattr(seen, key)
    )


def told(fact: object) -> str:
    """A fact in as few words as a table's cell takes."""
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, Mtu):
        return str(fact.ipv4) if fact.ipv4 == fact.ipv6 else f"IPv4 {fact.ipv4}, IPv6 {fact.ipv6}"
    assert isinstance(fact, tuple)
    return families_told(fact)


def families_told(families: Sequence[Family]) -> str:
    """`IPv4, IPv6`, or `none`."""
    return ", ".join(f.replace("ip", "IP") for f in FAMILIES if f in families) or "none"
