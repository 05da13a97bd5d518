"""The verdicts of each rule, and the lines that show them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab.advise import RULES
from lab.advise.subject import Subject
from tests.helpers.samples import CANNOT_TELL, CLIENT, EXPOSED, NOT_EXPOSED, SERVER, judge, subject

BGP = "frr defaults datacenter\nrouter bgp 65001\n neighbor 10.0.0.2 remote-as 65002\n"
POLICY = BGP.replace("datacenter", "traditional")
IN_AND_OUT = "  neighbor 10.0.0.2 prefix-list P in\n  neighbor 10.0.0.2 route-map M out\n"
DEFINED = "ip prefix-list P permit any\nipv6 prefix-list P permit any\nroute-map M permit 10\n"
AS_PATH, ACCESS = "bgp as-path access-list A permit .*\n", "access-list 5 permit any\n"
ACTIVE_V6 = " address-family ipv6 unicast\n  neighbor 10.0.0.2 activate\n"
USED = (
    "ip prefix-list NEAR permit 10.0.0.0/8 le 32\nroute-map USED permit 10\n match interface tun\n"
    " match ip address prefix-list NEAR\nroute-map USED deny 20\n match interface tun\nroute-map USED permit 30\n"
)
RANGE = (
    "router bgp 65000\n neighbor SPOKES peer-group\n neighbor SPOKES remote-as external\n"
    " bgp listen range 10.8.0.0/24 peer-group SPOKES\n"
)
NUMBERED = "dev tun0\nserver 10.8.0.0 255.255.255.0\n"
V6_ONLY = (
    "router bgp 65001\n neighbor fd00::2 remote-as 65002\n address-family ipv6 unicast\n"
    "  neighbor fd00::2 activate\n  neighbor fd00::2 prefix-list P in\n  neighbor fd00::2 route-map M out\n"
) + DEFINED
LINK_LOCAL = "router bgp 65001\n neighbor fe80::2 remote-as 65002\n neighbor fe80::2 interface dn42peer\n"
KERNEL = "protocol kernel { ipv4 { export all; }; }\n"
BIRD = (
    KERNEL + "protocol bgp far {\n local as 65001;\n neighbor 10.0.0.2 as 65002;\n"
    " ipv4 { import all; export all; };\n}\n"
)
BIRD_OSPF = KERNEL + 'protocol ospf {\n ipv4 { import all; };\n area 0 { interface "tun*"; };\n}\n'
BIRD_RIP = KERNEL + 'protocol rip {\n ipv4 { import all; };\n interface "tun*" { };\n}\n'
OSPF = "router ospf\n network 10.8.0.0/24 area 0\n"
ON_TUN = "interface tun0\n"
RIP = "router rip\n network tun0\n"
OLD_BIRD = (
    "protocol kernel { export all; }\n"
    "protocol bgp far {\n local as 65001;\n neighbor 10.0.0.2 as 65002;\n import all;\n}\n"
)
OUTER = BGP.replace("10.0.0.2", "198.51.100.1")
TO_SERVER, TO_CLIENT = BGP.replace("10.0.0.2", "10.0.0.1"), BGP.replace("10.0.0.2", "10.0.0.3")
TO_OTHER = BGP.replace("10.0.0.2", "10.0.0.9")
BEHIND = BGP.replace("10.0.0.2", "10.9.9.9") + "exit\nip route 10.9.9.9/32 10.0.0.1\n"
NAT = "client-nat snat 10.0.0.3 255.255.255.255 10.0.0.77\n"
SCRIPT = "script-security 2\nclient-connect hand-out\n"
BOTH = "iroute 0.0.0.0 0.0.0.0\niroute-ipv6 ::/0\n"


def timed(options: str) -> str:
    """Return BIRD's OSPF with options of the tunnel's interface."""
    return BIRD_OSPF.replace('"tun*";', f'"tun*" {{ {options} }};')


def two_ways(option: str) -> str:
    """Return a client with two connections, the first one with an option."""
    first, second = (f"<connection>\nremote {text}\n</connection>\n" for text in (f"a\n{option}", "b"))
    return f"client\ndev tun\n{first}{second}"


CLIENTS = {
    "twice": {"west": "iroute 10.1.0.0 255.255.255.0\n", "east": "iroute 10.1.0.0 255.255.255.0\n"},
    "apart": {"west": "iroute 10.1.0.0 255.255.255.0\n", "east": "iroute 10.2.0.0 255.255.255.0\n"},
    "within": {"west": "iroute 10.1.0.0 255.255.0.0\n", "east": "iroute 10.1.1.0 255.255.255.0\n"},
    "mixed": {"west": "iroute 0.0.0.0 0.0.0.0\n", "east": "iroute 10.2.0.0 255.255.255.0\n"},
    "named": {"west": "iroute 10.1.0.0 255.255.255.0\nifconfig-push 10.0.0.2 255.255.255.0\n"},
    "any": {"DEFAULT": "iroute 10.1.0.0 255.255.255.0\n"},
    "bare": {"west": "iroute 10.1.0.0 255.255.255.0\n", "east": "ifconfig-push 10.0.0.2 255.255.255.0\n"},
}
"""The files of directories with several clients."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a directory with a client's file and a script, both with inner default routes."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "branch").write_text(BOTH)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "branch").write_text("iroute 0.0.0.0 0.0.0.0\n")
    (tmp_path / "fixed").mkdir()
    (tmp_path / "fixed" / "branch").write_text("iroute 10.1.0.0 255.255.255.0\n")
    for directory, of in (("six", "iroute-ipv6 fd00:2::/64\n"), ("all-six", "iroute-ipv6 ::/0\n")):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "branch").write_text(of)
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide" / "west").write_text("iroute 172.16.0.0 255.240.0.0\n")
    for directory, files in CLIENTS.items():
        (tmp_path / directory).mkdir()
        for client, options in files.items():
            (tmp_path / directory / client).write_text(options)
    (tmp_path / "fixed.sh").write_text('#!/bin/sh\necho "iroute 10.1.0.0 255.255.255.0" > "$1"\n')
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "branch").write_text("iroute 10.1.0.1\n")
    (tmp_path / "reset").mkdir()
    (tmp_path / "reset" / "DEFAULT").write_text("push-remove persist\n")
    (tmp_path / "limits").mkdir()
    (tmp_path / "limits" / "west").write_text("iroute 10.1.0.0 255.255.255.0\nmax-routes-per-client 20\n")
    (tmp_path / "limits" / "east").write_text("iroute 10.2.0.1\nmax-routes-per-client 1000\n")
    (tmp_path / "overwrite").write_text(
        '#!/bin/sh\necho "iroute-ipv6 ::/0" > "$1"\necho "iroute 0.0.0.0 0.0.0.0" > "$1"\n'
    )
    (tmp_path / "empty").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "none").mkdir()
    (tmp_path / "hand-out").write_text(f"#!/bin/sh\n# fixed\ncat > \"$1\" <<'END'\n{BOTH}END\n")
    (tmp_path / "clever").write_text('#!/bin/sh\n[ "$common_name" = x ] && echo iroute 0.0.0.0 0.0.0.0 > "$1"\n')
    return tmp_path


FAR_ONLY = " neighbor 10.0.0.2 prefix-list P in\nip prefix-list P permit 10.9.0.0/16 le 32\n"
ONE, HALF, FIXED, TINY, NONE = (f"client-config-dir {n}\n" for n in ("one", "half", "fixed", "tiny", "none"))
SIX, ALL_SIX = "client-config-dir six\n", "client-config-dir all-six\n"
WIDE, TWICE, WITHIN = (f"client-config-dir {n}\n" for n in ("wide", "twice", "within"))
DIRECT = "client-to-client\n"
PUSH = 'push "route {}"\n'
PEER = "dev tun\ntls-client\nremote 198.51.100.1\nifconfig 10.0.0.2 255.255.255.0\n"
OTHER = PEER.replace("client", "server")
STATIC = "dev tun\nsecret key\nifconfig 10.0.0.1 10.0.0.2\n"
NO_PEER_ID = 'pull-filter ignore "peer-id"\n'
MISSING = "client-config-dir gone\n"
WITHOUT_TOPOLOGY = SERVER.replace("topology subnet\n", "")
V6_SERVER = "dev tun\nserver-ipv6 fd00:8::/64\n"
V6 = "ifconfig-ipv6 2001:db8::1/64 2001:db8::2\n"


def with_option(frr: str, option: str) -> str:
    """Return a frr.conf with an option of its only neighbour."""
    line = next(line for line in frr.split("\n") if "remote-as" in line)
    return frr.replace(line, f"{line}\n{line.partition('remote-as')[0]}{option}")


AWAY = " neighbor 10.0.0.3 route-map AWAY out\nroute-map AWAY permit 10\n set ip next-hop 192.0.2.77\n"
PROFILE = "bfd\n profile own\n  transmit-interval 50\n  receive-interval 50\n exit\nexit\n"
BFD = with_option(BGP, "bfd profile own") + PROFILE
TO_SERVER_BFD = BFD.replace("10.0.0.2", "10.0.0.1")
FRAGMENTS = PEER + "fragment 1300\n"
FRAGMENTED = {"peer": FRAGMENTS.replace("tls-client", "tls-server"), "path_mtu": 1400}
QUICK_PEER = {"peer": CLIENT, "peer_frr": BFD.replace("10.0.0.2", "10.0.0.1")}


CASES = [
    # a session past the tunnel
    ("outer-session", CLIENT, EXPOSED, {"frr": OUTER}),
    ("outer-session", CLIENT, EXPOSED, {"bird": BIRD.replace("10.0.0.2", "198.51.100.1")}),
    ("outer-session", CLIENT, NOT_EXPOSED, {"frr": BGP}),
    ("outer-session", CLIENT, NOT_EXPOSED, {"frr": BGP.replace("10.0.0.2", "192.0.2.9")}),
    ("outer-session", CLIENT, NOT_EXPOSED, {"frr": with_option(OUTER, "shutdown")}),
    ("outer-session", CLIENT, NOT_EXPOSED, {"frr": OSPF}),
    ("outer-session", CLIENT, CANNOT_TELL, {"frr": OUTER + " neighbor 10.0.0.2 remote-as 65002\n"}),
    ("outer-session", CLIENT, CANNOT_TELL, {"frr": "router bgp 1\n neighbor eth0 interface remote-as 2\n"}),
    ("outer-session", CLIENT, CANNOT_TELL, {"frr": RANGE.replace("10.8.0.0/24", "198.51.100.0/24")}),
    ("outer-session", CLIENT, CANNOT_TELL, {"frr": BGP + " Neighbor 198.51.100.1 remote-as 65002\n"}),
    ("outer-session", CLIENT.replace("198.51.100.1", "hq.example"), CANNOT_TELL, {"frr": OUTER}),
    ("outer-session", CLIENT.replace("198.51.100.1", "hq.example"), NOT_EXPOSED, {"frr": BGP}),
    ("outer-session", CLIENT, CANNOT_TELL, {}),
    ("outer-session", CLIENT, NOT_EXPOSED, {"routes": False}),
    ("outer-session", SERVER, CANNOT_TELL, {"frr": OUTER}),
    # a password and translated addresses
    ("translated-session", CLIENT, NOT_EXPOSED, {"frr": TO_SERVER}),
    ("translated-session", CLIENT, CANNOT_TELL, {"frr": with_option(TO_SERVER, "password x")}),
    ("translated-session", CLIENT + NAT, NOT_EXPOSED, {"frr": TO_SERVER}),
    ("translated-session", CLIENT + NAT, EXPOSED, {"frr": with_option(TO_SERVER, "password x")}),
    (
        "translated-session",
        CLIENT + NAT.replace("0.3", "0.4"),
        CANNOT_TELL,
        {"frr": with_option(TO_SERVER, "password x")},
    ),
    (
        "translated-session",
        CLIENT,
        EXPOSED,
        {"frr": with_option(TO_SERVER, "password x"), "peer": SERVER + f'push "{NAT.strip()}"\n'},
    ),
    (
        "translated-session",
        SERVER,
        EXPOSED,
        {"frr": with_option(BGP.replace("10.0.0.2", "10.0.0.77"), "password x"), "peer": CLIENT + NAT},
    ),
    (
        "translated-session",
        SERVER,
        CANNOT_TELL,
        {"frr": with_option(TO_CLIENT, "password x"), "peer": CLIENT + NAT},
    ),
    ("translated-session", CLIENT + NAT, EXPOSED, {"bird": BIRD.replace(" local", ' password "x"; local')}),
    ("translated-session", CLIENT, CANNOT_TELL, {"frr": TO_SERVER + " Neighbor 10.0.0.9 password x\n"}),
    ("translated-session", CLIENT, NOT_EXPOSED, {"bird": BIRD_OSPF}),
    ("translated-session", CLIENT, CANNOT_TELL, {}),
    # next hops outside the tunnel
    ("next-hop", CLIENT, CANNOT_TELL, {"frr": TO_SERVER}),
    ("next-hop", CLIENT, NOT_EXPOSED, {"frr": TO_SERVER, "peer": SERVER, "peer_frr": TO_CLIENT}),
    ("next-hop", CLIENT, NOT_EXPOSED, {"frr": OSPF.replace("10.8", "10.0")}),
    ("next-hop", CLIENT, CANNOT_TELL, {}),
    ("next-hop", CLIENT, EXPOSED, {"frr": TO_SERVER, "peer": SERVER, "peer_frr": TO_CLIENT + AWAY}),
    (
        "next-hop",
        CLIENT,
        NOT_EXPOSED,
        {"frr": TO_SERVER, "peer": SERVER, "peer_frr": TO_CLIENT + AWAY.replace("192.0.2.77", "10.0.0.1")},
    ),
    (
        "next-hop",
        CLIENT,
        CANNOT_TELL,
        {"frr": TO_SERVER, "peer": SERVER, "peer_frr": TO_CLIENT + AWAY.replace("192.0.2.77", "unchanged")},
    ),
    (
        "next-hop",
        CLIENT,
        CANNOT_TELL,  # another route may lead to it
        {"frr": TO_SERVER + "ip route 192.0.2.0/24 10.0.0.1\n", "peer": SERVER, "peer_frr": TO_CLIENT + AWAY},
    ),
    (
        "next-hop",
        CLIENT,
        NOT_EXPOSED,  # set right on arrival
        {
            "frr": TO_SERVER + AWAY.replace("0.3", "0.1").replace(" out", " in").replace("192.0.2.77", "10.0.0.1"),
            "peer": SERVER,
            "peer_frr": TO_CLIENT + AWAY,
        },
    ),
    (
        "next-hop",
        CLIENT,
        EXPOSED,
        {"frr": TO_SERVER + AWAY.replace("0.3", "0.1").replace(" out", " in"), "peer": SERVER, "peer_frr": TO_CLIENT},
    ),
    (
        "next-hop",
        CLIENT,
        CANNOT_TELL,  # iBGP keeps the next hops of what another neighbour announces
        {
            "frr": TO_SERVER.replace("65002", "internal"),
            "peer": SERVER,
            "peer_frr": TO_CLIENT.replace("65002", "internal") + " neighbor 192.0.2.9 remote-as 65009\n",
        },
    ),
    (
        "next-hop",
        CLIENT,
        NOT_EXPOSED,
        {
            "frr": TO_SERVER.replace("65002", "internal"),
            "peer": SERVER,
            "peer_frr": TO_CLIENT.replace("65002", "internal")
            + " neighbor 192.0.2.9 remote-as 65009\n neighbor 10.0.0.3 next-hop-self\n",
        },
    ),
    (
        "next-hop",
        CLIENT,
        CANNOT_TELL,
        {"bird": BIRD.replace("0.0.2", "0.0.1").replace("import all", "import filter { bgp_next_hop = 192.0.2.77; }")},
    ),
    # spellings with another meaning than they seem to have
    ("no-exit-notify", CLIENT + "explicit-exit-notify 0\n", EXPOSED, {"peer": SERVER}),
    ("no-exit-notify", CLIENT + "explicit-exit-notify x\n", CANNOT_TELL, {"peer": SERVER}),
    ("restart-closes-device", CLIENT + "persist-tun\nremap-usr1 SIGHUP\n", EXPOSED, {"frr": BGP}),
    ("restart-closes-device", CLIENT + "persist-tun\nremap-usr1 SIGTERM\n", CANNOT_TELL, {}),
    (
        "restart-closes-device",
        CLIENT,
        CANNOT_TELL,  # no session, and a static route
        {"bird": 'protocol static { ipv4; route 10.9.0.0/16 via "tun0"; }\n', "peer": SERVER, "routes": False},
    ),
    ("restart-closes-device", CLIENT, EXPOSED, {"frr": BEHIND, "peer": SERVER}),
    (
        "restart-closes-device",
        CLIENT,
        NOT_EXPOSED,
        {"frr": "ip route 10.9.0.0/16 eth0\n", "peer": SERVER, "routes": False},
    ),
    ("path-mtu", CLIENT + "mssfix 1350 fixed\n", CANNOT_TELL, {"peer": SERVER, "path_mtu": 1400}),
    (
        "path-mtu",
        two_ways("mssfix 1300\n"),
        CANNOT_TELL,
        {"peer": SERVER, "path_mtu": 1400},
    ),
    ("route-without-iroute", SERVER + "route branch.example\n", CANNOT_TELL, {}),
    ("route-without-iroute", SERVER + "route 10.9.0.0 255.255.0.0 gw.example\n", CANNOT_TELL, {}),
    ("route-without-iroute", SERVER + "disable-dco\nroute 10.9.0.1 default default 5\n", EXPOSED, {}),
    ("second-client", SERVER + ONE + SCRIPT + "disable-dco\n", EXPOSED, {}),  # the script is for all clients
    ("second-client", SERVER + ONE + SCRIPT + "ccd-exclusive\n", NOT_EXPOSED, {}),
    ("one-family", SERVER + V6 + "script-security 2\nclient-connect overwrite\n", EXPOSED, {}),
    ("no-iroute", SERVER + SCRIPT + "client-connect empty\ndisable-dco\n", EXPOSED, {"frr": BGP}),
    ("route-quota", SERVER + "client-config-dir limits\n", EXPOSED, {}),  # that of one of two clients
    ("restart-closes-device", CLIENT, NOT_EXPOSED, {"peer": SERVER + 'push "persist-tun"\n', "frr": BGP}),
    (
        "restart-closes-device",
        CLIENT,
        EXPOSED,
        {"peer": SERVER + 'push "persist-tun"\nclient-config-dir reset\n', "frr": BGP},
    ),
    ("hold-time", CLIENT, NOT_EXPOSED, {"peer": SERVER + "keepalive 1 6\n", "frr": BGP, "peer_hold": 9}),
    (
        "hold-time",
        CLIENT,
        EXPOSED,
        {"peer": SERVER + "keepalive 1 6\n", "frr": TO_SERVER_BFD, "peer_frr": BFD.replace("0.0.2", "0.0.3")},
    ),
    (
        "hold-time",
        CLIENT,
        CANNOT_TELL,
        {"peer": SERVER + "keepalive 1 6\n", "frr": TO_SERVER_BFD},
    ),
    ("dead-interval", CLIENT, CANNOT_TELL, {"frr": "interface tun0\n ip ospf area 0\n ip ospf bfd\n", "peer": SERVER}),
    (
        "next-hop",
        CLIENT,
        CANNOT_TELL,
        {"frr": TO_SERVER, "peer": SERVER.replace("topology subnet", "topology net30"), "peer_frr": TO_CLIENT},
    ),
    (
        "iroute-without-route",
        SERVER.replace("topology subnet", "topology net30") + FIXED,
        CANNOT_TELL,
        {"frr": BGP},
    ),
    # BFD and jitter
    ("bfd-jitter", SERVER, NOT_EXPOSED, {"frr": BGP}),
    ("bfd-jitter", SERVER, CANNOT_TELL, {"frr": BFD}),
    ("bfd-jitter", SERVER, CANNOT_TELL, {"frr": BFD, **QUICK_PEER}),
    ("bfd-jitter", SERVER, EXPOSED, {"frr": BFD, **QUICK_PEER, "path_jitter": 150}),
    ("bfd-jitter", SERVER, CANNOT_TELL, {"frr": BFD, **QUICK_PEER, "path_jitter": 100}),
    ("bfd-jitter", SERVER, NOT_EXPOSED, {"frr": BFD, **QUICK_PEER, "path_jitter": 50}),
    ("bfd-jitter", SERVER, NOT_EXPOSED, {"frr": with_option(BGP, "bfd"), **QUICK_PEER, "path_jitter": 150}),
    ("bfd-jitter", SERVER, EXPOSED, {"frr": with_option(BGP, "bfd 3 50 50"), **QUICK_PEER, "path_jitter": 150}),
    ("bfd-jitter", SERVER, CANNOT_TELL, {"frr": with_option(BGP, "bfd profile gone"), **QUICK_PEER, "path_jitter": 9}),
    ("bfd-jitter", SERVER, CANNOT_TELL, {"frr": "interface tun0\n ip ospf bfd\n" + BGP}),
    ("bfd-jitter", SERVER, CANNOT_TELL, {"bird": BIRD.replace(" local", " bfd on; local")}),
    ("bfd-jitter", SERVER, CANNOT_TELL, {}),
    ("bfd-jitter", SERVER, NOT_EXPOSED, {"routes": False}),
    # `iroute` in the kernel after a reconnect
    ("iroute-reconnect", SERVER + FIXED, CANNOT_TELL, {"openvpn": "2.7.8"}),
    ("iroute-reconnect", SERVER + FIXED + "disable-dco\n", NOT_EXPOSED, {"openvpn": "2.7.8"}),
    ("iroute-reconnect", SERVER, NOT_EXPOSED, {"openvpn": "2.7.8"}),
    ("iroute-reconnect", CLIENT, NOT_EXPOSED, {}),
    # hops and the TTL
    ("session-hops", CLIENT, CANNOT_TELL, {"frr": TO_SERVER}),
    ("session-hops", CLIENT, CANNOT_TELL, {"frr": TO_SERVER, "peer": SERVER}),
    ("session-hops", CLIENT, NOT_EXPOSED, {"frr": TO_SERVER, "peer": SERVER, "peer_frr": TO_CLIENT}),
    ("session-hops", SERVER, NOT_EXPOSED, {"frr": TO_CLIENT, "peer": CLIENT, "peer_frr": TO_SERVER}),
    (
        "session-hops",
        CLIENT,
        EXPOSED,
        {"frr": with_option(TO_SERVER, "ttl-security hops 1"), "peer": SERVER, "peer_frr": TO_CLIENT},
    ),
    (
        "session-hops",
        CLIENT,
        EXPOSED,
        {"frr": TO_SERVER, "peer": SERVER, "peer_frr": with_option(TO_CLIENT, "ttl-security hops 1")},
    ),
    (
        "session-hops",
        CLIENT,
        NOT_EXPOSED,
        {
            "frr": with_option(TO_SERVER, "ttl-security hops 1"),
            "peer": SERVER,
            "peer_frr": with_option(TO_CLIENT, "ttl-security hops 1"),
        },
    ),
    (
        "session-hops",
        CLIENT,
        NOT_EXPOSED,
        {
            "frr": with_option(TO_SERVER, "ebgp-multihop"),
            "peer": SERVER,
            "peer_frr": with_option(TO_CLIENT, "ttl-security hops 1"),
        },
    ),
    (
        "session-hops",
        CLIENT,
        EXPOSED,
        {
            "frr": with_option(TO_SERVER, "ebgp-multihop 3"),
            "peer": SERVER,
            "peer_frr": with_option(TO_CLIENT, "ttl-security hops 3"),
        },
    ),
    (
        "session-hops",
        CLIENT,
        CANNOT_TELL,  # iBGP's TTL differs between the daemons
        {
            "frr": TO_SERVER.replace("65002", "65001"),
            "peer": SERVER,
            "peer_frr": with_option(TO_CLIENT, "ttl-security hops 1"),
        },
    ),
    (
        "session-hops",
        CLIENT,
        NOT_EXPOSED,
        {
            "frr": with_option(TO_SERVER, "ebgp-multihop 253"),
            "peer": SERVER,
            "peer_frr": with_option(TO_CLIENT, "ttl-security hops 3"),
        },
    ),
    ("session-hops", CLIENT, EXPOSED, {"frr": TO_OTHER, "peer": SERVER}),
    ("session-hops", CLIENT, CANNOT_TELL, {"frr": TO_OTHER}),
    ("session-hops", CLIENT, CANNOT_TELL, {"frr": TO_OTHER, "peer": SERVER + DIRECT}),
    ("session-hops", CLIENT, CANNOT_TELL, {"frr": with_option(TO_OTHER, "ebgp-multihop 2"), "peer": SERVER}),
    ("session-hops", CLIENT, CANNOT_TELL, {"frr": TO_OTHER.replace("65002", "65001"), "peer": SERVER}),
    ("session-hops", CLIENT, EXPOSED, {"frr": with_option(TO_OTHER, "ttl-security hops 1"), "peer": SERVER}),
    ("session-hops", CLIENT, CANNOT_TELL, {"frr": with_option(TO_OTHER, "ttl-security hops 2"), "peer": SERVER}),
    ("session-hops", CLIENT, CANNOT_TELL, {"frr": BEHIND, "peer": SERVER}),
    ("session-hops", CLIENT, NOT_EXPOSED, {"bird": BIRD_OSPF}),
    ("session-hops", CLIENT, CANNOT_TELL, {}),
    ("session-hops", CLIENT, NOT_EXPOSED, {"routes": False}),
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
    (
        "no-iroute",
        SERVER + "disable-dco\nplugin /usr/lib/openvpn-plugin-auth-pam.so login\n",
        EXPOSED,
        {"frr": BGP},
    ),
    ("pushed-iroute", SERVER + "plugin openvpn-plugin-auth-pam.so\n", NOT_EXPOSED, {}),
    ("second-client", SERVER.replace("tun", "tap") + MISSING, NOT_EXPOSED, {}),
    ("second-client", CLIENT, NOT_EXPOSED, {}),
    # one network, two clients
    ("overlapping-iroutes", SERVER + TWICE + "disable-dco\n", EXPOSED, {}),
    ("overlapping-iroutes", SERVER.replace("topology subnet\n", "") + TWICE, EXPOSED, {"openvpn": "2.6.14"}),
    ("overlapping-iroutes", SERVER + TWICE, CANNOT_TELL, {}),  # with DCO the kernel's table decides
    ("overlapping-iroutes", SERVER + TWICE + "verify-x509-name west name\n", NOT_EXPOSED, {}),
    ("overlapping-iroutes", SERVER + TWICE + "max-clients 1\n", NOT_EXPOSED, {}),
    ("overlapping-iroutes", SERVER + TWICE + "disable-dco\nmax-clients 2\ntls-verify check\n", EXPOSED, {}),
    ("overlapping-iroutes", SERVER + FIXED, NOT_EXPOSED, {}),
    ("overlapping-iroutes", SERVER + "client-config-dir apart\n", NOT_EXPOSED, {}),
    ("overlapping-iroutes", SERVER + FIXED + "disable-dco\nduplicate-cn\n", EXPOSED, {}),
    ("overlapping-iroutes", SERVER + WITHIN, CANNOT_TELL, {}),
    ("overlapping-iroutes", SERVER + "client-config-dir any\ndisable-dco\n", EXPOSED, {}),
    ("overlapping-iroutes", SERVER + "client-config-dir any\ndisable-dco\ntls-verify check\n", CANNOT_TELL, {}),
    ("overlapping-iroutes", SERVER + SCRIPT.replace("hand-out", "fixed.sh") + "disable-dco\n", EXPOSED, {}),
    ("overlapping-iroutes", SERVER + FIXED + "client-connect clever\n", CANNOT_TELL, {}),
    ("overlapping-iroutes", SERVER + ONE, NOT_EXPOSED, {}),  # 0/0 only, see second-client
    ("overlapping-iroutes", CLIENT, NOT_EXPOSED, {}),
    # no iroute at all
    ("no-iroute", SERVER + "disable-dco\n", EXPOSED, {"frr": BGP}),
    ("no-iroute", SERVER, CANNOT_TELL, {"frr": BGP}),  # with DCO it is right so
    ("no-iroute", SERVER.replace("topology subnet\n", ""), EXPOSED, {"frr": BGP, "openvpn": "2.6"}),
    ("no-iroute", SERVER + NONE + "disable-dco\n", EXPOSED, {"frr": BGP}),
    ("no-iroute", SERVER, CANNOT_TELL, {}),
    ("no-iroute", SERVER, NOT_EXPOSED, {"routes": False}),
    ("no-iroute", SERVER + MISSING, CANNOT_TELL, {"frr": BGP}),
    ("no-iroute", SERVER + FIXED, CANNOT_TELL, {"frr": BGP}),  # the neighbour may be a client without a file
    ("no-iroute", SERVER + FIXED + "ccd-exclusive\n", NOT_EXPOSED, {"frr": BGP}),
    ("no-iroute", SERVER + FIXED + "max-clients 1\n", NOT_EXPOSED, {"frr": BGP}),
    ("no-iroute", SERVER + "client-config-dir named\n", NOT_EXPOSED, {"frr": BGP}),
    ("no-iroute", SERVER + "client-config-dir named\n", CANNOT_TELL, {"frr": TO_OTHER}),
    ("no-iroute", SERVER + "client-config-dir any\n", NOT_EXPOSED, {"frr": BGP}),
    # OSPF and RIP across the tunnel, by network, by interface, or elsewhere
    ("no-iroute", NUMBERED, EXPOSED, {"frr": "router ospf\n network 10.8.0.0/24 area 0\n"}),
    ("no-iroute", NUMBERED, CANNOT_TELL, {"frr": "router ospf\n network 10.8.0.0/24 area 0\n", "openvpn": "2.7"}),
    ("no-iroute", NUMBERED, CANNOT_TELL, {"frr": "router ospf\n network 10.9.0.0/24 area 0\n"}),
    ("no-iroute", NUMBERED, EXPOSED, {"frr": "router rip\n network 10.8.0.0/24\n"}),
    ("no-iroute", NUMBERED, EXPOSED, {"frr": "router ripng\n network tun0\n"}),
    ("no-iroute", NUMBERED, EXPOSED, {"frr": "interface tun0\n ip ospf area 0.0.0.0\nrouter ospf\n"}),
    ("no-iroute", NUMBERED, EXPOSED, {"frr": "interface tun0\n ipv6 ospf6 area 0.0.0.0\nrouter ospf6\n"}),
    (
        "no-iroute",
        NUMBERED,
        CANNOT_TELL,
        {"frr": "router ospf\n network 10.8.0.0/24 area 0\n passive-interface tun0\n"},
    ),
    ("hold-time", NUMBERED, NOT_EXPOSED, {"frr": "router ospf\n network 10.8.0.0/24 area 0\n"}),
    # the dead interval: a server's restart is twice its keepalive's timeout
    ("dead-interval", NUMBERED + "keepalive 10 60\n", EXPOSED, {"frr": OSPF}),
    ("dead-interval", NUMBERED, EXPOSED, {"frr": OSPF}),
    ("dead-interval", NUMBERED + "keepalive 5 15\n", NOT_EXPOSED, {"frr": OSPF}),  # 30 s; dead 40 s, hello 10 s
    ("dead-interval", NUMBERED + "keepalive 5 16\n", CANNOT_TELL, {"frr": OSPF}),
    ("dead-interval", NUMBERED + "keepalive 5 21\n", EXPOSED, {"frr": OSPF}),
    (
        "dead-interval",
        NUMBERED + "keepalive 5 21\n",
        NOT_EXPOSED,
        {"frr": OSPF + ON_TUN + " ip ospf dead-interval 60\n"},
    ),
    ("dead-interval", NUMBERED + "keepalive 5 15\n", EXPOSED, {"frr": OSPF + ON_TUN + " ip ospf dead-interval 29\n"}),
    (
        "dead-interval",
        NUMBERED + "keepalive 5 13\n",
        NOT_EXPOSED,
        {"frr": OSPF + ON_TUN + " ip ospf hello-interval 9\n"},
    ),
    ("dead-interval", NUMBERED + "keepalive 5 15\n", EXPOSED, {"frr": OSPF + ON_TUN + " ip ospf hello-interval 5\n"}),
    (
        "dead-interval",
        NUMBERED + "keepalive 1 4\n",
        EXPOSED,
        {"frr": OSPF + ON_TUN + " ip ospf dead-interval minimal hello-multiplier 4\n"},
    ),
    (
        "dead-interval",
        NUMBERED + "keepalive 5 15\n",
        NOT_EXPOSED,
        {"frr": OSPF + ON_TUN.replace("tun0", "eth0") + " ip ospf dead-interval 20\n"},
    ),
    (
        "dead-interval",
        NUMBERED + "keepalive 5 15\n",
        NOT_EXPOSED,
        {"frr": OSPF + ON_TUN + " ip ospf dead-interval 20\n no ip ospf dead-interval\n"},
    ),
    (
        "dead-interval",
        NUMBERED + "keepalive 5 15\n",
        NOT_EXPOSED,  # ospf6d's dead interval stays 40 s
        {"frr": ON_TUN + " ipv6 ospf6 area 0\n ipv6 ospf6 hello-interval 5\n"},
    ),
    (
        "dead-interval",
        NUMBERED + "keepalive 5 15\n",
        EXPOSED,
        {"frr": ON_TUN + " ipv6 ospf6 area 0\n ipv6 ospf6 dead-interval 20\n"},
    ),
    ("dead-interval", NUMBERED + "keepalive 30 60\n", NOT_EXPOSED, {"frr": "router rip\n network tun0\n"}),
    ("dead-interval", NUMBERED + "keepalive 30 60\n", EXPOSED, {"frr": RIP + " timers basic 10 60 60\n"}),
    ("dead-interval", NUMBERED + "keepalive 30 60\n", CANNOT_TELL, {"frr": RIP + " timers basic 10 125 60\n"}),
    ("dead-interval", NUMBERED + "keepalive 30 60\n", NOT_EXPOSED, {"frr": RIP + " timers basic 2 60 60\n"}),  # refused
    ("dead-interval", NUMBERED + "ping-restart 0\n", EXPOSED, {"frr": RIP}),
    ("dead-interval", NUMBERED + "ping-restart soon\n", CANNOT_TELL, {"frr": RIP}),
    ("dead-interval", CLIENT, CANNOT_TELL, {"frr": RIP}),  # the server may push its keepalive
    ("dead-interval", CLIENT, EXPOSED, {"frr": RIP, "peer": SERVER + "keepalive 60 200\n"}),
    ("dead-interval", CLIENT, NOT_EXPOSED, {"frr": RIP, "peer": SERVER + "keepalive 30 60\n"}),
    ("dead-interval", SERVER + "keepalive 10 60\n", NOT_EXPOSED, {"frr": BGP}),
    ("dead-interval", CLIENT, CANNOT_TELL, {}),
    ("dead-interval", SERVER + "keepalive 10 60\n", NOT_EXPOSED, {"routes": False}),
    ("dead-interval", SERVER + "keepalive 5 15\n", NOT_EXPOSED, {"bird": BIRD_OSPF}),
    ("dead-interval", SERVER + "keepalive 5 15\n", EXPOSED, {"bird": timed("dead 20;")}),
    ("dead-interval", SERVER + "keepalive 5 15\n", EXPOSED, {"bird": timed("hello 5;")}),
    ("dead-interval", SERVER + "keepalive 5 15\n", EXPOSED, {"bird": timed("dead count 2;")}),
    ("dead-interval", SERVER + "keepalive 5 15\n", NOT_EXPOSED, {"bird": timed("hello 5; dead count 9;")}),
    ("dead-interval", SERVER + "keepalive 5 15\n", CANNOT_TELL, {"bird": timed("dead 20000 ms;")}),
    ("dead-interval", SERVER + "keepalive 5 15\n", NOT_EXPOSED, {"bird": BIRD_RIP}),
    ("dead-interval", SERVER + "keepalive 5 15\n", EXPOSED, {"bird": BIRD_RIP.replace("{ }", "{ timeout time 20; }")}),
    (
        "dead-interval",
        SERVER + "keepalive 5 15\n",
        CANNOT_TELL,
        {"bird": BIRD_RIP.replace("{ }", "{ timeout time 40 s; update time 20; }")},
    ),
    ("recursive-routing", CLIENT, CANNOT_TELL, {"frr": "router ospf\n network 172.16.0.0/12 area 0\n"}),
    (
        "recursive-routing",
        CLIENT.partition("ifconfig")[0],
        CANNOT_TELL,
        {"frr": "router ospf\n network 0.0.0.0/0 area 0\n"},
    ),
    # dynamic neighbours
    ("no-iroute", NUMBERED, EXPOSED, {"frr": RANGE}),
    ("ebgp-policy", NUMBERED, EXPOSED, {"frr": RANGE}),
    ("hold-time", NUMBERED + "keepalive 10 120\n", EXPOSED, {"frr": RANGE}),
    ("no-iroute", NUMBERED, CANNOT_TELL, {"frr": RANGE.replace("10.8.0.0/24", "10.9.0.0/24")}),
    # neighbours by interface
    ("hold-time", CLIENT.replace("dev tun", "dev dn42peer"), CANNOT_TELL, {"frr": LINK_LOCAL, "peer_hold": 9}),
    (
        "no-iroute",
        SERVER.replace("dev tun", "dev dn42peer\ndev-type tun") + "disable-dco\n",
        EXPOSED,
        {"frr": LINK_LOCAL},
    ),
    ("no-iroute", SERVER + "disable-dco\n", CANNOT_TELL, {"frr": LINK_LOCAL}),
    (
        "no-iroute",
        SERVER + "disable-dco\n",
        EXPOSED,
        {"frr": "router bgp 65001\n neighbor tun0 interface remote-as external\n"},
    ),
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"frr": V6_ONLY}),
    (
        "ebgp-policy",
        CLIENT,
        EXPOSED,
        {"frr": V6_ONLY.replace("fd00::2 route-map M out", "fd00::2 soft-reconfiguration inbound")},
    ),
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"frr": "frr version 7.0\n" + POLICY}),
    # BIRD
    ("no-iroute", SERVER + "disable-dco\n", EXPOSED, {"bird": BIRD}),
    ("no-iroute", SERVER + "disable-dco\n", EXPOSED, {"bird": BIRD_OSPF}),
    ("no-iroute", SERVER + "disable-dco\n", CANNOT_TELL, {"bird": BIRD_OSPF.replace("tun*", "eth*")}),
    ("no-iroute", SERVER + "disable-dco\n", CANNOT_TELL, {"bird": BIRD_OSPF.replace('"tun*"', '-"tun*", "*"')}),
    ("no-iroute", SERVER + "disable-dco\n", EXPOSED, {"bird": BIRD.replace("10.0.0.2", "range 10.0.0.0/24")}),
    (
        "no-iroute",
        SERVER + "disable-dco\n",
        EXPOSED,
        {"bird": BIRD.replace("neighbor 10.0.0.2", "neighbor fe80::2%'tun0'")},
    ),
    ("no-iroute", SERVER + "disable-dco\n", CANNOT_TELL, {"bird": BIRD.replace(" local", " disabled; local")}),
    # without addresses in the files, the interface shows it
    ("recursive-routing", CLIENT.partition("ifconfig")[0], CANNOT_TELL, {"bird": BIRD}),
    (
        "recursive-routing",
        CLIENT.partition("ifconfig")[0],
        EXPOSED,
        {"bird": BIRD.replace(" local", ' interface "tun0"; local')},
    ),
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"bird": BIRD}),
    ("hold-time", SERVER + "keepalive 10 60\n", CANNOT_TELL, {"bird": BIRD}),  # 120 s, and BIRD holds for 240
    ("hold-time", SERVER + "keepalive 60 300\n", EXPOSED, {"bird": BIRD}),
    ("hold-time", SERVER + "keepalive 10 60\n", EXPOSED, {"bird": BIRD.replace(" local", " hold time 9; local")}),
    ("hold-time", SERVER, NOT_EXPOSED, {"bird": BIRD_OSPF}),
    ("recursive-routing", CLIENT, EXPOSED, {"bird": BIRD}),
    ("recursive-routing", CLIENT, EXPOSED, {"bird": BIRD_OSPF}),
    ("recursive-routing", CLIENT, NOT_EXPOSED, {"bird": BIRD.replace(KERNEL, "")}),
    ("recursive-routing", CLIENT, NOT_EXPOSED, {"bird": BIRD.replace("{ export all; }", "{ import all; }")}),
    (
        "recursive-routing",
        CLIENT,
        NOT_EXPOSED,
        {"bird": BIRD.replace("import all", "import where net ~ [10.0.0.0/8+]")},
    ),
    ("recursive-routing", CLIENT, EXPOSED, {"bird": BIRD.replace("import all", "import where net ~ [0.0.0.0/0]")}),
    (
        "recursive-routing",
        CLIENT,
        NOT_EXPOSED,
        {"bird": BIRD.replace("import all;", "import filter { if 198.51.100.1 ~ net then reject; accept; };")},
    ),
    (
        "recursive-routing",
        CLIENT,
        CANNOT_TELL,
        {"bird": BIRD.replace("import all;", "import filter { if bgp_path.len > 3 then reject; accept; };")},
    ),
    ("recursive-routing", CLIENT, CANNOT_TELL, {"bird": BIRD.replace("import all", "import filter MISSING")}),
    (
        "recursive-routing",
        CLIENT,
        NOT_EXPOSED,
        {"bird": BIRD + "protocol static { ipv4; route 198.51.100.1/32 via 192.0.2.1; }\n"},
    ),
    ("recursive-routing", CLIENT, CANNOT_TELL, {"bird": 'include "peers/*.conf";\n' + KERNEL}),
    ("hold-time", CLIENT, CANNOT_TELL, {"bird": 'include "peers/*.conf";\n' + KERNEL}),
    ("recursive-routing", CLIENT, CANNOT_TELL, {"bird": KERNEL + "protocol babel { ipv4; }\n"}),
    (
        "recursive-routing",
        CLIENT,
        CANNOT_TELL,
        {"bird": BIRD.replace("import all;", "table other; import all;")},
    ),
    (
        "recursive-routing",
        CLIENT,
        EXPOSED,
        {"bird": OLD_BIRD},
    ),
    # one family
    ("one-family", SERVER + V6 + HALF, EXPOSED, {}),
    ("one-family", SERVER + V6 + ONE, NOT_EXPOSED, {}),
    ("one-family", SERVER + HALF, NOT_EXPOSED, {}),
    ("one-family", SERVER + V6 + HALF + SCRIPT, NOT_EXPOSED, {}),  # the script adds the other one
    ("one-family", SERVER + V6 + FIXED, CANNOT_TELL, {}),
    ("one-family", SERVER + V6 + MISSING, CANNOT_TELL, {}),
    # fixed prefixes
    ("one-family", SERVER + V6 + SIX, CANNOT_TELL, {}),
    ("one-family", SERVER + V6 + SIX, EXPOSED, {"frr": BGP + "address-family ipv6\nneighbor 10.0.0.2 activate\n"}),
    ("one-family", SERVER + V6 + ALL_SIX, EXPOSED, {}),
    ("one-family", V6_SERVER + ALL_SIX, NOT_EXPOSED, {"frr": "router ripng\n network tun\n"}),
    ("no-iroute", SERVER + V6 + ALL_SIX + "disable-dco\n", EXPOSED, {"frr": BGP}),  # BGP carries IPv4 alone
    ("no-iroute", SERVER + V6 + HALF + "ccd-exclusive\n", NOT_EXPOSED, {"frr": BGP}),
    ("no-iroute", SERVER + V6 + HALF + "disable-dco\n", EXPOSED, {"frr": "router ripng\n network tun\n"}),
    ("no-iroute", SERVER + V6 + HALF, CANNOT_TELL, {"frr": "router ospf6\n interface tun area 0\n"}),
    ("no-iroute", SERVER + ALL_SIX, NOT_EXPOSED, {}),
    ("fixed-iroutes", SERVER + "disable-dco\n" + V6 + ALL_SIX, EXPOSED, {"frr": BGP}),  # no IPv4 at all
    ("fixed-iroutes", SERVER + V6 + HALF, NOT_EXPOSED, {"frr": BGP}),
    ("fixed-iroutes", SERVER + V6 + HALF, CANNOT_TELL, {"frr": "router ospf6\n interface tun area 0\n"}),
    # 0/0 is another client's
    ("fixed-iroutes", SERVER + "disable-dco\nclient-config-dir mixed\n", EXPOSED, {"frr": BGP}),
    ("fixed-iroutes", SERVER + "disable-dco\n" + FIXED, EXPOSED, {"frr": BGP}),
    ("fixed-iroutes", SERVER + FIXED, CANNOT_TELL, {"frr": BGP}),  # with DCO the kernel's table decides
    ("fixed-iroutes", SERVER + FIXED, CANNOT_TELL, {"frr": BGP, "openvpn": "2.7.8"}),
    # multicast does not pass with DCO: what OSPF has learned comes through userspace
    ("fixed-iroutes", SERVER + FIXED, EXPOSED, {"frr": "router ospf\n network 10.0.0.0/24 area 0\n"}),
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
    ("route-without-iroute", SERVER + "disable-dco\nroute 10.7.0.0 255.255.0.0 10.0.0.2\n", EXPOSED, {}),
    # an iroute into which nothing leads
    ("iroute-without-route", SERVER + FIXED, EXPOSED, {}),
    ("iroute-without-route", SERVER + FIXED, EXPOSED, {"routes": False}),
    ("iroute-without-route", SERVER + FIXED, NOT_EXPOSED, {"frr": BGP}),
    ("iroute-without-route", SERVER + FIXED, EXPOSED, {"frr": POLICY}),  # the session brings nothing
    ("iroute-without-route", SERVER + FIXED, EXPOSED, {"frr": BGP + " neighbor 10.0.0.2 route-map GONE in\n"}),
    ("iroute-without-route", SERVER + ONE, EXPOSED, {"frr": POLICY}),
    ("iroute-without-route", SERVER + ONE, NOT_EXPOSED, {"frr": BGP}),
    ("iroute-without-route", SERVER + ALL_SIX + "route-ipv6 fd00:2::/64\n", CANNOT_TELL, {"frr": POLICY}),  # a part
    ("iroute-without-route", SERVER + FIXED, CANNOT_TELL, {"frr": BGP + FAR_ONLY}),
    ("iroute-without-route", SERVER + FIXED + "route 10.1.0.0 255.255.255.0\n", NOT_EXPOSED, {"frr": POLICY}),
    ("iroute-without-route", SERVER + FIXED, NOT_EXPOSED, {"frr": POLICY + OSPF.replace("10.8", "10.0")}),
    ("iroute-without-route", SERVER + FIXED, EXPOSED, {"bird": BIRD.replace("import all", "import none")}),
    ("iroute-without-route", SERVER + FIXED, NOT_EXPOSED, {"bird": BIRD}),
    (
        "iroute-without-route",
        SERVER + FIXED,
        EXPOSED,  # the other end announces nothing
        {"frr": BGP, "peer": CLIENT, "peer_frr": TO_SERVER.replace("datacenter", "traditional")},
    ),
    ("iroute-without-route", SERVER + FIXED, NOT_EXPOSED, {"frr": BGP, "routes": False}),  # with other clients
    ("iroute-without-route", SERVER + FIXED, CANNOT_TELL, {"openvpn": "2.7"}),  # DCO would install it
    ("iroute-without-route", SERVER + FIXED + "disable-dco\n", EXPOSED, {"openvpn": "2.7"}),
    ("iroute-without-route", SERVER + FIXED + "route 10.1.0.0 255.255.0.0\n", NOT_EXPOSED, {}),
    ("iroute-without-route", SERVER + FIXED + "route 10.1.0.0 255.255.0.0 10.0.0.2\n", NOT_EXPOSED, {}),
    ("iroute-without-route", SERVER + FIXED + "route 10.1.0.0 255.255.0.0 net_gateway\n", EXPOSED, {}),
    ("iroute-without-route", SERVER + FIXED + "route 10.2.0.0 255.255.0.0\n", EXPOSED, {}),
    ("iroute-without-route", SERVER + ONE + "route 10.2.0.0 255.255.0.0\n", EXPOSED, {}),  # IPv6 has none
    ("iroute-without-route", SERVER + FIXED + "route 10.1.0.0 255.255.255.128\n", CANNOT_TELL, {}),  # only a half
    ("iroute-without-route", SERVER + FIXED + "up script\n", CANNOT_TELL, {}),
    ("iroute-without-route", SERVER + MISSING, CANNOT_TELL, {}),
    ("iroute-without-route", SERVER + NONE, NOT_EXPOSED, {}),
    # client-to-client
    ("client-to-client", SERVER + ONE + DIRECT, EXPOSED, {}),
    ("client-to-client", SERVER + ONE, NOT_EXPOSED, {}),
    ("client-to-client", SERVER + WIDE + DIRECT, EXPOSED, {}),
    ("client-to-client", SERVER + WIDE + DIRECT, CANNOT_TELL, {"openvpn": "2.7"}),
    ("client-to-client", SERVER + FIXED + DIRECT, CANNOT_TELL, {}),
    ("client-to-client", SERVER + FIXED + DIRECT + PUSH.format("10.1.0.0 255.255.255.128"), EXPOSED, {}),
    (
        "client-to-client",
        SERVER + FIXED + DIRECT + PUSH.format("10.1.0.0 255.255.255.0"),
        NOT_EXPOSED,
        {},
    ),
    ("client-to-client", SERVER + FIXED + DIRECT + PUSH.format("10.9.0.0 255.255.0.0"), NOT_EXPOSED, {}),
    ("client-to-client", SERVER + MISSING + DIRECT, CANNOT_TELL, {}),
    # quota
    ("route-quota", SERVER + ONE, EXPOSED, {}),
    ("route-quota", SERVER + TINY, NOT_EXPOSED, {}),
    # One host, its inner route, and the client's own address.
    ("route-quota", SERVER + TINY + "max-routes-per-client 2\n", EXPOSED, {}),
    ("route-quota", SERVER + TINY + "max-routes-per-client 3\n", NOT_EXPOSED, {}),
    ("route-quota", SERVER + TINY + "server-ipv6 fd00::/64\nmax-routes-per-client 3\n", EXPOSED, {}),
    ("route-quota", SERVER + ONE + "max-routes-per-client 5000\n", CANNOT_TELL, {}),
    ("route-quota", SERVER + ONE + "max-routes-per-client many\n", CANNOT_TELL, {}),
    ("route-quota", SERVER, NOT_EXPOSED, {}),
    # stale routes
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", CANNOT_TELL, {}),
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", EXPOSED, {"openvpn": "2.6"}),
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", EXPOSED, {"openvpn": "2.6.14"}),
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", CANNOT_TELL, {"openvpn": "2.7"}),
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", EXPOSED, {"openvpn": "2.7.3"}),
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", EXPOSED, {"openvpn": "2.7.6"}),
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", CANNOT_TELL, {"openvpn": "2.7.7"}),
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", CANNOT_TELL, {"openvpn": "2.6.99"}),
    ("stale-routes", SERVER + ONE + "stale-routes-check 60\n", NOT_EXPOSED, {"openvpn": "2.7.8"}),
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
    ("recursive-routing", CLIENT, NOT_EXPOSED, {"frr": BGP + " neighbor 10.0.0.2 route-map MISSING in\n"}),
    (
        "recursive-routing",
        CLIENT,
        CANNOT_TELL,
        {"frr": BGP + " neighbor 10.0.0.2 route-map M in\nroute-m M permit 10\n"},
    ),
    (
        "recursive-routing",
        CLIENT,
        CANNOT_TELL,
        {"frr": BGP + " neighbor 10.0.0.2 route-map M in\n" + DEFINED + "no route-map M\n"},
    ),
    ("recursive-routing", CLIENT.replace("198.51.100.1", "vpn.example"), CANNOT_TELL, {"frr": BGP}),
    ("recursive-routing", SERVER, CANNOT_TELL, {"frr": BGP}),
    ("recursive-routing", CLIENT, EXPOSED, {"frr": "router ospf\nnetwork 10.0.0.0/24 area 0\n"}),
    (
        "recursive-routing",
        CLIENT,
        NOT_EXPOSED,
        {"frr": "router ospf\nnetwork 10.0.0.0/24 area 0\nip protocol ospf route-map USED\n" + USED},
    ),
    (
        "recursive-routing",
        CLIENT,
        EXPOSED,  # the filter is of another device
        {
            "frr": "router ospf\nnetwork 10.0.0.0/24 area 0\nip protocol ospf route-map USED\n"
            + USED.replace("interface tun", "interface eth0")
        },
    ),
    (
        "recursive-routing",
        CLIENT,
        EXPOSED,
        {"frr": "router rip\nnetwork tun\nip protocol ospf route-map USED\n" + USED},
    ),
    (
        "recursive-routing",
        CLIENT,
        CANNOT_TELL,
        {"frr": "router ospf\nnetwork 10.0.0.0/24 area 0\nip protocol ospf route-map MISSING\n"},
    ),
    (
        "recursive-routing",
        CLIENT,
        NOT_EXPOSED,
        {"frr": "router ospf6\ninterface tun area 0\n"},
    ),  # the other end has an IPv4 address
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
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"frr": POLICY + IN_AND_OUT + DEFINED}),
    ("ebgp-policy", CLIENT, EXPOSED, {"frr": POLICY + IN_AND_OUT + ACTIVE_V6 + DEFINED}),
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"frr": POLICY + IN_AND_OUT + ACTIVE_V6 + IN_AND_OUT + DEFINED}),
    # policies that are not defined
    ("ebgp-policy", CLIENT, EXPOSED, {"frr": POLICY + IN_AND_OUT}),
    ("ebgp-policy", CLIENT, EXPOSED, {"frr": POLICY + IN_AND_OUT + "route-map M permit 10\n"}),
    ("ebgp-policy", CLIENT, EXPOSED, {"frr": BGP + " neighbor 10.0.0.2 route-map MISSING in\n"}),
    ("ebgp-policy", CLIENT, EXPOSED, {"frr": BGP + " neighbor 10.0.0.2 distribute-list MISSING in\n"}),
    ("ebgp-policy", CLIENT, EXPOSED, {"frr": BGP + " neighbor 10.0.0.2 filter-list MISSING out\n"}),
    ("ebgp-policy", CLIENT, EXPOSED, {"frr": BGP + " neighbor 10.0.0.2 route-map m in\n" + DEFINED}),
    (
        "ebgp-policy",
        CLIENT,
        EXPOSED,  # of iBGP as well
        {"frr": BGP.replace("65002", "internal") + " neighbor 10.0.0.2 route-map MISSING in\n"},
    ),
    (
        "ebgp-policy",
        CLIENT,
        EXPOSED,  # a list of IPv4 is none for IPv6
        {"frr": POLICY + IN_AND_OUT + ACTIVE_V6 + IN_AND_OUT + DEFINED.replace("ipv6 prefix-list P permit any\n", "")},
    ),
    (
        "ebgp-policy",
        CLIENT,
        CANNOT_TELL,
        {"frr": BGP + " neighbor 10.0.0.2 route-map M in\nroute-m M permit 10\n"},  # FRR takes the abbreviation
    ),
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"frr": BGP + " neighbor 10.0.0.2 filter-list A in\n" + AS_PATH}),
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"frr": BGP + " neighbor 10.0.0.2 distribute-list 5 in\n" + ACCESS}),
    ("ebgp-policy", CLIENT, CANNOT_TELL, {"bird": BIRD.replace("import all", "import filter missing")}),
    ("ebgp-policy", CLIENT, CANNOT_TELL, {"frr": POLICY.replace(" remote-as 65002", " description x")}),
    # hold time
    ("hold-time", SERVER + "keepalive 10 60\n", EXPOSED, {"frr": BGP}),
    ("hold-time", SERVER, EXPOSED, {"frr": BGP}),
    ("hold-time", SERVER, NOT_EXPOSED, {"frr": BGP + " timers bgp 0 0\n"}),
    ("hold-time", SERVER + "keepalive 1 4\n", CANNOT_TELL, {"frr": BGP}),
    ("hold-time", SERVER + "keepalive 1 3\n", NOT_EXPOSED, {"frr": BGP, "peer_hold": 9}),
    # Since its last KEEPALIVE up to 3 s may have passed when the last packet comes.
    ("hold-time", SERVER + "keepalive 1 4\n", CANNOT_TELL, {"frr": BGP, "peer_hold": 9}),
    ("hold-time", SERVER + "keepalive 1 4\n", EXPOSED, {"frr": BGP, "peer_hold": 3}),
    ("hold-time", CLIENT, CANNOT_TELL, {"frr": BGP}),
    ("hold-time", CLIENT, EXPOSED, {"frr": BGP, "peer": SERVER + "keepalive 10 60\n"}),
    ("hold-time", CLIENT, CANNOT_TELL, {}),
    ("hold-time", SERVER + "ping-restart 0\n", EXPOSED, {"frr": BGP}),
    ("hold-time", CLIENT, EXPOSED, {"frr": BGP, "peer": SERVER + "push 'ping-restart 0'\n"}),
    ("hold-time", SERVER + "ping-restart soon\n", CANNOT_TELL, {"frr": BGP}),
    # a keepalive that the server replaces
    ("pushed-keepalive", CLIENT + "keepalive 1 4\n", EXPOSED, {"peer": SERVER + "keepalive 10 60\n"}),
    ("pushed-keepalive", CLIENT + "keepalive 10 30\n", EXPOSED, {"peer": SERVER + "keepalive 10 60\n"}),
    ("pushed-keepalive", CLIENT + "keepalive 5 60\n", EXPOSED, {"peer": SERVER + "keepalive 10 60\n"}),
    ("pushed-keepalive", CLIENT + "ping-exit 4\n", EXPOSED, {"peer": SERVER + "push 'ping-restart 9'\n"}),
    ("pushed-keepalive", CLIENT + "ping-restart 4\n", EXPOSED, {"peer": SERVER + "push 'ping-restart 0'\n"}),
    ("pushed-keepalive", CLIENT + "keepalive 10 60\n", NOT_EXPOSED, {"peer": SERVER + "keepalive 10 60\n"}),
    ("pushed-keepalive", CLIENT + "ping 10\n", NOT_EXPOSED, {"peer": SERVER + "keepalive 10 60\n"}),
    ("pushed-keepalive", CLIENT + "keepalive 1 4\n", NOT_EXPOSED, {"peer": SERVER}),
    (
        "pushed-keepalive",
        CLIENT + "keepalive 1 4\npull-filter ignore ping\n",
        NOT_EXPOSED,
        {"peer": SERVER + "keepalive 10 60\n"},
    ),
    ("pushed-keepalive", CLIENT + "keepalive 1 soon\n", CANNOT_TELL, {"peer": SERVER + "keepalive 10 60\n"}),
    ("pushed-keepalive", CLIENT + "keepalive 1 4\n", CANNOT_TELL, {}),
    ("pushed-keepalive", CLIENT, NOT_EXPOSED, {}),
    ("pushed-keepalive", SERVER + "keepalive 1 4\n", NOT_EXPOSED, {}),
    # a restart of an idle tunnel
    ("idle-restart", SERVER + "ping-restart 60\n", EXPOSED, {"peer": CLIENT}),
    ("idle-restart", SERVER + "ping-restart 60\n", EXPOSED, {"peer": CLIENT + "ping 90\n"}),
    ("idle-restart", SERVER + "ping-restart 60\n", NOT_EXPOSED, {"peer": CLIENT + "ping 20\n"}),
    ("idle-restart", SERVER + "ping-restart 60\n", CANNOT_TELL, {"peer": CLIENT + "ping 60\n"}),
    ("idle-restart", SERVER + "ping-restart 60\n", CANNOT_TELL, {"peer": CLIENT + "ping often\n"}),
    ("idle-restart", SERVER + "ping-restart 60\n", CANNOT_TELL, {}),
    ("idle-restart", SERVER + MISSING + "ping-restart 60\n", CANNOT_TELL, {"peer": CLIENT}),
    ("idle-restart", SERVER + "ping-restart 60\n", CANNOT_TELL, {"peer": CLIENT, "frr": BGP}),  # it is not idle
    ("idle-restart", SERVER + "ping-restart 60\n", EXPOSED, {"peer": CLIENT, "routes": False}),
    ("idle-restart", SERVER + "keepalive 10 60\n", NOT_EXPOSED, {"peer": CLIENT}),
    ("idle-restart", SERVER + "keepalive 10 60\n", EXPOSED, {"peer": CLIENT + "pull-filter ignore ping\n"}),
    ("idle-restart", CLIENT, NOT_EXPOSED, {"peer": SERVER + "keepalive 10 60\n"}),
    ("idle-restart", CLIENT, EXPOSED, {"peer": SERVER}),  # its default is 120 s
    ("idle-restart", CLIENT + "proto tcp\n", NOT_EXPOSED, {"peer": SERVER + "proto tcp-server\n"}),
    ("idle-restart", CLIENT, CANNOT_TELL, {}),
    ("idle-restart", SERVER, NOT_EXPOSED, {}),
    ("idle-restart", PEER + "ping-restart 20\n", EXPOSED, {"peer": OTHER}),
    ("idle-restart", PEER + "ping-restart 20\n", NOT_EXPOSED, {"peer": OTHER + "ping 5\n"}),
    # a client that does not pull
    ("no-pull", SERVER, NOT_EXPOSED, {"peer": CLIENT}),
    ("no-pull", SERVER, EXPOSED, {"peer": PEER}),
    ("no-pull", PEER, EXPOSED, {"peer": SERVER}),
    ("no-pull", SERVER, CANNOT_TELL, {}),
    ("no-pull", PEER, CANNOT_TELL, {}),
    ("no-pull", CLIENT, NOT_EXPOSED, {}),
    ("no-pull", PEER, NOT_EXPOSED, {"peer": OTHER}),
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
    ("quick-reconnect", SERVER + "max-clients 1\nproto tcp-server\n", CANNOT_TELL, {}),
    ("quick-reconnect", SERVER + "max-clients 1\n", EXPOSED, {"peer": CLIENT}),
    ("quick-reconnect", SERVER + "max-clients 1\n", CANNOT_TELL, {"peer": CLIENT + "lport 1194\n"}),
    ("quick-reconnect", SERVER + "max-clients one\n", CANNOT_TELL, {}),
    ("quick-reconnect", SERVER + "max-clients 2\n", CANNOT_TELL, {}),  # how many clients are there?
    ("quick-reconnect", SERVER + TWICE + "max-clients 2\n", EXPOSED, {}),
    ("quick-reconnect", SERVER + TWICE + "max-clients 3\nccd-exclusive\n", CANNOT_TELL, {}),  # one at a time
    ("quick-reconnect", SERVER + TWICE + "max-clients 4\nccd-exclusive\n", NOT_EXPOSED, {}),
    ("quick-reconnect", SERVER + TWICE + "max-clients 4\n", CANNOT_TELL, {}),
    ("quick-reconnect", SERVER + TWICE + "max-clients 4\nccd-exclusive\nduplicate-cn\n", EXPOSED, {}),
    ("quick-reconnect", SERVER + MISSING + "max-clients 4\nccd-exclusive\n", CANNOT_TELL, {}),
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
    ("path-mtu", CLIENT, NOT_EXPOSED, {"peer": SERVER + "tun-mtu 1500\n", "path_mtu": 1500}),
    # 2.5 forgets `fragment` of two peers over TLS
    ("path-mtu", FRAGMENTS, CANNOT_TELL, {**FRAGMENTED, "openvpn": "2.5.1"}),
    ("path-mtu", FRAGMENTS, CANNOT_TELL, FRAGMENTED),
    ("path-mtu", FRAGMENTS, NOT_EXPOSED, {**FRAGMENTED, "openvpn": "2.6.14"}),
    ("path-mtu", CLIENT + "fragment 1300\n", NOT_EXPOSED, {"peer": SERVER + "fragment 1300\n", "path_mtu": 1400}),
    ("mtu-mismatch", CLIENT, NOT_EXPOSED, {"peer": SERVER + "tun-mtu 1500\n"}),
    ("path-mtu", CLIENT, CANNOT_TELL, {"peer": SERVER + "tun-mtu 1500\n"}),
    ("path-mtu", CLIENT, CANNOT_TELL, {}),
    ("mtu-mismatch", CLIENT + "fragment 1300\nmssfix\n", NOT_EXPOSED, {"peer": SERVER + "fragment 1300\nmssfix\n"}),
    (
        "path-mtu",
        CLIENT + "fragment 1300\nmssfix\n",
        NOT_EXPOSED,
        {"peer": SERVER + "fragment 1300\nmssfix\n", "path_mtu": 1400},
    ),
    (
        "path-mtu",
        CLIENT + "fragment 1400\nmssfix\n",
        EXPOSED,
        {"peer": SERVER + "fragment 1400\nmssfix\n", "path_mtu": 1400},
    ),
    ("path-mtu", CLIENT + "mssfix\n", EXPOSED, {"peer": SERVER + "mssfix\n", "path_mtu": 1400}),
    ("path-mtu", CLIENT, EXPOSED, {"peer": SERVER, "path_mtu": 1400}),
    ("path-mtu", CLIENT, NOT_EXPOSED, {"peer": SERVER + "mssfix 1300\n", "path_mtu": 1400}),
    ("path-mtu", CLIENT, NOT_EXPOSED, {"peer": SERVER + "mssfix 1400 mtu\n", "path_mtu": 1400}),
    ("path-mtu", CLIENT, EXPOSED, {"peer": SERVER + "mssfix 1400\n", "path_mtu": 1400}),
    ("path-mtu", CLIENT + "mssfix 0\n", CANNOT_TELL, {"peer": SERVER + "mssfix 0\n", "path_mtu": 1500}),
    ("path-mtu", CLIENT + "mssfix 0\n", NOT_EXPOSED, {"peer": SERVER, "path_mtu": 1500}),
    ("path-mtu", CLIENT + "proto tcp\n", NOT_EXPOSED, {"peer": SERVER, "path_mtu": 1500}),
    ("path-mtu", CLIENT + "proto tcp\n", CANNOT_TELL, {"peer": SERVER, "path_mtu": 1400}),
    ("path-mtu", CLIENT + "proto tcp\n", CANNOT_TELL, {"peer": SERVER}),
    (
        "mtu-mismatch",
        CLIENT,
        NOT_EXPOSED,
        {"peer": SERVER + 'tun-mtu 1400\npush "tun-mtu 1400"\n', "path_mtu": 1500},
    ),
    # A server pushes its tun-mtu to a client that pulls.
    ("mtu-mismatch", CLIENT, NOT_EXPOSED, {"peer": SERVER + "tun-mtu 1400\n"}),
    ("mtu-mismatch", SERVER + "tun-mtu 1400\n", NOT_EXPOSED, {"peer": CLIENT}),
    ("mtu-mismatch", CLIENT, EXPOSED, {"peer": SERVER + "tun-mtu 9000\n"}),
    ("mtu-mismatch", CLIENT + "tun-mtu-max 9000\n", NOT_EXPOSED, {"peer": SERVER + "tun-mtu 9000\n"}),
    ("mtu-mismatch", CLIENT + "tun-mtu 9000\n", NOT_EXPOSED, {"peer": SERVER}),
    ("mtu-mismatch", CLIENT + 'pull-filter ignore "tun-mtu"\n', NOT_EXPOSED, {"peer": SERVER + "tun-mtu 1400\n"}),
    ("mtu-mismatch", CLIENT + 'pull-filter ignore "tun-mtu"\n', EXPOSED, {"peer": SERVER + "tun-mtu 1800\n"}),
    # A datagram may exceed `tun-mtu-max` by 168 bytes, of which the cipher takes some.
    ("mtu-mismatch", PEER, NOT_EXPOSED, {"peer": OTHER + "tun-mtu 1700\n", "openvpn": "2.6"}),
    ("mtu-mismatch", PEER, CANNOT_TELL, {"peer": OTHER + "cipher AES-256-CBC\ntun-mtu 1700\n", "openvpn": "2.6"}),
    ("mtu-mismatch", PEER, EXPOSED, {"peer": OTHER + "tun-mtu 1700\n", "openvpn": "2.5"}),
    ("mtu-mismatch", PEER, EXPOSED, {"peer": OTHER + "tun-mtu 1501\n", "openvpn": "2.5.1"}),
    ("mtu-mismatch", CLIENT, EXPOSED, {"peer": SERVER + "tun-mtu 1400\n", "openvpn": "2.5"}),
    # Up to 1600 bytes every end accepts more than it sends.
    ("mtu-mismatch", PEER, NOT_EXPOSED, {"peer": OTHER + "tun-mtu 1400\n"}),
    ("mtu-mismatch", PEER, EXPOSED, {"peer": OTHER + "tun-mtu 2000\n"}),
    ("mtu-mismatch", PEER + "fragment 1300\n", EXPOSED, {"peer": OTHER}),
    (
        "mtu-mismatch",
        PEER + "fragment 1300\n",
        NOT_EXPOSED,
        {"peer": OTHER + "fragment 1200\n"},
    ),
    ("mtu-mismatch", PEER + "link-mtu 1400\n", NOT_EXPOSED, {"peer": OTHER}),
    ("mtu-mismatch", PEER + "tun-mtu big\n", CANNOT_TELL, {"peer": OTHER}),
    ("mtu-mismatch", CLIENT, EXPOSED, {"peer": SERVER + "fragment 1300\n"}),
    # another outer address
    ("address-change", SERVER, NOT_EXPOSED, {"peer": CLIENT, "openvpn": "2.7"}),
    ("address-change", SERVER, CANNOT_TELL, {"peer": CLIENT, "openvpn": "2.6.14"}),  # DCO may carry the data
    (
        "address-change",
        SERVER.replace("topology subnet\n", ""),
        NOT_EXPOSED,
        {"peer": CLIENT, "openvpn": "2.6.14"},
    ),
    ("address-change", SERVER, CANNOT_TELL, {"peer": CLIENT}),
    ("address-change", SERVER + "disable-dco\n", NOT_EXPOSED, {"peer": CLIENT, "openvpn": "2.6"}),
    ("address-change", SERVER, EXPOSED, {"peer": CLIENT + NO_PEER_ID, "openvpn": "2.6"}),
    ("address-change", SERVER, CANNOT_TELL, {"peer": CLIENT + NO_PEER_ID, "openvpn": "2.7"}),
    ("address-change", SERVER, CANNOT_TELL, {"peer": CLIENT + NO_PEER_ID}),
    ("address-change", SERVER, CANNOT_TELL, {}),
    ("address-change", SERVER, NOT_EXPOSED, {"peer": PEER}),  # no data passes
    ("address-change", PEER, NOT_EXPOSED, {"peer": SERVER}),
    ("address-change", CLIENT, NOT_EXPOSED, {}),
    ("address-change", SERVER + "proto tcp-server\n", CANNOT_TELL, {"peer": CLIENT}),
    ("address-change", PEER, EXPOSED, {"openvpn": "2.6"}),
    ("address-change", PEER + "float\nkeepalive 10 60\n", EXPOSED, {"openvpn": "2.6"}),
    ("address-change", PEER + "float\ndisable-dco\n", EXPOSED, {}),
    ("address-change", PEER, CANNOT_TELL, {}),
    ("address-change", PEER + "proto tcp-client\n", CANNOT_TELL, {"openvpn": "2.6"}),
    ("address-change", STATIC, NOT_EXPOSED, {}),
    ("address-change", STATIC + "remote 192.0.2.1\nfloat\n", NOT_EXPOSED, {}),
    ("address-change", STATIC + "remote 192.0.2.1\n", EXPOSED, {}),
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
    ("reneg-dco", SERVER + "reneg-bytes 1000000\n", CANNOT_TELL, {}),
    ("reneg-dco", CLIENT + "reneg-pkts 1000\n", CANNOT_TELL, {"openvpn": "2.6"}),  # its topology is pushed
    ("reneg-dco", SERVER + "reneg-bytes 1000000\ndisable-dco\n", NOT_EXPOSED, {}),
    (
        "reneg-dco",
        SERVER.replace("topology subnet\n", "") + "reneg-pkts 9\n",
        NOT_EXPOSED,
        {"openvpn": "2.6"},
    ),
    ("reneg-dco", SERVER + "reneg-bytes 0\n", NOT_EXPOSED, {}),
    ("reneg-dco", SERVER + "reneg-sec 60\n", NOT_EXPOSED, {}),
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
    # Found by mutation: no other case has these reasons.
    ("second-client", SERVER.replace("dev tun", "dev vpn0"), CANNOT_TELL, {}),
    ("no-iroute", SERVER + "client-config-dir bare\ndisable-dco\n", EXPOSED, {"frr": BGP}),
    ("no-iroute", SERVER + "client-config-dir bare\n", CANNOT_TELL, {"frr": BGP}),  # with DCO it is right so
    ("one-family", SERVER + V6, NOT_EXPOSED, {}),  # see no-iroute
    ("route-quota", SERVER + FIXED + "stale-routes-check 60\n", CANNOT_TELL, {}),
    ("route-quota", SERVER + FIXED + "max-routes-per-client many\n", CANNOT_TELL, {}),
    ("iroute-dco", WITHOUT_TOPOLOGY + ONE, NOT_EXPOSED, {"openvpn": "2.6"}),
    ("iroute-reconnect", WITHOUT_TOPOLOGY + ONE, NOT_EXPOSED, {"openvpn": "2.6"}),
    ("iroute-without-route", SERVER + FIXED, NOT_EXPOSED, {"routes": True}),
    ("topology-default", SERVER.replace("dev tun", "dev tap"), NOT_EXPOSED, {}),
    ("topology-default", CLIENT + "topology subnet\n", NOT_EXPOSED, {}),
    ("topology-default", SERVER, NOT_EXPOSED, {"peer": CLIENT + "topology subnet\n"}),
    ("topology-default", CLIENT, NOT_EXPOSED, {"peer": SERVER.replace("subnet", "net30")}),
    ("dco-off", WITHOUT_TOPOLOGY + ONE, NOT_EXPOSED, {"openvpn": "2.6"}),  # see iroute-dco
    ("dco-off", SERVER.replace("dev tun", "dev tap"), NOT_EXPOSED, {}),
    ("bfd-jitter", SERVER, CANNOT_TELL, {"bird": 'include "peers/*.conf";\n' + BIRD}),
    (
        "next-hop",
        SERVER,
        CANNOT_TELL,
        {"bird": 'include "peers/*.conf";\n' + BIRD, "peer": CLIENT, "peer_frr": TO_SERVER},
    ),
    ("no-exit-notify", CLIENT + "proto udp\nkeepalive 10 many\n", CANNOT_TELL, {"peer": SERVER}),
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"routes": False}),
    ("ebgp-policy", CLIENT, NOT_EXPOSED, {"frr": OSPF}),
    (
        "dead-interval",
        V6_SERVER + "keepalive 5 15\n",
        CANNOT_TELL,  # the file has no address of the tunnel in OSPF's network
        {"frr": OSPF + "router ospf6\n interface tun area 0\n"},
    ),
]


IN_THE_KERNEL = {("iroute-reconnect", EXPOSED), ("iroute-dco", EXPOSED), ("reneg-dco", EXPOSED)}
"""Verdicts that no rule gives: whether the kernel carries the data is not in the files."""


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
    assert {(r.name, v) for r in RULES for v in (EXPOSED, NOT_EXPOSED)} - tried == IN_THE_KERNEL


def test_remote_without_float_refuses_a_new_address_for_good() -> None:
    whys = [judge("address-change", subject(PEER + more + "disable-dco\n")).why for more in ("", "float\n")]
    assert "also those of a new session" in whys[0]
    assert "also with `float`" in whys[1]


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


def test_source_code_and_tests_behind_a_rule_have_patch_levels() -> None:
    vague = re.compile(r"tested with|reports of|\bof OpenVPN|\.c\b|logs of")
    for rule in RULES:
        if vague.search(rule.source):
            assert re.search(r"\d\.\d+\.\d+", rule.source), (rule.name, rule.source)
            assert not re.search(r"OpenVPN 2\.\d\b(?!\.)", rule.source), (rule.name, rule.source)


def test_tests_named_by_rules_exist() -> None:
    texts = [path.read_text() for path in Path(__file__).parents[2].rglob("test_*.py")]
    for rule in RULES:
        assert rule.test is None or any(f"def {rule.test}(" in text for text in texts)


def test_given_configuration_of_a_daemon_is_not_asked_for() -> None:
    elsewhere = "router ospf\n network 10.9.0.0/24 area 0\n"
    asked = [judge("no-iroute", subject(NUMBERED, frr=frr)).do for frr in (None, elsewhere)]
    assert asked[0].startswith("add frr.conf or bird.conf")
    assert asked[1].startswith("frr.conf shows none for certain")
