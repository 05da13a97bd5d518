"""Attribute changes with an alternative path: the traffic moves, and moves back."""

import pytest

from lab.runtime.lab import Lab
from lab.topology import Family

pytestmark = [pytest.mark.docker, pytest.mark.faults]


@pytest.fixture(params=["frr", "bird"], autouse=True)
def daemon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The daemon of both routers; parametrized before the lab is deployed."""
    monkeypatch.setenv("DAEMON", request.param)
    return str(request.param)


@pytest.mark.topology("dual-homed", openvpn="2.7")
def test_changed_attribute_moves_the_traffic(lab: Lab, daemon: str, family: Family) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    ways = [(lab.tunnel(name).device("hq"), lab.tunnel(name).device("branch")) for name in ("first", "second")]
    prefix = lab.free_prefix(family)
    hq.announce(prefix)
    try:
        for (here, there), (_, other) in (ways, ways[::-1]):
            for med, prepend in ((200, 0), (None, 2)):
                hq.announce(prefix, med=med, prepend=prepend, through=here)
                branch.expect_in_fib(prefix, via=other, alone=True)
                hq.clear_attributes(prefix)
                branch.expect_in_fib(prefix, via=there)
                branch.expect_in_fib(prefix, via=other)
            branch.prefer(prefix, local_pref=300, through=there)
            branch.expect_in_fib(prefix, via=there, alone=True)
            branch.prefer(prefix, local_pref=None)
            branch.expect_in_fib(prefix, via=other)
            branch.expect_in_fib(prefix, via=there)
        # A next hop that only the second tunnel leads to: announced over the first, the traffic takes the second.
        first, second = lab.tunnel("first").tunnel, lab.tunnel("second").tunnel
        hop = second.server_ipv4.ip if family == "ipv4" else second.server_ipv6.ip
        assert hop not in (first.server_ipv4.ip, first.server_ipv6.ip)
        hq.announce(prefix, next_hop=hop, through=ways[0][0])
        branch.expect_in_fib(prefix, via=ways[1][1], alone=True)
        hq.clear_attributes(prefix)
        branch.expect_in_fib(prefix, via=ways[0][1])
    finally:
        hq.withdraw(prefix)
    branch.expect_no_route(prefix)
