"""Options that silently disable DCO: only the log and `lab status` show who carries the data."""

import pytest

from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.status.overview import TunnelReport, tunnel_reports
from lab.tunnel import RunningTunnel
from tests.helpers.article import expect_log

pytestmark = [
    pytest.mark.docker,
    pytest.mark.needs_kernel("ovpn"),
    pytest.mark.topology("dco-off.clab.yml", openvpn="2.7"),
]

CBC = "data-ciphers AES-256-CBC"


def channel(lab: Lab, name: str) -> str | None:
    """Return the kind of data channel once the tunnel is up."""

    def look() -> TunnelReport:
        (found,) = (tunnel for tunnel in tunnel_reports(lab) if tunnel.name == name)
        return found

    seen = wait_for(
        Expectation(what=f"{name} to be up", node="branch", look=look, met=lambda t: t.up, seen=lambda t: t.reason),
        within=60,
    )
    return seen.channel


def expect_both_families_pass(lab: Lab, tunnel: RunningTunnel) -> None:
    for address in (tunnel.tunnel.client_ipv4, tunnel.tunnel.client_ipv6):
        lab.node("hq").expect_reaches(address.ip)


@pytest.mark.parametrize(
    ("server", "client", "expected"),
    [
        # far-away.clab.yml has both ends without DCO, dco-off.clab.yml the server alone.
        pytest.param(["disable-dco"], ["disable-dco"], "userspace", marks=pytest.mark.thorough),
        pytest.param(["disable-dco"], [], "userspace at hq, kernel at branch", marks=pytest.mark.thorough),
        ([], ["disable-dco"], "kernel at hq, userspace at branch"),
        (["fragment 1300"], ["fragment 1300"], "userspace"),
        (["compress lz4-v2", "allow-compression asym"], ["compress lz4-v2", "allow-compression asym"], "userspace"),
        ([CBC], [CBC], "userspace"),
    ],
    ids=["both", "server", "client", "fragment", "compress", "cbc"],
)
def test_device_kind_shows_disabled_dco(lab: Lab, server: list[str], client: list[str], expected: str) -> None:
    tunnel = lab.tunnel("dco")
    with tunnel.extended(server=server, client=client):
        assert channel(lab, "dco") == expected
    assert channel(lab, "dco") == "kernel"
    expect_both_families_pass(lab, tunnel)


@pytest.mark.parametrize("line", ["http-proxy 198.51.100.9 3128", "socks-proxy 198.51.100.9 1080"])
def test_client_with_proxy_disables_dco(lab: Lab, line: str) -> None:
    """The proxy does not exist: the client prints the message before it connects."""
    tunnel = lab.tunnel("dco")
    size = tunnel.client.log_size()
    with tunnel.extended(client=[line, *(["proto tcp4-client"] if "http" in line else [])]):
        assert "disabl" in expect_log(tunnel.client, "data channel offload", size)


def test_tap_device_does_not_use_dco(lab: Lab) -> None:
    assert channel(lab, "tap") == "userspace"
    expect_both_families_pass(lab, lab.tunnel("tap"))


def test_net30_keeps_the_server_in_userspace(lab: Lab) -> None:
    """The client still uses DCO: each end decides by itself."""
    tunnel = lab.tunnel("net30")
    assert channel(lab, "net30") == "userspace at hq, kernel at branch"
    assert "disable-dco" not in (tunnel.server.node.files / "etc/openvpn/server/net30.conf").read_text()
    expect_both_families_pass(lab, tunnel)


def test_killed_iroute_client_restarts(lab: Lab) -> None:
    """The kernel's device stays behind; the lab removes it before it starts a new process."""
    tunnel = lab.tunnel("net30")
    before = tunnel.status().client_pid
    tunnel.client.stop("KILL")
    left = lab.node("branch").exec("ip", "-d", "link", "show", tunnel.device("branch")).raise_on_error().stdout
    assert "ovpn" in left, left
    tunnel.start()
    assert channel(lab, "net30") == "userspace at hq, kernel at branch"
    assert tunnel.status().client_pid != before
    expect_both_families_pass(lab, tunnel)
