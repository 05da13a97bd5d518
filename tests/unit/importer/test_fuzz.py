"""Hostile files: an import ends with a topology that containerlab's reader takes, or with one sentence."""

import tempfile
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from lab.catalogue.reader import vocabulary
from lab.core.errors import LabError
from lab.importer import Import, import_hosts
from lab.topology import TopologyError, parse
from tests.helpers.fuzzing import examples

ADDRESS = st.sampled_from(
    [
        "192.0.2.1",
        "10.8.0.1",
        "192.168.1.2",
        "192.168.1.1",
        "10.8.0.2",
        "0.0.0.0",  # noqa: S104 - text of a file
        "255.255.255.255",
        "127.0.0.1",
        "2001:db8::1",
        "fe80::1",
        "::",
        "vpn",
    ]
)
WORD = st.one_of(
    ADDRESS,
    st.sampled_from(
        ["255.255.255.0", "255.255.255.252", "0", "1", "1194", "99999", "udp", "tcp6", "[inline]", "../x", "x"]
    ),
    st.text(max_size=8),
)
OPTIONS = (
    "remote local ifconfig ifconfig-ipv6 server server-ipv6 server-bridge dev dev-type proto port lport secret ca cert "
    "tls-auth client client-config-dir push route route-ipv6 iroute topology mode tls-server verify-x509-name config cd"
)
OPTION = st.sampled_from(OPTIONS.split(" "))
OPENVPN = st.lists(st.tuples(OPTION, st.lists(WORD, max_size=3)), max_size=12).map(
    lambda lines: "\n".join(" ".join([name, *words]) for name, words in [("dev", ["tun"]), ("remote", ["a"]), *lines])
)
STATEMENT = st.sampled_from(
    [
        *("router bgp 65001", "router ospf", "router rip", "interface tun0", "interface eth1", "ip ospf area 0"),
        *("address-family ipv6 unicast", "exit", "neighbor {} remote-as 65002", "neighbor {} remote-as external"),
        *("neighbor {} password x y", "network {}/24", "network {}/32", "ip route {}/16 Null0", "network {}/8 area 0"),
        *(
            "bgp router-id {}",
            "ip address {}/24",
            "neighbor tun0 interface remote-as internal",
            "bgp listen range {}/8",
        ),
    ]
)
FRR = st.lists(st.tuples(STATEMENT, ADDRESS), max_size=15).map(
    lambda lines: "router bgp 65001\n" + "\n".join(text.format(address) for text, address in lines)
)
JSON = st.recursive(
    st.one_of(st.none(), st.integers(), ADDRESS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["ifname", "addr_info", "local", "prefixlen", "dst", "gateway", "dev"]), inner),
    ),
    max_leaves=8,
).map(lambda value: '[{"ifname": "eth0", "addr_info": [' + yaml.dump(value, default_flow_style=True) + "]}]")


NETWORK = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("iface eth0 inet static", "iface ens3 inet dhcp", "address {}/24", "address {}/30", "gateway {}"),
                *("up ip addr add {}/32 dev $IFACE", "up ip route add 10.7.0.0/16 via {}", "netmask 255.255.0.0"),
            ]
        ),
        ADDRESS,
    ),
    max_size=8,
).map(lambda lines: "iface eth1 inet static\n" + "\n".join(text.format(address) for text, address in lines))
RULES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *(
                    "table ip nat {{",
                    "}}",
                    "chain c {{",
                    "udp dport 1194 dnat to {}",
                    "udp dport 1194 dnat to [{}]:9",
                ),
                *('oifname "ens3" masquerade', "iif {{ lo, tun0 }} accept", "*nat", ":INPUT ACCEPT [0:0]", "COMMIT"),
                *("-A X -p udp --dport 1194 -j DNAT --to-destination {}", "-A X -o ens3 -j MASQUERADE", 'include "x"'),
            ]
        ),
        ADDRESS,
    ),
    max_size=8,
).map(lambda lines: "table inet f {\n}\n" + "\n".join(text.format(address) for text, address in lines))
FILES = ("a.conf", "frr.conf", "address.json", "interfaces", "nft.txt")


@examples(40)
@given(st.lists(st.tuples(OPENVPN, FRR, JSON, NETWORK, RULES), min_size=1, max_size=3), st.booleans())
def test_any_files_end_with_a_topology_or_a_sentence(hosts: list[tuple[str, ...]], assume: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        for number, texts in enumerate(hosts):
            (top / f"h{number}").mkdir()
            for file, text in zip(FILES, texts, strict=True):
                (top / f"h{number}" / file).write_bytes(text.encode(errors="replace"))
        error, made = attempt({f"h{n}": top / f"h{n}" for n in range(len(hosts))}, top / "x.clab.yml", assume=assume)
        if made is None:
            assert "\n" not in error
            return
        assert mistakes(made.files[0].text) == []
        for written in made.files:
            assert not written.path.is_absolute()
            assert ".." not in written.path.parts


def attempt(directories: dict[str, Path], out: Path, *, assume: bool) -> tuple[str, Import | None]:
    """Import, and return the topology or the error."""
    try:
        return "", import_hosts(directories, out, assume=assume)
    except LabError as error:
        return str(error), None


def mistakes(text: str) -> list[str]:
    """Return the mistakes in nodes, links, addresses and routes, without what the users' files say."""
    data = yaml.safe_load(text)
    data["topology"]["defaults"].pop("binds", None)
    for node in data["topology"]["nodes"].values():
        for key in ("openvpn", "router", "nftables"):
            (node or {}).get("config", {}).get("vars", {}).pop(key, None)
    try:
        parse(yaml.dump(data, sort_keys=False), Path("x.clab.yml"), vocabulary(), environ={})
    except TopologyError as error:
        return str(error).splitlines()
    return []
