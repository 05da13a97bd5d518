"""The verdicts of each rule, and the lines that show them."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab.advise import RULES
from lab.advise.subject import Subject
from tests.helpers.samples import CANNOT_TELL, CLIENT, EXPOSED, NOT_EXPOSED, SERVER, judge, subject

BGP = "frr defaults datacenter\nrouter bgp 65001\n neighbor 10.0.0.2 remote-as 65002\n"
POLICY = BGP.replace("datacenter", "traditional")
IN_AND_OUT = "  neighbor 10.0.0.2 prefix-list P in\n  neighbor 10.0.0.2 route-map M out\n"
ACTIVE_V6 = " address-family ipv6 unicast\n  neighbor 10.0.0.2 activate\n"
USED = (
    "ip prefix-list NEAR permit 10.0.0.0/8 le 32\nroute-map USED permit 10\n match interface tun\n"
    " match ip address prefix-list NEAR\nroute-map USED deny 20\n match interface tun\nroute-map USED permit 30\n"
)
SCRIPT = "script-security 2\nclient-connect hand-out\n"
BOTH = "iroute 0.0.0.0 0.0.0.0\niroute-ipv6 ::/0\n"


def two_ways(option: str) -> str:
    """Return a client with two connections, the first one with an option."""
    first, second = (f"<connection>\nremote {text}\n</connection>\n" for text in (f"a\n{option}", "b"))
    return f"client\ndev tun\n{first}{second}"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a directory with a client's file and a script, both with inner default routes."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "branch").write_text(BOTH)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "branch").write_text("iroute 0.0.0.0 0.0.0.0\n")
    (tmp_path / "fixed").mkdir()
    (tmp_path / "fixed" / "branch").write_text("iroute 10.1.0.0 255.255.255.0\n")
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "branch").write_text("iroute 10.1.0.1\n")
    (tmp_path / "none").mkdir()
    (tmp_path / "hand-out").write_text(f"#!/bin/sh\n# fixed\ncat > \"$1\" <<'END'\n{BOTH}END\n")
    (tmp_path / "clever").write_text('#!/bin/sh\n[ "$common_name" = x ] && echo iroute 0.0.0.0 0.0.0.0 > "$1"\n')
    return tmp_path


ONE, HALF, FIXED, TINY, NONE = (f"client-config-dir {n}\n" for n in ("one", "half", "fixed", "tiny", "none"))
MISSING = "client-config-dir gone\n"
V6 = "ifconfig-ipv6 2001:db8::1/64 2001:db8::2\n"
CASES = [
    # a second client
    ("second-client", SERVER + SCRIPT + "disable-dco\n", EXPOSED, {}),
    ("second-client", SERVER + SCRIPT, CANNOT_TELL, {}),  # with DCO it is the kernel's table
    ("second-client", SERVER + SCRIPT + "max-clients 1\n", NOT_EXPOSED, {}),
    ("second-client", SERVER + SCRIPT + "verify-x509-name branch name\n", NOT_EXPOSED, {}),
    ("second-client", SERVER + SCRIPT + "disable-dco\nverify-x509-name bra name-prefix\n", EXPOSED, {}),
    ("second-client", SERVER + SCRIPT + "verify-x509-name branch name\nduplicate-cn\n", EXPOSED, {}),
    ("second-client", SERVER + SCRIPT + "tls-verify check\n", CANNOT_TELL, {}),
    ("second-client", SERVER + ONE, NOT_EXPOSED, {}),
    ("second-client", SERVER + MISSING, CANNOT_TELL, {}),
    ("second-client", SERVER + "client-connect clever\n", CANNOT_TELL, {}),
    ("second-client", SERVER + "plugin auth.so\n", CANNOT_TELL, {}),
    ("second-client", SERVER.replace("tun", "tap") + MISSING, NOT_EXPOSED, {}),
    ("second-client", CLIENT, NOT_EXPOSED, {}),
    # no iroute at all
    ("no-iroute", SERVER + "disable-dco\n", EXPOSED, {"frr": BGP}),
    ("no-iroute", SERVER, CANNOT_TELL, {"frr": BGP}),  # with DCO it is right so
    ("no-iroute", SERVER.replace("topology subnet\n", ""), EXPOSED, {"frr": BGP, "openvpn": "2.6"}),
    ("no-iroute", SERVER + NONE + "disable-dco\n", EXPOSED, {"frr": BGP}),
    ("no-iroute", SERVER, CANNOT_TELL, {}),
    ("no-iroute", SERVER, NOT_EXPOSED, {"routes": False}),
    ("no-iroute", SERVER + MISSING, CANNOT_TELL, {"frr": BGP}),
    ("no-iroute", SERVER + FIXED, NOT_EXPOSED, {"frr": BGP}),
    # one family
    ("one-family", SERVER + V6 + HALF, EXPOSED, {}),
    ("one-family", SERVER + V6 + ONE, NOT_EXPOSED, {}),
    ("one-family", SERVER + HALF, NOT_EXPOSED, {}),
    ("one-family", SERVER + V6 + HALF + SCRIPT, NOT_EXPOSED, {}),  # the script adds the other one
    ("one-family", SERVER + V6 + FIXED, CANNOT_TELL, {}),
    ("one-family", SERVER + V6 + MISSING, CANNOT_TELL, {}),
    # fixed prefixes
    ("fixed-iroutes", SERVER + FIXED, EXPOSED, {"frr": BGP}),
    ("fixed-iroutes", SERVER + FIXED, CANNOT_TELL, {}),
    ("fixed-iroutes", SERVER + FIXED, NOT_EXPOSED, {"routes": False}),
    ("fixed-iroutes", SERVER + ONE, NOT_EXPOSED, {"frr": BGP}),
    ("fixed-iroutes", SERVER, NOT_EXPOSED, {"frr": BGP}),
    ("fixed-iroutes", SERVER + MISSING, CANNOT_TELL, {"frr": BGP}),
    # routes into the tunnel
    ("route-without-iroute", SERVER + "disable-dco\nroute 10.7.0.0 255.255.0.0\n" + FIXED, EXPOSED, {}),
    ("route-without-iroute", SERVER + "disable-dco\nroute-ipv6 2001:db8:7::/64\n" + FIXED, EXPOSED, {}),
    ("route-without-iroute", SERVER + "route 10.7.0.0 255.255.0.0\n", CANNOT_TELL, {}),
    ("route-without-iroute", SERVER + "route 10.1.0.0 255.255.255.0\n" + FIXED, NOT_EXPOSED, {}),
    ("route-without-iroute", SERVER + "route 10.7.0.0 255.255.0.0\n" + ONE, NOT_EXPOSED, {}),
    ("route-without-iroute", SERVER + "route 10.7.0.0 255.255.0.0 net_gateway\n", NOT_EXPOSED, {}),
    ("route-without-iroute", SERVER + "route 10.7.0.0 255.255.0.0\n" + MISSING, CANNOT_TELL, {}),
    # quota
    ("route-quota", SERVER + ONE, EXPOSED, {}),
    ("route-quota", SERVER + TINY, NOT_EXPOSED, {}),
    ("route-quota", SERVER + ONE + "max-routes-per-client 5000\n", CANNOT_TELL, {}),
    ("route-quota", SERVER + ONE + "max-routes-per-client many\n", CANNOT_TELL, {}),
    ("route-quota", SERVER, NOT_EXPOSED, {}),
    # stale routes
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", CANNOT_TELL, {}),
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", EXPOSED, {"openvpn": "2.6"}),
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", NOT_EXPOSED, {"openvpn": "2.7"}),
    ("stale-routes", SERVER + ONE, NOT_EXPOSED, {}),
    ("stale-routes", SERVER + "stale-routes-check 60\n", NOT_EXPOSED, {}),
    ("stale-routes", SERVER + MISSING + "stale-routes-check 60\n", CANNOT_TELL, {}),
    # pushed iroute
    ("pushed-iroute", SERVER + 'push "iroute 0.0.0.0 0.0.0.0"\n', EXPOSED, {}),
    ("pushed-iroute", SERVER, NOT_EXPOSED, {}),
    ("pushed-iroute", SERVER + MISSING, CANNOT_TELL, {}),
    # iroute in the kernel
    ("iroute-dco", SERVER + ONE, CANNOT_TELL, {}),
    ("iroute-dco", SERVER + ONE + "disable-dco\n", NOT_EXPOSED, {}),
    ("iroute-dco", SERVER.replace("subnet", "net30") + ONE, NOT_EXPOSED, {}),
    ("iroute-dco", SERVER + FIXED, NOT_EXPOSED, {}),
    # recursive routing
    ("recursive-routing", CLIENT, EXPOSED, {"frr": BGP}),
    ("recursive-routing", CLIENT, CANNOT_TELL, {}),
    ("recursive-routing", CLIENT, NOT_EXPOSED, {"routes": False}),
    ("recursive-routing", CLIENT + "route 198.51.100.1 255.255.255.255 net_gateway\n", NOT_EXPOSED, {"frr": BGP}),
    ("recursive-routing", CLIENT, NOT_EXPOSED, {"frr": BGP + "ip route 198.51.100.1/32 192.0.2.1\n"}),
    (
        "recursive-routing",
        CLIENT,
        NOT_EXPOSED,
        {"frr": BGP + " neighbor 10.0.0.2 prefix-list P in\nip prefix-list P permit 10.0.0.0/8 le 24\n"},
    ),
    ("recursive-routing", CLIENT, CANNOT_TELL, {"frr": BGP + " neighbor 10.0.0.2 route-map MISSING in\n"}),
    ("recursive-routing", CLIENT.replace("198.51.100.1", "vpn.example"), CANNOT_TELL, {"frr": BGP}),
    ("recursive-routing", SERVER, CANNOT_TELL, {"frr": BGP}),
    ("recursive-routing", CLIENT, EXPOSED, {"frr": "router ospf\n"}),
    ("recursive-routing", CLIENT, NOT_EXPOSED, {"frr": "router ospf\nip protocol ospf route-map USED\n" + USED}),
    (
        "recursive-routing",
        CLIENT,
        EXPOSED,  # the filter is of another device
        {"frr": "router ospf\nip protocol ospf route-map USED\n" + USED.replace("interface tun", "interface eth0")},
    ),
    ("recursive-routing", CLIENT, EXPOSED, {"frr": "router rip\nip protocol ospf route-map USED\n" + USED}),
    ("recursive-routing", CLIENT, CANNOT_TELL, {"frr": "router ospf\nip protocol ospf route-map MISSING\n"}),
    ("recursive-routing", CLIENT, NOT_EXPOSED, {"frr": "router ospf6\n"}),  # the other end has an IPv4 address
    ("recursive-routing", CLIENT, CANNOT_TELL, {"frr": "router isis 1\n"}),
    # neighbours outside this tunnel's network
    ("recursive-routing", CLIENT, CANNOT_TELL, {"frr": BGP.replace("10.0.0.2", "192.0.2.9")}),
    ("recursive-routing", CLIENT, EXPOSED, {"frr": BGP.replace("10.0.0.2", "tun interface")}),
    ("recursive-routing", CLIENT, NOT_EXPOSED, {"frr": "router bgp 65001\n"}),
    ("recursive-routing", CLIENT.partition("ifconfig")[0], CANNOT_TELL, {"frr": BGP}),
    ("recursive-routing", CLIENT.partition("ifconfig")[0], EXPOSED, {"frr": BGP, "peer": SERVER}),
    ("hold-time", CLIENT.partition("ifconfig")[0], CANNOT_TELL, {"frr": BGP}),
    ("no-iroute", SERVER + "disable-dco\n", CANNOT_TELL, {"frr": BGP.replace("10.0.0.2", "192.0.2.9")}),
    # eBGP without a policy
    ("ebgp-policy", CLIENT, EXPOSED, {"frr": BGP.replace("datacenter", "traditional")}),
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"frr": BGP}),
    ("ebgp-policy", CLIENT, CANNOT_TELL, {}),
    ("ebgp-policy", CLIENT, EXPOSED, {"frr": POLICY + " neighbor 10.0.0.2 prefix-list P in\n"}),
    ("ebgp-policy", CLIENT, EXPOSED, {"frr": POLICY + " neighbor 10.0.0.2 route-map M out\n"}),
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"frr": POLICY + IN_AND_OUT}),
    ("ebgp-policy", CLIENT, EXPOSED, {"frr": POLICY + IN_AND_OUT + ACTIVE_V6}),
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"frr": POLICY + IN_AND_OUT + ACTIVE_V6 + IN_AND_OUT}),
    ("ebgp-policy", CLIENT, CANNOT_TELL, {"frr": POLICY.replace(" remote-as 65002", " description x")}),
    # hold time
    ("hold-time", SERVER + "keepalive 10 60\n", EXPOSED, {"frr": BGP}),
    ("hold-time", SERVER, EXPOSED, {"frr": BGP}),
    ("hold-time", SERVER, NOT_EXPOSED, {"frr": BGP + " timers bgp 0 0\n"}),
    ("hold-time", SERVER + "keepalive 1 4\n", CANNOT_TELL, {"frr": BGP}),
    ("hold-time", SERVER + "keepalive 1 4\n", NOT_EXPOSED, {"frr": BGP, "peer_hold": 9}),
    ("hold-time", SERVER + "keepalive 1 4\n", EXPOSED, {"frr": BGP, "peer_hold": 3}),
    ("hold-time", CLIENT, CANNOT_TELL, {"frr": BGP}),
    ("hold-time", CLIENT, EXPOSED, {"frr": BGP, "peer": SERVER + "keepalive 10 60\n"}),
    ("hold-time", CLIENT, CANNOT_TELL, {}),
    # restart
    ("restart-closes-device", SERVER, EXPOSED, {"frr": BGP}),
    ("restart-closes-device", SERVER + "persist-tun\n", NOT_EXPOSED, {"frr": BGP}),
    ("restart-closes-device", SERVER, CANNOT_TELL, {}),
    ("restart-closes-device", CLIENT, CANNOT_TELL, {"frr": BGP}),
    ("restart-closes-device", CLIENT, NOT_EXPOSED, {"frr": BGP, "peer": SERVER + "push persist-tun\n"}),
    (
        "restart-closes-device",
        CLIENT + 'pull-filter ignore "persist-"\n',
        EXPOSED,
        {"frr": BGP, "peer": SERVER + "push persist-tun\n"},
    ),
    (
        "hold-time",
        CLIENT + "pull-filter ignore ping\n",
        EXPOSED,
        {"frr": BGP, "peer": SERVER + "keepalive 1 4\n", "peer_hold": 9},
    ),
    # reconnect
    ("quick-reconnect", SERVER + "max-clients 1\nkeepalive 10 60\n", EXPOSED, {}),
    ("quick-reconnect", SERVER + "duplicate-cn\n", EXPOSED, {}),
    ("quick-reconnect", SERVER, NOT_EXPOSED, {}),
    ("quick-reconnect", CLIENT, NOT_EXPOSED, {}),
    ("no-exit-notify", SERVER + "proto udp\nkeepalive 10 60\n", EXPOSED, {}),
    ("no-exit-notify", SERVER + "explicit-exit-notify\n", NOT_EXPOSED, {}),
    ("no-exit-notify", SERVER + "proto tcp-server\n", NOT_EXPOSED, {}),
    ("no-exit-notify", CLIENT, CANNOT_TELL, {}),
    (
        "no-exit-notify",
        two_ways("explicit-exit-notify"),
        CANNOT_TELL,
        {"peer": SERVER + "keepalive 10 60\n"},
    ),
    (
        "mtu-mismatch",
        two_ways("tun-mtu 1400"),
        CANNOT_TELL,
        {"peer": SERVER},
    ),
    # sizes
    ("mtu-mismatch", CLIENT, CANNOT_TELL, {}),
    ("mtu-mismatch", CLIENT, NOT_EXPOSED, {"peer": SERVER + "tun-mtu 1500\n", "path_mtu": 1500}),
    ("mtu-mismatch", CLIENT, CANNOT_TELL, {"peer": SERVER + "tun-mtu 1500\n"}),
    ("mtu-mismatch", CLIENT, EXPOSED, {"peer": SERVER, "path_mtu": 1400}),
    ("mtu-mismatch", CLIENT, NOT_EXPOSED, {"peer": SERVER + "mssfix 1300\n", "path_mtu": 1400}),
    ("mtu-mismatch", CLIENT, NOT_EXPOSED, {"peer": SERVER + "mssfix 1400 mtu\n", "path_mtu": 1400}),
    ("mtu-mismatch", CLIENT, EXPOSED, {"peer": SERVER + "mssfix 1400\n", "path_mtu": 1400}),
    ("mtu-mismatch", CLIENT + "mssfix 0\n", CANNOT_TELL, {"peer": SERVER + "mssfix 0\n", "path_mtu": 1500}),
    ("mtu-mismatch", CLIENT + "mssfix 0\n", NOT_EXPOSED, {"peer": SERVER, "path_mtu": 1500}),
    ("mtu-mismatch", CLIENT + "proto tcp\n", NOT_EXPOSED, {"peer": SERVER, "path_mtu": 1500}),
    ("mtu-mismatch", CLIENT + "proto tcp\n", CANNOT_TELL, {"peer": SERVER, "path_mtu": 1400}),
    ("mtu-mismatch", CLIENT + "proto tcp\n", CANNOT_TELL, {"peer": SERVER}),
    (
        "mtu-mismatch",
        CLIENT,
        NOT_EXPOSED,
        {"peer": SERVER + 'tun-mtu 1400\npush "tun-mtu 1400"\n', "path_mtu": 1500},
    ),
    ("mtu-mismatch", CLIENT, EXPOSED, {"peer": SERVER + "tun-mtu 1400\n"}),
    ("mtu-mismatch", CLIENT, EXPOSED, {"peer": SERVER + "fragment 1300\n"}),
    # topology
    ("topology-default", SERVER.replace("topology subnet\n", ""), EXPOSED, {}),
    ("topology-default", SERVER + 'push "topology subnet"\n', NOT_EXPOSED, {}),
    ("topology-default", SERVER, CANNOT_TELL, {}),
    ("topology-default", CLIENT, CANNOT_TELL, {}),
    ("topology-default", CLIENT, EXPOSED, {"peer": SERVER}),
    ("topology-default", CLIENT, NOT_EXPOSED, {"peer": "server 10.8.0.0 255.255.255.0\ndev tun\n"}),
    ("topology-default", "dev tun\ntls-client\nremote 192.0.2.1\n", NOT_EXPOSED, {}),
    # the kernel's data channel
    ("dco-off", SERVER + "compress\n", EXPOSED, {}),
    ("dco-off", SERVER + "data-ciphers AES-256-GCM:AES-256-CBC\n", EXPOSED, {}),
    ("dco-off", SERVER + "fragment 1300\n", EXPOSED, {}),
    ("dco-off", SERVER.replace("subnet", "net30"), EXPOSED, {}),
    ("dco-off", SERVER + "compress migrate\ndata-ciphers ?CHACHA20-POLY1305\n", NOT_EXPOSED, {}),
    ("dco-off", SERVER + "disable-dco\n", NOT_EXPOSED, {}),
    ("dco-off", SERVER.replace("topology subnet\n", ""), CANNOT_TELL, {}),
    ("dco-off", SERVER.replace("topology subnet\n", ""), EXPOSED, {"openvpn": "2.6"}),
    # cryptography
    ("static-key", "dev tun\nsecret key\n", EXPOSED, {}),
    ("static-key", SERVER, NOT_EXPOSED, {}),
    ("compression", SERVER + "comp-lzo\nallow-compression yes\n", EXPOSED, {"openvpn": "2.6"}),
    ("compression", SERVER + "comp-lzo\nallow-compression yes\n", CANNOT_TELL, {"openvpn": "2.7"}),
    ("compression", SERVER + "comp-lzo\nallow-compression yes\n", CANNOT_TELL, {}),
    ("compression", SERVER + "comp-lzo\n", CANNOT_TELL, {}),
    ("compression", SERVER + "push 'compress lz4-v2'\n", CANNOT_TELL, {}),
    ("compression", SERVER + "comp-lzo no\n", NOT_EXPOSED, {}),
    ("compression", CLIENT, CANNOT_TELL, {}),
    ("compression", CLIENT + "allow-compression no\n", NOT_EXPOSED, {}),
    ("compression", CLIENT, NOT_EXPOSED, {"peer": SERVER + "push 'comp-lzo yes'\n"}),
    (
        "compression",
        CLIENT + "allow-compression yes\n",
        EXPOSED,
        {"openvpn": "2.6", "peer": SERVER + "push comp-lzo\n"},
    ),
    # obsolete
    ("obsolete", SERVER + "cipher AES-256-CBC\n", EXPOSED, {}),
    ("obsolete", SERVER + "cipher AES-256-GCM\ndata-ciphers AES-256-GCM\n", NOT_EXPOSED, {}),
    ("obsolete", SERVER + "ns-cert-type client\n", EXPOSED, {}),
    ("obsolete", SERVER + "ncp-disable\n", EXPOSED, {}),
    ("obsolete", SERVER + "persist-key\n", CANNOT_TELL, {}),
    ("obsolete", SERVER + "persist-key\n", NOT_EXPOSED, {"openvpn": "2.6"}),
    ("obsolete", SERVER + "persist-key\n", EXPOSED, {"openvpn": "2.7"}),
]


@pytest.mark.parametrize(("rule", "text", "expected", "context"), CASES)
def test_rule_gives_the_expected_verdict(
    rule: str, text: str, expected: str, context: dict[str, object], place: Path
) -> None:
    judgement = judge(rule, subject(text, place, **context))  # type: ignore[arg-type]
    assert (judgement.verdict, judgement.why) == (expected, judgement.why)
    assert judgement.why
    assert bool(judgement.do) == (judgement.verdict != NOT_EXPOSED)


def test_every_rule_has_an_exposed_and_a_safe_case() -> None:
    tried = {(rule, verdict) for rule, _, verdict, _ in CASES}
    assert {(r.name, v) for r in RULES for v in (EXPOSED, NOT_EXPOSED)} - tried == {("iroute-dco", EXPOSED)}


def test_lines_refer_to_client_config_dir_and_script_files(place: Path) -> None:
    judgement = judge("second-client", subject(SERVER + SCRIPT, place))
    assert [str(s) for s in judgement.spots] == [f"{place}/hand-out:4", f"{place}/hand-out:5"]
    judgement = judge("one-family", subject(SERVER + V6 + HALF, place))
    assert [str(s) for s in judgement.spots] == [f"{place}/half/branch:1", f"{place}/openvpn.conf:6"]


@pytest.mark.parametrize(
    ("script", "known"),
    [
        ('#!/bin/sh\necho "iroute 0.0.0.0 0.0.0.0" > $1\nexit 0\n', True),
        ('#!/bin/bash\necho iroute 0.0.0.0 0.0.0.0 >> "$1"\n', True),
        ('#!/bin/sh\necho "iroute $network 0.0.0.0" > $1\n', False),
        ('#!/bin/sh\ncat > "$1" <<END\niroute $x\nEND\n', False),
        ("#!/usr/bin/python3\nprint()\n", False),
        ("#!/bin/sh\ncat > \"$1\" <<'END'\niroute 0.0.0.0 0.0.0.0\n", False),
        ("", False),
    ],
)
def test_client_connect_script_is_read_only_if_it_writes_fixed_lines(script: str, known: bool, tmp_path: Path) -> None:
    (tmp_path / "hand-out").write_text(script)
    end: Subject = subject(SERVER + SCRIPT, tmp_path)
    assert (bool(end.client_options.default_routes), bool(end.client_options.gaps)) == (known, not known)


@pytest.mark.parametrize(
    ("text", "peer", "expected"),
    [
        (SERVER + "keepalive 10 60\n", None, (120, 6)),  # a server waits twice as long
        (SERVER + "keepalive 10 60\nping-restart 7\n", None, (7, 7)),
        (SERVER, None, (None, None)),
        (CLIENT, None, None),
        (CLIENT, SERVER, (120, None)),  # what a client does by itself over UDP
        (CLIENT + "proto tcp\n", SERVER, (None, None)),
        (CLIENT, SERVER + "keepalive 10 60\n", (60, 6)),
        (CLIENT, SERVER + MISSING, None),
        ("dev tun\ntls-client\nkeepalive 10 60\n", None, (60, 3)),
    ],
)
def test_timeout_of_an_end(
    text: str, peer: str | None, expected: tuple[int | None, int | None] | None, tmp_path: Path
) -> None:
    timeout = subject(text, tmp_path, peer=peer).timeout()
    assert (timeout and (timeout[0], timeout[1] and timeout[1].line)) == expected


def test_common_name_selects_the_clients_file(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "branch").write_text("push persist-tun\n")
    (tmp_path / "many" / "other").write_text("ifconfig-push 10.0.0.9 255.255.255.0\n")
    end = subject(CLIENT, tmp_path, peer=SERVER + "client-config-dir many\n", frr=BGP)
    verdicts = [
        judge("restart-closes-device", replace(end, common_name=name)).verdict for name in (None, "branch", "other")
    ]
    assert verdicts == [CANNOT_TELL, NOT_EXPOSED, EXPOSED]
    (tmp_path / "many" / "DEFAULT").write_text("push persist-tun\n")
    end = subject(CLIENT, tmp_path, peer=SERVER + "client-config-dir many\n", frr=BGP)
    assert judge("restart-closes-device", replace(end, common_name="third")).verdict == NOT_EXPOSED


def test_tests_named_by_rules_exist() -> None:
    texts = [path.read_text() for path in Path(__file__).parents[2].rglob("test_*.py")]
    for rule in RULES:
        assert rule.test is None or any(f"def {rule.test}(" in text for text in texts)
