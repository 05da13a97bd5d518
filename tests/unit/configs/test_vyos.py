"""The translation of VyOS's and EdgeOS's configurations."""

from ipaddress import ip_interface
from pathlib import Path

import pytest

from lab.configs import frr
from lab.configs.disk import Spot, Unreadable
from lab.configs.forms import form_of
from lab.configs.host.facts import HostInterface
from lab.configs.openvpn import configuration as openvpn
from lab.configs.translated import Translated, TranslatedFile
from lab.configs.vyos.translation import looks_like_vyos, translate

SAMPLES = Path(__file__).parents[2] / "data" / "configs" / "vyos"


def sample(name: str) -> Translated:
    return translate((SAMPLES / name).read_text(), name)


def file(translated: Translated, path: str) -> TranslatedFile:
    return next(file for file in translated.files if str(file.path) == path)


def lines(translated: Translated, path: str) -> list[str]:
    return file(translated, path).text.splitlines()


def test_server_of_vyos_becomes_the_file_that_it_generates() -> None:
    assert lines(sample("hub.set"), "/run/openvpn/vtun10.conf") == [
        "dev-type tun",
        "dev vtun10",
        "proto udp",
        "lport 1194",
        "persist-key",
        "persist-tun",
        "disable-dco",
        "mode server",
        "tls-server",
        "topology subnet",
        "server 10.8.0.0 255.255.255.0",
        'push "route 172.16.11.0 255.255.255.0 vpn_gateway 5"',
        'push "dhcp-option DNS 172.16.11.53"',
        'push "dhcp-option DOMAIN example.net"',
        "ccd-exclusive",
        "client-config-dir /run/openvpn/ccd/vtun10",
        "keepalive 10 60",
        "ca /run/openvpn/vtun10_ca.pem",
        "cert /run/openvpn/vtun10_cert.pem",
        "key /run/openvpn/vtun10_cert.key",
        "tls-auth /run/openvpn/vtun10_auth.key 0",
        "dh none",
        "data-ciphers AES-256-GCM:AES-128-GCM",
        "auth sha256",
        "reneg-sec 0",
        'push "route 172.16.99.0 255.255.255.0"',
    ]


def test_clients_of_vyos_become_files_of_client_config_dir() -> None:
    hub = sample("hub.set")
    branch = file(hub, "/run/openvpn/ccd/vtun10/branch1")
    assert branch.kind == "client options"
    assert branch.text == (
        "ifconfig-push 10.8.0.11 255.255.255.0\n"
        'push "route 172.16.98.0 255.255.255.0"\n'
        "iroute 172.16.21.0 255.255.255.0\n"
    )
    assert branch.origins[2] == Spot("hub.set", 19)
    assert file(hub, "/run/openvpn/ccd/vtun10/branch2").text == "disable\n"


def test_pki_of_vyos_becomes_files_and_keys_are_secret() -> None:
    hub = sample("hub.set")
    authority = lines(hub, "/run/openvpn/vtun10_ca.pem")
    assert (authority[0], authority[-1]) == ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----")
    assert [len(line) for line in authority[1:-1]] == [64, 8]
    secrets = {str(file.path): file.is_secret for file in hub.files}
    assert secrets["/run/openvpn/vtun10_auth.key"]
    assert not secrets["/run/openvpn/vtun10_ca.pem"]
    assert "ffff" not in repr(hub)


def test_routing_of_vyos_becomes_a_frr_conf() -> None:
    routing = lines(sample("hub.set"), "/etc/frr/frr.conf")
    for line in (
        "ip prefix-list BRANCHES seq 10 permit 172.16.16.0/20 le 24",
        "route-map IN permit 10",
        " match ip address prefix-list BRANCHES",
        " set community 64500:1 additive",
        "ip route 172.16.0.0/12 blackhole 250",
        "interface vtun10",
        " ip ospf network point-to-multipoint",
        " no ip ospf passive",
        "router ospf",
        " network 172.16.12.0/24 area 0",
        " passive-interface default",
        "router bgp 64500",
        " no bgp ebgp-requires-policy",
        " neighbor SPOKES peer-group",
        " bgp listen range 10.8.0.0/24 peer-group SPOKES",
        " neighbor 10.8.0.11 timers 10 30",
        "  redistribute connected",
        "  neighbor SPOKES activate",
        "  neighbor 10.8.0.11 route-map IN in",
    ):
        assert line in routing


def test_frr_conf_is_read_by_the_reader_of_frr() -> None:
    routing = file(sample("hub.set"), "/etc/frr/frr.conf")
    read = frr.parse(routing.text, "frr.conf")
    assert read.no_policy_needed(read.neighbors[0]) == "`no bgp ebgp-requires-policy`"
    assert [(n.name, n.hold, sorted(n.families)) for n in read.neighbors] == [
        ("10.8.0.11", 30, ["ipv4"]),
        ("10.8.0.0/24", 180, ["ipv4"]),
    ]


def test_notes_name_what_was_left_out() -> None:
    assert [str(note) for note in sample("hub.set").notes] == [
        "hub.set:30: pki certificate hub private key is not in the file, "
        "so /run/openvpn/vtun10_cert.key is not at hand",
        "hub.set:31: 'interfaces openvpn vtun10 vrf red' is not translated",
        "hub.set:61: 'protocols rip network 10.0.0.0/8' is not translated",
    ]


def test_facts_of_the_host_are_its_name_and_addresses() -> None:
    hub = sample("hub.set")
    assert hub.facts.hostname == "hub"
    assert hub.facts.interfaces == (
        HostInterface("dum0", Spot("hub.set", 1), (ip_interface("198.51.100.1/32"),)),
        HostInterface("eth0", Spot("hub.set", 2), (ip_interface("192.0.2.1/24"),)),
        HostInterface("eth1", Spot("hub.set", 4), (ip_interface("172.16.11.1/24"),)),
        HostInterface("eth1.20", Spot("hub.set", 5), (ip_interface("172.16.12.1/24"),)),
    )


def test_site_to_site_of_edgeos_is_peer_to_peer_with_its_secret() -> None:
    edge = sample("edge.set")
    tunnel = file(edge, "/run/openvpn/vtun0.conf")
    read = openvpn.parse(tunnel.text, tunnel.path)
    assert read.role == "peer"
    assert [str(d) for d in read.all("ifconfig", "secret", "ping", "ping-restart", "comp-lzo", "float")] == [
        "ifconfig 10.9.0.2 10.9.0.1",
        "ping 10",
        "ping-restart 60",
        "secret /config/auth/secret",
        "comp-lzo",
        "float",
    ]


def test_edgeos_has_vyattas_defaults() -> None:
    server = lines(sample("edge.set"), "/run/openvpn/vtun1.conf")
    assert "keepalive 10 60" in server
    assert "dh /config/auth/dh.pem" in server
    assert lines(sample("edge.set"), "/run/openvpn/ccd/vtun1/laptop") == ["ifconfig-push 10.10.0.9 10.10.0.1"]


def test_vyos_without_failure_count_multiplies_its_default() -> None:
    text = (SAMPLES / "hub.set").read_text()
    shorter = "\n".join(line for line in text.split("\n") if "keep-alive" not in line)
    assert "keepalive 10 600" in lines(translate(shorter, "f"), "/run/openvpn/vtun10.conf")


def test_bgp_without_address_families_is_for_ipv4() -> None:
    routing = lines(sample("edge.set"), "/etc/frr/frr.conf")
    start = routing.index(" address-family ipv4 unicast")
    assert routing[start + 1 : start + 4] == [
        "  network 172.16.21.0/24",
        "  neighbor 10.9.0.1 activate",
        "  neighbor 10.9.0.1 route-map OUT out",
    ]
    assert "ip route 172.16.30.0/24 vtun0" in routing


def test_braces_of_config_boot_are_read() -> None:
    boot = sample("config.boot")
    assert boot.facts.hostname == "branch"
    assert "proto tcp-client" in lines(boot, "/run/openvpn/vtun0.conf")
    assert file(boot, "/run/openvpn/vtun0.pw").is_secret
    routing = lines(boot, "/etc/frr/frr.conf")
    assert " neighbor fe80::1 interface vtun0" in routing
    start = routing.index(" address-family ipv6 unicast")
    assert routing[start + 1 : start + 3] == ["  network 2001:db8:3::/48", "  neighbor fe80::1 activate"]
    assert not boot.notes


def test_braces_and_commands_give_the_same() -> None:
    boot = sample("config.boot")
    commands = translate(
        "vyos@branch# set interfaces openvpn vtun0 mode client\n"
        "configure\n"
        "edit interfaces openvpn vtun0\n"
        "set tls ca-cert-file /config/auth/ca.crt\n"
        "set encryption cipher aes256\n"
        "set protocol udp\n"
        "set protocol tcp-active\n"
        "set remote-host 192.0.2.1\n"
        "set remote-port 443\n"
        "set authentication username branch\n"
        'set authentication password "not a real one"\n'
        "set hash sha1\n"
        "delete hash\n"
        "top\n"
        "commit\nsave\nexit\n",
        "f",
    )
    assert lines(commands, "/run/openvpn/vtun0.conf") == lines(boot, "/run/openvpn/vtun0.conf")
    assert lines(commands, "/run/openvpn/vtun0.pw") == lines(boot, "/run/openvpn/vtun0.pw")
    assert not commands.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("set interfaces openvpn vtun0 mode 'server\n", "f:1: no closing quotation"),
        ("interfaces {\n    openvpn vtun0 {\n    }\n", "f: 1 braces are not closed"),
        ("interfaces {\n    openvpn vtun0 {\n    }\n}\n}\n", "f:5: a closing brace without an opening one"),
        ("interfaces {\n    openvpn vtun0 {\n" + "a {\n" * 60, "f:51: more than 50 braces inside each other"),
        ("set interfaces openvpn vtun0 " + "a " * 60, "f:1: more than 50 words in a path"),
    ],
)
def test_malformed_text_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(Unreadable) as error:
        translate(text, "f")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("set interfaces openvpn vtun0 protocol udp\n", "f:1: vtun0 has no mode: set server, client or site-to-site"),
        ("set protocols bgp neighbor 10.0.0.1\nset protocols static route 10.0.0.0/8 next-hop 10.0.0.1\n", "f:1: "),
        (
            "set interfaces openvpn vtun0 mode server\nset interfaces openvpn vtun0 server client ../x ip 10.0.0.2\n",
            "f:2: '../x' cannot name a file of client-config-dir",
        ),
        (
            "set interfaces openvpn vtun0 mode server\nset interfaces openvpn vtun0 server subnet 10.0.0\n",
            "f:2: '10.0.0' is not a network",
        ),
        ("set interfaces openvpn vtun0 disable\n", "f:1: vtun0 is disabled, so OpenVPN is not started"),
        ("set interfaces openvpn vtun0 mode client\nfoo bar\n", "f:2: 'foo bar' is not translated"),
    ],
)
def test_option_without_translation_is_noted(text: str, sentence: str) -> None:
    assert any(str(note).startswith(sentence) for note in translate(text, "f").notes)


def test_many_untranslated_lines_are_few_notes() -> None:
    text = "set interfaces openvpn vtun0 mode client\n" + "".join(f"nonsense {n}\n" for n in range(1000))
    notes = [str(note) for note in translate(text, "f").notes]
    assert len(notes) == 21
    assert notes[-1] == "f:22: 980 more lines from here on are not translated"


def test_vyos_is_recognised_and_other_systems_are_not() -> None:
    for sample_file in SAMPLES.iterdir():
        form = form_of(sample_file.read_text())
        assert form is not None
        assert form.name == "a configuration of VyOS or EdgeOS"
    junos = (
        "set interfaces ge-0/0/0 unit 0 family inet address 192.0.2.1/24\nset protocols bgp group up type external\n"
    )
    junos_braces = "interfaces {\n    ge-0/0/0 {\n        unit 0;\n    }\n}\nprotocols {\n    bgp {\n        group x;\n"
    bird = "protocol bgp uplink {\n  neighbor 192.0.2.1 as 64500;\n}\nprotocol static {\n}\n"
    for text in (junos, junos_braces, bird, "route-map X permit 10\n set metric 5\n", "dev tun\n"):
        assert not looks_like_vyos(text)
