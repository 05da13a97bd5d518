"""Any file ends in facts, or in one line that says why it cannot be read, never in another exception."""

import tempfile
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path, PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from lab.configs import bird, frr
from lab.configs.disk import Unreadable
from lab.configs.host import rulesets
from lab.configs.host.files import parse_ifupdown, parse_netplan, parse_networkd
from lab.configs.host.outputs import parse_addresses, parse_hosts, parse_routes, parse_ruleset, parse_sysctl
from lab.configs.host.rulesets import RulesetForm
from lab.configs.host_reader import read_host
from lab.configs.recognise import recognise_content
from lab.configs.routers import read_routers
from lab.configs.routing.judged import RoutingConfiguration
from tests.helpers.fuzzing import examples

quick = examples(75)
DATA = Path(__file__).parents[2] / "data" / "configs"
ADDRESSES = (IPv4Address("198.51.100.1"), IPv6Address("2001:db8::1"))
BIRD = [
    "protocol", "template", "bgp", "ospf", "v3", "rip", "ng", "static", "kernel", "from", "T", "T", "{", "}", "{",
    "}", ";", ";", ";", "neighbor", "range", "10.0.0.0/8", "fe80::1", "%", "'tun0'", '"tun0"', '"', "as", "65001",
    "local", "ipv4", "ipv6", "import", "export", "all", "none", "filter", "where", "net", "~", "!~", "[", "]", "+",
    "-", "{8,24}", "(", ")", "if", "then", "else", "accept", "reject", "return", "function", "f", "f()", "define",
    "A", "=", "A", "&&", "||", "!", "area", "interface", ",", "stub", "route", "via", "blackhole", "router id",
    "include", '"*"', "/*", "*/", "#", "\n", "case", ":", "source", "RTS_BGP", "net.len", ">", "99999999999999999999",
    "0x", "²", "\0", "::", "1.2.3.4.5", "proto", "hold time", "password", "multihop", "disabled", "int", "x", "true",
    "10.0.0.0/99", "dead", "count", "hello", "timeout time", "update time", "ms",
]  # fmt: skip
FRR = [
    "router bgp", "65001", "vrf", "X", "\n", "\n", "\n", "neighbor", "10.0.0.2", "fe80::1", "interface", "tun0",
    "remote-as", "external", "peer-group", "G", "bgp listen range", "10.0.0.0/8", "timers", "1", "3", "no",
    "activate", "password", "network", "area", "0", "0.0.0.0/0", "redistribute", "connected", "router ospf",
    "router ospf6", "router rip", "ip", "address", "ip ospf area", "ip route", "Null0", "::/0", "ipv6 route",
    "255.255.255.0", "passive-interface", "default", "hostname", "router-id", "mask", "address-family", "ipv4",
    "ipv6", "unicast", "exit", "update-source", "local-as", "route-map", "M", "permit", "10", "match", "prefix-list",
    "P", "in", "key", "chain", "1.10", "²", "\0", "!", "from", "ebgp-multihop", "description", "shutdown",
    "99999999999999999999999", "frr version", "10.3", "line vty", "ip ospf dead-interval", "ip ospf hello-interval",
    "minimal", "hello-multiplier", "timers basic", "ipv6 ospf6",
]  # fmt: skip
HOST = [
    "[", "]", "{", "}", '"ifname"', ":", '"eth0"', ",", '"addr_info"', '"local"', '"prefixlen"', "24", '"dst"',
    '"default"', '"gateway"', '"192.0.2.1"', '"via"', "null", "1e999", "-1", "\n", "\n", "1: eth0: <UP> mtu 1500",
    "inet", "10.0.0.1/24", "peer", "10.0.0.2/32", "scope", "global", "default", "via", "dev", "eth0", "blackhole",
    "10.0.0.0/8", "=", "net.ipv4.x", "iface", "static", "address", "netmask", "gateway", "up ip route add",
    "network:", "  ethernets:", "    eth0:", "      addresses: [10.0.0.1/24]", "      routes:",
    "        - {to: default, via: 192.0.2.1}", "&a", "*a", "!!int", "[Match]", "Name=eth0", "[Network]",
    "Address=10.0.0.1/24", "[Route]", "Destination=", "Gateway=::1", "table ip nat {", "masquerade", "hook forward",
    "policy drop", "oifname", "127.0.0.1", "localhost", "²", "\0", "\t", "2001:db8::1", "%eth0", "\x1b",
    "dhcp4: yes", "set-name: x", "DHCP=yes", "inet dhcp", "up ip addr add", "$IFACE", "iif", "oif", "vmap", "fib",
    "saddr", ".", "devices =", "{ lo, tun0 }", "device", "udp dport", "1194", "dnat to", "[::1]:99999", "*nat",
    ":INPUT ACCEPT [0:0]", "-A X", "-i", "-o", "eth+", "-p udp", "--dport", "-j DNAT", "--to-destination", "COMMIT",
    "include", '"x"', 'xt target "T"',
]  # fmt: skip


def read(*contents: bytes) -> None:
    """Read files as those of a host's daemons, and as facts of the host."""
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for number, content in enumerate(contents):
            path = Path(directory, f"{number}.conf")
            path.write_bytes(content)
            paths.append(PurePosixPath(path))
        readers: tuple[Callable[[list[PurePosixPath]], object], ...] = (read_routers, read_host)
        for reader in readers:
            message = ""
            try:
                reader(paths)
            except Unreadable as error:
                message = str(error)
            assert message.isprintable()


def ask(text: str) -> None:
    """Read a text by each parser, and ask about what it accepts."""
    parsers: tuple[Callable[[str, str], RoutingConfiguration], ...] = (frr.parse, bird.parse)
    for parse in parsers:
        try:
            configuration = parse(text, "name")
        except Unreadable:
            continue
        assert all(gap.spot.line >= 1 for gap in configuration.gaps)
        for address in ADDRESSES:
            for neighbor in configuration.neighbors:
                configuration.accepts(neighbor, address)
                configuration.missing_policies(neighbor)
            for found in configuration.interior:
                configuration.installs(found, address, "tun0")
        assert configuration.static_prefixes is not None
        if isinstance(configuration, bird.BirdConfiguration):
            assert bird.facts(configuration).daemon in ("bird1", "bird2")


def host(text: str) -> None:
    """Read a text by each parser of a host's facts."""
    parsers: tuple[Callable[[str, str], object], ...] = (
        parse_addresses,
        parse_routes,
        parse_ifupdown,
        parse_netplan,
        parse_networkd,
        parse_ruleset,
    )
    for parse in parsers:
        message = "name: "
        try:
            parse(text, "name")
        except Unreadable as error:
            message = str(error)
        assert message.startswith("name: ")
    parse_sysctl(text)
    parse_hosts(text)
    ruleset(text)


def ruleset(text: str) -> None:
    """Read a packet filter in each form; every changed line keeps its number."""
    rulesets.form_of_ruleset(text, "name")
    forms: tuple[RulesetForm, ...] = ("nft", "iptables", "ip6tables")
    for form in forms:
        assert all(1 <= named.line <= text.count("\n") + 1 for named in rulesets.interfaces_of(text, form))
        rulesets.tables_of(text, form)
        list(rulesets.forwards_of(text, form))
    list(rulesets.includes_of(text))
    rulesets.compatible_rule(text)
    for line in text.split("\n"):
        absent = frozenset(named.interface for named in rulesets.interfaces_of(line, "nft"))
        assert "\n" not in rulesets.without_devices(rulesets.by_name(line, absent), absent)


@quick
@given(st.binary(max_size=400))
def test_random_octets(content: bytes) -> None:
    recognise_content(content)
    read(content, b"router id 192.0.2.1;\n" + content, b"router bgp 1\n" + content)


@quick
@given(st.text(max_size=200))
def test_random_text(text: str) -> None:
    ask(text)
    host(text)


@quick
@given(st.lists(st.sampled_from(BIRD), max_size=80))
def test_random_words_of_bird(words: list[str]) -> None:
    ask(" ".join(words))
    inner = " ".join(words).replace("{", "").replace("}", "")
    policies = f"import filter {{ {inner} }}; export where {inner};"
    ask(f"function f() {{ {inner} }} protocol bgp T {{ ipv4 {{ {policies} }}; }}")


@quick
@given(st.lists(st.sampled_from(FRR), max_size=80))
def test_random_words_of_frr(words: list[str]) -> None:
    ask("router bgp 1\n" + " ".join(words))
    read(b"frr version 10\n", b"router bgp 1\n" + " ".join(words).encode())


@quick
@given(st.lists(st.sampled_from(HOST), max_size=60))
def test_random_words_of_a_host(words: list[str]) -> None:
    host(" ".join(words))
    host("\n".join(words))
    read("\n".join(words).encode(), " ".join(words).encode())


@quick
@given(st.data())
def test_samples_with_random_lines(data: st.DataObject) -> None:
    lines = [line for path in sorted(DATA.rglob("*")) if path.is_file() for line in path.read_text().splitlines()]
    text = "\n".join(data.draw(st.lists(st.sampled_from(lines), max_size=60)))
    ask(text)
    host(text)
    recognise_content(text.encode())
    read(text.encode())
