"""Impairments of a topology's links by netem, measured packet by packet."""

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
"""Delay in seconds of all links that have one."""
LONGEST = 2 * DELAY
"""Upper bound of a packet's delay in seconds, including jitter."""
DEVIATIONS = 6
"""Standard deviations of the binomial distribution: more have a probability of one in a billion."""


@dataclass(frozen=True)
class Arrival:
    """A received packet."""

    number: int
    took: float
    """Seconds from before it was sent until it was received, by one clock."""


def asked(lab: Lab, link: str) -> Impairment:
    """Return the declared impairment of the link with this interface name."""
    (impairment,) = (found.intent.impair for found in lab.topology.links if found.endpoints[0].interface == link)
    assert impairment is not None
    return impairment


def address(lab: Lab, link: str, family: Family) -> Address:
    """Return the address of host two on a link."""
    (end,) = (end for end in endpoints_of(lab.topology, "two") if end.interface == link)
    interface = end.ipv4 if family == "ipv4" else end.ipv6
    assert interface is not None
    return interface.ip


def sent_over(lab: Lab, link: str, count: int, *, family: Family = "ipv4", pause: float = 0.002) -> list[Arrival]:
    """Send numbered packets from one to two over a link; return the received ones in order."""
    one, two, target = lab.node("one"), lab.node("two"), address(lab, link, family)
    one.expect_reaches(target)  # neighbour discovery first, which can be lost too
    version = socket.AF_INET if family == "ipv4" else socket.AF_INET6
    sent: list[float] = []
    with closing(one.running.namespace.run(lambda: socket.socket(version, socket.SOCK_DGRAM))) as sender:

        def send_next() -> None:
            sent.append(time.time())
            # No socket listens there: an unconnected socket does not report the ICMP error (udp(7)).
            sender.sendto(struct.pack("!8sI", MARK, len(sent) - 1), (str(target), PORT))

        with two.capture(link) as capture:
            for _ in range(count):
                send_next()
                time.sleep(pause)
            ends = sent[-1]

            def sent_last() -> float:
                send_next()
                return max((sent[number] for number, _ in numbered(capture)), default=0.0)

            # Once later packets have arrived, none of these is still in flight.
            what = "a packet that was sent when all others had to be there"
            done = Expectation(what=what, node="two", look=sent_last, met=lambda at: at > ends + LONGEST)
            wait_for(done, within=60)
    return [Arrival(number, at - sent[number]) for number, at in numbered(capture) if number < count]


def numbered(capture: Capture) -> list[tuple[int, float]]:
    def number(packet: CapturedPacket) -> int:
        return int(struct.unpack_from("!I", packet.data, packet.data.index(MARK) + len(MARK))[0])

    # The ICMP error has a copy of the packet: ignore outgoing packets.
    came = [packet for packet in capture.packets if MARK in packet.data and not packet.outgoing]
    return [(number(packet), packet.time) for packet in came]


def assert_share(found: int, count: int, percent: float) -> None:
    """Check a share of independent draws (binomial distribution)."""
    share = percent / 100
    deviation = math.sqrt(count * share * (1 - share))
    assert abs(found - count * share) <= DEVIATIONS * deviation, f"{found} of {count} are not {percent} %"


def beyond(arrivals: Sequence[Arrival], lab: Lab, family: Family = "ipv4") -> list[float]:
    """Return the seconds that each took longer than on a link without impairment."""
    usual = median(arrival.took for arrival in sent_over(lab, "plain", 100, family=family))
    return [arrival.took - usual for arrival in arrivals]


def test_all_impairments_use_netem(lab: Lab) -> None:
    told = {report.sender: report for report in link_reports(lab)}
    assert {sender.partition(":")[2] for sender in told} == {"delay", "jitter", "loss", "duplicate", "reorder", "rate"}
    for report in told.values():
        assert report.consistent
        assert report.in_force[0].name == "netem"


def test_link_without_impairment_changes_no_packet(lab: Lab, family: Family) -> None:
    """Control of the tests below."""
    arrivals = sent_over(lab, "plain", 500, family=family)
    assert [arrival.number for arrival in arrivals] == list(range(500))
    assert median(arrival.took for arrival in arrivals) < DELAY / 4


def test_delay_is_within_5_percent(lab: Lab, family: Family) -> None:
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


def test_loss_has_the_configured_share(lab: Lab, family: Family) -> None:
    count = 2000
    arrivals = sent_over(lab, "loss", count, family=family, pause=0.001)
    assert len({arrival.number for arrival in arrivals}) == len(arrivals)
    assert_share(count - len(arrivals), count, asked(lab, "loss").loss)


def test_duplicates_have_the_configured_share(lab: Lab) -> None:
    count = 1000
    arrivals = sent_over(lab, "duplicate", count, pause=0.001)
    assert len({arrival.number for arrival in arrivals}) == count
    assert_share(len(arrivals) - count, count, asked(lab, "duplicate").duplicate)


def test_reordered_packets_have_the_configured_share(lab: Lab) -> None:
    count = 1000
    arrivals = sent_over(lab, "reorder", count)
    assert sorted(arrival.number for arrival in arrivals) == list(range(count))
    assert [arrival.number for arrival in arrivals] != list(range(count))
    took = beyond(arrivals, lab)
    early = [seconds for seconds in took if seconds < DELAY / 2]
    assert_share(len(early), count, asked(lab, "reorder").reorder)
    assert median(seconds for seconds in took if seconds >= DELAY / 2) == pytest.approx(DELAY, rel=0.05)


def test_rate_is_the_configured_one(lab: Lab, family: Family) -> None:
    """The link without impairment is faster: the limit is the link's."""
    wanted = asked(lab, "rate").rate
    assert wanted is not None
    limited = tcp_rate(lab, "rate", family)
    assert 0.7 * wanted < limited / 1000 < 1.1 * wanted
    assert tcp_rate(lab, "plain", family) > 2 * limited


def tcp_rate(lab: Lab, link: str, family: Family) -> float:
    """Return the rate of a TCP connection from one to two, in bit/s including headers."""
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
    # The first data starts the measured interval.
    return 8 * sum(len(packet.data) for packet in came[1:]) / (came[-1].time - came[0].time)
