"""Why a tunnel is down: each cause produced on purpose, named by the failed wait, and undone."""

import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from lab.core.errors import EnvironmentBroken
from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.tunnel import RunningTunnel
from lab.why.lost import why_down
from tests.helpers.why import dropping, expect_down, expect_up, failure

pytestmark = [
    pytest.mark.docker,
    pytest.mark.usually("2.7"),
    pytest.mark.topology("../silent/narrow.clab.yml", tunnel={"transport": "udp"}),
]

TunnelFault = Callable[[RunningTunnel], AbstractContextManager[None]]
ELSEWHERE = ["<connection>", "remote {} 1194", "</connection>"]
"""The only `remote` of a client: OpenVPN ignores those outside of such a block."""


@dataclass(frozen=True)
class Case:
    """A tunnel that does not come up."""

    words: str
    """Words of the cause and its mend."""
    run: TunnelFault


def remote(host: str) -> list[str]:
    return [line.format(host) for line in ELSEWHERE]


CASES = {
    "certificate-purpose": Case(
        "give branch a client's certificate (extended key usage `clientAuth`), as `remote-cert-tls` demands",
        lambda tunnel: tunnel.trusting(client=tunnel.authority.issue("branch", "server")),
    ),
    "certificate-name": Case(
        "branch refuses hq's certificate: it has another name than `verify-x509-name` demands",
        lambda tunnel: tunnel.trusting(server=tunnel.authority.issue("mallory", "server")),
    ),
    "control-channel-key": Case(
        "hq cannot read branch's packets: hq has `tls-crypt` and branch has none",
        lambda tunnel: tunnel.mismatched(server={"tls_crypt": True}, client={}),
    ),
    "tls-version": Case(
        "hq has `tls-version-min 1.3`, branch has `tls-version-max 1.2`",
        lambda tunnel: tunnel.extended(server=["tls-version-min 1.3"], client=["tls-version-max 1.2"]),
    ),
    "user-password": Case(
        "hq refuses branch: it sent no user name and password; add `auth-user-pass FILE` to branch:/etc/openvpn/",
        lambda tunnel: tunnel.extended(server=["script-security 2", "auth-user-pass-verify /bin/false via-env"]),
    ),
    "client-connect": Case(
        "hq refuses branch: its `client-connect` fails",
        lambda tunnel: tunnel.extended(server=["client-connect /bin/false"]),
    ),
    "wrong-port": Case(
        "hq does not listen on UDP 198.51.100.1:1194, to which branch connects, but on UDP 198.51.100.1:1999",
        lambda tunnel: tunnel.extended(server=["port 1999"]),
    ),
    "remote-unresolvable": Case(
        "branch cannot resolve the name of its server",
        lambda tunnel: tunnel.extended(client=remote("vpn.example.invalid")),
    ),
    "no-outer-route": Case(
        "branch has no route to 192.0.2.9, to which OpenVPN connects",
        lambda tunnel: tunnel.extended(client=remote("192.0.2.9")),
    ),
}


@pytest.mark.parametrize(("kind", "case"), CASES.items(), ids=list(CASES))
def test_reason_is_the_cause(lab: Lab, kind: str, case: Case) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with case.run(tunnel):
        cause = expect_down(lab, tunnel, kind)
        assert case.words in str(cause)
    expect_up(lab, tunnel)


def test_failed_wait_names_the_cause(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.trusting(client=tunnel.authority.issue("branch", "server")):
        cause = expect_down(lab, tunnel, "certificate-purpose")
        assert f"; cause: {cause}" in failure(lambda: tunnel.wait_connected(within=1))
    expect_up(lab, tunnel)


def test_other_protocol_than_the_servers(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.extended(server=["proto tcp4-server"]):
        assert "but on TCP 198.51.100.1:1194" in expect_down(lab, tunnel, "wrong-port").what
    expect_up(lab, tunnel)


def test_proxy_that_refuses(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    listener = lab.node("hq").running.namespace.run(lambda: socket.create_server(("198.51.100.1", 1080)))

    def stop() -> None:
        with suppress(OSError):  # it is stopped twice
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        stack.callback(stop)
        pool.submit(refuse_all, listener)
        with tunnel.extended(client=["socks-proxy 198.51.100.1 1080"]):
            cause = expect_down(lab, tunnel, "proxy-refused")
            assert cause.what.startswith("branch's proxy does not connect it: socks_handshake")
            stop()
            wait_for(
                Expectation(
                    what="the missing proxy to be the cause",
                    node="branch",
                    look=lambda: str(why_down(lab, tunnel)),
                    met=lambda said: said.startswith(
                        "hq does not listen on TCP 198.51.100.1:1080, the proxy of branch"
                    ),
                    logs=tunnel.client.log,
                ),
                within=60,
            )
    expect_up(lab, tunnel)


def refuse_all(listener: socket.socket) -> None:
    """Accept no method of authentication from any client (RFC 1928, section 3), until the listener is shut down."""
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            with client, suppress(OSError):
                client.recv(4096)
                client.sendall(b"\x05\xff")


def test_refused_client_whose_process_has_ended(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.mismatched(server={"data_ciphers": ["AES-256-GCM"]}, client={}):
        expect_up(lab, tunnel)
        tunnel.client.stop()
        configuration = tunnel.client.node.files / tunnel.client.process.configuration.relative_to("/")
        configuration.write_text(configuration.read_text() + "data-ciphers CHACHA20-POLY1305\n")
        with pytest.raises(EnvironmentBroken) as error:  # the client ends, before or after it is asked
            tunnel.start()
        cause = expect_down(lab, tunnel, "no-common-cipher")
        assert "hq has AES-256-GCM, branch has CHACHA20-POLY1305" in cause.what
        assert f"; cause: {cause}" in str(error.value)
    expect_up(lab, tunnel)


def test_option_that_openvpn_refuses(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured():
        tunnel.client.stop()
        configuration = tunnel.client.node.files / tunnel.client.process.configuration.relative_to("/")
        before = configuration.read_text()
        configuration.write_text(f"{before}frobnicate yes\n")
        tunnel.client.node.spawn(tunnel.client.process.argv)
        cause = expect_down(lab, tunnel, "options-error")
        line = before.count("\n") + 1
        assert f"/etc/openvpn/client/branch-hq.conf:{line}: frobnicate" in cause.what
        configuration.write_text(before)
    expect_up(lab, tunnel)


@pytest.mark.parametrize("end", ["server", "client"])
def test_process_that_does_not_run(lab: Lab, end: str) -> None:
    tunnel = lab.tunnel("branch", "hq")
    node = {"server": "hq", "client": "branch"}[end]
    with lab.fault("openvpn-killed", tunnel=tunnel.name, end=end):
        assert expect_down(lab, tunnel, "process-ended").node == node
    expect_up(lab, tunnel)
    with lab.fault("node-paused", node=node):
        assert expect_down(lab, tunnel, "node-stopped").node == node
    expect_up(lab, tunnel)


def test_client_that_does_not_know_of_its_servers_restart(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(keepalive=(10, 120)):
        with tunnel.client.management() as client:
            connected = client.state().since
        wait_for(
            Expectation(
                what="a later second than that in which the client had connected",
                node="branch",
                look=lambda: datetime.now(UTC) - connected,
                met=lambda passed: passed >= timedelta(seconds=1),
            ),
            within=30,
        )
        tunnel.server.stop("KILL")
        tunnel.server.start()
        assert expect_down(lab, tunnel, "session-lost").node == "branch"
    expect_up(lab, tunnel)


def test_process_that_a_signal_has_stopped(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    pid = tunnel.client.node.find_process(tunnel.client.process.argv)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        assert expect_down(lab, tunnel, "process-frozen").node == "branch"
    finally:
        os.kill(pid, signal.SIGCONT)
    expect_up(lab, tunnel)


@pytest.mark.parametrize("end", ["dport", "sport"])
def test_firewall_on_the_outer_path(lab: Lab, end: str) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with dropping(lab.node("transit"), f"udp {end} 1194 drop"):
        tunnel.client.stop()
        tunnel.client.start()
        cause = expect_down(lab, tunnel, "nftables-drop")
        assert f"`udp {end} 1194 drop`" in cause.what
        assert cause.node == "transit"
        assert f"; cause: {cause.what}" in failure(lambda: tunnel.wait_connected(within=1))
    expect_up(lab, tunnel)
