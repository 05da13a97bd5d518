"""What a topology's links ask of netem, and what then becomes of packets: counted and timed one by one."""

import math
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import fmean, median, pstdev

import pytest

from lab.core.expect import Expectation, wait_for
from lab.observe import Capture, CapturedPacket
from lab.runtime.lab import Lab
from lab.status.overview import link_reports
from lab.topology import Address, Family, Impairment
from lab.topology.segments import endpoints_of

pytestmark = [
    pytest.mark.docker,
    pytest.mark.needs_kernel("netem", "tbf"),
    pytest.mark.topology("netem.clab.yml", openvpn="2.7"),
]

MARK = b"numbered"
PORT = 4243
DELAY = 0.2
"""Seconds; of all links that delay at all."""
LONGEST = 2 * DELAY
"""Seconds that no packet is on its way, jitter included."""
DEVIATIONS = 6
"""Of the binomial distribution: further away is one of a billion."""


@dataclass(frozen=True)
class Arrival:
    """A packet that arrived."""

    number: int
    took: float
    """Seconds from just before it was handed to the kernel until it was there, by one and the same clock."""


def asked(lab: Lab, link: str) -> Impairment:
    """What the topology declares of the link that both ends call so."""
    (impairment,) = (found.intent.impair for found in lab.topology.links if found.endpoints[0].interface == link)
    assert impairment is not None
    return impairment


def address(lab: Lab, link: str, family: Family) -> Address:
    """Of host two on a link."""
    (end,) = (end for end in endpoints_of(lab.topology, "two") if end.interface == link)
    interface = end.ipv4 if family == "ipv4" else end.ipv6
    assert interface is not None
    return interface.ip


def sent_over(lab: Lab, link: str, count: int, *, family: Family = "ipv4", pause: float = 0.002) -> list[Arrival]:
    """Send numbered packets from one to two over a link; those that arrived, in their order."""
    one, two, target = lab.node("one"), lab.node("two"), address(lab, link, family)
    one.expect_reaches(target)  # each knows where the other is: the search for that can be lost, too
    version = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    sent: list[float] = []
    with closing(one.running.namespace.run(lambda: socket.socket(version, socket.SOCK_DGRAM))) as sender:

        def send_next() -> None:
            sent.append(time.time())
            # Nobody listens there, and says so (ICMP): a socket that is not connected is not told (udp(7)).
            sender.sendto(struct.pack("!8sI", MARK, len(sent) - 1), (str(target), PORT))

        with two.capture(link) as capture:
            for _ in range(count):
                send_next()
                time.sleep(pause)
            ends = sent[-1]

            def sent_last() -> float:
                send_next()
                return max((sent[number] for number, _ in numbered(capture)), default=0.0)

            # What is there of later packets tells that nothing of these is still on its way.
            what = "a packet that was sent when all others had to be there"
            done = Expectation(what=what, node="two", look=sent_last, met=lambda at: at > ends + LONGEST)
            wait_for(done, within=60)
    return [Arrival(number, at - sent[number]) for number, at in numbered(capture) if number < count]


def numbered(capture: Capture) -> list[tuple[int, float]]:
    def number(packet: CapturedPacket) -> int:
        return int(struct.unpack_from("!I", packet.data, packet.data.index(MARK) + len(MARK))[0])

    # A port that is unreachable is told with a copy of the packet: what leaves is left aside.
    came = [packet for packet in capture.packets if MARK in packet.data and not packet.outgoing]
    return [(number(packet), packet.time) for packet in came]


def assert_share(found: int, count: int, percent: float) -> None:
    """As many as independent draws give (binomial distribution)."""
    share = percent / 100
    deviation = math.sqrt(count * share * (1 - share))
    assert abs(found - count * share) <= DEVIATIONS * deviation, f"{found} of {count} are not {percent} %"


def beyond(arrivals: Sequence[Arrival], lab: Lab, family: Family = "ipv4") -> list[float]:
    """Seconds that each took longer than is usual on a wire that does nothing."""
    usual = median(arrival.took for arrival in sent_over(lab, "plain", 100, family=family))
    return [arrival.took - usual for arrival in arrivals]


def test_all_of_it_is_netems(lab: Lab) -> None:
    told = {report.sender: report for report in link_reports(lab)}
    assert {sender.partition(":")[2] for sender in told} == {"delay", "jitter", "loss", "duplicate", "reorder", "rate"}
    for report in told.values():
        assert report.truthful
        assert report.in_force[0].name == "netem"


def test_nothing_is_asked_and_nothing_is_done(lab: Lab, family: Family) -> None:
    """The control of all that follows."""
    arrivals = sent_over(lab, "plain", 500, family=family)
    assert [arrival.number for arrival in arrivals] == list(range(500))
    assert median(arrival.took for arrival in arrivals) < DELAY / 4


def test_the_delay_is_what_was_asked_within_5_percent(lab: Lab, family: Family) -> None:
    wanted = asked(lab, "delay").delay / 1000
    arrivals = sent_over(lab, "delay", 100, family=family)
    assert [arrival.number for arrival in arrivals] == list(range(100))
    assert median(beyond(arrivals, lab, family)) == pytest.approx(wanted, rel=0.05)


def test_jitter_spreads_evenly_around_the_delay(lab: Lab) -> None:
    link = asked(lab, "jitter")
    took = beyond(sent_over(lab, "jitter", 400), lab)
    wanted, jitter = link.delay / 1000, link.jitter / 1000
    assert fmean(took) == pytest.approx(wanted, rel=0.1)
    # Uniform between delay minus jitter and delay plus jitter.
    assert pstdev(took) == pytest.approx(jitter / math.sqrt(3), rel=0.2)
    assert min(took) >= (wanted - jitter) * 0.95


def test_as_many_are_lost_as_was_asked(lab: Lab, family: Family) -> None:
    count = 2000
    arrivals = sent_over(lab, "loss", count, family=family, pause=0.001)
    assert len({arrival.number for arrival in arrivals}) == len(arrivals)
    assert_share(count - len(arrivals), count, asked(lab, "loss").loss)


def test_as_many_come_twice_as_was_asked(lab: Lab) -> None:
    count = 1000
    arrivals = sent_over(lab, "duplicate", count, pause=0.001)
    assert len({arrival.number for arrival in arrivals}) == count
    assert_share(len(arrivals) - count, count, asked(lab, "duplicate").duplicate)


def test_as_many_overtake_as_was_asked(lab: Lab) -> None:
    count = 1000
    arrivals = sent_over(lab, "reorder", count)
    assert sorted(arrival.number for arrival in arrivals) == list(range(count))
    assert [arrival.number for arrival in arrivals] != list(range(count))
    took = beyond(arrivals, lab)
    early = [seconds for seconds in took if seconds < DELAY / 2]
    assert_share(len(early), count, asked(lab, "reorder").reorder)
    assert median(seconds for seconds in took if seconds >= DELAY / 2) == pytest.approx(DELAY, rel=0.05)


def test_the_rate_is_what_was_asked(lab: Lab, family: Family) -> None:
    """And the wire beside it does more: it is the link that is slow."""
    wanted = asked(lab, "rate").rate
    assert wanted is not None
    limited = tcp_rate(lab, "rate", family)
    assert 0.7 * wanted < limited / 1000 < 1.1 * wanted
    assert tcp_rate(lab, "plain", family) > 2 * limited


def tcp_rate(lab: Lab, link: str, family: Family) -> float:
    """Bits per second, payload and headers, of a TCP connection from one to two."""
    target, size = str(address(lab, link, family)), 1 << 20
    version = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    one, two = (lab.running(name).namespace for name in ("one", "two"))

    def transmit() -> None:
        with closing(one.run(lambda: socket.socket(version, socket.SOCK_STREAM))) as sender:
            sender.connect((target, PORT))
            sender.sendall(bytes(size))

    thread = threading.Thread(target=transmit)
    with closing(two.run(lambda: socket.create_server((target, PORT), family=version))) as server:
        server.settimeout(60)
        thread.start()
        connection, _ = server.accept()
        with closing(connection), lab.node("two").capture(link) as capture:
            connection.settimeout(60)
            while connection.recv(1 << 16):
                pass
        thread.join()
    came = [packet for packet in capture.packets if not packet.outgoing]
    # What came first opens the time that the rest took.
    return 8 * sum(len(packet.data) for packet in came[1:]) / (came[-1].time - came[0].time)
