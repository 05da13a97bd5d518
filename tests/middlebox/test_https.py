"""A tunnel and a web site on one port, and the first bytes of connections as a passive observer sees them."""

from dataclasses import dataclass
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.tls.handshake import TLSClientHello
from scapy.layers.tls.record import TLS

from lab.claims.claims import Claim
from lab.core.expect import Expectation, wait_for
from lab.engine import ExecResult
from lab.observe import Capture
from lab.runtime.lab import Lab
from tests.helpers.sites import Site
from tests.helpers.tunnels import expect_lans_reach_each_other, expect_prefixes_come_and_go

pytestmark = [pytest.mark.docker, pytest.mark.topology("looks-like-https", openvpn="2.7")]

PORT = 443
SITE = "www.example.com"
HARD_RESET = {7: "P_CONTROL_HARD_RESET_CLIENT_V2", 10: "P_CONTROL_HARD_RESET_CLIENT_V3"}
"""The opcodes of OpenVPN's first packet, in the upper five bits of its first byte (ssl_pkt.h)."""
SHARED: dict[str, Any] = {"port-share": {"host": "10.3.0.20", "port": PORT}}
WRAPPED = [{"host": "192.168.2.2", "port": PORT}]


def https(mode: str = "iroute", **options: Any) -> pytest.MarkDecorator:
    tunnel: dict[str, Any] = {"mode": mode, "options": {"keepalive": [5, 15], **options}}
    return pytest.mark.topology("looks-like-https", openvpn="2.7", tunnel=tunnel)


def browse(lab: Lab) -> ExecResult:
    """Request the site at the address and port of the tunnel's server, and verify its certificate."""
    authority = lab.node("web").exec("cat", "/run/site/ca.crt").raise_on_error().stdout
    server = str(lab.tunnel("branch", "hq").tunnel.server_outer)
    asked = f"curl -sS --max-time 20 --cacert /tmp/ca.crt --resolve {SITE}:{PORT}:{server} https://{SITE}/"
    script = f"cat > /tmp/ca.crt <<'END'\n{authority}END\n{asked}"
    return lab.node("visitor").exec("sh", "-c", script)


def expect_site(lab: Lab) -> None:
    wait_for(
        Expectation(
            what="the site",
            node="visitor",
            look=lambda: browse(lab).raise_on_error().stdout,
            met=lambda text: text == "the site\n",
        ),
        within=30,
    )


@https("iroute", **SHARED)
@pytest.mark.claims("one address and port serve a web site and the tunnel (`port-share`)")
def test_port_share_serves_site_and_tunnel(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    expect_site(lab)
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)
    with lab.node("web").capture("eth1") as at_the_site:
        expect_site(lab)
        passed_on = at_the_site.expect("the browser's request, from hq", lambda p: TCP in p.decode() and not p.outgoing)
        claim.packet(at_the_site, passed_on)
    # Without `port-share` the server closes connections that are not OpenVPN.
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(port_share=None):
        lab.wait_ready()
        refused = browse(lab)
        assert "curl:" in refused.stderr, (
            f"visitor: expected no site without `port-share`; last seen: {refused.stdout!r}"
        )
    lab.wait_ready()
    expect_site(lab)
    claim.holds_if("over TCP, with `mode server`; point to point OpenVPN has no such option")


@dataclass(frozen=True)
class Look:
    """The properties of a connection's first bytes that a passive observer can see."""

    tls: bool
    """True if they are a TLS record with a ClientHello."""
    opcode: str
    """The name of OpenVPN's first opcode, after a length of two bytes; empty if there is none."""
    hello_inside: bool
    """True if a ClientHello in the clear follows OpenVPN's header."""
    alpn: bool
    """True if the ClientHello has ALPN (RFC 7301), as every browser's does."""


def look_at(data: bytes) -> Look:
    """Classify the first bytes of a client."""
    tls = data[:2] == b"\x16\x03" and data[5:6] == b"\x01"
    length, first = int.from_bytes(data[:2], "big"), data[2] >> 3 if len(data) > 2 else 0
    opcode = HARD_RESET.get(first, "") if not tls and 14 <= length <= 1600 else ""
    alpn = False
    if tls:
        hello = TLS(data)
        found = [layer for layer in getattr(hello, "msg", []) if isinstance(layer, TLSClientHello)]
        alpn = any(getattr(e, "type", None) == 16 for layer in found for e in (layer.ext or []))
    return Look(tls, opcode, not tls and b"\x16\x03\x01" in data, alpn)


def first_bytes_of(capture: Capture, source: str) -> bytes:
    """Return the first bytes of the newest connection from an address, in the order of sequence numbers."""
    segments: dict[int, bytes] = {}
    start = None
    for packet in capture.packets:
        frame = packet.decode()
        if IP not in frame or TCP not in frame or frame[IP].src != source or frame[TCP].dport != PORT:
            continue
        if frame[TCP].flags.S:
            start, segments = frame[TCP].seq + 1, {}
        elif bytes(frame[TCP].payload) and start is not None:
            segments.setdefault((frame[TCP].seq - start) % (1 << 32), bytes(frame[TCP].payload))
    data = b""
    for offset in sorted(segments):
        if offset <= len(data):
            data += segments[offset][len(data) - offset :]
    return data


def observe(lab: Lab, claim: Claim, name: str, interface: str, source: str, **options: Any) -> bytes:
    tunnel = lab.tunnel("branch", "hq")
    with lab.node("transit").capture(interface, keep=4000) as seen, tunnel.configured(port_share=None, **options):
        lab.wait_ready()
        data = first_bytes_of(seen, source)
        assert len(data) > 60, f"{name}: only {len(data)} bytes were seen"
        claim.echo(f"{name}: {data[:24].hex(' ')}")
    return data


@https()
@pytest.mark.claims("the tunnel looks like HTTPS to an observer", article="says so")
def test_first_bytes_of_a_tunnel_differ_from_https(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    mine, wrapper = "203.0.113.2", "203.0.113.10"
    plain = look_at(observe(lab, claim, "plain", "eth1", mine))
    crypt = look_at(observe(lab, claim, "tls-crypt", "eth1", mine, tls_crypt=True))
    crypt2 = look_at(observe(lab, claim, "tls-crypt-v2", "eth1", mine, tls_crypt_v2=True))
    wrapped = look_at(observe(lab, claim, "stunnel", "eth5", wrapper, remotes=WRAPPED, listen="any"))
    with (
        lab.node("transit").capture("eth1", keep=4000) as seen,
        lab.tunnel("branch", "hq").configured(port_share={"host": "10.3.0.20", "port": PORT}),
    ):
        expect_site(lab)
        browser = look_at(first_bytes_of(seen, "203.0.113.6"))
    lab.wait_ready()
    looks = {
        "plain": (plain, Look(tls=False, opcode=HARD_RESET[7], hello_inside=True, alpn=False)),
        "tls-crypt": (crypt, Look(tls=False, opcode=HARD_RESET[7], hello_inside=False, alpn=False)),
        "tls-crypt-v2": (crypt2, Look(tls=False, opcode=HARD_RESET[10], hello_inside=False, alpn=False)),
        "stunnel": (wrapped, Look(tls=True, opcode="", hello_inside=False, alpn=False)),
        "browser": (browser, Look(tls=True, opcode="", hello_inside=False, alpn=True)),
    }
    for name, (look, wanted) in looks.items():
        assert look == wanted, f"transit: expected {name} to be {wanted}; last seen: {look}"
    expect_lans_reach_each_other(hq, branch)
    claim.does_not_hold(
        "its first bytes are a length and an opcode instead of a TLS record, and `tls-crypt` and `tls-crypt-v2` do not "
        "hide these; inside TLS (stunnel) it begins with a ClientHello, which lacks the ALPN of a browser's"
    )


@https()
@pytest.mark.variants
def test_prefixes_come_and_go_inside_stunnel(lab: Lab, hq: Site, branch: Site) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(port_share=None, remotes=WRAPPED, listen="any"):
        lab.wait_ready()
        assert "192.168.3.2" in tunnel.status().real_address  # the stunnel server
        expect_lans_reach_each_other(hq, branch)
        expect_prefixes_come_and_go(lab, hq, branch)
    lab.wait_ready()
