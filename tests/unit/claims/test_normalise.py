"""Evidence of two runs is the same text once it is normalised, and says as much as before."""

import pytest

from lab.claims.normalise import Normaliser

SAME = [
    (
        "branch/198.51.100.5:59556 MULTI: bad source address from client [10.2.0.10], packet dropped",
        "branch/198.51.100.5:41000 MULTI: bad source address from client [10.2.0.10], packet dropped",
        "branch/198.51.100.5:PORT MULTI: bad source address from client [10.2.0.10], packet dropped",
    ),
    (
        "branch/tcp6-server:[2001:db8:100::5]:59556 Connection reset",
        "branch/tcp6-server:[2001:db8:100::5]:41000 Connection reset",
        "branch/tcp6-server:[2001:db8:100::5]:PORT Connection reset",
    ),
    (
        "Recursive routing detected, packet dropped 10.255.0.2:34125 -> [AF_INET]198.51.100.1:1194",
        "Recursive routing detected, packet dropped 10.255.0.2:50001 -> [AF_INET]198.51.100.1:1194",
        "Recursive routing detected, packet dropped 10.255.0.2:PORT -> [AF_INET]198.51.100.1:1194",
    ),
    (
        "user tun0: IPv6 / TCP 2001:db8:8::2:34508 > 2001:db8:20:30::41:ms_sql_s S",
        "user tun0: IPv6 / TCP 2001:db8:8::2:41000 > 2001:db8:20:30::41:ms_sql_s S",
        "user tun0: IPv6 / TCP 2001:db8:8::2:PORT > 2001:db8:20:30::41:ms_sql_s S",
    ),
    (
        "transit eth1: Ether / IP / TCP 198.51.100.1:openvpn > 198.51.100.5:34686 PA / Raw",
        "transit eth1: Ether / IP / TCP 198.51.100.1:openvpn > 198.51.100.5:41000 PA / Raw",
        "transit eth1: Ether / IP / TCP 198.51.100.1:openvpn > 198.51.100.5:PORT PA / Raw",
    ),
    (
        "MULTI: Deleting stale route for address 'fe80::fd23:9bb:f118:2322'",
        "MULTI: Deleting stale route for address 'fe80::1:2:3:4'",
        "MULTI: Deleting stale route for address 'fe80::ID'",
    ),
    ("[key#0 auth=KS_AUTH_TRUE sid=40053a9d 0fb32471]", "[key#0 auth=KS_AUTH_TRUE sid=aabbccdd 01020304]",
     "[key#0 auth=KS_AUTH_TRUE sid=ID ID]"),
    ("learn: 9a:01:02:03:04:05 is behind spoke1", "learn: 7e:0a:0b:0c:0d:0e is behind spoke1",
     "learn: MAC is behind spoke1"),
    ("BGP was back after 70.1 s", "BGP was back after 69 s", "BGP was back after TIME"),
    ("2026-03-01 10:00:00 us=12 Restart", "2026-03-02 11:22:33 us=99 Restart", "TIME Restart"),
    ("bird[pid 4711]: up", "bird[pid 9]: up", "bird[pid PID]: up"),
    (
        "plain: 00 0e 38 41 65 1b 78 e5 61 c3",
        "plain: 00 0e 38 99 88 77 66 55 44 33",
        "plain: 00 0e 38 …",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "normalised"), SAME, ids=[text for *_, text in SAME])
def test_two_runs_give_one_text(one: str, other: str, normalised: str) -> None:
    assert Normaliser()(one) == Normaliser()(other) == normalised


@pytest.mark.parametrize(
    "text",
    [
        "hq: 10.2.0.0/24 via 10.255.0.2",
        "Pushed option is not updatable: 'iroute 10.99.0.0 255.255.255.0'.",
        "from udp4:[AF_INET]203.0.113.1:443 to 203.0.113.1:1195",
        "gre over IPv4, wire: packets of 1476 bytes of ipv4 pass",
        "MULTI ROUTE: route quota (256) exceeded",
        "neighbour fe80::1 on tun0",
        "sid=00000000 00000000",
        "HTTP proxy returned: 'HTTP/1.1 407 Proxy Authentication Required'",
        "OpenVPN 2.7 will remove the functionality",
        "5 of 5 echo requests from hq-lan to 2001:db8:2::10 answered",
    ],
)
def test_constant_text_stays(text: str) -> None:
    assert Normaliser()(text) == text


@pytest.mark.parametrize("text", [text for *_, text in SAME])
def test_normalised_text_is_left_as_it_is(text: str) -> None:
    assert Normaliser()(text) == text


def test_drawn_prefixes_are_numbered_as_a_finding_names_them() -> None:
    normalise = Normaliser()
    texts = ["hq: 10.128.7.0/24 via 10.255.0.2", "echo to 10.128.7.2", "hq: 10.128.3.0/24", "back at 10.128.7.1"]
    assert [normalise(text) for text in texts] == [
        "hq: 10.128.0.0/24 via 10.255.0.2",
        "echo to 10.128.0.2",
        "hq: 10.128.1.0/24",
        "back at 10.128.0.1",
    ]
    assert normalise("2001:db8:8000:5::/64 and 2001:db8:8000::2") == "2001:db8:8000::/64 and 2001:db8:8000:1::2"
    assert Normaliser()("10.128.9.0/24") == "10.128.0.0/24", "another finding begins again"
