"""BIRD's answers about one route and one session, as 2.17 and 3.1 gave them in labs with each fault."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path, PurePosixPath
from typing import get_args

import pytest

from lab.configs.disk import Spot
from lab.configs.routing.facts import BgpNeighbor
from lab.core.prefixes import Family
from lab.engine import Instance, NodeState
from lab.engine.node import RunningNode
from lab.routing import BfdState, RouterPlan, SessionState
from lab.routing.bird import answers, mends
from lab.routing.bird.control import Line as Answer
from lab.routing.bird.inquiry import BirdInquiry, import_updates, read_candidates, read_session
from lab.routing.bird.interior import read_ospf_interfaces, read_rip_interfaces
from lab.routing.inquiry import Action, BgpSession, InteriorInterface, Mend
from lab.topology import Timers

DATA = Path(__file__).parents[2] / "data" / "bird"
BOTH: frozenset[Family] = frozenset(("ipv4", "ipv6"))
ONE: frozenset[Family] = frozenset(("ipv4",))
HEAD = "peer1 BGP --- {} 2026-11-30 11:42:21.097 {}"
NEIGHBOR = ["BGP state: Idle", "Neighbor address: 10.255.0.2%tun0", "Neighbor AS: 65002", "Local AS: 65001"]
CHANNELS = ["Channel ipv4", "State: DOWN", "Table: master4"]
CONFIGURED = BgpNeighbor("peer1", Spot("bird.conf", 7), password="s3cret", ttl_security=True, hold=3)


def answer(file: str) -> list[Answer]:
    """Return a recorded answer as its lines."""
    lines: list[Answer] = []
    for text in (DATA / file).read_text().splitlines():
        code = int(text[:4]) if text[:4].isdigit() else lines[-1].code
        lines.append(Answer(code, text[5:]))
    return lines


def session(*lines: str, state: str = "start", configured: BgpNeighbor | None = None) -> BgpSession:
    details = [*NEIGHBOR, *(line for line in lines if not line.startswith(" ")), *CHANNELS]
    details += [line.strip() for line in lines if line.startswith(" ")]
    return read_session(HEAD.format(state, "").split(), details, configured, None)


def test_session_that_is_up_has_what_both_ends_announced() -> None:
    ((head, details),) = answers.protocols(answer("protocols-established.txt"), "BGP")
    found = read_session(head, details, CONFIGURED, BfdState.UP)
    assert (found.name, found.state, found.interface) == ("peer1", SessionState.ESTABLISHED, "tun0")
    assert (found.local_as, found.remote_as) == (65002, 65001)
    assert found.families == found.offered == BOTH
    assert (found.password, found.ttl_security, found.hold, found.bfd) == ("s3cret", True, 3, BfdState.UP)
    assert not found.shutdown
    assert "s3cret" not in repr(found)


def test_neighbour_that_does_not_offer_a_family() -> None:
    capabilities = ("Local capabilities", "AF announced: ipv4 ipv6", "Neighbor capabilities", "AF announced: ipv4")
    assert session(*capabilities).offered == ONE
    assert session().offered is None


@pytest.mark.parametrize(
    ("text", "code", "sent"),
    [
        ("BGP Error: Bad peer AS", (2, 2), True),
        ("Received: Unacceptable hold time", (2, 6), False),
        ("Received: Administrative shutdown", (6, 2), False),
    ],
)
def test_last_error_is_the_notification(text: str, code: tuple[int, int], sent: bool) -> None:
    found = session(f"Last error: {text}").notification
    assert found is not None
    assert ((found.code, found.subcode), found.sent) == (code, sent)


def test_error_of_the_socket_is_no_notification() -> None:
    found = session("Last error: Socket: Connection refused")
    assert found.notification is None
    assert found.error == "Socket: Connection refused"


def test_session_is_shut_down_or_closed_by_its_limit() -> None:
    assert session(state="down").shutdown
    assert not session().shutdown
    closed = session("Last error: Automatic shutdown: Route limit exceeded", "  Import limit: 1 [HIT]", state="down")
    assert (closed.shutdown, closed.limit_exceeded, closed.limits) == (False, True, {"ipv4": 1})
    assert not session("  Import limit: 9").limit_exceeded


COUNTERS = [
    "Channel ipv4",
    "Route change stats:     received   rejected   filtered    ignored   RX limit      limit   accepted",
    "Import updates:              3          0          1          0          0          0          2",
    "Channel ipv6",
    "Route change stats:     received   rejected   filtered    ignored   accepted",
    "Import updates:              7          0          0          0          7",
]


def test_counters_of_a_family_by_the_heads_of_their_columns() -> None:
    assert import_updates(COUNTERS, "ipv4")["filtered"] == 1
    assert import_updates(COUNTERS, "ipv4")["RX limit"] == 0
    assert import_updates(COUNTERS, "ipv6") == {
        "received": 7, "rejected": 0, "filtered": 0, "ignored": 0, "accepted": 7,
    }  # fmt: skip
    assert import_updates([], "ipv4") == {}


TWO = """\
10.1.0.0/24          unicast [peer1 12:00:00.000] * (100) [AS65001i]
	via 10.255.0.1 on tun0
	Type: BGP univ
	BGP.as_path: 65001
	BGP.local_pref: 200
                     unicast [peer2 12:00:00.000] (100) [AS65001i]
	via 10.255.0.5 on tun1
	Type: BGP univ
	BGP.as_path: 65001
	BGP.local_pref: 100
"""


def candidates(text: str) -> list[Answer]:
    return [Answer(1012 if line.startswith("\t") else 1007, line) for line in text.splitlines()]


def test_path_that_is_not_best_has_the_attribute_that_decided() -> None:
    best, other = read_candidates(candidates(TWO))
    assert (best.best, best.interfaces, best.peer) == (True, ("tun0",), ip_address("10.255.0.1"))
    assert (other.best, other.interfaces, other.reason) == (False, ("tun1",), "local_pref 100, the best path has 200")


def test_path_has_its_communities() -> None:
    lines = "BGP.community: (65001,100) (65535,65281)\n\tBGP.large_community: (65001, 1, 2)"
    best, other = read_candidates(candidates(TWO.replace("BGP.local_pref: 200", f"BGP.local_pref: 200\n\t{lines}")))
    assert best.communities == {(65001, 100), (65535, 65281), (65001, 1, 2)}
    assert other.communities == frozenset()


def test_attribute_that_prefers_the_other_path_is_no_reason() -> None:
    longer = TWO.replace("BGP.as_path: 65001\n\tBGP.local_pref: 100", "BGP.as_path: 65001 65003\n\tBGP.local_pref: 200")
    assert read_candidates(candidates(longer))[1].reason == "AS path length 2, the best path has 1"
    higher = TWO.replace("BGP.local_pref: 100", "BGP.local_pref: 300")
    assert read_candidates(candidates(higher))[1].reason == ""


def test_unreachable_path_is_not_valid_and_not_resolved() -> None:
    text = TWO.replace("unicast [peer2", "unreachable [peer2").replace("\tvia 10.255.0.5 on tun1\n", "")
    (_, other) = read_candidates(candidates(text))
    assert (other.valid, other.resolved) == (False, False)


def test_own_path_has_no_peer() -> None:
    (found,) = read_candidates(candidates("10.1.0.0/24   blackhole [nets4 12:00:00.000] * (200)\n\tType: static univ"))
    assert (found.peer, found.valid, found.best) == (None, True, True)


# --- OSPF and RIP ------------------------------------------------------------------------------------------

OSPF = """\
ospf4:
Interface tun0 (peer 10.255.0.1)
	Type: ptp
	Area: 0.0.0.1 (1)
	State: PtP
	Hello timer: 1
	Wait timer: 4
	Dead timer: 3
Interface eth2 (10.1.0.0/24)
	Type: broadcast
	Area: 0.0.0.0 (0)
	State: DROther (stub)
	Hello timer: 10
	Dead timer: 40
"""


def test_interfaces_of_ospf() -> None:
    tunnel, lan = read_ospf_interfaces([Answer(1015, line) for line in OSPF.splitlines()], "ipv4")
    assert tunnel == InteriorInterface("ospf", "tun0", "ipv4", "0.0.0.1", "ptp", 1, 3)
    assert (lan.interface, lan.passive, lan.network_type, lan.dead) == ("eth2", True, "broadcast", 40)


def test_interfaces_of_rip() -> None:
    lines = ["rip4:", "Interface  State  Metric   Nbrs   Timer", "tun0       Up          1      1   4.974"]
    (found,) = read_rip_interfaces([Answer(1021, line) for line in lines], "ipv4")
    assert found == InteriorInterface("rip", "tun0", "ipv4")


# --- mends -------------------------------------------------------------------------------------------------

PEER = BgpSession("peer1", ip_address("10.255.0.2"), "tun0", SessionState.IDLE, 65001, 65002, frozenset(), None)


@pytest.mark.parametrize(
    ("mend", "said"),
    [
        (
            Mend("activate", PEER, "ipv6"),
            "add `ipv6 { import all; export all; };` to `protocol bgp peer1` in bird.conf",
        ),
        (Mend("originate", prefix=ip_network("10.1.0.0/24")), "add `route 10.1.0.0/24 blackhole;`"),
        (Mend("address", value="10.255.0.9", asn=65009), "add a `protocol bgp` with `neighbor 10.255.0.9 as 65009;`"),
        (
            Mend("policy", PEER, "ipv4", direction="in"),
            "add `import all;` to the channel `ipv4` of `protocol",
        ),
        (Mend("policy", PEER, "ipv4", direction="out"), "add `export all;` to the channel `ipv4`"),
        (Mend("no-shutdown", PEER), "`birdc enable peer1`"),
        (
            Mend("interior", interface=InteriorInterface("ospf", "tun0", "ipv4"), setting="hello", value="2"),
            'change it to `hello 2;` in `interface "tun0"`',
        ),
    ],
)
def test_mend_names_the_statement_and_the_file(mend: Mend, said: str) -> None:
    found = mends.words(mend, "bird.conf of hq")
    assert found.startswith(said)
    assert "bird.conf of hq" in found


def test_every_action_has_words() -> None:
    interface = InteriorInterface("ospf", "tun0", "ipv4")
    for action in get_args(Action):
        mend = replace(Mend(action, PEER, "ipv4", ip_network("10.1.0.0/24"), value="x"), interface=interface)
        assert mends.words(mend, "bird.conf"), action


# --- with a configuration ----------------------------------------------------------------------------------

CONFIGURATION = """
router id 10.2.0.1;
protocol kernel kernel4 { ipv4 { import none; export where source != RTS_STATIC; }; }
protocol bgp peer1 {
  local as 65002;
  neighbor 10.255.0.1 as 65001;
  interface "tun0";
  allow local as 1;
  ipv4 {
    import filter { if net = 10.1.0.0/24 then reject; accept; };
    export all;
  };
}
protocol bgp 'on:tun1' {
  local as 65002;
  neighbor range fe80::/10 as 65001;
  interface "tun1";
  min hold time 20;
  ipv4 { import filter { reject; }; export none; };
}
"""
ACCEPTED = [
    Answer(1002, "dynbgp1 BGP --- up 2026-11-30 11:42:21.097 Established"),
    *(
        Answer(1006, text)
        for text in (
            "  BGP state: Established",
            "    Neighbor address: fe80::1%tun1",
            "    Neighbor AS: 65001",
            "    Local AS: 65002",
            "  Channel ipv4",
            "    State: UP",
            "    Table: master4",
        )
    ),
]


class Recorded(BirdInquiry):
    """An inquiry with recorded answers: of a routing table that is empty."""

    def _ask(self, command: str) -> list[Answer]:
        if command == "show protocols all":
            return [*answer("protocols-established.txt"), *ACCEPTED]
        if command.startswith("show route"):
            return []
        return [Answer(1011, "Router ID is 10.2.0.1")]


@pytest.fixture
def inquiry(tmp_path: Path) -> Recorded:
    file = tmp_path / "nodes/branch/etc/bird/bird.conf"
    file.parent.mkdir(parents=True)
    file.write_text(CONFIGURATION)
    instance = Instance("pair", "branch", "clab-pair-branch", "image", NodeState.RUNNING, tmp_path)
    node = RunningNode(None, instance)  # type: ignore[arg-type]
    plan = RouterPlan("branch", "bird", 65002, IPv4Address("10.2.0.1"), (), Timers(), None, ())
    return Recorded(node, plan, PurePosixPath("/etc/bird/bird.conf"))


def test_settings_are_those_of_the_section(inquiry: Recorded) -> None:
    peer, accepted = inquiry.sessions()
    assert (peer.name, peer.least_hold, peer.allows_own_as) == ("peer1", 3, True)
    assert (accepted.name, accepted.least_hold, accepted.allows_own_as) == ("dynbgp1", 20, False)
    assert peer.router_id == accepted.router_id == IPv4Address("10.2.0.1")


def test_import_filter_rejects_a_prefix_for_certain(inquiry: Recorded) -> None:
    peer, accepted = inquiry.sessions()
    found = inquiry.received(peer, ip_network("10.1.0.0/24"))
    assert (found.passes, found.obstacle) == (False, "filter")
    assert str(found.line) == "`import filter { … }` (bird.conf of branch:10)"
    other = inquiry.received(peer, ip_network("10.3.0.0/24"))
    assert (other.passes, other.obstacle) == (False, None)
    assert inquiry.received(accepted, ip_network("10.3.0.0/24")).obstacle == "filter"


def test_next_hop_that_bird_complains_about_in_its_log(inquiry: Recorded) -> None:
    peer, _ = inquiry.sessions()
    log = inquiry.node.files / "var/log/bird/bird.log"
    log.parent.mkdir(parents=True)
    complaint = (
        "2026-11-30 11:54:59 [0002] <RMT> peer1: Invalid NEXT_HOP attribute - address 10.99.99.9 not reachable\n"
    )
    log.write_text(f"{complaint}2026-11-30 11:54:59 [0002] <RMT> peer1: Invalid route 10.3.0.0/24 withdrawn\n")
    found = inquiry.received(peer, ip_network("10.3.0.0/24"))
    assert (found.obstacle, found.seen) == ("next-hop", complaint.partition("> ")[2].strip())
    assert inquiry.received(peer, ip_network("10.4.0.0/24")).obstacle is None
