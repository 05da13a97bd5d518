"""BIRD: rendered configuration, parsed answers, and the control socket."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken
from lab.routing import AdjacencyState, Attributes, BfdState, Peer, RipState, RouterPlan, SessionState, daemons
from lab.routing.bird import BIRD2, BIRD3, answers, policy
from lab.routing.bird.control import Control, Line
from lab.topology import Accepted, Bfd, RoutingProtocol, Timers

DATA = Path(__file__).parents[2] / "data" / "bird"
"""Answers of BIRD 2.17 at the `branch` of the topology frr-bird: with its session up, and after bgpd was killed."""

PLAN = RouterPlan(
    node="hub",
    daemon="bird",
    asn=65001,
    router_id=IPv4Address("192.0.2.1"),
    networks=(ip_network("10.1.0.0/24"), ip_network("2001:db8:1::/64")),
    timers=Timers(keepalive=2, hold=7, connect=5),
    bfd=None,
    peers=(
        Peer("a", ip_address("10.255.0.2"), 65002, "tun0"),
        Peer("b", ip_address("2001:db8:ff::2"), 65001, "tun1", ("ipv6",)),
    ),
)


def rendered(plan: RouterPlan) -> dict[str, str]:
    return {str(file.path): file.content for file in BIRD2.render(plan)}


def configuration(plan: RouterPlan) -> list[str]:
    return [line.strip() for line in rendered(plan)["/etc/bird/bird.conf"].splitlines()]


def answer(name: str) -> list[Line]:
    lines: list[Line] = []
    for text in (DATA / f"{name}.txt").read_text().splitlines():
        code = lines[-1].code if text.startswith(" ") else int(text[:4])
        lines.append(Line(code, text[1:] if text.startswith(" ") else text[5:]))
    return lines


# --- rendering ---------------------------------------------------------------------------------------------


def test_bird2_and_bird3_are_found_by_their_names() -> None:
    found: dict[str, object] = dict(daemons())
    assert found["bird"] is BIRD2
    assert found["bird3"] is BIRD3


def test_originated_prefixes_are_in_separate_files() -> None:
    files = rendered(PLAN)
    assert files["/etc/bird/originated4.conf"] == "route 10.1.0.0/24 blackhole;\n"
    assert files["/etc/bird/originated6.conf"] == "route 2001:db8:1::/64 blackhole;\n"
    assert {f'include "/etc/bird/originated{v}.conf";' for v in (4, 6)} <= set(configuration(PLAN))


def test_each_neighbour_is_a_protocol_with_its_families() -> None:
    text = rendered(PLAN)["/etc/bird/bird.conf"]
    first, second = text.split("protocol bgp peer")[1:]
    assert "neighbor 10.255.0.2 as 65002;" in first
    assert ("  ipv4 {" in first, "  ipv6 {" in first) == (True, True)
    assert "neighbor 2001:db8:ff::2 as 65001;" in second
    assert ("  ipv4 {" in second, "  ipv6 {" in second) == (False, True)
    for line in ("keepalive time 2;", "hold time 7;", "connect retry time 5;", "graceful restart off;"):
        assert line in first
    assert ("next hop self" in first, "next hop self" in second) == (False, True), "only to a neighbour in the same AS"


OUTER = (ip_address("198.51.100.1"), ip_address("198.51.100.5"))


def test_route_that_covers_an_outer_address_is_rejected() -> None:
    first, second = PLAN.peers
    plan = replace(PLAN, peers=(replace(first, guarded=True), second), outer=OUTER)
    lines = configuration(plan)
    for address in OUTER:
        assert lines.count(f"if {address} ~ net then reject;") == 1, "of its own family only"
    assert not any("~ net then reject" in line for line in configuration(PLAN))


def test_attributes_by_prefix_are_in_separate_files() -> None:
    files = rendered(PLAN)
    peers = [(1, "ipv4"), (1, "ipv6"), (2, "ipv6")]
    named = [f"/etc/bird/{way}{number}-{family}.conf" for number, family in peers for way in ("in", "out")]
    assert {name for name in files if "-ipv" in name} == set(named)
    assert all(files[name] == "" for name in named)
    lines = configuration(PLAN)
    assert [line for line in lines if "-ipv" in line] == [f'include "{name}";' for name in named]


def test_attributes_are_set_and_cleared_by_prefix() -> None:
    one, two = ip_network("10.9.0.0/24"), ip_network("10.90.0.0/24")
    text = policy.update("", [one, two], Attributes(med=5, prepend=2), 65001)
    sets = "bgp_med = 5; bgp_path.prepend(65001); bgp_path.prepend(65001);"
    assert text == f"if net = {one} then {{ {sets} }}\nif net = {two} then {{ {sets} }}\n"
    text = policy.update(text, [one], Attributes(local_pref=7, next_hop=ip_address("192.0.2.1")), 65001)
    assert text.splitlines()[1] == f"if net = {one} then {{ bgp_next_hop = 192.0.2.1; bgp_local_pref = 7; }}"
    assert policy.update(text, [one, two], None, 65001) == ""
    six = policy.update("", [ip_network("2001:db8:9::/64")], Attributes(next_hop=ip_address("192.0.2.1"), med=1), 1)
    assert "bgp_next_hop" not in six


def test_bfd_state_of_a_neighbour_is_read() -> None:
    shown = [
        Line(1020, "bfd1:"),
        Line(1020, "IP address                Interface  State      Since         Interval  Timeout"),
        Line(1020, "10.255.0.1                tun0       Up         2026-11-24 04:51:35.303    0.100    0.300"),
        Line(1020, "10.255.0.5                tun1       Init       2026-11-24 04:51:35.303    1.000    3.000"),
        Line(0, ""),
    ]
    bfd_states = answers.bfd_sessions(shown)
    assert bfd_states == {ip_address("10.255.0.1"): BfdState.UP, ip_address("10.255.0.5"): BfdState.INIT}
    (neighbor,) = answers.bgp_neighbors(answer("protocols-established"), bfd_states=bfd_states)
    assert neighbor.bfd is BfdState.UP
    (neighbor,) = answers.bgp_neighbors(answer("protocols-established"))
    assert neighbor.bfd is None
    assert not answers.has_bfd(answer("protocols-established"))


@pytest.mark.parametrize("protocol", ["ospf", "rip"])
def test_route_of_ospf_or_rip_into_a_tunnel_that_covers_an_outer_address_is_rejected(protocol: RoutingProtocol) -> None:
    first, second = PLAN.peers
    plan = replace(PLAN, protocol=protocol, peers=(replace(first, guarded=True), second), outer=OUTER)
    covers = "(198.51.100.1 ~ net || 198.51.100.5 ~ net)"
    (line,) = [line for line in configuration(plan) if "import where" in line]
    assert f'ipv4 {{ import where !({covers} && (ifname = "{first.interface}")); export' in line


def test_equal_paths_are_merged_and_a_preference_is_set_on_received_routes() -> None:
    first, second = PLAN.peers
    lines = configuration(replace(PLAN, multipath=True, peers=(replace(first, preference=0), second)))
    assert lines.count("bgp_local_pref = 0;") == len(first.families)
    assert len([line for line in lines if line.startswith("merge paths on;")]) == 2, "one in each family's kernel"
    assert not any("merge paths" in line or "bgp_local_pref" in line for line in configuration(PLAN))


def test_bfd_is_configured_only_if_declared() -> None:
    assert not any("bfd" in line for line in configuration(PLAN))
    lines = configuration(replace(PLAN, bfd=Bfd(multiplier=4, interval=150)))
    assert {"min rx interval 150 ms;", "min tx interval 150 ms;", "multiplier 4;"} <= set(lines)
    assert lines.count("bfd on;") == 2


def test_ospf_and_rip_run_on_the_interfaces_of_both_tunnels() -> None:
    lines = configuration(replace(PLAN, protocol="ospf"))
    assert "protocol ospf v2 ospf4 {" in lines
    assert "protocol ospf v3 ospf6 {" in lines
    assert lines.count('interface "tun1" { type ptp; hello 2; dead 7; retransmit 2; };') == 2
    lines = configuration(replace(PLAN, protocol="rip"))
    assert "protocol rip rip4 {" in lines
    assert "protocol rip ng rip6 {" in lines
    assert not any("protocol bgp" in line for line in lines)


def test_servers_end_is_the_designated_router_of_several_clients() -> None:
    peers = tuple(replace(peer, priority=priority) for priority, peer in enumerate(PLAN.peers))
    lines = configuration(replace(PLAN, protocol="ospf", peers=peers))
    for device, priority in (("tun0", 0), ("tun1", 1)):
        found = [line for line in lines if line.startswith(f'interface "{device}" {{ type broadcast;')]
        assert len(found) == 2
        assert all(f" priority {priority};" in line for line in found)


def test_ipv6_next_hop_of_a_session_over_ipv4_is_written_down() -> None:
    over_ipv4, over_ipv6 = (replace(peer, own_ipv6=IPv6Address("2001:db8:ff::1")) for peer in PLAN.peers)
    unnumbered = replace(over_ipv4, address=None)
    for peer, number in ((over_ipv4, 1), (over_ipv6, 0), (unnumbered, 0), (PLAN.peers[0], 0)):
        lines = configuration(replace(PLAN, peers=(peer,)))
        assert lines.count("next hop address 2001:db8:ff::1;") == number, peer
        if number:
            assert lines.index("ipv6 {") < lines.index("next hop address 2001:db8:ff::1;")


def test_hub_reflects_routes_of_internal_neighbours() -> None:
    peers = tuple(replace(peer, reflects=peer.asn == PLAN.asn) for peer in PLAN.peers)
    assert configuration(replace(PLAN, peers=peers)).count("rr client;") == 1
    assert "rr client;" not in configuration(PLAN)


def test_unnumbered_neighbour_is_accepted_after_router_advertisements() -> None:
    text = rendered(replace(PLAN, peers=(Peer("a", None, 65002, "tun0"),)))["/etc/bird/bird.conf"]
    assert "protocol bgp 'on:tun0' {" in text
    assert "neighbor range fe80::/10 as 65002;" in text
    assert text.count("extended next hop;") == 1
    assert "protocol radv {" in text
    assert "radv" not in rendered(PLAN)["/etc/bird/bird.conf"]


# --- answers -----------------------------------------------------------------------------------------------


def test_sessions_are_read_whatever_the_names_of_their_protocols() -> None:
    shown = [Line(line.code, line.text.replace("peer1", "uplink")) for line in answer("protocols-established")]
    (name,) = found = answers.sessions(shown, now=datetime(2026, 11, 24, 23, tzinfo=UTC))
    assert (name, found[name].asn, found[name].up) == ("uplink", 65001, True)
    assert answers.protocol_names(shown, "Kernel") == ["kernel4", "kernel6"]
    assert answers.tables(shown, ["BGP"]) == {"ipv4": ["master4"], "ipv6": ["master6"]}
    assert answers.tables(shown, ["OSPF"]) == {"ipv4": [], "ipv6": []}


def test_protocol_that_accepts_a_range_is_no_session() -> None:
    lines = [
        Line(1002, "clients    BGP        ---        start  2026-11-24 02:55:55.184  Passive"),
        Line(1006, "  BGP state:          Passive"),
        Line(1006, "    Neighbor range:   10.8.0.0/24"),
        Line(1006, "    Local AS:         65001"),
    ]
    assert answers.sessions(lines) == {}


def test_routes_of_static_protocols_are_the_routers_own_whatever_their_names() -> None:
    text = [
        Line(1007, "10.1.0.0/24          unreachable [ours 02:55:55.184] * (200)"),
        Line(1008, "\tType: static univ"),
        Line(1007, "10.3.0.0/24          unicast [statics 02:55:55.184] * (200)"),
        Line(1007, "\tvia 10.255.0.9 on tun0"),
        Line(1008, "\tType: static univ"),
        Line(1007, "10.2.0.0/24          unicast [uplink 02:55:56.147] * (100) [AS65002i]"),
        Line(1007, "\tvia 10.255.0.2 on tun0"),
        Line(1008, "\tType: BGP univ"),
    ]
    peers = {str(prefix): paths[0].peer for prefix, paths in answers.routes(text).items()}
    assert peers == {"10.1.0.0/24": None, "10.3.0.0/24": None, "10.2.0.0/24": ip_address("10.255.0.2")}


def test_established_session_is_read() -> None:
    (neighbor,) = answers.bgp_neighbors(answer("protocols-established"), now=datetime(2026, 11, 24, 23, tzinfo=UTC))
    assert neighbor.state is SessionState.ESTABLISHED
    assert (neighbor.address, neighbor.asn, neighbor.interface) == (ip_address("10.255.0.1"), 65001, "tun0")
    assert neighbor.prefixes_received == {"ipv4": 1, "ipv6": 1}
    assert neighbor.uptime > 0
    assert neighbor.last_reset == ""


def test_reason_of_a_session_that_is_down_is_read() -> None:
    (neighbor,) = answers.bgp_neighbors(answer("protocols-down"))
    assert neighbor.state is SessionState.ACTIVE
    assert neighbor.prefixes_received == {}
    assert neighbor.uptime == 0
    assert neighbor.last_reset == "Socket: Connection refused"


@pytest.mark.parametrize("word", ["Down", "Flush", "Close", "Idle"])
def test_session_that_is_being_closed_is_idle(word: str) -> None:
    lines = [Line(line.code, line.text.replace("Active", word)) for line in answer("protocols-down")]
    (neighbor,) = answers.bgp_neighbors(lines)
    assert neighbor.state is SessionState.IDLE


def test_accepted_session_is_the_neighbour_of_its_interface() -> None:
    """The samples are from before and after a restart of a tunnel, which changed the neighbour's address."""
    (neighbor,) = answers.bgp_neighbors(answer("unnumbered-waiting"))
    assert (neighbor.address, neighbor.interface, neighbor.asn) == (None, "tun0", 65001)
    assert neighbor.state is SessionState.ACTIVE
    (neighbor,) = answers.bgp_neighbors(answer("unnumbered-called"), datetime(2026, 11, 24, 23, tzinfo=UTC))
    assert (neighbor.address, neighbor.interface) == (ip_address("fe80::b92f:949:dd6:b00e"), "tun0")
    assert neighbor.state is SessionState.ESTABLISHED


@pytest.mark.parametrize(
    ("file", "learnt", "own", "hop"),
    [
        ("routes-ipv4", "10.1.0.0/24", "10.2.0.0/24", "10.255.0.1"),
        ("routes-ipv6", "2001:db8:1::/64", "2001:db8:2::/64", "2001:db8:ff00::1"),
    ],
)
def test_table_has_received_and_originated_routes(file: str, learnt: str, own: str, hop: str) -> None:
    rib = answers.routes(answer(file))
    assert {str(prefix) for prefix in rib} == {learnt, own}
    (path,) = rib[ip_network(learnt)]
    assert path.next_hops == (ip_address(hop),)
    assert path.peer == ip_address("10.255.0.1"), "one session carries both families"
    assert path.as_path == (65001,)
    assert path.best
    assert path.valid
    (path,) = rib[ip_network(own)]
    assert (path.peer, path.as_path, path.next_hops) == (None, (), ())


def test_prefix_with_two_paths_has_both() -> None:
    lines = [
        Line(1007, "10.1.0.0/24          unicast [peer1 2026-11-24 02:55:56.147] * (100) [AS65001i]"),
        Line(1007, "\tvia 10.255.0.1 on tun0"),
        Line(1007, "                     unicast [peer2 2026-11-24 02:55:56.147] (100) [AS65003i]"),
        Line(1007, "\tvia 10.255.0.5 on tun1"),
    ]
    best, other = answers.routes(lines)[ip_network("10.1.0.0/24")]
    assert (best.best, other.best) == (True, False)
    assert (best.peer, other.peer) == (ip_address("10.255.0.1"), ip_address("10.255.0.5"))


@pytest.mark.parametrize(
    ("kind", "valid"), [("unicast", True), ("blackhole", True), ("unreachable", False), ("prohibit", False)]
)
def test_route_whose_next_hop_cannot_be_resolved_is_not_valid(kind: str, valid: bool) -> None:
    """BIRD shows a BGP route as unreachable while its next hop has no route."""
    text = f"10.1.0.0/24          {kind} [peer1 2026-11-24 02:55:56.147 from 10.255.0.1] * (100/-) [AS65001i]"
    (path,) = answers.routes([Line(1007, text)])[ip_network("10.1.0.0/24")]
    assert path.valid is valid


# --- the control socket ------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A node's file system with a BIRD that answers one command, and exits at another."""
    (tmp_path / "run/bird").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "run/bird/bird.ctl"))
        listening.listen(1)
        thread = threading.Thread(target=_serve, args=(listening,))
        thread.start()
        yield tmp_path
        thread.join(10)
    assert not thread.is_alive()


def _serve(listening: socket.socket) -> None:
    replies = {
        b"show x\n": b"1002-one\n two\n+a message\n1006-three\n0000 \n",
        b"nonsense\n": b"9001 syntax error\n",
        b"die\n": b"1002-half",
    }
    client, _ = listening.accept()
    with client:
        client.sendall(b"0001 BIRD ready.\n")
        while command := client.recv(4096):
            for octet in replies[command]:
                client.sendall(bytes([octet]))
            if command == b"die\n":
                return


def test_answer_is_complete_in_parts_of_any_size(root: Path) -> None:
    with Control(root) as control:
        assert control.ask("show x") == [(1002, "one"), (1002, "two"), (1006, "three"), (0, "")]
        with pytest.raises(EnvironmentBroken, match="bird refused `nonsense`: syntax error"):
            control.ask("nonsense")
        with pytest.raises(EnvironmentBroken, match="bird closed the connection before it answered `die`"):
            control.ask("die")


def test_missing_control_socket_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBroken, match=r"no bird process listens on .* \(No such file"):
        Control(tmp_path)


def test_neighbours_of_ospf_and_rip_are_read() -> None:
    for version, address in ((4, "10.255.0.1"), (6, "fe80::829c:171a:acf7:d696")):
        (neighbor,) = answers.ospf_neighbors(answer(f"ospf-neighbors{version}"))
        assert (neighbor.address, neighbor.interface) == (ip_address(address), "tun0")
        assert neighbor.state is AdjacencyState.FULL
        assert neighbor.up
    for version, address in ((4, "10.255.0.1"), (6, "fe80::a65d:e9f9:320a:4a7")):
        (neighbor,) = answers.rip_neighbors(answer(f"rip-neighbors{version}"))
        assert (neighbor.address, neighbor.interface) == (ip_address(address), "tun0")
        assert neighbor.state is RipState.HEARD


def test_only_listed_prefixes_are_accepted() -> None:
    accept = (Accepted(prefix=ip_network("10.20.30.0/24"), ge=32), Accepted(prefix=ip_network("192.168.100.0/24")))
    lines = configuration(replace(PLAN, accept=accept))
    assert (
        lines.count("if net !~ [10.20.30.0/24{32,32}, 192.168.100.0/24{24,24}] then reject;") == 1
    )  # one neighbour has IPv4
    assert lines.count("reject;") == 2  # both have IPv6, of which no prefix is listed
    assert not [line for line in configuration(PLAN) if "!~ [10" in line or line == "reject;"]
