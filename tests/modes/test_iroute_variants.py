"""Variants of the mode iroute: `net30` and `subnet`, TCP and UDP, IPv4 and IPv6 outside, script and file.

tests/convergence has the article's own variant (net30, TCP, IPv4, script). The four here cover all pairs of these
choices; each has another option besides.
"""

from typing import Any

import pytest

from lab.runtime.lab import Lab
from tests.helpers.tunnels import (
    ends,
    expect_lans_reach_each_other,
    expect_one_session_for_both_families,
    expect_prefixes_come_and_go,
    session_of,
)

SCRIPT, FILE = "client-connect", "client-config-dir"
AES, CHACHA = "AES-256-GCM", "CHACHA20-POLY1305"


def variant(topology: str, transport: str, outer: str, hand_out: str, **options: Any) -> Any:
    cipher = options.get("data-ciphers", [AES])[0]
    tunnel = {
        "transport": transport,
        "outer": outer,
        "options": {"topology": topology, "hand-out": hand_out, **options},
    }
    name = "-".join([topology, transport, outer, hand_out])
    return pytest.param(cipher, id=name, marks=pytest.mark.topology("article", tunnel=tunnel))


VARIANTS = [
    variant("net30", "udp", "ipv6", FILE, **{"tls-crypt": True}),
    variant("subnet", "tcp", "ipv6", FILE, **{"data-ciphers": [CHACHA]}),
    variant("subnet", "udp", "ipv4", FILE, **{"tls-crypt-v2": True, "persist-tun": False}),
    variant("subnet", "udp", "ipv6", SCRIPT, auth="SHA512", mssfix=0),
]

pytestmark = [
    pytest.mark.docker,
    pytest.mark.usually("2.7"),
    pytest.mark.variants,
    pytest.mark.parametrize("cipher", VARIANTS, scope="module"),
]


def test_prefixes_of_both_families_come_and_go(lab: Lab, cipher: str) -> None:
    tunnel = lab.tunnel("branch", "hq")
    hq, branch = ends(lab, tunnel)
    before = tunnel.status()
    assert before.cipher == cipher
    expect_one_session_for_both_families(tunnel, hq, branch)
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)
    assert session_of(tunnel.status()) == session_of(before)
