"""The reader of OpenVPN's configuration files."""

from pathlib import Path, PurePosixPath

import pytest

from lab.configs.disk import Unreadable
from lab.configs.openvpn.configuration import INLINE, read, words
from tests.helpers.samples import SAMPLES, configuration


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("  # comment", []),
        ("; comment", []),
        ("dev tun", ["dev", "tun"]),
        ("dev\ttun \r", ["dev", "tun"]),
        ("dev tun # why", ["dev", "tun"]),
        ("dev tun#0", ["dev", "tun#0"]),
        ('push "route 10.0.0.0 255.0.0.0"', ["push", "route 10.0.0.0 255.0.0.0"]),
        ("push 'a \"b\" \\c'", ["push", 'a "b" \\c']),
        ('a "b \\"c\\" \\\\d"', ["a", 'b "c" \\d']),
        ("a b\\ c", ["a", "b c"]),
        ("a \\ b", ["a", "b"]),
        ("a \\# b", ["a"]),
        ("a b\\\n", ["a", "b\n"]),
        ('a ""', ["a", ""]),
        ('a "b # c" # d', ["a", "b # c"]),
        ("a \0 b", ["a"]),
        (" ".join("abcdefghijklmnopqrst"), list("abcdefghijklmnop")),
    ],
)
def test_line_is_split_into_words_as_openvpn_does(line: str, expected: list[str]) -> None:
    assert words(line) == expected


@pytest.mark.parametrize("line", ['a "b', "a 'b", "a C:\\key", "a b\\"])
def test_line_that_openvpn_refuses_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"quotation|backslash"):
        words(line)


def test_inline_blocks_and_connections_are_read() -> None:
    client = read(PurePosixPath(SAMPLES / "inline.client.ovpn"))
    lines = {(d.name, d.arguments): d.spot.line for d in client.directives}
    assert lines["client", ()] == 2
    assert lines["ca", (INLINE,)] == 17
    assert lines["verb", ("3",)] == 29
    assert not client.has("key-direction", "nobind")  # OpenVPN says that it ignores them there
    assert lines["setenv-safe", ("greeting", "hello # no comment; still none")] == 16
    assert not client.has("iroute", "comp-lzo")
    assert [(d.argument(0), d.connection, d.spot.line) for d in client.all("remote")] == [
        ("vpn.example.net", 1, 5),
        ("203.0.113.7", 2, 8),
    ]
    assert client.transports == {"udp", "tcp"}
    assert (client.role, client.device) == ("client", "tun")


def test_included_options_are_in_place_of_the_config_line() -> None:
    hub = read(PurePosixPath(SAMPLES / "hub.server.conf"))
    exit_notify = hub.last("explicit-exit-notify")
    assert exit_notify is not None
    assert str(exit_notify.spot) == str(SAMPLES / "common.conf") + ":7"
    assert hub.directives[-1].name == "keepalive"


def test_recursive_include_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("dev tun\nconfig a.conf\nconfig a.conf\n")
    with pytest.raises(Unreadable, match=r"a\.conf:2: .*include itself"):
        read(PurePosixPath(tmp_path / "a.conf"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dev tun\nconfig gone.conf", r"openvpn\.conf:2: cannot include .*gone\.conf: No such file"),
        ("config stdin", r"openvpn\.conf:1: .*stdin"),
        ("dev tun\n\n<ca>\nx", r"openvpn\.conf:3: <ca> is not closed"),
        ('dev tun\npush "x', r"openvpn\.conf:2: no closing quotation mark"),
        ("x" * 300, r"openvpn\.conf:1: longer than 255"),
        ("dev tun\n%PDF", r"openvpn\.conf:2: '%PDF' is not an option"),
    ],
)
def test_unreadable_file_is_reported_with_its_line(text: str, expected: str) -> None:
    with pytest.raises(Unreadable, match=expected):
        configuration(text)


def test_pushed_options_have_the_line_of_their_push() -> None:
    server = configuration('dev tun\n\npush "route 10.0.0.0 255.0.0.0"\npush \'x\npush ""\n'.replace("push 'x\n", ""))
    (route,) = server.pushed
    assert (route.name, route.arguments, route.spot.line) == ("route", ("10.0.0.0", "255.0.0.0"), 3)


def test_byte_order_mark_and_double_dashes_are_ignored() -> None:
    assert [d.name for d in configuration("\ufeff--dev tun\n  --verb 3").directives] == ["dev", "verb"]


def test_connection_options_after_a_connection_block_are_ignored() -> None:
    client = configuration("proto tcp\n<connection>\nremote a\n</connection>\nnobind\nexplicit-exit-notify\nverb 3\n")
    assert [d.name for d in client.directives] == ["proto", "remote", "verb"]
