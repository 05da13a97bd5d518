"""A corpus for `lab advise`: pairs of an OpenVPN server and a client with their own files, all nodes of one lab."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from textwrap import dedent

from lab.advise import Subject
from lab.catalogue import load
from lab.check.advised.scene import Scene
from lab.check.advised.scenes import hold_of, timeouts_of
from lab.core.prefixes import Address, Prefix
from lab.core.process import this_process
from lab.runtime.lab import Lab
from tests.helpers.labs import new_name

SERVER = """
dev tun0
proto udp4
port 1194
topology subnet
disable-dco
server 10.8.0.0 255.255.255.0
ca ca.crt
cert {server}.crt
key {server}.key
dh none
client-config-dir ccd
keepalive 10 60
persist-tun
verb 4
"""
CLIENT = """
client
dev tun0
proto udp4
remote {outer} 1194
nobind
disable-dco
ca ca.crt
cert {client}.crt
key {client}.key
verb 4
"""
BEHIND: Mapping[Prefix, Address] = {
    ip_network(network): ip_address(address)
    for network, address in (("10.2.0.0/24", "10.2.0.1"), ("10.3.0.0/24", "10.3.0.1"), ("fd00:2::/64", "fd00:2::1"))
}
"""The networks behind each client, with an address in each."""
BEHIND_SERVER: Mapping[Prefix, Address] = {
    ip_network("10.1.0.0/24"): ip_address("10.1.0.1"),
    ip_network("fd00:1::/64"): ip_address("fd00:1::1"),
}
DISTURBED = (
    "second-client",
    "overlapping-iroutes",
    "quick-reconnect",
    "no-exit-notify",
    "topology-default",
    "route-quota",
    "path-mtu",
    "hold-time",
    "dead-interval",
    "bfd-jitter",
    "idle-restart",
    "address-change",
    "recursive-routing",
)
"""The rules whose failures are seen only when a pair is disturbed."""
KEEPS = "persist-tun\n"
V6 = "server-ipv6 fd00:8::/64\n"
PUSH = 'push "route 10.1.0.0 255.255.255.0"\n'
ADDRESS = "ifconfig-push 10.8.0.2 255.255.255.0\n"
ADDRESS_6 = ADDRESS + "ifconfig-ipv6-push fd00:8::2/64 fd00:8::1\n"
ALL = "iroute 0.0.0.0 0.0.0.0\niroute-ipv6 ::/0\n"
FIRST = "iroute 10.2.0.0 255.255.255.0\n"
OPEN = " no bgp ebgp-requires-policy\n"


def frr(
    asn: int,
    neighbor: str,
    peer: int,
    networks: Sequence[str],
    options: str = OPEN,
    in_family: str = "",
    after: str = "",
) -> str:
    """Return a frr.conf with one neighbour for both families."""
    ipv4 = "".join(f"  network {n}\n" for n in networks if ":" not in n)
    ipv6 = "".join(f"  network {n}\n" for n in networks if ":" in n)
    return (
        f"frr defaults traditional\nrouter bgp {asn}\n{options} timers bgp 3 9\n"
        f" neighbor {neighbor} remote-as {peer}\n neighbor {neighbor} timers connect 1\n"
        f" address-family ipv4 unicast\n{ipv4}{in_family} exit-address-family\n"
        f" address-family ipv6 unicast\n{ipv6}  neighbor {neighbor} activate\n{in_family}"
        f" exit-address-family\nexit\n{after}"
    )


@dataclass(frozen=True)
class Pair:
    """A server and a client, on a link of their own. Behind the client are 10.2/24, 10.3/24 and fd00:2::/64."""

    name: str
    server: str
    client: str = CLIENT + KEEPS
    options: str = ADDRESS + FIRST
    """The client's file in `client-config-dir`."""
    routers: Mapping[str, str] = field(default_factory=dict)
    """The frr.conf or bird.conf of each end."""
    learns: tuple[str, ...] = ("10.2.0.0/24", "10.3.0.0/24", "fd00:2::/64")
    """Prefixes that the server's daemon, if it has one, learns."""
    script: str = ""
    """The server's `client-connect` script."""
    session: bool = True
    """False if the routers' session stays down."""
    up: bool = True
    """False if it is not certain that data passes."""
    ready: str = "Initialization Sequence Completed"
    """The line of the client's log after which data can be tried, unless `up` is True."""
    second: bool = False
    """True if a second client, with the same files, is on a link of its own."""
    options_of_second: str = ""
    """The second client's file in `client-config-dir`, if it is not the first one's with another address."""
    image: str = ""
    """The image of its nodes, if it is not the lab's."""
    client_image: str = ""
    """The image of the clients' nodes, if it is another one."""
    all_clients: bool = False
    """True if the options are those of any client, in the file `DEFAULT`."""

    def daemon(self, end: str) -> str:
        """Return the daemon of an end, `s` or `c`."""
        return "bird" if "protocol " in self.routers.get(end, "") else "frr"

    def image_of(self, end: str) -> str:
        """Return the image of an end's node; empty for the lab's."""
        return self.image if end == "s" else self.client_image or self.image

    @property
    def server_node(self) -> str:
        """The name of the server's node."""
        return f"{self.name}-s"

    @property
    def client_node(self) -> str:
        """The name of the client's node."""
        return f"{self.name}-c"

    @property
    def second_node(self) -> str:
        """The name of the second client's node."""
        return f"{self.name}-d"


def routed(options: str = OPEN) -> dict[str, str]:
    return {
        "s": frr(65001, "10.8.0.2", 65002, ("10.1.0.0/24", "fd00:1::/64"), options),
        "c": frr(65002, "10.8.0.1", 65001, ("10.2.0.0/24", "10.3.0.0/24", "fd00:2::/64"), options),
    }


def between(server: str = "", client: str = "", at: tuple[str, str] = ("10.8.0.1", "10.8.0.2")) -> dict[str, str]:
    """Return routers whose sessions have options at the server and the client, between two addresses."""
    found = {}
    for (end, text), here, far, option in zip(
        routed().items(), ("10.8.0.2", "10.8.0.1"), reversed(at), (server, client), strict=True
    ):
        connects = f" neighbor {far} timers connect 1\n"
        added = f" neighbor {far} {option}\n" if option else ""
        found[end] = text.replace(here, far).replace(connects, connects + added)
    return found


def with_bfd(multiplier: int, interval: int) -> dict[str, str]:
    """Return routers whose sessions have BFD with an interval in milliseconds at both ends."""
    profile = f"detect-multiplier {multiplier}\n transmit-interval {interval}\n receive-interval {interval}\n"
    section = f"bfd\n profile own\n {profile} exit\nexit\n"
    return {end: text + section for end, text in between("bfd profile own", "bfd profile own").items()}


def with_policies(server: str = "", client: str = "", after: str = "") -> dict[str, str]:
    """Return routers whose sessions have policies of each family, such as `route-map NAME in`, defined in `after`."""
    found = {}
    for end, neighbor, asn, peer, networks, policy in (
        ("s", "10.8.0.2", 65001, 65002, ("10.1.0.0/24", "fd00:1::/64"), server),
        ("c", "10.8.0.1", 65002, 65001, ("10.2.0.0/24", "10.3.0.0/24", "fd00:2::/64"), client),
    ):
        line = f"  neighbor {neighbor} {policy}\n" if policy else ""
        found[end] = frr(asn, neighbor, peer, networks, OPEN, line, after)
    return found


NAT = "client-nat snat 10.8.0.2 255.255.255.255 10.8.0.77\n"
"""The server sees the client at another address."""


def aliased(option: str) -> dict[str, str]:
    """Return routers of a client whose address is translated."""
    return between(option, option, at=("10.8.0.1", "10.8.0.77"))


AWAY = "route-map AWAY permit 10\n set ip next-hop 192.0.2.77\nexit\n"
LED = "route 10.2.0.0 255.255.255.0\n"
PAIRS = (
    Pair("sound", SERVER + V6, options=ADDRESS_6 + ALL, routers=routed()),
    Pair("bare", SERVER + V6, options=ADDRESS_6, routers=routed()),
    Pair("half", SERVER + V6, CLIENT, options=ADDRESS_6 + ALL.split("\n")[0] + "\n", routers=routed()),
    Pair("fixed", SERVER + V6, options=ADDRESS_6 + FIRST + "iroute-ipv6 fd00:2::/64\n", routers=routed()),
    Pair("strict", SERVER + V6, options=ADDRESS_6 + ALL, routers=routed(""), learns=()),
    Pair(
        "misnamed",
        SERVER + V6,
        options=ADDRESS_6 + ALL,
        routers=with_policies("route-map SITES in", after="route-map SITE permit 10\nexit\n"),
        learns=(),
    ),
    # A list of IPv4 is none for IPv6.
    Pair(
        "unlisted",
        SERVER + V6,
        options=ADDRESS_6 + FIRST + "iroute-ipv6 fd00:2::/64\n",
        routers=with_policies(client="prefix-list SITES out", after="ip prefix-list SITES permit any\n"),
        learns=("10.2.0.0/24", "10.3.0.0/24"),
    ),
    Pair(
        "elsewhere",
        SERVER + V6,
        options=ADDRESS_6 + ALL,
        routers=with_policies(client="route-map AWAY out", after=AWAY),
        learns=("fd00:2::/64",),
    ),
    Pair("written", SERVER + PUSH + LED + 'route 10.3.0.0 255.255.255.0\npush "iroute 10.2.0.0 255.255.255.0"\n'),
    Pair("unled", SERVER + PUSH),
    Pair("direct", SERVER + PUSH + LED + "client-to-client\n", options=ADDRESS + "iroute 10.0.0.0 255.0.0.0\n"),
    Pair("narrow", SERVER + PUSH + LED + "client-to-client\ntun-mtu 1400\n"),
    Pair("replaced", SERVER + PUSH + LED, CLIENT + KEEPS + "keepalive 4 16\n"),
    Pair("kept", SERVER + PUSH + LED, CLIENT + KEEPS + 'keepalive 4 16\npull-filter ignore "ping"\n'),
    Pair(
        "unpulled",
        SERVER + PUSH + LED,
        CLIENT.replace("client\n", "tls-client\ntopology subnet\nifconfig 10.8.0.2 255.255.255.0\n", 1) + KEEPS,
        up=False,
        ready="failed to negotiate cipher",
    ),
    Pair("past", SERVER, options=ADDRESS, routers=between(at=("{server_outer}", "{client_outer}")), learns=()),
    Pair(
        "guarded",
        SERVER,
        options=ADDRESS + ALL,
        routers=between("ttl-security hops 1"),
        learns=(),
        session=False,
    ),
    Pair("aliased", SERVER, CLIENT + KEEPS + NAT, options=ADDRESS + ALL, routers=aliased(""), learns=("10.2.0.0/24",)),
    Pair(
        "signed",
        SERVER,
        CLIENT + KEEPS + NAT,
        options=ADDRESS + ALL,
        routers=aliased("password s3cret"),
        learns=(),
        session=False,
    ),
    # On 2.6 even the client's own address expires.
    Pair("idle", SERVER.replace("verb 4", "verb 7") + PUSH + LED + "stale-routes-check 2 2\n", up=False),
    Pair("halved", SERVER + PUSH + LED + "fragment 1300\n", up=False),
)


def write_lab(directory: Path, name: str, image: str, pairs: Sequence[Pair]) -> Path:
    """Write the files of pairs and a topology with them."""
    nodes, links = [], []
    for number, pair in enumerate(pairs):
        ends = [(pair.server_node, pair.server, "s"), (pair.client_node, pair.client, "c")]
        ends += [(pair.second_node, pair.client, "d")] * pair.second
        for node, text, end in ends:
            ours, theirs = (f"{'203.0.113' if end == 'd' else '198.51.100'}.{4 * number + n}" for n in (1, 2))
            names = {"server": pair.server_node, "client": node, "outer": ours, "first": pair.client_node}
            home = directory / node / "etc"
            (home / "openvpn" / "ccd").mkdir(parents=True)
            (home / "openvpn" / "tunnel.conf").write_text(text.format(**names))
            vars_ = f"openvpn: [{{config: {node}/etc/openvpn/tunnel.conf}}]"
            if end == "s":
                of = "DEFAULT" if pair.all_clients else pair.client_node
                (home / "openvpn" / "ccd" / of).write_text(pair.options)
            if end == "s" and pair.second and not pair.all_clients:
                options = pair.options_of_second or pair.options.replace("10.8.0.2", "10.8.0.3")
                (home / "openvpn" / "ccd" / pair.second_node).write_text(options)
            if end == "s" and pair.script:
                (home / "openvpn" / "connect.sh").write_text(pair.script)
                (home / "openvpn" / "connect.sh").chmod(0o755)
            if end in pair.routers:
                daemon = pair.daemon(end)
                (home / daemon).mkdir()
                at = pair.routers[end].replace("{server_outer}", ours).replace("{client_outer}", theirs)
                (home / daemon / f"{daemon}.conf").write_text(at)
                vars_ += f", router: {{daemon: {daemon}, config: [{node}/etc/{daemon}/{daemon}.conf]}}"
            of_its_own = f', image: "{own}"' if (own := pair.image_of(end)) else ""
            nodes.append(f"    {node}: {{group: router{of_its_own}, config: {{vars: {{{vars_}}}}}}}")
            if end != "s":
                there = f'["{pair.server_node}:eth{2 if end == "d" else 1}", "{node}:eth1"]'
                links.append(f"    - {{endpoints: {there}, ipv4: [{ours}/30, {theirs}/30]}}")
    head = dedent(
        f"""\
        name: {name}
        topology:
          defaults: {{kind: linux, image: "{image}", network-mode: none}}
          groups:
            router:
              sysctls: {{net.ipv4.ip_forward: 1, net.ipv6.conf.all.forwarding: 1}}
        """
    )
    file = directory / f"{name}.clab.yml"
    file.write_text(head + "  nodes:\n" + "\n".join(nodes) + "\n  links:\n" + "\n".join(links) + "\n")
    return file


def scene_of(lab: Lab, pair: Pair, subjects: Mapping[str, Subject], behind: Mapping[Prefix, Address] = BEHIND) -> Scene:
    """Return a pair's tunnel with the networks behind its ends; `subjects` are those of the lab's topology by name."""
    tunnel = lab.tunnel(pair.client_node, pair.server_node)
    server = subjects[f"{tunnel.name}: server on {pair.server_node}"]
    client = subjects[f"{tunnel.name}: client on {pair.client_node}"]
    return Scene(
        lab,
        tunnel,
        server.end,
        client.end,
        client_options=server.client_options,
        behind_client=behind,
        behind_server=BEHIND_SERVER,
        common_name=client.common_name,
        timeouts=timeouts_of({"server": server, "client": client}),
        hold=hold_of(server),
    )


@contextmanager
def deployed(directory: Path, version: str, pairs: Sequence[Pair]) -> Iterator[Lab]:
    """Deploy all pairs in one lab with a version of OpenVPN, with addresses behind both ends of each."""
    name = new_name()
    file = write_lab(directory, name, f"openvpn-routing-lab/node:{version}", pairs)
    lab = Lab.deploy(load(file), directory=directory / "labs" / name, wait=False, owner=this_process())
    try:
        for pair in pairs:
            for node, addresses in ((pair.server_node, BEHIND_SERVER), (pair.client_node, BEHIND)):
                for network, address in addresses.items():
                    length = network.prefixlen
                    lab.node(node).exec("ip", "addr", "add", f"{address}/{length}", "dev", "lo").raise_on_error()
        yield lab
    finally:
        lab.destroy()
