"""The modes without `mode server`: the article's experiment without any `iroute`."""

import pytest

from lab.runtime.lab import Lab
from tests.helpers.tunnels import (
    ends,
    expect_lans_reach_each_other,
    expect_one_session_for_both_families,
    expect_prefixes_come_and_go,
    session_of,
)


def variant(mode: str, transport: str, outer: str, **options: object) -> object:
    tunnel = {"transport": transport, "outer": outer, "options": options}
    return pytest.param(mode, id=f"{mode}-{transport}-{outer}", marks=pytest.mark.topology(mode, tunnel=tunnel))


# Two of the four pairs of transport and outer family cover each transport and each family.
VARIANTS = [
    variant("p2p-tls", "udp", "ipv4"),
    variant("p2p-tls", "tcp", "ipv6", **{"tls-crypt-v2": True}),
    variant("p2p-static-key", "udp", "ipv6"),
    variant("p2p-static-key", "tcp", "ipv4", auth="SHA256"),
]

pytestmark = [
    pytest.mark.docker,
    pytest.mark.usually("2.7"),
    pytest.mark.variants,
    pytest.mark.parametrize("mode", VARIANTS, scope="module"),
]


def test_prefixes_of_both_families_come_and_go(lab: Lab, mode: str) -> None:
    tunnel = lab.tunnel("branch", "hq")
    hq, branch = ends(lab, tunnel)
    before = tunnel.status()
    expect_one_session_for_both_families(tunnel, hq, branch)
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)
    assert session_of(tunnel.status()) == session_of(before)


def test_status_of_a_server_without_mode_server(lab: Lab, mode: str) -> None:
    tunnel = lab.tunnel("branch", "hq")
    status = tunnel.status()
    assert status.client_id is None
    assert status.cipher == {"p2p-tls": "AES-256-GCM", "p2p-static-key": "AES-256-CBC"}[mode]
    outer = lab.node("branch").address(tunnel.tunnel.outer)
    assert status.real_address.startswith(f"{outer}:")
    assert status.bytes_to_server > 0
    assert status.bytes_to_client > 0
