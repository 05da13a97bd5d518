"""Findings on typical files, with line numbers."""

import re
import shutil
from pathlib import Path

import pytest

from lab.advise import Finding, advise, subjects_of_files
from lab.core.errors import InputError
from tests.helpers.samples import CANNOT_TELL, EXPOSED, NOT_EXPOSED, SAMPLES, of


def test_advise_of_the_articles_server() -> None:
    verdicts = of("article.server.conf", openvpn="2.7")["article.server.conf"]
    assert verdicts["pushed-iroute"] == (EXPOSED, [13])
    assert verdicts["obsolete"] == (EXPOSED, [15, 17])
    assert verdicts["second-client"] == (CANNOT_TELL, [11])
    assert verdicts["restart-closes-device"] == (NOT_EXPOSED, [18])


def test_advise_of_the_articles_two_ends_and_a_router() -> None:
    verdicts = of("article.server.conf", "article.client.conf", "open.frr.conf", "filtered.frr.conf")
    server, client = verdicts["article.server.conf"], verdicts["article.client.conf"]
    assert server["hold-time"] == (EXPOSED, [14, 7])
    assert client["hold-time"] == (EXPOSED, [14, 14])
    assert client["recursive-routing"][0] == NOT_EXPOSED
    assert server["path-mtu"][0] == CANNOT_TELL  # the path is unknown
    assert client["ebgp-policy"][0] == NOT_EXPOSED


def test_advise_of_a_road_warrior_server() -> None:
    verdicts = of("road-warrior.server.conf")["road-warrior.server.conf"]
    assert verdicts["topology-default"] == (EXPOSED, [14])
    assert verdicts["obsolete"] == (EXPOSED, [23])
    assert verdicts["no-iroute"] == (CANNOT_TELL, [])
    assert verdicts["second-client"] == (NOT_EXPOSED, [])
    assert {rule for rule, (verdict, _) in verdicts.items() if verdict == EXPOSED} == {"topology-default", "obsolete"}


def test_advise_of_a_client_with_inline_blocks() -> None:
    verdicts = of("inline.client.ovpn")["inline.client.ovpn"]
    assert {rule for rule, (verdict, _) in verdicts.items() if verdict == EXPOSED} == set()
    assert verdicts["restart-closes-device"] == (NOT_EXPOSED, [13])


def test_advise_of_a_pair_with_a_static_key() -> None:
    verdicts = of("static-key.a.conf", "static-key.b.conf")
    first, second = verdicts["static-key.a.conf"], verdicts["static-key.b.conf"]
    assert first["static-key"] == (EXPOSED, [5])
    assert second["static-key"] == (EXPOSED, [5])
    assert first["mtu-mismatch"] == (EXPOSED, [8])
    assert first["compression"] == (NOT_EXPOSED, [10])  # neither end says `allow-compression yes`
    assert second["second-client"][0] == NOT_EXPOSED


def test_advise_of_a_tap_server() -> None:
    verdicts = of("tap.server.conf")["tap.server.conf"]
    assert {rule for rule, (verdict, _) in verdicts.items() if verdict == EXPOSED} == {"no-exit-notify"}
    assert verdicts["stale-routes"] == (NOT_EXPOSED, [3])
    assert verdicts["pushed-iroute"] == (CANNOT_TELL, [8])


def test_advise_of_a_hub_with_client_config_dir_and_include() -> None:
    verdicts = of("hub.server.conf", "open.frr.conf")["hub.server.conf"]
    assert verdicts["fixed-iroutes"] == (CANNOT_TELL, [2, 3])  # BGP, and nothing excludes DCO
    assert verdicts["hold-time"] == (EXPOSED, [14])  # keepalive 3 9 is 18 s at a server, and FRR holds for 9
    assert verdicts["no-exit-notify"] == (NOT_EXPOSED, [7])
    assert verdicts["pushed-iroute"] == (EXPOSED, [2])


def test_server_and_end_without_pull_are_a_pair(tmp_path: Path) -> None:
    (tmp_path / "s.conf").write_text("mode server\ntls-server\ndev tun\nifconfig 10.0.0.1 255.255.255.0\n")
    (tmp_path / "c.conf").write_text("tls-client\ndev tun\nremote 192.0.2.1\nifconfig 10.0.0.2 255.255.255.0\n")
    ends = subjects_of_files([tmp_path / "s.conf", tmp_path / "c.conf"])
    assert [end.peer and end.peer.name for end in ends] == [str(tmp_path / "c.conf"), str(tmp_path / "s.conf")]


@pytest.mark.parametrize("version", ["2", "2.7.8.1", "new", "2.7-rc1"])
def test_malformed_version_is_refused(version: str) -> None:
    with pytest.raises(InputError, match="not a version of OpenVPN"):
        subjects_of_files([SAMPLES / "article.server.conf"], version)


def test_missing_files_give_cannot_tell(tmp_path: Path) -> None:
    text = (SAMPLES / "hub.server.conf").read_text().replace("config common.conf\n", "")
    (tmp_path / "hub.conf").write_text(text)
    shutil.copy(SAMPLES / "open.frr.conf", tmp_path)
    (subject,) = subjects_of_files([tmp_path / "hub.conf"])
    assert [gap.spot.line for gap in subject.client_options.gaps] == [12]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.conf", None, "No such file"),
        ("words.conf", b"hello world\n", "no `dev`"),
        ("cert.pem", b"-----BEGIN CERTIFICATE-----\n", "cert.pem: a certificate, not a configuration"),
        ("empty.conf", b"", "empty.conf: an empty file"),
        ("up.sh", b"#!/bin/sh\nexit 0\n", "up.sh: a script"),
        ("berlin", b"iroute 10.1.0.0 255.255.0.0\n", "options of one client .*: give the server's configuration"),
        ("local.conf", b"management /run/a.sock unix\n", "options of management only: give the configuration"),
        ("noise.conf", b"router bgp 1\n", "no OpenVPN configuration among the files"),
        ("noise.conf", bytes(range(256)), "noise.conf:"),
        ("huge.conf", b"#" * (1 << 20) + b"\n", "longer than"),
    ],
)
def test_other_files_are_refused(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        subjects_of_files([tmp_path / name])


def test_frr_conf_alone_is_refused() -> None:
    with pytest.raises(InputError, match="no OpenVPN configuration"):
        subjects_of_files([SAMPLES / "open.frr.conf"])


SERVER = "dev tun0\nserver 10.8.0.0 255.255.255.0\n"


def given(directory: Path, openvpn: str | None = None, **files: str) -> dict[str, list[Finding]]:
    """Return the findings on files with these contents, by the name of their end."""
    for name, text in files.items():
        (directory / name).write_text(text)
    found: dict[str, list[Finding]] = {}
    for finding in advise(subjects_of_files([directory / name for name in files], openvpn)):
        found.setdefault(finding.subject, []).append(finding)
    return found


def test_file_without_dev_is_one_of_a_later_version(tmp_path: Path) -> None:
    text = SERVER.replace("dev tun0\n", "")
    for version in (None, "2.7", "2.7.6", "2.7.8"):
        (findings,) = given(tmp_path, version, server=text).values()
        assert {f.verdict for f in findings if f.rule == "topology-default"} == {EXPOSED}
    for version in ("2.6", "2.6.14", "2.7.5"):
        with pytest.raises(InputError, match=rf"server:1: no `dev`, which OpenVPN {re.escape(version)} refuses"):
            given(tmp_path, version, server=text)


def test_files_of_daemons_are_one_router(tmp_path: Path) -> None:
    findings = given(
        tmp_path,
        server=SERVER,
        **{
            "zebra.conf": "hostname hq\npassword x\nlog file /var/log/quagga/zebra.log\ninterface tun0\n",
            "bgpd.conf": "router bgp 65001\n neighbor 10.8.0.2 remote-as 65002\nline vty\n",
            "ospfd.conf": "router ospf\n network 10.8.0.0/24 area 0\nline vty\n",
        },
    )
    (of_server,) = findings.values()
    by_rule = {f.rule: f for f in of_server}
    lines = [(Path(spot.file).name, spot.line) for spot in by_rule["no-iroute"].lines]
    assert lines == [("bgpd.conf", 2), ("ospfd.conf", 2)]
    assert (by_rule["ebgp-policy"].verdict, by_rule["ebgp-policy"].why) == (
        NOT_EXPOSED,
        "no policy is required: Quagga requires no policy",
    )


def test_bird_is_read_with_its_includes(tmp_path: Path) -> None:
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "hq.conf").write_text("protocol bgp hq from T { neighbor 10.8.0.2 as 65002; }\n")
    findings = given(
        tmp_path,
        server=SERVER,
        router='template bgp T { local as 65001; ipv4 { import all; export all; }; }\ninclude "peers/*.conf";\n',
    )
    (of_server,) = findings.values()
    (no_iroute,) = (f for f in of_server if f.rule == "no-iroute")
    assert (no_iroute.verdict, [str(spot) for spot in no_iroute.lines]) == (EXPOSED, [f"{tmp_path}/peers/hq.conf:1"])


def test_file_of_openwrt_is_translated(tmp_path: Path) -> None:
    uci = "config openvpn 'vpn'\n\toption enabled '1'\n\toption dev 'tun0'\n\toption server '10.8.0.0 255.255.255.0'\n"
    findings = given(tmp_path, config=uci + "\tlist push 'iroute 10.1.0.0 255.255.0.0'\n")
    ((name, of_server),) = findings.items()
    assert name.startswith(f"{tmp_path}/config (")
    (pushed,) = (f for f in of_server if f.rule == "pushed-iroute")
    assert (pushed.verdict, [str(spot) for spot in pushed.lines]) == (EXPOSED, [f"{tmp_path}/config:5"])


def test_parts_of_a_given_configuration_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "ccd").mkdir()
    (tmp_path / "ccd" / "branch").write_text("iroute 10.1.0.0 255.255.0.0\n")
    server = SERVER + "client-config-dir ccd\nconfig local\n"
    findings = given(
        tmp_path, server=server, local="management /run/a.sock unix\n", **{"ccd/branch": "iroute 10.1.0.1\n"}
    )
    assert list(findings) == [f"{tmp_path}/server"]
