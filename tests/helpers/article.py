"""Checks of the article's two sites."""

from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.topology import Family
from lab.tunnel import OpenVpn
from tests.helpers.packets import expect_no_answer
from tests.helpers.sites import Site

DROPPED = "bad source address from client"


def expect_log(process: OpenVpn, text: str, since: int, within: float = 30) -> str:
    """Wait for a line in an OpenVPN log and return it."""
    lines = wait_for(
        Expectation(
            what=f"{text!r} in OpenVPN's log",
            node=process.node.name,
            look=lambda: process.log_lines(text, since=since),
            met=bool,
            seen=lambda _: process.last_line(),
            logs=process.log,
        ),
        within=within,
    )
    return lines[0]


def expect_not_logged(process: OpenVpn, text: str, since: int = 0) -> None:
    """Expect no line with a text in an OpenVPN log so far."""
    lines = process.log_lines(text, since=since)
    name = process.node.name
    assert not lines, f"{name}: expected no {text!r} in OpenVPN's log; last seen: {lines[-1]}; logs: {process.log}"


def expect_control_plane(lab: Lab, hq: Site, branch: Site) -> None:
    """Wait until BGP is established and both RIBs and FIBs have the other site's prefixes."""
    lab.wait_ready()
    for site, other in ((hq, branch), (branch, hq)):
        site.router.expect_session(other.router)
        site.router.expect_route(other.router.plan.networks, via=site.device)


def expect_passes(hq: Site, branch: Site, family: Family) -> None:
    hq.host.expect_reaches(branch.host.address(family))
    branch.host.expect_reaches(hq.host.address(family))


def expect_dropped(hq: Site, branch: Site, family: Family) -> None:
    for here, there in ((hq, branch), (branch, hq)):
        expect_no_answer(here.host, there.host.address(family), "hq has no inner route for it", count=5)
