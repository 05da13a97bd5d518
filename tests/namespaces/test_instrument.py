"""The instrument's processes in real network namespaces: recorder, sender, and the evaluation of their data."""

import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from scapy.contrib.bgp import BGPHeader, BGPNLRI_IPv4, BGPUpdate
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from lab.core.errors import EnvironmentBroken, ExpectationFailed, InputError
from lab.core.expect import Expectation, wait_for
from lab.measure.instrument import sender, updates
from lab.measure.instrument.changes import follow
from lab.measure.instrument.child import Child
from lab.measure.instrument.clock import Clock, Offset
from lab.measure.instrument.probe import Probes, Sent, Target, Trace, payload, probe_layer
from lab.measure.instrument.tape import INCOMING, Reading, Tape
from lab.measure.instrument.targets import find_targets
from lab.observe import FibWatch, send
from lab.observe.fib import subscribe
from lab.routing.update import MARKER
from lab.topology import Family
from tests.helpers.sandbox import Sandbox

Make = Callable[[], Sandbox]

HERE: dict[Family, str] = {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}
THERE: dict[Family, str] = {"ipv4": "192.0.2.2", "ipv6": "2001:db8::2"}
NET: dict[Family, str] = {"ipv4": "192.0.2.0/24", "ipv6": "2001:db8::/64"}
PREFIX: dict[Family, str] = {"ipv4": "10.9.0.0/24", "ipv6": "2001:db8:9::/64"}
MAY_OVERTAKE = 0.01
"""The share of packets that a sender which moves to the other processor may reorder: it leaves some in a backlog."""


@pytest.fixture
def ends(sandbox: Make) -> tuple[Sandbox, Sandbox]:
    """Two nodes on one link, `w`."""
    here, there = sandbox(), sandbox()
    here.ip(("link", "add", {"ifname": "w", "kind": "veth", "peer": {"ifname": "w", "net_ns_pid": there.pid}}))
    for box, mine in ((here, HERE), (there, THERE)):
        box.ip(
            ("link", "set", {"dev": "w", "state": "up"}),
            ("addr", "add", {"dev": "w", "address": mine["ipv4"], "prefixlen": 24}),
            ("addr", "add", {"dev": "w", "address": mine["ipv6"], "prefixlen": 64, "family": 10, "flags": 2}),
        )
    return here, there


def clock() -> Clock:
    return Clock(Offset.sample(), Offset.sample())


# --- recorder ------------------------------------------------------------------------------------------------


def test_route_event_has_its_time_of_arrival(ends: tuple[Sandbox, Sandbox], family: Family) -> None:
    here, _ = ends
    prefix = ip_network(PREFIX[family])
    change = {"dst": PREFIX[family], "gateway": THERE[family], "family": 2 if family == "ipv4" else 10}
    with here.namespace.run(subscribe) as events, Tape([events]) as tape, FibWatch(here.namespace) as watch:
        tape.wait_ready()
        before = watch.copy()
        times = [time.monotonic()]
        here.ip(("route", "add", change))
        times.append(time.monotonic())
        here.ip(("route", "del", change))
        times.append(time.monotonic())
        recorded = tape.stop()
        history = follow(recorded.readings[0], before, [prefix], watch.interface)
    assert [(change.prefix, change.entry is None) for change in history.changes] == [(prefix, False), (prefix, True)]
    (came, went) = (change.time for change in history.changes)
    assert times[0] <= came <= times[1] + recorded.error(came)
    assert times[1] <= went <= times[2] + recorded.error(went)
    settled = history.settled(prefix, 0.0)
    assert settled is not None
    assert settled.entry is None
    assert not history.returned(prefix, 0.0)


def test_ipv4_routes_vanish_with_an_interface_that_goes_down(ends: tuple[Sandbox, Sandbox]) -> None:
    here, _ = ends
    prefix = ip_network(PREFIX["ipv4"])
    change = {"dst": PREFIX["ipv4"], "gateway": THERE["ipv4"]}
    here.ip(("route", "add", change))
    with here.namespace.run(subscribe) as events, Tape([events]) as tape, FibWatch(here.namespace) as watch:
        tape.wait_ready()
        before = watch.copy()
        here.ip(("link", "set", {"dev": "w", "state": "down"}))
        here.ip(("link", "set", {"dev": "w", "state": "up"}), ("route", "add", change))
        history = follow(tape.stop().readings[0], before, [prefix], watch.interface)
    assert [change.entry is None for change in history.changes] == [True, False]
    assert history.returned(prefix, 0.0)
    states = [up for _, interface, up in history.links if interface == "w"]
    assert states[states.index(False) :] == [False, True]  # the carrier of the fixture may still be reported before


def test_ipv4_routes_vanish_with_an_interface_that_is_deleted(ends: tuple[Sandbox, Sandbox]) -> None:
    """The name of the interface has to come from the message: it cannot be looked up any more."""
    here, _ = ends
    prefix = ip_network(PREFIX["ipv4"])
    here.ip(("route", "add", {"dst": PREFIX["ipv4"], "gateway": THERE["ipv4"]}))
    with here.namespace.run(subscribe) as events, Tape([events]) as tape, FibWatch(here.namespace) as watch:
        tape.wait_ready()
        before = watch.copy()
        here.ip(("link", "del", {"ifname": "w"}))
        wait_for(
            Expectation(
                what="the route to be gone",
                node="here",
                look=lambda: watch.route(prefix),
                met=lambda found: found is None,
            ),
            within=10,
        )
        history = follow(tape.stop().readings[0], before, [prefix], watch.interface)
    assert [change.entry for change in history.changes] == [None]
    assert ("w", False) in [(interface, up) for _, interface, up in history.links]


def test_tape_reports_an_overflow_of_the_receive_buffer(ends: tuple[Sandbox, Sandbox]) -> None:
    here, _ = ends
    with here.namespace.run(subscribe) as events:
        events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        changes = [{"dst": f"10.{n}.0.0/16", "gateway": THERE["ipv4"]} for n in range(100, 150)]
        with Tape([events]) as tape:
            tape.wait_ready()
            os.kill(tape.pid, signal.SIGSTOP)
            here.ip(*(("route", "add", change) for change in changes))
            os.kill(tape.pid, signal.SIGCONT)
            assert tape.stop().lost == [True]


def test_tape_reports_the_end_of_a_stream() -> None:
    ours, theirs = socket.socketpair()
    with ours, Tape([ours]) as tape:
        tape.wait_ready()
        theirs.sendall(b"words")
        theirs.close()
        recorded = tape.stop()
    assert b"".join(reading.data for reading in recorded.readings[0]) == b"words"
    assert recorded.ended == [True]


def test_delayed_recorder_reports_a_larger_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Tape([ours]) as tape:
        tape.wait_ready()
        os.kill(tape.pid, signal.SIGSTOP)
        theirs.sendall(b"words")
        time.sleep(0.2)  # the duration of the delay
        os.kill(tape.pid, signal.SIGCONT)
        recorded = tape.stop()
    (reading,) = recorded.readings[0]
    assert recorded.error(reading.read / 1e9) >= 0.15
    assert recorded.error(reading.read / 1e9 + 5) < 0.15


def test_child_that_fails_to_start_reports_its_last_line() -> None:
    with Path("/dev/null").open() as no_plan:
        child = Child("lab.measure.instrument.sender", [no_plan.fileno(), no_plan.fileno()], [])
        with pytest.raises(EnvironmentBroken, match=r"sender ended with exit code 1: .*JSONDecodeError"):
            child.wait_ready()


def test_child_that_starts_too_slowly_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.measure.instrument.child._READY_WITHIN", 0.0)
    monkeypatch.setattr("lab.measure.instrument.child._ENDED_WITHIN", 0.0)
    plan, never_written = os.pipe()
    try:
        child = Child("lab.measure.instrument.sender", [plan, plan], [])
        with pytest.raises(EnvironmentBroken, match=r"sender did not start within 0 s"):
            child.wait_ready()
    finally:
        os.close(plan)
        os.close(never_written)


def test_interruption_before_the_start_is_not_hidden_by_the_recorder() -> None:
    """Ctrl-C while the recorder starts: its failure on the closed control socket must not replace the interruption."""
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(KeyboardInterrupt), Tape([ours]):
        raise KeyboardInterrupt


def test_killed_recorder_fails_the_measurement() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Tape([ours]) as tape:
        tape.wait_ready()
        os.kill(tape.pid, signal.SIGKILL)
        with pytest.raises(EnvironmentBroken, match="recorder ended with exit code -9: no output"):
            tape.stop()


# --- probe packets -----------------------------------------------------------------------------------------------


def test_scapy_layer_matches_the_payload_of_the_sender() -> None:
    made = payload(7, 4711, 123456789)
    assert made == sender.PAYLOAD.pack(sender.MARK, 7, 0, 4711, 123456789)
    read = probe_layer()(made)
    assert (read.mark, read.prefix, read.number, read.sent) == (sender.MARK, 7, 4711, 123456789)


def probed(ends: tuple[Sandbox, Sandbox], prefixes: int, meanwhile: Callable[[Probes], None]) -> Trace:
    """Probe prefixes of both families beyond a link while `meanwhile` runs."""
    here, there = ends
    targets = []
    for number in range(prefixes):
        family: Family = "ipv4" if number % 2 == 0 else "ipv6"
        address, length = (f"10.9.{number}.1", 24) if family == "ipv4" else (f"2001:db8:9:{number:x}::1", 64)
        kernel = {"family": 2 if family == "ipv4" else 10}
        there.ip(("addr", "add", {"dev": "w", "address": address, "prefixlen": length, "flags": 2, **kernel}))
        prefix = ip_network(f"{address}/{length}", strict=False)
        here.ip(("route", "add", {"dst": str(prefix), "gateway": THERE[family], **kernel}))
        targets.append(Target(prefix, ip_address(address), "there"))
    offset = Offset.sample()
    probes = Probes(here.namespace, targets, {"there": there.namespace}, rate=1000, seconds=60)
    try:
        probes.start()
        meanwhile(probes)
        probes.stop_sending()
        return probes.stop(Clock(offset, Offset.sample()))
    finally:
        probes.close()


def flowing(probes: Probes, within: float = 60) -> None:
    """Wait until a few more packets have arrived for every prefix."""
    since = time.monotonic()
    wait_for(
        Expectation(
            what="packets for every prefix",
            node="there",
            look=lambda: probes.delivered_since(since + 0.1),
            met=lambda found: len(found) == len(probes.targets),
            seen=lambda found: f"{len(found)}",
        ),
        within=within,
    )


@pytest.mark.parametrize(
    ("prefixes", "groups"),
    [
        pytest.param(20, 2, id="a-group-of-each-family"),
        pytest.param(100, 4, id="two-groups-of-each-family", marks=pytest.mark.thorough),
    ],
)
def test_every_packet_is_received_or_lost(ends: tuple[Sandbox, Sandbox], prefixes: int, groups: int) -> None:
    trace = probed(ends, prefixes, flowing)
    assert len(trace.streams) == prefixes
    assert trace.sent.groups == groups
    assert not trace.lost_by_receiver
    for stream in trace.streams:
        counts = stream.counts(0.0)
        assert counts.sent > 0, "the number depends on the host"
        assert counts.lost + counts.received == counts.sent
        assert counts.duplicated == 0
        assert counts.reordered <= MAY_OVERTAKE * counts.sent
        assert all(time >= stream.sent[number] - 1e-4 for time, number in stream.arrivals)
        assert counts.received >= 0.8 * counts.sent


def test_delayed_sender_fell_behind(ends: tuple[Sandbox, Sandbox]) -> None:
    def starve(probes: Probes) -> None:
        flowing(probes)
        os.killpg(probes.pid, signal.SIGSTOP)
        time.sleep(0.2)  # the duration of the delay
        os.killpg(probes.pid, signal.SIGCONT)
        flowing(probes)

    trace = probed(ends, 2, starve)
    assert trace.sent.late(0.0) >= 0.15
    assert "fell behind" in trace.sent.fell_behind(0.0)
    assert "ms late" in trace.sent.fell_behind(0.0)
    assert trace.sent.fell_behind(trace.streams[0].sent[-1] + 1) != "", "no packet was sent in that time"


def test_sender_leaves_the_cpu_to_others(ends: tuple[Sandbox, Sandbox]) -> None:
    """It polls the clock at real-time priority for a part of the time only."""

    def busy(probes: Probes) -> float:
        children = Path(f"/proc/{probes.pid}/task/{probes.pid}/children").read_text().split()
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in (probes.pid, *children)]
        return max(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")

    shares: list[float] = []

    def watch(probes: Probes) -> None:
        flowing(probes)
        began, since = busy(probes), probes.sent_until
        wait_for(
            Expectation(
                what="two seconds of packets",
                node="here",
                look=lambda: probes.sent_until,
                met=lambda at: at > since + 2,
            ),
            within=60,
        )
        shares.append((busy(probes) - began) / (probes.sent_until - since))

    probed(ends, 2, watch)
    assert shares[0] < 0.5


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU has one sender")
@pytest.mark.parametrize("which", ["first", "second"])
def test_other_process_sends_while_one_is_stopped(ends: tuple[Sandbox, Sandbox], which: str) -> None:
    def stop_one(probes: Probes) -> None:
        flowing(probes)
        (second,) = Path(f"/proc/{probes.pid}/task/{probes.pid}/children").read_text().split()
        pid = {"first": probes.pid, "second": int(second)}[which]
        for _ in range(20):  # it may be stopped in the middle of sending, and the other one then waits for its turn
            os.kill(pid, signal.SIGSTOP)
            try:
                flowing(probes, within=2)
            except ExpectationFailed:
                continue
            else:
                return
            finally:
                os.kill(pid, signal.SIGCONT)
        pytest.fail(f"nothing is sent while the {which} process is stopped")

    trace = probed(ends, 2, stop_one)
    for stream in trace.streams:
        counts = stream.counts(0.0)
        assert counts.duplicated == 0
        assert counts.reordered <= MAY_OVERTAKE * counts.sent
        assert list(stream.sent) == sorted(stream.sent)


def test_sender_gives_up_more_than_a_second_behind(ends: tuple[Sandbox, Sandbox]) -> None:
    """At real-time priority it would otherwise keep all other processes from running."""

    def state(probes: Probes) -> str:
        return Path(f"/proc/{probes.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def starve(probes: Probes) -> None:
        flowing(probes)
        os.killpg(probes.pid, signal.SIGSTOP)
        time.sleep(1.2)  # the duration of the delay
        os.killpg(probes.pid, signal.SIGCONT)
        wait_for(
            Expectation(
                what="the sender to end", node="here", look=lambda: state(probes), met=lambda letter: letter == "Z"
            ),
            within=30,
        )

    trace = probed(ends, 2, starve)
    *_, (before, _, _), (_, after, _) = trace.sent.log
    assert after - before > 1e9, "it went on after the delay"
    assert "fell behind" in trace.sent.fell_behind(0.0)


def test_packet_during_which_its_process_stood_still_has_no_known_time() -> None:
    """Five packets; the third is being sent for 7 ms, and the other process sends the next ones on time or waits."""
    due = [1_000_000_000 + n * 1_000_000 for n in range(5)]
    log = [(at, at + 50_000, 0) for at in due]
    log[2] = (due[2], due[2] + 7_000_000, 0)
    went_on = Sent(1000.0, due[0], 1, log)
    assert went_on.unsure == went_on.unsure_of(0) == {2}
    assert went_on.late(0.0) == pytest.approx(0.00005)
    assert went_on.fell_behind(0.0) == ""
    waited = Sent(1000.0, due[0], 1, [*log[:3], *((at + 6_100_000, at + 6_150_000, 0) for at in due[3:])])
    assert waited.unsure == set()
    assert waited.late(0.0) == pytest.approx(0.007)
    assert "7.0 ms late" in waited.fell_behind(0.0)
    two_groups = Sent(500.0, due[0], 2, log)
    assert two_groups.unsure_of(0) == {1}
    assert not two_groups.unsure_of(1)


def test_log_of_the_sender_by_hand() -> None:
    """1,000 packets a second, two groups half a millisecond apart, the base at 1 s; the third packet is 4 ms late."""
    due = [1_000_000_000 + n * 1_000_000 for n in range(5)]
    log = []
    for n, first in enumerate(due):
        held = 4_000_000 if n == 2 else 0
        log += [(first + held, first + held + 10_000, 0), (first + held + 500_000, first + held + 510_000, n == 4)]
    sent = Sent(1000.0, due[0], 2, log)
    assert sent.of(0) == pytest.approx([1.0, 1.001, 1.006, 1.003, 1.004])
    assert sent.of(1)[0] == pytest.approx(1.0005)
    assert sent.late(0.0) == pytest.approx(0.00401)
    assert sent.late(1.007) == 0
    assert sent.achieved(0.0) == pytest.approx(4 / 0.004)
    assert sent.refused == 1
    assert sent.fell_behind(0.0) == ""
    slow = Sent(
        1000.0, due[0], 1, [(1_000_000_000 + n * 1_020_000, 1_000_000_000 + n * 1_020_000, 0) for n in range(99)]
    )
    assert "980 of 1000 packets/s" in slow.fell_behind(0.0)


def test_target_is_an_address_within_the_prefix(ends: tuple[Sandbox, Sandbox], family: Family) -> None:
    here, there = ends
    nodes = {"there": there.namespace, "here": here.namespace}
    (target,) = find_targets([ip_network(NET[family])], nodes)
    assert target == Target(ip_network(NET[family]), ip_address(THERE[family]), "there")
    with pytest.raises(InputError, match=r"none of the nodes .* has an address in"):
        find_targets([ip_network(PREFIX[family])], nodes)


# --- UPDATEs -----------------------------------------------------------------------------------------------------


def update(*prefixes: str) -> bytes:
    return bytes(BGPHeader(type=2) / BGPUpdate(path_attr=[], nlri=[BGPNLRI_IPv4(prefix=p) for p in prefixes]))


def packet(family: Family, data: bytes, number: int = 1, port: int = 179, flags: str = "PA") -> Packet:
    network = IP(src=HERE["ipv4"], dst=THERE["ipv4"]) if family == "ipv4" else IPv6(src=HERE["ipv6"], dst=THERE["ipv6"])
    return network / TCP(sport=port, dport=40000, seq=number, flags=flags) / Raw(data)


WANTED = [ip_network("10.9.0.0/24")]


def test_received_updates_are_captured(ends: tuple[Sandbox, Sandbox], family: Family) -> None:
    here, there = ends
    message = update("10.9.0.0/24", "10.8.0.0/24")
    with there.namespace.run(lambda: updates.listen("w")) as listener, Tape([listener]) as tape:
        tape.wait_ready()
        offset = Offset.sample()
        send(here.namespace, packet(family, message, port=1179))
        before = time.monotonic()
        send(here.namespace, packet(family, message))
        wait_for(
            Expectation("the packet", "there", lambda: tape.read().readings[0], lambda found: len(found) >= 1),
            within=20,
        )
        after = time.monotonic()
        recorded = tape.stop()
    found = updates.crossings(recorded.readings[0], WANTED, made := Clock(offset, Offset.sample()))
    assert [crossing.update.announced for crossing in found] == [frozenset(WANTED)]
    assert before - made.error <= found[0].time <= after + made.error
    assert all(b"\x04\x9b" not in reading.data[20:48] for reading in recorded.readings[0]), (
        "a packet of another port was captured"
    )


def test_capture_needs_an_existing_interface(ends: tuple[Sandbox, Sandbox]) -> None:
    with pytest.raises(OSError, match="No such device"):
        ends[0].namespace.run(lambda: updates.listen("none"))


def readings(*packets: Packet) -> list[Reading]:
    return [Reading(n + 1, 0, INCOMING, bytes(each)) for n, each in enumerate(packets)]


def seen(*packets: Packet) -> list[float]:
    return [round(c.time * 1e9) for c in updates.crossings(readings(*packets), WANTED, clock())]


@pytest.mark.parametrize("start", [1, 2**32 - 30])
def test_segmented_update_has_the_time_of_its_last_byte(family: Family, start: int) -> None:
    """Segments may also arrive in another order or twice, and the sequence number may wrap around."""
    message = update("10.9.0.0/24")
    one, two = message[:20], message[20:]
    first = packet(family, one, start)
    second = packet(family, two, (start + 20) % 2**32)
    again = packet(family, message, (start + len(message)) % 2**32)
    assert seen(first, second) == [2]
    assert seen(first, first, second, second, again) == [3, 5]
    hello = packet(family, b"", (start - 1) % 2**32, flags="S")
    assert seen(hello, second, first, again) == [3, 4]


def test_sent_packets_and_other_messages_are_ignored(family: Family) -> None:
    keepalive = MARKER + struct.pack("!HB", 19, 4)
    out = [reading._replace(direction=5) for reading in readings(packet(family, update("10.9.0.0/24")))]
    assert updates.crossings(out, WANTED, clock()) == []
    assert seen(packet(family, keepalive), packet(family, update("10.7.0.0/24"), 20)) == []


def test_capture_continues_after_a_lost_segment() -> None:
    message = update("10.9.0.0/24")
    first = packet("ipv4", message[:20], 1)
    later = [packet("ipv4", message, 1000 + n * len(message)) for n in range(300)]
    assert len(seen(first, *later)) >= 299


def test_probes_close_all_files(ends: tuple[Sandbox, Sandbox]) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    probed(ends, 2, flowing)
    assert count() == before
