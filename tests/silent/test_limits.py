"""Limits of clients, `max-clients` and `duplicate-cn`, and their side effects.

An old session is one whose client has ended without notice, as after a loss of power or network.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.check.advised.logs import named_clients
from lab.claims.claims import Claim
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.routing import SessionState
from lab.runtime.lab import Lab
from lab.tunnel import RunningTunnel, TunnelStatus
from lab.tunnel.management import InnerRoute
from tests.helpers.article import expect_control_plane, expect_log, expect_not_logged, expect_passes
from tests.helpers.hubs import expect_control_plane as expect_hub
from tests.helpers.hubs import expect_heard, expect_silence
from tests.helpers.sessions import TAKES_OVER, expect_all_back, expect_new_session, expect_sessions
from tests.helpers.sites import Site
from tests.helpers.underlay import Underlay

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6")]

over_udp = pytest.mark.topology("narrow.clab.yml", tunnel={"transport": "udp"})
over_tcp = pytest.mark.topology("narrow.clab.yml", tunnel={"transport": "tcp"})
shared = pytest.mark.topology("tap-hub", tunnel={"mode": "shared-iroute", "transport": "tcp"})

FULL = "MULTI: new incoming connection would exceed maximum number of clients (1)"
DROPPED = "[branch] Inactivity timeout (--ping-restart), restarting"
SHORT = (1, 4)
"""A keepalive with which a client times out after four seconds, and a server after eight. OpenVPN counts whole seconds,
so its pings are up to two seconds apart."""


@shared
@pytest.mark.claims("`max-clients 1` refuses a second client, and the first one keeps its traffic")
def test_max_clients_refuses_a_second_client(lab: Lab, claim: Claim) -> None:
    hub, spokes = lab.router("hub"), [lab.router("spoke1"), lab.router("spoke2")]
    first, second = lab.tunnel("spoke1", "hub"), lab.tunnel("spoke2", "hub")
    second.client.stop()
    size = first.server.log_size()
    with first.mismatched(server={"max_clients": 1, "keepalive": SHORT}, client={}):
        accepted = accepted_client(first)
        inside, outside = (first, second) if accepted == "spoke1" else (second, first)
        claim.log_line(first.server, expect_log(first.server, FULL, size))
        expect_hub(hub, [lab.router(accepted)])
        expect_heard(lab, accepted)
        other = outside.tunnel.client
        expect_silence(lab, other)
        assert hub.neighbor(other).state is not SessionState.ESTABLISHED
        inside.client.stop()  # then the other one is accepted
        expect_hub(hub, [lab.router(other)])
        for family in FAMILIES:
            claim.echo(lab.host("hub-lan").expect_reaches(lab.host(f"{other}-lan").address(family)))
        inside.client.start()
    expect_hub(hub, spokes)
    claim.holds()


@over_udp
@pytest.mark.claims("with `max-clients 1` over UDP, a client that reconnects early is accepted")
def test_max_clients_refuses_a_client_that_reconnects_early_over_udp(
    lab: Lab, hq: Site, branch: Site, claim: Claim
) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(max_clients=1, keepalive=SHORT):
        expect_all_back(lab, hq, branch)
        before, size = tunnel.status(), tunnel.server.log_size()
        tunnel.client.stop("KILL")
        tunnel.client.start()
        expect_refused_until_dropped(tunnel, before, size, claim)
        expect_all_back(lab, hq, branch)
    expect_control_plane(lab, hq, branch)
    claim.does_not_hold(
        "its own old session occupies the only slot until the server drops it, after twice the timeout of `keepalive`"
    )


@over_tcp
@pytest.mark.claims("with `max-clients 1` over TCP, a client that reconnects early is accepted")
def test_max_clients_accepts_a_client_that_reconnects_early_over_tcp(
    lab: Lab, hq: Site, branch: Site, underlay: Underlay, claim: Claim
) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(max_clients=1, keepalive=SHORT):
        expect_all_back(lab, hq, branch)
        before, size = tunnel.status(), tunnel.server.log_size()
        tunnel.client.stop("KILL")  # the kernel closes the connection, and the slot is free
        tunnel.client.start()
        after = expect_new_session(tunnel, before)
        claim.log_line(tunnel.server, expect_log(tunnel.server, "Connection reset, restarting", size))
        expect_not_logged(tunnel.server, FULL, size)

        size = tunnel.server.log_size()
        with underlay.losing(after.real_address):
            tunnel.client.stop("KILL")
            tunnel.client.start()
            expect_refused_until_dropped(tunnel, after, size, claim)
        expect_all_back(lab, hq, branch)
    expect_control_plane(lab, hq, branch)
    claim.holds_if(
        "if the end of its old connection reaches the server; otherwise the old session occupies the only slot until "
        "the server drops it"
    )


@over_udp
@pytest.mark.claims("with `duplicate-cn` a client that reconnects early has its traffic at once")
def test_duplicate_cn_gives_a_client_that_reconnects_early_its_traffic_at_once(
    lab: Lab, hq: Site, branch: Site, claim: Claim
) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(duplicate_cn=True, keepalive=SHORT):
        expect_all_back(lab, hq, branch)
        before, size = tunnel.status(), tunnel.server.log_size()
        tunnel.client.stop("KILL")
        tunnel.client.start()
        wait_for(
            Expectation(
                what="two sessions of one client",
                node="hq",
                look=lambda: named_clients(tunnel),
                met=lambda ids: len(ids) == 2 and before.client_id in ids,
                logs=tunnel.server.log,
            ),
            within=30,
        )
        expect_not_logged(tunnel.server, TAKES_OVER, size)
        expect_control_plane(lab, hq, branch)
        claim.log_line(tunnel.server, expect_log(tunnel.server, DROPPED, size))
        old, left = before.client_id, named_clients(tunnel)
        assert old not in left, f"hq: expected the session {old} to be gone; last seen: {left}"
        for family in FAMILIES:  # the end of the old session removes nothing of the new one
            expect_passes(hq, branch, family)
    expect_control_plane(lab, hq, branch)
    claim.holds()


@shared
@pytest.mark.claims("without `duplicate-cn`, two clients with one certificate keep disconnecting each other")
def test_clients_with_one_certificate_disconnect_each_other(lab: Lab, claim: Claim) -> None:
    hub = lab.router("hub")
    first, second = lab.tunnel("spoke1", "hub"), lab.tunnel("spoke2", "hub")
    with first.mismatched(server={"keepalive": SHORT}, client={}), certificate_of(first, second):
        size, noticed = first.server.log_size(), first.client.log_size()
        second.client.start()
        wait_for(
            Expectation(
                what="each to disconnect the other one twice",
                node="hub",
                look=lambda: first.server.log_lines(TAKES_OVER, since=size),
                met=lambda lines: len(lines) >= 4,
                seen=lambda lines: f"{len(lines)} times",
                logs=first.server.log,
            ),
            within=60,
        )
        claim.log_line(first.server, first.server.log_lines(TAKES_OVER, since=size)[0])
        assert first.client.log_lines("SIGUSR1[soft,connection-reset]", since=noticed)
        assert len(named_clients(first)) <= 1
    expect_hub(hub, [lab.router("spoke1"), lab.router("spoke2")])
    claim.holds()


@shared
@pytest.mark.claims("with `duplicate-cn`, two clients with one certificate both have their traffic")
def test_clients_with_one_certificate_share_it_with_duplicate_cn(lab: Lab, claim: Claim) -> None:
    hub = lab.router("hub")
    first, second = lab.tunnel("spoke1", "hub"), lab.tunnel("spoke2", "hub")
    with first.mismatched(server={"duplicate_cn": True}, client={}), certificate_of(first, second):
        expect_hub(hub, [lab.router("spoke1")])
        (alone,) = named_clients(first)
        owner = {r.real_address for r in default_inner_routes(first)}
        size = first.client.log_size()
        second.client.start()
        second.client.wait_connected()
        # Both get the file of that name: its address and its `iroute 0/0` go to the last.
        wait_for(
            Expectation(
                what="all inner routes to lead to the second",
                node="hub",
                look=lambda: default_inner_routes(first),
                met=lambda routes: len(routes) == 2 and not owner & {r.real_address for r in routes},
                logs=first.server.log,
            ),
            within=30,
        )
        assert sorted(named_clients(first))[0] == alone
        assert len(named_clients(first)) == 2
        hub.expect_no_route(lab.router("spoke1").plan.networks)
        expect_silence(lab, "spoke1")
        second.client.stop()  # they do not return to the first client
        wait_for(
            Expectation(
                what="the second session to be gone",
                node="hub",
                look=lambda: named_clients(first),
                met=lambda ids: ids == [alone],
                logs=first.server.log,
            ),
            within=30,
        )
        left = default_inner_routes(first)
        assert not left, f"hub: expected no inner route for everything; last seen: {left}"
        expect_silence(lab, "spoke1")
        expect_not_logged(first.client, "SIGUSR1", size)
        claim.echo(
            "hub-lan gets no reply from spoke1-lan while its tunnel is up, nor after the second client has disconnected"
        )
    expect_hub(hub, [lab.router("spoke1"), lab.router("spoke2")])
    claim.does_not_hold(
        "the last has the address and the inner routes of both; the first stays connected without traffic"
    )


def accepted_client(tunnel: RunningTunnel) -> str:
    """Return the name of a server's only client."""

    def names() -> list[str]:
        with tunnel.server.management() as server:
            return [c.common_name for c in server.server_status().clients if c.common_name != "UNDEF"]

    (name,) = wait_for(
        Expectation(what="a client", node="hub", look=names, met=lambda found: len(found) == 1, logs=tunnel.server.log),
        within=30,
    )
    return name


def default_inner_routes(tunnel: RunningTunnel) -> list[InnerRoute]:
    """Return the inner routes of all addresses."""
    with tunnel.server.management() as server:
        return [route for route in server.server_status().routes if route.address in ("/0", "::/0")]


def expect_refused_until_dropped(tunnel: RunningTunnel, before: TunnelStatus, size: int, claim: Claim) -> None:
    claim.log_line(tunnel.server, expect_log(tunnel.server, FULL, size))
    expect_sessions(tunnel, before.client_id)
    claim.log_line(tunnel.server, expect_log(tunnel.server, DROPPED, size))
    expect_not_logged(tunnel.server, TAKES_OVER, size)
    expect_new_session(tunnel, before)


@contextmanager
def certificate_of(owner: RunningTunnel, other: RunningTunnel) -> Iterator[None]:
    """Copy a client's certificate and key to another client, which is stopped before and after the block."""
    other.client.stop()
    here, there = (tunnel.client.node.files / tunnel.client.process.files.relative_to("/") for tunnel in (owner, other))
    for name in ("client.crt", "client.key"):
        shutil.copy2(here / name, there / name)
    try:
        yield
    finally:
        other.client.stop()
