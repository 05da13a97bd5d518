"""What a link does to packets, between two namespaces that are thrown away: bounds that hold on any machine."""

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
from lab.impair.oneway import OneWay, impose, in_force, lift, netem_options, netem_tells, tbf_options
from lab.observe import echo
from lab.topology import Endpoint, Impairment, Link, Node
from tests.helpers.sandbox import Sandbox

ADDRESSES = {"ipv4": ("192.0.2.1/24", "192.0.2.2/24"), "ipv6": ("2001:db8::1/64", "2001:db8::2/64")}


@pytest.fixture
def boxes() -> Iterator[dict[str, Sandbox]]:
    """Two namespaces with a wire between them."""
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
def imposed(way: OneWay) -> Iterator[Callable[..., None]]:
    """Impair the way from one to two; skipped with its name where this kernel lacks what it takes."""

    def imposed(**wanted: Any) -> None:
        try:
            impose(way, Impairment(**wanted))
        except NotSupported as error:
            pytest.skip(str(error))

    yield imposed
    lift(way)


def round_trip(boxes: dict[str, Sandbox], family: str) -> float:
    """Seconds from a request until its answer is there."""
    target = ip_interface(ADDRESSES[family][1]).ip
    started = time.monotonic()
    result = echo(boxes["one"].namespace, "one", target, wait=20)
    took = time.monotonic() - started
    assert result.answered, result
    return took


def received(boxes: dict[str, Sandbox], count: int) -> list[bytes]:
    """What arrives at two of some numbered datagrams from one; the last is sent until it comes through."""
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
            if number % 100 == 99:  # no queue on the way shall overflow: what is lost is what was drawn
                time.sleep(0.002)
        while not done.wait(0.3):
            there.sendto(end, ("192.0.2.2", 5001))
    thread.join()
    return got


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_delay_is_waited_for_and_gone_when_it_is_lifted(
    boxes: dict[str, Sandbox], way: OneWay, imposed: Callable[..., None], family: str
) -> None:
    links = set(boxes["one"].links())
    imposed(delay=200)
    slow = round_trip(boxes, family)
    assert slow >= 0.2
    assert [m.name for m in in_force(way)] in (["netem"], ["relay"])
    lift(way)
    assert in_force(way) == []
    assert min(round_trip(boxes, family) for _ in range(5)) < slow
    assert set(boxes["one"].links()) == links
    assert not way.told.exists()


def test_jitter_keeps_within_its_bounds(boxes: dict[str, Sandbox], imposed: Callable[..., None]) -> None:
    imposed(delay=100, jitter=40)
    took = [round_trip(boxes, "ipv4") for _ in range(10)]
    assert min(took) >= 0.06
    # All ten of them close together would be a delay without jitter: a chance of one in a hundred million.
    assert max(took) - min(took) > 0.004


def test_lost_is_what_was_drawn(boxes: dict[str, Sandbox], way: OneWay, imposed: Callable[..., None]) -> None:
    round_trip(boxes, "ipv4")  # each knows where the other is: the search for that can be lost, too
    imposed(loss=20)
    count = 4000
    got = received(boxes, count)
    # Binomial with a deviation of 25.3: ten of them away is never.
    assert 0.8 * count - 253 < len(got) < 0.8 * count + 253
    assert len(set(got)) == len(got)
    (mechanism,) = in_force(way)
    if mechanism.name == "nftables":
        frames, lost = mechanism.figures["frames"], mechanism.figures["lost"]
        assert isinstance(frames, int)
        assert isinstance(lost, int)
        assert frames >= count
        assert count - len(got) <= lost <= frames - len(got)
    else:
        assert mechanism.name == "netem"


def test_some_arrive_twice(boxes: dict[str, Sandbox], imposed: Callable[..., None]) -> None:
    imposed(duplicate=20)
    count = 2000
    got = received(boxes, count)
    assert len(set(got)) == count
    assert 0.2 * count - 180 < len(got) - count < 0.2 * count + 180  # a deviation of 17.9


def test_some_overtake_the_others(boxes: dict[str, Sandbox], imposed: Callable[..., None]) -> None:
    imposed(delay=200, reorder=20)
    count = 2000
    got = [int(data) for data in received(boxes, count)]
    assert sorted(got) == list(range(count))
    still_to_come = list(accumulate(got[:0:-1], min))[::-1]
    ahead = sum(number > least for number, least in zip(got, still_to_come, strict=False))
    assert 0.2 * count - 180 < ahead < 0.2 * count + 180  # a deviation of 17.9


def test_a_rate_is_not_exceeded_and_what_goes_through_is_whole(
    boxes: dict[str, Sandbox], way: OneWay, imposed: Callable[..., None]
) -> None:
    """With a delay besides, so that TCP's large packets and unfinished checksums go through the relay as well."""
    imposed(rate=20_000, delay=5)
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
    assert {m.name for m in in_force(way)} in ({"netem", "tbf"}, {"relay", "tbf"})


def test_a_relay_that_is_killed_leaves_a_link_that_works_and_is_told(
    boxes: dict[str, Sandbox], way: OneWay, imposed: Callable[..., None]
) -> None:
    imposed(delay=200)
    if [m.name for m in in_force(way)] != ["relay"]:
        pytest.skip("netem: this kernel needs no relay")
    slow = round_trip(boxes, "ipv4")
    (relay,) = relays(way)
    os.kill(relay, signal.SIGKILL)
    wait_until(lambda: in_force(way) == [])
    assert min(round_trip(boxes, "ipv4") for _ in range(5)) < slow


def test_a_relay_ends_with_its_node(tmp_path: Path) -> None:
    with Sandbox() as one, Sandbox() as two:
        one.ip(("link", "add", {"ifname": "eth1", "kind": "veth", "peer": {"ifname": "eth1", "net_ns_pid": two.pid}}))
        way = OneWay("one:eth1", "two:eth1", one.namespace, two.namespace, tmp_path)
        try:
            impose(way, Impairment(delay=10))
        except NotSupported as error:
            pytest.skip(str(error))
        before = relays(way)
    wait_until(lambda: not relays(way))
    assert len(before) <= 1


def test_what_nothing_can_do_is_refused_by_name_and_leaves_nothing(
    boxes: dict[str, Sandbox], way: OneWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a kernel that has neither netem nor what a relay needs: the rest of what was asked is taken back."""

    def lacks(*_: object) -> None:
        raise NotSupported("delay", "this kernel has no netem, and no relay can take its place")

    monkeypatch.setattr("lab.impair.oneway._netem", lambda *_: False)
    monkeypatch.setattr("lab.impair.oneway._start_relay", lacks)
    with pytest.raises(NotSupported, match="delay is not available here: this kernel has no netem, and no relay"):
        impose(way, Impairment(delay=1, loss=1, rate=1000))
    assert in_force(way) == []


def test_a_relay_that_cannot_start_says_why(boxes: dict[str, Sandbox], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lab.impair.relay", str(boxes["one"].pid), "eth9", str(tmp_path / "told")]
    ended = subprocess.run([*command, "{}"], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "no interface with this name\n"
    assert "Traceback" not in ended.stderr


def relays(way: OneWay) -> list[int]:
    """The processes that relay for it."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(way.told).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_netem_and_tbf_are_asked_for() -> None:
    """Microseconds and percent; netem's own limit of packets is too small for a long delay."""
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


def test_netem_tells_what_it_was_asked_for() -> None:
    """Ticks, and shares of all that 32 bits hold, there and back."""
    asked = Impairment(delay=30.5, jitter=2, loss=0.5, duplicate=1, reorder=5)
    encoded = sched_netem.get_parameters(netem_options(asked))
    told = netem_tells(encoded)
    assert told.name == "netem"
    for key, value in told.figures.items():
        assert value == pytest.approx(getattr(asked, key), rel=1e-3), key
    assert told.does.startswith("delay 30.5 ms ± 2 ms")


def test_words_for_it() -> None:
    assert str(Impairment(delay=30, jitter=5, loss=0.1, rate=1000, duplicate=2, reorder=3)) == (
        "delay 30 ms ± 5 ms, loss 0.1 %, rate 1000 kbit/s, duplicate 2 %, reorder 3 %"
    )
    assert str(Impairment()) == "nothing"
    with pytest.raises(ValueError, match="a jitter of 5 ms is more than the delay of 1 ms"):
        Impairment(delay=1, jitter=5)
    with pytest.raises(ValueError, match="without a delay no packet can overtake another"):
        Impairment(reorder=5)
