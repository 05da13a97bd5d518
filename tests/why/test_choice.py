"""Why a route is not the best one, or does not pass a hub: two tunnels with preferences, and a hub with two spokes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.core.errors import ExpectationFailed
from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.topology import Prefix
from lab.why.cause import Explanation
from lab.why.route import no_route
from tests.helpers.causes import expect_cause
from tests.helpers.pairs import Trio
from tests.helpers.router_faults import frr_lines

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def daemon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The daemon of both routers; the first tunnel is preferred."""
    name: str = getattr(request, "param", "frr")
    monkeypatch.setenv("PREFERENCE", "200")
    monkeypatch.setenv("DAEMON", name)
    return name


LINES = {"frr": "set local-preference", "bird3": "bgp_local_pref"}


@pytest.mark.topology("dual-homed", openvpn="2.7")
@pytest.mark.parametrize("daemon", LINES, indirect=True)
def test_path_through_another_tunnel_is_preferred(lab: Lab, daemon: str) -> None:
    branch = lab.router("branch")
    for prefix in lab.router("hq").plan.networks:
        branch.expect_route(prefix, via="tun0")
        expect_path(branch, prefix)
        assert no_route(lab, "branch", prefix, "tun0") == no_route(lab, "branch", prefix) == Explanation()
        found = no_route(lab, "branch", prefix, "tun1")
        (cause,) = found.causes
        assert (cause.kind, cause.node) == ("not-best", "branch")
        assert "through tun1: " in cause.what
        assert LINES[daemon] in cause.mend
        with pytest.raises(ExpectationFailed, match="; cause: branch prefers the path"):
            branch.expect_in_fib(prefix, via="tun1", within=0.1)


def expect_path(router: Router, prefix: Prefix) -> None:
    """Wait until a router has a path through each of two tunnels."""
    family = "ipv4" if prefix.version == 4 else "ipv6"
    wait_for(
        Expectation(
            what=f"two paths to {prefix}",
            node=router.name,
            look=lambda: router.rib(family).get(prefix, ()),  # type: ignore[arg-type]
            met=lambda paths: len(paths) == 2,
        ),
        within=30,
    )


@pytest.mark.topology("dual-homed", openvpn="2.7")
def test_session_of_the_other_tunnel_is_down(lab: Lab) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    prefix = hq.plan.networks[0]
    peer = next(str(p.address) for p in branch.plan.peers if p.interface == "tun1")
    line = f"neighbor {peer} shutdown"
    with frr_lines(branch, ["router bgp 65002", line], ["router bgp 65002", f"no {line}"]):
        branch.expect_in_fib(prefix, via="tun0")
        expect_cause("branch", lambda: no_route(lab, "branch", prefix, "tun1"), "session-shutdown")
        assert no_route(lab, "branch", prefix, "tun0") == Explanation()
        assert f"({peer})" in str(no_route(lab, "branch", prefix, "tun1"))
    branch.expect_session("hq")


SAME_AS = Trio("ebgp", "asn: 65000", "daemon: bird, asn: 65001", "asn: 65001")
INTERNAL = Trio("ibgp", "asn: 65000", "daemon: bird, asn: 65000", "asn: 65000")


@pytest.mark.topology("hub.clab.yml", openvpn="2.7")
@pytest.mark.parametrize("trio", [SAME_AS], ids=str, indirect=True)
def test_own_as_in_the_path_is_refused(lab: Lab, trio: Trio) -> None:
    for here, there in (("spoke1", "spoke2"), ("spoke2", "spoke1")):
        for prefix in lab.router(there).plan.networks:
            lab.router("hub").expect_route(prefix)
            (cause,) = no_route(lab, here, prefix).causes
            assert (cause.kind, cause.node) == ("as-loop", here)
            assert "its own AS 65001 is in the path" in cause.what
    assert no_route(lab, "hub", lab.router("spoke1").plan.networks[0]) == Explanation()


@contextmanager
def without_reflector(hub: Router) -> Iterator[None]:
    lines = [f"neighbor {p.address} route-reflector-client" for p in hub.plan.peers]
    inside = ["router bgp 65000", "address-family ipv4 unicast"]
    with frr_lines(hub, [*inside, *(f"no {line}" for line in lines)], [*inside, *lines]):
        yield


@pytest.mark.topology("hub.clab.yml", openvpn="2.7")
@pytest.mark.parametrize("trio", [INTERNAL], ids=str, indirect=True)
def test_hub_that_reflects_nothing(lab: Lab, trio: Trio) -> None:
    hub, spoke = lab.router("hub"), lab.router("spoke1")
    prefix = lab.router("spoke2").plan.networks[0]
    spoke.expect_route(prefix)
    with without_reflector(hub):
        spoke.expect_not_in_fib(prefix)
        found = expect_cause("spoke1", lambda: no_route(lab, "spoke1", prefix), "not-reflected", node="hub")
        assert "route-reflector-client` to `address-family ipv4 unicast`" in str(found)
    spoke.expect_route(prefix)
    assert no_route(lab, "spoke1", prefix) == Explanation()
