"""The article's mode: the configurations, the settings for the client, and refused options."""

import subprocess
from ipaddress import ip_interface
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from lab.catalogue import find_topology, load
from lab.core.files import write_all
from lab.topology import Topology, TopologyError, Tunnel
from lab.tunnel import modes, processes
from lab.tunnel.pki import Authority
from tests.helpers.rendering import OBSOLETE, Directives, configured, directives, rendered


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new("unit lab")


def tunnel(**intent: Any) -> Tunnel:
    """Return the article's tunnel with other values."""
    (only,) = load("article", tunnel=intent).tunnels
    return only


def configurations(authority: Authority, **intent: Any) -> tuple[Directives, Directives]:
    return configured(authority, tunnel(**intent))


def handed_out(authority: Authority, tmp_path: Path, **intent: Any) -> list[str]:
    """Return the settings for the client, from the script, which is run, or from the file named after the client."""
    one = tunnel(**intent)
    files = rendered(authority, one)["server"]
    server = directives(files["/etc/openvpn/server/branch-hq.conf"].content)
    if "client-connect" in server:
        ((path,),) = server["client-connect"]
        script = files[path].write_below(tmp_path)
        given = tmp_path / "given"
        # OpenVPN creates the file, empty, and runs the script directly.
        given.touch()
        subprocess.run([script, given], check=True)
    else:
        ((folder,),) = server["client-config-dir"]
        given = files[f"{folder}/branch"].write_below(tmp_path)
    return given.read_text().splitlines()


# --- configurations ----------------------------------------------------------------------------------------


def test_server_configuration_follows_the_article(authority: Authority) -> None:
    server, _ = configurations(authority)
    expected: Directives = {
        "mode": [["server"]],
        "tls-server": [[]],
        "proto": [["tcp4-server"]],
        "local": [["198.51.100.1"]],
        "port": [["1194"]],
        "dev": [["tun0"]],
        "dev-type": [["tun"]],
        "topology": [["net30"]],
        "ifconfig": [["10.255.0.1", "10.255.0.2"]],
        "ifconfig-ipv6": [["2001:db8:ff::1/64", "2001:db8:ff::2"]],
        "push": [["topology net30"]],
        "tun-mtu": [["1500"]],
        "keepalive": [["15", "45"]],
        "persist-tun": [[]],
        "client-connect": [["/etc/openvpn/server/branch-hq/client-connect"]],
        "script-security": [["2"]],
        "remote-cert-tls": [["client"]],
        "verify-x509-name": [["branch", "name"]],
        "crl-verify": [["/etc/openvpn/server/branch-hq/crl.pem"]],
        "management": [["/run/openvpn/branch-hq.server.sock", "unix"]],
        "dh": [["none"]],
    }
    assert {name: server.get(name) for name in expected} == expected


def test_client_configuration_follows_the_article(authority: Authority) -> None:
    _, client = configurations(authority)
    expected: Directives = {
        "tls-client": [[]],
        "pull": [[]],
        "proto": [["tcp4-client"]],
        "remote": [["198.51.100.1", "1194"]],
        "nobind": [[]],
        "dev": [["tun0"]],
        "dev-type": [["tun"]],
        "tun-mtu": [["1500"]],
        "remote-cert-tls": [["server"]],
        "verify-x509-name": [["hq", "name"]],
        "management": [["/run/openvpn/branch-hq.client.sock", "unix"]],
    }
    assert {name: client.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("transport", "outer", "protocols"),
    [
        ("tcp", "ipv4", ("tcp4-server", "tcp4-client")),
        ("tcp", "ipv6", ("tcp6-server", "tcp6-client")),
        ("udp", "ipv4", ("udp4", "udp4")),
        ("udp", "ipv6", ("udp6", "udp6")),
    ],
)
def test_transport_uses_address_of_the_outer_family(
    authority: Authority, transport: str, outer: str, protocols: tuple[str, str]
) -> None:
    ends = configurations(authority, transport=transport, outer=outer)
    assert tuple(end["proto"][0][0] for end in ends) == protocols
    address = {"ipv4": "198.51.100.1", "ipv6": "2001:db8:f00:1::1"}[outer]
    assert ends[0]["local"] == [[address]]
    assert ends[1]["remote"] == [[address, "1194"]]


ALL_OPTIONS: list[dict[str, Any]] = [
    {},
    {"hand-out": "client-config-dir"},
    {"topology": "subnet", "persist-tun": False, "push-iroute": True},
]


@pytest.mark.parametrize("options", ALL_OPTIONS)
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_no_obsolete_option_is_rendered(authority: Authority, transport: str, options: dict[str, Any]) -> None:
    for end in configurations(authority, transport=transport, options=options):
        assert not OBSOLETE & end.keys()
        assert end.get("dh", [["none"]]) == [["none"]], "a server that names no curve or file"
        assert end["data-ciphers"] == [["AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305"]]


@pytest.mark.parametrize("options", ALL_OPTIONS)
def test_every_named_file_is_rendered(authority: Authority, options: dict[str, Any]) -> None:
    one = tunnel(options=options)
    for end, files in rendered(authority, one).items():
        conf = directives(files[str(processes(one)[end].configuration)].content)
        named = [conf[name][0][0] for name in ("ca", "cert", "key", "crl-verify", "client-connect") if name in conf]
        assert len(named) >= 3
        assert set(named) <= files.keys()
        for folder in (values[0] for values in conf.get("client-config-dir", [])):
            assert f"{folder}/branch" in files, "named after the client's certificate"


def test_options_are_set_at_both_ends(authority: Authority) -> None:
    options = {"tun-mtu": 1400, "data-ciphers": ["AES-128-GCM", "?CHACHA20-POLY1305"], "persist-tun": False, "verb": 6}
    server, client = configurations(authority, options=options)
    for end in (server, client):
        assert end["tun-mtu"] == [["1400"]]
        assert end["data-ciphers"] == [["AES-128-GCM:?CHACHA20-POLY1305"]]
        assert end["verb"] == [["6"]]
        assert "persist-tun" not in end


def test_push_iroute_pushes_an_iroute(authority: Authority) -> None:
    server, _ = configurations(authority, options={"push-iroute": True})
    assert server["push"] == [["topology net30"], ["iroute 0.0.0.0 0.0.0.0"]]


def test_subnet_topology_uses_a_netmask(authority: Authority, tmp_path: Path) -> None:
    server, _ = configurations(authority, options={"topology": "subnet"})
    assert server["topology"] == [["subnet"]]
    assert server["ifconfig"] == [["10.255.0.1", "255.255.255.252"]]
    assert server["push"] == [["topology subnet"]]
    given = handed_out(authority, tmp_path, options={"topology": "subnet"})
    assert "ifconfig-push 10.255.0.2 255.255.255.252" in given


def test_verified_name_follows_the_node_name(authority: Authority) -> None:
    other = tunnel().model_copy(update={"name": "other", "client": "site-b", "device": "tun7"})
    files = rendered(authority, other)
    server = directives(files["server"]["/etc/openvpn/server/other.conf"].content)
    client = directives(files["client"]["/etc/openvpn/client/other.conf"].content)
    assert server["verify-x509-name"] == [["site-b", "name"]]
    assert (server["dev"], client["dev"]) == ([["tun0"]], [["tun7"]])


# --- settings for the client---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["client-connect", "client-config-dir"])
@pytest.mark.parametrize(
    ("families", "routes"),
    [
        (["ipv4", "ipv6"], ["iroute 0.0.0.0 0.0.0.0", "iroute-ipv6 ::/0"]),
        (["ipv4"], ["iroute 0.0.0.0 0.0.0.0"]),
        (["ipv6"], ["iroute-ipv6 ::/0"]),
        ([], []),
    ],
)
def test_script_and_file_hand_out_the_same(
    authority: Authority, tmp_path: Path, way: str, families: list[str], routes: list[str]
) -> None:
    assert handed_out(authority, tmp_path, options={"hand-out": way, "iroute": families}) == [
        "ifconfig-push 10.255.0.2 10.255.0.1",
        "ifconfig-ipv6-push 2001:db8:ff::2/64 2001:db8:ff::1",
        *routes,
    ]


def test_client_config_dir_is_exclusive(authority: Authority) -> None:
    server, _ = configurations(authority, options={"hand-out": "client-config-dir"})
    assert server["ccd-exclusive"] == [[]]
    assert "client-connect" not in server
    assert "script-security" not in server


def test_client_connect_script_fails_if_it_cannot_write(authority: Authority, tmp_path: Path) -> None:
    files = rendered(authority, tunnel())["server"]
    script = files["/etc/openvpn/server/branch-hq/client-connect"].write_below(tmp_path)
    ended = subprocess.run([script, tmp_path / "none" / "given"], capture_output=True, check=False)
    assert ended.returncode != 0, "OpenVPN rejects the client then"


def test_handed_out_addresses_are_those_of_the_tunnel(authority: Authority, tmp_path: Path) -> None:
    given = handed_out(authority, tmp_path, ipv4={"local": "10.77.0.6/30", "peer": "10.77.0.5/30"})
    assert given[0] == "ifconfig-push 10.77.0.6 10.77.0.5"
    assert tunnel(ipv4={"local": "10.77.0.6/30", "peer": "10.77.0.5/30"}).client_ipv4 == ip_interface("10.77.0.6/30")


# --- files -------------------------------------------------------------------------------------------------


def test_keys_have_mode_600_and_scripts_are_executable(authority: Authority, tmp_path: Path) -> None:
    for end, files in rendered(authority, tunnel()).items():
        for written, file in zip(write_all(files.values(), tmp_path / end), files.values(), strict=True):
            secret = "PRIVATE KEY" in file.content
            executable = file.content.startswith("#!")
            assert written.stat().st_mode & 0o777 == (0o600 if secret else 0o755 if executable else 0o644), file.path
        assert sum("PRIVATE KEY" in f.content for f in files.values()) == 1
        assert authority.key not in {f.content for f in files.values()}


def test_each_rendering_has_new_keys(authority: Authority) -> None:
    key = PurePosixPath("/etc/openvpn/client/branch-hq/client.key")
    first, second = (rendered(authority, tunnel())["client"][str(key)].content for _ in range(2))
    assert first != second


# --- refused options ---------------------------------------------------------------------------------------


def mistakes(tmp_path: Path, old: str, new: str) -> tuple[list[str], str]:
    """Return the mistakes in the changed file of the article, and the text at the place of the first one."""
    text = find_topology("article").read_text()
    assert text.count(old) == 1
    file = tmp_path / "mine.clab.yml"
    file.write_text(text.replace(old, new))
    with pytest.raises(TopologyError) as caught:
        load(file)
    lines = str(caught.value).splitlines()
    path, line, column, _ = lines[0].split(":", 3)
    assert path == str(file)
    return lines, file.read_text().splitlines()[int(line) - 1][int(column) - 1 :]


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("topology: net30", "topolgy: net30", "net30", "options.topolgy: no such option; the options of"),
        ("topology: net30", "topology: star", "star", "options.topology: Input should be 'net30' or 'subnet'"),
        ("iroute: [ipv4, ipv6]", "iroute: [ipv4, ipv5]", "ipv5]", "options.iroute[1]: Input should be 'ipv4'"),
        ("keepalive: [15, 45]", "keepalive: [15, 0]", "0]", "options.keepalive[1]: "),
        ("keepalive: [15, 45]", "keepalive: [15]", "[15]", "options.keepalive"),
        ("keepalive: [15, 45]", "keepalive: [15, 29]", "[15, 29]", "options.keepalive: the second number"),
        ("keepalive: [15, 45]", "tun-mtu: huge", "huge", "options.tun-mtu: Input should be a valid integer"),
        ("keepalive: [15, 45]", "verb: 12", "12", "options.verb: "),
        ("keepalive: [15, 45]", "data-ciphers: []", "[]", "options.data-ciphers: "),
        ("keepalive: [15, 45]", 'data-ciphers: ["AES\\nup /x"]', '"AES', "options.data-ciphers[0]: "),
        ("keepalive: [15, 45]", "data-ciphers: [AES 256]", "AES 256]", "options.data-ciphers[0]: "),
        ("mode: iroute", "mode: irute", "irute", "unknown tunnel mode 'irute'; did you mean 'iroute'?"),
    ],
)  # fmt: skip
def test_invalid_option_is_reported_with_its_place(
    tmp_path: Path, old: str, new: str, place: str, message: str
) -> None:
    lines, there = mistakes(tmp_path, old, new)
    assert len(lines) == 1
    assert message in lines[0]
    assert there.startswith(place)


def test_unknown_option_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (line,), _ = mistakes(tmp_path, "topology: net30", "topolgy: net30")
    for option in ("hand-out", "iroute", "topology", "keepalive", "tun-mtu", "data-ciphers", "persist-tun"):
        assert option in line.partition("the options of mode iroute are")[2]


@pytest.mark.parametrize("keepalive", [[15, 30], [1, 2]])
def test_shortest_timeout_of_openvpn_is_accepted(authority: Authority, keepalive: list[int]) -> None:
    server, _ = configurations(authority, options={"keepalive": keepalive})
    assert server["keepalive"] == [[str(number) for number in keepalive]]


def test_article_uses_the_mode_iroute(article: Topology) -> None:
    (only,) = article.tunnels
    assert only.mode == "iroute"
    assert modes()["iroute"].name == "iroute"
