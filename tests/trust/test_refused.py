"""Peers that OpenVPN refuses: no tunnel, no session, no packet, and the reason in `lab status`.

Each case also checks that everything works with the right credentials afterwards.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from _pytest.mark.structures import ParameterSet
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet

from lab.cli.status import show
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.image import VERSIONS
from lab.observe import Capture
from lab.routing import SessionState
from lab.runtime.lab import Lab
from lab.tunnel import OpenVpn, RunningTunnel
from lab.tunnel.mode import End
from lab.tunnel.pki import Authority, Validity
from tests.helpers.article import expect_control_plane, expect_log, expect_passes
from tests.helpers.opcodes import DATA, opcodes
from tests.helpers.packets import is_housekeeping
from tests.helpers.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.trust, pytest.mark.topology("article")]

_DAY = timedelta(days=1)
UNREACHABLE = 3


@dataclass(frozen=True)
class Case:
    """A tunnel whose ends do not trust each other, and the reason in OpenVPN's log."""

    refuser: End
    """The end that refuses the other."""
    words: str
    run: Callable[[RunningTunnel], AbstractContextManager[None]]


def days(begins: int, ends: int) -> Validity:
    now = datetime.now(UTC)
    return Validity(now + begins * _DAY, now + ends * _DAY)


def revoked(tunnel: RunningTunnel) -> AbstractContextManager[None]:
    client = tunnel.authority.issue("branch", "client")
    return tunnel.trusting(client=client, revoked=[client])


def revoked_server(tunnel: RunningTunnel) -> AbstractContextManager[None]:
    server = tunnel.authority.issue("hq", "server")
    return tunnel.trusting(server=server, revoked=[server])


CASES = {
    "signed-by-another-authority": Case(
        "server",
        "VERIFY ERROR: depth=0, error=unable to get local issuer certificate: CN=branch, ",
        lambda tunnel: tunnel.trusting(client=Authority.new("another lab").issue("branch", "client")),
    ),
    "expired": Case(
        "server",
        "VERIFY ERROR: depth=0, error=certificate has expired: CN=branch, ",
        lambda tunnel: tunnel.trusting(client=tunnel.authority.issue("branch", "client", days(-2, -1))),
    ),
    "not-yet-valid": Case(
        "server",
        "VERIFY ERROR: depth=0, error=certificate is not yet valid: CN=branch, ",
        lambda tunnel: tunnel.trusting(client=tunnel.authority.issue("branch", "client", days(1, 2))),
    ),
    "revoked": Case("server", "VERIFY ERROR: depth=0, error=certificate revoked: CN=branch, ", revoked),
    # 2.6 says `CN=mallory` and 2.7 the bare name.
    "client-of-another-name": Case(
        "server",
        "mallory, must be branch",
        lambda tunnel: tunnel.trusting(client=tunnel.authority.issue("mallory", "client")),
    ),
    "server-of-another-name": Case(
        "client",
        "mallory, must be hq",
        lambda tunnel: tunnel.trusting(server=tunnel.authority.issue("mallory", "server")),
    ),
    "servers-certificate-as-a-clients": Case(
        "server",
        "VERIFY ERROR: depth=0, error=unsuitable certificate purpose: CN=branch, ",
        lambda tunnel: tunnel.trusting(client=tunnel.authority.issue("branch", "server")),
    ),
    "clients-certificate-as-a-servers": Case(
        "client",
        "VERIFY ERROR: depth=0, error=unsuitable certificate purpose: CN=hq, ",
        lambda tunnel: tunnel.trusting(server=tunnel.authority.issue("hq", "client")),
    ),
    "client-without-the-tls-crypt-key": Case(
        "server",
        "TLS Error: tls-crypt unwrapping failed from [AF_INET]198.51.100.5:",
        lambda tunnel: tunnel.mismatched(server={"tls_crypt": True}, client={}),
    ),
    "client-without-a-tls-crypt-v2-key": Case(
        "server",
        "TLS Error: could not determine wrapping from [AF_INET]198.51.100.",
        lambda tunnel: tunnel.mismatched(server={"tls_crypt_v2": True}, client={}),
    ),
    "revoked-server": Case("client", "VERIFY ERROR: depth=0, error=certificate revoked: CN=hq, ", revoked_server),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=pytest.mark.usually(VERSIONS[number % len(VERSIONS)]))
        for number, (name, case) in enumerate(CASES.items())
    ],
)
def test_refused_peer_exchanges_no_traffic(
    lab: Lab, hq: Site, branch: Site, case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    expect_refused(lab, hq, branch, case, capsys)


def elsewhere(tunnel: dict[str, str], *cases: str) -> list[ParameterSet]:
    """Return cases for the newest OpenVPN, and for older ones in `make test-all`."""
    marks = {
        version: [pytest.mark.topology("../daemons/pair.clab.yml", tunnel=tunnel, openvpn=version)]
        + [pytest.mark.thorough] * (version != VERSIONS[-1])
        for version in VERSIONS
    }
    return [
        pytest.param(CASES[case], id="-".join([version, *tunnel.values(), case]), marks=marks[version])
        for case in cases
        for version in VERSIONS
    ]


ELSEWHERE = [
    *elsewhere({"mode": "iroute", "transport": "udp"}, "server-of-another-name"),
    *elsewhere({"mode": "p2p-tls", "transport": "udp"}, "revoked", "client-without-a-tls-crypt-v2-key"),
    *elsewhere({"mode": "tap", "transport": "udp"}, "revoked-server"),
]
"""Other transports and modes, with cases of either end."""


@pytest.mark.parametrize("case", ELSEWHERE)
def test_refused_peer_exchanges_no_traffic_in_other_modes(
    lab: Lab, hq: Site, branch: Site, case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    expect_refused(lab, hq, branch, case, capsys)


def expect_refused(lab: Lab, hq: Site, branch: Site, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Check that tunnel, session and packets fail in the case and work again afterwards."""
    tunnel = lab.tunnel("branch", "hq")
    refuser = tunnel.server if case.refuser == "server" else tunnel.client
    server_log, client_log = tunnel.server.log_size(), tunnel.client.log_size()

    with branch.router.capture("eth1") as capture:
        with case.run(tunnel):
            expect_log(refuser, case.words, server_log if case.refuser == "server" else client_log)
            expect_cut_off(hq, branch)
            # No attempt in the meantime succeeded.
            assert not tunnel.client.log_lines("Initialization Sequence Completed", since=client_log)
            assert not tunnel.server.log_lines("Peer Connection Initiated", since=server_log)
            with tunnel.server.management() as server, tunnel.client.management() as client:
                if tunnel.mode.traits.mode_server:
                    status = server.server_status()
                    # An attempt in progress is listed without a name.
                    assert {c.common_name for c in status.clients} <= {"UNDEF"}
                    assert status.routes == ()
                else:
                    assert not server.state().connected
                assert not client.state().connected
            assert_only_attempts(capture, tunnel, hq, branch)
            assert_status_says(refuser, case.words, lab, capsys)

        expect_control_plane(lab, hq, branch)
        for family in FAMILIES:
            expect_passes(hq, branch, family)
    assert DATA & set(opcodes(tunnel_packets(capture))), "the capture lacks packets of a working tunnel"
    assert show(lab, as_json=True)


@pytest.mark.usually("2.6")
def test_both_ends_with_the_tls_crypt_key_connect(lab: Lab, hq: Site, branch: Site) -> None:
    with lab.tunnel("branch", "hq").configured(tls_crypt=True):
        expect_control_plane(lab, hq, branch)
        for family in FAMILIES:
            expect_passes(hq, branch, family)
    expect_control_plane(lab, hq, branch)


@pytest.mark.usually("2.7")
def test_new_certificate_of_a_revoked_client_is_accepted(lab: Lab, hq: Site, branch: Site) -> None:
    """A revocation list names certificates by serial number, not by common name."""
    tunnel = lab.tunnel("branch", "hq")
    size = tunnel.server.log_size()
    with tunnel.trusting(revoked=[tunnel.authority.issue("branch", "client")]):
        expect_control_plane(lab, hq, branch)
        for family in FAMILIES:
            expect_passes(hq, branch, family)
    assert not tunnel.server.log_lines("certificate revoked", since=size)
    expect_control_plane(lab, hq, branch)


def expect_cut_off(hq: Site, branch: Site) -> None:
    """Check that session, routes and pings fail in either direction and family."""
    ways = ((hq, branch), (branch, hq))
    for here, there in ways:
        expect_no_session(here, there)
        here.router.expect_no_route(there.router.plan.networks)
    with ThreadPoolExecutor() as pool:
        echoes = [
            pool.submit(here.host.echo, there.host.address(family), count=3, wait=0.5)
            for here, there in ways
            for family in FAMILIES
        ]
    for sent in echoes:
        assert sent.result().silent, f"{sent.result()}, although there is no tunnel"
    for here, there in ways:
        assert here.router.neighbor(there.router).state is not SessionState.ESTABLISHED


def expect_no_session(here: Site, there: Site) -> None:
    wait_for(
        Expectation(
            what=f"the BGP session with {there.router} to be down",
            node=here.router.name,
            look=lambda: here.router.neighbor(there.router),
            met=lambda neighbor: neighbor.state is not SessionState.ESTABLISHED,
            seen=lambda neighbor: f"{neighbor.state}",
        ),
        within=30,
    )


def tunnel_packets(capture: Capture) -> list[Packet]:
    """Return the packets of the two ends, without ICMP errors of the kernel for a port without a listener."""
    frames = [frame for p in capture.packets if not is_housekeeping(frame := p.decode())]
    return [frame for frame in frames if not (ICMP in frame and frame[ICMP].type == UNREACHABLE)]


def assert_only_attempts(capture: Capture, tunnel: RunningTunnel, hq: Site, branch: Site) -> None:
    """Assert that the transit link has only control packets of the tunnel."""
    transport = TCP if tunnel.tunnel.transport == "tcp" else UDP
    outer = {str(site.router.address("ipv4")) for site in (hq, branch)}
    frames = tunnel_packets(capture)
    for frame in frames:
        assert transport in frame, f"not the tunnel's: {frame.summary()}"
        assert {frame[IP].src, frame[IP].dst} == outer
        assert tunnel.tunnel.port in (frame[transport].sport, frame[transport].dport)
    tried = set(opcodes(frames))
    assert tried, "no attempt to connect was captured"
    assert not tried & DATA


def assert_status_says(refuser: OpenVpn, words: str, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Assert that `lab status` fails with the reason from the refuser's log, as JSON and as a table."""
    asked = subprocess.run(
        [sys.executable, "-m", "lab.cli", "status", "--lab", lab.name, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.returncode == 1, asked.stderr
    (found,) = json.loads(asked.stdout)["tunnels"]
    assert not found["up"]
    _, told, reason = found["reason"].partition(f"{refuser.node.name} logged: ")
    assert told
    assert words in reason
    assert any(line.endswith(reason) for line in refuser.log_lines(words))
    capsys.readouterr()
    assert not show(lab, as_json=False)
    shown = capsys.readouterr().out.splitlines()
    assert any(f"{refuser.node.name} logged: " in line and words in line for line in shown)
