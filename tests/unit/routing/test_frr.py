"""FRR: rendered configuration of BGP, and parsed answers."""

import json
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from lab.routing import Path as BgpPath
from lab.routing import Peer, RouterPlan, SessionState, daemons
from lab.routing.frr import Frr
from lab.routing.frr.bgp import _neighbor, _path
from lab.topology import Accepted, Bfd, Family, Timers

DATA = Path(__file__).parents[2] / "data" / "frr"
"""Answers of FRR 10.3 at the article's `branch`: with its session up, and after `hq`'s daemons were killed."""

PLAN = RouterPlan(
    node="hub",
    daemon="frr",
    asn=65001,
    router_id=IPv4Address("192.0.2.1"),
    networks=(ip_network("10.1.0.0/24"), ip_network("2001:db8:1::/64"), ip_network("10.3.0.0/16")),
    timers=Timers(keepalive=2, hold=7, connect=5),
    bfd=None,
    peers=(
        Peer("a", ip_address("10.255.0.2"), 65002, "tun0"),
        Peer("b", ip_address("2001:db8:ff::2"), 4200000000, "eth3"),
    ),
)


def files(plan: RouterPlan) -> dict[str, str]:
    return {str(f.path): f.content for f in Frr().render(plan)}


def blocks(plan: RouterPlan) -> dict[str, list[str]]:
    """Parse frr.conf: the lines of each block without comments; the key of the top level is empty."""
    found: dict[str, list[str]] = {"": []}
    path: list[str] = []
    for raw in files(plan)["/etc/frr/frr.conf"].splitlines():
        line = raw.strip()
        if not line or line.startswith("!"):
            continue
        if line == "exit-address-family":
            path.pop()
        elif line == "bfd" or line.startswith(("router bgp ", "route-map ", "profile ", "address-family ")):
            nested = line.startswith(("profile ", "address-family "))
            path = [path[0], line] if nested else [line]
            assert "/".join(path) not in found, "each block occurs once"
            found["/".join(path)] = []
        else:
            found["/".join(path)].append(line)
    assert len(path) < 2, "every address family is closed"
    return found


BGP = "router bgp 65001"


def test_frr_is_found_by_its_name() -> None:
    assert isinstance(daemons()["frr"], Frr)


def test_each_neighbour_has_one_set_of_statements() -> None:
    lines = blocks(PLAN)[BGP]
    assert [line for line in lines if line.startswith("neighbor ")] == [
        "neighbor 10.255.0.2 remote-as 65002",
        "neighbor 10.255.0.2 description a",
        "neighbor 10.255.0.2 timers 2 7",
        "neighbor 10.255.0.2 timers connect 5",
        "neighbor 2001:db8:ff::2 remote-as 4200000000",
        "neighbor 2001:db8:ff::2 description b",
        "neighbor 2001:db8:ff::2 timers 2 7",
        "neighbor 2001:db8:ff::2 timers connect 5",
    ]


def test_router_announces_without_a_policy_and_without_routes() -> None:
    lines = blocks(PLAN)[BGP]
    assert {"bgp router-id 192.0.2.1", "no bgp ebgp-requires-policy", "no bgp network import-check"} <= set(lines)


@pytest.mark.parametrize(
    ("family", "networks"),
    [("ipv4", ["10.1.0.0/24", "10.3.0.0/16"]), ("ipv6", ["2001:db8:1::/64"])],
)
def test_family_has_its_networks_and_every_neighbour(family: Family, networks: list[str]) -> None:
    lines = blocks(PLAN)[f"{BGP}/address-family {family} unicast"]
    assert [line.split()[1] for line in lines if line.startswith("network ")] == networks
    active = [line.split()[1] for line in lines if line.endswith(" activate")]
    assert active == ["10.255.0.2", "2001:db8:ff::2"]


def test_only_ipv6_prefers_the_global_next_hop() -> None:
    found = blocks(PLAN)
    assert found["route-map FROM-PEERS permit 10"] == ["set ipv6 next-hop prefer-global"]
    v6 = found[f"{BGP}/address-family ipv6 unicast"]
    assert [line for line in v6 if "route-map" in line] == [
        "neighbor 10.255.0.2 route-map FROM-PEERS in",
        "neighbor 2001:db8:ff::2 route-map FROM-PEERS in",
    ]
    assert not any("route-map" in line for line in found[f"{BGP}/address-family ipv4 unicast"])


def test_bfd_is_not_mentioned_unless_declared() -> None:
    rendered = files(PLAN)
    assert "bfd" not in rendered["/etc/frr/frr.conf"]
    assert "bfdd=no" in rendered["/etc/frr/daemons"].splitlines()


def test_neighbours_share_one_bfd_profile() -> None:
    plan = replace(PLAN, bfd=Bfd(multiplier=4, interval=150))
    found = blocks(plan)
    assert found["bfd/profile lab"] == ["detect-multiplier 4", "receive-interval 150", "transmit-interval 150"]
    assert [line for line in found[BGP] if " bfd" in line] == [
        "neighbor 10.255.0.2 bfd profile lab",
        "neighbor 2001:db8:ff::2 bfd profile lab",
    ]
    assert "bfdd=yes" in files(plan)["/etc/frr/daemons"].splitlines()


def test_no_section_ends_with_exit() -> None:
    """A daemon that reads the file itself stops at an `exit`."""
    for plan in (PLAN, replace(PLAN, bfd=Bfd())):
        lines = [line.strip() for line in files(plan)["/etc/frr/frr.conf"].splitlines()]
        assert not {"exit", "end", "quit"} & set(lines)


def test_router_without_peers_and_networks_is_rendered() -> None:
    found = blocks(replace(PLAN, peers=(), networks=()))
    assert found[f"{BGP}/address-family ipv4 unicast"] == []
    assert not any(line.startswith("neighbor") for line in found[BGP])


def test_hostname_is_the_name_of_the_node() -> None:
    rendered = files(PLAN)
    assert "hostname hub" in rendered["/etc/frr/frr.conf"].splitlines()
    assert "hostname hub" in rendered["/etc/frr/vtysh.conf"].splitlines()
    assert "log file /var/log/frr/frr.log informational" in rendered["/etc/frr/frr.conf"].splitlines()
    assert "bgpd=yes" in rendered["/etc/frr/daemons"].splitlines()


# --- answers -----------------------------------------------------------------------------------------------


def sample(name: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return answer


def facts(name: str) -> dict[str, Any]:
    found: dict[str, Any] = sample(name)["10.255.0.1"]
    return found


def test_established_session_is_read() -> None:
    neighbor = _neighbor("10.255.0.1", facts("neighbors-established"))
    assert neighbor.state is SessionState.ESTABLISHED
    assert (neighbor.address, neighbor.asn) == (ip_address("10.255.0.1"), 65001)
    assert neighbor.uptime == 5.0
    assert neighbor.times_established == 1
    assert neighbor.prefixes_received == {"ipv4": 1, "ipv6": 1}
    assert neighbor.last_reset == ""


@pytest.mark.parametrize(
    ("status", "state"),
    [("Up", "Up"), ("Down", "Down"), ("Init", "Init"), ("Admin Down", "AdminDown"), ("Unknown", "Down")],
)
def test_bfd_state_of_a_session_is_read(status: str, state: str) -> None:
    up = facts("neighbors-established")
    assert _neighbor("10.255.0.1", up).bfd is None
    neighbor = _neighbor("10.255.0.1", {**up, "peerBfdInfo": {"type": "single hop", "status": status}})
    assert neighbor.bfd == state


def test_session_that_went_down_has_a_reason_and_no_prefixes() -> None:
    neighbor = _neighbor("10.255.0.1", facts("neighbors-down"))
    assert neighbor.state is SessionState.ACTIVE
    assert neighbor.uptime == 0
    assert neighbor.times_established == 1
    assert neighbor.prefixes_received == {}
    assert neighbor.last_reset == "Peer closed the session"


def test_reason_of_a_notification_is_read() -> None:
    down = {**facts("neighbors-down"), "lastResetDueTo": "BGP Notification send"}
    assert _neighbor("10.255.0.1", down).last_reset == "BGP Notification send"
    down["lastNotificationReason"] = "Hold Timer Expired"
    assert _neighbor("10.255.0.1", down).last_reset == "BGP Notification send: Hold Timer Expired"


def test_family_that_one_end_does_not_advertise_is_not_negotiated() -> None:
    one_sided = facts("neighbors-established")
    extensions = one_sided["neighborCapabilities"]["multiprotocolExtensions"]
    extensions["ipv6Unicast"] = {"advertised": True}
    assert _neighbor("10.255.0.1", one_sided).prefixes_received == {"ipv4": 1}


@pytest.mark.parametrize("state", list(SessionState))
def test_every_state_of_a_session_is_read(state: SessionState) -> None:
    assert _neighbor("10.255.0.1", {"remoteAs": 1, "bgpState": str(state)}).state is state


@pytest.mark.parametrize("state", ["Clearing", "Deleted"])
def test_clearing_and_deleted_sessions_are_idle(state: str) -> None:
    found = _neighbor("10.255.0.1", {"remoteAs": 1, "bgpState": state, "bgpTimerUpMsec": 4000})
    assert found.state is SessionState.IDLE
    assert found.uptime == 0.0


def paths(name: str, prefix: str) -> list[BgpPath]:
    return [_path(ip_network(prefix), each) for each in sample(name)["routes"][prefix]]


@pytest.mark.parametrize(
    ("file", "prefix", "hop"),
    [
        ("rib-ipv4-established", "10.1.0.0/24", "10.255.0.1"),
        ("rib-ipv6-established", "2001:db8:1::/64", "2001:db8:ff::1"),
    ],
)
def test_received_path_is_read(file: str, prefix: str, hop: str) -> None:
    (path,) = paths(file, prefix)
    assert path.peer == ip_address("10.255.0.1"), "one session carries both families"
    assert path.next_hops == (ip_address(hop),)
    assert path.as_path == (65001,)
    assert path.best
    assert path.valid


@pytest.mark.parametrize(
    ("file", "prefix"), [("rib-ipv4-established", "10.2.0.0/24"), ("rib-ipv6-down", "2001:db8:2::/64")]
)
def test_originated_path_has_no_peer(file: str, prefix: str) -> None:
    (path,) = paths(file, prefix)
    assert path.peer is None
    assert path.as_path == ()
    assert path.best


def test_path_that_is_neither_valid_nor_best_is_read() -> None:
    path = _path(ip_network("10.1.0.0/24"), {"peerId": "10.255.0.1", "path": "65001 65003", "nexthops": []})
    assert (path.best, path.valid, path.next_hops, path.as_path) == (False, False, (), (65001, 65003))


def test_only_listed_prefixes_are_accepted() -> None:
    office = Peer("office", ip_address("10.8.0.1"), 65001, "tun0", guarded=True)
    transit = Peer("transit", ip_address("192.0.2.9"), 65003, "eth1")
    accept = (
        Accepted(prefix=ip_network("10.20.30.0/24"), ge=32),
        Accepted(prefix=ip_network("192.168.100.0/24")),
        Accepted(prefix=ip_network("10.64.0.0/10"), le=24),
    )
    plan = replace(PLAN, peers=(office, transit), accept=accept, outer=(ip_address("198.51.100.2"),))
    found = blocks(plan)
    listed = [
        "ip prefix-list {} permit 10.20.30.0/24 ge 32 le 32",
        "ip prefix-list {} permit 192.168.100.0/24",
        "ip prefix-list {} permit 10.64.0.0/10 le 24",
        "ip prefix-list {} deny any",
    ]
    lines = [line for block in found.values() for line in block]
    for name in ("ACCEPTED", "NO-RECURSION"):
        (start,) = (number for number, line in enumerate(lines) if line == listed[0].format(name))
        assert lines[start : start + 4] == [line.format(name) for line in listed]
    assert "ip prefix-list NO-RECURSION permit any" not in lines
    assert lines.index("ip prefix-list NO-RECURSION deny 0.0.0.0/0") < lines.index(listed[0].format("NO-RECURSION"))
    for family, filter_list in (("ipv4", "NO-RECURSION"), ("ipv6", "ACCEPTED")):
        block = found[f"{BGP}/address-family {family} unicast"]
        assert f"neighbor 10.8.0.1 prefix-list {filter_list} in" in block
        assert "neighbor 192.0.2.9 prefix-list ACCEPTED in" in block
    assert "ipv6 prefix-list ACCEPTED deny any" in lines
    assert not [line for line in lines if line.startswith("ipv6 prefix-list ACCEPTED permit")]
    assert not [line for block in blocks(PLAN).values() for line in block if "ACCEPTED" in line]
