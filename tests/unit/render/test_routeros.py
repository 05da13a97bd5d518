"""RouterOS's commands: rendered ones are valid, and the checker finds mistakes."""

from typing import Any

import pytest

from lab.catalogue import load
from lab.render.routeros import check, commands, parse
from lab.render.routeros.syntax import quoted

SEVEN: dict[str, Any] = {
    "profile": "routeros-7",
    "transport": "udp",
    "options": {"topology": "subnet", "data-ciphers": ["AES-256-CBC"], "auth": "SHA256"},
}
SIX: dict[str, Any] = {
    "profile": "routeros-6",
    "transport": "tcp",
    "options": {"topology": "subnet", "data-ciphers": ["AES-128-CBC"], "auth": "SHA1"},
}


@pytest.mark.parametrize("tunnel", [SEVEN, SIX], ids=["7", "6"])
@pytest.mark.parametrize("node", ["branch", "hq"])
def test_commands_are_valid_by_the_manual(tunnel: dict[str, Any], node: str) -> None:
    text = commands(load("article", tunnel=tunnel), node)
    assert check(text) == []
    found, _ = parse(text)
    paths = [command.path for command in found]
    assert paths.count("/certificate") == 3
    assert ("/interface ovpn-client" in paths) == (node == "branch")
    assert ("/interface ovpn-server server" in paths) == (node == "hq")
    assert ("/routing bgp connection" in paths) == (tunnel is SEVEN)


def test_commands_have_the_values_of_the_tunnel() -> None:
    found, _ = parse(commands(load("article", tunnel=SEVEN), "branch"))
    by_path = {command.path: command.properties for command in found}
    client = by_path["/interface ovpn-client"]
    assert (client["connect-to"], client["port"], client["protocol"]) == ("198.51.100.1", "1194", "udp")
    assert (client["cipher"], client["auth"], client["mode"], client["password"]) == ("aes256-cbc", "sha256", "ip", "")
    bgp = by_path["/routing bgp connection"]
    assert (bgp["remote.address"], bgp["remote.as"], bgp["local.role"]) == ("10.255.0.1", "65001", "ebgp")
    assert bgp["afi"] == "ip,ipv6"
    assert by_path["/routing bgp instance"]["as"] == "65002"


def test_cipher_names_of_version_6_and_no_digest_with_gcm() -> None:
    (old,) = (c for c in parse(commands(load("article", tunnel=SIX), "branch"))[0] if "ovpn-client" in c.path)
    assert old.properties["cipher"] == "aes128"
    assert "protocol" not in old.properties
    gcm = {**SEVEN, "options": {**SEVEN["options"], "data-ciphers": ["AES-256-GCM"]}}
    (new,) = (c for c in parse(commands(load("article", tunnel=gcm), "branch"))[0] if "ovpn-client" in c.path)
    assert (new.properties["cipher"], new.properties["auth"]) == ("aes256-gcm", "null")


def test_external_node_gets_addresses_routes_and_all_neighbours() -> None:
    topology = load("routeros")
    text = commands(topology, "ros")
    assert check(text) == []
    found, _ = parse(text)
    addresses = {c.properties["address"]: c.properties["interface"] for c in found if c.path.endswith(" address")}
    assert addresses == {
        "203.0.113.1/30": "ether2",
        "10.2.0.1/24": "ether3",
        "2001:db8:2::1/64": "ether3",
        str(topology.tunnels[0].client_ipv6): "ros-hq",
    }
    (route,) = (c.properties for c in found if c.path == "/ip route")
    assert route == {"dst-address": "198.51.100.0/30", "gateway": "203.0.113.2"}
    (peer,) = (c.properties for c in found if c.path == "/routing bgp connection")
    assert peer["remote.address"] == str(topology.tunnels[0].server_ipv4.ip)


def test_node_without_a_profile_gets_no_commands() -> None:
    assert commands(load("article"), "branch") == ""


@pytest.mark.parametrize("value", ["plain-1.2/3,4", "two words", 'a "quote"', "a $ and a \\", "", "line\nbreak"])
def test_quoted_strings_are_parsed_back(value: str) -> None:
    written = quoted(value) if value else '""'
    (command,), mistakes = parse(f"/certificate import file-name={written}")
    assert mistakes == []
    assert command.properties == {"file-name": value}


def test_parser_reads_menus_dotted_names_joined_lines_and_comments() -> None:
    text = """\
# a comment
/routing bgp connection
add name=x instance=lab remote.address=10.0.0.1 .as=65001 \\
    local.role=\\
    ebgp  # another
/ip/firewall/address-list/add list=a address=10.0.0.0/8
"""
    found, mistakes = parse(text)
    assert mistakes == []
    assert check(text) == []
    assert [(c.line, c.path, c.verb) for c in found] == [
        (3, "/routing bgp connection", "add"),
        (6, "/ip firewall address-list", "add"),
    ]
    assert found[0].properties == {
        "name": "x",
        "instance": "lab",
        "remote.address": "10.0.0.1",
        "remote.as": "65001",
        "local.role": "ebgp",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/interface ovpn-client add connect-to=a user=b tls-crypt=yes", "has no property 'tls-crypt'"),
        ("/interface ovpn-client add connect-to=a user=b cipher=chacha20", "'chacha20' is not valid for 'cipher'"),
        ("/interface ovpn-client add connect-to=a", "needs 'user'"),
        ("/interface wireguard add name=a", "unknown command"),
        ("/ip firewall address-list add list=a address=10.0.0.300", "is not valid for 'address'"),
        ('/certificate import file-name="a', "unterminated string"),
        ('/certificate import file-name="$a"', "begins a variable"),
        ('/certificate import file-name="\\q"', "unknown escape"),
        ("/certificate import file-name = a", "is not a property"),
        ("/certificate import file-name=a file-name=b", "duplicate property"),
        ("/certificate import file-name=a;b", "needs double quotes"),
        ("/certificate file-name=a", "no command"),
    ],
)
def test_check_finds_mistake(text: str, words: str) -> None:
    (mistake,) = check(text)
    assert mistake.line == 1
    assert words in str(mistake)
