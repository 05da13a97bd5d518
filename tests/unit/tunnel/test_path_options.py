"""Options for the path between two ends: remotes, listening addresses, proxies and packet sizes."""

from typing import Any

import pytest

from lab.catalogue import load
from lab.topology import TopologyError, Tunnel
from lab.tunnel.pki import Authority
from tests.helpers.rendering import configured, rendered

PROXY = {"server": "proxy.example.com", "port": 8080}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new("unit lab")


def laid(options: dict[str, Any] | None = None, mode: str = "iroute", transport: str = "tcp") -> Tunnel:
    topology = "article" if mode == "iroute" else mode
    return load(topology, tunnel={"mode": mode, "transport": transport, "options": options or {}}).tunnels[0]


def test_remotes_replace_the_server_address_in_order(authority: Authority) -> None:
    tunnel = laid({"remotes": [{"host": "vpn.example.com"}, {"host": "192.0.2.7", "port": 443}], "connect-timeout": 5})
    _, client = configured(authority, tunnel)
    assert client["remote"] == [["vpn.example.com", str(tunnel.port)], ["192.0.2.7", "443"]]
    assert client["connect-timeout"] == [["5"]]
    _, plain = configured(authority, laid())
    assert plain["remote"] == [[str(tunnel.server_outer), str(tunnel.port)]]
    assert "connect-timeout" not in plain


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_server_listens_on_its_address_or_on_all(authority: Authority, transport: str) -> None:
    server, _ = configured(authority, laid(transport=transport))
    assert server["local"] == [[str(laid().server_outer)]]
    assert "multihome" not in server
    server, _ = configured(authority, laid({"listen": "any"}, transport=transport))
    assert "local" not in server
    assert ("multihome" in server) == (transport == "udp"), "TCP answers from where it was called"


def test_proxy_password_is_in_a_separate_file(authority: Authority) -> None:
    tunnel = laid({"http-proxy": {**PROXY, "user": "branch", "password": "hush, hush"}})
    _, client = configured(authority, tunnel)
    ((server, port, file, method),) = client["http-proxy"]
    assert (server, port, method) == ("proxy.example.com", "8080", "basic")
    kept = rendered(authority, tunnel)["client"][file]
    assert (kept.content, kept.mode) == ("branch\nhush, hush\n", 0o600)
    for files in rendered(authority, tunnel).values():
        assert [f.path for f in files.values() if "hush, hush" in f.content] in ([], [kept.path])
    _, client = configured(authority, laid({"http-proxy": PROXY}))
    assert client["http-proxy"] == [["proxy.example.com", "8080"]]
    assert "proxy.txt" not in str(rendered(authority, laid({"http-proxy": PROXY}))["client"].keys())


def test_socks_proxy_works_over_both_transports(authority: Authority) -> None:
    for transport in ("tcp", "udp"):
        _, client = configured(authority, laid({"socks-proxy": {"server": "192.0.2.8"}}, transport=transport))
        assert client["socks-proxy"] == [["192.0.2.8", "1080"]]


def test_port_share_names_the_web_server(authority: Authority) -> None:
    server, client = configured(authority, laid({"port-share": {"host": "127.0.0.1"}}))
    assert server["port-share"] == [["127.0.0.1", "443"]]
    assert "port-share" not in client


def test_fragment_is_set_at_both_ends(authority: Authority) -> None:
    for end in configured(authority, laid({"fragment": 1300}, transport="udp")):
        assert end["fragment"] == [["1300"]]


def test_float_is_set_at_both_ends_of_p2p(authority: Authority) -> None:
    for end in configured(authority, laid({"float": True}, "p2p-tls", "udp")):
        assert end["float"] == [[]]
    for end in configured(authority, laid(None, "p2p-tls", "udp")):
        assert "float" not in end


def test_profile_sets_fallback_cipher(authority: Authority) -> None:
    options = {"topology": "subnet", "data-ciphers": ["AES-256-GCM"], "auth": "SHA256"}
    intent = {"profile": "routeros-7", "transport": "udp", "options": options}
    for end in configured(authority, load("article", tunnel=intent).tunnels[0]):
        assert end["data-ciphers"] == end["data-ciphers-fallback"] == [["AES-256-GCM"]]
        assert end["tls-version-max"] == [["1.2"]]
    for end in configured(authority, load("article", tunnel={**intent, "profile": None}).tunnels[0]):
        assert not {"data-ciphers-fallback", "tls-version-max"} & end.keys()


@pytest.mark.parametrize(
    ("transport", "option", "value", "other"),
    [
        ("udp", "http-proxy", PROXY, "TCP"),
        ("udp", "port-share", {"host": "127.0.0.1"}, "TCP"),
        ("tcp", "fragment", 1300, "UDP"),
    ],
)
def test_option_of_the_other_transport_is_refused(transport: str, option: str, value: Any, other: str) -> None:
    with pytest.raises(TopologyError, match=f"options.{option}: OpenVPN supports '{option}' over {other} only"):
        laid({option: value}, transport=transport)


@pytest.mark.parametrize(
    ("transport", "option", "value"),
    [
        ("udp", "disable-dco", True),
        ("udp", "fragment", 1300),
        ("tcp", "http-proxy", PROXY),
        ("udp", "socks-proxy", PROXY),
        ("tcp", "port-share", {"host": "127.0.0.1"}),
    ],
)
def test_dco_refuses_options_that_disable_it(transport: str, option: str, value: Any) -> None:
    with pytest.raises(TopologyError, match=f"options.{option}: with this option OpenVPN silently disables DCO"):
        load("dco-hub", tunnel={"mode": "dco", "transport": transport, "openvpn": "2.7", "options": {option: value}})


def test_proxy_password_without_user_is_refused() -> None:
    with pytest.raises(TopologyError, match="user and password need each other"):
        laid({"http-proxy": {**PROXY, "password": "alone"}})
