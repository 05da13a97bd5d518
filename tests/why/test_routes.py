"""Why a route is missing: each cause is produced at FRR and at BIRD, named, and gone when it is undone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from lab.core.errors import ExpectationFailed
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.topology import Prefix
from lab.why.cause import Explanation
from lab.why.route import no_route
from tests.helpers.causes import expect_cause
from tests.helpers.pairs import Pair
from tests.helpers.router_faults import bird_text, configure, frr_lines

pytestmark = [pytest.mark.docker, pytest.mark.topology("pair.clab.yml", openvpn="2.7")]

# hq runs FRR and branch BIRD, so that each cause is at an FRR or at a BIRD, as sender or as receiver.
BOTH = pytest.mark.parametrize(
    "pair", [Pair("frr-bird", "daemon: frr, asn: 65001", "daemon: bird3, asn: 65002")], indirect=True, ids=str
)
FRR4, FRR6 = ip_network("10.1.0.0/24"), ip_network("2001:db8:1::/64")
"""The prefixes that FRR announces."""
BIRD4, BIRD6 = ip_network("10.2.0.0/24"), ip_network("2001:db8:2::/64")
"""The prefixes that BIRD announces."""
OTHER = ip_network("10.50.0.0/24")
PEER = "10.255.0.2"
BGP = "router bgp 65001"


def in_family(version: int, *lines: str) -> list[str]:
    """Return lines of an address family of the FRR's BGP."""
    return [BGP, f"address-family ipv{version} unicast", *lines, "exit-address-family"]


def withdrawn(prefix: Prefix) -> Callable[[Router, Router], AbstractContextManager[None]]:
    """Return a fault: the router that originates a prefix withdraws it."""

    @contextmanager
    def fault(hq: Router, branch: Router) -> Iterator[None]:
        router = hq if prefix in (FRR4, FRR6) else branch
        router.withdraw(prefix)
        try:
            yield
        finally:
            router.announce(prefix)

    return fault


def frr(
    on: Sequence[str], off: Sequence[str], clear: str = "", daemon: str = "bgpd"
) -> Callable[[Router, Router], AbstractContextManager[None]]:
    return lambda hq, branch: frr_lines(hq, on, off, clear=clear, daemon=daemon)


def bird(
    old: str, new: str, file: str = "bird.conf", count: int = -1
) -> Callable[[Router, Router], AbstractContextManager[None]]:
    return lambda hq, branch: bird_text(branch, old, new, file=file, count=count)


def frr_list(direction: str) -> Callable[[Router, Router], AbstractContextManager[None]]:
    """Return a fault: a prefix list of the FRR."""
    prefix = FRR4 if direction == "out" else BIRD4
    name = f"neighbor {PEER} prefix-list REJECT {direction}"
    # A neighbour has one prefix list in each direction: put the one from the topology back.
    back = f"neighbor {PEER} prefix-list NO-RECURSION in" if direction == "in" else f"no {name}"
    on = [f"ip prefix-list REJECT seq 5 deny {prefix}", "ip prefix-list REJECT seq 10 permit any", *in_family(4, name)]
    return frr(on, [*in_family(4, back), "no ip prefix-list REJECT"], f"ipv4 unicast {PEER} soft")


def frr_map(direction: str) -> Callable[[Router, Router], AbstractContextManager[None]]:
    """Return a fault: a route map of the FRR."""
    prefix = FRR6 if direction == "out" else BIRD6
    name = f"neighbor {PEER} route-map REJECT {direction}"
    back = f"neighbor {PEER} route-map FROM-PEERS in" if direction == "in" else f"no {name}"
    on = [
        f"ipv6 prefix-list THIS seq 5 permit {prefix}",
        "route-map REJECT deny 10",
        "match ipv6 address prefix-list THIS",
        "route-map REJECT permit 20",
        "exit",
        *in_family(6, name),
    ]
    off = [*in_family(6, back), "no route-map REJECT", "no ipv6 prefix-list THIS"]
    return frr(on, off, f"ipv6 unicast {PEER} soft")


def frr_next_hop(hq: Router, branch: Router) -> AbstractContextManager[None]:
    name = f"neighbor {PEER} route-map FAR out"
    on = ["route-map FAR permit 10", "set ip next-hop 10.99.99.9", "exit", *in_family(4, name)]
    return frr_lines(hq, on, [*in_family(4, f"no {name}"), "no route-map FAR"], clear=f"ipv4 unicast {PEER} soft")


@contextmanager
def frr_limit(hq: Router, branch: Router) -> Iterator[None]:
    line = f"neighbor {PEER} maximum-prefix 1"
    with frr_lines(hq, in_family(4, line), in_family(4, f"no {line}"), clear=PEER), branch.announced(OTHER):
        yield


@contextmanager
def bird_limit(hq: Router, branch: Router) -> Iterator[None]:
    limit = "  ipv4 {\n    import limit 1 action disable;\n    import filter"
    with bird_text(branch, "  ipv4 {\n    import filter", limit), hq.announced(OTHER):
        yield
    configure(branch, "restart peer1")


def without_policy(hq: Router, branch: Router) -> AbstractContextManager[None]:
    """The FRR requires policies, and has none for routes that it announces."""
    return frr_lines(hq, [BGP, "bgp ebgp-requires-policy"], [BGP, "no bgp ebgp-requires-policy"], clear=PEER)


def without_policy_in(hq: Router, branch: Router) -> AbstractContextManager[None]:
    """The FRR requires policies, and has none for IPv4 routes that it receives."""
    inbound = f"neighbor {PEER} prefix-list NO-RECURSION in"
    on = [*in_family(4, f"no {inbound}"), BGP, "bgp ebgp-requires-policy"]
    return frr_lines(hq, on, [*in_family(4, inbound), BGP, "no bgp ebgp-requires-policy"], clear=PEER)


def without_channel(hq: Router, branch: Router) -> AbstractContextManager[None]:
    """The BIRD has no IPv6 channel for its neighbour."""
    text = (branch.running.files / "etc/bird/bird.conf").read_text()
    channel = text[text.rindex("  ipv6 {") : text.rindex("}")]
    return bird_text(branch, channel, "")


def frr_kernel(hq: Router, branch: Router) -> AbstractContextManager[None]:
    on = ["route-map KERNEL deny 10", "exit", "ip protocol bgp route-map KERNEL"]
    return frr_lines(hq, on, ["no ip protocol bgp route-map KERNEL", "no route-map KERNEL"], daemon="mgmtd")


@dataclass(frozen=True)
class Case:
    """A fault, and what should be said about it."""

    name: str
    prefix: Prefix
    fault: Callable[[Router, Router], AbstractContextManager[None]]
    kind: str
    node: str
    said: str
    """A part of the sentence: the line to add or to change."""

    def __str__(self) -> str:
        return self.name


REJECT = "if net = {} then reject;\n"
CASES = [
    Case("frr-not-originated", FRR4, withdrawn(FRR4), "not-originated", "hq", f"add `network {FRR4}` to"),
    Case("bird-not-originated", BIRD6, withdrawn(BIRD6), "not-originated", "branch", f"add `route {BIRD6} blackhole;`"),
    Case(
        "frr-list-out", FRR4, frr_list("out"), "filtered-outbound", "hq",
        f"`ip prefix-list REJECT seq 5 deny {FRR4}` (frr.conf of hq) rejects it; "
        f"add `ip prefix-list REJECT seq 4 permit {FRR4}`",
    ),
    Case("frr-map-out", FRR6, frr_map("out"), "filtered-outbound", "hq", "`route-map REJECT deny 10`"),
    Case("frr-list-in", BIRD4, frr_list("in"), "filtered-inbound", "hq", f"`ip prefix-list REJECT seq 5 deny {BIRD4}`"),
    Case("frr-map-in", BIRD6, frr_map("in"), "filtered-inbound", "hq", "`route-map REJECT deny 10`"),
    Case(
        "bird-out", BIRD4, bird("", REJECT.format(BIRD4), "out1-ipv4.conf"), "filtered-outbound", "branch",
        "`export filter { … }` (bird.conf of branch:",
    ),
    Case(
        "bird-in", FRR4, bird("", REJECT.format(FRR4), "in1-ipv4.conf"), "filtered-inbound", "branch",
        "`import filter { … }` (bird.conf of branch:",
    ),
    Case(
        "bird-in6", FRR6, bird("", REJECT.format(FRR6), "in1-ipv6.conf"), "filtered-inbound", "branch",
        f"accept {FRR6}",
    ),
    Case("frr-policy-out", FRR4, without_policy, "ebgp-policy", "hq", f"add `neighbor {PEER} route-map NAME out`"),
    Case("frr-policy-out6", FRR6, without_policy, "ebgp-policy", "hq", "`address-family ipv6 unicast`"),
    Case("frr-policy-in", BIRD4, without_policy_in, "ebgp-policy", "hq", f"add `neighbor {PEER} route-map NAME in`"),
    Case(
        "frr-not-activated", FRR6,
        frr(in_family(6, f"no neighbor {PEER} activate"),
            in_family(6, f"neighbor {PEER} activate", f"neighbor {PEER} route-map FROM-PEERS in")),
        "family-not-activated", "hq",
        f"add `neighbor {PEER} activate` to `address-family ipv6 unicast` of `router bgp 65001` in frr.conf of hq",
    ),
    Case("bird-no-channel", FRR6, without_channel, "family-not-activated", "branch", "add `ipv6 { import all; export"),
    Case("bird-next-hop", FRR4, frr_next_hop, "next-hop-unresolved", "branch", f"`neighbor {PEER} next-hop-self`"),
    Case(
        "frr-next-hop", BIRD4, bird("", "bgp_next_hop = 10.99.99.9;\n", "out1-ipv4.conf"),
        "next-hop-unresolved", "hq",
        f"hq has no route to 10.99.99.9, the next hop of {BIRD4}",
    ),
    Case(
        "frr-no-export", FRR4,
        frr(["route-map KEEP permit 10", "set community no-export", "exit",
             *in_family(4, f"network {FRR4} route-map KEEP")],
            [*in_family(4, f"no network {FRR4}", f"network {FRR4}"), "no route-map KEEP"]),
        "no-export", "hq", f"hq does not announce {FRR4} to branch: the route has no-export or no-advertise",
    ),
    Case("frr-max-prefix", BIRD4, frr_limit, "max-prefix", "hq", f"raise `neighbor {PEER} maximum-prefix NUMBER`"),
    Case("bird-max-prefix", FRR4, bird_limit, "max-prefix", "branch", "raise `import limit`"),
    Case("frr-kernel", BIRD4, frr_kernel, "not-installed", "hq", "`route-map KERNEL deny 10`"),
    Case(
        "bird-kernel", FRR4, bird("export where source != RTS_STATIC;", "export none;", count=1), "not-installed",
        "branch", "`export none` (bird.conf of branch:",
    ),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("case", CASES, ids=str)
def test_missing_route_has_its_cause(lab: Lab, pair: Pair, case: Case) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    receiver, other = (branch, hq) if case.prefix in (FRR4, FRR6) else (hq, branch)
    receiver.expect_route(case.prefix)
    assert no_route(lab, receiver.name, case.prefix) == Explanation()
    with case.fault(hq, branch):
        receiver.expect_not_in_fib(case.prefix)
        expect_cause(receiver.name, lambda: no_route(lab, receiver.name, case.prefix), case.kind)
        found = no_route(lab, receiver.name, case.prefix)
        assert ([c.kind for c in found.causes], found.causes[0].node) == ([case.kind], case.node), found
        assert case.said in str(found)
        assert str(found).startswith(f"{case.node} ")
        assert found.causes[0].evidence
        with pytest.raises(ExpectationFailed, match="; cause: ") as failed:
            receiver.expect_in_fib(case.prefix, within=0.1)
        assert case.said in str(failed.value)
    receiver.expect_session(other)
    # BIRD 3.1.8 on a busy host once in a while has a route in its table and says that it is exported, while the kernel
    # lacks it; it compares the two every 60 s.
    receiver.expect_route(case.prefix, within=90)
    assert no_route(lab, receiver.name, case.prefix) == Explanation()


@BOTH
def test_prefix_that_no_router_has_is_not_originated(lab: Lab, pair: Pair) -> None:
    nowhere = ip_network("10.77.0.0/24")
    (cause,) = no_route(lab, "branch", nowhere).causes
    assert cause.kind == "not-originated"
    assert "because no router of the lab originates it" in str(cause)
