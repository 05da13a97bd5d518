"""Waiting for OpenVPN sessions that end and begin."""

from lab.check.advised.logs import named_clients
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from lab.tunnel import RunningTunnel, TunnelStatus
from tests.helpers.article import expect_control_plane, expect_passes
from tests.helpers.sites import Site

TAKES_OVER = "will cause previous active sessions by this client to be dropped"
"""The server's log line for a client that connects while it has an old session."""


def expect_sessions(tunnel: RunningTunnel, *ids: int | None) -> None:
    """Check which sessions the server has, without clients that are not authenticated yet."""
    found = named_clients(tunnel)
    assert found == [*ids], f"{tunnel.tunnel.server}: expected the sessions {[*ids]}; last seen: {found}"


def expect_new_session(tunnel: RunningTunnel, before: TunnelStatus) -> TunnelStatus:
    def new(status: TunnelStatus) -> bool:
        return (status.client_id, status.real_address) != (before.client_id, before.real_address)

    return wait_for(
        Expectation(
            what="another session of the client",
            node=tunnel.tunnel.server,
            look=tunnel.status,
            met=new,
            logs=tunnel.server.log,
        ),
        within=60,
    )


def expect_all_back(lab: Lab, hq: Site, branch: Site) -> None:
    expect_control_plane(lab, hq, branch)
    for family in FAMILIES:
        expect_passes(hq, branch, family)
