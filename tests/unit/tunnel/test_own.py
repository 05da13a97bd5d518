"""Tunnels with files of the user's: their mode, their processes, and the place of what OpenVPN refuses."""

from pathlib import Path, PurePosixPath

import pytest

from lab.catalogue import load
from lab.core.errors import InputError
from lab.topology import EndAddresses, Tunnel, TunnelIntent
from lab.topology.own import NodeFile, OwnProcess
from lab.tunnel import mode_of, modes, processes, write_tunnel
from lab.tunnel.extra import arguments, find_own_line
from lab.tunnel.management import host_of
from lab.tunnel.pki import Authority

PROCESS = OwnProcess(
    node="hq",
    name="hq-server",
    config=Path("/t/hq/server.conf"),
    given="hq/server.conf",
    path=PurePosixPath("/etc/openvpn/server.conf"),
    directory=PurePosixPath("/etc/openvpn"),
    arguments=("--dev", "tun0"),
    role="server",
    listens=True,
    device="tun0",
    management=PurePosixPath("/run/openvpn/hq-server.sock"),
    files=(NodeFile(path=PurePosixPath("/etc/openvpn/more.conf"), given="hq/more.conf"),),
)


@pytest.fixture
def tunnel() -> Tunnel:
    (rendered,) = load("article").tunnels
    update = {"mode": "own", "own_server": "hq-server", "server_at": EndAddresses(), "options": {"dev-type": "tap"}}
    return rendered.model_copy(update=update)


def test_the_mode_has_the_traits_that_the_files_tell(tunnel: Tunnel) -> None:
    traits = mode_of(tunnel).traits
    assert (traits.device, traits.mode_server, traits.certificates) == ("tap", True, True)
    peers = tunnel.model_copy(update={"mode": "own-p2p", "options": {"certificates": False}})
    traits = mode_of(peers).traits
    assert (traits.device, traits.mode_server, traits.certificates) == ("tun", False, False)
    (rendered,) = load("article").tunnels
    assert mode_of(rendered) is modes()["iroute"]
    assert "own" not in modes()


def test_an_end_with_a_file_of_the_users_runs_with_it(tunnel: Tunnel) -> None:
    ends = processes(tunnel, [PROCESS])
    assert ends["server"].argv == (
        *("openvpn", "--cd", "/etc/openvpn", "--log-append", "/var/log/openvpn/hq-server.log"),
        *("--config", "/etc/openvpn/server.conf", "--dev", "tun0"),
    )
    assert ends["server"].socket == PurePosixPath("/run/openvpn/hq-server.sock")
    assert ends["client"].configuration == PurePosixPath("/etc/openvpn/client/branch-hq.conf")


def test_the_lab_does_not_render_it(tunnel: Tunnel, tmp_path: Path) -> None:
    authority = Authority.new("test")
    write_tunnel(tunnel, authority, {"hq": tmp_path / "hq", "branch": tmp_path / "branch"})
    assert list(tmp_path.rglob("*")) == []
    assert not mode_of(tunnel).check(TunnelIntent(to="hq"))


def test_an_address_that_no_file_tells_is_named_where_it_is_needed(tunnel: Tunnel) -> None:
    assert tunnel.server_at.inner == ()
    with pytest.raises(InputError, match="the inner IPv4 address of hq in the tunnel branch-hq"):
        _ = tunnel.server_ipv4
    with pytest.raises(InputError, match="the outer address of hq"):
        _ = tunnel.server_outer


@pytest.mark.parametrize(
    ("reason", "place"),
    [
        (
            "Options error: Unrecognized option or missing parameter(s) in /etc/openvpn/server.conf:2: x (2.7.8)",
            ("hq/server.conf:2", "Unrecognized option or missing parameter(s): x (2.7.8)"),
        ),
        (
            "2026-01-01 00:00:00 Options error: Unrecognized option in more.conf:7: y (2.6.14)",
            ("hq/more.conf:7", "Unrecognized option: y (2.6.14)"),
        ),
        (
            "Options error: --mode server requires --tls-server",
            ("hq/server.conf:3", "--mode server requires --tls-server"),
        ),
        ("Options error: You must define TUN/TAP device", ("hq/server.conf", "You must define TUN/TAP device")),
        (
            "Cipher BF-CBC not supported",
            (
                "hq/server.conf",
                "Cipher BF-CBC not supported: add or change `cipher` at both ends, as in `cipher AES-256-CBC`",
            ),
        ),
        ("2026-01-01 00:00:00 Cannot load certificate file server.crt", None),
    ],
)
def test_option_that_openvpn_refuses_has_its_place_in_the_users_file(
    reason: str, place: tuple[str, str] | None, tmp_path: Path
) -> None:
    (tmp_path / "etc/openvpn").mkdir(parents=True)
    (tmp_path / "etc/openvpn/server.conf").write_text("dev tun\nverb 3\nmode server\n")
    assert find_own_line(reason, PROCESS, tmp_path) == place


def test_lines_become_arguments() -> None:
    assert arguments(["verb 4", "# nothing", 'push "route 10.0.0.0 255.0.0.0"', "--float"]) == (
        *("--verb", "4", "--push", "route 10.0.0.0 255.0.0.0", "--float"),
    )
    with pytest.raises(InputError, match="inline block"):
        arguments(["<key>"])


@pytest.mark.parametrize(
    ("real", "host"),
    [
        ("192.0.2.1:1194", "192.0.2.1"),
        ("udp4:192.0.2.1:1194", "192.0.2.1"),
        ("tcp4-server:192.0.2.1:1194", "192.0.2.1"),
        ("[2001:db8::1]:1194", "2001:db8::1"),
        ("udp6:[2001:db8::1]:1194", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_host_of_a_real_address(real: str, host: str) -> None:
    assert host_of(real) == host
