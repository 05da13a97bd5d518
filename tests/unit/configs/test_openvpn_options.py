"""Options that OpenVPN does not know, or not with these arguments."""

from pathlib import PurePosixPath

import pytest

from lab.configs.disk import Unreadable
from lab.configs.openvpn.configuration import parse
from lab.configs.openvpn.options import refusals


def refused(text: str, version: str = "2.6") -> list[str]:
    found = parse(text, PurePosixPath("f"))
    return [f"{directive.spot}: {why}" for directive, why in refusals(found, version)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("dev tun\nkeepaliv 10 60\n", "f:2: 'keepaliv' is not an option of OpenVPN 2.6; did you mean 'keepalive'?"),
        ("qqqqqqq\n", "f:1: 'qqqqqqq' is not an option of OpenVPN 2.6"),
        ("dev\n", "f:1: 'dev' takes 1 argument, not 0"),
        ("client x\n", "f:1: 'client' takes no arguments, not 1"),
        ("server 10.0.0.0\n", "f:1: 'server' takes 2 to 3 arguments, not 1"),
        ("push route 10.0.0.0 255.0.0.0\n", "f:1: 'push' takes 1 argument, not 3"),
        ("up\n", "f:1: 'up' takes at least 1 argument, not 0"),
        ("<verb>\n3\n</verb>\n", "f:1: 'verb' cannot be a block"),
        ("<connection>\nremote a\nverb 3\n</connection>\n", "f:3: 'verb' is not an option for <connection>"),
    ],
)
def test_line_that_openvpn_cannot_parse_is_refused_with_the_reason(text: str, why: str) -> None:
    assert refused(text) == [why]


@pytest.mark.parametrize(
    "text",
    [
        "setenv opt foo bar\n",
        "setenv FORWARD_COMPATIBLE 1\nfoo\n",
        "ignore-unknown-option foo\nfoo\n",
        "ignore-unknown-option --foo\nfoo 1 2\n",
        "<ca>\nx\n</ca>\n<connection>\nremote a\n</connection>\n",
        "keysize 128\n",  # which the table of old options judges
    ],
)
def test_line_that_openvpn_lets_pass_is_not_refused(text: str) -> None:
    assert refused(text) == []


def test_line_before_ignore_unknown_option_is_refused() -> None:
    assert len(refused("foo\nignore-unknown-option foo\n")) == 1
    assert len(refused("foo\nsetenv FORWARD_COMPATIBLE 1\n")) == 1


def test_options_and_arguments_of_2_7_are_known_to_it_only() -> None:
    for text in ("route-table 5\n", "multihome same-interface\n", "local 192.0.2.1 1194 udp\n"):
        assert len(refused(text, "2.6")) == 1
        assert refused(text, "2.7") == refused(text, "2.7.8") == []


def test_setenv_opt_is_read_as_the_option_itself() -> None:
    (directive,) = parse("setenv opt block-outside-dns\n", PurePosixPath("f")).directives
    assert (directive.name, directive.arguments, directive.optional) == ("block-outside-dns", (), True)


@pytest.mark.parametrize("length", [254, 255])
def test_limit_of_a_line_includes_its_end(length: int) -> None:
    line = "#" * length
    assert not parse(line, PurePosixPath("f")).directives
    if length == 254:
        parse(f"{line}\n", PurePosixPath("f"))
    else:
        with pytest.raises(Unreadable, match="f:1: longer than 255 bytes"):
            parse(f"{line}\n", PurePosixPath("f"))


@pytest.mark.parametrize("inside", ["", "remote a\nremote b\n", "proto udp\n"])
def test_connection_needs_exactly_one_remote(inside: str) -> None:
    with pytest.raises(Unreadable, match="f:2: <connection> without exactly one `remote`"):
        parse(f"dev tun\n<connection>\n{inside}</connection>\n", PurePosixPath("f"))


def test_only_config_with_one_argument_includes() -> None:
    assert [str(d) for d in parse("config a b\n", PurePosixPath("f")).directives] == ["config a b"]
