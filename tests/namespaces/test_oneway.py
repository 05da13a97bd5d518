"""Impairments of a link between two temporary namespaces, with bounds that hold on any host."""

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from ipaddress import ip_interface
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from pyroute2.netlink.rtnl.tcmsg import sched_netem

from lab.core.errors import NotSupported
from lab.engine.netlink import connect_nodes
from lab.impair.oneway import OneWay, apply, netem_mechanism, netem_options, read_mechanisms, tbf_options, undo
from lab.observe import echo
from lab.topology import Endpoint, Impairment, Link, Node
from tests.helpers.sandbox import Sandbox

ADDRESSES = {"ipv4": ("192.0.2.1/24", "192.0.2.2/24"), "ipv6": ("2001:db8::1/64", "2001:db8::2/64")}


@pytest.fixture
def boxes() -> Iterator[dict[str, Sandbox]]:
    """Two namespaces with a link between them."""
    with Sandbox() as one, Sandbox() as two:
        boxes = {"one": one, "two": two}
        ends = [
            Endpoint(node=name, interface="eth1", **{f: ip_interface(a[i]) for f, a in ADDRESSES.items()})  # type: ignore[arg-type]
            for i, name in enumerate(boxes)
        ]
        nodes = {name: Node(name=name, kind="linux", image="x") for name in boxes}
        link = Link(kind="veth", endpoints=tuple(ends), mtu=1500)
        connect_nodes(nodes, {name: box.namespace for name, box in boxes.items()}, [link], {})
        for box in boxes.values():
            box.let_ping()
        yield boxes


@pytest.fixture
def way(boxes: dict[str, Sandbox], tmp_path: Path) -> OneWay:
    return OneWay("one:eth1", "two:eth1", boxes["one"].namespace, boxes["two"].namespace, tmp_path / "relays")


@pytest.fixture
def impair(way: OneWay) -> Iterator[Callable[..., None]]:
    """Impair packets from one to two; skip the test if this kernel lacks a feature."""

    def impair(**wanted: Any) -> None:
        try:
            apply(way, Impairment(**wanted))
        except NotSupported as error:
            pytest.skip(str(error))

    yield impair
    undo(way)


def round_trip(boxes: dict[str, Sandbox], family: str) -> float:
    """Return the seconds from a request to its answer."""
    target = ip_interface(ADDRESSES[family][1]).ip
    started = time.monotonic()
    result = echo(boxes["one"].namespace, "one", target, wait=20)
    took = time.monotonic() - started
    assert result.answered, result
    return took


def received(boxes: dict[str, Sandbox], count: int) -> list[bytes]:
    """Send numbered datagrams from one to two and return those received; the last is repeated until it arrives."""
    end = b"end"
    got: list[bytes] = []
    done = threading.Event()

    def listen() -> None:
        with closing(boxes["two"].namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))) as here:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
            here.bind(("192.0.2.2", 5001))
            ready.set()
            here.settimeout(60)
            while (data := here.recv(64)) != end:
                got.append(data)
        done.set()

    ready = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    assert ready.wait(10)
    with closing(boxes["one"].namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))) as there:
        for number in range(count):
            there.sendto(b"%d" % number, ("192.0.2.2", 5001))
            if number % 100 == 99:  # no queue may overflow: only drawn packets may be lost
                time.sleep(0.002)
        while not done.wait(0.3):
            there.sendto(end, ("192.0.2.2", 5001))
    thread.join()
    return got


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_delay_is_applied_and_undone(
    boxes: dict[str, Sandbox], way: OneWay, impair: Callable[..., None], family: str
) -> None:
    links = set(boxes["one"].links())
    impair(delay=200)
    slow = round_trip(boxes, family)
    assert slow >= 0.2
    assert [m.name for m in read_mechanisms(way)] in (["netem"], ["relay"])
    undo(way)
    assert read_mechanisms(way) == []
    assert min(round_trip(boxes, family) for _ in range(5)) < slow
    assert set(boxes["one"].links()) == links
    assert not way.counters.exists()


def test_jitter_stays_within_its_bounds(boxes: dict[str, Sandbox], impair: Callable[..., None]) -> None:
    impair(delay=100, jitter=40)
    took = [round_trip(boxes, "ipv4") for _ in range(10)]
    assert min(took) >= 0.06
    # Ten draws so close together have a probability of one in a hundred million.
    assert max(took) - min(took) > 0.004


def test_loss_drops_the_configured_share(boxes: dict[str, Sandbox], way: OneWay, impair: Callable[..., None]) -> None:
    round_trip(boxes, "ipv4")  # neighbour discovery first, which can be lost too
    impair(loss=20)
    count = 4000
    got = received(boxes, count)
    # Binomial with a standard deviation of 25.3: the bounds are ten of them.
    assert 0.8 * count - 253 < len(got) < 0.8 * count + 253
    assert len(set(got)) == len(got)
    (mechanism,) = read_mechanisms(way)
    if mechanism.name == "nftables":
        frames, lost = mechanism.figures["frames"], mechanism.figures["lost"]
        assert isinstance(frames, int)
        assert isinstance(lost, int)
        assert frames >= count
        assert count - len(got) <= lost <= frames - len(got)
    else:
        assert mechanism.name == "netem"


def test_duplicate_sends_the_configured_share_twice(boxes: dict[str, Sandbox], impair: Callable[..., None]) -> None:
    impair(duplicate=20)
    count = 2000
    got = received(boxes, count)
    assert len(set(got)) == count
    assert 0.2 * count - 180 < len(got) - count < 0.2 * count + 180  # standard deviation 17.9


def test_reorder_lets_the_configured_share_overtake(boxes: dict[str, Sandbox], impair: Callable[..., None]) -> None:
    impair(delay=200, reorder=20)
    count = 2000
    got = [int(data) for data in received(boxes, count)]
    assert sorted(got) == list(range(count))
    still_to_come = list(accumulate(got[:0:-1], min))[::-1]
    ahead = sum(number > least for number, least in zip(got, still_to_come, strict=False))
    assert 0.2 * count - 180 < ahead < 0.2 * count + 180  # standard deviation 17.9


def test_rate_is_not_exceeded_and_data_arrives_intact(
    boxes: dict[str, Sandbox], way: OneWay, impair: Callable[..., None]
) -> None:
    """With a delay in addition, so that TCP's large packets and partial checksums pass through the relay."""
    impair(rate=20_000, delay=5)
    data = os.urandom(1 << 20)
    with closing(boxes["two"].namespace.run(lambda: socket.create_server(("192.0.2.2", 5002)))) as server:

        def send() -> None:
            with closing(boxes["one"].namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))) as out:
                out.connect(("192.0.2.2", 5002))
                out.sendall(data)

        thread = threading.Thread(target=send)
        started = time.monotonic()
        thread.start()
        connection, _ = server.accept()
        with closing(connection):
            digest, size = hashlib.sha256(), 0
            while part := connection.recv(1 << 16):
                digest.update(part)
                size += len(part)
        took = time.monotonic() - started
        thread.join()
    assert digest.digest() == hashlib.sha256(data).digest()
    assert size * 8 / took <= 20_000_000 * 1.1
    assert {m.name for m in read_mechanisms(way)} in ({"netem", "tbf"}, {"relay", "tbf"})


def test_link_works_after_its_relay_is_killed(
    boxes: dict[str, Sandbox], way: OneWay, impair: Callable[..., None]
) -> None:
    impair(delay=200)
    if [m.name for m in read_mechanisms(way)] != ["relay"]:
        pytest.skip("this kernel has netem and needs no relay")
    slow = round_trip(boxes, "ipv4")
    (relay,) = relays(way)
    os.kill(relay, signal.SIGKILL)
    wait_until(lambda: read_mechanisms(way) == [])
    assert min(round_trip(boxes, "ipv4") for _ in range(5)) < slow


def test_relay_has_room_for_more_frames_than_a_device_of_its_kind(
    boxes: dict[str, Sandbox], way: OneWay, impair: Callable[..., None]
) -> None:
    impair(delay=10)
    if [m.name for m in read_mechanisms(way)] != ["relay"]:
        pytest.skip("this kernel has netem and needs no relay")
    (device,) = (link for name, link in boxes["one"].links().items() if name.startswith("lab-relay"))
    assert device.get_attr("IFLA_TXQLEN") == 10_000


def test_relay_ends_with_its_node(tmp_path: Path) -> None:
    with Sandbox() as one, Sandbox() as two:
        one.ip(("link", "add", {"ifname": "eth1", "kind": "veth", "peer": {"ifname": "eth1", "net_ns_pid": two.pid}}))
        way = OneWay("one:eth1", "two:eth1", one.namespace, two.namespace, tmp_path)
        try:
            apply(way, Impairment(delay=10))
        except NotSupported as error:
            pytest.skip(str(error))
        before = relays(way)
    wait_until(lambda: not relays(way))
    assert len(before) <= 1


def test_unsupported_impairment_is_named_and_undone(
    boxes: dict[str, Sandbox], way: OneWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a kernel with neither netem nor what a relay needs, the other impairments are undone."""

    def lacks(*_: object) -> None:
        raise NotSupported("delay", "this kernel has no netem, and no relay can take its place")

    monkeypatch.setattr("lab.impair.oneway._netem", lambda *_: False)
    monkeypatch.setattr("lab.impair.oneway._start_relay", lacks)
    with pytest.raises(NotSupported, match="delay is not available here: this kernel has no netem, and no relay"):
        apply(way, Impairment(delay=1, loss=1, rate=1000))
    assert read_mechanisms(way) == []


def test_relay_that_cannot_start_prints_the_reason(boxes: dict[str, Sandbox], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lab.impair.relay", str(boxes["one"].pid), "eth9", str(tmp_path / "told")]
    ended = subprocess.run([*command, "{}"], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "no interface with this name\n"
    assert "Traceback" not in ended.stderr


def relays(way: OneWay) -> list[int]:
    """Return the pids of the link's relays."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(way.counters).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_options_of_netem_and_tbf() -> None:
    """In microseconds and percent, with a larger limit than netem's default, which is too small for a long delay."""
    assert netem_options(Impairment(delay=30.5, jitter=2, loss=0.5, duplicate=1, reorder=5)) == {
        "limit": 20_000,
        "delay": 30_500,
        "jitter": 2_000,
        "loss": 0.5,
        "duplicate": 1,
        "prob_reorder": 5,
    }
    assert netem_options(Impairment(rate=100)) == {"limit": 20_000}
    assert tbf_options(1_000) == {"rate": "1000kbit", "burst": 16_000, "latency": "100ms"}
    assert tbf_options(1_000_000)["burst"] == 125_000


def test_netem_mechanism_survives_a_round_trip() -> None:
    """netem counts in ticks, and shares in 32 bits."""
    asked = Impairment(delay=30.5, jitter=2, loss=0.5, duplicate=1, reorder=5)
    encoded = sched_netem.get_parameters(netem_options(asked))
    read = netem_mechanism(encoded)
    assert read.name == "netem"
    for key, value in read.figures.items():
        assert value == pytest.approx(getattr(asked, key), rel=1e-3), key
    assert read.does.startswith("delay 30.5 ms ± 2 ms")


def test_impairment_in_words() -> None:
    assert str(Impairment(delay=30, jitter=5, loss=0.1, rate=1000, duplicate=2, reorder=3)) == (
        "delay 30 ms ± 5 ms, loss 0.1 %, rate 1000 kbit/s, duplicate 2 %, reorder 3 %"
    )
    assert str(Impairment()) == "nothing"
    with pytest.raises(ValueError, match="a jitter of 5 ms is more than the delay of 1 ms"):
        Impairment(delay=1, jitter=5)
    with pytest.raises(ValueError, match="without a delay no packet can overtake another"):
        Impairment(reorder=5)
