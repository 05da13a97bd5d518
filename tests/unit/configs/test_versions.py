"""The effects of old options in each version of OpenVPN."""

from pathlib import PurePosixPath

import pytest

from lab.configs.openvpn.configuration import Configuration, parse
from lab.configs.openvpn.versions import OTHER_SYSTEMS, ROWS, VERSIONS, judge

CLIENT = "client\ndev tun\nremote 192.0.2.1\n"
SERVER = "server 10.8.0.0 255.255.255.0\ndev tun\n"
PEER = "dev tun\nifconfig 10.8.0.1 10.8.0.2\n"


def configuration(text: str) -> Configuration:
    return parse(text, PurePosixPath("/etc/openvpn/hq.conf"))


def effects(text: str, version: str) -> list[tuple[str, int]]:
    return [(verdict.effect, verdict.directive.spot.line) for verdict in judge(configuration(text), version)]


def test_refused_option_names_the_newest_version_that_accepts_it() -> None:
    (verdict,) = judge(configuration(CLIENT + "keysize 256\n"), "2.7.8")
    assert str(verdict) == (
        "OpenVPN 2.7 refuses 'keysize' and ends; 2.5 still accepts it: remove it: the cipher's name has its size"
    )
    assert str(verdict.directive.spot) == "/etc/openvpn/hq.conf:4"


def test_cipher_of_old_blocks_is_ignored_where_ciphers_are_negotiated() -> None:
    assert effects(CLIENT + "cipher BF-CBC\n", "2.6") == [("ignored", 4)]
    assert effects(SERVER + "cipher BF-CBC\n", "2.6") == [("ignored", 3)]
    assert effects(PEER + "tls-server\ncipher BF-CBC\n", "2.6") == [("refused", 4)]
    assert effects(CLIENT + "cipher AES-256-GCM\n", "2.6") == []


def test_warning_is_quoted_as_the_version_writes_it() -> None:
    (verdict,) = judge(configuration(CLIENT + "ns-cert-type server\n"), "2.6.3")
    assert str(verdict) == (
        "OpenVPN 2.6 accepts 'ns-cert-type' with a warning "
        "(\"--ns-cert-type is DEPRECATED.  Use --remote-cert-tls instead.\"): use 'remote-cert-tls'"
    )
    old, new = (judge(configuration(SERVER + "opt-verify\n"), version)[0] for version in ("2.6", "2.7"))
    assert (old.effect, old.says) == ("warns", "opt-verify is deprecated and will be removed in OpenVPN 2.7")
    assert (new.effect, new.says) == ("ignored", "--opt-verify was removed in OpenVPN 2.7.")
    (unknown,) = judge(configuration(CLIENT + "ns-cert-type server\n"), "2.4")  # the table has no message of 2.4
    assert str(unknown) == "OpenVPN 2.4 accepts 'ns-cert-type' with a warning: use 'remote-cert-tls'"


def test_cipher_that_data_ciphers_lists_is_negotiated() -> None:
    assert effects(CLIENT + "cipher AES-256-CBC\n", "2.6") == [("ignored", 4)]
    assert effects(CLIENT + "cipher AES-256-CBC\ndata-ciphers AES-256-GCM\n", "2.6") == [("ignored", 4)]
    assert effects(CLIENT + "cipher AES-256-CBC\ndata-ciphers AES-256-GCM:AES-256-CBC\n", "2.6") == []
    assert effects(CLIENT + "cipher aes-256-cbc\ndata-ciphers AES-256-GCM:AES-256-CBC\n", "2.6") == [("ignored", 4)]
    assert effects(CLIENT + "cipher CHACHA20-POLY1305\n", "2.6") == []
    assert effects(CLIENT + "cipher CHACHA20-POLY1305\n", "2.5") == [("warns", 4)]


def test_option_that_has_no_effect_beside_another_one() -> None:
    assert effects(SERVER + "ifconfig-pool-persist pool\n", "2.7") == []
    assert effects(SERVER + "ifconfig-pool-persist pool\nduplicate-cn\n", "2.7") == [("warns", 3)]


def test_exit_notification_is_ignored_over_tcp() -> None:
    assert effects(SERVER + "explicit-exit-notify 1\n", "2.7") == []
    assert effects(SERVER + "explicit-exit-notify 1\nproto tcp\n", "2.7") == [("ignored", 3)]
    assert effects(SERVER + "explicit-exit-notify 1\nproto tcp\n", "2.5") == [("refused", 3)]


def test_static_key_is_refused_from_2_7_on_unless_allowed() -> None:
    assert effects(PEER + "secret ta.key\n", "2.6") == [("warns", 3)]
    assert effects(PEER + "secret ta.key\n", "2.7") == [("refused", 3)]
    assert effects(PEER + "secret ta.key\nallow-deprecated-insecure-static-crypto\n", "2.7") == [("warns", 3)]
    assert ("refused", 4) in effects(PEER + "secret ta.key\nallow-deprecated-insecure-static-crypto\n", "2.6")


def test_ignore_unknown_option_makes_a_refused_one_ignored() -> None:
    text = CLIENT + "ignore-unknown-option block-outside-dns\nblock-outside-dns\n"
    assert effects(text, "2.7") == [("ignored", 5)]
    assert effects(text.replace("ignore-unknown-option", "setenv x"), "2.7") == [("refused", 5)]


@pytest.mark.parametrize(("version", "same_as"), [("2.3.18", "2.4"), ("2.8.1", "2.7"), ("3.0", "2.7")])
def test_unknown_version_does_what_the_nearest_one_does(version: str, same_as: str) -> None:
    assert [row.effect(version) for row in ROWS] == [row.effect(same_as) for row in ROWS]


def test_every_example_is_matched_by_its_row_first() -> None:
    for row in ROWS:
        role = {"server": SERVER, "client": CLIENT, "peer": PEER}[row.roles[0]]
        config = configuration(role + ("" if row.tls is False else "tls-server\n") + row.example + "\n")
        line = next(d for d in config.directives if d.name == row.option and d.spot.line >= 3)
        assert next(other for other in ROWS if other.matches(line, config)) is row


def test_advice_is_given_for_whatever_is_not_accepted() -> None:
    for row in ROWS:
        assert len(row.effects) == len(VERSIONS)
        assert bool(row.instead) or set(row.effects) == {"accepted"}


def test_windows_options_are_those_of_another_system() -> None:
    assert {"register-dns", "block-outside-dns", "cryptoapicert"} <= OTHER_SYSTEMS
    assert "comp-lzo" not in OTHER_SYSTEMS
