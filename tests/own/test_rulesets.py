"""Packet filters of the user's in a lab, and a NAT in the underlay, on packets."""

import shutil
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.core.errors import InputError, NotSupported
from lab.core.expect import Expectation, wait_for
from lab.engine.nft import Nft
from lab.importer import import_hosts, write_import
from lab.observe.capture import CapturedPacket
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.status.overview import report, tunnel_reports
from lab.topology import Topology
from tests.helpers.own_files import deployed, own_name

pytestmark = [pytest.mark.docker]

HOSTS = Path(__file__).parents[1] / "data" / "hosts"
SERVER = ip_address("10.1.0.10")
"""The host in the office's LAN."""
WITHIN = 30


def imported(directory: Path, file: str = "", line: str = "") -> Topology:
    """Return the topology of an import of an office with a firewall and a shop behind a NAT.

    With `file`, `line` is the sixth line of that file.
    """
    for name in ("office", "shop"):
        shutil.copytree(HOSTS / name, directory / name)
    made = import_hosts(
        {name: directory / name for name in ("office", "shop")}, directory / f"{own_name('nft')}.clab.yml"
    )
    assert not made.questions
    write_import(made)
    if file:
        lines = (directory / file).read_text().splitlines()
        (directory / file).write_text("\n".join([*lines[:5], line, *lines[5:]]) + "\n")
    return load(made.file)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    directory = tmp_path_factory.mktemp("rulesets")
    with deployed(imported(directory), directory / "lab") as lab:
        yield lab


def passes(node: LabNode, to: str) -> None:
    """Wait until a node gets an answer to an echo request."""
    address = ip_address(to)
    wait_for(
        Expectation(f"an answer from {to}", node.name, lambda: node.echo(address).answered, met=bool), within=WITHIN
    )


def syn(node: LabNode, at: LabNode, interface: str, to: tuple[str, int]) -> CapturedPacket:
    """Open a TCP connection from a node, and return its first packet as another node gets it."""
    from scapy.layers.inet import TCP

    def is_syn(packet: CapturedPacket) -> bool:
        decoded = packet.decode()
        return not packet.outgoing and TCP in decoded and decoded[TCP].flags == "S"

    with at.capture(interface) as capture:
        client = node.running.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        client.setblocking(False)
        client.connect_ex(to)
        try:
            return capture.expect("a SYN", is_syn, within=WITHIN)
        finally:
            client.close()


def test_server_sees_the_address_of_the_nat(lab: Lab) -> None:
    (tunnel,) = tunnel_reports(lab)
    assert tunnel.up
    assert tunnel.real_address is not None
    assert tunnel.real_address.startswith("198.51.100.1:"), "and not the shop's own 192.168.77.2"


def test_filter_drops_what_the_ruleset_does_not_accept(lab: Lab) -> None:
    shop = lab.node("shop")
    passes(lab.node("shop-lan"), str(SERVER))
    assert shop.echo(ip_address("10.8.0.1"), count=3).silent, "the office's input chain drops it"
    rule = ("inet", "filter", "input", "icmp", "type", "echo-request", "accept")
    lab.node("office").exec("nft", "add", "rule", *rule).raise_on_error()
    passes(shop, "10.8.0.1")
    assert lab.node("shop-lan").echo(ip_address("10.2.0.1")).answered
    assert lab.node("office").echo(ip_address("10.8.0.2"), count=3).silent, "the shop's own input chain drops it"


def test_masquerade_and_mss_clamp_change_packets_through_the_tunnel(lab: Lab) -> None:
    from scapy.layers.inet import IP, TCP

    packet = syn(lab.node("shop-lan"), lab.node("office-lan"), "eth0", (str(SERVER), 80)).decode()
    assert packet[IP].src == "10.8.0.2", "the shop's address in the tunnel"
    assert dict(packet[TCP].options)["MSS"] == 1210


def test_port_forward_leads_to_the_host_in_the_lan(lab: Lab) -> None:
    from scapy.layers.inet import IP, TCP

    packet = syn(lab.node("internet"), lab.node("office-lan"), "eth0", ("203.0.113.1", 8080)).decode()
    assert (packet[IP].dst, packet[TCP].dport) == (str(SERVER), 80)


def test_rules_are_in_the_node_only_and_told(lab: Lab) -> None:
    with Nft() as host:
        assert not {"filter", "mangle", "nat"} & {*host.tables("inet")}
    with lab.node("office").running.namespace.run(Nft) as inside:
        assert "filter" in inside.tables("inet")
    told = {(r.node, r.kind, r.place) for r in report(lab).remarks if "nft" in r.place or "iptables" in r.place}
    assert told >= {
        ("office", "note", "office/nft.txt"),
        ("office", "override", "office/nft.txt:12"),
        ("office", "unknown", "office/nft.txt:14"),
        ("shop", "note", "shop/iptables.txt"),
    }


@pytest.mark.parametrize(
    ("file", "line", "error", "message"),
    [
        (
            "office/nft.txt",
            "\t\tudp dport 1194 acept",
            InputError,
            "office/nft.txt:6: nft refuses the line: syntax error",
        ),
        ("office/nft.txt", '\t\tct helper set "x"', InputError, "office/nft.txt:6: nft refuses the line: No such file"),
        (
            "shop/iptables.txt",
            "-A INPUT -m set --match-set bad src -j DROP",
            InputError,
            "Set bad doesn't exist: `ipset`",
        ),
        ("shop/iptables.txt", "-A INPUT -m nosuch -j DROP", InputError, "shop/iptables.txt:6: iptables-nft-restore"),
    ],
)
def test_refused_line_is_named(file: str, line: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    topology = imported(tmp_path, file, line)
    with pytest.raises(error, match=message.replace("(", r"\(")), deployed(topology, tmp_path / "lab"):
        pass


def test_server_behind_a_nat_is_reached_by_the_port_that_its_clients_name(tmp_path: Path) -> None:
    for name in ("office", "shop"):
        shutil.copytree(HOSTS / name, tmp_path / name)
    addresses = tmp_path / "office" / "address.json"
    addresses.write_text(addresses.read_text().replace("203.0.113.1", "192.168.1.2"))
    (tmp_path / "office" / "nft.txt").unlink()
    made = import_hosts(
        {name: tmp_path / name for name in ("office", "shop")}, tmp_path / f"{own_name('nat')}.clab.yml"
    )
    write_import(made)
    with deployed(load(made.file), tmp_path / "lab") as lab:
        (tunnel,) = tunnel_reports(lab)
        assert (tunnel.client, tunnel.server, tunnel.up) == ("shop", "office", True)
        assert not [remark for remark in report(lab).remarks if remark.what.startswith("remote")]
        passes(lab.node("shop-lan"), str(SERVER))


def test_statement_that_the_kernel_lacks_is_named(tmp_path: Path) -> None:
    topology = imported(tmp_path, "office/nft.txt", "\t\tudp dport 1194 queue")
    refused: NotSupported | None = None
    try:
        with deployed(topology, tmp_path / "lab") as lab:
            assert "queue" in lab.node("office").exec("nft", "list", "ruleset").stdout
    except NotSupported as error:
        refused = error
    if refused is not None:  # the kernel has no nft_queue
        missing = "`udp dport 1194 queue` needs the kernel's module nft_queue, which it lacks"
        assert str(refused).endswith(f"office/nft.txt:6: {missing}")
