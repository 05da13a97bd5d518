"""Questions of a failed expectation: why an answer, a route, a session or a tunnel is missing.

The answers come from `lab.why`, which is in a layer above this one: an entry point names it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from lab.core.errors import LabError
from lab.core.prefixes import named
from lab.topology import Address, Prefix


@dataclass(frozen=True)
class NoAnswer:
    """Why does an address not answer a node?"""

    node: str
    destination: Address
    packet_size: int | None = None

    def __str__(self) -> str:
        return f"Why does {self.destination} not answer {self.node}?"


@dataclass(frozen=True)
class NoRoute:
    """Why does a node not have routes to prefixes, in its RIB, or in its FIB through an interface?"""

    node: str
    prefixes: frozenset[Prefix]
    interface: str | None = None

    def __str__(self) -> str:
        through = f" through {self.interface}" if self.interface else ""
        return f"Why has {self.node} no route to {named(self.prefixes)}{through}?"


@dataclass(frozen=True)
class NoSession:
    """Why is the session of a router with another node not established?"""

    node: str
    other: str

    def __str__(self) -> str:
        return f"Why is the session of {self.node} with {self.other} not established?"


@dataclass(frozen=True)
class NoTunnel:
    """Why is a tunnel not connected?"""

    name: str

    def __str__(self) -> str:
        return f"Why is the tunnel {self.name} not connected?"


Question = NoAnswer | NoRoute | NoSession | NoTunnel
Explain = Callable[[Question], str]


def unexplained(question: Question) -> str:
    """Return no explanation."""
    return ""


def explain(lab: Any, question: Question) -> str:
    """Return the cause in one sentence; empty if it could not be found out. `lab` is the `Lab`."""
    try:
        return _explainer()(lab, question)
    except LabError as error:
        return f"cannot tell why: {error}"
    except Exception as error:  # of any kind: the failure that is asked about must be reported
        return f"cannot tell why, because of a bug: {type(error).__name__}: {error}"


@cache
def _explainer() -> Callable[[Any, Question], str]:
    from importlib.metadata import entry_points

    (entry,) = entry_points(group="openvpn_routing_lab.instruments", name="why")
    found: Callable[[Any, Question], str] = entry.load()
    return found
