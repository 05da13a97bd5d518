"""Routers with BIRD's files of the user's: includes, names, remarks, and the file that includes them."""

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.routing import daemon_of, plan_routers
from tests.helpers.own_routers import loaded

BIRD_CONF = """\
log syslog all;
router id 192.0.2.1;
define OWN_AS = 65001;
include "/etc/bird/peers/*.conf";
include "filters.conf";
protocol device { }
protocol static ours { ipv4; route 10.1.0.0/24 unreachable; }
protocol ospf v2 core { ipv4 { export all; }; area 0 { interface "eth2" { stub; }; interface "tun*" { hello 1; }; }; }
"""
PEER = """\
protocol bgp branch {
  local as OWN_AS;
  neighbor 10.255.0.2 as 65002;
  password "s3cret";
  ipv4 { import all; export filter ours_out; };
  ipv6 { import all; export none; };
}
protocol bgp off { disabled; local as OWN_AS; neighbor 10.255.0.9 as 65009; ipv4; }
"""
FILTERS = "filter ours_out { if source = RTS_STATIC then accept; reject; }\n"
FILES = {
    "hq/etc/bird/bird.conf": BIRD_CONF,
    "hq/etc/bird/peers/branch.conf": PEER,
    "hq/etc/bird/filters.conf": FILTERS,
    "hq/etc/bird/unused.conf": "nothing\n",
}
BIRD1 = """\
router id 192.0.2.1;
protocol kernel { scan time 20; import none; export all; }
protocol device { scan time 10; }
protocol bgp branch { local as 65001; neighbor 10.255.0.2 as 65002; import all; export all; }
"""


@pytest.mark.parametrize("config", ["hq/etc/bird", "hq/etc/bird/bird.conf"])
@pytest.mark.parametrize("daemon", ["bird", "bird3"])
def test_included_files_come_along(tmp_path: Path, daemon: str, config: str) -> None:
    topology = loaded(tmp_path, f"daemon: {daemon}\nconfig: {config}", FILES)
    own = topology.own_routers["hq"]
    assert {str(file.path): file.given for file in own.files} == {
        f"/{name.removeprefix('hq/')}": name for name in FILES if "unused" not in name
    }
    assert own.files[0].path.name == "bird.conf"
    assert (own.protocols, own.asn, own.interfaces) == (("bgp", "ospf"), 65001, {"ipv4": ("tun0",)})
    assert "s3cret" not in topology.model_dump_json()


def test_neighbours_are_those_that_are_not_disabled(tmp_path: Path) -> None:
    plan = plan_routers(loaded(tmp_path, "daemon: bird\nconfig: hq/etc/bird", FILES))["hq"]
    (peer,) = plan.peers
    assert (peer.node, peer.address, peer.asn) == ("branch", ip_address("10.255.0.2"), 65002)
    assert set(peer.families) == {"ipv4", "ipv6"}


def test_bird_is_started_with_a_file_that_includes_the_users(tmp_path: Path) -> None:
    plan = plan_routers(loaded(tmp_path, "daemon: bird\nconfig: hq/etc/bird", FILES))["hq"]
    rendered = {str(file.path): file.content for file in daemon_of(plan).render(plan)}
    assert set(rendered) == {"/etc/bird/lab/bird.conf", "/etc/bird/lab/announced.conf"}, "none of the user's"
    lines = rendered["/etc/bird/lab/bird.conf"].splitlines()
    assert 'include "/etc/bird/bird.conf";' in lines
    assert 'include "/etc/bird/lab/announced.conf";' in lines


def test_syntax_of_bird_1_6_is_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"hq/bird\.conf: .*BIRD 1\.6.*`lab import`"):
        loaded(tmp_path, "daemon: bird\nconfig: hq/bird.conf", {"hq/bird.conf": BIRD1})


def test_files_of_another_daemon_are_refused(tmp_path: Path) -> None:
    frr = {"frr.conf": "router bgp 65001\n neighbor 10.255.0.2 remote-as 65002\n"}
    with pytest.raises(InputError, match="no configuration of BIRD is among these files"):
        loaded(tmp_path, "daemon: bird3\nconfig: frr.conf", frr)
    with pytest.raises(InputError, match="no configuration of FRR"):
        loaded(tmp_path, "daemon: frr\nconfig: bird.conf", {"bird.conf": PEER})


def test_originated_prefixes_are_those_of_the_files(tmp_path: Path) -> None:
    own = loaded(tmp_path, "daemon: bird\nconfig: hq/etc/bird", FILES).own_routers["hq"]
    assert ip_network("10.1.0.0/24") in own.networks
