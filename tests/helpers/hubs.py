"""Checks of a hub and its spokes."""

from lab.core.prefixes import FAMILIES
from lab.observe import Echo
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from tests.helpers.packets import expect_no_answer


def expect_control_plane(hub: Router, spokes: list[Router]) -> None:
    for spoke in spokes:
        hub.expect_session(spoke)
        hub.expect_route(spoke.plan.networks)
        spoke.expect_route(hub.plan.networks)


def expect_heard(lab: Lab, spoke: str) -> list[Echo]:
    """Expect replies from a spoke's host at the hub's host, in both families."""
    hub, host = lab.host("hub-lan"), lab.host(f"{spoke}-lan")
    return [hub.expect_reaches(host.address(family)) for family in FAMILIES]


def expect_silence(lab: Lab, spoke: str) -> None:
    """Expect no reply from a spoke's host at the hub's host, in either family."""
    for family in FAMILIES:
        address = lab.host(f"{spoke}-lan").address(family)
        expect_no_answer(lab.host("hub-lan"), address, f"hub has no inner route for {spoke}", count=5)
