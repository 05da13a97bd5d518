"""The same lab without `iroute`, with `iroute` for one family, and with both."""

import pytest

from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from tests.helpers.article import DROPPED, expect_control_plane, expect_dropped, expect_log, expect_passes
from tests.helpers.sites import Site

pytestmark = [pytest.mark.docker, pytest.mark.convergence, pytest.mark.topology("article")]


def test_without_iroute_bgp_is_up_and_traffic_is_dropped(lab: Lab, hq: Site, branch: Site) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(iroute=()):
        expect_control_plane(lab, hq, branch)
        size = tunnel.server.log_size()
        for family in FAMILIES:
            expect_dropped(hq, branch, family)
            source = branch.host.address(family)
            assert f"[{source}]" in expect_log(tunnel.server, f"{DROPPED} [{source}]", size)
    expect_control_plane(lab, hq, branch)
    for family in FAMILIES:
        expect_passes(hq, branch, family)


def test_ipv4_iroute_alone_leaves_ipv6_dropped(lab: Lab, hq: Site, branch: Site) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.configured(iroute=("ipv4",)):
        expect_control_plane(lab, hq, branch)
        size = tunnel.server.log_size()
        expect_passes(hq, branch, "ipv4")
        expect_dropped(hq, branch, "ipv6")
        assert expect_log(tunnel.server, f"{DROPPED} [{branch.host.address('ipv6')}]", size)
        assert not tunnel.server.log_lines(f"{DROPPED} [{branch.host.address('ipv4')}]", since=size)
    expect_control_plane(lab, hq, branch)
    for family in FAMILIES:
        expect_passes(hq, branch, family)


def test_client_rejects_a_pushed_iroute_and_keeps_working(lab: Lab, hq: Site, branch: Site) -> None:
    tunnel = lab.tunnel("branch", "hq")
    rejection = "option 'iroute' cannot be used in this context ([PUSH-OPTIONS])"
    size = tunnel.client.log_size()
    with tunnel.configured():  # a new session without the push
        expect_control_plane(lab, hq, branch)
        assert not tunnel.client.log_lines(rejection, since=size)
    size = tunnel.client.log_size()
    with tunnel.configured(push_iroute=True):
        assert expect_log(tunnel.client, rejection, size)
        expect_control_plane(lab, hq, branch)
        for family in FAMILIES:
            expect_passes(hq, branch, family)
    expect_control_plane(lab, hq, branch)


@pytest.mark.parametrize("hand_out", ["client-connect", "client-config-dir"])
def test_script_and_file_both_set_the_iroute(lab: Lab, hq: Site, branch: Site, hand_out: str) -> None:
    tunnel = lab.tunnel("branch", "hq")
    size = tunnel.server.log_size()
    with tunnel.configured(hand_out=hand_out):
        line = expect_log(tunnel.server, "MULTI: internal route 0.0.0.0/0 -> branch/", size)
        assert tunnel.tunnel.client in line
        assert expect_log(tunnel.server, "MULTI: internal route ::/0 -> branch/", size)
        expect_control_plane(lab, hq, branch)
        for family in FAMILIES:
            expect_passes(hq, branch, family)
    expect_control_plane(lab, hq, branch)
