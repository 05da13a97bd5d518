"""Why OSPF has no adjacency: each difference between the ends is produced at FRR and named from both."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network

import pytest

from lab.routing.frr.vty import Vty
from lab.runtime.lab import Lab
from lab.topology import Prefix
from lab.why.cause import Explanation
from lab.why.route import no_route
from lab.why.session import session_down
from tests.helpers.causes import expect_cause
from tests.helpers.pairs import Pair
from tests.helpers.router_faults import frr_lines

pytestmark = [pytest.mark.docker, pytest.mark.topology("pair.clab.yml", openvpn="2.7")]

BOTH = pytest.mark.parametrize(
    "pair", [Pair("ospf", "protocol: ospf", "daemon: bird, protocol: ospf")], indirect=True, ids=str
)
IPV4, IPV6 = ip_network("10.1.0.0/24"), ip_network("2001:db8:1::/64")


@dataclass(frozen=True)
class Case:
    """Lines below the interface of the FRR, and what should be said about them."""

    name: str
    prefix: Prefix
    on: Sequence[str]
    off: Sequence[str]
    kind: str
    said: str

    def __str__(self) -> str:
        return self.name


CASES = [
    Case(
        "area", IPV4, ["no ip ospf area", "ip ospf area 1"], ["no ip ospf area", "ip ospf area 0"], "ospf-area",
        "change it to `ip ospf area 0.0.0.0` below `interface tun0` in frr.conf of hq",
    ),
    Case(
        "hello6", IPV6, ["ipv6 ospf6 hello-interval 2"], ["ipv6 ospf6 hello-interval 1"], "ospf-timers",
        "change it to `ipv6 ospf6 hello-interval 1` below `interface tun0`",
    ),
    Case("passive", IPV4, ["ip ospf passive"], ["no ip ospf passive"], "ospf-passive", "remove `ip ospf passive`"),
    Case("off", IPV4, ["no ip ospf area"], ["ip ospf area 0"], "ospf-not-enabled", "add `ip ospf area 0.0.0.0`"),
    Case(
        "type", IPV4, ["ip ospf network broadcast"], ["ip ospf network point-to-point"], "ospf-network-type",
        "change it to `ip ospf network point-to-point`",
    ),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("case", CASES, ids=str)
def test_adjacency_that_is_down_has_its_cause(lab: Lab, pair: Pair, case: Case) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    branch.expect_route(case.prefix)
    assert session_down(lab, "branch", "hq") == session_down(lab, "hq", "branch") == Explanation()
    inside = "interface tun0"
    daemon = "ospfd" if case.prefix == IPV4 else "ospf6d"
    with frr_lines(hq, [inside, *case.on], [inside, *case.off], daemon=daemon):
        branch.expect_not_in_fib(case.prefix)
        for here, there in (("hq", "branch"), ("branch", "hq")):
            found = expect_cause(here, partial(session_down, lab, here, there), case.kind)
            if here == "hq":
                assert case.said in str(found)
        assert [c.kind for c in no_route(lab, "branch", case.prefix).causes] == [case.kind]
        other = IPV6 if case.prefix == IPV4 else IPV4
        assert no_route(lab, "branch", other) == Explanation()
    branch.expect_session("hq")
    branch.expect_route(case.prefix)
    assert no_route(lab, "branch", case.prefix) == Explanation()


@BOTH
def test_prefix_that_ospf_does_not_originate(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    hq.withdraw(IPV4)
    try:
        branch.expect_not_in_fib(IPV4)
        (cause,) = no_route(lab, "branch", IPV4).causes
        assert (cause.kind, cause.node) == ("not-originated", "hq")
        assert f"redistribute {IPV4} in `router ospf`" in cause.mend
    finally:
        hq.announce(IPV4)
    branch.expect_route(IPV4)


@BOTH
def test_route_map_between_ospf_and_the_kernel(lab: Lab, pair: Pair) -> None:
    hq, prefix = lab.router("hq"), ip_network("10.2.0.0/24")
    hq.expect_route(prefix)
    with Vty(hq.running.root, "mgmtd") as vty:
        before = next(
            line for line in vty.ask("show running-config").splitlines() if line.startswith("ip protocol ospf ")
        )
    with frr_lines(
        hq, ["route-map KERNEL deny 10", "exit", "ip protocol ospf route-map KERNEL"], [before], daemon="mgmtd"
    ):
        hq.expect_not_in_fib(prefix)
        (cause,) = no_route(lab, "hq", prefix).causes
        assert (cause.kind, cause.node) == ("not-installed", "hq")
        assert "`route-map KERNEL deny 10`" in cause.what
    hq.expect_route(prefix)
    assert no_route(lab, "hq", prefix) == Explanation()


RIP = pytest.mark.parametrize(
    "pair", [Pair("rip", "protocol: rip", "daemon: bird, protocol: rip")], indirect=True, ids=str
)


@RIP
@pytest.mark.parametrize(
    ("on", "off", "kind", "said"),
    [
        (["passive-interface tun0"], ["no passive-interface tun0"], "rip-passive", "hq is passive on tun0"),
        (["no network tun0"], ["network tun0"], "rip-not-enabled", "hq does not run RIP for ipv4 on tun0"),
    ],
)
def test_rip_that_an_end_does_not_speak_is_named(
    lab: Lab, pair: Pair, on: Sequence[str], off: Sequence[str], kind: str, said: str
) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    branch.expect_route(IPV4)
    assert no_route(lab, "branch", IPV4) == Explanation()
    with frr_lines(hq, ["router rip", *on], ["router rip", *off], daemon="mgmtd"):
        branch.expect_not_in_fib(IPV4, within=60)
        assert said in str(expect_cause("branch", partial(no_route, lab, "branch", IPV4), kind, node="hq"))
    branch.expect_session("hq")
    branch.expect_route(IPV4, within=60)
    assert no_route(lab, "branch", IPV4) == Explanation()


@BOTH
def test_mtu_that_stops_the_exchange_of_databases(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    branch.expect_route(IPV4)
    hq.exec("ip", "link", "set", "tun0", "mtu", "1400").raise_on_error()
    try:
        with frr_lines(
            hq, ["interface tun0", "ip ospf passive"], ["interface tun0", "no ip ospf passive"], daemon="ospfd"
        ):
            branch.expect_not_in_fib(IPV4)
        for here, there in (("hq", "branch"), ("branch", "hq")):
            assert "1400" in str(expect_cause(here, partial(session_down, lab, here, there), "ospf-mtu"))
    finally:
        hq.exec("ip", "link", "set", "tun0", "mtu", "1500").raise_on_error()
    branch.expect_route(IPV4, within=60)
    assert no_route(lab, "branch", IPV4) == Explanation()
