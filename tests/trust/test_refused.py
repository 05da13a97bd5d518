"""Whom OpenVPN refuses gets no tunnel, no session and no packet through, and `lab status` says why.

Each case is its own control: the same checks pass with the right credentials, afterwards.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from scapy.layers.inet import IP, TCP
from scapy.packet import Packet

from lab.cli.observe import show
from lab.expect import Expectation, wait_for
from lab.lab import Lab
from lab.observe import Capture
from lab.pki import Authority, Credentials, Validity
from lab.router import FAMILIES
from lab.routing import SessionState
from lab.tunnel import RunningTunnel
from lab.tunnel.mode import End
from tests.convergence.checks import expect_control_plane, expect_log, expect_passes
from tests.convergence.conftest import Site
from tests.convergence.test_packets import is_housekeeping
from tests.trust.wire import DATA, opcodes

pytestmark = [pytest.mark.docker, pytest.mark.trust, pytest.mark.topology("article")]

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Ends:
    """What the ends come with instead of their own."""

    server: Credentials | None = None
    client: Credentials | None = None
    revoked: Sequence[Credentials] = ()


@dataclass(frozen=True)
class Case:
    """Credentials that do not do, and what OpenVPN says of them."""

    refuser: End
    """The end that looks at them."""
    words: str
    ends: Callable[[Authority], Ends]


def days(begins: int, ends: int) -> Validity:
    now = datetime.now(UTC)
    return Validity(now + begins * _DAY, now + ends * _DAY)


def revoked(authority: Authority) -> Ends:
    client = authority.issue("branch", "client")
    return Ends(client=client, revoked=[client])


CASES = {
    "signed-by-another-authority": Case(
        "server",
        "VERIFY ERROR: depth=0, error=unable to get local issuer certificate: CN=branch, ",
        lambda _: Ends(client=Authority.new("another lab").issue("branch", "client")),
    ),
    "expired": Case(
        "server",
        "VERIFY ERROR: depth=0, error=certificate has expired: CN=branch, ",
        lambda ours: Ends(client=ours.issue("branch", "client", days(-2, -1))),
    ),
    "not-yet-valid": Case(
        "server",
        "VERIFY ERROR: depth=0, error=certificate is not yet valid: CN=branch, ",
        lambda ours: Ends(client=ours.issue("branch", "client", days(1, 2))),
    ),
    "revoked": Case("server", "VERIFY ERROR: depth=0, error=certificate revoked: CN=branch, ", revoked),
    # 2.6 says `CN=mallory` and 2.7 the bare name.
    "client-of-another-name": Case(
        "server", "mallory, must be branch", lambda ours: Ends(client=ours.issue("mallory", "client"))
    ),
    "server-of-another-name": Case(
        "client", "mallory, must be hq", lambda ours: Ends(server=ours.issue("mallory", "server"))
    ),
    "servers-certificate-as-a-clients": Case(
        "server",
        "VERIFY ERROR: depth=0, error=unsuitable certificate purpose: CN=branch, ",
        lambda ours: Ends(client=ours.issue("branch", "server")),
    ),
    "clients-certificate-as-a-servers": Case(
        "client",
        "VERIFY ERROR: depth=0, error=unsuitable certificate purpose: CN=hq, ",
        lambda ours: Ends(server=ours.issue("hq", "client")),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_who_is_not_trusted_gets_nothing_through(
    lab: Lab, hq: Site, branch: Site, case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    tunnel = lab.tunnel("branch", "hq")
    ends = case.ends(tunnel.authority)
    refuser = tunnel.server if case.refuser == "server" else tunnel.client
    server_log, client_log = tunnel.server.log_size(), tunnel.client.log_size()

    with lab.node("transit").capture("eth1") as wire:
        with tunnel.trusting(server=ends.server, client=ends.client, revoked=ends.revoked):
            line = expect_log(refuser, case.words, server_log if case.refuser == "server" else client_log)
            expect_cut_off(hq, branch)
            # All that was tried meanwhile was of no avail either.
            assert not tunnel.client.log_lines("Initialization Sequence Completed", since=client_log)
            assert not tunnel.server.log_lines("Peer Connection Initiated", since=server_log)
            with tunnel.server.management() as server, tunnel.client.management() as client:
                status = server.server_status()
                # An attempt that is under way is listed, and has no name yet.
                assert {c.common_name for c in status.clients} <= {"UNDEF"}
                assert status.routes == ()
                assert not client.state().connected
            assert_only_attempts(wire, tunnel, hq, branch)
            assert_status_says(f"{refuser.node.name} says {line[line.index('VERIFY') :]}", lab, capsys)

        expect_control_plane(lab, hq, branch)
        for family in FAMILIES:
            expect_passes(hq, branch, family)
    assert DATA & set(opcodes(tunnelled(wire))), "the capture does not see what a tunnel carries"
    assert show(lab, as_json=True)


def test_the_fresh_certificate_of_a_revoked_client_is_trusted(lab: Lab, hq: Site, branch: Site) -> None:
    """A list of revocations refuses what it names, and not whoever has the same name."""
    tunnel = lab.tunnel("branch", "hq")
    size = tunnel.server.log_size()
    with tunnel.trusting(revoked=[tunnel.authority.issue("branch", "client")]):
        expect_control_plane(lab, hq, branch)
        for family in FAMILIES:
            expect_passes(hq, branch, family)
    assert not tunnel.server.log_lines("certificate revoked", since=size)
    expect_control_plane(lab, hq, branch)


def expect_cut_off(hq: Site, branch: Site) -> None:
    """No session, no route, and no answer to either side in either family."""
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


def tunnelled(wire: Capture) -> list[Packet]:
    return [frame for p in wire.packets if not is_housekeeping(frame := p.decode())]


def assert_only_attempts(wire: Capture, tunnel: RunningTunnel, hq: Site, branch: Site) -> None:
    """On the transit link there is TCP between the two ends, and in it OpenVPN negotiates and carries nothing."""
    outer = {str(site.router.address("ipv4")) for site in (hq, branch)}
    frames = tunnelled(wire)
    for frame in frames:
        assert TCP in frame, f"not the tunnel's: {frame.summary()}"
        assert {frame[IP].src, frame[IP].dst} == outer
        assert tunnel.tunnel.port in (frame[TCP].sport, frame[TCP].dport)
    tried = set(opcodes(frames))
    assert tried, "nobody has even tried"
    assert not tried & DATA


def assert_status_says(reason: str, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The command fails, and gives the reason in one line, as JSON and as a table."""
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
    # A later attempt was refused for the same reason, in the same words.
    assert found["reason"].endswith(reason)
    assert "\n" not in found["reason"]
    capsys.readouterr()
    assert not show(lab, as_json=False)
    assert any(reason in line for line in capsys.readouterr().out.splitlines())
