"""A tunnel with a RouterOS profile, with OpenVPN at both ends."""

from typing import Any

import pytest

from lab.runtime.lab import Lab
from tests.helpers.sites import Site
from tests.helpers.tunnels import expect_lans_reach_each_other, expect_prefixes_come_and_go

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6"), pytest.mark.variants]


def confined(profile: str, mode: str, transport: str, cipher: str, digest: str) -> Any:
    options = {"data-ciphers": [cipher], "auth": digest, **({} if mode == "tap" else {"topology": "subnet"})}
    tunnel = {"profile": profile, "mode": mode, "transport": transport, "options": options}
    marks = pytest.mark.topology("p2p-tls", tunnel=tunnel)
    return pytest.param(cipher, id=f"{profile}-{mode}-{transport}-{cipher}", marks=marks)


@pytest.mark.parametrize(
    "cipher",
    [
        confined("routeros-6", "iroute", "tcp", "AES-256-CBC", "SHA1"),
        confined("routeros-7", "iroute", "udp", "AES-128-CBC", "SHA512"),
        confined("routeros-7", "tap", "tcp", "AES-256-GCM", "SHA256"),
    ],
)
def test_prefixes_come_and_go(lab: Lab, cipher: str, hq: Site, branch: Site) -> None:
    tunnel = lab.tunnel("branch", "hq")
    assert tunnel.status().cipher == cipher
    assert any("TLSv1.2" in line for line in tunnel.client.log_lines("Control Channel: "))
    expect_lans_reach_each_other(hq, branch)
    expect_prefixes_come_and_go(lab, hq, branch)
