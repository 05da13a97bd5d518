"""The reader of BIRD's configurations: words, templates, and what filters decide."""

from ipaddress import ip_network
from pathlib import Path, PurePosixPath

import pytest

from lab.configs.bird import parse, read
from lab.configs.bird.filters import Route
from lab.configs.disk import Unreadable


def decides(code: str, prefix: str, extra: str = "", **route: str) -> bool | None:
    """Return what an import filter decides about a prefix."""
    configuration = parse(
        f"{extra}\nprotocol bgp far {{ local as 1; neighbor 192.0.2.1 as 2; ipv4 {{ import {code} export none; }}; }}",
        "bird.conf",
    )
    (protocol,) = configuration.file.by_kind["bgp"]
    asked = Route(ip_network(prefix), route.get("source", "RTS_BGP"), route.get("protocol", "far"))
    return configuration.passes(protocol.channels[0].policy("import"), asked, default=True)


LENGTHS = "define NETS = [10.0.0.0/8{16,24}, 172.16.0.0/12+, 192.168.0.0/16-, 198.51.100.0/24];"


@pytest.mark.parametrize(
    ("prefix", "accepted"),
    [
        ("10.1.0.0/16", True),
        ("10.0.0.0/8", False),
        ("10.1.1.128/25", False),
        ("172.16.5.0/24", True),
        ("172.16.0.0/12", True),
        ("172.0.0.0/8", False),
        ("192.168.0.0/16", True),
        ("192.0.0.0/8", True),
        ("0.0.0.0/0", True),
        ("192.168.1.0/24", False),
        ("198.51.100.0/24", True),
        ("198.51.100.0/25", False),
        ("2001:db8::/32", False),
    ],
)
def test_prefix_set_matches_by_its_lengths(prefix: str, accepted: bool) -> None:
    assert decides("where net ~ NETS;", prefix, LENGTHS) is accepted


@pytest.mark.parametrize(
    ("code", "accepted"),
    [
        ("all;", True),
        ("none;", False),
        ("filter { accept; };", True),
        ("filter { reject; };", False),
        ("filter { };", False),
        ("filter { if net.len > 24 then reject; accept; };", True),
        ("filter { if net.len >= 24 then reject; accept; };", False),
        ("filter { if net ~ 10.0.0.0/8 then { bgp_local_pref = 200; accept; } else reject; };", True),
        ("filter { if !(net ~ [10.0.0.0/8+]) then reject; else { accept; } };", True),
        ("filter { if net !~ [10.0.0.0/8+] || source = RTS_STATIC then reject; accept; };", True),
        ("filter { if source ~ [RTS_BGP, RTS_OSPF] && net.len = 24 then accept; reject; };", True),
        ('filter { if proto = "near" then reject; accept; };', True),
        ('filter { if proto ~ "fa*" then reject; accept; };', False),
        ("filter { if bgp_path.len > 5 then reject; accept; };", None),
        ("filter { if bgp_path.len > 5 then bgp_med = 10; accept; };", True),
        ("filter { if bgp_path.len > 5 then accept; else accept; };", True),
        ("filter { bgp_community.add((65000,1)); accept; };", True),
        ("filter { if (65000,1) ~ bgp_community then reject; accept; };", None),
        ("filter { case bgp_origin { ORIGIN_IGP: accept; else: reject; } };", None),
        ("filter { case bgp_origin { ORIGIN_IGP: bgp_med = 1; else: bgp_med = 2; } accept; };", True),
        ("filter { gone(); accept; };", None),
        ("filter { check(); accept; };", True),
        ("filter { refuse(); accept; };", False),
        ("filter { if wanted(24) then accept; reject; };", True),
        ("filter { if wanted(25) then accept; reject; };", False),
        ("filter { int n; n = 24; if net.len = n then accept; reject; };", True),
        ("filter named;", True),
        ("filter old;", True),
        ("filter gone;", None),
        ("where wanted(24) && !wanted(8);", True),
        ("where roa_check(r, net, bgp_path.last) = ROA_VALID;", None),
        ("where A = 1;", None),
        ("where net.ip ~ [10.0.0.0/8+];", None),
        ("where 10.1.1.9 ~ net;", True),
        ("where net.ip = 10.1.1.0;", True),
        ("filter { endless(); accept; };", None),
    ],
)
def test_filter_decides_about_a_prefix(code: str, accepted: bool | None) -> None:
    extra = (
        "function check() { if net ~ [10.9.0.0/16+] then reject; }\n"
        "function refuse() { reject; }\n"
        "function wanted(int n) -> bool { if net.len = n then return true; return false; }\n"
        "function endless() { return endless(); }\n"
        "filter named { if net ~ [10.0.0.0/8+] then accept; }\n"
        "filter old\nprefix set nets;\n{ nets = [10.0.0.0/8+]; if net ~ nets then accept; reject; }\n"
        "define A = B; define B = A;\n"
    )
    assert decides(code, "10.1.1.0/24", extra) is accepted


def test_later_statements_add_to_those_of_a_template() -> None:
    configuration = parse(
        "template bgp T { local as 65001; hold time 30; ipv4 { import all; export none; }; }\n"
        "protocol bgp far from T { neighbor 192.0.2.1 as 65002; hold time 9; ipv4 { import none; }; }\n",
        "bird.conf",
    )
    (neighbor,) = configuration.neighbors
    assert (neighbor.hold, neighbor.local_as, neighbor.external) == (9, 65001, True)
    (channel,) = configuration.file.protocols[0].channels
    policies = [channel.policy(direction) for direction in ("import", "export")]
    assert [policy and policy.words for policy in policies] == [("import", "none"), ("export", "none")]


def test_comments_strings_and_constants_are_read() -> None:
    configuration = parse(
        "# protocol bgp no { }\n/* protocol\nbgp no { } */ define A = 65001; define N = 192.0.2.1;\n"
        "protocol bgp 'with-dash' { description \"a; b { c\"; local N as A; neighbor 192.0.2.2 port 1179 as 0xFE; }\n",
        "bird.conf",
    )
    (neighbor,) = configuration.neighbors
    assert (neighbor.name, neighbor.description, neighbor.remote) == ("with-dash", "a; b { c", 254)
    assert (str(neighbor.source), neighbor.local_as, neighbor.spot.line) == ("192.0.2.1", 65001, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("protocol bgp {\n", r"bird\.conf:1: `{` is not closed"),
        ("\nx; }\n", r"bird\.conf:2: `}` without its opening bracket"),
        ("a { ( } )\n", r"bird\.conf:1: `}` closes another bracket"),
        ("\n/* x", r"bird\.conf:2: a comment that is not closed"),
        ('log "x\n', r'bird\.conf:1: no closing quotation mark \("\)'),
        ("x " + "{" * 100 + "}" * 100, r"bird\.conf:1: more than 64 nested brackets"),
    ],
)
def test_unreadable_file_is_reported_with_its_line(text: str, expected: str) -> None:
    with pytest.raises(Unreadable, match=expected):
        parse(text, "bird.conf")


def test_recursive_include_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bird.conf").write_text('router id 192.0.2.1;\ninclude "bird.conf";\n')
    with pytest.raises(Unreadable, match=r"bird\.conf:2: include 'bird\.conf': too many or too deep"):
        read(PurePosixPath(tmp_path / "bird.conf"))


def test_huge_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "bird.conf").open("wb") as file:
        file.truncate(50 << 20)
    with pytest.raises(Unreadable, match=r"bird\.conf: longer than \d+ bytes"):
        read(PurePosixPath(tmp_path / "bird.conf"))


def test_ten_thousand_neighbors_are_read() -> None:
    head = "template bgp T { local as 1; ipv4 { import where net ~ [10.0.0.0/8+]; export none; }; }\n"
    protocols = (f"protocol bgp p{n} from T {{ neighbor 10.{n >> 8}.{n & 255}.1 as 2; }}\n" for n in range(10_000))
    configuration = parse(head + "".join(protocols), "bird.conf")
    assert len(configuration.neighbors) == 10_000
