"""A path between two routers, and the effect of a fault on it, which a measurement waits for."""

from dataclasses import dataclass

from lab.core.outcome import Outcome


@dataclass(frozen=True)
class RouterPath:
    """The path from a router that observes routes to the router that announces them."""

    near: str
    """The router that observes."""
    far: str
    """The router that announces."""
    tunnel: str | None
    """The tunnel between the two; None if they peer over a link or VXLAN."""
    peering: str
    """The far router's end of that link or VXLAN; over a tunnel the end of `underlay`. As `NODE:INTERFACE`."""
    underlay: str
    """The other end of the near router's link towards the far one: if it goes down, the near one loses its carrier."""


@dataclass(frozen=True)
class PathEffect:
    """The effect of a fault on a path, as its near router observes it."""

    outcome: Outcome = "vanishes"
    """Outcome for the routes over the path if it is the only one."""
    silent: bool = False
    """No interface of the near router goes down, so that a detector (hold timer, BFD, ping-restart) must detect it."""
    noticed_by: str = ""
    """The detector that applies regardless of the configured ones; empty if there is none."""
    cuts_carrier: bool = False
    """Over a link without a tunnel the near router's interface loses its carrier."""
    breaks_router: bool = False
    """The far router itself breaks, so that an alternative path does not help."""
