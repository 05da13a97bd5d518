"""Passwords of proxies and users that OpenVPN would ask for at a console: the lab gives them in a file."""

from pathlib import Path

import pytest

from lab.own import keys
from lab.own.draft import Draft
from lab.own.named_files import commented
from lab.own.overrides import Overrides
from tests.helpers.drafts import draft

CLIENT = "client\ndev tun\nproto tcp\nremote 192.0.2.1\nca ca.crt\n"
HOME = "/etc/openvpn/lab/laptop-office"
PROXY = f"{HOME}.proxy"


def planned(directory: Path, text: str, files: dict[str, str | bytes] | None = None) -> tuple[Draft, Overrides]:
    client = draft(directory, "laptop", CLIENT + text, files)
    return client, keys.plan([client], [])["laptop-office"].overrides


@pytest.mark.parametrize(
    ("lines", "arguments"),
    [
        ("http-proxy p 3128 stdin", ("--http-proxy", "p", "3128", PROXY)),
        ("http-proxy p 3128 stdin ntlm2", ("--http-proxy", "p", "3128", PROXY, "ntlm2")),
        ("http-proxy p 3128 auto", ("--http-proxy-user-pass", PROXY)),
        ("http-proxy p 3128 auto-nct", ("--http-proxy-user-pass", PROXY)),
        ("socks-proxy p 1080 stdin", ("--socks-proxy", "p", "1080", PROXY)),
        ("http-proxy p 3128 user.txt basic", ("--http-proxy", "p", "3128", PROXY, "basic")),
        ("http-proxy p 3128 auto\nhttp-proxy-user-pass user.txt", ("--http-proxy-user-pass", PROXY)),
        ("http-proxy p 3128 auto\nhttp-proxy-user-pass stdin", ("--http-proxy-user-pass", PROXY)),
        ("auth-user-pass stdin", ("--auth-user-pass", f"{HOME}.credentials")),
        ("auth-user-pass user.txt", ("--auth-user-pass", f"{HOME}.credentials")),
        # OpenVPN asks for nothing:
        ("http-proxy p 3128", ()),
        ("http-proxy p 3128 both.txt", ()),
        ("http-proxy p 3128 auto\nhttp-proxy-user-pass both.txt", ()),
        ("socks-proxy p 1080 both.txt", ()),
        ("auth-user-pass both.txt", ()),
    ],
)
def test_password_that_openvpn_would_ask_for_is_in_a_file(
    tmp_path: Path, lines: str, arguments: tuple[str, ...]
) -> None:
    _, found = planned(tmp_path, lines + "\n", {"user.txt": "alice\n", "both.txt": "alice\nsecret\n"})
    assert found.arguments == arguments
    assert found.commented == ()
    issued = [issue for issue in found.issues if issue.kind == "credentials"]
    assert [str(issue.path) for issue in issued] == [word for word in arguments if word.startswith(HOME)]
    told = [r for r in found.remarks if r.kind == "issued" and "authority" not in r.what]
    assert len(told) == len(issued)


def test_user_of_a_file_without_a_password_keeps_the_name(tmp_path: Path) -> None:
    _, found = planned(tmp_path, "auth-user-pass user.txt\n", {"user.txt": "alice\n"})
    assert [issue.common_name for issue in found.issues if issue.kind == "credentials"] == ["alice"]


def test_missing_file_of_a_proxy_is_written_under_its_name(tmp_path: Path) -> None:
    _, found = planned(tmp_path, "http-proxy p 3128 proxy.txt\n")
    assert found.arguments == ()
    assert [str(i.path) for i in found.issues if i.kind == "credentials"] == ["/etc/openvpn/proxy.txt"]


@pytest.mark.parametrize("line", ["askpass", "askpass stdin"])
def test_passphrase_that_openvpn_would_ask_for_is_left_out(tmp_path: Path, line: str) -> None:
    _, found = planned(tmp_path, f"{line}\n")
    assert [spot.line for spot in found.commented] == [6]


def test_line_of_a_connection_is_another_one_in_a_copy(tmp_path: Path) -> None:
    block = "<connection>\nremote 192.0.2.1\nhttp-proxy p 3128 {} basic\n</connection>\n"
    client, found = planned(tmp_path, block.format("stdin") + block.format("both.txt"), {"both.txt": "alice\nsecret\n"})
    assert found.arguments == ()
    assert {(spot.line, line) for spot, line in found.rewritten} == {(8, f"http-proxy p 3128 {PROXY} basic")}
    path, (copy,) = commented(client, frozenset(), dict(found.rewritten))
    assert path == copy.path
    assert (copy.commented, copy.replaced) == ((), {8: f"http-proxy p 3128 {PROXY} basic"})
