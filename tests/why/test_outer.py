"""A tunnel over TCP whose connection a middlebox breaks: NATs that forget it, a filter, a silent link."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.runtime.open_questions import causes, questions
from lab.runtime.questions import NoSession, NoTunnel, Question
from lab.why.answer import explanation
from lab.why.ask import ask
from lab.why.cause import Explanation
from lab.why.probe import Probe

pytestmark = [
    pytest.mark.docker,
    pytest.mark.topology("behind-nat", openvpn="2.7", tunnel={"transport": "tcp"}),
]

TUNNEL = "branch-hq"


def crossing(lab: Lab) -> Explanation:
    """Return why the branch's host does not answer the hub's; no finding if it does."""
    to = lab.host("branch-lan").address("ipv4")
    return ask(lab, "hq-lan", "branch-lan", Probe(to))[1]


def up_again(lab: Lab) -> None:
    lab.wait_ready()
    wait_for(
        Expectation(
            what="the branch's host to answer",
            node="hq-lan",
            look=lambda: crossing(lab),
            met=lambda found: found == Explanation(),
        ),
        within=60,
    )


@pytest.mark.parametrize("nat", ["carrier", "home"])
def test_nat_that_forgot_the_tunnel_is_named(lab: Lab, nat: str) -> None:
    up_again(lab)
    lab.fault("connections-forgotten", node=nat)
    (cause,) = crossing(lab).causes
    assert (cause.kind, cause.node) == ("nat-forgot", nat)
    assert f"{nat} has forgotten the NAT mapping of the packet of tunnel {TUNNEL} (tcp " in cause.what
    up_again(lab)


def rule(lab: Lab, node: str, text: str) -> AbstractContextManager[None]:
    @contextmanager
    def dropped() -> Iterator[None]:
        chain = "add table ip f; add chain ip f c { type filter hook forward priority 0; }"
        lab.running(node).exec("nft", f"{chain}; add rule ip f c {text}").raise_on_error()
        try:
            yield
        finally:
            lab.running(node).exec("nft", "delete", "table", "ip", "f").raise_on_error()

    return dropped()


def named(lab: Lab, question: Question, text: str) -> None:
    """Wait until the rule is named, without another cause before; finding none is allowed while connections end."""
    found = wait_for(
        Expectation(
            what=f"the rule `{text}` as the cause",
            node="carrier",
            look=lambda: explanation(lab, question).causes,
            met=bool,
        ),
        within=60,
    )
    assert [(cause.kind, cause.node) for cause in found] == [("nftables-drop", "carrier")], found
    assert f"`{text}`" in found[0].what


@pytest.mark.parametrize("text", ["tcp dport 1194 drop", "tcp sport 1194 drop"])
def test_filter_on_the_outer_path_is_named(lab: Lab, text: str) -> None:
    """Retransmissions are frequent at first, then rare; at last a new connection is opened."""
    up_again(lab)
    with rule(lab, "carrier", text):
        lab.router("hq").expect_not_in_fib(lab.plans["branch"].networks)
        named(lab, NoSession("hq", "branch"), text)
        lab.tunnels[TUNNEL].client.stop()
        lab.tunnels[TUNNEL].client.start()
        named(lab, NoTunnel(TUNNEL), text)
        assert questions(lab) == [NoTunnel(TUNNEL)]
        assert f"Why is the tunnel {TUNNEL} not connected?\n  carrier drops the packet" in causes(lab)
    up_again(lab)
    assert explanation(lab, NoTunnel(TUNNEL)) == Explanation()
    assert questions(lab) == []
    assert "all tunnels are up" in causes(lab)
