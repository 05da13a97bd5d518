"""Assertions that hold for all tunnel modes."""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.routing import Neighbor, SessionState
from lab.runtime.lab import Lab
from lab.topology import Address, Prefix
from lab.tunnel import RunningTunnel, TunnelStatus
from tests.helpers.sites import Site


def site(lab: Lab, tunnel: RunningTunnel, router: str) -> Site:
    """Return an end of a tunnel with the host behind it, which is ROUTER-lan in all topologies."""
    return Site(lab.router(router), lab.host(f"{router}-lan"), tunnel.device(router))


def ends(lab: Lab, tunnel: RunningTunnel) -> tuple[Site, Site]:
    """Return the server's site and the client's."""
    return site(lab, tunnel, tunnel.tunnel.server), site(lab, tunnel, tunnel.tunnel.client)


def both_ways(one: Site, other: Site) -> tuple[tuple[Site, Site], tuple[Site, Site]]:
    return (one, other), (other, one)


def session_of(status: TunnelStatus) -> tuple[object, ...]:
    """Return the values that change when either end restarts or the ends reconnect."""
    return status.server_pid, status.client_pid, status.client_id, status.connected_since


def expect_one_session_for_both_families(tunnel: RunningTunnel, server: Site, client: Site) -> None:
    """Wait for a single BGP session over the inner addresses, with prefixes of both families."""
    inner = {server.router.name: tunnel.tunnel.server_ipv4.ip, client.router.name: tunnel.tunnel.client_ipv4.ip}
    for here, there in both_ways(server, client):
        address = inner[there.router.name]
        session = wait_for(
            Expectation(
                what=f"one session with {address} that has brought prefixes of both families",
                node=here.router.name,
                look=partial(sessions_with, here, there, address),
                met=lambda found: [all(map(s.prefixes_received.get, FAMILIES)) for s in found] == [True],
                logs=here.router.running.files,
            ),
            within=30,
        )[0]
        assert session.state is SessionState.ESTABLISHED
        assert session.asn == there.router.plan.asn


def sessions_with(here: Site, there: Site, address: Address) -> list[Neighbor]:
    return [session for session in here.router.neighbors_at(there.router) if session.address == address]


def expect_lans_reach_each_other(one: Site, other: Site) -> None:
    for here, there in both_ways(one, other):
        for family in FAMILIES:
            here.host.expect_reaches(there.host.address(family))


def expect_prefixes_come_and_go(lab: Lab, one: Site, other: Site) -> None:
    """Announce and withdraw prefixes; check RIB, kernel FIB and packets, in both families and directions at once."""
    moves = [(here, there, lab.free_prefix(family)) for here, there in both_ways(one, other) for family in FAMILIES]
    with ExitStack() as served:
        addresses = [served.enter_context(here.router.serving(prefix, here.host)) for here, _, prefix in moves]
        asked = [(there, address) for (_, there, _), address in zip(moves, addresses, strict=True)]
        for _, there, prefix in moves:
            there.router.expect_no_route(prefix)
        assert_silent(asked, "before it is announced")

        announced = time.monotonic()
        with ExitStack() as routes:
            for here, _, prefix in moves:
                routes.enter_context(here.router.announced(prefix))
            for (_, there, prefix), address in zip(moves, addresses, strict=True):
                there.router.expect_route(prefix, via=there.device, since=announced)
                there.host.expect_reaches(address, since=announced)

        withdrawn = time.monotonic()
        for _, there, prefix in moves:
            there.router.expect_no_route(prefix, since=withdrawn)
        assert_silent(asked, "after it was withdrawn")


def assert_silent(asked: Iterable[tuple[Site, Address]], when: str) -> None:
    """Assert that no address answers the host of its site; all are pinged at once."""
    with ThreadPoolExecutor() as pool:
        for result in pool.map(lambda pair: pair[0].host.echo(pair[1], wait=0.5), asked):
            assert result.silent, f"a prefix is reachable {when}: {result}"


def route_option(prefix: Prefix) -> str:
    """Return the prefix as a `route` or `route-ipv6` option."""
    if prefix.version == 4:
        return f"route {prefix.network_address} {prefix.netmask}"
    return f"route-ipv6 {prefix}"
