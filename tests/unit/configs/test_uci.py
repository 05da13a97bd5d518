"""The translation of OpenWrt's UCI files."""

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path, PurePosixPath

import pytest

from lab.configs.disk import Spot, Unreadable
from lab.configs.forms import form_of
from lab.configs.host.facts import HostInterface
from lab.configs.openvpn import configuration as openvpn
from lab.configs.openwrt.uci import sections, translate
from lab.configs.translated import Translated

SAMPLES = Path(__file__).parents[2] / "data" / "configs" / "openwrt"


def sample(name: str) -> Translated:
    return translate((SAMPLES / name).read_text(), name)


def notes(translated: Translated) -> list[str]:
    return [str(note) for note in translated.notes]


def test_enabled_section_gives_the_file_that_openwrt_generates() -> None:
    hub = sample("openvpn").files[0]
    assert (hub.path, hub.kind) == (PurePosixPath("/var/etc/openvpn-hub.conf"), "openvpn")
    assert hub.text == (
        "persist-key\npersist-tun\n"
        "ca /etc/openvpn/ca.crt\ncert /etc/openvpn/hub.crt\nclient-config-dir /etc/openvpn/ccd\n"
        "dev ovpn_hub\ndev-type tun\ndh none\nkeepalive 10 60\nkey /etc/openvpn/hub.key\nport 1194\nproto udp\n"
        'push "route 172.16.11.0 255.255.255.0"\npush "dhcp-option DNS 172.16.11.1"\n'
        "route 172.16.21.0 255.255.255.0\nroute 172.16.22.0 255.255.255.0\nserver 10.8.0.0 255.255.255.0\n"
        "topology subnet\ndata-ciphers AES-256-GCM:CHACHA20-POLY1305\n"
        "script-security 2\nup /etc/openvpn/up.sh\n"
    )


def test_each_line_has_the_place_of_its_option() -> None:
    hub = sample("openvpn").files[0]
    lines = hub.text.splitlines()
    assert len(lines) == len(hub.origins)
    assert hub.origins[lines.index("route 172.16.22.0 255.255.255.0")] == Spot("openvpn", 22)
    assert hub.origins[lines.index("script-security 2")] == Spot("openvpn", 4)


def test_generated_file_is_read_by_the_reader_of_openvpn() -> None:
    hub = sample("openvpn").files[0]
    read = openvpn.parse(hub.text, hub.path)
    assert (read.role, read.device) == ("server", "tun")
    assert [d.argument(0) for d in read.all("route")] == ["172.16.21.0", "172.16.22.0"]


def test_notes_say_what_is_not_started_and_what_is_left_out() -> None:
    assert notes(sample("openvpn")) == [
        "openvpn:27: OpenWrt calls the up script from /usr/libexec/openvpn-hotplug",
        "openvpn:28: option 'made_up' is not in OpenWrt's openvpn.options: its init script leaves it out",
        "openvpn:30: openvpn 'old' is not enabled: /etc/openvpn/old.conf is not started; set option enabled '1'",
        "openvpn:36: OpenWrt starts /etc/openvpn/provider.ovpn with --dev tun7, before the file's own dev",
        "openvpn:36: beside `option config` OpenWrt leaves out the other options: 'verb'",
        "openvpn:48: openvpn_recipe 'server_tun' is a template of LuCI; OpenWrt does not start it",
    ]


def test_username_and_password_become_a_secret_file() -> None:
    secret, upstream = sample("openvpn").files[1:]
    assert secret.is_secret
    assert secret.text == "branch\nnot a real one\n"
    assert "not a real one" not in repr(secret)
    assert not upstream.is_secret
    assert "auth-user-pass /var/run/openvpn.upstream.userpass\n" in upstream.text


def test_network_gives_addresses_and_routes_of_the_host() -> None:
    network = sample("network")
    lan = tuple(map(ip_interface, ("172.16.11.1/24", "172.16.12.1/24", "2001:db8:11::1/64")))
    assert network.facts.interfaces == (
        HostInterface("br-lan", Spot("network", 16), lan),
        HostInterface("br-guest", Spot("network", 24), (ip_interface("172.16.13.1/24"),)),
    )
    assert notes(network) == ["network:29: the address of eth1 comes by dhcp and is not in the file"]
    (route,) = network.facts.routes
    assert (route.prefix, route.via) == (ip_network("172.16.99.0/24"), ip_address("172.16.11.254"))
    assert route.interface == "br-lan"


def test_hostname_comes_from_system() -> None:
    assert translate("config system\n\toption hostname 'hq'\n", "system").facts.hostname == "hq"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("option a 'b c'", "b c"),
        ('option a "b \\"c\\" d"', 'b "c" d'),
        ("option a b\\ c", "b c"),
        ("option a 'b'\"c\"d", "bcd"),
        ("option a ''", ""),
        ("option a b # comment", "b"),
        ("option a b; option z y", "b"),
        ("o a 'b\nc'", "b\nc"),
        ("option 'a' 'b\\c'", "b\\c"),
    ],
)
def test_words_are_quoted_as_in_uci(line: str, expected: str) -> None:
    (section,) = sections(f"config x\n{line}\n", "f")
    assert section.options["a"][-1].text == expected


def test_later_option_replaces_an_earlier_one_and_lists_grow() -> None:
    (section,) = sections("config x\noption a 1\noption a 2\nlist b 1\nlist b 2\n", "f")
    assert [v.text for v in section.options["a"]] == ["2"]
    assert [v.text for v in section.options["b"]] == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config x\nopton a b\n", "f:2: 'opton a b' is not a line of UCI"),
        ("option a b\n", "f:1: 'option a b' is not a line of UCI"),
        ("config x\n\noption a 'b\n", "f:3: no closing quotation mark"),
        ("config openvpn '../../etc'\noption enabled 1\n", "f:1: '../../etc' is not a name of a UCI section"),
    ],
)
def test_malformed_line_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(Unreadable) as error:
        translate(text, "f")
    assert str(error.value).startswith(message)


def test_uci_is_recognised_and_other_files_are_not() -> None:
    for file in SAMPLES.iterdir():
        form = form_of(file.read_text())
        assert form is not None
        assert form.name == "OpenWrt's UCI"
    for text in ("dev tun\nconfig other.conf\n", "config openvpn.conf\n", "router bgp 65001\n", ""):
        assert form_of(text) is None
