"""Tunnels that share a server process, with one port, one device and one subnet."""

from pathlib import Path

import pytest

from lab.catalogue import find_topology, load
from lab.topology import Topology, TopologyError

TUNNEL = "            - to: hub\n              mode: tap\n"


def changed(tmp_path: Path, *additions: str) -> Topology:
    """Return the hub with two spokes, with more keys in each tunnel."""
    parts = find_topology("tap-hub").read_text().split(TUNNEL)
    assert len(parts) == 3
    file = tmp_path / "mine.clab.yml"
    first, second = (f"{TUNNEL}{text}" for text in additions)
    file.write_text(f"{parts[0]}{first}{parts[1]}{second}{parts[2]}")
    return load(file)


def key(text: str) -> str:
    return f"              {text}\n"


def test_tunnels_to_one_hub_share_a_server_process() -> None:
    one, other = load("tap-hub").tunnels
    assert one.shared == other.shared == "hub-tap"
    assert (one.port, one.server_device) == (other.port, other.server_device) == (1194, "tap0")
    assert (one.device, other.device) == ("tap0", "tap0")
    assert (one.server_ipv4, one.server_ipv6) == (other.server_ipv4, other.server_ipv6)
    assert [str(t.client_ipv4) for t in (one, other)] == ["10.255.0.2/24", "10.255.0.3/24"]
    assert [str(t.client_ipv6) for t in (one, other)] == ["2001:db8:ff00::2/64", "2001:db8:ff00::3/64"]


def test_tunnel_with_another_port_or_transport_has_its_own_process(tmp_path: Path) -> None:
    one, other = changed(tmp_path, "", key("port: 2000")).tunnels
    assert (one.shared, other.shared) == ("hub-tap", "hub-tap-2")
    assert (one.port, other.port) == (1194, 2000)
    assert (one.server_device, other.server_device) == ("tap0", "tap1")
    assert one.server_ipv4.network != other.server_ipv4.network
    one, other = changed(tmp_path, key("port: 2000"), key("port: 2000")).tunnels
    assert one.shared == other.shared
    assert one.port == other.port == 2000


def test_mode_with_one_client_per_process_shares_nothing() -> None:
    tunnels = load("hub-and-spokes").tunnels
    assert [t.shared for t in tunnels] == [None] * 3
    assert [t.port for t in tunnels] == [1194, 1195, 1196]
    assert [t.server_device for t in tunnels] == ["tun0", "tun1", "tun2"]


def test_declared_server_address_applies_to_all_tunnels_of_the_process(tmp_path: Path) -> None:
    given = key("ipv4: {local: 10.9.0.1/24, peer: 10.9.0.7/24}")
    one, other = changed(tmp_path, given, "").tunnels
    assert str(one.server_ipv4) == str(other.server_ipv4) == "10.9.0.7/24"
    assert [str(t.client_ipv4) for t in (one, other)] == ["10.9.0.1/24", "10.9.0.2/24"]
    one, other = changed(tmp_path, given, key("ipv4: {local: 10.9.0.9/24, peer: 10.9.0.7/24}")).tunnels
    assert [str(t.client_ipv4) for t in (one, other)] == ["10.9.0.1/24", "10.9.0.9/24"]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("ipv4: {local: 10.9.0.2/24, peer: 10.9.0.1/24}", "ipv4: {local: 10.8.0.2/24, peer: 10.8.0.1/24}",
         "already sets the server's address to 10.9.0.1/24"),
        ("ipv4: {local: 10.9.0.2/24, peer: 10.9.0.1/24}", "ipv4: {local: 10.9.0.2/24, peer: 10.9.0.1/24}",
         "the address 10.9.0.2 is already used by the tunnel 'spoke1-hub'"),
        ("ipv4: {local: 10.9.0.2/30, peer: 10.9.0.1/30}", "name: more", "no free address in 10.9.0.0/30"),
        ("name: one", "name: one", "duplicate tunnel name 'one'"),
    ],
)  # fmt: skip
def test_conflict_within_a_server_process_is_refused(tmp_path: Path, first: str, second: str, message: str) -> None:
    with pytest.raises(TopologyError, match=message):
        changed(tmp_path, key(first), key(second))


def test_different_options_within_a_server_process_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.clab.yml"
    text = find_topology("tap-hub").read_text()
    head, _, tail = text.rpartition("options: {keepalive: [5, 15]}")
    file.write_text(f"{head}options: {{keepalive: [5, 20]}}{tail}")
    with pytest.raises(TopologyError, match=r"options: tunnels of one server process must have the same options"):
        load(file)


def test_second_tunnel_of_a_client_to_a_server_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="'spoke1' is already a client of this server process"):
        changed(tmp_path, key("transport: udp") + key("options: {keepalive: [5, 15]}") + TUNNEL, "")


def test_more_tunnels_than_max_clients_are_refused() -> None:
    options = {"mode": "shared-iroute", "options": {"max-clients": 2}}
    assert len(load("tap-hub", tunnel=options).tunnels) == 2
    with pytest.raises(TopologyError, match=r"options\.max-clients: this is one client more than the 1 that"):
        load("tap-hub", tunnel={**options, "options": {"max-clients": 1}})
