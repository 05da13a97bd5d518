"""The tunnel is put back after a trial, with the sessions and routes that it had."""

from collections.abc import Iterator
from contextlib import contextmanager

from lab.check.advised.scene import Scene
from lab.check.advised.undisturbed import WITHIN
from lab.runtime.lab import Lab
from lab.tunnel.mode import End

ENDS: tuple[End, End] = ("server", "client")
DOWN = "the server's inner address does not answer the client"
"""Why a tunnel is not disturbed."""


@contextmanager
def restored(scene: Scene) -> Iterator[None]:
    """Wait after the block until the tunnel passes packets, with the sessions and routes that were there before."""
    ends = (scene.client_node.name, scene.server_node.name)
    before = [pair for pair in (ends, ends[::-1]) if session_up(scene.lab, *pair)]
    routes = {end: list(scene.led_into_tunnel(end)) for end in ENDS}
    yield
    address = scene.inner("server")
    if address is not None:
        scene.client_node.expect_reaches(address, within=WITHIN)
    for here, there in before:
        scene.lab.router(here).expect_session(there, within=WITHIN)
    for end, prefixes in routes.items():
        scene.node(end).expect_in_fib(prefixes, via=scene.device(end), within=WITHIN)


def protocols(scene: Scene, end: End) -> frozenset[str]:
    """Return the protocols of an end's routing daemon."""
    plan = scene.lab.plans.get(scene.node(end).name)
    if plan is None:
        return frozenset()
    return frozenset(plan.own.protocols if plan.own is not None else (plan.protocol,))


def session_up(lab: Lab, here: str, there: str) -> bool:
    """Return whether a router's sessions with another node are up; a dynamic neighbour that is down is not there."""
    plan = lab.plans.get(here)
    if plan is None or not any(peer.node == there for peer in plan.peers):
        return False
    return any(node == there and neighbor.up for node, neighbor in lab.router(here).sessions())
