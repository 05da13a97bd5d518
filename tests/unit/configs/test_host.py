"""Facts about a host, from outputs of programs and the files that set addresses."""

from pathlib import Path, PurePosixPath

import pytest

from lab.configs.disk import Spot, Unreadable
from lab.configs.host.facts import HostFacts
from lab.configs.host.files import parse_ifupdown, parse_netplan, parse_networkd
from lab.configs.host.outputs import parse_addresses, parse_routes, parse_sysctl
from lab.configs.host_reader import read_host

ADDRESSES = """[{"ifname":"lo","link_type":"loopback","mtu":65536,
  "addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"}]},
 {"ifname":"eth0","link_type":"ether","mtu":1500,"master":"br0","addr_info":[
  {"family":"inet","local":"198.51.100.2","prefixlen":24,"scope":"global"},
  {"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"}]},
 {"ifname":"tun0","link_type":"none","mtu":1500,"linkinfo":{"info_kind":"tun"},"addr_info":[
  {"family":"inet","local":"10.8.0.1","address":"10.8.0.2","prefixlen":32,"scope":"global"}]}]
"""
TEXT_ADDRESSES = """1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    inet 127.0.0.1/8 scope host lo
2: eth0@if5: <BROADCAST,MULTICAST,UP> mtu 1400 qdisc noqueue master br0 state UP
    inet 198.51.100.2/24 brd 198.51.100.255 scope global eth0
    inet6 fe80::1/64 scope link
3: tun0: <POINTOPOINT,MULTICAST,NOARP,UP> mtu 1500
    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0
"""
ROUTES = """[{"dst":"default","gateway":"198.51.100.1","dev":"eth0","protocol":"static"},
 {"type":"blackhole","dst":"10.0.0.0/8","protocol":"bird"},
 {"dst":"10.9.0.0/16","protocol":"bgp","nexthops":[{"gateway":"10.8.0.2","dev":"tun0"},{"gateway":"10.8.1.2"}]},
 {"dst":"192.0.2.7","via":{"family":"inet6","host":"fe80::2"},"dev":"tun1"}]
"""
RULESET = """table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "eth0" ip saddr 10.0.0.0/8 masquerade
		ip daddr 192.0.2.1 dnat to 10.0.0.1
	}
}
table inet filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
}
"""


def facts(directory: Path, **files: str) -> HostFacts:
    """Read the facts of files with these contents."""
    for name, text in files.items():
        (directory / name).write_text(text)
    return read_host([PurePosixPath(directory / name) for name in files])


@pytest.mark.parametrize(("text", "mtu", "kind"), [(ADDRESSES, 1500, "tun"), (TEXT_ADDRESSES, 1400, "")])
def test_addresses_of_interfaces(text: str, mtu: int, kind: str) -> None:
    lo, eth, tun = parse_addresses(text, "address")
    assert (lo.kind, eth.master, eth.mtu, list(map(str, eth.addresses))) == (
        "loopback",
        "br0",
        mtu,
        ["198.51.100.2/24"],
    )
    assert (tun.kind, str(tun.peer), list(map(str, tun.addresses))) == (kind, "10.8.0.2", ["10.8.0.1/32"])
    assert eth.spot == Spot("address", 3)


def test_routes_of_ip() -> None:
    default, hole, multipath, other = parse_routes(ROUTES, "r")
    assert (str(default.prefix), str(default.via), default.interface, default.origin) == (
        "0.0.0.0/0",
        "198.51.100.1",
        "eth0",
        "static",
    )
    assert (hole.discards, str(multipath.via), multipath.interface) == (True, "10.8.0.2", "tun0")
    assert (str(other.prefix), str(other.via)) == ("192.0.2.7/32", "fe80::2")
    text = "default via fe80::1 dev eth0 proto ra metric 100\nunreachable 10.0.0.0/8 proto static\nnonsense\n"
    assert [(str(r.prefix), r.discards, r.spot.line) for r in parse_routes(text, "r")] == [
        ("::/0", False, 1),
        ("10.0.0.0/8", True, 2),
    ]


def test_sysctl_of_both_spellings() -> None:
    assert parse_sysctl("net.ipv4.ip_forward = 1\n# x = y\n-net/ipv4/conf/eth0.5/rp_filter=2\nnonsense\n") == {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.eth0/5.rp_filter": "2",
    }


def test_host_is_read_from_all_its_files(tmp_path: Path) -> None:
    found = facts(
        tmp_path,
        address=ADDRESSES,
        route=ROUTES,
        sysctl="net.ipv4.ip_forward = 1\n",
        nft=RULESET,
        hosts="127.0.0.1 localhost\n203.0.113.1 vpn.example vpn\n",
        hostname="hq\n",
        interfaces="iface eth0 inet static\n  address 192.0.2.99/24\niface lan0 inet static\n  address 10.1.0.1/24\n",
        other="hello world\n",
    )
    assert found.hostname == "hq"
    assert {i.name: [str(a) for a in i.addresses] for i in found.interfaces}["eth0"] == ["198.51.100.2/24"]
    assert {i.name for i in found.interfaces} == {"lo", "eth0", "tun0", "lan0"}
    assert (found.sysctls["net.ipv4.ip_forward"], len(found.routes), found.forward_drops) == ("1", 4, True)
    assert [(name, str(address)) for name, address in found.names] == [
        ("vpn.example", "203.0.113.1"),
        ("vpn", "203.0.113.1"),
    ]
    assert [(t.action, t.outgoing, t.spot.line) for t in found.translations] == [
        ("masquerade", "eth0", 4),
        ("dnat", None, 5),
    ]


def test_ifupdown_is_read() -> None:
    interfaces, routes = parse_ifupdown(
        "auto lo eth0\niface lo inet loopback\niface eth0 inet static\n  address 192.0.2.2\n  netmask 255.255.255.0\n"
        "  gateway 192.0.2.1\n  up ip route add 10.9.0.0/16 via 192.0.2.9 dev $IFACE || true\n"
        "iface eth0 inet6 static\n  address 2001:db8::2/64\niface br0 inet manual\n  bridge_ports eth1\n  mtu 1400\n",
        "interfaces",
    )
    assert [(i.name, list(map(str, i.addresses)), i.kind, i.mtu) for i in interfaces] == [
        ("lo", [], "", None),
        ("eth0", ["192.0.2.2/24", "2001:db8::2/64"], "", None),
        ("br0", [], "bridge", 1400),
    ]
    assert [(str(r.prefix), str(r.via), r.interface) for r in routes] == [
        ("0.0.0.0/0", "192.0.2.1", "eth0"),
        ("10.9.0.0/16", "192.0.2.9", "eth0"),
    ]


def test_netplan_is_read() -> None:
    interfaces, routes = parse_netplan(
        "network:\n  version: 2\n  ethernets:\n    eth0:\n      addresses: [192.0.2.2/24, '2001:db8::2/64']\n"
        "      mtu: 1400\n      routes:\n        - {to: default, via: 192.0.2.1}\n"
        "        - {to: 10.0.0.0/8, via: 192.0.2.9}\n  bridges:\n    br0:\n      addresses:\n"
        "        - 10.1.0.1/24: {label: x}\n",
        "netplan.yaml",
    )
    assert [(i.name, list(map(str, i.addresses)), i.kind, i.spot.line) for i in interfaces] == [
        ("eth0", ["192.0.2.2/24", "2001:db8::2/64"], "", 4),
        ("br0", ["10.1.0.1/24"], "bridge", 11),
    ]
    assert [(str(r.prefix), str(r.via), r.interface) for r in routes] == [
        ("0.0.0.0/0", "192.0.2.1", "eth0"),
        ("10.0.0.0/8", "192.0.2.9", "eth0"),
    ]
    with pytest.raises(Unreadable, match=r"netplan\.yaml: "):
        parse_netplan("network: [", "netplan.yaml")


def test_networkd_is_read() -> None:
    interfaces, routes = parse_networkd(
        "[Match]\nName=eth0\n\n[Network]\nAddress=192.0.2.2/24\nGateway=192.0.2.1\n\n[Address]\nAddress=2001:db8::2/64\n"
        "[Route]\nDestination=10.0.0.0/8\nGateway=192.0.2.9\n[Route]\nDestination=172.16.0.0/12\nType=blackhole\n",
        "eth0.network",
    )
    assert [(i.name, list(map(str, i.addresses))) for i in interfaces] == [("eth0", ["192.0.2.2/24", "2001:db8::2/64"])]
    assert [(str(r.prefix), r.via and str(r.via), r.discards, r.spot.line) for r in routes] == [
        ("0.0.0.0/0", "192.0.2.1", False, 6),
        ("10.0.0.0/8", "192.0.2.9", False, 10),
        ("172.16.0.0/12", None, True, 13),
    ]


def test_dynamic_addresses_are_known_as_such() -> None:
    interfaces, _ = parse_ifupdown(
        "iface eth0 inet dhcp\niface eth1 inet static\n  address 192.0.2.2/24\n"
        "  up ip addr add 192.0.2.3/24 dev $IFACE\n  post-up ip address add 10.0.0.1/8 dev eth9\n",
        "interfaces",
    )
    assert [(i.name, i.dynamic, list(map(str, i.addresses))) for i in interfaces] == [
        ("eth0", True, []),
        ("eth1", False, ["192.0.2.2/24", "192.0.2.3/24"]),
    ]
    interfaces, routes = parse_netplan(
        "network:\n  ethernets:\n    wan0:\n      match: {macaddress: '02:00:00:00:00:01'}\n      set-name: ens3\n"
        "      dhcp4: true\n      routes: [{to: 10.0.0.0/8, via: 192.0.2.9}]\n    ens4: {dhcp4: no, dhcp6: false}\n",
        "netplan.yaml",
    )
    assert [(i.name, i.dynamic) for i in interfaces] == [("ens3", True), ("ens4", False)]
    assert routes[0].interface == "ens3"
    for value, dynamic in (("yes", True), ("ipv4", True), ("no", False)):
        (interface,), _ = parse_networkd(f"[Match]\nName=eth0\n[Network]\nDHCP={value}\n", "eth0.network")
        assert interface.dynamic is dynamic


def test_file_that_names_no_interface_is_told(tmp_path: Path) -> None:
    texts = {
        "any.network": "[Match]\nName=en*\n[Network]\nAddress=192.0.2.2/24\n",
        "lan.nmconnection": "[connection]\nid=lan\n[ipv4]\naddress1=192.0.2.2/24\n",
        "ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=192.0.2.2\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    found = read_host([PurePosixPath(tmp_path / name) for name in texts])
    assert found.interfaces == ()
    assert [text.partition(": ")[0].rpartition("/")[2] for text in found.unread] == list(texts)
    assert all(text.endswith("add the output of `ip -j address` for its addresses") for text in found.unread)
