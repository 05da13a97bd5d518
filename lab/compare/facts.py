"""Properties of a mode: as declared, as measured, and where the two differ."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from lab.core.prefixes import FAMILIES
from lab.topology import Family
from lab.tunnel import TunnelMode


@dataclass(frozen=True)
class Mtu:
    """The size of the largest IP packet that passes unfragmented, in bytes; 0 if no packet of the family passes."""

    ipv4: int
    ipv6: int


@dataclass(frozen=True)
class Facts:
    """The properties of a mode that are both declared and measured."""

    needs_iroute: bool
    families: tuple[Family, ...]
    """The families in which traffic to a prefix announced while the tunnel is up passes, in both directions."""
    multicast: tuple[Family, ...]
    """The families in which a packet to a link-local group arrives, in both directions."""
    mtu: Mtu


@dataclass(frozen=True)
class Disagreement:
    """A property whose measurement differs from its declaration."""

    fact: str
    declared: str
    measured: str

    def __str__(self) -> str:
        return f"{self.fact}: {self.measured} measured, {self.declared} declared"


def declared_facts(mode: TunnelMode) -> Facts:
    """Return the declared properties of a mode."""
    traits = mode.traits
    return Facts(traits.needs_iroute, traits.families, traits.multicast, Mtu(traits.mtu, traits.mtu))


def find_disagreements(declared: Facts, measured: Facts) -> tuple[Disagreement, ...]:
    """Return the differences between a declaration and a measurement."""
    names = {field.name: field.name.replace("_", " ") for field in fields(Facts)}
    return tuple(
        Disagreement(name, format_fact(getattr(declared, key)), format_fact(getattr(measured, key)))
        for key, name in names.items()
        if getattr(declared, key) != getattr(measured, key)
    )


def format_fact(fact: object) -> str:
    """Format a property for a cell of a table."""
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, Mtu):
        return str(fact.ipv4) if fact.ipv4 == fact.ipv6 else f"IPv4 {fact.ipv4}, IPv6 {fact.ipv6}"
    assert isinstance(fact, tuple)
    return format_families(fact)


def format_families(families: Sequence[Family]) -> str:
    """Format families as in `IPv4, IPv6`, or `none`."""
    return ", ".join(f.replace("ip", "IP") for f in FAMILIES if f in families) or "none"
