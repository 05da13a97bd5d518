"""Options of cryptography and transport: different digests, the negotiated cipher, the port."""

import pytest
from scapy.layers.inet import TCP

from lab.core.expect import Expectation, wait_for
from lab.observe import CapturedPacket
from lab.runtime.lab import Lab
from tests.helpers.article import expect_log, expect_passes
from tests.helpers.tunnels import ends

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6"), pytest.mark.variants]

NOT_AUTHENTIC = "Authenticate/Decrypt packet error: packet HMAC authentication failed"


@pytest.mark.topology("p2p-static-key", tunnel={"options": {"auth": "SHA256"}})
def test_different_digests_at_the_ends_drop_all_packets(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    hq, branch = ends(lab, tunnel)
    size = tunnel.server.log_size()
    with tunnel.mismatched(server={"auth": "SHA256"}, client={"auth": "SHA512"}):
        expect_log(tunnel.server, NOT_AUTHENTIC, size)
        assert hq.host.echo(branch.host.address("ipv4"), count=3, wait=0.5).silent
    size = tunnel.server.log_size()
    expect_passes(hq, branch, "ipv4")
    assert not tunnel.server.log_lines(NOT_AUTHENTIC, since=size)


@pytest.mark.topology("article")
def test_negotiated_cipher_is_the_first_of_the_server_that_the_client_has(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    hq, branch = ends(lab, tunnel)
    chacha, aes = "CHACHA20-POLY1305", "AES-128-GCM"

    def cipher() -> str | None:
        return tunnel.status().cipher

    for server, client, chosen in (
        ([chacha, aes], [aes], aes),
        ([aes, chacha], [chacha, aes], aes),
        ([chacha, aes], [aes, chacha], chacha),
    ):
        with tunnel.mismatched(server={"data_ciphers": server}, client={"data_ciphers": client}):
            wait_for(
                Expectation(
                    what=f"{chosen} to be used", node="hq", look=cipher, met=chosen.__eq__, logs=tunnel.server.log
                ),
                within=30,
            )
            expect_passes(hq, branch, "ipv4")


@pytest.mark.topology("article", tunnel={"port": 4443})
def test_port_option_sets_the_tcp_port(lab: Lab) -> None:
    hq, branch = ends(lab, lab.tunnel("branch", "hq"))

    def to_the_port(packet: CapturedPacket) -> bool:
        frame = packet.decode()
        return TCP in frame and frame[TCP].dport == 4443

    with lab.node("transit").capture("eth1") as capture:
        expect_passes(hq, branch, "ipv4")
        capture.expect("a segment to port 4443", to_the_port)
