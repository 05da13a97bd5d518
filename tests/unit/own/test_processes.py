"""OpenVPN processes of the user's: what their files say, and with whom they are paired."""

from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from lab.catalogue import load
from lab.routing import plan_routers
from lab.topology import Topology, TopologyError, dump, parse
from lab.topology.own import OwnProcess
from tests.helpers.configurations import CLIENT, SERVER

LINK = """
  - type: veth
    endpoints: [{node: hq, interface: eth1, ipv4: 192.0.2.1/24}, {node: branch, interface: eth1, ipv4: 192.0.2.2/24}]
"""


class Network:
    """A directory with a topology of hq and branch, and their files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def load(
        self,
        hq: str = "[{config: hq/server.conf}]",
        branch: str = "[{config: branch/office.ovpn}]",
        routers: tuple[str, str] = ("", ""),
    ) -> Topology:
        def node(items: str, router: str) -> str:
            image = "openvpn-routing-lab/node:2.7"
            keys = f"{router}openvpn: {items}"
            return f"{{kind: linux, image: '{image}', network-mode: none, config: {{vars: {{{keys}}}}}}}"

        nodes = f"    hq: {node(hq, routers[0])}\n    branch: {node(branch, routers[1])}\n"
        self.write("own.clab.yml", f"name: own\ntopology:\n  nodes:\n{nodes}  links:{LINK}")
        return load(self.directory / "own.clab.yml")


@pytest.fixture
def network(tmp_path: Path) -> Network:
    found = Network(tmp_path)
    found.write("hq/server.conf", SERVER)
    found.write("branch/office.ovpn", CLIENT)
    return found


def process(topology: Topology, name: str) -> OwnProcess:
    (found,) = (each for each in topology.processes if each.name == name)
    return found


def mistakes(network: Network, **items: Any) -> str:
    with pytest.raises(TopologyError) as raised:
        network.load(**items)
    return str(raised.value)


def test_a_client_and_its_server_are_a_tunnel(network: Network) -> None:
    topology = network.load()
    (tunnel,) = topology.tunnels
    assert (tunnel.name, tunnel.server, tunnel.client) == ("branch-hq", "hq", "branch")
    assert (tunnel.mode, tunnel.transport, tunnel.port, tunnel.shared) == ("own", "udp", 1194, None)
    assert (tunnel.own_server, tunnel.own_client) == ("hq-server", "branch-office")
    assert [str(a) for a in tunnel.server_at.inner] == ["10.8.0.1/24", "2001:db8:8::1/64"]
    assert tunnel.client_at.inner == ()
    assert (str(tunnel.server_outer), str(tunnel.client_outer)) == ("192.0.2.1", "192.0.2.2")


def test_options_that_a_file_lacks_are_given_as_arguments(network: Network) -> None:
    server = process(network.load(), "hq-server")
    assert server.arguments[:2] == ("--dev", "tun0")
    assert "--management /run/openvpn/hq-server.sock unix" in " ".join(server.arguments)
    assert server.management == PurePosixPath("/run/openvpn/hq-server.sock")
    (file,) = (f for f in server.files if f.path == server.path)
    assert (file.source, file.commented, file.replaced) == (network.directory / "hq/server.conf", (), {})


def test_a_client_gets_the_addresses_of_its_file_on_the_server(network: Network) -> None:
    network.write("hq/ccd/DEFAULT", "ifconfig-push 10.8.0.77 255.255.255.0\nifconfig-ipv6-push 2001:db8:8::77/64\n")
    (tunnel,) = network.load().tunnels
    assert [str(a) for a in tunnel.client_at.inner] == ["10.8.0.77/24", "2001:db8:8::77/64"]


def test_files_that_a_file_names_come_along(network: Network) -> None:
    network.write("hq/ccd/branch", "iroute 0.0.0.0 0.0.0.0\n")
    network.write("hq/more.conf", "verb 4\n")
    network.write("hq/server.conf", f"{SERVER}config more.conf\nifconfig-pool-persist ipp.txt\n")
    network.write("hq/ipp.txt", "")
    network.write("hq/stranger.txt", "not named anywhere\n")
    files = {str(file.path): file for file in process(network.load(), "hq-server").files}
    for name in ("server.conf", "more.conf", "ipp.txt", "ccd/branch"):
        assert files[f"/etc/openvpn/{name}"].source == network.directory / "hq" / name
    assert not any("stranger" in path for path in files)


def test_keys_at_hand_are_readable_by_their_owner_only(network: Network) -> None:
    network.write("hq/server.conf", f"{SERVER}auth-user-pass secret.txt\n")
    network.write("hq/secret.txt", "someone\nsecret\n")
    (file,) = (f for f in process(network.load(), "hq-server").files if f.path.name == "secret.txt")
    assert file.mode == 0o600


def test_several_processes_of_a_node_have_devices_of_their_own(network: Network) -> None:
    network.write("hq/second.conf", SERVER.replace("1194", "1195").replace("10.8.0.0", "10.9.0.0"))
    network.write("hq/third.conf", SERVER.replace("1194", "1196").replace("dev tun", "dev tun0"))
    topology = network.load(hq="[{config: hq/server.conf}, {config: hq/second.conf}, {config: hq/third.conf}]")
    devices = {each.name: each.device for each in topology.processes}
    assert devices == {"hq-server": "tun1", "hq-second": "tun2", "hq-third": "tun0", "branch-office": "tun0"}
    assert "--dev" not in process(topology, "hq-third").arguments


def test_several_clients_share_their_server(network: Network) -> None:
    network.write("branch/other.ovpn", CLIENT)
    topology = network.load(branch="[{config: branch/office.ovpn}, {config: branch/other.ovpn}]")
    assert [(t.name, t.shared) for t in topology.tunnels] == [
        ("branch-office", "hq-server"),
        ("branch-other", "hq-server"),
    ]


def test_peers_are_a_tunnel_whichever_of_them_connects(network: Network) -> None:
    network.write("hq/server.conf", "dev tun\nifconfig 10.9.0.1 10.9.0.2\nsecret static.key\n")
    network.write("branch/office.ovpn", "dev tun\nifconfig 10.9.0.2 10.9.0.1\nsecret static.key\nremote 192.0.2.1\n")
    (tunnel,) = network.load().tunnels
    assert (tunnel.mode, tunnel.server, tunnel.client) == ("own-p2p", "hq", "branch")
    assert (str(tunnel.server_ipv4), str(tunnel.client_ipv4)) == ("10.9.0.1/32", "10.9.0.2/32")
    network.write("hq/server.conf", "dev tun\nifconfig 10.9.0.1 10.9.0.2\nsecret static.key\nremote 192.0.2.2\n")
    (tunnel,) = network.load().tunnels
    assert (tunnel.server, tunnel.client) == ("hq", "branch")


def test_a_client_that_does_not_pull_is_paired_with_its_server(network: Network) -> None:
    network.write("branch/office.ovpn", CLIENT.replace("client\n", "tls-client\nifconfig 10.8.0.2 255.255.255.0\n"))
    (tunnel,) = network.load().tunnels
    assert (tunnel.mode, tunnel.own_server, tunnel.own_client) == ("own", "hq-server", "branch-office")
    assert str(tunnel.client_ipv4) == "10.8.0.2/24"
    network.write("branch/office.ovpn", CLIENT.replace("client\n", "secret static.key\n"))
    assert network.load().tunnels == ()


def test_a_name_that_the_lab_does_not_know_is_guessed_by_the_port_and_told(network: Network) -> None:
    network.write("branch/office.ovpn", CLIENT.replace("192.0.2.1", "vpn.example.com"))
    topology = network.load()
    (tunnel,) = topology.tunnels
    assert tunnel.own_server == "hq-server"
    (remark,) = (r for r in topology.remarks if r.kind == "unknown")
    assert (remark.node, remark.place) == ("branch", "branch/office.ovpn:3")
    assert "vpn.example.com" in remark.what
    assert "taken for hq-server" in remark.what


def test_a_name_in_a_line_that_exec_appends_to_the_hosts_file_is_known(network: Network) -> None:
    network.write("branch/office.ovpn", CLIENT.replace("192.0.2.1", "vpn.example.com"))
    network.load()
    text = (network.directory / "own.clab.yml").read_text()
    exec_ = "exec: [\"sh -c 'echo 192.0.2.1 vpn.example.com >> /etc/hosts'\"], "
    network.write("own.clab.yml", text.replace("branch: {", f"branch: {{{exec_}"))
    topology = load(network.directory / "own.clab.yml")
    assert [tunnel.own_server for tunnel in topology.tunnels] == ["hq-server"]
    assert not [r for r in topology.remarks if r.kind == "unknown" and "remote" in r.what]


def test_a_process_without_another_end_is_told(network: Network) -> None:
    network.write("branch/office.ovpn", CLIENT.replace("1194", "1999"))
    topology = network.load()
    assert topology.tunnels == ()
    assert len(topology.processes) == 2
    (remark,) = (r for r in topology.remarks if "remote" in r.what)
    assert "no other end in this lab" in remark.what


def test_its_own_management_interface_is_used(network: Network) -> None:
    network.write("hq/server.conf", f"{SERVER}management 127.0.0.1 7505 pw\n")
    network.write("hq/pw", "secret\n")
    network.write("branch/office.ovpn", f"{CLIENT}management /var/run/office.sock unix\n")
    topology = network.load()
    server, client = process(topology, "hq-server"), process(topology, "branch-office")
    assert (server.management_tcp, server.management) == (("127.0.0.1", 7505), None)
    assert server.management_password == PurePosixPath("/etc/openvpn/pw")
    assert "--management" not in server.arguments
    assert client.management == PurePosixPath("/run/office.sock")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("hq/server.conf", "router bgp 65001\n bgp router-id 10.0.0.1\n", "does not configure an OpenVPN process"),
        ("hq/server.conf", "-----BEGIN CERTIFICATE-----\nabc\n", "hq/server.conf"),
        ("hq/server.conf", "\0\1\2", "hq/server.conf"),
        ("hq/server.conf", "", "it is an empty file"),
        ("hq/server.conf", f"{SERVER}config server.conf\n", "does it include itself"),
        ("hq/server.conf", f"{SERVER}<key>\nabc\n", "hq/server.conf:11: <key> is not closed"),
        ("hq/server.conf", "x" * (2 << 20), "longer than"),
    ],
)
def test_a_file_that_is_not_a_configuration_is_a_mistake(network: Network, name: str, text: str, words: str) -> None:
    network.write(name, text)
    found = mistakes(network)
    assert words in found
    assert "own.clab.yml:4:" in found
    assert "topology.nodes.hq.config.vars.openvpn[0]" in found


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ("[{config: hq/nothing.conf}]", "hq/nothing.conf: No such file"),
        ("[{config: hq/server.conf}, {config: hq/server.conf}]", "has a process of the name 'hq-server' already"),
        ("[{config: hq/server.conf}, {config: hq/server.conf, name: x}]", "has a file with the path"),
        ("[{config: hq/server.conf}, {config: hq/server2.conf}]", "udp port 1194 of hq is already used by the process"),
        ("[{config: hq/d1.conf}, {config: hq/d2.conf}]", "the device 'tun7' is that of the process hq-d1 already"),
        ("[{config: hq/eth.conf}]", "the device 'eth1' is that of a link already"),
        ("[{config: hq/server.conf, path: server.conf}]", "is not absolute"),
        ("[{config: hq/server.conf, name: a/b}]", "is not a name for a process"),
    ],
)
def test_items_that_contradict_each_other_are_mistakes(network: Network, items: str, words: str) -> None:
    network.write("hq/server2.conf", SERVER)
    network.write("hq/d1.conf", SERVER.replace("1194", "1201").replace("dev tun", "dev tun7"))
    network.write("hq/d2.conf", SERVER.replace("1194", "1202").replace("dev tun", "dev tun7"))
    network.write("hq/eth.conf", SERVER.replace("dev tun", "dev eth1\ndev-type tun"))
    assert words in mistakes(network, hq=items)


def test_a_topology_with_own_files_reads_back_the_same(network: Network) -> None:
    topology = network.load()
    again = load_text(dump(topology), network.directory)
    assert again.nodes == topology.nodes


def load_text(text: str, directory: Path) -> Topology:
    from lab.catalogue.reader import vocabulary

    return parse(text, directory / "again.clab.yml", vocabulary())


def test_an_include_above_its_directory_stays_in_the_tree(network: Network) -> None:
    network.write("hq/etc/openvpn/server.conf", f"{SERVER}config ../../../more.conf\n")
    network.write("hq/more.conf", "verb 4\n")
    server = process(network.load(hq="[{config: hq/etc/openvpn/server.conf}]"), "hq-server")
    (file,) = (f for f in server.files if f.path.name == "more.conf")
    assert (str(file.path), file.source) == ("/more.conf", network.directory / "hq/more.conf")


ROUTERS = ("router: {asn: 65001}, ", "router: {asn: 65002}, ")


def sessions(topology: Topology) -> dict[str, list[str]]:
    return {name: [str(peer.address) for peer in plan.peers] for name, plan in plan_routers(topology).items()}


def told(topology: Topology, words: str) -> list[str]:
    return [remark.place for remark in topology.remarks if words in remark.what]


def test_clients_of_one_name_are_one_session_and_told(network: Network) -> None:
    network.write("hq/ccd/branch", "ifconfig-push 10.8.0.9 255.255.255.0\n")
    network.write("branch/second.ovpn", CLIENT)
    both = "[{config: branch/office.ovpn}, {config: branch/second.ovpn}]"
    topology = network.load(branch=both, routers=ROUTERS)
    assert len(topology.tunnels) == 2
    assert sessions(topology) == {"hq": ["10.8.0.9"], "branch": ["10.8.0.1"]}
    assert told(topology, "without duplicate-cn") == ["branch/second.ovpn"]
    network.write("hq/server.conf", f"{SERVER}duplicate-cn\n")
    assert told(network.load(branch=both, routers=ROUTERS), "without duplicate-cn") == []


def test_routers_get_no_session_with_an_address_from_a_pool(network: Network) -> None:
    topology = network.load(routers=ROUTERS)
    assert sessions(topology) == {"hq": [], "branch": []}
    assert told(topology, "get no session") == ["branch/office.ovpn"]
    network.write("hq/ccd/branch", "ifconfig-push 10.8.0.9 255.255.255.0\n")
    topology = network.load(routers=ROUTERS)
    assert sessions(topology) == {"hq": ["10.8.0.9"], "branch": ["10.8.0.1"]}
    assert told(topology, "get no session") == []
