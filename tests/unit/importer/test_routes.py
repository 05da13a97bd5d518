"""The static routes of an imported host: those of its kernel that neither OpenVPN nor a routing daemon sets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.catalogue import load
from lab.importer import Import, write_import

Importing = Callable[..., Import]
CLIENT = "client\ndev tun0\nremote 203.0.113.9 1194\nca ca.crt\ncert a.crt\nkey a.key\n"
ADDRESSES = [
    {"ifname": "eth0", "addr_info": [{"local": "198.51.100.2", "prefixlen": 24}]},
    {
        "ifname": "eth1",
        "addr_info": [{"local": "10.1.0.1", "prefixlen": 24}, {"local": "fd00:1::1", "prefixlen": 64}],
    },
    {"ifname": "vpn", "linkinfo": {"info_kind": "tun"}, "addr_info": [{"local": "10.8.0.2", "prefixlen": 24}]},
]
DEFAULT = {"dst": "default", "gateway": "198.51.100.1", "dev": "eth0"}


@pytest.fixture
def routed(importing: Importing, tmp_path: Path) -> Callable[..., Import]:
    """Import a host with these routes."""

    def run(*routes: dict[str, str], frr: str = "") -> Import:
        hq = tmp_path / "hq"
        (hq / "etc" / "openvpn").mkdir(parents=True)
        (hq / "etc" / "openvpn" / "a.conf").write_text(CLIENT)
        (hq / "address.json").write_text(json.dumps(ADDRESSES))
        (hq / "route.json").write_text(json.dumps([DEFAULT, *(r for r in routes if ":" not in r["dst"])]))
        (hq / "route6.json").write_text(json.dumps([r for r in routes if ":" in r["dst"]]))
        if frr:
            (hq / "etc" / "frr.conf").write_text(frr)
        return importing(hq=hq)

    return run


def routes_of(made: Import) -> list[dict[str, Any]]:
    node = yaml.safe_load(made.files[0].text)["topology"]["nodes"]["hq"]
    return [route for route in node["config"]["vars"]["routes"] if route["to"] != "default"]


def note_of(made: Import) -> str:
    return next((n.text for n in made.notes if n.text.startswith("static routes that the node does not have")), "")


def test_routes_through_gateways_on_links_are_kept(routed: Callable[..., Import]) -> None:
    made = routed(
        {"dst": "10.2.0.0/16", "gateway": "10.1.0.10", "dev": "eth1", "protocol": "static"},
        {"dst": "10.3.0.0/16", "gateway": "198.51.100.1", "dev": "eth0"},  # of protocol boot, which ip does not print
        {"dst": "fd00:2::/48", "gateway": "fd00:1::10", "dev": "eth1", "protocol": "static"},
    )
    assert routes_of(made) == [
        {"to": "10.2.0.0/16", "via": "10.1.0.10"},
        {"to": "10.3.0.0/16", "via": "198.51.100.1"},
        {"to": "fd00:2::/48", "via": "fd00:1::10"},
    ]
    assert "to: 10.2.0.0/16, via: 10.1.0.10}  # as in hq/route.json:1" in made.files[0].text
    assert not note_of(made)
    write_import(made)
    kept = load(made.file).nodes["hq"].intent.routes
    assert [str(route.to) for route in kept] == ["default", "10.2.0.0/16", "10.3.0.0/16", "fd00:2::/48"]


def test_routes_of_openvpn_and_of_daemons_are_left_to_them(routed: Callable[..., Import]) -> None:
    made = routed(
        {"dst": "10.4.0.0/16", "gateway": "10.8.0.1", "dev": "tun0"},
        {"dst": "10.5.0.0/16", "gateway": "10.8.0.1", "dev": "vpn", "protocol": "static"},
        {"dst": "203.0.113.9", "gateway": "198.51.100.1", "dev": "eth0"},  # of redirect-gateway
        {"dst": "10.6.0.0/16", "gateway": "10.1.0.10", "dev": "eth1", "protocol": "bgp"},
        {"dst": "10.7.0.0/16", "gateway": "10.1.0.10", "dev": "eth1", "protocol": "zebra"},
        {"dst": "10.9.0.0/16", "gateway": "10.1.0.10", "dev": "eth1", "protocol": "bird"},
        {"dst": "10.10.0.0/16", "gateway": "10.1.0.10", "dev": "eth1", "protocol": "static"},  # of staticd
        {"dst": "10.1.0.0/24", "dev": "eth1", "protocol": "kernel"},
        frr="frr version 10.3\nip route 10.10.0.0/16 10.1.0.10\nrouter ospf\n network 10.1.0.0/24 area 0\n",
    )
    assert routes_of(made) == []
    assert not note_of(made)


def test_routes_that_the_node_cannot_have_are_named(routed: Callable[..., Import]) -> None:
    made = routed(
        {"type": "blackhole", "dst": "10.11.0.0/16", "protocol": "static"},
        {"type": "unreachable", "dst": "fd00:3::/48", "dev": "lo", "protocol": "static"},
        {"dst": "10.12.0.0/16", "gateway": "172.17.0.2", "dev": "docker0"},
        {"dst": "10.13.0.0/16", "dev": "eth1", "protocol": "static"},
        {"dst": "10.14.0.0/16", "gateway": "10.1.0.1", "dev": "eth1"},
    )
    assert routes_of(made) == []
    assert note_of(made).split(": ", 1)[1].split("; ") == [
        "10.11.0.0/16 (it discards packets, hq/route.json:1)",
        "10.12.0.0/16 (no link leads to its gateway 172.17.0.2, hq/route.json:1)",
        "10.13.0.0/16 (it has no gateway, hq/route.json:1)",
        "10.14.0.0/16 (the node itself has 10.1.0.1, hq/route.json:1)",
        "fd00:3::/48 (it discards packets, hq/route6.json:1)",
    ]


def test_gateway_that_no_node_has_is_told(routed: Callable[..., Import]) -> None:
    made = routed({"dst": "10.2.0.0/16", "gateway": "10.1.0.254", "dev": "eth1", "protocol": "static"})
    assert routes_of(made) == [{"to": "10.2.0.0/16", "via": "10.1.0.254"}]
    assert any(note.text.startswith("static routes lead to 10.1.0.254, which no node has") for note in made.notes)
