"""Checks of a hub and its spokes."""

from lab.core.prefixes import FAMILIES
from lab.observe import Echo
from lab.runtime.lab import Lab
from lab.runtime.router import Router


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
    """Expect no reply in either family."""
    for family in FAMILIES:
        result = lab.host("hub-lan").echo(lab.host(f"{spoke}-lan").address(family), count=5)
        assert result.silent, result
