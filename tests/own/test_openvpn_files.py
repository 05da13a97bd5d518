"""OpenVPN with configurations of the user's own: the lab knows such tunnels as well as those that it renders."""

import json
from collections.abc import Iterator
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.core.errors import EnvironmentBroken, InputError
from lab.render.graph import mermaid
from lab.runtime.lab import Lab
from lab.status.overview import report
from lab.tunnel.management import ManagementError
from tests.helpers.own_files import deployed, own_name, write

pytestmark = [pytest.mark.docker]

SERVER = """# Two years old, and never touched since.
port 1194
proto udp
dev tun
ca ca.crt
cert server.crt
key server.key
dh none
topology subnet
server 10.8.0.0 255.255.255.0
server-ipv6 2001:db8:8::/64
ifconfig-pool-persist ipp.txt
client-config-dir ccd
keepalive 1 4
user nobody
group nogroup
persist-tun
daemon
log-append /var/log/openvpn.log
status openvpn-status.log
verb 3
"""
CLIENT = """client
dev tun
proto udp
remote 192.0.2.1 1194
nobind
ca ca.crt
cert branch.crt
key branch.key
remote-cert-tls server
verb 3
"""
SECOND = """local 192.0.2.1
port 1195
proto tcp-server
dev tun9
tls-server
ifconfig 10.9.0.1 10.9.0.2
secret shared.key
cipher AES-256-CBC
management 127.0.0.1 7505 password.txt
"""
PEER = """proto tcp-client
remote 192.0.2.1 1195
dev tun
ifconfig 10.9.0.2 10.9.0.1
secret shared.key
cipher AES-256-CBC
"""
POOLS = ("10.8.0.0/24", "2001:db8:8::/64")
TOPOLOGY = """name: own
topology:
  defaults: {kind: linux, image: "openvpn-routing-lab/node:2.6", network-mode: none}
  nodes:
    hq:
      config:
        vars:
          router: {asn: 65001, networks: [10.1.0.0/24, "2001:db8:1::/64"]}
          openvpn: [{config: hq/server.conf}, {config: hq/second.conf}]
    branch:
      config:
        vars:
          router: {asn: 65002, networks: [10.2.0.0/24, "2001:db8:2::/64"]}
          openvpn: [{config: branch/office.ovpn}, {config: branch/peer.conf}, {config: branch/elsewhere.conf}]
  links:
    - type: veth
      endpoints: [{node: hq, interface: eth1, ipv4: 192.0.2.1/24}, {node: branch, interface: eth1, ipv4: 192.0.2.2/24}]
"""
FILES = {
    "own.clab.yml": TOPOLOGY,
    "hq/server.conf": SERVER,
    "hq/ipp.txt": "",
    "hq/ccd/branch": (
        "ifconfig-push 10.8.0.10 255.255.255.0\nifconfig-ipv6-push 2001:db8:8::10/64\n"
        "iroute 10.2.0.0 255.255.255.0\niroute-ipv6 2001:db8:2::/64\n"
    ),
    "hq/second.conf": SECOND.replace("tls-server\n", ""),
    "hq/password.txt": "secret\n",
    "branch/office.ovpn": CLIENT,
    "branch/peer.conf": PEER,
    "branch/elsewhere.conf": CLIENT.replace("192.0.2.1 1194", "192.0.2.1 1999"),
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    directory = tmp_path_factory.mktemp("own")
    write(directory, FILES)
    with deployed(load(directory / "own.clab.yml", name=own_name("files")), directory / "lab") as lab:
        yield lab


def test_status_knows_every_process(own: Lab) -> None:
    found = report(own)
    assert {t.name: t.up for t in found.tunnels} == {"branch-office": True, "branch-peer": True}
    assert [(p.name, p.up) for p in found.processes] == [("branch-elsewhere", True)]
    office = own.tunnel("branch-office").status()
    assert office.real_address.startswith("192.0.2.2")
    assert office.cipher == "AES-256-GCM"
    assert office.client_id is not None
    peer = own.tunnel("branch-peer").status()
    assert peer.real_address.startswith("192.0.2.2")
    assert all(session.up for session in found.sessions)


def test_overrides_and_issued_keys_are_told(own: Lab) -> None:
    kinds = {(remark.kind, remark.place.partition(":")[0]) for remark in report(own).remarks}
    assert ("issued", "hq/server.conf") in kinds
    assert ("override", "hq/server.conf") in kinds  # daemon
    assert ("unknown", "branch/elsewhere.conf") in kinds


def test_the_file_in_the_node_is_the_users(own: Lab) -> None:
    there = own.running("hq").exec("cat", "/etc/openvpn/server.conf").raise_on_error().stdout
    assert there == SERVER


def test_privileges_are_dropped_as_the_file_says(own: Lab) -> None:
    status = own.tunnel("branch-office").status()
    (line,) = (
        text
        for text in own.running("hq").exec("cat", f"/proc/{status.server_pid}/status").stdout.splitlines()
        if text.startswith("Uid:")
    )
    assert "65534" in line


def test_the_lan_behind_the_client_is_reached_through_the_tunnel(own: Lab) -> None:
    branch = own.running("branch")
    prefix = ip_network("10.2.0.0/24")
    branch.add_addresses("lo", [ip_interface("10.2.0.1/32")])
    try:
        own.router("hq").expect_in_fib(prefix)
        assert own.node("hq").echo(prefix[1]).answered
    finally:
        branch.remove_addresses("lo", [ip_interface("10.2.0.1/32")])
    assert not own.node("hq").echo(prefix[1]).answered


def test_a_killed_client_is_down_until_the_fault_is_undone(own: Lab) -> None:
    tunnel = own.tunnel("branch-office")
    with own.fault("openvpn-killed", tunnel="branch-office"):
        assert not tunnel.client.running
        with pytest.raises(EnvironmentBroken, match="OpenVPN process branch-office"):
            tunnel.status()
    tunnel.wait_connected()
    assert tunnel.status().cipher == "AES-256-GCM"


def test_a_server_is_restarted_through_its_management_interface_over_tcp(own: Lab) -> None:
    tunnel = own.tunnel("branch-peer")
    before = tunnel.status().server_pid
    assert tunnel.server.process.own is not None
    assert tunnel.server.process.own.management_tcp == ("127.0.0.1", 7505)
    tunnel.stop()
    with pytest.raises(ManagementError):
        tunnel.server.management()
    tunnel.start()
    assert tunnel.status().server_pid != before


def test_outer_packets_are_dropped_by_a_blackhole(own: Lab) -> None:
    tunnel = own.tunnel("branch-office")
    address = tunnel.tunnel.client_ipv4.ip
    assert own.node("hq").echo(address).answered
    with own.fault("blackhole", tunnel="branch-office", direction="to-server"):
        assert not own.node("hq").echo(address, count=1, wait=0.5).answered
    tunnel.wait_connected()
    assert own.node("hq").echo(address, count=5, wait=5).answered


def test_convergence_through_a_tunnel_is_measured(own: Lab) -> None:
    prefix = own.free_prefix("ipv4")
    hq = own.router("hq")
    with own.measure("branch", prefix) as measured:
        hq.announce(prefix)
    assert measured.status != "timed-out", measured.reason
    measured.stage("fib")  # raises if the prefix did not get there
    hq.withdraw(prefix)
    own.router("branch").expect_no_route(prefix)


def test_packets_in_a_tunnel_are_captured(own: Lab) -> None:
    tunnel = own.tunnel("branch-office")
    with own.node("branch").capture(tunnel.device("branch")) as captured:
        assert own.node("hq").echo(tunnel.tunnel.client_ipv4.ip).answered
        captured.expect("an echo request", lambda packet: packet.decode().haslayer("ICMP"))


def test_options_are_appended_as_arguments_and_nothing_else_is_changed(own: Lab) -> None:
    tunnel = own.tunnel("branch-peer")
    with tunnel.extended(client=["setenv PURPOSE test", "verb 4"]):
        tunnel.wait_connected()
        with tunnel.client.management() as management:
            pid = management.pid()
        argv = own.running("branch").exec("cat", f"/proc/{pid}/cmdline").stdout.split("\0")
        assert argv[-6:-1] == ["--setenv", "PURPOSE", "test", "--verb", "4"]
    with tunnel.client.management() as management:
        pid = management.pid()
    assert "--setenv" not in own.running("branch").exec("cat", f"/proc/{pid}/cmdline").stdout
    with pytest.raises(InputError, match="your own files"), tunnel.configured(keepalive=3):
        pass
    assert tunnel.status().client_pid == pid


def test_files_anywhere_in_the_tree_of_a_host_are_at_their_paths(tmp_path: Path) -> None:
    elsewhere = (
        SERVER.replace("ca ca.crt", "ca /usr/local/share/vpn/ca.crt")
        .replace("client-config-dir ccd", "client-config-dir /srv/vpn/ccd")
        .replace("ifconfig-pool-persist ipp.txt", "ifconfig-pool-persist /var/lib/openvpn/ipp.txt")
        .replace("status openvpn-status.log", "status /run/openvpn-server/status.log\nwritepid /run/vpn/pid")
    )
    host = "hq/etc/openvpn/server.conf"
    write(
        tmp_path,
        {
            **FILES,
            "own.clab.yml": TOPOLOGY.replace(
                "{config: hq/server.conf}, {config: hq/second.conf}", f"{{config: {host}}}"
            )
            .replace(", {config: branch/peer.conf}, {config: branch/elsewhere.conf}", "")
            .replace("node:2.6", "node:2.7"),
            host: elsewhere,
            "hq/srv/vpn/ccd/branch": FILES["hq/ccd/branch"],
        },
    )
    with deployed(load(tmp_path / "own.clab.yml", name=own_name("tree")), tmp_path / "lab") as lab:
        tunnel = lab.tunnel("branch", "hq")
        assert tunnel.status().cipher == "AES-256-GCM"
        assert lab.node("hq").echo(tunnel.tunnel.client_ipv4.ip).answered
        for path in ("/usr/local/share/vpn/ca.crt", "/srv/vpn/ccd/branch", "/run/openvpn-server/status.log"):
            assert lab.running("hq").exec("test", "-s", path).exit_code == 0, path
        assert lab.running("hq").exec("test", "-x", "/usr/local/share/man").exit_code == 0  # the image's own is there
    assert not (tmp_path / "hq/var").exists()  # nothing is written into the user's files


def test_addresses_from_a_pool_are_read_from_the_devices(tmp_path: Path) -> None:
    alone = TOPOLOGY.replace(", {config: hq/second.conf}", "").replace(
        ", {config: branch/peer.conf}, {config: branch/elsewhere.conf}", ""
    )
    server = SERVER.replace("client-config-dir ccd\n", "")
    write(tmp_path, {**FILES, "own.clab.yml": alone, "hq/server.conf": server})
    with deployed(load(tmp_path / "own.clab.yml", name=own_name("pool")), tmp_path / "lab") as lab:
        tunnel = lab.tunnel("branch", "hq")
        assert (tunnel.tunnel.client_at.ipv4, tunnel.tunnel.client_at.ipv6) == (None, None)
        there = tunnel.addresses("branch")
        listed = lab.running("branch").exec("ip", "-json", "address", "show", "dev", tunnel.device("branch")).stdout
        known = {f"{a['local']}/{a['prefixlen']}" for a in json.loads(listed)[0]["addr_info"] if a["scope"] == "global"}
        assert set(map(str, there.inner)) == known
        assert [a.ip in ip_network(n) for a, n in zip(there.inner, POOLS, strict=True)] == [True, True]
        assert all(lab.node("hq").echo(address.ip).answered for address in there.inner)
        found = report(lab)
        (row,) = found.tunnels
        assert found.sessions == ()  # a rendered session needs the addresses of both ends
        assert any("get no session" in remark.what for remark in found.remarks)
        assert row.addresses == {"hq": tunnel.addresses("hq").inner, "branch": there.inner}
        drawn = mermaid(lab.topology.model_copy(update={"tunnels": (tunnel.completed(),)}))
        assert all(str(address) in drawn for address in there.inner)
        tunnel.client.stop()
        assert tunnel.addresses("branch").inner == ()  # the device has gone with the process
        tunnel.start()
        assert len(tunnel.addresses("branch").inner) == 2


def test_a_line_that_openvpn_refuses_is_named_by_the_users_file(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "hq/server.conf": f"{SERVER}no-such-option 1\n"})
    line = SERVER.count("\n") + 1
    topology = load(tmp_path / "own.clab.yml", name=own_name("refused"))
    with (
        pytest.raises(InputError, match=rf"hq/server\.conf:{line}: OpenVPN: Unrecognized option"),
        deployed(topology, tmp_path / "lab"),
    ):
        pass
    write(tmp_path, {"hq/server.conf": SERVER})
    with deployed(load(tmp_path / "own.clab.yml", name=own_name("accepted")), tmp_path / "lab") as lab:
        assert lab.tunnel("branch-office").status().cipher == "AES-256-GCM"
