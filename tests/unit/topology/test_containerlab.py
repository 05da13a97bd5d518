"""The reader accepts and refuses what containerlab does, and names in one line what the lab cannot do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.runtime.deploy import launch_order
from lab.topology import Topology, dump
from lab.topology.model import Certificate
from tests.helpers.clab_schema import is_valid

Load = Callable[..., Topology]
Refuse = Callable[..., list[str]]
Two = Callable[..., str]

KINDS = "the kinds are 'linux', 'bridge', 'ovs-bridge', 'mikrotik_ros', 'freebsd', 'openbsd', 'ext-container', 'host'"


@pytest.fixture(scope="module")
def valid() -> Callable[[str], bool]:
    """Return a function that tells whether a file is valid by containerlab's own schema."""
    return is_valid


def notes(topology: Topology) -> list[str]:
    return [f"{remark.place} {remark.node}: {remark.what}" for remark in topology.remarks if remark.kind == "note"]


# --- kinds and groups --------------------------------------------------------------------------------------

OTHER_SYSTEM = """\
name: other
topology:
  kinds: {nokia_srlinux: {image: srl, type: ixrd2, license: key}}
  nodes:
    srl1: {kind: nokia_srlinux, startup-config: srl1.cfg, config: {vars: {router: 5}}}
    srl2: {kind: nokia_srlinux}
    pc: {kind: linux, image: "x:1"}
  links:
    - endpoints: ["srl1:e1-1", "srl2:ethernet-1/1"]
    - endpoints: ["srl2:ethernet-1/49.100", "pc:eth1"]
    - endpoints: ["srl2:lo", "pc:eth2"]
"""


def test_node_of_another_kind_gives_one_line_and_no_other(refuse: Refuse) -> None:
    assert refuse(OTHER_SYSTEM) == [
        f"lab.yml:5:18: topology.nodes.srl1.kind: the lab does not support the kind 'nokia_srlinux': {KINDS}",
        f"lab.yml:6:18: topology.nodes.srl2.kind: the lab does not support the kind 'nokia_srlinux': {KINDS}",
    ]


def test_inherited_kind_of_another_system_gives_one_line_a_node(refuse: Refuse) -> None:
    levels = "  defaults: {kind: ceos, type: y}\n  groups: {g: {kind: linus}}\n"
    text = f"name: x\ntopology:\n{levels}  nodes: {{a: , b: {{group: g}}}}\n"
    assert refuse(text) == [
        f"lab.yml:5:11: topology.nodes.a: the lab does not support the kind 'ceos': {KINDS}",
        f"lab.yml:5:16: topology.nodes.b: the lab does not support the kind 'linus': {KINDS}; did you mean 'linux'?",
    ]


@pytest.mark.parametrize(
    "level",
    [
        "kinds: {nokia_srlinux: {image: srl, license: key, type: ixrd2, startup-config: x}}",
        "groups: {spine: {kind: arista_ceos, image: ceos, ports: ['80:80']}}",
        "defaults: {kind: arista_ceos}",
    ],
)
def test_kind_that_no_node_uses_is_accepted(load: Load, two: Two, valid: Callable[[str], bool], level: str) -> None:
    text = two().replace("topology:\n", f"topology:\n  {level}\n")
    assert notes(load(text)) == []
    assert valid(text)


def test_kind_without_definition_is_refused_if_a_node_has_it(load: Load, refuse: Refuse, two: Two) -> None:
    def kinds(name: str) -> str:
        return two().replace("topology:\n", f"topology:\n  kinds: {{{name}: ~}}\n")

    load(kinds("nokia_srlinux"))
    (line,) = refuse(kinds("linux"))
    assert line.startswith("lab.yml:3:11: topology.kinds.linux: the kind 'linux' has no definition")


def test_defaults_without_definition_are_refused(refuse: Refuse, two: Two) -> None:
    (line,) = refuse(two().replace("topology:\n", "topology:\n  defaults:\n"))
    assert line.startswith("lab.yml:3:3: topology.defaults: 'defaults' has no definition: containerlab cannot read")


def test_management_network_without_definition_is_refused(refuse: Refuse, two: Two) -> None:
    """containerlab 0.79 ends with a fault of its own."""
    (line,) = refuse(two(top="mgmt:\n"))
    assert "mgmt: the key 'mgmt' has no value: containerlab cannot read such a file; write '{}'" in line


def test_group_without_groups_is_a_label(load: Load, two: Two) -> None:
    topology = load(two(a="group: leaf"))
    assert (topology.nodes["a"].group, notes(topology)) == ("leaf", [])


def test_misspelt_group_is_noted(load: Load, two: Two) -> None:
    text = two(a="group: laef").replace("topology:\n", "topology:\n  groups: {leaf: {}}\n")
    (note,) = notes(load(text))
    assert note.startswith("lab.yml:5 a: the group 'laef' is a label only")
    assert note.endswith("did you mean 'leaf'?")


EXTERNAL = """\
name: x
topology:
  defaults: {image: x, ports: ["80:80"]}
  nodes: {aa: {kind: linux, network-mode: none}, another: {kind: ext-container, exec: [ip link]}}
  links:
    - {endpoints: ["aa:eth1", "another:lab1"], ipv4: [192.0.2.1/24, 192.0.2.2/24]}
"""


def test_container_that_runs_already_takes_part_in_links(load: Load, valid: Callable[[str], bool]) -> None:
    topology = load(EXTERNAL)
    node = topology.nodes["another"]
    assert (node.borrowed, node.image, node.ports, node.exec) == (True, None, (), ("ip link",))
    assert valid(EXTERNAL)
    assert load(dump(topology)) == topology


def test_bridge_of_open_vswitch_is_a_bridge(load: Load, refuse: Refuse, valid: Callable[[str], bool]) -> None:
    text = EXTERNAL.replace("kind: ext-container, exec: [ip link]", "kind: ovs-bridge")
    (line,) = refuse(text)
    assert "'another:lab1' is a port of a bridge and cannot have an address" in line
    text = text.replace(", 192.0.2.2/24", "")
    topology = load(text)
    assert (topology.nodes["another"].is_bridge, topology.nodes["another"].image) == (True, None)
    assert valid(text)
    assert load(dump(topology)) == topology
    (note,) = notes(load(text.replace("kind: ovs-bridge", "kind: ovs-bridge, image: 'ovs:latest'")))
    assert "'image' has no effect: a bridge is not a container" in note


def test_link_without_an_end_in_the_lab_is_refused(refuse: Refuse) -> None:
    (line,) = refuse(f"{EXTERNAL}    - {{type: dummy, endpoint: {{node: another, interface: d}}}}\n")
    assert "the link has no end in a node of the lab's" in line


# --- values ------------------------------------------------------------------------------------------------

ACCEPTED = [
    "restart-policy: 'no'",
    "restart-policy: no",
    "runtime: docker",
    "certificate: {issue: false}",
    "auto-remove: false",
    "cgroupns-mode: private",
    "config: {vars: {site: 3, port: 1, colours: [red, green]}}",
    "group: leaf",
]


@pytest.mark.parametrize("keys", ACCEPTED)
def test_key_that_says_what_the_lab_does_is_accepted(load: Load, two: Two, keys: str) -> None:
    assert notes(load(two(a=keys))) == []


NOTED = [
    ("restart-policy: Always", "with 'restart-policy' 'always' a node that ends is started again, without its links"),
    ("auto-remove: true", "'auto-remove' 'true' has no effect: the lab keeps a node that died"),
    ("type: ixrd2", "'type' has no effect: nodes of this kind do not read it"),
    ("license: https://example.net/key", "'license' has no effect"),
    ('startup-config: "set / system\\nset / interface"', "'startup-config' has no effect"),
    (
        "stages: {create-links: {exec: [{command: reboot, target: host}]}}",
        "'reboot' is not run: the lab runs no command",
    ),
    ("link-apply-mode: restart", "'link-apply-mode' 'restart' has no effect: a running lab is not changed"),
    ("config: {vars: {routr: {asn: 1}}}", "the variable 'routr' has no effect"),
]


@pytest.mark.parametrize(("keys", "what"), NOTED)
def test_key_without_effect_is_noted(load: Load, two: Two, keys: str, what: str) -> None:
    (note,) = notes(load(two(a=keys)))
    assert note.startswith("lab.yml:4 a: ")
    assert what in note


def test_each_note_is_given_once(load: Load) -> None:
    text = "name: x\ntopology:\n  defaults: {kind: linux, image: x, type: y, network-mode: none}\n  nodes: {a: , b: }\n"
    assert len(notes(load(text))) == 1


REFUSED = [
    ("restart-policy: sometimes", "'sometimes' is not a value of 'restart-policy'; the values are 'no', 'always'"),
    ("runtime: podman", "the lab does not support 'runtime' with this value: the engine is Docker"),
    ("certificate: {issue: perhaps}", "'perhaps' is not true or false"),
    ("certificate: {key-size: 512}", "an RSA key of 512 bits is too small"),
    ("certificate: {validity-duration: 10d}", "'10d' is not a duration; write it as '720h'"),
    ('certificate: {sans: ["ü.example"]}', "'ü.example' is not a name or an address"),
    ("cgroupns-mode: shared", "unknown mode of the cgroup namespace 'shared'; the modes are 'private', 'host'"),
    ("pid-mode: private", "unknown mode of the PID namespace 'private'; the modes are 'host', 'container:NAME'"),
    ("'pid-mode': 'container:'", "unknown mode of the PID namespace 'container:'"),
    ("'pid-mode': 'container:a'", "'a' waits for the PID namespace of 'a', which waits for it"),
    ("pid-mode: host, config: {vars: {router: {asn: 65001}}}", "'a' has keys of the lab's, which need a PID namespace"),
    ("auto-remove: maybe", "'maybe' is not true or false"),
    ("link-apply-mode: later", "'later' is not a value of 'link-apply-mode'; the values are 'live', 'restart'"),
    ("startup-config: [a]", "a list is not a text"),
    ("startup-config: missing.cfg", "the file 'missing.cfg' does not exist"),
    ("license: missing.key", "the file 'missing.key' does not exist"),
    ("components: [{slit: 1}]", "unknown key 'slit'; did you mean 'slot'?"),
    ("extras: {srl: 1}", "unknown key 'srl'"),
    ("username: [a]", "a list is not a text"),
]


@pytest.mark.parametrize(("keys", "what"), REFUSED)
def test_value_that_the_lab_cannot_honour_is_refused(refuse: Refuse, two: Two, keys: str, what: str) -> None:
    (line,) = refuse(two(a=keys))
    assert line.startswith("lab.yml:4:")
    assert what in line


# --- links -------------------------------------------------------------------------------------------------

ADDRESSES = [
    'ipv4: ["", 10.0.0.1/24]',
    "ipv4: [10.0.0.1/32, 10.0.0.2/32]",
    "ipv6: ['2001:db8::1/128', '2001:db8::2/128']",
    "vars: {port: 1, cost: 10}",
]


@pytest.mark.parametrize("keys", ADDRESSES)
def test_link_of_containerlabs_is_accepted(load: Load, two: Two, valid: Callable[[str], bool], keys: str) -> None:
    text = two(link=keys)
    assert notes(load(text)) == []
    assert valid(text)


def test_labels_of_a_link_have_no_effect(load: Load, two: Two) -> None:
    assert notes(load(two(link="labels: {a: b}"))) == []


THREE = """\
name: anycast
topology:
  defaults: {kind: linux, image: "x:1", network-mode: none}
  nodes: {leaf1: %s, leaf2: , h1: , h2: }
  links:
    - {endpoints: ["leaf1:eth1", "h1:eth1"], ipv4: [10.0.0.1/24, 10.0.0.11/24]}
    - {endpoints: ["leaf2:eth1", "h2:eth1"], ipv4: [10.0.0.1/24, 10.0.0.12/24]}
    - {type: dummy, endpoint: {node: leaf1, interface: any, ipv4: 192.0.2.53/32}}
    - {type: dummy, endpoint: {node: leaf2, interface: any, ipv4: 192.0.2.53/32}}
"""


@pytest.mark.parametrize("intent", ["", "{config: {vars: {router: {asn: 65001}}}}"])
def test_two_nodes_may_have_one_address(load: Load, valid: Callable[[str], bool], intent: str) -> None:
    load(THREE % intent)
    assert valid(THREE % intent)


def test_subnets_may_overlap_only_without_the_labs_keys(load: Load, refuse: Refuse) -> None:
    text = THREE.replace("10.0.0.1/24, 10.0.0.12", "10.0.0.2/24, 10.0.0.12")
    load(text % "")
    (line,) = refuse(text % "{config: {vars: {router: {asn: 65001}}}}")
    assert "the subnet 10.0.0.0/24 overlaps 10.0.0.0/24 of 'leaf1:eth1', see line 6" in line


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ("ipv4: [192.0.2.1/024]", "'192.0.2.1/024' is not an IPv4 address with its prefix length"),
        ("ipv4: [10.0.0.1/24, 10.0.0.1/24]", "the address 10.0.0.1 is already used by 'a:eth1'"),
    ],
)
def test_address_that_containerlab_refuses_is_refused(refuse: Refuse, two: Two, keys: str, what: str) -> None:
    (line,) = refuse(two(link=keys))
    assert what in line


@pytest.mark.parametrize(
    ("mac", "ok"), [("02:00-00:00:00:01", False), ("02-00-00-00-00-01", True), ("0200.0000.0001", True)]
)
def test_separators_of_a_mac_address_are_not_mixed(load: Load, refuse: Refuse, two: Two, mac: str, ok: bool) -> None:
    text = two(links=f"    - {{type: dummy, endpoint: {{node: a, interface: d, mac: '{mac}'}}}}\n")
    if ok:
        assert load(text).links[1].endpoints[0].mac == "02:00:00:00:00:01"
    else:
        assert "is not a MAC address" in refuse(text)[0]


@pytest.mark.parametrize("name", ["ethernet-1/1", "GigabitEthernet 0", "a-name-of-more-than-15-characters"])
def test_name_that_the_kernel_refuses_becomes_an_alternative_one(load: Load, two: Two, name: str) -> None:
    (link,) = load(two().replace("b:eth1", f"b:{name}")).links
    one, other = link.endpoints
    assert (one.interface, one.altname) == ("eth1", None)
    assert other.altname == name
    assert len(other.interface) <= 15
    assert "/" not in other.interface


def test_name_of_more_than_60_characters_is_accepted(load: Load) -> None:
    text = "name: {0}\ntopology: {{nodes: {{{0}: {{kind: linux, image: x, network-mode: none}}}}}}\n"
    assert list(load(text.format("n" * 61)).nodes) == ["n" * 61]


# --- links to the host -------------------------------------------------------------------------------------

OUTSIDE = [
    ('{endpoints: ["a:eth2", "host:lab-a"], mtu: 1400}', ("host", "lab-a", 1400)),
    ('{endpoints: ["HOST:lab-a", "a:eth2"]}', ("host", "lab-a", 9500)),
    ('{endpoints: ["a:eth2", "mgmt-net:lab-a"]}', ("mgmt-net", "lab-a", 9500)),
    ("{type: mgmt-net, endpoint: {node: a, interface: eth2}, host-interface: lab-a}", ("mgmt-net", "lab-a", 9500)),
    (
        "{type: vxlan-stitch, endpoint: {node: a, interface: eth2}, remote: 192.0.2.9, vni: 7, dst-port: 4789}",
        ("vxlan-stitch", None, 9500),
    ),
    ('{endpoints: ["a:eth2", "macvlan:eth0"]}', ("macvlan", "eth0", None)),
    ("{type: host, endpoint: {node: a, interface: eth2}, host-interface: lab-a}", ("host", "lab-a", 9500)),
    (
        "{type: macvlan, endpoint: {node: a, interface: eth2}, host-interface: eth0, mode: vepa}",
        ("macvlan", "eth0", None),
    ),
    (
        "{type: vxlan, endpoint: {node: a, interface: eth2}, remote: 192.0.2.9, vni: 7, dst-port: 4789}",
        ("vxlan", None, None),
    ),
]


@pytest.mark.parametrize(("link", "expected"), OUTSIDE)
def test_link_to_the_host(
    load: Load, two: Two, valid: Callable[[str], bool], link: str, expected: tuple[str, str | None, int | None]
) -> None:
    text = two(links=f"    - {link}\n")
    found = load(text).links[1]
    assert found.outside is not None
    assert (found.kind, found.outside.interface, found.mtu) == expected
    assert [(end.node, end.interface) for end in found.endpoints] == [("a", "eth2")]
    assert valid(text)
    assert load(dump(load(text))).links == load(text).links


def test_stitched_pair_is_a_pair(load: Load, two: Two, valid: Callable[[str], bool]) -> None:
    ends = "[{node: a, interface: eth2}, {node: b, interface: eth2}]"
    text = two(links=f"    - {{type: veth-stitch, endpoints: {ends}}}\n")
    assert load(text).links[1].kind == "veth"
    assert valid(text)


def test_link_into_the_management_network_asks_for_it(load: Load, two: Two) -> None:
    assert load(two()).management is None
    topology = load(two(links='    - {endpoints: ["a:eth2", "mgmt-net:lab-a"]}\n'))
    assert topology.management is not None
    assert {node.network_mode for node in topology.nodes.values()} == {"none"}


def test_node_of_kind_host_is_this_machine(load: Load, refuse: Refuse, two: Two) -> None:
    text = two(
        links='    - {endpoints: ["a:eth2", "host:lab-a"]}\n'
        '    - {endpoints: ["box:a-very-long-name-on-the-host", "b:eth2"]}\n'
    )
    text = text.replace("  links:\n", "    box: {kind: host}\n    host: {kind: host}\n  links:\n")
    topology = load(text)
    assert list(topology.nodes) == ["a", "b"]
    assert [link.outside and link.outside.interface for link in topology.links[1:]] == [
        "lab-a",
        "a-very-long-name-on-the-host",
    ]
    assert topology.links[2].endpoints[0].node == "b"
    (note,) = notes(load(text.replace("box: {kind: host}", "box: {kind: host, exec: [reboot]}")))
    assert note.endswith("box: 'exec' is not run: the lab runs no command on this host for a topology")


def test_address_of_the_hosts_end_has_no_effect(load: Load, two: Two) -> None:
    link = '{endpoints: ["host:lab-a", "a:eth2"], ipv4: [198.51.100.1/24, 198.51.100.2/24]}'
    topology = load(two(links=f"    - {link}\n"))
    assert str(topology.links[1].endpoints[0].ipv4) == "198.51.100.2/24"
    (note,) = notes(topology)
    assert "the address has no effect" in note


@pytest.mark.parametrize(
    ("link", "what"),
    [
        ("{type: host, endpoint: {node: a, interface: eth2}}", "the key 'host-interface' is missing"),
        ("{type: vxlan, endpoint: {node: a, interface: eth2}, vni: 1}", "the key 'remote' is missing"),
        ("{type: vxlan, endpoint: {node: a, interface: x}, vni: 0, remote: 192.0.2.9}", "'0' is not a whole number"),
        (
            "{type: macvlan, endpoint: {node: a, interface: x}, host-interface: e, mode: x}",
            "'x' is not one of 'private'",
        ),
        ('{endpoints: ["a:eth1", "host:lab-a"]}', "the interface 'a:eth1' is already used by another link"),
    ],
)
def test_mistake_in_a_link_to_the_host(refuse: Refuse, two: Two, link: str, what: str) -> None:
    (line,) = refuse(two(links=f"    - {link}\n"))
    assert what in line


# --- the management network ------------------------------------------------------------------------------------

SILENT = """\
name: x
topology:
  defaults: {kind: linux, image: x}
  nodes:
    aa: {%s}
    bb:
    cc: {network-mode: none}
"""


def modes(topology: Topology) -> list[str]:
    return [node.network_mode for node in topology.nodes.values()]


def test_file_that_says_nothing_has_no_management_network_and_a_note(load: Load) -> None:
    topology = load(SILENT % "")
    assert (topology.management, modes(topology)) == (None, ["none", "none", "none"])
    (note,) = notes(topology)
    assert note.startswith("lab.yml:5 aa, bb: in containerlab's management network")
    assert note.endswith("here only with --mgmt")


@pytest.mark.parametrize(
    ("keys", "top", "option"),
    [
        ("ports: ['8080:80']", "", False),
        ("mgmt-ipv4: 172.20.20.5", "", False),
        ("aliases: [www]", "", False),
        ("network-mode: bridge", "", False),
        ("", "mgmt: {}\n", False),
        ("", "", True),
    ],
)
def test_management_network_is_there_when_the_file_or_the_user_asks(
    load: Load, keys: str, top: str, option: bool
) -> None:
    topology = load(SILENT % keys + top, mgmt=option)
    assert topology.management is not None
    assert topology.management.network == "clab"
    assert modes(topology) == ["bridge", "bridge", "none"]
    assert notes(topology) == []
    again = load(dump(topology))
    assert again == topology


def test_settings_of_the_management_network(load: Load, valid: Callable[[str], bool]) -> None:
    top = (
        "mgmt: {network: net, bridge: br-net, ipv4-subnet: 172.31.5.0/24, ipv4-gw: 172.31.5.9,"
        " ipv4-range: 172.31.5.128/25, ipv6-subnet: '2001:db8:5::/64', mtu: 1400, driver-opts: {a: b}}\n"
    )
    text = SILENT % "mgmt-ipv4: 172.31.5.3, mgmt-ipv6: '2001:db8:5::3'" + top
    topology = load(text)
    assert valid(text)
    assert topology.management is not None
    assert str(topology.management.ipv4_range) == "172.31.5.128/25"
    assert str(topology.nodes["aa"].mgmt_ipv6) == "2001:db8:5::3"
    assert load(dump(topology)) == topology


@pytest.mark.parametrize(
    ("keys", "top", "what"),
    [
        ("ports: ['80:x']", "", "'80:x' is not a port to publish"),
        ("ports: ['8000-8001:80-82']", "", "is not a port to publish"),
        ("ports: ['70000:80']", "", "is not a port to publish"),
        ("ports: ['300.0.0.1:80:80']", "", "is not a port to publish"),
        ("ports: ['80:0']", "", "is not a port to publish"),
        ("mgmt-ipv4: 10.0.0.1/24", "", "'10.0.0.1/24' is not an IPv4 address"),
        (
            "mgmt-ipv4: 10.0.0.1",
            "mgmt: {ipv4-subnet: 172.31.5.0/24}\n",
            "10.0.0.1 is not inside the management network",
        ),
        (
            "",
            "mgmt: {ipv4-subnet: 172.31.5.0/24, ipv4-gw: 10.0.0.1}\n",
            "10.0.0.1 is not inside the subnet 172.31.5.0/24",
        ),
        ("", "mgmt: {netwrok: x}\n", "unknown key 'netwrok'; did you mean 'network'?"),
        ("network-mode: bridged", "", "unknown network mode 'bridged'"),
        ("network-mode: 'container:'", "", "unknown network mode 'container:'"),
        ("network-mode: 'container:bb', ports: [80]", "", "'ports' needs the management network"),
        ("network-mode: 'container:aa'", "", "'aa' waits for the network namespace of 'aa', which waits for it"),
        ("network-mode: host, config: {vars: {router: {asn: 1}}}", "", "'aa' has keys of the lab's"),
    ],
)
def test_mistake_in_a_network_mode_or_the_management_network(refuse: Refuse, keys: str, top: str, what: str) -> None:
    (line,) = refuse(SILENT % keys + top)
    assert what in line


@pytest.mark.parametrize(
    "port",
    [
        "80",
        "8080:80",
        "127.0.0.1:8080:80/tcp",
        "[::1]:53:53/udp",
        "8000-8002:80-82",
        "8000-8001:80",
        "0:80",
        "80/TCP",
        "127.0.0.1::80",
    ],
)
def test_ports_as_docker_spells_them(load: Load, port: str) -> None:
    assert load(SILENT % f"ports: ['{port}']").nodes["aa"].ports == (port,)


def test_nearest_list_of_ports_wins(load: Load) -> None:
    text = (SILENT % "ports: [81]").replace("image: x", "image: x, ports: [80]")
    assert [node.ports for node in load(text).nodes.values()] == [("81",), ("80",), ("80",)]


def test_network_namespace_of_another_container(load: Load) -> None:
    topology = load(SILENT % "network-mode: 'container:bb'")
    assert modes(topology) == ["container:bb", "none", "none"]
    assert launch_order(topology) == [["bb", "cc"], ["aa"]]
    assert launch_order(load(SILENT % "network-mode: 'container:another'")) == [["aa", "bb", "cc"]]


# --- the file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["# {{ .Names }}", "  # 'a' {{- .State.Pid -}} {{/* x */}}", '# {{ "x" }}'])
def test_template_in_a_comment_is_accepted(load: Load, two: Two, line: str) -> None:
    load(two(top=f"{line}\n"))


@pytest.mark.parametrize("line", ["# {{ x }}", "# {{ .x", "# {{ .x | y }}"])
def test_braces_without_a_template_are_refused_in_a_comment_too(refuse: Refuse, two: Two, line: str) -> None:
    """containerlab: "function x not defined", "unclosed action"."""
    (found,) = refuse(two(top=f"{line}\n"))
    assert "the lab does not support Go templates" in found


@pytest.mark.parametrize("keys", ["cmd: 'echo # {{ x }}'", 'cmd: "{{ x }}"', "cmd: a#{{ x }}"])
def test_template_elsewhere_is_refused(refuse: Refuse, two: Two, keys: str) -> None:
    (line,) = refuse(two(a=keys))
    assert "the lab does not support Go templates" in line


def test_setting_without_effect_is_noted(load: Load, two: Two) -> None:
    (note,) = notes(load(two(top="debug: true\n")))
    assert "'debug' has no effect" in note


def test_certificate_is_inherited_key_by_key(load: Load, two: Two) -> None:
    levels = (
        "  defaults: {certificate: {issue: true, key-size: 4096, sans: [default.example]}}\n"
        "  kinds: {linux: {certificate: {validity-duration: 720h}}}\n"
        "  groups: {g: {certificate: {key-size: 0, validity-duration: 24h, sans: []}}}\n"
    )
    text = two(a="group: g", b="certificate: {issue: false}").replace("topology:\n", f"topology:\n{levels}")
    topology = load(text)
    assert topology.nodes["a"].certificate == Certificate(
        issue=True, key_size=4096, validity_duration="24h", sans=("default.example",)
    )
    assert not topology.nodes["b"].certificate.issue
    assert load(dump(topology)) == topology


def test_settings_of_the_authority(load: Load, refuse: Refuse, two: Two, tmp_path: Path) -> None:
    def text(settings: str) -> str:
        return two(top=f"settings: {{certificate-authority: {{{settings}}}}}\n")

    (tmp_path / "ca.pem").touch()
    file = tmp_path / "lab.yml"
    made = load(text("key-size: 4096, validity-duration: 8760h"), file=file)
    assert made.settings.certificate_authority.key_size == 4096
    assert load(dump(made), file=file) == made
    (note,) = notes(load(text("cert: ca.pem"), file=file))
    assert note.endswith("'cert' has no effect without 'key': the lab makes an authority")
    (line,) = refuse(text("cert: ca.pem, key: ca.key"), file=file)
    assert line.endswith("settings.certificate-authority.key: the file 'ca.key' does not exist")
    (tmp_path / "ca.key").touch()
    theirs = load(text("cert: ca.pem, key: ca.key"), file=file).settings.certificate_authority
    assert (theirs.cert, theirs.key) == (str(tmp_path / "ca.pem"), str(tmp_path / "ca.key"))
    (line,) = refuse(text("validity: 1h"), file=file)
    assert "unknown key 'validity'; did you mean 'validity-duration'?" in line
    (line,) = refuse(two(top="settings: {ssh: {}}\n"), file=file)
    assert "unknown key 'ssh'" in line


def test_node_with_the_authoritys_name_gets_no_certificate(refuse: Refuse) -> None:
    (line,) = refuse("name: x\ntopology: {nodes: {ca: {kind: linux, image: x, certificate: {issue: true}}}}\n")
    assert "a certificate of the node 'ca' would take the place of the authority's; name the node otherwise" in line


def test_cgroup_is_docker_s_to_make_and_stays(load: Load, two: Two) -> None:
    topology = load(two(a="cgroup-parent: labs.slice, cgroupns-mode: private"))
    node = topology.nodes["a"]
    assert (node.cgroup_parent, node.cgroupns_mode) == ("labs.slice", "private")
    (note,) = notes(topology)
    assert note.endswith("a: the cgroup 'labs.slice' stays when the lab is taken down")


def test_pid_namespace_of_another_container(load: Load, two: Two) -> None:
    topology = load(two(a="pid-mode: 'container:b'", b="pid-mode: container:other"))
    assert [topology.nodes[name].pid_mode for name in "ab"] == ["container:b", "container:other"]
    assert launch_order(topology) == [["b"], ["a"]]
    assert load(dump(topology)) == topology


@pytest.mark.parametrize("key", ["ipv4-gw: 192.0.2.1", "ipv6-gw: 2001:db8::1", "ipv6-range: 2001:db8::/64"])
def test_part_of_a_management_network_without_its_subnet(refuse: Refuse, two: Two, key: str) -> None:
    (line,) = refuse(two(top=f"mgmt: {{{key}}}\n"))
    assert line.endswith("is not inside the subnet of the network")
    assert f"mgmt.{key.partition(':')[0]}" in line


def test_prefix_of_the_other_family_has_no_hint_on_bits(refuse: Refuse, two: Two) -> None:
    (line,) = refuse(two(top="mgmt: {ipv6-subnet: 192.0.2.0/24}\n"))
    assert line.endswith("'192.0.2.0/24' is not an IPv6 prefix or 'auto'")


def test_name_from_a_repository_is_refused(refuse: Refuse, two: Two) -> None:
    (line,) = refuse(two().replace("name: two", "name: lab-__gitBranch__"))
    assert "the lab does not support '__gitBranch__' and '__gitHash__'" in line


INSIDE = """\
name: x
topology:
  nodes:
    "br1|b": {kind: bridge, network-mode: "container:b"}
    b: {kind: linux, image: x, network-mode: none}
    c: {kind: linux, image: x, network-mode: none}
  links:
    - endpoints: ["c:eth1", "br1|b:port"]
    - endpoints: ["b:eth1", "c:eth2"]
"""


def test_bridge_in_the_namespace_of_a_node(load: Load) -> None:
    topology = load(INSIDE)
    assert (list(topology.nodes), topology.nodes["b"].bridges) == (["b", "c"], ("br1",))
    ends = [(end.node, end.interface, end.bridge) for link in topology.links for end in link.endpoints]
    assert ends == [("c", "eth1", None), ("b", "port", "br1"), ("b", "eth1", None), ("c", "eth2", None)]
    assert load(dump(topology)) == topology


@pytest.mark.parametrize(
    ("was", "now", "what"),
    [
        ('"container:b"}', '"container:c"}', "write 'network-mode: container:node'"),
        (', network-mode: "container:b"}', "}", "write 'network-mode: container:node'"),
        ('"br1|b"', "br1", "write 'network-mode: container:node'"),
        ('"br1|b": {kind: bridge', '"br1|b": {kind: ovs-bridge', "invalid node name 'br1|b'"),
        ('"br1|b": {kind: bridge, network-mode: "container:b"}', '"br1|d": {kind: bridge, network-mode: "container:d"}',
         "there is no node 'd' for the bridge to be in"),
        ("  links:\n", '  links:\n    - {endpoints: ["c:eth3", "br1|b:p"], ipv4: ["", 192.0.2.1/24]}\n',
         "is a port of a bridge and cannot have an address"),
    ],
)  # fmt: skip
def test_mistake_in_a_bridge_in_a_node(refuse: Refuse, was: str, now: str, what: str) -> None:
    text = INSIDE.replace(was, now)
    if "'d'" in what or "ovs" in now or was == '"br1|b"':
        text = text.replace('    - endpoints: ["c:eth1", "br1|b:port"]\n', "")
    (line,) = refuse(text)
    assert what in line


def test_bridge_with_a_network_mode_is_refused(load: Load, refuse: Refuse) -> None:
    """containerlab 0.79: "none not a valid container reference", of which the default is one as well."""
    text = "name: x\ntopology:\n  %s\n  nodes: {sw: {kind: %s%s}, a: {kind: linux, image: x}}\n"
    for given in ((DEFAULT, "bridge", ""), ("kinds: {}", "bridge", ", network-mode: host")):
        (line,) = refuse(text % given)
        assert "with which containerlab refuses it; set it under 'kinds', 'linux'" in line
    load(text % (DEFAULT, "ovs-bridge", ""))
    load(text % ("kinds: {linux: {network-mode: none}}", "bridge", ""))


DEFAULT = "defaults: {network-mode: none}"

IN_THE_HOSTS_NETWORK = [
    '{endpoints: ["b:eth2", "host:lab-a"]}',
    '{endpoints: ["b:eth2", "mgmt-net:lab-a"]}',
    '{endpoints: ["b:eth2", "sw:lab-a"]}',
    "{type: veth, endpoints: [{node: host, interface: lab-a}, {node: b, interface: eth2}]}",
]


@pytest.mark.parametrize("link", IN_THE_HOSTS_NETWORK)
def test_names_in_the_host_s_network_are_used_once(refuse: Refuse, two: Two, link: str) -> None:
    links = f'    - {link}\n    - {{endpoints: ["a:eth2", "host:lab-a"]}}\n'
    for text in (links, "".join(links.splitlines(keepends=True)[::-1])):
        (line,) = refuse(two(links=text).replace("  links:\n", "    sw: {kind: bridge}\n  links:\n"))
        assert "lab-a" in line
        assert "see line 9" in line


def test_host_in_a_link_with_a_type(load: Load, two: Two) -> None:
    ends = "[{node: host, interface: lab-a}, {node: b, interface: eth2}]"
    link = load(two(links=f"    - {{type: veth, endpoints: {ends}}}\n")).links[1]
    assert (link.kind, link.outside and link.outside.interface) == ("host", "lab-a")
    assert [end.node for end in link.endpoints] == ["b"]


@pytest.mark.parametrize("kind", ["bridge", "ovs-bridge", "ext-container", "host"])
def test_missing_files_are_refused_for_nodes_that_are_no_containers(refuse: Refuse, two: Two, kind: str) -> None:
    keys = 'binds: ["missing:/x"], env-files: [missing], ports: [x], volumes: [x, "a:/b", "a:/c:ro:x", "/a:/d"]'
    found = refuse(two().replace("  links:\n", f"    other: {{kind: {kind}, {keys}}}\n  links:\n"))
    assert len(found) == 5
    assert "'a:/c:ro:x' is not a volume" in found[-2]
    if kind in ("ext-container", "host"):
        (line,) = refuse(two().replace("  links:\n", f"    other: {{kind: {kind}, license: missing}}\n  links:\n"))
        assert "the file 'missing' does not exist" in line


@pytest.mark.parametrize("kind", ["bridge", "ovs-bridge", "ext-container", "host"])
@pytest.mark.parametrize("key", ["mgmt-ipv4: 172.20.20.9", "mgmt-ipv6: '3fff:172:20:20::9'"])
def test_address_of_a_node_that_is_no_container_is_taken(refuse: Refuse, two: Two, kind: str, key: str) -> None:
    """containerlab 0.79: `management IP address … appeared more than once in the topology file`."""
    (line,) = refuse(two(a=key).replace("  links:\n", f"    other: {{kind: {kind}, {key}}}\n  links:\n"))
    assert "is already that of 'a'" in line


@pytest.mark.parametrize("key", ["mtu", "external-access", "skip-when-unused", "driver-opts"])
def test_empty_text_in_the_management_network(load: Load, refuse: Refuse, two: Two, key: str) -> None:
    """containerlab 0.79: ``cannot unmarshal !!str `` into int``; a key without a value is as none."""
    assert load(two(top=f"mgmt: {{{key}: }}\n"))
    assert load(two(top="mgmt: {network: '', bridge: '', ipv4-subnet: '', ipv6-gw: ''}\n"))
    (line,) = refuse(two(top=f"mgmt: {{{key}: ''}}\n"))
    assert f"mgmt.{key}: '' is not" in line


def test_link_with_an_empty_type_is_a_brief_one(load: Load, two: Two) -> None:
    (link,) = load(two(link='type: "", ipv4: [" 10.0.0.1/24 "]')).links
    assert (link.kind, str(link.endpoints[0].ipv4)) == ("veth", "10.0.0.1/24")
