"""Wait for the sessions of routers with files of the user's: those that can come up in this lab."""

import time
from collections.abc import Sequence

from lab.core.errors import LabError
from lab.runtime.router import Router

_INTERVAL = 0.2


def wait_own_sessions(routers: Sequence[Router], within: float, since: float) -> None:
    """Wait until all sessions with nodes of the lab are up, at most until `within` seconds after `since`.

    The lab comes up in any case: `lab status` says which session is down, and why.
    """
    for router in routers:
        while time.monotonic() < since + within and not _all_up(router):
            time.sleep(_INTERVAL)


def _all_up(router: Router) -> bool:
    """Return whether every configured neighbour that is a node of the lab is up."""
    own = router.plan.own
    try:
        sessions = router.sessions()
    except LabError:
        return False
    awaited = {n.address for n in own.neighbors} if own is not None else set()
    expected = {peer.node for peer in router.plan.peers}
    return all(n.up for node, n in sessions if node and (node in expected or n.address in awaited))
