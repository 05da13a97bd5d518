"""Options of BGP sessions, communities and extra lines in the configurations of FRR and BIRD."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from lab.catalogue import load
from lab.routing import Peer, RouterPlan, plan_routers
from lab.routing.bird import BIRD2
from lab.routing.frr import DAEMON as FRR
from lab.topology import ExtraLine, NeighborIntent, RouterIntent, Timers, Topology

NETWORK = ip_network("10.1.0.0/24")
PLAN = RouterPlan(
    node="hub",
    daemon="frr",
    asn=65001,
    router_id=IPv4Address("192.0.2.1"),
    networks=(NETWORK, ip_network("2001:db8:1::/64")),
    timers=Timers(),
    bfd=None,
    peers=(
        Peer(
            "a",
            ip_address("10.255.0.2"),
            65002,
            "tun0",
            password="s3cret",
            ttl_security=1,
            default_originate=True,
            allowas_in=2,
        ),
        Peer("b", ip_address("10.255.1.2"), 65003, "tun1", extra=(ExtraLine("  rs client;", "x.yml:4"),)),
    ),
    communities=((NETWORK, ("65001:100", "no-export", "local-as", "65001:1:2")),),
    graceful_restart=120,
    extra=(ExtraLine("one", "x.yml:7"), ExtraLine("", "x.yml:8"), ExtraLine(" two", "x.yml:9")),
)


def frr(plan: RouterPlan, name: str = "frr.conf") -> str:
    return next(file.content for file in FRR.render(plan) if file.path.name == name)


def bird(plan: RouterPlan, name: str = "bird.conf") -> str:
    return next(file.content for file in BIRD2.render(plan) if file.path.name == name)


def test_frr_has_the_options_of_each_neighbour() -> None:
    text = frr(PLAN)
    for line in (
        " neighbor 10.255.0.2 password s3cret",
        " neighbor 10.255.0.2 ttl-security hops 1",
        " bgp graceful-restart restart-time 120",
        " bgp graceful-restart preserve-fw-state",
        "  network 10.1.0.0/24 route-map NETWORK-10.1.0.0/24",
        "  network 2001:db8:1::/64",
        " set community 65001:100 no-export local-AS",
        " set large-community 65001:1:2",
    ):
        assert text.splitlines().count(line) == 1, line
    for line in ("  neighbor 10.255.0.2 default-originate", "  neighbor 10.255.0.2 allowas-in 2"):
        assert text.splitlines().count(line) == 2, "once for each family"
    assert "10.255.1.2 password" not in text
    assert "-K 120" in frr(PLAN, "daemons")


def test_bird_has_the_options_of_each_neighbour() -> None:
    first, second = bird(PLAN).split("protocol bgp peer1 {")[1].split("protocol bgp peer2 {")
    for line in ('password "s3cret";', "ttl security on;", "allow local as 2;", "graceful restart time 120;"):
        assert f"  {line}\n" in first
    assert 'proto = "default' not in first
    assert 'if proto = "default4" then reject;' in second
    assert "password" not in second
    assert "  rs client;\n}" in second
    (route,) = bird(PLAN, "originated4.conf").splitlines()
    assert route == (
        "route 10.1.0.0/24 blackhole { bgp_community.add((65001, 100)); bgp_community.add((65535, 65281)); "
        "bgp_community.add((65535, 65283)); bgp_large_community.add((65001, 1, 2)); };"
    )


def test_options_that_are_not_set_are_not_rendered() -> None:
    plan = replace(
        PLAN,
        peers=(Peer("a", ip_address("10.255.0.2"), 65002, "tun0"),),
        communities=(),
        graceful_restart=None,
        extra=(),
    )
    for text in (frr(plan), bird(plan), frr(plan, "daemons")):
        for word in ("password", "ttl", "NETWORK-", "default-originate", "allow", "extra", "-K", "restart-time"):
            assert word not in text
    assert "graceful restart off;" in bird(plan)


@pytest.mark.parametrize("text", [frr(PLAN), bird(PLAN)], ids=["frr", "bird"])
def test_extra_lines_end_the_configuration(text: str) -> None:
    assert text.endswith("`extra` in the topology file.\none\n\n two\n")


def test_extra_lines_start_the_daemons_that_they_need() -> None:
    extra = tuple(ExtraLine(line, "x.yml:1") for line in ("router ospf6", "bfd", "ip route 10.9.0.0/24 Null0"))
    enabled = {line for line in frr(replace(PLAN, extra=extra), "daemons").splitlines() if line.endswith("=yes")}
    assert enabled == {"bgpd=yes", "ospf6d=yes", "bfdd=yes", "vtysh_enable=yes"}
    assert "bfdd=no" in frr(PLAN, "daemons")


def test_options_of_a_neighbour_take_precedence_over_those_of_the_router() -> None:
    article = load("article")
    router = RouterIntent(
        asn=65001,
        password="s3cret",
        default_originate=True,
        ttl_security=1,
        neighbors={"branch": NeighborIntent(password="other-s3cret", default_originate=False)},
        extra="a\nb",
    )
    hq = article.nodes["hq"]
    intent = hq.intent.model_copy(update={"router": router})
    nodes = {**article.nodes, "hq": hq.model_copy(update={"intent": intent})}
    topology: Topology = article.model_copy(update={"nodes": nodes, "extra_at": {"hq": ("f.yml:1: k", "f.yml:2: k")}})
    plan = plan_routers(topology)["hq"]
    (peer,) = plan.peers
    assert (peer.password, peer.default_originate, peer.ttl_security, peer.allowas_in) == (
        "other-s3cret",
        False,
        1,
        None,
    )
    assert plan.extra == (ExtraLine("a", "f.yml:1: k"), ExtraLine("b", "f.yml:2: k"))
    assert "s3cret" not in repr(plan) + repr(topology)
