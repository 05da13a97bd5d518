"""OpenVPN's own static routes: pushed ones, and those of the client."""

from typing import Any

import pytest

from lab.catalogue import load
from lab.topology import TopologyError, Tunnel
from lab.tunnel import modes
from lab.tunnel.pki import Authority
from tests.helpers.rendering import configured, rendered


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new("unit lab")


def tunnel(**options: Any) -> Tunnel:
    """Return the road warrior's tunnel with other options."""
    (only,) = load("road-warrior", tunnel={"options": options}).tunnels
    assert not modes()["fixed-routes"].traits.families
    return only


def test_server_pushes_routes_gateway_and_dns(authority: Authority) -> None:
    handed_out = rendered(authority, tunnel())["server"]["/etc/openvpn/server/user-office/clients/user"].content
    assert 'push "route 10.20.30.40 255.255.255.255 10.8.0.1"' in handed_out
    assert 'push "redirect-gateway def1 ipv6"' in handed_out
    assert 'push "dhcp-option DNS 192.168.100.10"' in handed_out
    plain = tunnel(**{"redirect-gateway": False, "dns": []})
    handed_out = rendered(authority, plain)["server"]["/etc/openvpn/server/user-office/clients/user"].content
    assert "redirect" not in handed_out
    assert "dhcp-option" not in handed_out


def test_client_has_its_own_routes(authority: Authority) -> None:
    _, client = configured(authority, tunnel())
    assert client["route-nopull"] == [[]]
    assert client["route"] == [
        ["10.20.30.40", "255.255.255.255"],
        ["192.168.100.0", "255.255.255.0", "default", "1"],
    ]
    assert client["route-ipv6"] == [["2001:db8:20:30::40/128"]]
    assert "pull-filter" not in client


def test_client_filters_pushed_options(authority: Authority) -> None:
    filters = ["accept route 10.20.30.40 ", "ignore redirect-gateway"]
    _, client = configured(authority, tunnel(**{"route-nopull": False, "routes": [], "pull-filter": filters}))
    assert client["pull-filter"] == [["accept", "route 10.20.30.40 "], ["ignore", "redirect-gateway"]]
    assert not client.keys() & {"route", "route-ipv6", "route-nopull"}


def test_unknown_filter_action_is_refused() -> None:
    with pytest.raises(TopologyError, match="pull-filter"):
        tunnel(**{"pull-filter": ["drop route"]})
