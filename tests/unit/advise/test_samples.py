"""Findings on typical files, with line numbers."""

import shutil
from pathlib import Path

import pytest

from lab.advise import subjects_of_files
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
    assert server["mtu-mismatch"][0] == CANNOT_TELL  # the path is unknown
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
    assert first["mtu-mismatch"] == (EXPOSED, [7, 11, 8])
    assert first["compression"] == (NOT_EXPOSED, [10])  # neither end says `allow-compression yes`
    assert second["second-client"][0] == NOT_EXPOSED


def test_advise_of_a_tap_server() -> None:
    verdicts = of("tap.server.conf")["tap.server.conf"]
    assert {rule for rule, (verdict, _) in verdicts.items() if verdict == EXPOSED} == {"no-exit-notify"}
    assert verdicts["stale-routes"] == (NOT_EXPOSED, [3])
    assert verdicts["pushed-iroute"] == (CANNOT_TELL, [8])


def test_advise_of_a_hub_with_client_config_dir_and_include() -> None:
    verdicts = of("hub.server.conf", "open.frr.conf")["hub.server.conf"]
    assert verdicts["fixed-iroutes"] == (EXPOSED, [2, 3])
    assert verdicts["hold-time"] == (EXPOSED, [14])  # keepalive 3 9 is 18 s at a server, and FRR holds for 9
    assert verdicts["no-exit-notify"] == (NOT_EXPOSED, [7])
    assert verdicts["pushed-iroute"] == (EXPOSED, [2])


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
        ("key.pem", b"-----BEGIN CERTIFICATE-----\n", "is not an option"),
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
