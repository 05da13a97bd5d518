"""Tunnels without `mode server`, with a static key and with TLS."""

import pytest

from lab.claims.claims import Claim
from lab.engine import ExecResult
from lab.runtime.lab import Lab
from lab.tunnel import OpenVpn
from tests.helpers.article import expect_log, expect_not_logged
from tests.helpers.claims import expect_dynamic_routing
from tests.helpers.sites import Site

pytestmark = pytest.mark.docker

SERVERS = {"iroute", "iroute-ipv6", "mode", "server", "client-config-dir", "client-connect"}
"""Options of a server with clients, and of its inner table."""
STATIC_KEY_IS_INSECURE = "DEPRECATION: No tls-client or tls-server option in configuration detected"


@pytest.mark.topology("p2p-static-key")
@pytest.mark.claims("preshared keys cannot be used", article="says so")
def test_preshared_keys_work_point_to_point(lab: Lab, lab_openvpn: str, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    if lab_openvpn != "2.6":  # which only warns
        expect_refusal_without(tunnel.server, "allow-deprecated-insecure-static-crypto", claim)
    # The article's options with a static key: OpenVPN refuses both before it opens anything.
    for process, option, refusal in (
        (tunnel.server, "--mode server", "--mode server requires --tls-server"),
        (tunnel.client, "--pull", "--pull can only be specified in TLS-mode"),
    ):
        expect_refusal(process, option, refusal, claim)
    # Point-to-point tunnels need none of them.
    claim.log_line(tunnel.server, expect_log(tunnel.server, STATIC_KEY_IS_INSECURE, 0))
    expect_dynamic_routing(lab, hq, branch, claim)
    claim.does_not_hold("only `mode server`, `push` and `pull` require TLS; a point-to-point tunnel needs none of them")


@pytest.mark.topology("p2p-tls")
@pytest.mark.claims("without `iroute` no traffic for a routing daemon's routes passes the tunnel", article="says so")
def test_only_mode_server_needs_iroute(lab: Lab, hq: Site, branch: Site, claim: Claim) -> None:
    tunnel = lab.tunnel("branch", "hq")
    for process in (tunnel.server, tunnel.client):
        files = process.node.files / "etc/openvpn"
        said = [line for path in files.rglob("*.conf") for line in path.read_text().splitlines()]
        options = {line.split()[0] for line in said if line and not line.startswith("#")}
        node, servers = process.node.name, options & SERVERS
        assert options >= {"ifconfig", "ca"}, f"{node}: expected `ifconfig` and `ca` in its files; last seen: {options}"
        assert not servers, f"{node}: expected no option of a server with clients in its files; last seen: {servers}"
        expect_not_logged(process, "MULTI")  # prefix of the inner table's log lines
    expect_dynamic_routing(lab, hq, branch, claim)
    claim.does_not_hold("only `mode server` has an inner table; a point-to-point tunnel over TLS passes everything")


def expect_refusal_without(process: OpenVpn, option: str, claim: Claim) -> None:
    """Check that an end without one of its options does not start, and names the option."""
    size, at = process.log_size(), process.process
    without = f"grep -v {option} {at.configuration} > /tmp/without.conf"
    result = process.node.exec("sh", "-c", f"{without}; exec timeout 30 {' '.join(at.argv[:-1])} /tmp/without.conf")
    expect_end(result, f"without `{option}`")
    claim.log_line(process, expect_log(process, option, size))


def expect_end(result: ExecResult, how: str) -> None:
    """Check that a process ended by itself with an error."""
    code = result.exit_code
    assert code == 1, f"{result.node}: expected OpenVPN {how} to end with 1; last seen: it ended with {code}"


def expect_refusal(process: OpenVpn, options: str, refusal: str, claim: Claim) -> None:
    """Check that an end with further options does not start."""
    size = process.log_size()
    result = process.node.exec("timeout", "30", *process.process.argv, *options.split())
    expect_end(result, f"with `{options}`")
    claim.log_line(process, expect_log(process, refusal, size))
