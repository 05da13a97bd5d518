"""Values of a node that containerlab, or Docker for it, refuses: each was tried with containerlab 0.79."""

from collections.abc import Callable

import pytest

from lab.topology import Topology

Load = Callable[..., Topology]
Refuse = Callable[..., list[str]]
Two = Callable[..., str]

REFUSED = [
    ('entrypoint: "sh \'x"', "cannot be split into words: no closing quotation"),
    ("cmd: 'sh \\'", "cannot be split into words: no escaped character"),
    ('exec: [ls, "echo \'x"]', "cannot be split into words: no closing quotation"),
    (
        'stages: {configure: {exec: [{command: "echo \'x", phase: on-exit}]}}',
        "cannot be split into words: no closing quotation",
    ),
    ("cpu-set: a-b", "'a-b' is not a list of CPUs; write it as '0-2,4'"),
    ("cpu-set: '-1'", "'-1' is not a list of CPUs"),
    ("cpu-set: '3-1'", "'3-1' is not a list of CPUs"),
    ("memory: 5MB", "'5MB' is too little memory: a container has 6 MiB or more"),
    ("memory: 6291455", "'6291455' is too little memory"),
    ("cap-add: [NET_BOGUS]", "unknown capability 'NET_BOGUS'"),
    ("cap-add: [NET_ADMN]", "unknown capability 'NET_ADMN'; did you mean 'NET_ADMIN'?"),
    ("cap-add: ['']", "unknown capability ''"),
    ("devices: [null]", "missing value, expected a text"),
    ("devices: ['/dev/null:/dev/x:r']", "'/dev/null:/dev/x:r' is not the path of a device; write it as '/dev/net/tun'"),
    ("devices: [dev/null]", "'dev/null' is not the path of a device"),
    ("security-opts: [bogus]", "'bogus' is not a security option; the options are 'apparmor', 'label',"),
    ("security-opts: ['bogus=x']", "'bogus=x' is not a security option"),
    ("security-opts: [apparmor]", "'apparmor' is not a security option"),
    ("security-opts: ['no-new-privileges:maybe']", "'no-new-privileges:maybe' is not a security option"),
    ("security-opts: ['seccomp=/no/such.json']", "'seccomp=/no/such.json' is not a security option"),
    ("security-opts: ['systempaths=unconfined']", "'systempaths=unconfined' is not a security option"),
    ("hostname: " + 65 * "h", "a host's name has 64 characters at most"),
    ("user: '-1'", "the user '-1' has a number that is not between 0 and 2147483647"),
    ("user: 'root:99999999999'", "the user 'root:99999999999' has a number"),
    ("binds: ['/etc:/x:bogus']", "'bogus' are not options of a bind; use one each of ro|rw, z|Z, consistent|cached"),
    ("binds: ['/etc:/x:ro,rw']", "'ro,rw' are not options of a bind"),
    ("binds: ['/etc:/x:z,Z']", "'z,Z' are not options of a bind"),
    ("binds: ['/etc:/x:shared,rslave']", "'shared,rslave' are not options of a bind"),
    ("binds: ['/etc:/x:nocopy']", "'nocopy' are not options of a bind"),
    ("binds: ['/etc:/']", "nothing can be mounted in place of the root directory '/'"),
    ("volumes: ['vol:/']", "nothing can be mounted in place of the root directory '/'"),
    ("volumes: ['v:/x']", "'v:/x' is not a volume"),
    ("tmpfs: {/: ''}", "nothing can be mounted in place of the root directory '/'"),
    ("tmpfs: {x: ''}", "'x' is not an absolute path"),
    ("tmpfs: {/x: 'rw,bogus'}", "'bogus' is not an option of a tmpfs"),
    ("tmpfs: {/x: size}", "'size' is not an option of a tmpfs"),
    ("binds: ['/etc:/x', '/usr:/y/../x']", "two mounts on '/x', see line 4; leave one of them out"),
    ("binds: ['/etc:/x'], volumes: [/x/]", "two mounts on '/x', see line 4"),
    ("binds: ['/etc:/x'], tmpfs: {/x: ''}", "two mounts on '/x', see line 4"),
    (
        "binds: ['__clabDir__/x:/x']",
        "the source '__clabDir__/x' of the bind does not exist: nothing makes it in the lab's",
    ),
    ("binds: ['__clabDir__/.tls/../x:/x']", "does not exist: nothing makes it in the lab's directory"),
    ("binds: ['__clabBogus__/x:/x']", "the source '__clabBogus__/x' of the bind does not exist"),
    ("startup-config: __clabDir__/x.cfg", "the file '__clabDir__/x.cfg' does not exist"),
    ("startup-config: __clabNodeDir__/x.cfg", "the file '__clabNodeDir__/x.cfg' does not exist"),
    ("license: __clabDir__/x", "the file '__clabDir__/x' does not exist"),
]


@pytest.mark.parametrize(("key", "what"), REFUSED)
def test_value_that_containerlab_refuses(refuse: Refuse, two: Two, key: str, what: str) -> None:
    (line,) = refuse(two(a=key))
    assert line.startswith("lab.yml:4:")
    assert what in line


@pytest.mark.parametrize(
    "key",
    [
        *("entrypoint: \"sh -c 'a b'\"", 'cmd: "a # it\'s"', "cpu-set: 0", "cpu-set: '0-1,3'"),
        *("memory: 6MiB", "memory: '.5GB'", "memory: 6.GB", "memory: 1PB", "memory: '0'", "shm-size: '.5GB'"),
        *("cap-add: [cap_net_admin, NET_RAW, ALL]", "devices: [/dev/null]", "hostname: " + 64 * "h"),
        *("security-opts: [no-new-privileges, 'label:disable', 'apparmor=unconfined', 'seccomp={}']", "user: 0"),
        *("user: nobody", "user: '0:0'", "binds: ['/etc:/x:ro,z,rslave']", "binds: ['/etc:/x:']"),
        *("binds: ['/etc:/x', '/usr:/x']", "tmpfs: {/x: 'size=1m,mode=1777,noexec'}", "tmpfs: {/x: }"),
        *("binds: ['__clabDir__/.tls/ca:/x']", "binds: ['__clabDir__/ansible-inventory.yml:/x']"),
        *("binds: ['__clabDir__/topology-data.json:/x']", "binds: ['__clabNodeDir__:/x']", "binds: ['__clabDir__:/x']"),
        "volumes: ['vo:/x:ro', /y]",
    ],
)
def test_value_that_containerlab_accepts(load: Load, two: Two, key: str) -> None:
    assert load(two(a=key)).nodes["a"]


def test_address_of_an_interface_is_not_all_zero(refuse: Refuse, two: Two) -> None:
    ends = "[{node: a, interface: eth2, mac: '00:00:00:00:00:00'}, {node: b, interface: eth2}]"
    (line,) = refuse(two(links=f"    - {{type: veth, endpoints: {ends}}}\n"))
    assert "'00:00:00:00:00:00' is not a MAC address" in line


MANAGEMENT = "mgmt: {ipv4-subnet: 10.97.0.0/24, ipv6-subnet: 'fd00:97::/64'}\n"
MANAGED = """\
name: managed
topology:
  defaults: {kind: linux, image: x:1}
  nodes:
    a: {%s}
    b: {%s}
"""


@pytest.mark.parametrize(
    ("mgmt", "a", "b", "what"),
    [
        (MANAGEMENT, "mgmt-ipv4: 10.97.0.1", "", "10.97.0.1 is the address of the management network's gateway"),
        (MANAGEMENT, "mgmt-ipv6: 'fd00:97::1'", "", "fd00:97::1 is the address of the management network's gateway"),
        (MANAGEMENT, "mgmt-ipv4: 10.97.0.0", "", "10.97.0.0 is the network or broadcast address of 10.97.0.0/24"),
        (MANAGEMENT, "mgmt-ipv4: 10.97.0.255", "", "10.97.0.255 is the network or broadcast address of 10.97.0.0/24"),
        ("", "mgmt-ipv4: 10.97.0.5", "", "10.97.0.5 is not inside the management network's subnet 172.20.20.0/24"),
        (
            "mgmt: {ipv4-subnet: auto}\n",
            "mgmt-ipv4: 10.97.0.5",
            "",
            "10.97.0.5 needs a subnet, and the file gives the management network none of IPv4; set 'ipv4-subnet' under",
        ),
        (
            "mgmt: {ipv4-subnet: 10.97.0.0/24}\n",
            "mgmt-ipv6: 'fd00:97::5'",
            "",
            "fd00:97::5 needs a subnet, and the file gives the management network none of IPv6",
        ),
        ("mgmt: {bridge: abcdefghijklmnopqr}\n", "", "", "invalid bridge name 'abcdefghijklmnopqr'"),
        ("mgmt: {bridge: a/b}\n", "", "", "invalid bridge name 'a/b'"),
        ("mgmt: {ipv4-subnet: 10.97.0.0/31}\n", "", "", "the subnet 10.97.0.0/31 has no address for a node besides"),
        ("mgmt: {ipv6-subnet: 'fd00:9::/127'}\n", "", "", "the subnet fd00:9::/127 has no address for a node besides"),
        (
            "mgmt: {ipv4-subnet: 10.97.0.0/24, ipv4-gw: 10.97.0.255}\n",
            "",
            "",
            "10.97.0.255 is the network or broadcast address of 10.97.0.0/24",
        ),
        ("", "ports: ['80:80']", "ports: ['80:81']", "the port 80/tcp of this host is published twice, see line 5"),
        ("", "ports: ['80:80', '80:81/tcp']", "", "the port 80/tcp of this host is published twice"),
        (
            "",
            "ports: ['8000-8005:80-85']",
            "ports: ['127.0.0.1:8003:80']",
            "the port 8003/tcp of this host is published",
        ),
    ],
)
def test_management_that_docker_refuses(refuse: Refuse, mgmt: str, a: str, b: str, what: str) -> None:
    (line,) = refuse(MANAGED % (a, b) + mgmt)
    assert what in line


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("ports: ['80:80']", "ports: ['80:80/udp', 81:80]"),
        ("ports: ['127.0.0.1:80:80']", "ports: ['127.0.0.2:80:80']"),
        ("ports: ['80']", "ports: ['80', '8000-8005:80']"),
        ("ports: ['8000-8005:80']", "ports: ['8000:80']"),
        ("mgmt-ipv4: 172.20.20.2", "mgmt-ipv6: '3fff:172:20:20::2'"),
    ],
)
def test_management_that_docker_accepts(load: Load, a: str, b: str) -> None:
    assert load(MANAGED % (a, b)).management is not None
