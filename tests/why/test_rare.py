"""Causes that need a fault of their own, produced on purpose, named, and gone when undone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from lab.core.errors import EnvironmentBroken
from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.tunnel import RunningTunnel
from lab.tunnel.pki import Validity
from lab.why.cause import Explanation
from lab.why.inner import Header, lost_in_tunnel
from lab.why.session import session_down
from tests.helpers.causes import expect_cause
from tests.helpers.pairs import Pair
from tests.helpers.router_faults import frr_lines
from tests.helpers.why import expect_down, expect_up, failure

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.7")]

two_sites = pytest.mark.topology("../silent/narrow.clab.yml", tunnel={"transport": "udp"})
one_as = pytest.mark.parametrize(
    "pair",
    [
        Pair(
            "one-as", "daemon: frr, asn: 65001, sessions: per-family", "daemon: bird3, asn: 65001, sessions: per-family"
        )
    ],
    indirect=True,
    ids=str,
)
two_frr = pytest.mark.parametrize(
    "pair",
    [Pair("bfd", *(f"daemon: frr, asn: {asn}, bfd: {{multiplier: 3, interval: 100}}" for asn in (65001, 65002)))],
    indirect=True,
    ids=str,
)
pair_lab = pytest.mark.topology("pair.clab.yml", openvpn="2.7")


# --- tunnels -----------------------------------------------------------------------------------------------


@contextmanager
def written(tunnel: RunningTunnel, path: str, text: str) -> Iterator[None]:
    """Write a file of the server's in the context."""
    file = tunnel.server.node.root / path.lstrip("/")
    file.write_text(text)
    try:
        yield
    finally:
        file.unlink()


@two_sites
def test_list_of_revoked_certificates_has_expired(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    now = datetime.now(UTC)
    ended = tunnel.authority.revocation_list(validity=Validity(now - timedelta(days=2), now - timedelta(days=1)))
    with written(tunnel, "/tmp/expired.crl", ended), tunnel.extended(server=["crl-verify /tmp/expired.crl"]):
        cause = expect_down(lab, tunnel, "revocation-list")
        assert cause.node == "hq"
        assert cause.what.startswith("hq refuses branch's certificate: the list of revoked ones is not valid")
        assert cause.mend.startswith("renew the list (hq:/etc/openvpn/server/branch-hq.conf:")
        assert f"; cause: {cause}" in failure(lambda: tunnel.wait_connected(within=1))
    expect_up(lab, tunnel)


@two_sites
def test_server_that_does_not_say_why_it_refuses(lab: Lab) -> None:
    """`disable` in the client's file: the server sends AUTH_FAILED, and the client ends."""
    tunnel = lab.tunnel("branch", "hq")
    lab.node("hq").exec("mkdir", "-p", "/tmp/clients").raise_on_error()
    with tunnel.extended(server=["client-config-dir /tmp/clients"]):
        expect_up(lab, tunnel)
        tunnel.client.stop()
        with written(tunnel, "/tmp/clients/branch", "disable\n"):
            with pytest.raises(EnvironmentBroken) as error:  # the client ends, before or after it is asked
                tunnel.start()
            cause = expect_down(lab, tunnel, "authentication")
            assert cause.what.startswith("hq refuses branch: ")
            assert cause.mend == "look for the reason in the log of hq"
            assert f"; cause: {cause}" in str(error.value)
    expect_up(lab, tunnel)


@two_sites
def test_place_of_the_only_client_is_taken(lab: Lab) -> None:
    """By the client's own old session, which the server has not missed yet."""
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(max_clients=1, keepalive=(10, 120)):
        tunnel.client.stop("KILL")
        tunnel.client.start()
        cause = expect_down(lab, tunnel, "max-clients")
        assert cause.what == "hq refuses branch: it has as many clients as `max-clients 1` allows"
        assert f"; cause: {cause}" in failure(lambda: tunnel.wait_connected(within=1))
    expect_up(lab, tunnel)


@pytest.mark.topology(
    "../silent/narrow.clab.yml",
    tunnel={
        "transport": "udp",
        "ipv6": {"peer": "2001:db8:ff07::1/64", "local": "2001:db8:ff07::2/64"},
    },
)
def test_address_of_the_tunnel_that_no_client_has(lab: Lab) -> None:
    """IPv6: this server's IPv4 device has the address of its client as its peer, and no subnet."""
    tunnel = lab.tunnel("branch", "hq")
    own, client = tunnel.addresses("hq").ipv6, tunnel.addresses("branch").ipv6
    assert own is not None
    assert client is not None
    absent = own.network[99]
    with tunnel.configured(iroute=[]):
        found = lost_in_tunnel(lab, tunnel, "hq", Header(own.ip, absent, 84))
        assert [cause.kind for cause in found.causes] == ["no-such-client"], found
        assert found.causes[0].what.endswith(f"no client has the address {absent}")
        assert found.causes[0].evidence
        passes = lost_in_tunnel(lab, tunnel, "hq", Header(own.ip, client.ip, 84))
        assert passes.apart.endswith("carries such packets now"), passes
    lab.wait_ready()


# --- sessions ----------------------------------------------------------------------------------------------


def expect_none(lab: Lab) -> None:
    for name, other in (("hq", "branch"), ("branch", "hq")):
        lab.router(name).expect_session(other)
    for name, other in (("hq", "branch"), ("branch", "hq")):
        wait_for(
            Expectation(
                what="no cause",
                node=name,
                look=partial(session_down, lab, name, other),
                met=lambda found: found == Explanation(),
            ),
            within=40,
        )


@pair_lab
@one_as
def test_two_routers_of_one_as_have_one_router_id(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    expect_none(lab)
    same = branch.plan.router_id
    lines = ["router bgp 65001", f"bgp router-id {same}"], ["router bgp 65001", f"bgp router-id {hq.plan.router_id}"]
    with frr_lines(hq, *lines, clear="*"):
        for name, other in (("hq", "branch"), ("branch", "hq")):
            found = expect_cause(name, partial(session_down, lab, name, other), "session-router-id")
            assert f"have the same router ID, {same}; give each router a router ID of its own" in str(found)
            assert found.causes[0].evidence
    hq.reset()
    expect_none(lab)


@pair_lab
@two_frr
def test_packets_of_bfd_are_lost(lab: Lab, pair: Pair) -> None:
    expect_none(lab)
    with dropped(lab.router("hq"), "udp dport 3784 drop"):
        for name, other in (("hq", "branch"), ("branch", "hq")):
            found = expect_cause(name, partial(session_down, lab, name, other), "bfd-down")
            assert "BFD session with" in str(found)
            assert found.causes[0].evidence
    expect_none(lab)


@contextmanager
def dropped(router: Router, rule: str) -> Iterator[None]:
    """Have a router drop what arrives for itself by a rule of nftables."""
    chain = "add chain inet why in { type filter hook input priority 0; }"
    router.exec("nft", f"add table inet why; {chain}; add rule inet why in {rule}").raise_on_error()
    try:
        yield
    finally:
        router.exec("nft", "delete table inet why").raise_on_error()


@pair_lab
@two_frr
def test_no_end_listens(lab: Lab, pair: Pair) -> None:
    expect_none(lab)
    with deaf(lab.router("hq")), deaf(lab.router("branch")):
        for name, other in (("hq", "branch"), ("branch", "hq")):
            found = expect_cause(name, partial(session_down, lab, name, other), "not-listening")
            assert f"{other} does not listen on TCP port 179, and neither does {name}" in str(found)
            assert "; cause: " in failure(lambda: lab.router(name).expect_session(other, within=0.1))  # noqa: B023
    expect_none(lab)


@contextmanager
def deaf(router: Router) -> Iterator[None]:
    """Run a router's bgpd in the context with `-p 0`, with which it listens on no port (bgpd(8))."""
    ended = "while kill -0 $(cat /run/frr/bgpd.pid); do sleep 0.02; done; rm -f /run/frr/bgpd.pid /run/frr/bgpd.vty"
    start = "/usr/lib/frr/bgpd -d -A 127.0.0.1 -P 0 -p 0 -M bmp -f /etc/frr/frr.conf"
    router.exec("sh", "-c", f"kill $(cat /run/frr/bgpd.pid); {ended}; {start}").raise_on_error()
    try:
        yield
    finally:
        router.daemon.stop(router.running)
        router.daemon.start(router.running, router.plan)
