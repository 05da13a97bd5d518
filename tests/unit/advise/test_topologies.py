"""Findings on topologies, from their rendered files."""

from pathlib import Path
from typing import Any

import pytest

from lab.advise import RULES, Verdict, advise, subjects_of_topology
from lab.catalogue import find_topology, load, topology_names
from tests.helpers.edited import edited
from tests.helpers.own_routers import loaded


def exposed(topology: str = "article", **arguments: Any) -> dict[str, set[str]]:
    """Return the rules to which each end is exposed."""
    findings = advise(subjects_of_topology(load(topology, **arguments)))
    return {
        end: {f.rule for f in findings if f.verdict is Verdict.EXPOSED and f" {end} on " in f.subject}
        for end in ("server", "client")
    }


@pytest.mark.parametrize("version", ["2.6", "2.7"])
def test_article_is_exposed_to_the_known_failures(version: str) -> None:
    exposures = exposed(openvpn=version)
    # Nothing else: not to a second client, as the lab's server lets one name in.
    assert exposures["server"] - {"recursive-routing"} == {"route-quota", "hold-time"}
    assert exposures["client"] - {"recursive-routing"} == {"hold-time"}


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"iroute": []}, {"no-iroute"}),
        ({"iroute": ["ipv4"]}, {"one-family", "fixed-iroutes"}),
        ({"iroute": ["ipv6"]}, {"one-family", "fixed-iroutes"}),
        ({"push-iroute": True}, {"pushed-iroute"}),
        ({"persist-tun": False}, {"restart-closes-device"}),
        ({"hand-out": "client-config-dir"}, set()),
    ],
)
def test_changed_option_changes_the_findings(options: dict[str, Any], more: set[str]) -> None:
    before = exposed()["server"]
    after = exposed(tunnel={"options": options})["server"]
    assert more <= after, after
    assert after - before - more <= {"dco-off"}


def test_keepalive_within_the_hold_time_is_not_exposed() -> None:
    exposures = exposed(tunnel={"options": {"keepalive": [1, 2]}})
    assert "hold-time" not in exposures["client"]


@pytest.mark.parametrize(
    ("narrowest", "transport", "verdict"),
    [
        (1492, "udp", Verdict.NOT_EXPOSED),  # what `mssfix` makes of a segment without a line
        (1400, "udp", Verdict.EXPOSED),
        (1500, "tcp", Verdict.NOT_EXPOSED),
        (1400, "tcp", Verdict.CANNOT_TELL),
    ],
)
def test_path_mtu_is_that_of_the_narrowest_link(narrowest: int, transport: str, verdict: Verdict) -> None:
    narrow = ("mtu: 1492", f"mtu: {narrowest}")
    topology = edited(find_topology("narrow-path"), narrow, tunnel={"transport": transport})
    found = [f for f in advise(subjects_of_topology(topology)) if f.rule == "path-mtu"]
    assert {f.verdict for f in found} == {verdict}
    assert verdict is Verdict.NOT_EXPOSED or all(str(narrowest) in f.why for f in found)


@pytest.mark.parametrize("version", ["2.6", "2.7"])
@pytest.mark.parametrize("topology", topology_names())
def test_every_topology_gets_a_verdict_per_rule_and_end(topology: str, version: str) -> None:
    given = load(topology, openvpn=version)
    findings = advise(subjects_of_topology(given))
    ends = [end for t in given.tunnels for end in (t.server, t.client) if not given.nodes[end].external]
    assert len(findings) == len(ends) * len(RULES)


def test_lines_refer_to_files_of_nodes() -> None:
    findings = advise(subjects_of_topology(load("article")))
    files = {spot.file for f in findings for spot in f.lines}
    assert all(file.startswith(("hq:/etc/", "branch:/etc/")) for file in files)


@pytest.mark.parametrize(
    ("lines", "hold"),
    [
        ("", 180),
        (" timers bgp 5 15\n", 15),
        (" timers bgp 0 0\n", 0),
        (" neighbor 192.0.2.77 remote-as 65077\n neighbor 192.0.2.77 timers 3 9\n", 180),  # it is elsewhere
    ],
)
def test_hold_time_of_an_own_router_is_that_of_its_files(tmp_path: Path, lines: str, hold: int) -> None:
    text = f"frr defaults traditional\nrouter bgp 65001\n neighbor 10.255.0.2 remote-as 65002\n{lines}"
    subjects = subjects_of_topology(loaded(tmp_path, "config: frr.conf", {"frr.conf": text}))
    (client,) = (subject for subject in subjects if "client on branch" in subject.name)
    assert (client.peer_hold, client.routes) == (hold, True)


def test_own_router_without_a_neighbour_in_the_tunnel_has_no_known_sessions(tmp_path: Path) -> None:
    text = "router bgp 65001\n neighbor 192.0.2.77 remote-as 65077\n"
    subjects = subjects_of_topology(loaded(tmp_path, "config: frr.conf", {"frr.conf": text}))
    assert {subject.routes for subject in subjects} == {None}
    assert {subject.peer_hold for subject in subjects if "client on" in subject.name} == {None}
