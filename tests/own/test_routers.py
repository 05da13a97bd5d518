"""Routers with files of the user's: sessions, packets, announcements, faults and measurements as with rendered ones."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from ipaddress import ip_network
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.catalogue import load
from lab.cli.app import app
from lab.core.errors import InputError
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import FAMILIES
from lab.routing import Path as RibPath
from lab.routing.frr.vty import Vty
from lab.runtime.lab import Lab
from lab.status.overview import remarks, report
from lab.topology import Prefix
from tests.helpers.pairs import Pair
from tests.helpers.program import PATIENCE

pytestmark = [pytest.mark.docker, pytest.mark.topology("pair.clab.yml", openvpn="2.7")]

HERE = Path(__file__).parent
BRANCH = 'asn: 65002, password: lab-s3cret, networks: [10.2.0.0/24, "2001:db8:2::/64"]'
FRR = Pair("frr", "config: hosts/frr/frr.conf", BRANCH)
BIRD = Pair("bird", "daemon: bird, config: hosts/bird", BRANCH)
BIRD3 = Pair("bird3", "daemon: bird3, config: [hosts/bird/bird.conf]", BRANCH)
SPLIT = Pair("split", "config: hosts/split", 'protocol: ospf, networks: [10.2.0.0/24, "2001:db8:2::/64"]')
SEVERAL = Pair("several", "config: hosts/several-hq", "config: hosts/several-branch")
BGP = pytest.mark.parametrize("pair", [FRR, BIRD, BIRD3], indirect=True, ids=str)
OURS: tuple[Prefix, ...] = (ip_network("10.1.0.0/24"), ip_network("2001:db8:1::/64"))
THEIRS: tuple[Prefix, ...] = (ip_network("10.2.0.0/24"), ip_network("2001:db8:2::/64"))
ALLOWED = (ip_network("10.9.0.0/24"), ip_network("2001:db8:1:9::/64"))
OTHERS_UP_WITHIN = 10.0
"""Seconds in which a lab's other sessions come up."""
KEPT_BACK = ip_network("10.77.0.0/24")
"""A prefix that the export policy in hosts/ does not let pass."""


def program(*argv: str, cwd: Path = HERE) -> "subprocess.CompletedProcess[str]":
    """Run `lab` as a process of its own."""
    command = [sys.executable, "-m", "lab.cli", *argv]
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def expect_down(lab: Lab, name: str, other: str) -> None:
    """Wait until a router's session with another node is down."""
    router = lab.router(name)
    wait_for(
        Expectation(
            what=f"the session with {other} to be down",
            node=name,
            look=lambda: router.neighbor(other),
            met=lambda neighbor: not neighbor.up,
        ),
        within=30,
    )


@BGP
def test_routes_and_packets_pass(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    hq.expect_session("branch")
    branch.expect_session("hq")
    hq.expect_route(THEIRS, via="tun0")
    branch.expect_route(OURS, via="tun0")
    for name, other in (("hq-lan", "branch-lan"), ("branch-lan", "hq-lan")):
        for family in FAMILIES:
            lab.host(name).expect_reaches(lab.host(other).address(family))


@BGP
def test_the_node_has_the_files_unchanged(lab: Lab, pair: Pair) -> None:
    own = lab.topology.own_routers["hq"]
    named = [file for file in own.files if file.source is not None]
    assert named
    for file in named:
        assert file.source is not None
        assert (lab.running("hq").root / file.path.relative_to("/")).read_bytes() == file.source.read_bytes()


@BGP
def test_neighbours_are_named_if_they_are_nodes_of_the_lab(lab: Lab, pair: Pair) -> None:
    hq = lab.router("hq")
    hq.expect_session("branch")
    found = {str(neighbor.address): node for node, neighbor in hq.sessions()}
    assert found == {"10.255.0.2": "branch", "192.0.2.66": ""}
    status = report(lab)
    assert {(s.node, s.neighbor, s.up) for s in status.sessions} == {
        ("hq", "branch", True), ("hq", "", False), ("branch", "hq", True)
    }  # fmt: skip
    assert status.up, "a provider outside of the lab is no failure"


@BGP
def test_allowed_prefix_is_announced_and_withdrawn(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    before = {family: hq.daemon.originated(hq.running, family) for family in FAMILIES}
    hq.announce(ALLOWED)
    try:
        branch.expect_route(ALLOWED, via="tun0")
        assert [hq.receivers(prefix) for prefix in ALLOWED] == [["branch"], ["branch"]]
    finally:
        hq.withdraw(ALLOWED)
    branch.expect_no_route(ALLOWED)
    assert {family: hq.daemon.originated(hq.running, family) for family in FAMILIES} == before
    branch.expect_route(OURS)  # what the files announce stays


@BGP
def test_served_host_is_reached_at_an_announced_prefix(lab: Lab, pair: Pair) -> None:
    hq, branch, prefix = lab.router("hq"), lab.router("branch"), ALLOWED[0]
    with hq.serving(prefix, lab.host("hq-lan")) as address, hq.announced(prefix):
        branch.expect_route(prefix)
        lab.host("branch-lan").expect_reaches(address)


@BGP
def test_prefix_that_the_policy_keeps_back_is_said_to_reach_no_neighbour(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    result = program("announce", "--lab", lab.name, "hq", str(KEPT_BACK))
    try:
        assert result.returncode == 1
        assert f"hq originates {KEPT_BACK}, but sends it to no neighbour" in result.stderr
        assert KEPT_BACK in hq.daemon.originated(hq.running, "ipv4")
    finally:
        hq.withdraw(KEPT_BACK)
    branch.expect_not_in_rib(KEPT_BACK)
    result = program("announce", "--lab", lab.name, "hq", str(ALLOWED[0]))
    try:
        assert result.returncode == 0, result.stderr
        assert "branch: the route in the kernel FIB" in result.stderr
    finally:
        hq.withdraw(ALLOWED[0])


@BGP
def test_prefix_of_the_files_is_withdrawn_only_where_the_daemon_can(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    if pair is not FRR:
        with pytest.raises(InputError, match=r"10\.1\.0\.0/24 is originated by hosts/bird/bird\.conf"):
            hq.withdraw(OURS[0])
        return
    hq.withdraw(OURS[0])
    branch.expect_no_route(OURS[0])
    hq.announce(OURS[0])
    branch.expect_route(OURS[0])


@BGP
def test_attributes_are_set_where_prefixes_are_originated(lab: Lab, pair: Pair) -> None:
    hq, branch, prefix = lab.router("hq"), lab.router("branch"), ALLOWED[0]
    hq.announce(prefix, prepend=2)
    try:
        (path,) = branch.expect_in_rib(prefix)[prefix]
        assert path.as_path == (65001,) * 3
        hq.clear_attributes(prefix)
        shorter = Expectation(
            what="the path without prepended AS numbers",
            node="branch",
            look=lambda: branch.rib("ipv4")[prefix][0].as_path,
            met=lambda found: found == (65001,),
        )
        wait_for(shorter, within=20)
        if pair is FRR:
            hq.announce(prefix, med=30)
            med = Expectation(
                what="MED 30",
                node="branch",
                look=lambda: branch.exec("vtysh", "-c", f"show bgp ipv4 unicast {prefix}").stdout,
                met=lambda shown: "metric 30" in shown,
            )
            wait_for(med, within=20)
            hq.clear_attributes(prefix)
        else:
            with pytest.raises(InputError, match="export filter"):
                hq.announce(prefix, med=30)
    finally:
        hq.withdraw(prefix)
    for refused in ({"prepend": 1, "through": "tun0"}, {"next_hop": ip_network("10.255.0.9/32").network_address}):
        with pytest.raises(InputError, match=r"files of|own"):
            hq.announce(prefix, **refused)
    with pytest.raises(InputError, match="set LOCAL_PREF there"):
        hq.prefer(prefix, local_pref=200)
    branch.expect_no_route(prefix)


@BGP
def test_wrong_password_is_seen_at_the_users_router(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    hq.expect_session("branch")

    def change(password: str) -> None:
        with Vty(branch.running.root, "bgpd") as bgpd:
            line = f"neighbor 10.255.0.1 password {password}"
            bgpd.configure([line], inside=["router bgp 65002"])

    change("another")
    try:
        expect_down(lab, "hq", "branch")
        (down,) = [s for s in report(lab).sessions if s.node == "hq" and s.neighbor == "branch"]
        assert not down.up
    finally:
        change("lab-s3cret")
    hq.expect_session("branch", within=60)


@BGP
def test_sessions_are_reset_and_come_back(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    hq.expect_session("branch")
    branch.expect_session("hq")
    before = branch.neighbor("hq").times_established
    hq.reset("branch", soft=True)
    assert branch.neighbor("hq").times_established == before
    hq.reset("branch")
    again = Expectation(
        what="another session",
        node="branch",
        look=lambda: branch.neighbor("hq"),
        met=lambda neighbor: neighbor.up and neighbor.times_established > before,
    )
    wait_for(again, within=60)
    with pytest.raises(InputError, match="no session with hq-lan"):
        hq.reset("hq-lan")


@BGP
def test_killed_daemon_starts_again_with_the_files(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    hq.expect_session("branch")
    with lab.fault("daemon-killed", node="hq"):
        assert not hq.daemon.is_running(hq.running)
        expect_down(lab, "branch", "hq")
    hq.expect_session("branch", within=60)
    branch.expect_route(OURS)
    hq.expect_route(THEIRS)


@BGP
def test_changes_are_measured_at_the_users_router(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    hq.expect_session("branch")
    prefix = lab.free_prefix("ipv4")
    with lab.measure("hq", prefix) as appeared:
        branch.announce(prefix)
    with lab.measure("hq", prefix) as vanished:
        branch.withdraw(prefix)
    assert (appeared.outcome, vanished.outcome) == ("appears", "vanishes")
    assert appeared.stage("rib").source == ("bmp" if pair is FRR else "log")


@BGP
def test_differences_are_remarks_with_their_lines(lab: Lab, pair: Pair) -> None:
    found = [(r.kind, r.node, r.place) for r in remarks(lab)]
    if pair is FRR:
        text = (HERE / "hosts/frr/frr.conf").read_text().splitlines()
        line = next(number for number, line in enumerate(text, 1) if "frobnicate" in line)
        assert found == [("refused", "hq", f"hosts/frr/frr.conf:{line}")]
        assert "s3cret" not in str(remarks(lab))
    else:
        assert found == [("override", "hq", "hosts/bird/bird.conf:3")]


@pytest.mark.parametrize("pair", [SPLIT], indirect=True, ids=str)
def test_file_per_daemon_runs_the_daemons_of_its_list(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    hq.expect_session("branch", within=60)
    branch.expect_session("hq", within=60)
    branch.expect_route([ip_network("10.1.0.0/24"), ip_network("192.0.2.1/32")], via="tun0")
    names = {path.name for path in (hq.running.root / "run/frr").glob("*.vty")}
    assert names == {"mgmtd.vty", "zebra.vty", "staticd.vty", "ospfd.vty"}
    assert {(r.kind, r.place) for r in remarks(lab)} == {
        ("refused", "hosts/split/zebra.conf:7"),
        ("override", "hosts/split/daemons"),
    }
    assert (hq.running.root / "var/log/quagga/ospfd.log").exists(), "its directory is made"


@pytest.mark.parametrize("pair", [SPLIT], indirect=True, ids=str)
def test_ospf_announces_beside_what_the_files_redistribute(lab: Lab, pair: Pair) -> None:
    hq, branch, prefix = lab.router("hq"), lab.router("branch"), ALLOWED[0]
    hq.expect_session("branch", within=60)
    hq.announce(prefix)
    try:
        branch.expect_route(prefix, via="tun0")
    finally:
        hq.withdraw(prefix)
    branch.expect_no_route(prefix)
    branch.expect_route(OURS[0])
    with pytest.raises(InputError, match="no routing protocol for ipv6"):
        hq.announce(ALLOWED[1])
    with pytest.raises(InputError, match="did not announce"):
        hq.withdraw(OURS[0])


@pytest.mark.parametrize("pair", [SEVERAL], indirect=True, ids=str)
def test_sessions_of_all_protocols_are_known(lab: Lab, pair: Pair) -> None:
    for name, other in (("hq", "branch"), ("branch", "hq")):
        lab.router(name).expect_session(other, within=90)
        sessions = [s for s in report(lab).sessions if s.node == name]
        assert {s.neighbor for s in sessions} == {other}
        assert sorted(s.protocol for s in sessions) == ["bgp", "bgp", "ospf", "ospf"]
    hq, branch = lab.router("hq"), lab.router("branch")
    hq.expect_route([*THEIRS, ip_network("10.0.0.2/32")], via="tun0")
    with hq.announced(ALLOWED):
        branch.expect_route(ALLOWED, via="tun0")
        assert set(hq.receivers(ALLOWED[0]) or ()) == {"branch"}
    branch.expect_no_route(ALLOWED)
    assert ip_network("10.0.0.1/32") in branch.rib("ipv4"), "OSPF's routes are in the RIB, too"


@pytest.mark.parametrize("pair", [SEVERAL], indirect=True, ids=str)
def test_unnumbered_and_loopback_sessions_are_reset(lab: Lab, pair: Pair) -> None:
    hq, branch = lab.router("hq"), lab.router("branch")
    hq.expect_session("branch", within=90)
    branch.expect_session("hq", within=90)

    def established() -> list[int]:
        return [n.times_established for n in branch.neighbors_at("hq") if n.asn is not None]

    before = established()
    assert len(before) == 2
    with lab.fault("bgp-reset", node="hq", neighbor="branch"):
        pass
    again = Expectation(
        what="both sessions to be established again",
        node="branch",
        look=established,
        met=lambda now: len(now) == 2 and min(now) > max(before) - 1 and sum(now) >= sum(before) + 2,
    )
    wait_for(again, within=90)
    hq.expect_session("branch", within=90)


# --- labs of their own -------------------------------------------------------------------------------------


@contextmanager
def deployed(file: Path, name: str, *, wait: bool = True) -> Iterator[Lab]:
    lab = Lab.deploy(load(file, name=f"own-{name}-{os.getpid()}"), wait=wait)
    try:
        with lab:
            yield lab
    finally:
        lab.destroy()


def copied(directory: Path, hq: str, branch: str, *changes: tuple[str, str, str]) -> Path:
    """Write the topology with routers, and hosts/ with changes: a file, old and new text."""
    text = (HERE / "pair.clab.yml").read_text().replace("${HQ:=config: hosts/frr/frr.conf}", hq)
    file = directory / "pair.clab.yml"
    file.write_text(text.replace("${BRANCH:=asn: 65002}", branch))
    for source in sorted((HERE / "hosts").rglob("*")):
        if source.is_file():
            target = directory / source.relative_to(HERE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    for name, old, new in changes:
        before = (directory / name).read_text()
        assert old in before
        (directory / name).write_text(before.replace(old, new))
    return file


@pytest.mark.parametrize("daemon", ["bird", "bird3"])
def test_line_that_bird_does_not_accept_is_named(tmp_path: Path, daemon: str) -> None:
    wrong = ("hosts/bird/filters/ours.conf", "  reject;\n}\nfilter ours6", "  rejekt;\n}\nfilter ours6")
    file = copied(tmp_path, f"daemon: {daemon}, config: hosts/bird", BRANCH, wrong)
    with (
        pytest.raises(InputError, match=r"^hosts/bird/filters/ours\.conf:\d+: hq: bird\d does not accept the file: "),
        deployed(file, "refused"),
    ):
        pass


def test_lab_is_up_although_a_session_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = ("hosts/frr/frr.conf", "password lab-s3cret", "password another")
    file = copied(tmp_path, FRR.hq, BRANCH, wrong)
    name = f"own-down-{os.getpid()}"
    # The lab waits for sessions, and this one never comes up: in this process, the wait can be shorter.
    monkeypatch.setattr(Lab, "wait_ready", partialmethod(Lab.wait_ready, OTHERS_UP_WITHIN))
    monkeypatch.chdir(tmp_path)
    try:
        result = CliRunner().invoke(app, ["up", str(file), "--name", name])
        assert result.exit_code == 0, result.stderr
        assert "not up: hq: BGP with branch (10.255.0.2): " in result.stderr
        assert "not up: branch: BGP with hq (10.255.0.1): " in result.stderr
        assert "192.0.2.66" not in result.stderr, "a neighbour that is no node of the lab"
        assert "frobnicate" in result.stdout
        assert program("status", "--lab", name, cwd=tmp_path).returncode == 1
    finally:
        program("down", name, cwd=tmp_path)


def numbered(path: RibPath) -> list[str]:
    """Return the next hops of a path without link-local ones, which are random."""
    return [str(hop) for hop in path.next_hops if not hop.is_link_local]


def observed(lab: Lab) -> dict[str, object]:
    """Return the RIB and the learnt routes of the FIB of both routers."""
    found: dict[str, object] = {}
    for name in ("hq", "branch"):
        router = lab.router(name)
        for family in FAMILIES:
            rib = router.rib(family)
            found[f"{name} RIB {family}"] = {
                prefix: sorted(
                    (path.as_path, path.peer is None, path.best, path.valid, numbered(path))
                    for path in paths
                )
                for prefix, paths in rib.items()
            }  # fmt: skip
        found[f"{name} FIB"] = {
            prefix: (entry.interfaces, entry.protocol)
            for prefix, entry in router.fib.routes().items()
            if entry.protocol not in ("kernel", "boot")
        }
    return found


RENDERED = [
    pytest.param(daemon, protocol, id=f"{daemon}-{protocol}", marks=[] if usual else [pytest.mark.thorough])
    for daemon, protocol, usual in (
        ("frr", "bgp", True), ("bird", "bgp", True), ("bird3", "bgp", True),
        ("frr", "ospf", True), ("bird", "ospf", True), ("bird3", "ospf", False),
        ("frr", "rip", True), ("bird", "rip", False), ("bird3", "rip", True),
    )
]  # fmt: skip


@pytest.mark.parametrize(("daemon", "protocol"), RENDERED)
def test_rendered_files_fed_back_give_the_same_observations(tmp_path: Path, daemon: str, protocol: str) -> None:
    def router(number: int) -> str:
        asn = f", asn: 6500{number}" if protocol == "bgp" else ""
        networks = f'[10.{number}.0.0/24, "2001:db8:{number}::/64"]'
        return f"daemon: {daemon}, protocol: {protocol}{asn}, networks: {networks}"

    directory = "frr" if daemon == "frr" else "bird"
    file = copied(tmp_path, router(1), router(2))
    with deployed(file, "rendered") as lab:
        lab.wait_ready()
        expected = settled(lab)
        for name in ("hq", "branch"):
            etc = lab.running(name).files / "etc" / directory
            for source in etc.iterdir():
                target = tmp_path / name / "etc" / etc.name / source.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
    fed = {name: f"daemon: {daemon}, config: {name}/etc/{directory}" for name in ("hq", "branch")}
    file = copied(tmp_path, fed["hq"], fed["branch"])
    with deployed(file, "fed-back") as lab:
        for name, other in (("hq", "branch"), ("branch", "hq")):
            assert lab.topology.own_routers[name].protocols == (protocol,)
            lab.router(name).expect_session(other, within=60)
        assert settled(lab, expected) == expected
        assert not [r for r in remarks(lab) if r.kind == "refused"]


def settled(lab: Lab, expected: dict[str, object] | None = None) -> dict[str, object]:
    """Return the observations once they are the expected ones, or all routes are there."""
    for router, prefixes in (("hq", THEIRS), ("branch", OURS)):
        lab.router(router).expect_route(prefixes, within=60)
    if expected is None:
        return observed(lab)
    same = Expectation(
        what="the same RIBs and FIBs as with the rendered files",
        node=lab.name,
        look=lambda: observed(lab),
        met=lambda found: found == expected,
    )
    return wait_for(same, within=30)
