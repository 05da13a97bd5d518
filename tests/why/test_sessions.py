"""Why a BGP session is down: each cause is produced at FRR and at BIRD, named from both ends, and gone when undone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from lab.core.errors import ExpectationFailed
from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.runtime.router import Router
from lab.why.cause import Explanation
from lab.why.route import no_route
from lab.why.session import session_down
from tests.helpers.causes import expect_cause
from tests.helpers.pairs import Pair
from tests.helpers.router_faults import bird_text, configure, frr_lines

pytestmark = [pytest.mark.docker, pytest.mark.topology("pair.clab.yml", openvpn="2.7")]

# A session for each family, so that what a kernel does with IPv6 segments is tried too.
BOTH = pytest.mark.parametrize(
    "pair",
    [
        Pair(
            "frr-bird",
            "daemon: frr, asn: 65001, sessions: per-family",
            "daemon: bird3, asn: 65002, sessions: per-family",
        )
    ],
    indirect=True,
    ids=str,
)
BGP = "router bgp 65001"
PEER4, PEER6 = "10.255.0.2", "2001:db8:ff00::2"
"""The BIRD's addresses, which are the names of the FRR's neighbours."""
Fault = Callable[[Router, Router], AbstractContextManager[None]]


def frr(on: Sequence[str], off: Sequence[str], peer: str = PEER4) -> Fault:
    """Return a fault: lines of the FRR's BGP, and the reset of a session."""
    return lambda hq, branch: frr_lines(hq, [BGP, *on], [BGP, *off], clear=peer)


def bird(old: str, new: str) -> Fault:
    return lambda hq, branch: bird_text(branch, old, new)


def near(peer: int, line: str) -> tuple[str, str]:
    """Return a text of one of the BIRD's protocols, and the same with a line more."""
    head = f"protocol bgp peer{peer} {{\n"
    return head, f"{head}  {line}\n"


def both(*faults: Fault) -> Fault:
    """Return several faults at once."""

    @contextmanager
    def fault(hq: Router, branch: Router) -> Iterator[None]:
        with ExitStack() as stack:
            for each in faults:
                stack.enter_context(each(hq, branch))
            yield

    return fault


@contextmanager
def disabled(hq: Router, branch: Router) -> Iterator[None]:
    """The BIRD's session is disabled by birdc."""
    configure(branch, "disable peer1")
    try:
        yield
    finally:
        configure(branch, "enable peer1")


@contextmanager
def stopped(hq: Router, branch: Router) -> Iterator[None]:
    """The FRR does not run."""
    hq.daemon.stop(hq.running)
    try:
        yield
    finally:
        hq.daemon.start(hq.running, hq.plan)


@contextmanager
def other_address(hq: Router, branch: Router) -> Iterator[None]:
    """The FRR has a neighbour that no node is."""
    running = [
        f"neighbor {PEER4} remote-as 65002",
        f"neighbor {PEER4} timers 1 3",
        f"neighbor {PEER4} timers connect 1",
        "address-family ipv4 unicast",
        f"neighbor {PEER4} activate",
        f"neighbor {PEER4} prefix-list NO-RECURSION in",
    ]
    on = [BGP, f"no neighbor {PEER4}", "neighbor 10.255.0.9 remote-as 65002"]
    with frr_lines(hq, on, [BGP, "no neighbor 10.255.0.9", *running]):
        yield


@contextmanager
def unrouted(hq: Router, branch: Router) -> Iterator[None]:
    """The FRR's kernel has no route to the BIRD."""
    route = next(line for line in hq.exec("ip", "route").stdout.splitlines() if line.startswith(f"{PEER4} "))
    hq.exec("ip", "route", "del", PEER4).raise_on_error()
    try:
        yield
    finally:
        hq.exec("ip", "route", "replace", *route.split()).raise_on_error()


@contextmanager
def filtered(hq: Router, branch: Router) -> Iterator[None]:
    """The FRR's node drops segments of BGP."""
    hook = "type filter hook input priority 0"
    rules = f"table inet why {{\n chain i {{\n {hook}\n tcp sport 179 drop\n tcp dport 179 drop\n }}\n}}"
    hq.exec("nft", rules).raise_on_error()
    try:
        yield
    finally:
        hq.exec("nft", "delete", "table", "inet", "why").raise_on_error()


@dataclass(frozen=True)
class Case:
    """A fault, and what should be said about it at either end."""

    name: str
    fault: Fault
    kind: str
    node: str
    said: str
    """A part of the sentence: the line to add or to change."""
    seen_by: str = "branch"
    """The router that has the session and sees it down."""

    def __str__(self) -> str:
        return self.name


PASSWORD4 = f"neighbor {PEER4} password one"
CASES = [
    Case(
        "frr-password", frr([PASSWORD4], [f"no {PASSWORD4}"]), "session-password", "branch",
        "branch has no password for the session with hq, which has one",
    ),
    Case(
        "bird-password6", bird(*near(2, 'password "two";')), "session-password", "hq",
        f"add `neighbor {PEER6} password …` to `router bgp 65001` in frr.conf of hq",
    ),
    Case(
        "two-passwords", both(frr([PASSWORD4], [f"no {PASSWORD4}"]), bird(*near(1, 'password "two";'))),
        "session-password", "", "have different passwords for their session",
    ),
    Case(
        "frr-gtsm", frr([f"neighbor {PEER4} ttl-security hops 1"], [f"no neighbor {PEER4} ttl-security hops 1"]),
        "session-gtsm", "branch", "add `ttl security on;` to `protocol bgp peer1` in bird.conf of branch",
    ),
    Case(
        "bird-gtsm6", bird(*near(2, "ttl security on;")), "session-gtsm", "hq",
        f"add `neighbor {PEER6} ttl-security hops 1` to `router bgp 65001`",
    ),
    Case(
        "frr-as", frr([f"neighbor {PEER4} remote-as 65009"], [f"neighbor {PEER4} remote-as 65002"]), "session-as", "hq",
        f"hq expects AS 65009 of branch, which is in AS 65002; change it to `neighbor {PEER4} remote-as 65002`",
    ),
    Case(
        "bird-as6", bird("neighbor 2001:db8:ff00::1 as 65001", "neighbor 2001:db8:ff00::1 as 65009"), "session-as",
        "branch", "branch expects AS 65009 of hq, which is in AS 65001; change it to `neighbor … as 65001;`",
    ),
    Case(
        "frr-shutdown", frr([f"neighbor {PEER4} shutdown"], [f"no neighbor {PEER4} shutdown"]), "session-shutdown",
        "hq",
        f"remove `neighbor {PEER4} shutdown`",
    ),
    Case("bird-disabled", disabled, "session-shutdown", "branch", "`birdc enable peer1`"),
    Case(
        "frr-hold-time", frr(["bgp minimum-holdtime 20"], ["no bgp minimum-holdtime"]), "session-hold-time", "hq",
        "hq accepts no hold time below 20 s, and branch proposes 3 s; lower `bgp minimum-holdtime` to 3",
    ),
    Case(
        "bird-hold-time", bird("  hold time 3;", "  hold time 30;\n  min hold time 20;"), "session-hold-time", "branch",
        "branch accepts no hold time below 20 s, and hq proposes 3 s; lower `min hold time` to 3",
    ),
    Case(
        "frr-address", other_address, "session-address", "hq",
        f"hq has a neighbour 10.255.0.9, an address that no node has, and none at branch ({PEER4}); "
        f"add `neighbor {PEER4} remote-as 65002`",
    ),
    Case(
        "bird-address", bird("neighbor 10.255.0.1 as", "neighbor 10.255.0.9 as"), "session-address", "branch",
        "add a `protocol bgp` with `neighbor 10.255.0.1 as 65001;`", "hq",
    ),
    Case(
        "no-family",
        frr(["address-family ipv6 unicast", f"no neighbor {PEER6} activate"],
            ["address-family ipv6 unicast", f"neighbor {PEER6} activate", f"neighbor {PEER6} route-map FROM-PEERS in"],
            PEER6),
        "family-not-activated", "hq", f"add `neighbor {PEER6} activate`",
    ),
    Case("unrouted", unrouted, "no-route-to-neighbor", "hq", f"hq has no route to its neighbour {PEER4}"),
    Case("filtered", filtered, "port-filtered", "", "port 179"),
    Case("stopped", stopped, "daemon-down", "hq", "hq's routing daemon, frr, does not answer"),
]  # fmt: skip


def failure(router: Router, other: str) -> str:
    """Return the message of the expectation that a session is up; empty if it is."""
    try:
        router.expect_session(other, within=0.1)
    except ExpectationFailed as failed:
        return str(failed)
    return ""


@BOTH
@pytest.mark.parametrize("case", CASES, ids=str)
def test_session_that_is_down_has_its_cause(lab: Lab, pair: Pair, case: Case) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    branch.expect_session("hq")
    assert session_down(lab, "branch", "hq") == session_down(lab, "hq", "branch") == Explanation()
    with case.fault(hq, branch):
        for name, other in (("branch", "hq"), ("hq", "branch")):
            found = expect_cause(name, partial(session_down, lab, name, other), case.kind)
            assert found.causes[0].node == case.node or not case.node
            assert case.said in str(found)
            assert found.causes[0].evidence
        # One end may call the session established for a moment, before it has heard that the other does not.
        wait_for(
            Expectation(
                what=f"an expectation that fails, with the cause {case.kind}",
                node=case.seen_by,
                look=lambda: failure(lab.router(case.seen_by), "hq" if case.seen_by == "branch" else "branch"),
                met=lambda said: "; cause: " in said and case.said in said,
            ),
            within=40,
        )
    hq.reset()
    hq.expect_session("branch")
    branch.expect_session("hq")
    assert session_down(lab, "branch", "hq") == session_down(lab, "hq", "branch") == Explanation()


def test_paused_node_is_no_daemon_that_is_down(lab: Lab) -> None:
    branch = lab.router("branch")
    branch.expect_session("hq")
    (prefix,) = [p for p in lab.plans["hq"].networks if p.version == 4]
    with lab.fault("node-paused", node="hq"):
        branch.expect_no_route(prefix)
        for found in (session_down(lab, "branch", "hq"), no_route(lab, "branch", prefix)):
            assert [(c.kind, c.node) for c in found.causes] == [("node-stopped", "hq")]
    branch.reset("hq")
    branch.expect_session("hq")
    assert session_down(lab, "branch", "hq") == Explanation()


@BOTH
def test_session_that_was_removed_from_the_daemon_is_down(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    hq.expect_session("branch")
    with other_address(hq, branch), pytest.raises(ExpectationFailed, match="the daemon has no such neighbour"):
        hq.expect_session("branch", within=0.1)  # the session of the other family is still up
    hq.reset("branch")
    hq.expect_session("branch")
