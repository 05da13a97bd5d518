"""Messages of mistakes: place, key, what is wrong and a hint; all at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.topology import TopologyError, Vocabulary, read

Refuse = Callable[..., list[str]]
Two = Callable[..., str]


def test_all_mistakes_are_reported_in_the_order_of_the_file(refuse: Refuse) -> None:
    text = """\
name: bad
mgmt: {netwrok: x}
topology:
  defaults: {kind: linux, image: "openvpn-routing-lab/node:2.5", sysctl: {a: 1}}
  nodes:
    a:
      pid-mode: private
      config:
        vars:
          tunnels:
            - {to: bb, mode: irote}
            - {to: c, port: 0}
    b:
    c:
  links:
    - endpoints: ["a:eth1", "b:eth1"]
      ipv4: [10.0.0.1/24, 10.0.1.2/24]
    - endpoints: ["a:eth1", "transt:eth1"]
"""
    nodes = "topology.nodes.a"
    tunnels = f"{nodes}.config.vars.tunnels"
    assert refuse(text) == [
        "lab.yml:2:8: mgmt.netwrok: unknown key 'netwrok'; did you mean 'network'?",
        "lab.yml:4:34: topology.defaults.image: unknown OpenVPN version '2.5'; the lab has '2.6', '2.7'",
        "lab.yml:4:66: topology.defaults.sysctl: unknown key 'sysctl'; did you mean 'sysctls'?",
        f"lab.yml:7:17: {nodes}.pid-mode: unknown mode of the PID namespace 'private';"
        " the modes are 'host', 'container:NAME'",
        f"lab.yml:11:20: {tunnels}[0].to: there is no node 'bb'; did you mean 'b'?",
        f"lab.yml:11:30: {tunnels}[0].mode: unknown tunnel mode 'irote'; did you mean 'iroute'?",
        f"lab.yml:12:20: {tunnels}[1].to: no path of links leads from 'a' to 'c'",
        f"lab.yml:12:29: {tunnels}[1].port: '0' is not a whole number from 1 to 65535",
        "lab.yml:17:27: topology.links[0].ipv4[1]: 10.0.0.1/24 of 'a:eth1' and 10.0.1.2/24"
        " are not in the same subnet; both ends of a link need addresses of one subnet",
        "lab.yml:18:19: topology.links[1].endpoints[0]: the interface 'a:eth1' is already used by another link,"
        " see line 16",
        "lab.yml:18:29: topology.links[1].endpoints[1]: there is no node 'transt'",
    ]


NODE = [
    ("sysctl: {}", "unknown key 'sysctl'; did you mean 'sysctls'?"),
    ("zzz: 1", "unknown key 'zzz'"),
    ("kind: linux", "duplicate key 'kind', see line 4"),
    ("volumes: [x]", "'x' is not a volume; write NAME:/DESTINATION[:ro|rw|nocopy] or /DESTINATION"),
    ("volumes: [/etc:/x]", "'/etc:/x' is not a volume"),
    ("volumes: ['x:/y:Z']", "'x:/y:Z' is not a volume"),
    ("env: [A]", "a list is not a mapping"),
    ("env: {A: [1]}", "a list is not a text"),
    ("env: {__IMPORT_ENVS: true}", "the lab does not support '__IMPORT_ENVS'"),
    ("exec: ls", "'ls' is not a list"),
    ("cpu: -1", "'-1' is not a number from 0 on"),
    ("startup-delay: 1.5", "'1.5' is not a whole number from 0 on"),
    ("memory: lots", "'lots' is not an amount of memory; write it as '512MB'"),
    ("binds: [x]", "'x' is not a bind; write SOURCE:/DESTINATION[:OPTIONS]"),
    ("binds: [/no/such/file:/x]", "the source '/no/such/file' of the bind does not exist"),
    ("env-files: [no-such.env]", "cannot read 'no-such.env': no such file or directory"),
    ("image-pull-policy: alway", "'alway' is not one of 'IfNotPresent', 'Never', 'Always'; did you mean 'Always'?"),
    ("dns: {server: [1]}", "unknown key 'server'; did you mean 'servers'?"),
    ("healthcheck: {interval: x}", "'x' is not a whole number from 0 on"),
    ("config: {var: {}}", "unknown key 'var'; did you mean 'vars'?"),
    ("config: {vars: {router: {}}}", "the key 'asn' is missing"),
    ("config: {vars: {router: {asn: 4294967295}}}", "'4294967295' is not a whole number from 1 to 4294967294"),
    ("config: {vars: {router: {asn: 1, daemon: frrr}}}", "unknown routing daemon 'frrr'; did you mean 'frr'?"),
    (
        "config: {vars: {router: {asn: 1, networks: [10.0.0.1/24]}}}",
        "'10.0.0.1/24' is not an IPv4 or IPv6 prefix; it has bits set beyond its length: did you mean '10.0.0.0/24'?",
    ),
    (
        "config: {vars: {router: {asn: 1, networks: [10.0.0.0/24, 10.0.0.0/24]}}}",
        "duplicate prefix 10.0.0.0/24",
    ),
    (
        "config: {vars: {router: {asn: 1, timers: {keepalive: 5}}}}",
        "the hold time of 3 s is not longer than the keepalive time",
    ),
    (
        "config: {vars: {router: {asn: 1, bfd: {interval: 1000}}}}",
        "BFD detects a failure after 3000 ms, no sooner than the hold time of 3 s; lower 'interval' or 'multiplier'",
    ),
    ("config: {vars: {router: {asn: 1, bfd: {multiplier: 1}}}}", "'1' is not a whole number from 2 to 255"),
    ("config: {vars: {routes: [{to: default, via: bb}]}}", "there is no node 'bb'; did you mean 'b'?"),
    ("config: {vars: {routes: [{to: default, via: a}]}}", "'a' is the node itself"),
    ("config: {vars: {routes: [{to: 'default', via: 192.0.3.1}]}}", "'a' is not connected to a subnet with 192.0.3.1"),
    ("config: {vars: {routes: [{to: default, via: 192.0.2.1}]}}", "192.0.2.1 is an address of 'a' itself"),
    ("config: {vars: {routes: [{to: '2001:db8::/32', via: b}]}}", "'a' and 'b' have no ipv6 subnet on a shared link"),
    ("config: {vars: {routes: [{to: defualt, via: b}]}}", "'defualt' is not an IPv4 or IPv6 prefix or 'default'"),
    (
        "config: {vars: {routes: [{to: default, via: b}, {to: default, via: 192.0.2.2}]}}",
        "duplicate route to default",
    ),
]


@pytest.mark.parametrize(("keys", "what"), NODE)
def test_mistake_in_a_node(refuse: Refuse, two: Two, keys: str, what: str) -> None:
    (line,) = refuse(two(a=keys))
    assert line.startswith("lab.yml:4:")
    assert what in line


TUNNEL = [
    ("to: bb", "there is no node 'bb'; did you mean 'b'?"),
    ("to: a", "'a' is the node itself"),
    ("mode: p2p", "the key 'to' is missing"),
    ("to: b, transport: sctp", "'sctp' is not one of 'tcp', 'udp'"),
    ("to: b, trasport: udp", "unknown key 'trasport'; did you mean 'transport'?"),
    ("to: b, openvpn: 2.6", "cannot set the version on 'a': its image is not one of"),
    ("to: b, openvpn: 2.40", "unknown OpenVPN version '2.40'; the lab has '2.6', '2.7'"),
    ("to: b, outer: ipv6", "no path of links leads from 'a' to 'b' over ipv6: no link of 'a' or 'b' has an ipv6"),
    ("to: b, name: 'x y'", "invalid tunnel name 'x y'"),
    ("to: b, options: {wrong: 1}", "the mode has no option 'wrong'; leave it out"),
    ("to: b, ipv4: {local: 10.9.0.1/30}", "the key 'peer' is missing"),
    ("to: b, ipv4: {local: 10.9.0.1, peer: 10.9.0.2/30}", "'10.9.0.1' is not an IPv4 or IPv6 address with its prefix"),
    ("to: b, ipv4: {local: 10.9.0.0/30, peer: 10.9.0.2/30}", "it is the network address of its subnet"),
    ("to: b, ipv4: {local: 10.9.0.1/30, peer: 10.9.0.3/30}", "it is the broadcast address of its subnet"),
    (
        "to: b, ipv4: {local: 10.9.0.1/30, peer: 10.9.0.1/30}",
        "the address 10.9.0.1 is already used by the tunnel 'a-b'",
    ),
    ("to: b, ipv4: {local: 10.9.0.1/30, peer: 10.9.0.5/30}", "are not in the same subnet"),
    ("to: b, ipv6: {local: 10.9.0.1/30, peer: '2001:db8::1/64'}", "10.9.0.1/30 is not an ipv6 address"),
    ("to: b, ipv4: {local: 192.0.2.5/30, peer: 192.0.2.6/30}", "overlaps 192.0.2.5/30 of 'a:eth1', see line 7"),
]


@pytest.mark.parametrize(("keys", "what"), TUNNEL)
def test_mistake_in_a_tunnel(refuse: Refuse, two: Two, keys: str, what: str) -> None:
    if "overlaps" in what:
        # The link comes later in the file, so it is the one that overlaps.
        (line,) = refuse(two(a=f"config: {{vars: {{tunnels: [{{{keys}}}]}}}}"))
        assert "the subnet 192.0.2.0/24 overlaps 192.0.2.4/30 of the tunnel 'a-b', see line 4" in line
        return
    (line, *_) = refuse(two(a=f"config: {{vars: {{tunnels: [{{{keys}}}]}}}}"))
    assert line.startswith("lab.yml:4:")
    assert what in line


LINK = [
    ("mtuu: 1", "unknown key 'mtuu'; did you mean 'mtu'?"),
    ("mtu: 70000", "the MTU 70000 is not between 68 and 65535 bytes"),
    ("mtu: 1279, ipv6: ['2001:db8::1/64']", "IPv6 needs an MTU of 1280 bytes or more, this link has 1279"),
    ("vars: {peering: maybe}", "'maybe' is not true or false"),
    ("vars: {impair: {delay: 30ms}}", "'30ms' is not a number from 0 to 60000"),
    ("vars: {impair: {delay: 5, jitter: 6}}", "a jitter of 6 ms is more than the delay of 5 ms"),
    ("vars: {impair: {loss: 100.5}}", "'100.5' is not a number from 0 to 100"),
    ("vars: {impair: {rate: 1.5}}", "'1.5' is not a whole number from 8 to 100000000"),
    ("vars: {encapsulation: {kind: vxlon, outer: []}}", "'vxlon' is not one of 'vxlan', 'gre'"),
    ("vars: {encapsulation: {kind: vxlan, outer: [192.0.2.9]}}", "'outer' needs two different addresses of one family"),
    (
        "ipv4: [192.0.2.129/25, 192.0.2.130/25], vars: {encapsulation: {kind: vxlan, outer: [10.9.9.9, 192.0.2.130]}}",
        "'a' has no link or tunnel with the outer address 10.9.9.9",
    ),
    ("type: bridge", "the lab does not support links of type 'bridge': make the bridge a node of kind 'bridge'"),
    ("type: vet", "unknown link type 'vet'; did you mean 'veth'?"),
    ("ipv4: [10.0.0.300/24]", "'10.0.0.300/24' is not an IPv4 address with its prefix length"),
    ("ipv4: [10.0.0.1]", "'10.0.0.1' is not an IPv4 address with its prefix length"),
    ("ipv4: [10.0.0.1/255.255.255.0]", "is not an IPv4 address with its prefix length"),
    ("ipv6: [10.0.0.1/24]", "'10.0.0.1/24' is not an IPv6 address with its prefix length"),
    ("ipv4: [10.0.0.0/24]", "10.0.0.0/24 cannot be used on an interface: it is the network address of its subnet"),
    ("ipv4: [10.0.0.255/24]", "it is the broadcast address of its subnet"),
    ("ipv6: ['2001:db8::/64']", "it is the network address of its subnet"),
    ("ipv4: [224.0.0.1/24]", "it is a multicast address"),
    ("ipv4: [10.0.0.1/24, 10.0.0.2/24, 10.0.0.3/24]", "3 addresses for a link with two ends"),
    ("ipv4: [10.0.0.1/24, 10.0.0.1/24]", "the address 10.0.0.1 is already used by 'a:eth1', see line 7"),
    (
        "ipv4: [10.0.0.1/24, 10.0.1.1/24]",
        "are not in the same subnet; both ends of a link need addresses of one subnet",
    ),
]


@pytest.mark.parametrize(("keys", "what"), LINK)
def test_mistake_in_a_link(refuse: Refuse, two: Two, keys: str, what: str) -> None:
    (line,) = refuse(two(link=keys))
    assert line.startswith("lab.yml:7:")
    assert what in line


@pytest.mark.parametrize("keys", ["ipv4: [10.0.0.0/31, 10.0.0.1/31]", "ipv6: ['2001:db8::/127', '2001:db8::1/127']"])
def test_both_addresses_of_a_subnet_of_two_are_valid(load: Callable[..., object], two: Two, keys: str) -> None:
    load(two(link=keys))


LINKS = [
    ('["a:eth1", "b:eth2"]', "the interface 'a:eth1' is already used by another link, see line 7"),
    ('["a:eth2", "bb:eth2"]', "there is no node 'bb'; did you mean 'b'?"),
    ('["mgmt-net:y", "mgmt-net:x"]', "the lab does not support links of type 'mgmt-net': one end is in a node"),
    ('["host:x", "macvlan:y"]', "the lab does not support links of type 'macvlan': one end is in a node"),
    ('["a:eth2", "macvlan:much-too-long-a-name"]', "an interface's name has 15 characters at most"),
    ('["a:eth2", "b"]', "'b' is not an endpoint as in 'node:eth1'"),
    ('["a:eth2"]', "a link has a list of two endpoints, this is 1"),
    (f'["a:eth2", "b:{"x" * 128}"]', "an interface's name has 127 characters at most"),
    ('["a:eth2", "b:e%2"]', "invalid interface name 'e%2'"),
    ('["a:eth2", "b:lo"]', "every node already has its loopback interface"),
    ('["a:eth2", "b:eth2"], ipv4: [192.0.2.129/25, 192.0.2.130/25]', "overlaps 192.0.2.0/24 of 'a:eth1', see line 7"),
    ('["a:eth2", "b:eth2"], ipv4: [192.0.2.1/24]', "the address 192.0.2.1 is already used by 'a:eth1', see line 7"),
]

OVER = "encapsulation: {kind: KIND, outer: [192.0.2.1, 192.0.2.2]}"
LINKS += [
    (
        f'["a:t", "b:t"], ipv6: ["2001:db8::1/64"], vars: {{{OVER.replace("KIND", "ipip")}}}',
        "2001:db8::1/64 cannot be used: ipip over IPv4 carries IPv4 only",
    ),
    (
        f'["a:t", "b:t"], ipv4: ["", 10.0.0.2/24], vars: {{{OVER.replace("KIND", "sit")}}}',
        "10.0.0.2/24 cannot be used: sit over IPv4 carries IPv6 only",
    ),
    (
        '["a:t", "b:t"], vars: {encapsulation: {kind: gre, outer: [192.0.2.1, 10.255.0.1]}}',
        "'b' has no link or tunnel with the outer address 10.255.0.1",
    ),
]


@pytest.mark.parametrize(("endpoints", "what"), LINKS)
def test_mistake_in_a_second_link(refuse: Refuse, two: Two, endpoints: str, what: str) -> None:
    (line,) = refuse(two(links=f"    - {{endpoints: {endpoints}}}\n"))
    assert line.startswith("lab.yml:8:")
    assert what in line


EXTENDED = [
    ("{type: veth, endpoints: [{node: a, interface: e2}, {node: b}]}", "the key 'interface' is missing"),
    ("{type: veth, endpoints: [{node: a, interface: e2, mac: x}, {node: b, interface: e2}]}", "'x' is not a MAC"),
    ("{type: dummy, endpoint: {node: a, interface: d, mac: '01:00:00:00:00:01'}}", "is a multicast MAC address"),
    ("{type: dummy, endpoint: {node: a, interface: d}, vars: {impair: {delay: 1}}}", "'impair' needs a link with two"),
    ("{type: dummy, endpoint: {node: a, interface: d}, vars: {peering: yes}}", "'peering' needs a link with two"),
    (
        "{type: dummy, endpoint: {node: a, interface: d}, vars: {encapsulation: {kind: vxlan, outer: []}}}",
        "'encapsulation' needs a link with two",
    ),
    (
        "{type: veth, endpoints: [{node: a, interface: t, mac: '02:00:00:00:00:01'}, {node: b, interface: t}],"
        " vars: {encapsulation: {kind: gre, outer: [192.0.2.1, 192.0.2.2]}}}",
        "gre has no MAC addresses",
    ),
    ("{type: dummy}", "the key 'endpoint' is missing"),
    ("{type: veth, ipv4: x, endpoints: [{node: a, interface: e2}, {node: b, interface: e2}]}", "'x' is not a list"),
]


@pytest.mark.parametrize(("link", "what"), EXTENDED)
def test_mistake_in_an_extended_link(refuse: Refuse, two: Two, link: str, what: str) -> None:
    (line,) = refuse(two(links=f"    - {link}\n"))
    assert line.startswith("lab.yml:8:")
    assert what in line


def test_inherited_mistake_is_reported_once(refuse: Refuse) -> None:
    text = (
        "name: x\ntopology:\n  defaults: {image: x, cap_add: [A], cpu: much}\n  nodes: {a: {kind: linux}, b: , c: }\n"
    )
    names = ("linux", "bridge", "ovs-bridge", "mikrotik_ros", "freebsd", "openbsd", "ext-container", "host")
    kinds = f"set 'kind' to one of {', '.join(map(repr, names))}"
    assert refuse(text) == [
        "lab.yml:3:24: topology.defaults.cap_add: unknown key 'cap_add'; did you mean 'cap-add'?",
        "lab.yml:3:43: topology.defaults.cpu: 'much' is not a number from 0 on",
        f"lab.yml:4:29: topology.nodes.b: the node has no kind; {kinds}",
        f"lab.yml:4:34: topology.nodes.c: the node has no kind; {kinds}",
    ]


def test_node_without_image_is_refused(refuse: Refuse) -> None:
    assert refuse("name: x\ntopology: {nodes: {ab: {kind: linux}}}\n") == [
        "lab.yml:2:20: topology.nodes.ab: the node has no image"
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "lab.yml:1:1: the file is empty"),
        ("name: x\n", "lab.yml:1:1: the key 'topology' is missing"),
        ("- x\n", "lab.yml:1:1: a list is not a mapping"),
        ("name: x\ntopology: {nodes: {}}\n", "lab.yml:2:19: topology.nodes: the topology has no nodes"),
        ("name: x\ntoplogy: {}\n", "lab.yml:2:1: toplogy: unknown key 'toplogy'; did you mean 'topology'?"),
        ("name: _x\ntopology: {}\n", "lab.yml:1:7: name: invalid lab name '_x'; a name begins"),
        ("name: x\nprefix: -\ntopology: {nodes: {}}\n", "lab.yml:2:9: prefix: invalid YAML"),
        ("name: '{{ .x }}'\n", "lab.yml:1:8: the lab does not support Go templates"),
    ],
)
def test_mistake_in_the_whole_file(refuse: Refuse, text: str, line: str) -> None:
    assert any(mistake.startswith(line) for mistake in refuse(text))


def test_node_name_of_one_letter_is_refused_with_an_empty_prefix(refuse: Refuse) -> None:
    (line,) = refuse("name: x\nprefix: ''\ntopology: {nodes: {a: {kind: linux, image: x}}}\n")
    assert "a container's name has 2 characters or more" in line


def test_eth0_is_refused_on_a_node_with_management_network(refuse: Refuse) -> None:
    text = (
        "name: x\ntopology:\n  defaults: {kind: linux, image: x}\n  nodes: {ab: , cd: {network-mode: none}}\n"
        '  links:\n    - endpoints: ["ab:eth0", "cd:eth0"]\n'
    )
    (line,) = refuse(text)
    assert "'eth0' of 'ab' is containerlab's management interface; set 'network-mode: none' on the node" in line


def test_mistakes_in_arguments_are_reported(refuse: Refuse, two: Two) -> None:
    text = two(a="config: {vars: {tunnels: [{to: b}]}}")
    assert refuse(text, name="?", openvpn="1.0", tunnel={"prot": 1, "options": {"wrong": 1}}) == [
        "lab.yml:1:1: name: invalid lab name '?';"
        " a name begins with a letter or digit, followed by letters, digits, '.', '_' and '-'",
        "lab.yml:1:1: openvpn: unknown OpenVPN version '1.0'; the lab has '2.6', '2.7'",
        "lab.yml:4:80: topology.nodes.a.config.vars.tunnels[0].options.wrong:"
        " the mode has no option 'wrong'; leave it out",
        "lab.yml:4:80: topology.nodes.a.config.vars.tunnels[0].prot: unknown key 'prot'; did you mean 'port'?",
    ]


def test_unreadable_file_is_reported_in_one_line(vocabulary: Vocabulary, tmp_path: Path) -> None:
    latin = tmp_path / "latin.yml"
    latin.write_bytes(b"name: x\n# \xe9\n")
    for path, what in [
        (tmp_path / "none.yml", "no such file or directory"),
        (tmp_path, "it is a directory"),
        (latin, "line 2 is not UTF-8"),
        (Path("/dev/null"), "it is not a regular file"),
        (Path("a\0b"), "the path is not valid"),
    ]:
        with pytest.raises(InputError) as caught:
            read(path, vocabulary)
        assert not isinstance(caught.value, TopologyError)
        assert str(caught.value).startswith("cannot read the topology ")
        assert str(caught.value).endswith(what)
        assert "\n" not in str(caught.value)
