"""Files of routing daemons that are not configurations: one sentence, and no other error."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.core.errors import InputError
from lab.routing import daemon_of, plan_routers
from tests.helpers.own_routers import loaded

VOCABULARY = """
router bgp ospf ospf6 rip ripng 65001 neighbor 10.255.0.2 2001:db8::2 tun0 remote-as external range as local
protocol static kernel device ipv4 ipv6 { } ; import export all none filter network area 0 0.0.0.0/0 interface include
"/etc/bird/bird.conf" "*.conf" "../../../etc/passwd" password s3cret bgpd=yes ospfd=no bgpd_options="-M x" exit ! #
vrf red address-family unicast route-map IN permit 10 log file /var/log/x template from passive disabled -1 9999999999
"""
WORDS = st.sampled_from(VOCABULARY.split())
LINES = st.lists(st.lists(WORDS, max_size=8).map(" ".join), max_size=30).map("\n".join)
TEXTS = st.one_of(LINES, st.text(max_size=300), st.binary(max_size=300).map(lambda octets: octets.decode("latin-1")))
NAMES = {"frr": ("frr.conf", "daemons", "bgpd.conf", "other"), "bird": ("bird.conf", "other")}


@pytest.mark.parametrize("daemon", sorted(NAMES))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_is_read_or_refused_in_one_line(tmp_path: Path, daemon: str, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(NAMES[daemon]), min_size=1, unique=True))
    files = {f"hq/{name}": data.draw(TEXTS) for name in names}
    listed = ", ".join(f"hq/{name}" for name in names)
    refused = ""
    try:
        topology = loaded(tmp_path, f"daemon: {daemon}\nconfig: [{listed}]", files)
    except InputError as error:
        refused = str(error)
    if refused:
        assert len(refused.splitlines()) == 1
        assert "hq" in refused
        return
    plan = plan_routers(topology)["hq"]
    daemon_of(plan).render(plan)
    assert all(file.source is None or file.source.is_relative_to(tmp_path) for file in topology.own_routers["hq"].files)
    assert topology.model_validate_json(topology.model_dump_json(by_alias=True)) == topology


def test_ten_thousand_neighbours_are_read(tmp_path: Path) -> None:
    lines = [f" neighbor 192.168.{n >> 8}.{n & 255} remote-as {4200000000 + n}" for n in range(10_000)]
    text = "router bgp 65001\n neighbor 10.255.0.2 remote-as 65002\n" + "\n".join(lines)
    topology = loaded(tmp_path, "config: frr.conf", {"frr.conf": text})
    assert len(topology.own_routers["hq"].neighbors) == 10_001
    assert [peer.node for peer in plan_routers(topology)["hq"].peers] == ["branch"]


def test_file_of_fifty_megabytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"frr\.conf: longer than \d+ bytes"):
        loaded(tmp_path, "config: frr.conf", {"frr.conf": "router bgp 65001\n" * 3_000_000})


def test_files_that_include_each_other_are_refused(tmp_path: Path) -> None:
    files = {"bird.conf": 'protocol device { }\ninclude "a.conf";\n', "a.conf": 'include "bird.conf";\n'}
    with pytest.raises(InputError, match=r"a\.conf:1: include .*does it include itself"):
        loaded(tmp_path, "daemon: bird\nconfig: bird.conf", files)


def test_links_out_of_the_directory_do_not_come_along(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("router bgp 65009\n")
    hosts = tmp_path / "own" / "hq"
    hosts.mkdir(parents=True)
    (hosts / "frr.conf").symlink_to(secret)
    with pytest.raises(InputError, match="has no file of the daemon"):
        loaded(tmp_path / "own", "config: hq", {})
    (hosts / "bird.conf").write_text('protocol device { }\ninclude "peers.conf";\nprotocol bgp x { local as 1; }\n')
    (hosts / "peers.conf").symlink_to(secret)
    own = loaded(tmp_path / "own", "daemon: bird\nconfig: hq", {}).own_routers["hq"]
    assert [file.path.name for file in own.files] == ["bird.conf"]
