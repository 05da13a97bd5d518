"""The translation of a config.xml of pfSense and OPNsense, and notes about their generated files."""

from ipaddress import ip_interface
from pathlib import Path, PurePosixPath

import pytest

from lab.configs.disk import Disk, Spot, Unreadable
from lab.configs.forms import form_of
from lab.configs.host.facts import HostInterface
from lab.configs.openvpn import configuration as openvpn
from lab.configs.sense import freebsd
from lab.configs.sense.translation import translate
from lab.configs.translated import Translated, TranslatedFile

SAMPLES = Path(__file__).parents[2] / "data" / "configs"
INSTANCE = "/var/etc/openvpn/instance-0f2c0000-0000-4000-8000-00000000000"


def sample(system: str) -> Translated:
    return translate((SAMPLES / system / "config.xml").read_text(), "config.xml")


def file(translated: Translated, path: str) -> TranslatedFile:
    return next(file for file in translated.files if str(file.path) == path)


def lines(translated: Translated, path: str) -> list[str]:
    return file(translated, path).text.splitlines()


def test_server_of_pfsense_has_the_options_that_it_generates() -> None:
    generated = (SAMPLES / "pfsense" / "config.ovpn").read_text()
    of_freebsd = (
        "verb", "dev-node", "writepid", "script-security", "daemon", "up", "down", "client-connect",
        "client-disconnect", "tls-verify", "management", "capath", "data-ciphers", "#user", "#group",
    )  # fmt: skip
    expected = {line.strip() for line in generated.splitlines() if line.split()[0] not in of_freebsd}
    assert expected - set(lines(sample("pfsense"), "/var/etc/openvpn/server1/config.ovpn")) == set()


def test_settings_of_pfsense_become_options_at_their_lines() -> None:
    server = file(sample("pfsense"), "/var/etc/openvpn/server1/config.ovpn")
    origins = dict(zip(server.text.splitlines(), server.origins, strict=True))
    assert origins["max-clients 20"] == Spot("config.xml", 51)
    assert origins["client-to-client"].line == 52
    assert origins['push "dhcp-option DNS 172.16.11.53"'].line == 54
    assert origins["route 172.16.21.0 255.255.255.0"] == origins['push "route 172.16.99.0 255.255.255.0"']
    assert "data-ciphers AES-256-GCM:AES-128-GCM:AES-256-CBC" in origins


def test_client_with_a_shared_key_is_one_of_two_peers() -> None:
    client = file(sample("pfsense"), "/var/etc/openvpn/client3/config.ovpn")
    read = openvpn.parse(client.text, client.path)
    assert read.role == "peer"
    assert [str(d) for d in read.all("proto", "remote", "ifconfig", "route", "secret", "lport")] == [
        "proto tcp4-client",
        "lport 0",
        "remote 198.51.100.7 1195 tcp4-client",
        "ifconfig 10.9.0.2 10.9.0.1",
        "route 172.16.30.0 255.255.255.0",
        "secret /var/etc/openvpn/client3/secret",
    ]


def test_overrides_of_pfsense_become_files_of_client_config_dir() -> None:
    hq = sample("pfsense")
    assert lines(hq, "/var/etc/openvpn/server1/csc/branch1") == [
        'push "route 172.16.98.0 255.255.255.0"',
        "iroute 172.16.21.0 255.255.255.0",
        "ifconfig-push 10.8.0.11 255.255.255.0",
    ]
    assert lines(hq, "/var/etc/openvpn/server1/csc/branch2") == ["disable"]


def test_instance_of_opnsense_becomes_its_file() -> None:
    edge = sample("opnsense")
    server = lines(edge, f"{INSTANCE}1.conf")
    for line in (
        "server 10.20.0.0 255.255.255.0",
        "topology subnet",
        "multihome",
        'push "redirect-gateway def1 ipv6"',
        'push "route-ipv6 2001:db8:21::/48"',
        "client-to-client",
        "float",
        f"tls-crypt {INSTANCE}1.tls",
        "client-config-dir /var/etc/openvpn-csc/1",
    ):
        assert line in server
    client = lines(edge, f"{INSTANCE}2.conf")
    assert "remote 2001:db8::7 443" in client
    assert "remote vpn.example.net 1194" in client
    assert lines(edge, "/var/etc/openvpn-csc/1/branch3") == [
        "ifconfig-push 10.20.0.9 255.255.255.0",
        "iroute 172.16.33.0 255.255.255.0",
        "iroute-ipv6 2001:db8:33::/48",
    ]


def test_keys_are_only_in_secret_files() -> None:
    for system in ("pfsense", "opnsense"):
        translated = sample(system)
        with_keys = [f for f in translated.files if "PRIVATE KEY" in f.text or "Static key" in f.text]
        assert with_keys
        assert all(f.is_secret for f in with_keys)
        assert "BEGIN" not in repr(translated)
    assert file(sample("opnsense"), f"{INSTANCE}2.up").text == "edge\nnot a real one\n"


def test_notes_say_what_is_off_and_what_is_not_in_the_file() -> None:
    assert [str(note) for note in sample("pfsense").notes] == [
        "config.xml:50: 'LANS' is not a network; aliases are not read",
        "config.xml:59: OpenVPN server 'Old' is disabled, so it is not started",
        "config.xml:70: the address of interface 'opt1' is not in the file: no `local`",
        "config.xml:24: the address of igb2 comes by 'dhcp' and is not in the file",
    ]
    assert [str(note) for note in sample("opnsense").notes] == [
        "config.xml:58: OpenVPN instance 'Unused' is disabled, so it is not started"
    ]


def test_missing_certificate_is_a_note() -> None:
    text = (SAMPLES / "pfsense" / "config.xml").read_text().replace("<refid>5f0000000000b</refid>", "")
    notes = [str(note) for note in translate(text, "f").notes]
    assert "f:42: cert '5f0000000000b' is not in the file" in notes
    assert not any(str(f.path).endswith("/cert") for f in translate(text, "f").files)


@pytest.mark.parametrize("key", ["//////4=", "A", "ключ"])
def test_broken_base64_is_a_note_without_its_text(key: str) -> None:
    text = f"<vpnid>1</vpnid><mode>p2p_shared_key</mode><shared_key>{key}</shared_key>"
    notes = translate(f"<pfsense><openvpn><openvpn-server>{text}</openvpn-server></openvpn></pfsense>", "f").notes
    assert "f:1: <shared_key> is not base64 of a certificate or key" in map(str, notes)


def test_facts_of_the_host_are_its_name_and_addresses() -> None:
    facts = sample("pfsense").facts
    assert facts.hostname == "hq"
    assert facts.interfaces == (
        HostInterface("igb0", Spot("config.xml", 11), (ip_interface("192.0.2.1/24"),)),
        HostInterface(
            "igb1", Spot("config.xml", 17), (ip_interface("172.16.11.1/24"), ip_interface("2001:db8:11::1/64"))
        ),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "c">]>\n<pfsense>&b;</pfsense>', "f:2: a document type"),
        ("<pfsense>\n<a>\n</pfsense>", "f:3: not well-formed XML: mismatched tag"),
        ("<pfsense>" + "<a>" * 60, "f:1: more than 50 elements inside each other"),
        ("<other><pfsense/></other>", "f:1: <other> is not a config.xml of pfSense or OPNsense"),
        ("<pfsense>\0</pfsense", "f:1: not well-formed XML"),
        ("", "f:1: not well-formed XML: no element found"),
    ],
)
def test_malformed_document_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(Unreadable) as error:
        translate(text, "f")
    assert str(error.value).startswith(message)


def test_config_xml_is_recognised() -> None:
    for system in ("pfsense", "opnsense"):
        form = form_of((SAMPLES / system / "config.xml").read_text())
        assert form is not None
        assert form.name == "a config.xml of pfSense or OPNsense"
    assert form_of("<connection>\nremote a\n</connection>\n") is None


def test_generated_file_needs_no_translation_but_has_notes() -> None:
    path = SAMPLES / "pfsense" / "config.ovpn"
    generated = openvpn.parse(path.read_text(), PurePosixPath("config.ovpn"), Disk())
    assert form_of(path.read_text()) is None
    assert (generated.role, generated.device) == ("server", "tun")
    assert [str(note) for note in freebsd.notes(generated)] == [
        "config.ovpn:4: dev-node names a device of FreeBSD; on Linux OpenVPN opens /dev/net/tun",
        "config.ovpn:16: ovpn-linkup is the firewall's own and updates the firewall's gateways",
        "config.ovpn:17: ovpn-linkdown is the firewall's own and updates the firewall's gateways",
        "config.ovpn:18: openvpn.attributes.sh is the firewall's own and applies RADIUS attributes, "
        "which may add routes of clients",
        "config.ovpn:19: openvpn.attributes.sh is the firewall's own and applies RADIUS attributes, "
        "which may add routes of clients",
        "config.ovpn:24: ovpn_auth_verify is the firewall's own and checks passwords or certificates "
        "against the firewall's users",
        "config.ovpn:29: capath has a file for each CA, named by a hash: copy the directory with its .0 files",
        "config.ovpn:32: /etc/dh-parameters.2048 comes with the firewall; without it use `dh none`",
    ]


def test_file_of_another_system_has_no_such_notes() -> None:
    other = openvpn.parse("dev tun\nup /etc/openvpn/up.sh\ndh /etc/openvpn/dh.pem\n", PurePosixPath("f"))
    assert not freebsd.notes(other)
