"""Profiles of clients as OpenVPN Connect, Access Server and OPNsense write them."""

from pathlib import Path, PurePosixPath

import pytest

from lab.configs.disk import Disk
from lab.configs.openvpn.configuration import INLINE, Configuration, read
from lab.configs.openvpn.options import refusals

PROFILES = Path(__file__).parents[2] / "data" / "configs" / "profiles"


def profile(name: str) -> Configuration:
    return read(PurePosixPath(f"/{name}.ovpn"), Disk(PROFILES))


@pytest.mark.parametrize("name", ["access-server", "connect", "opnsense"])
def test_profile_is_a_client_that_openvpn_knows_all_options_of(name: str) -> None:
    found = profile(name)
    assert (found.role, found.device) == ("client", "tun")
    assert not list(refusals(found, "2.6"))


def test_comments_of_access_server_are_no_blocks() -> None:
    found = profile("access-server")
    assert [d.name for d in found.all("ca", "cert", "key", "tls-auth")] == ["ca", "cert", "key", "tls-auth"]
    assert all(d.arguments == (INLINE,) for d in found.all("ca", "cert", "key", "tls-auth"))
    assert found.transports == {"udp", "tcp"}
    assert found.directives[0].spot.line == 15


def test_windows_line_ends_and_byte_order_mark_are_no_part_of_words() -> None:
    found = profile("connect")
    assert [str(d) for d in found.directives[:3]] == ["client", "dev tun", "setenv CLIENT_CERT 0"]
    assert not any("\r" in argument for d in found.directives for argument in d.arguments)
    assert found.last("static-challenge") is not None
    assert found.all("setenv-safe")[0].arguments == ("GREETING", "hello world")


def test_options_of_connections_belong_to_their_blocks() -> None:
    found = profile("connect")
    assert [(d.argument(0), d.argument(1), d.connection) for d in found.all("remote")] == [
        ("vpn.example.net", "1194", 1),
        ("2001:db8::10", "443", 2),
    ]
    assert found.all("http-proxy")[0].connection == 2
    assert found.all("ca")[0].connection is None


def test_windows_option_after_setenv_opt_is_optional() -> None:
    (option,) = profile("connect").all("block-outside-dns")
    assert option.optional


def test_name_with_commas_and_space_is_one_word() -> None:
    (name,) = profile("opnsense").all("verify-x509-name")
    assert name.arguments == ("C=NL, ST=ZH, L=Example, O=Example, CN=vpn.example.net", "subject")
