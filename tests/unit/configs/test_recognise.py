"""Files are recognised by their content."""

import gzip
from pathlib import Path, PurePosixPath

import pytest

from lab.configs.disk import Unreadable
from lab.configs.recognise import HEAD, FileKind, recognise, recognise_content

DATA = Path(__file__).parents[2] / "data"
PEM = "-----BEGIN {0}-----\nMIIB\n-----END {0}-----\n"
ADDRESSES = '[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK"],"mtu":65536,"addr_info":[]}]'


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("advise/article.server.conf", FileKind.OPENVPN_SERVER),
        ("advise/article.client.conf", FileKind.OPENVPN_CLIENT),
        ("advise/inline.client.ovpn", FileKind.OPENVPN_CLIENT),
        ("advise/static-key.a.conf", FileKind.OPENVPN_PEER),
        ("advise/road-warrior.server.conf", FileKind.OPENVPN_SERVER),
        ("advise/tap.server.conf", FileKind.OPENVPN_SERVER),
        ("advise/common.conf", FileKind.OPENVPN_FRAGMENT),
        ("advise/sites/berlin", FileKind.OPENVPN_CLIENT_OPTIONS),
        ("advise/open.frr.conf", FileKind.FRR),
        ("configs/frr/hub.conf", FileKind.FRR),
        ("configs/frr/daemons", FileKind.DAEMONS),
        ("configs/quagga/zebra.conf", FileKind.FRR),
        ("configs/quagga/bgpd.conf", FileKind.FRR),
        ("configs/quagga/ripd.conf", FileKind.FRR),
    ],
)
def test_sample_is_recognised(path: str, kind: FileKind) -> None:
    assert recognise(PurePosixPath(DATA / path)).kind is kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", FileKind.EMPTY),
        ("\n \n", FileKind.EMPTY),
        ("hello world\n", FileKind.UNKNOWN),
        ("management 127.0.0.1 7505\nmanagement-client\n", FileKind.OPENVPN_FRAGMENT),
        ("client\nremote 192.0.2.1\nca ca.crt\n", FileKind.OPENVPN_CLIENT),
        ("iroute 10.1.0.0 255.255.0.0\n", FileKind.OPENVPN_CLIENT_OPTIONS),
        ('push "route 10.2.0.0 255.255.0.0"\nifconfig-push 10.8.0.9 255.255.255.0\n', FileKind.OPENVPN_CLIENT_OPTIONS),
        (PEM.format("OpenVPN Static key V1"), FileKind.STATIC_KEY),
        ("#\n# 2048 bit OpenVPN static key\n#\n" + PEM.format("OpenVPN Static key V1"), FileKind.STATIC_KEY),
        (PEM.format("OpenVPN tls-crypt-v2 server key"), FileKind.TLS_CRYPT_V2_SERVER),
        (PEM.format("OpenVPN tls-crypt-v2 client key"), FileKind.TLS_CRYPT_V2_CLIENT),
        ("Certificate:\n    Data:\n" + PEM.format("CERTIFICATE"), FileKind.CERTIFICATE),
        (PEM.format("CERTIFICATE") + PEM.format("EC PRIVATE KEY"), FileKind.PRIVATE_KEY),
        (PEM.format("ENCRYPTED PRIVATE KEY"), FileKind.PRIVATE_KEY),
        (PEM.format("X509 CRL"), FileKind.CRL),
        (PEM.format("DH PARAMETERS"), FileKind.DH),
        (PEM.format("CERTIFICATE REQUEST"), FileKind.CERTIFICATE_REQUEST),
        ("#!/bin/sh\necho iroute 10.0.0.0 255.0.0.0 > $1\n", FileKind.SCRIPT),
        ("router id 192.0.2.1;\n", FileKind.BIRD),
        ("# peers\nprotocol bgp dn42_x from dnpeers {\n neighbor fe80::1 as 4242420000;\n}\n", FileKind.BIRD),
        ("hostname edge\nservice integrated-vtysh-config\n", FileKind.VTYSH),
        ("interface tun0\n ip address 10.0.0.1/24\n", FileKind.FRR),
        ("config openvpn 'x'\n\toption dev 'tun0'\n", FileKind.FOREIGN),
        ('<?xml version="1.0"?>\n<opnsense>\n</opnsense>\n', FileKind.FOREIGN),
        (ADDRESSES, FileKind.IP_ADDRESS),
        (f"{ADDRESSES[:1]}\n  {ADDRESSES[1:]}", FileKind.IP_ADDRESS),
        ("1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n", FileKind.IP_ADDRESS),
        ('[{"dst":"default","gateway":"192.0.2.1","dev":"eth0","flags":[]}]', FileKind.IP_ROUTE),
        ('[{"type":"blackhole","dst":"10.0.0.0/8","flags":[]}]', FileKind.IP_ROUTE),
        ("default via 192.0.2.1 dev eth0 proto static \n10.0.0.0/8 dev tun0 scope link \n", FileKind.IP_ROUTE),
        ("net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n", FileKind.SYSCTL),
        ("# forward\nnet.ipv4.ip_forward=1\n", FileKind.SYSCTL),
        ("table inet filter {\n\tchain forward {\n\t}\n}\n", FileKind.NFTABLES),
        ("#!/usr/sbin/nft -f\nflush ruleset\ntable ip nat {\n}\n", FileKind.NFTABLES),
        ("127.0.0.1 localhost\n192.0.2.1 hq hq.example\n::1 ip6-localhost\n", FileKind.HOSTS),
        ("auto eth0\niface eth0 inet static\n    address 192.0.2.2/24\n", FileKind.IFUPDOWN),
        ("network:\n  version: 2\n  ethernets:\n    eth0: {}\n", FileKind.NETPLAN),
        ("[Match]\nName=eth0\n\n[Network]\nAddress=192.0.2.2/24\n", FileKind.NETWORKD),
        ("[connection]\nid=wan\ntype=ethernet\n\n[ipv4]\nmethod=auto\n", FileKind.NETWORKMANAGER),
        ("DEVICE=eth0\nBOOTPROTO=none\nIPADDR=192.0.2.2\n", FileKind.IFCFG),
        ("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n", FileKind.IPTABLES),
        ('#!/usr/sbin/nft -f\ninclude "/etc/nftables.d/*.nft"\n', FileKind.NFTABLES),
        ("name: x\ntopology:\n  nodes:\n    a: {kind: linux}\n", FileKind.TOPOLOGY),
        ("edge-1\n", FileKind.UNKNOWN),
    ],
)
def test_text_is_recognised(text: str, kind: FileKind) -> None:
    assert recognise_content(text.encode(), "any.conf").kind is kind
    assert recognise_content(text.replace("\n", "\r\n").encode(), "any.conf").kind is kind


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (bytes(range(256)), FileKind.BINARY),
        (gzip.compress(b"dev tun\n" * 1000, mtime=0), FileKind.BINARY),
        ("dev tun\n".encode("utf-16"), FileKind.BINARY),
        (b"\x30\x82\x09\x00\x02\x01\x03\x30\x82\x08\x00\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01", FileKind.PKCS12),
    ],
)
def test_binary_data_is_recognised(octets: bytes, kind: FileKind) -> None:
    assert recognise_content(octets).kind is kind


def test_name_decides_only_for_hostname() -> None:
    assert recognise_content(b"edge-1\n", "hostname").kind is FileKind.HOSTNAME
    assert recognise_content(b"dev tun\nremote 192.0.2.1\n", "hostname").kind is FileKind.OPENVPN_PEER
    assert recognise_content(b"hello world\n", "server.conf").kind is FileKind.UNKNOWN


def test_head_of_a_large_file_decides(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_text("client\nremote 192.0.2.1\n" + "# padding\n" * (HEAD // 5))
    assert recognise(PurePosixPath(large)).kind is FileKind.OPENVPN_CLIENT
    with pytest.raises(Unreadable, match="No such file"):
        recognise(PurePosixPath(tmp_path / "gone"))


def test_management_only_part_is_named() -> None:
    assert recognise_content(b"management /run/x.sock unix\n").what.endswith("options of management only")
