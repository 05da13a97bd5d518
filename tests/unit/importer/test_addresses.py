"""Addresses of imported hosts out of the files that set them, where the output of `ip -j address` is not given."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.core.errors import InputError
from lab.importer import Import, write_import
from tests.helpers.imported import links, variables
from tests.helpers.own_files import write

Importing = Callable[..., Import]
SERVER = "dev tun\nserver 10.8.0.0 255.255.255.0\nca ca\n"
IFUPDOWN = """auto lo wan
iface lo inet loopback
iface wan inet static
    address 203.0.113.9
    netmask 255.255.255.0
    gateway 203.0.113.254
iface lan inet static
    address 10.1.0.1/24
    up ip route add 10.7.0.0/16 via 10.1.0.7 || true
"""
NETPLAN = """network:
  version: 2
  ethernets:
    wan:
      addresses: [203.0.113.9/24]
      routes: [{to: default, via: 203.0.113.254}]
    lan:
      addresses: [10.1.0.1/24]
      routes: [{to: 10.7.0.0/16, via: 10.1.0.7}]
"""
NETWORKD = {
    "wan.network": "[Match]\nName=wan\n[Network]\nAddress=203.0.113.9/24\nGateway=203.0.113.254\n",
    "lan.network": "[Match]\nName=lan\n[Network]\nAddress=10.1.0.1/24\n"
    "[Route]\nDestination=10.7.0.0/16\nGateway=10.1.0.7\n",
}


@pytest.mark.parametrize(
    "files",
    [
        {"etc/network/interfaces": IFUPDOWN},
        {"etc/netplan/50-cloud-init.yaml": NETPLAN},
        {f"etc/systemd/network/{name}": text for name, text in NETWORKD.items()},
    ],
    ids=["ifupdown", "netplan", "networkd"],
)
def test_files_give_interfaces_gateway_and_static_routes(
    importing: Importing, files: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path / "hq", {"etc/openvpn/server.conf": SERVER, **files})
    made = importing(hq=tmp_path / "hq")
    found = {ends: link["ipv4"] for ends, link in links(made).items() if ends[0].startswith("hq:")}
    assert found["hq:wan", "internet:eth1"] == ["203.0.113.9/24", "203.0.113.254/24"]
    assert found["hq:lan", "hq-lan:eth0"][0] == "10.1.0.1/24"
    assert {"to": "10.7.0.0/16", "via": "10.1.0.7"} in variables(made, "hq")["routes"]
    assert not any("no file tells its outer address" in note.text for note in made.notes)
    write_import(made)
    assert load(made.file)


@pytest.mark.parametrize(
    "files",
    [
        {"etc/network/interfaces": "iface ens3 inet dhcp\n"},
        {"etc/netplan/x.yaml": "network:\n  ethernets:\n    ens3: {dhcp4: true}\n"},
        {"etc/systemd/network/x.network": "[Match]\nName=ens3\n[Network]\nDHCP=yes\n"},
    ],
    ids=["ifupdown", "netplan", "networkd"],
)
def test_interface_with_dhcp_is_the_outer_one(importing: Importing, files: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "hq", {"etc/openvpn/server.conf": SERVER, **files})
    made = importing(hq=tmp_path / "hq")
    assert ("hq:ens3", "internet:eth1") in links(made)
    assert any("its outer interface is ens3, which gets its address from elsewhere" in n.text for n in made.notes)


def test_file_that_is_not_read_is_told_unless_the_addresses_are_given(importing: Importing, tmp_path: Path) -> None:
    files = {"etc/openvpn/server.conf": SERVER, "ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=192.0.2.2\n"}
    write(tmp_path / "hq", files)
    told = "ifcfg file of network-scripts, which is not read"
    assert any(told in note.text for note in importing(hq=tmp_path / "hq").notes)
    write(tmp_path / "hq", {"address": '[{"ifname": "eth0", "addr_info": [{"local": "192.0.2.2", "prefixlen": 24}]}]'})
    assert not any(told in note.text for note in importing(hq=tmp_path / "hq").notes)


def test_vrf_of_the_host_gets_its_interfaces_and_table(importing: Importing, tmp_path: Path) -> None:
    vrf = '{"ifname": "blue", "linkinfo": {"info_kind": "vrf", "info_data": {"table": 42}}}'
    lan = '{"ifname": "eth1", "master": "blue", "addr_info": [{"local": "10.1.0.1", "prefixlen": 24}]}'
    tunnel = '{"ifname": "tun0", "master": "blue", "linkinfo": {"info_kind": "tun"}}'
    gone = '{"ifname": "wg0", "master": "blue", "linkinfo": {"info_kind": "wireguard"}}'
    server = SERVER.replace("dev tun", "dev tun0")
    write(tmp_path / "hq", {"server.conf": server, "address": f"[{vrf}, {lan}, {tunnel}, {gone}]"})
    made = importing(hq=tmp_path / "hq")
    assert variables(made, "hq")["vrfs"] == {"blue": {"table": 42, "interfaces": ["eth1", "tun0"]}}
    assert any("the VRF blue lacks wg0" in note.text for note in made.notes)
    write_import(made)
    assert load(made.file).nodes["hq"].intent.vrfs["blue"].table == 42


def test_vrf_of_frr_gets_a_table_of_the_labs(importing: Importing, tmp_path: Path) -> None:
    frr = "vrf blue\nexit-vrf\ninterface eth1 vrf blue\n ip address 10.1.0.1/24\nrouter bgp 65001 vrf blue\n"
    write(tmp_path / "hq", {"server.conf": SERVER, "frr.conf": frr})
    made = importing(hq=tmp_path / "hq")
    assert variables(made, "hq")["vrfs"] == {"blue": {"table": 1001, "interfaces": ["eth1"]}}
    assert any("no file tells the table of the VRF blue" in note.text for note in made.notes)


def test_address_that_a_host_has_twice_is_left_out_the_second_time(importing: Importing, tmp_path: Path) -> None:
    both = "iface eth1 inet static\n  address 192.168.1.2/24\niface eth2 inet static\n  address 192.168.1.2/24\n"
    write(tmp_path / "hq", {"server.conf": SERVER, "interfaces": both})
    made = importing(hq=tmp_path / "hq")
    assert any("192.168.1.2/24 on eth2 is left out: its eth1 has the same address" in n.text for n in made.notes)
    write_import(made)
    assert load(made.file)


@pytest.mark.parametrize(
    ("server", "refused"),
    [("127.0.0.1 0.0.0.0", False), ("255.255.255.255 255.255.255.255", False), ("128.0.0.0 128.0.0.0", True)],
)
def test_huge_inner_network_is_no_traceback(importing: Importing, server: str, refused: bool, tmp_path: Path) -> None:
    write(tmp_path / "hq", {"server.conf": f"dev tun\nserver {server}\nca ca\n"})
    if refused:
        with pytest.raises(InputError, match="leave no ipv4 address for the hosts' outer interfaces"):
            importing(hq=tmp_path / "hq")
    else:
        assert any(ends[0].startswith("hq:") for ends in links(importing(hq=tmp_path / "hq")))


def test_ipv6_that_only_a_remote_asks_for_passes_the_nat_router(importing: Importing, tmp_path: Path) -> None:
    inside = "iface eth0 inet static\n  address 192.168.1.2/24\n  gateway 192.168.1.1\n"
    client = "client\ndev tun\nremote 203.0.113.9\nremote 2001:db8:9::9\nca ca\n"
    write(tmp_path / "shop", {"client.conf": client, "interfaces": inside})
    made = importing(shop=tmp_path / "shop")
    (outer,) = [link for ends, link in links(made).items() if ends[0] == "shop-nat:eth1"]
    assert "ipv6" in outer
    write_import(made)
    assert load(made.file)
