"""FRR's answers about one route and one session, as bgpd 10.3 gave them in labs with each fault."""

import json
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any, get_args

import pytest

from lab.configs.frr import parse
from lab.configs.frr.policy import Policies
from lab.core.prefixes import Family, Prefix
from lab.routing import BfdState, SessionState
from lab.routing.frr import mends
from lab.routing.frr.inquiry import read_entry, read_path, read_session
from lab.routing.frr.interior import read_ospf6_interfaces, read_ospf_interfaces, read_rip_interfaces
from lab.routing.inquiry import Action, BgpSession, InteriorInterface, Line, Mend

DATA = Path(__file__).parents[2] / "data" / "frr"
ANY = str(IPv4Address(0))
ESTABLISHED: dict[str, Any] = json.loads((DATA / "neighbors-established.json").read_text())["10.255.0.1"]
BOTH: frozenset[Family] = frozenset(("ipv4", "ipv6"))
ONE: frozenset[Family] = frozenset(("ipv4",))
CONFIGURATION = """
router bgp 65002
 neighbor 10.255.0.1 remote-as 65001
 neighbor 10.255.0.1 password s3cret
 neighbor 10.255.0.1 ttl-security hops 1
"""


def session(**facts: Any) -> BgpSession:
    return read_session("10.255.0.1", ESTABLISHED | facts, None)


def test_session_that_is_up_has_its_families() -> None:
    found = session()
    assert found.state is SessionState.ESTABLISHED
    assert found.families == found.offered == BOTH
    assert (found.local_as, found.remote_as, found.internal) == (65002, 65001, False)
    assert (found.hold, found.router_id) == (3, IPv4Address("10.2.0.1"))
    assert (found.shutdown, found.limit_exceeded, found.password, found.notification) == (False, False, None, None)


def test_family_is_offered_by_the_neighbour_and_not_activated_here() -> None:
    family = {k: v for k, v in ESTABLISHED["addressFamilyInfo"].items() if k == "ipv4Unicast"}
    capabilities = {"ipv4Unicast": {"advertisedAndReceived": True}, "ipv6Unicast": {"received": True}}
    found = session(addressFamilyInfo=family, neighborCapabilities={"multiprotocolExtensions": capabilities})
    assert found.families == ONE
    assert found.offered == BOTH
    capabilities["ipv6Unicast"] = {"advertised": True}
    assert session(neighborCapabilities={"multiprotocolExtensions": capabilities}).offered == ONE
    assert session(neighborCapabilities={}).offered is None


def test_settings_come_from_the_running_configuration() -> None:
    (configured,) = parse(CONFIGURATION, "frr.conf").neighbors
    found = read_session("10.255.0.1", ESTABLISHED, configured)
    assert found.password == configured.password is not None
    assert found.ttl_security
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("reset", "code", "sent"),
    [("BGP Notification send", "0202", True), ("BGP Notification received", "0601", False)],
)
def test_notification_has_its_code_and_its_direction(reset: str, code: str, sent: bool) -> None:
    found = session(lastResetDueTo=reset, lastErrorCodeSubcode=code, lastNotificationReason="OPEN Message Error/x")
    assert found.notification is not None
    assert (found.notification.code, found.notification.subcode) == (int(code[:2]), int(code[2:]))
    assert found.notification.sent is sent
    assert found.error == f"{reset}: OPEN Message Error/x"


def test_old_notification_is_not_the_reason_of_another_reset() -> None:
    found = session(lastResetDueTo="Admin. shutdown", lastErrorCodeSubcode="0202", lastNotificationReason="Bad Peer AS")
    assert found.notification is None
    assert found.error == "Admin. shutdown"


def test_limit_and_shutdown_and_bfd() -> None:
    families = {"ipv4Unicast": {"prefixAllowedMax": 7}}
    found = session(
        addressFamilyInfo=families, prefixesConfigExceedMax=True, adminShutDown=True, peerBfdInfo={"status": "Down"}
    )
    assert (found.limits, found.limit_exceeded, found.shutdown) == ({"ipv4": 7}, True, True)
    assert found.bfd is BfdState.DOWN
    assert session().bfd is None


RECEIVED = {
    "aspath": {"segments": [{"type": "as-sequence", "list": [65001, 65003]}]},
    "valid": True,
    "bestpath": {"overall": True, "selectionReason": "Local Pref"},
    "nexthops": [
        {"ip": "2001:db8:ff00::1", "scope": "global", "accessible": True, "used": True},
        {"ip": "fe80::1", "scope": "link-local", "accessible": True},
    ],
    "peer": {"peerId": "10.255.0.1", "type": "external"},
}


def test_received_path_has_the_next_hop_in_use() -> None:
    found = read_path(RECEIVED)
    assert found.next_hops == (ip_address("2001:db8:ff00::1"),)
    assert (found.peer, found.as_path, found.reason) == (ip_address("10.255.0.1"), (65001, 65003), "Local Pref")
    assert found.valid
    assert found.best
    assert found.resolved


def test_path_has_its_communities() -> None:
    plain, large = {"list": ["65001:100", "noExport", "noPeer"]}, {"list": ["65001:1:2"]}
    found = read_path(RECEIVED | {"community": plain, "largeCommunity": large})
    assert found.communities == {(65001, 100), (65535, 65281), (65001, 1, 2)}
    assert read_path(RECEIVED).communities == frozenset()


def test_path_with_an_unreachable_next_hop_is_not_resolved() -> None:
    hop = {"ip": "10.99.99.9", "accessible": False, "used": True}
    found = read_path(RECEIVED | {"valid": False, "bestpath": {}, "nexthops": [hop]})
    assert (found.valid, found.best, found.resolved) == (False, False, False)


def test_own_path_has_no_peer() -> None:
    own = {
        "sourced": True,
        "local": True,
        "valid": True,
        "peer": {"peerId": ANY},
        "nexthops": [{"ip": ANY}],
    }
    assert read_path(own).peer is None


def test_entry_of_zebra_is_learnt_or_its_own() -> None:
    hop = {"ip": "10.255.0.1", "interfaceName": "tun0", "active": True}
    learnt = read_entry({"protocol": "ospf", "selected": True, "distance": 110, "nexthops": [hop]})
    assert (learnt.peer, learnt.interfaces, learnt.best) == (ip_address("10.255.0.1"), ("tun0",), True)
    static = read_entry({"protocol": "static", "nexthops": [hop | {"active": False}]})
    assert (static.peer, static.resolved, static.best) == (None, False, False)


POLICY = """
ip prefix-list OUT seq 5 deny 10.1.0.0/24
ip prefix-list OUT seq 10 permit 10.1.0.0/16 le 24
ip prefix-list THIS seq 5 permit 10.1.0.0/24
route-map FIRST deny 10
 match ip address prefix-list THIS
route-map FIRST permit 20
route-map UNKNOWN deny 10
 match community NOBODY
route-map UNKNOWN permit 20
router bgp 65001
 neighbor 10.255.0.2 remote-as 65002
 neighbor 10.255.0.2 prefix-list OUT out
 neighbor 10.255.0.2 route-map FIRST in
 neighbor 10.255.0.3 remote-as 65003
 neighbor 10.255.0.3 route-map UNKNOWN in
"""


@pytest.mark.parametrize(
    ("peer", "direction", "prefix", "line"),
    [
        ("10.255.0.2", "out", "10.1.0.0/24", "ip prefix-list OUT seq 5 deny 10.1.0.0/24"),
        ("10.255.0.2", "out", "10.1.1.0/24", None),
        ("10.255.0.2", "out", "10.2.0.0/24", "neighbor 10.255.0.2 prefix-list OUT out"),
        ("10.255.0.2", "in", "10.1.0.0/24", "route-map FIRST deny 10"),
        ("10.255.0.2", "in", "10.2.0.0/24", None),
        ("10.255.0.3", "in", "10.1.0.0/24", None),
    ],
)
def test_line_that_rejects_a_prefix(peer: str, direction: str, prefix: str, line: str | None) -> None:
    configuration = parse(POLICY, "frr.conf")
    (section,) = configuration.bgp
    neighbor = next(n for n in configuration.neighbors if n.name == peer)
    (statement,) = section.policies(neighbor, "ipv4", direction)  # type: ignore[arg-type]
    found = Policies(configuration.statements).rejecting(statement, ip_network(prefix))
    assert (str(found) if found else None) == line


# --- OSPF and RIP ------------------------------------------------------------------------------------------

OSPF: dict[str, dict[str, Any]] = {
    "interfaces": {
        "tun0": {
            "ospfEnabled": True, "area": "0.0.0.1 [Stub]", "networkType": "POINTOPOINT", "timerMsecs": 2000,
            "timerDeadSecs": 6,
        },
        "eth1": {"ospfEnabled": False},
    }
}  # fmt: skip


def test_interface_of_ospf_has_what_both_ends_must_agree_on() -> None:
    (found,) = read_ospf_interfaces(OSPF)
    assert found == InteriorInterface("ospf", "tun0", "ipv4", "0.0.0.1", "ptp", 2, 6)
    passive = OSPF["interfaces"]["tun0"] | {"timerPassiveIface": True}
    (found,) = read_ospf_interfaces({"interfaces": {"tun0": passive}})
    assert found.passive


def test_interface_of_ospfv3_is_in_an_area_or_not_there() -> None:
    facts = {
        "attachedToArea": True, "areaId": ANY, "type": "BROADCAST", "timerIntervalsConfigHello": 1,
        "timerIntervalsConfigDead": 3, "timerPassiveIface": False,
    }  # fmt: skip
    (found,) = read_ospf6_interfaces({"tun0": facts, "eth1": {"status": "up", "type": "BROADCAST"}})
    assert found == InteriorInterface("ospf", "tun0", "ipv6", ANY, "broadcast", 1, 3)


def test_interfaces_of_rip() -> None:
    (found,) = read_rip_interfaces((DATA / "rip-status.txt").read_text(), "ipv4")
    assert found == InteriorInterface("rip", "tun0", "ipv4")
    (found,) = read_rip_interfaces((DATA / "ripng-status.txt").read_text(), "ipv6")
    assert found == InteriorInterface("rip", "tun0", "ipv6")


def test_passive_interface_of_rip() -> None:
    text = (DATA / "rip-status.txt").read_text()
    passive = text.replace("  Routing Information", "  Passive Interface(s):\n    tun0\n  Routing Information")
    (found,) = read_rip_interfaces(passive, "ipv4")
    assert found.passive


# --- mends -------------------------------------------------------------------------------------------------

PEER = BgpSession("10.255.0.2", ip_address("10.255.0.2"), "", SessionState.IDLE, 65001, 65002, frozenset(), None)
IPV4: Prefix = ip_network("10.1.0.0/24")


@pytest.mark.parametrize(
    ("mend", "said"),
    [
        (Mend("activate", PEER, "ipv6"), "add `neighbor 10.255.0.2 activate` to `address-family ipv6 unicast` of"),
        (Mend("originate", None, "ipv4", IPV4), "add `network 10.1.0.0/24` to `address-family ipv4 unicast`"),
        (Mend("remote-as", PEER, value="65009"), "change it to `neighbor 10.255.0.2 remote-as 65009`"),
        (Mend("address", value="10.255.0.9", asn=65009), "add `neighbor 10.255.0.9 remote-as 65009`"),
        (Mend("password", PEER, value="add"), "add `neighbor 10.255.0.2 password …`"),
        (Mend("limit", PEER, "ipv6"), "raise `neighbor 10.255.0.2 maximum-prefix NUMBER`"),
        (
            Mend("permit", PEER, "ipv4", IPV4, Line("ip prefix-list X seq 5 deny any", "frr.conf:7")),
            "add `ip prefix-list X seq 4 permit 10.1.0.0/24`, or remove that line",
        ),
        (
            Mend("permit", PEER, "ipv4", IPV4, Line("ip prefix-list X deny any", "frr.conf:7")),
            "add `ip prefix-list X permit 10.1.0.0/24`, or remove that line",
        ),
        (
            Mend("permit", PEER, "ipv4", IPV4, Line("neighbor 10.255.0.2 prefix-list X in", "frr.conf:7")),
            "add `ip prefix-list X permit 10.1.0.0/24`: none of its entries permits it",
        ),
        (
            Mend("permit", PEER, "ipv4", IPV4, Line("neighbor 10.255.0.2 route-map X in", "frr.conf:7")),
            "add an entry `route-map X permit NUMBER` that matches 10.1.0.0/24",
        ),
        (
            Mend("interior", interface=InteriorInterface("ospf", "tun0", "ipv6"), setting="dead", value="9"),
            "change it to `ipv6 ospf6 dead-interval 9` below `interface tun0`",
        ),
        (
            Mend("interior", interface=InteriorInterface("rip", "tun0", "ipv4"), setting="enabled"),
            "add `network tun0` to `router rip`",
        ),
    ],
)
def test_mend_names_the_line_and_the_file(mend: Mend, said: str) -> None:
    found = mends.words(mend, "frr.conf of hq", "bgp", 65001)
    assert found.startswith(said)
    if mend.line is None:
        assert "frr.conf of hq" in found
        assert mend.interface is not None or "`router bgp 65001`" in found


def test_rip_and_ospf_originate_by_their_own_lines() -> None:
    mend = Mend("originate", None, "ipv6", ip_network("2001:db8:1::/64"))
    assert mends.words(mend, "frr.conf", "rip", None) == "add `route 2001:db8:1::/64` to `router ripng` in frr.conf"
    assert "`router ospf6` in frr.conf" in mends.words(mend, "frr.conf", "ospf", None)


def test_every_action_has_words() -> None:

    interface = InteriorInterface("ospf", "tun0", "ipv4")
    for action in get_args(Action):
        mend = replace(Mend(action, PEER, "ipv4", IPV4, value="x", direction="in"), interface=interface)
        assert mends.words(mend, "frr.conf", "bgp", 65001), action
