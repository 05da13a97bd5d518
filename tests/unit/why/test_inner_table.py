"""OpenVPN's inner table, from its status, and the files that fill it."""

from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab.tunnel.management import InnerRoute, ServerStatus
from lab.why.inner_table import InnerTable, hand_out, iroute_line
from tests.helpers.openvpn_ends import end

ONE, OTHER = "198.51.100.5:52095", "198.51.100.9:38679"


def table(*rows: tuple[str, str]) -> InnerTable:
    routes = tuple(InnerRoute(address, {ONE: "spoke1", OTHER: "spoke2"}[real], real) for address, real in rows)
    return InnerTable.of(ServerStatus("", (), routes))


SHARED = table(
    ("/0", ONE),
    ("::/0", ONE),
    ("10.255.0.2", ONE),
    ("10.255.0.3", OTHER),
    ("10.3.0.10C", ONE),
    ("10.4.0.0/16", OTHER),
    ("10.4.1.0/24", ONE),
    ("02:00:00:00:00:01", OTHER),
    ("2001:db8:ff::3@0", OTHER),
)


@pytest.mark.parametrize(
    ("address", "network", "client"),
    [
        ("10.9.0.1", "0.0.0.0/0", "spoke1"),
        ("10.255.0.3", "10.255.0.3/32", "spoke2"),
        ("10.4.0.1", "10.4.0.0/16", "spoke2"),
        ("10.4.1.1", "10.4.1.0/24", "spoke1"),
        ("2001:db8::1", "::/0", "spoke1"),
        ("2001:db8:ff::3", "2001:db8:ff::3/128", "spoke2"),
        ("10.3.0.10", "10.3.0.10/32", "spoke1"),
    ],
)
def test_most_specific_entry_is_used(address: str, network: str, client: str) -> None:
    entry = SHARED.find(ip_address(address))
    assert entry is not None
    assert (entry.network, entry.client) == (ip_network(network), client)


def test_table_without_a_default_route_has_no_entry_for_an_address() -> None:
    own = table(("10.255.0.2", ONE), ("::/0", ONE))
    assert own.find(ip_address("10.2.0.10")) is None
    assert own.find(ip_address("10.255.0.2")) is not None


def test_routes_are_neither_learned_nor_a_clients_own_address() -> None:
    assert [str(entry.network) for entry in SHARED.routes(ONE, "ipv4")] == ["0.0.0.0/0", "10.4.1.0/24"]
    assert [str(entry.network) for entry in SHARED.routes(OTHER, "ipv4")] == ["10.4.0.0/16"]
    assert SHARED.routes(OTHER, "ipv6") == []


def test_route_behind_a_learned_address() -> None:
    route = SHARED.route(ip_address("10.3.0.10"))
    assert route is not None
    assert route.is_default
    assert "10.3.0.10" not in str(SHARED)
    assert "0.0.0.0/0 -> spoke1" in str(SHARED)


def test_line_of_an_inner_route() -> None:
    assert iroute_line(ip_network("10.2.0.0/24")) == "iroute 10.2.0.0 255.255.255.0"
    assert iroute_line(ip_network("2001:db8:2::/64")) == "iroute-ipv6 2001:db8:2::/64"


SCRIPT = "#!/bin/sh\ncat > \"$1\" <<'END'\niroute 0.0.0.0 0.0.0.0\nEND\n"


def test_inner_routes_come_from_the_clients_file(tmp_path: Path) -> None:
    server = end(tmp_path, "server", "mode server\nclient-config-dir /etc/openvpn/ccd\n")
    assert hand_out(server, "branch") == "hq:/etc/openvpn/ccd/branch"
    directory = tmp_path / "nodes/hq/etc/openvpn/ccd"
    directory.mkdir()
    (directory / "DEFAULT").write_text("")
    assert hand_out(server, "branch") == "hq:/etc/openvpn/ccd/DEFAULT"
    (directory / "branch").write_text("")
    assert hand_out(server, "branch") == "hq:/etc/openvpn/ccd/branch"


def test_inner_routes_come_from_a_script(tmp_path: Path) -> None:
    server = end(tmp_path, "server", "mode server\nclient-connect /etc/openvpn/hello\n")
    assert hand_out(server, "branch") == "hq:/etc/openvpn/hello"
    (tmp_path / "nodes/hq/etc/openvpn/hello").write_text(SCRIPT)
    assert hand_out(server, "branch") == "hq:/etc/openvpn/hello"


def test_server_without_a_place_for_inner_routes_needs_one(tmp_path: Path) -> None:
    server = end(tmp_path, "server", "mode server\n")
    said = hand_out(server, "branch")
    assert "`client-config-dir`" in said
    assert "hq:/etc/openvpn/server/branch-hq.conf lacks" in said
