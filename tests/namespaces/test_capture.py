"""Captures: complete on veth and tun devices, and written as files that other programs read."""

import fcntl
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw
from scapy.utils import rdpcap

from lab.core.errors import ExpectationFailed, InputError
from lab.observe import Capture, CapturedPacket, send
from lab.observe.capture import write_pcap
from tests.helpers.sandbox import Sandbox, threads

Make = Callable[[], Sandbox]
ETHERNET, RAW = 1, 101
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000


@pytest.fixture
def link(sandbox: Make) -> tuple[Sandbox, Sandbox]:
    """A node and a neighbour that never answers: the link carries only the test's packets."""
    here, there = sandbox(), sandbox()
    here.ip(
        ("link", "add", {
            "ifname": "eth1", "kind": "veth", "address": "02:00:00:00:00:0a",
            "peer": {"ifname": "eth1", "net_ns_pid": there.pid, "address": "02:00:00:00:00:0b"},
        }),
        ("addr", "add", {"dev": "eth1", "address": "192.0.2.1", "prefixlen": 24}),
    )  # fmt: skip
    for box in (here, there):
        box.sysctl("ipv6/conf/eth1/disable_ipv6", "1")  # IPv6 would send packets of its own
        box.ip(("link", "set", {"dev": "eth1", "state": "up"}))
    here.ip(("neigh", "add", {
        "dev": "eth1", "dst": "192.0.2.2", "lladdr": "02:00:00:00:00:0b", "state": "permanent",
    }))  # fmt: skip
    return here, there


@pytest.fixture
def a(link: tuple[Sandbox, Sandbox]) -> Sandbox:
    return link[0]


@pytest.fixture
def b(link: tuple[Sandbox, Sandbox]) -> Sandbox:
    return link[1]


def datagram(number: int, family: int = 4) -> IP:
    ends = {"src": "192.0.2.1", "dst": "192.0.2.2"} if family == 4 else {"src": "2001:db8::1", "dst": "2001:db8::2"}
    return (IP if family == 4 else IPv6)(**ends) / UDP(sport=4000, dport=5000) / Raw(b"number %d" % number)


def number_of(packet: CapturedPacket) -> int | None:
    decoded = packet.decode()
    if UDP not in decoded or not bytes(decoded[UDP].payload).startswith(b"number "):
        return None
    return int(bytes(decoded[UDP].payload).split()[1])


def numbers(packets: list[CapturedPacket]) -> list[int]:
    return [n for n in map(number_of, packets) if n is not None]


@pytest.mark.parametrize("count", [1, 300])
def test_stop_returns_all_packets_sent_before(a: Sandbox, count: int) -> None:
    with Capture(a.namespace, "eth1") as capture:
        for number in range(count):
            send(a.namespace, datagram(number))
        packets = capture.stop()
    assert numbers(packets) == list(range(count))


def test_stop_returns_packets_that_the_kernel_has_queued(a: Sandbox) -> None:
    got: list[CapturedPacket] = []
    released = threading.Event()

    def slow(packet: CapturedPacket) -> None:
        got.append(packet)
        assert released.wait(10)

    capture = Capture(a.namespace, "eth1", sink=slow)
    for number in range(50):
        send(a.namespace, datagram(number))
    stopping = threading.Thread(target=capture.stop)
    stopping.start()
    assert select.select([capture._wake], [], [], 10)[0], "stop() is called while packets are queued"
    released.set()
    stopping.join(10)
    assert numbers(got) == list(range(50))


def test_packets_have_their_direction(a: Sandbox, b: Sandbox) -> None:
    with Capture(a.namespace, "eth1") as here, Capture(b.namespace, "eth1") as there:
        send(a.namespace, datagram(7))
        there.expect("the datagram", lambda p: number_of(p) == 7, within=10)
        sent = [p for p in here.stop() if number_of(p) == 7]
        received = [p for p in there.stop() if number_of(p) == 7]
    assert [p.outgoing for p in sent] == [True]
    assert [p.outgoing for p in received] == [False]
    assert sent[0].linktype == ETHERNET
    assert sent[0].decode().dst == "02:00:00:00:00:0b"


def test_times_are_from_the_kernel_and_in_order(a: Sandbox) -> None:
    before = time.time()
    with Capture(a.namespace, "eth1") as capture:
        for number in range(3):
            send(a.namespace, datagram(number))
        times = [p.time for p in capture.stop() if number_of(p) is not None]
    assert len(times) == 3
    assert before - 0.1 <= times[0] <= times[1] <= times[2] <= time.time() + 0.1


def test_packets_sent_before_the_capture_are_not_in_it(a: Sandbox) -> None:
    send(a.namespace, datagram(1))
    with Capture(a.namespace, "eth1") as capture:
        send(a.namespace, datagram(2))
        assert numbers(capture.stop()) == [2]


def test_expect_returns_the_first_packet_that_matches(a: Sandbox) -> None:
    with Capture(a.namespace, "eth1", node="hq") as capture:
        for number in (1, 2, 3):
            send(a.namespace, datagram(number))
        packet = capture.expect("an even number", lambda p: number_of(p) in (2, 3), within=10)
        assert number_of(packet) == 2
        capture.stop()
        with pytest.raises(ExpectationFailed, match=r"hq: expected a fourth on eth1 .* last seen: 3 other packets"):
            capture.expect("a fourth", lambda p: number_of(p) == 4, within=0)


def test_capture_keeps_the_latest_packets(a: Sandbox) -> None:
    with Capture(a.namespace, "eth1", keep=2) as capture:
        for number in range(5):
            send(a.namespace, datagram(number))
        assert numbers(capture.stop()) == [3, 4]


def test_sink_receives_each_packet_instead(a: Sandbox) -> None:
    got: list[CapturedPacket] = []
    with Capture(a.namespace, "eth1", sink=got.append) as capture:
        for number in range(5):
            send(a.namespace, datagram(number))
        assert capture.stop() == []
    assert numbers(got) == list(range(5))


def test_error_for_a_missing_interface_names_the_existing_ones(a: Sandbox) -> None:
    before = threading.active_count()
    with pytest.raises(InputError, match=r"cannot capture on interface 'eth9' \(No such device\): use one of lo, eth1"):
        Capture(a.namespace, "eth9")
    assert threading.active_count() == before


def test_capture_continues_after_the_interface_was_down(a: Sandbox) -> None:
    with Capture(a.namespace, "eth1") as capture:
        send(a.namespace, datagram(1))
        a.ip(("link", "set", {"dev": "eth1", "state": "down"}), ("link", "set", {"dev": "eth1", "state": "up"}))
        a.ip(("neigh", "replace", {
            "dev": "eth1", "dst": "192.0.2.2", "lladdr": "02:00:00:00:00:0b", "state": "permanent",
        }))  # fmt: skip
        send(a.namespace, datagram(2))
        capture.expect("the second", lambda p: number_of(p) == 2, within=10)
        assert numbers(capture.stop()) == [1, 2]


def test_stopped_capture_leaves_no_descriptor_open(a: Sandbox) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Capture(a.namespace, "eth1") as capture:
        capture.stop()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert not threads("capture-")


@pytest.fixture
def tun(a: Sandbox) -> Iterator[int]:
    """A tun device `tun0` with addresses of both families; its other end is the file descriptor."""

    def make() -> int:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
        return fd

    try:
        fd = a.namespace.run(make)
    except OSError as error:
        pytest.skip(f"tun: {error}")
    a.ip(
        ("link", "set", {"dev": "tun0", "state": "up"}),
        ("addr", "add", {"dev": "tun0", "address": "10.255.0.1", "prefixlen": 30}),
        ("addr", "add", {"dev": "tun0", "address": "2001:db8:ff::1", "prefixlen": 64, "family": 10, "flags": 2}),
    )
    yield fd
    os.close(fd)


@pytest.mark.parametrize("family", [4, 6])
def test_packets_of_a_tun_device_begin_with_the_ip_header(a: Sandbox, tun: int, family: int, tmp_path: Path) -> None:
    layer, (src, dst) = {4: (IP, ("10.255.0.1", "10.255.0.2")), 6: (IPv6, ("2001:db8:ff::1", "2001:db8:ff::2"))}[family]
    out = layer(src=src, dst=dst) / UDP(sport=1, dport=2) / Raw(b"number 1")
    back = layer(src=dst, dst=src) / UDP(sport=2, dport=1) / Raw(b"number 2")
    with Capture(a.namespace, "tun0") as capture:
        send(a.namespace, out)
        os.write(tun, bytes(back))
        packets = [p for p in capture.stop() if number_of(p) is not None]
    assert [(number_of(p), p.outgoing, p.linktype) for p in packets] == [(1, True, RAW), (2, False, RAW)]
    assert [type(p.decode()) for p in packets] == [layer, layer]
    assert packets[0].decode()[layer].dst == dst

    file = tmp_path / "tun.pcap"
    with file.open("wb") as stream:
        write_pcap(stream, packets)
    assert [packet[layer].dst for packet in rdpcap(str(file))] == [dst, src]


def test_scapy_reads_the_file_of_a_capture(a: Sandbox, tmp_path: Path) -> None:
    with Capture(a.namespace, "eth1") as capture:
        for number in range(3):
            send(a.namespace, datagram(number))
        capture.stop()
        capture.write(tmp_path / "eth1.pcap")
    read = [p for p in rdpcap(str(tmp_path / "eth1.pcap")) if UDP in p]
    assert [bytes(p[UDP].payload) for p in read] == [b"number 0", b"number 1", b"number 2"]
    kept = [p for p in capture.packets if number_of(p) is not None]
    assert [float(p.time) for p in read] == pytest.approx([p.time for p in kept], abs=1e-6)


def test_stream_of_several_writes_has_one_header(tmp_path: Path) -> None:
    packets = [CapturedPacket(1000.25 + n, True, bytes(datagram(n)), RAW) for n in range(2)]
    stream = BytesIO()
    write_pcap(stream, packets[:1])
    write_pcap(stream, packets[1:], header=False)
    (tmp_path / "stream.pcap").write_bytes(stream.getvalue())
    read = rdpcap(str(tmp_path / "stream.pcap"))
    assert [float(p.time) for p in read] == [1000.25, 1001.25]
    assert [bytes(p[UDP].payload) for p in read] == [b"number 0", b"number 1"]


def test_empty_capture_is_a_valid_file(tmp_path: Path) -> None:
    with (tmp_path / "empty.pcap").open("wb") as stream:
        write_pcap(stream, [])
    assert len(rdpcap(str(tmp_path / "empty.pcap"))) == 0


def test_sent_packet_arrives_unchanged(a: Sandbox, b: Sandbox) -> None:
    b.ip(("addr", "add", {"dev": "eth1", "address": "192.0.2.2", "prefixlen": 24}))
    receiver = b.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with closing(receiver):
        receiver.bind(("192.0.2.2", 5000))
        receiver.settimeout(10)
        b.ip(("route", "add", {"dst": "203.0.113.0/24", "gateway": "192.0.2.1"}))
        send(a.namespace, IP(src="203.0.113.9", dst="192.0.2.2") / UDP(sport=4000, dport=5000) / Raw(b"forged"))
        assert receiver.recvfrom(100) == (b"forged", ("203.0.113.9", 4000))
