"""Probe packets: one UDP stream per prefix, sent and received by separate processes (`sender.py`, `recorder.py`).

Scapy builds the packets (layer `ProbePacket`); the kernel stamps them when they arrive (SO_TIMESTAMPNS).
"""

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

from lab.core.buffers import enlarge_receive_buffer, enlarge_send_buffer
from lab.engine.namespace import Namespace
from lab.measure.instrument import sender
from lab.measure.instrument.child import Child
from lab.measure.instrument.clock import Clock
from lab.measure.instrument.convergence import FORWARDING_DELAY, Stream
from lab.measure.instrument.tape import Reading, Recorded, Tape
from lab.topology import Address, Prefix

MAX_LATE = 0.005
"""Seconds by which a packet may leave late; above that, the sender fell behind."""
UNSURE = 0.001
"""Seconds that the sending of a packet may take until its time is not known."""
MIN_ACHIEVED = 0.99
"""Share of the requested rate that the sender has to reach."""

_SO_TIMESTAMPNS = 35
_BUFFER = 64 << 20
_ANY_ADDRESS = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - inside the namespace of a node of the lab
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True)
class Target:
    """The destination of the probe packets of a prefix."""

    prefix: Prefix
    address: Address
    node: str


@dataclass(frozen=True)
class Sent:
    """The sender's log."""

    rate: float
    """Requested packets per second and prefix."""
    base: int
    """Time at which the first packets were due (ns)."""
    groups: int
    log: Sequence[tuple[int, int, int]]
    """For each group: the times before and after sending it (ns), and the number of packets that the kernel refused."""

    no_real_time: str = ""
    """Why the sender did not run at real-time priority; empty if it did."""

    @cached_property
    def unsure(self) -> frozenset[int]:
        """The places in the log of groups whose time of sending is not known.

        Their process stood still while it sent them, and the other process went on with the next group: they were sent
        at some time between.
        """
        known = pairwise(self.log)
        return frozenset(
            place
            for place, ((before, after, _), (following, _, _)) in enumerate(known)
            if after - before > UNSURE * 1e9 and following < after
        )

    def unsure_of(self, group: int) -> frozenset[int]:
        """Return the numbers of the packets of a group whose time of sending is not known."""
        return frozenset(place // self.groups for place in self.unsure if place % self.groups == group)

    def of(self, group: int) -> list[float]:
        """Return the time at which each packet of a group was sent, in seconds."""
        return [before / 1e9 for before, _, _ in self.log[group :: self.groups]]

    def late(self, since: float) -> float:
        """Return the largest delay in sending a packet since a time, in seconds, without those in `unsure`."""
        period = 1e9 / self.rate
        worst = 0.0
        for index, (_, after, _) in enumerate(self.log):
            if after / 1e9 >= since and index not in self.unsure:
                number, group = divmod(index, self.groups)
                due = self.base + number * period + group * period / self.groups
                worst = max(worst, (after - due) / 1e9)
        return worst

    def achieved(self, since: float) -> float:
        """Return the packets per second and prefix that were sent since a time."""
        times = [before / 1e9 for before, _, _ in self.log[:: self.groups] if before / 1e9 >= since]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0

    @property
    def refused(self) -> int:
        """Number of packets that the kernel refused."""
        return sum(refused for _, _, refused in self.log)

    def fell_behind(self, since: float) -> str:
        """Return why a measurement with these packets is invalid; empty if it is valid."""
        late, achieved = self.late(since), self.achieved(since)
        if late > MAX_LATE:
            return (
                f"the sender fell behind: a packet left {late * 1000:.1f} ms late, the limit is {MAX_LATE * 1000:g} ms"
            )
        if achieved < MIN_ACHIEVED * self.rate:
            return f"the sender fell behind: it sent {achieved:.0f} of {self.rate:.0f} packets/s for each prefix"
        return ""


@dataclass(frozen=True)
class Trace:
    """All probe packets of a measurement."""

    streams: Sequence[Stream]
    sent: Sent
    lost_by_receiver: bool
    """True if the receive buffer overflowed, so that losses are not the path's."""


class Probes:
    """The sender and the receiver of probe packets, which run from `start` to `stop`."""

    def __init__(
        self,
        source: Namespace,
        targets: Sequence[Target],
        receivers: Mapping[str, Namespace],
        *,
        rate: float,
        seconds: float,
    ) -> None:
        """Open all sockets; sending ends after `seconds`. `receivers` are the namespaces of the targets' nodes."""
        self.targets = targets
        self._rate, self._periods = rate, int(seconds * rate)
        self._latest = [0] * len(targets)
        self._seen: dict[int, int] = {}
        self._tape: Tape | None = None
        self._sender: Child | None = None
        with ExitStack() as stack:
            self._receiving = [
                stack.enter_context(receivers[node].run(lambda v=version: _receiver(v)))  # type: ignore[misc]
                for node, version in sorted({(t.node, t.address.version) for t in targets})
            ]
            ports = dict(zip(sorted({(t.node, t.address.version) for t in targets}), self._receiving, strict=True))
            self._versions = sorted({target.address.version for target in targets})
            self._sending = [
                stack.enter_context(source.run(lambda v=version: _sender(v)))  # type: ignore[misc]
                for version in self._versions
            ]
            self._ports = {key: receiver.getsockname()[1] for key, receiver in ports.items()}
            self._stack = stack.pop_all()

    def start(self) -> None:
        """Start to receive and to send."""
        self._tape = self._stack.enter_context(Tape(self._receiving))
        self._log = os.memfd_create("log", os.MFD_CLOEXEC)
        self._stack.callback(os.close, self._log)
        plan = os.memfd_create("plan", os.MFD_CLOEXEC)
        try:
            os.write(plan, json.dumps(self._plan()).encode())
            fds = [each.fileno() for each in self._sending]
            self._tape.wait_ready()
            self._sender = Child(sender.__name__, [plan, self._log], fds)
            self._stack.callback(self._sender.close)
            self._sender.wait_ready()
        finally:
            os.close(plan)

    @property
    def pid(self) -> int:
        """The process ID of the sender, and of the group of its processes."""
        assert self._sender is not None, "not started"
        return self._sender.pid

    @property
    def sent_until(self) -> float:
        """Time of the last packet sent so far, in seconds."""
        size = os.fstat(self._log).st_size // sender.LOG.size * sender.LOG.size
        if size <= sender.LOG.size:
            return 0.0
        before, _, _ = sender.LOG.unpack(os.pread(self._log, sender.LOG.size, size - sender.LOG.size))
        return float(before) / 1e9

    def delivered_since(self, time: float) -> set[Prefix]:
        """Return the prefixes for which a packet sent at `time` or later has arrived."""
        assert self._tape is not None, "not started"
        for place, readings in enumerate(self._tape.read().readings):
            for reading in readings[self._seen.get(place, 0) :]:
                unpacked = _unpack(reading)
                if unpacked is not None and unpacked[0] < len(self.targets):
                    self._latest[unpacked[0]] = max(self._latest[unpacked[0]], unpacked[2])
            self._seen[place] = len(readings)
        return {t.prefix for t, sent in zip(self.targets, self._latest, strict=True) if sent / 1e9 >= time}

    def stop_sending(self) -> None:
        """Stop sending; packets in flight may still arrive."""
        if self._sender is not None:
            self._sender.stop()

    def stop(self, clock: Clock) -> Trace:
        """Stop receiving and return all packets; call `stop_sending` first, and wait for packets in flight."""
        assert self._tape is not None, "not started"
        recorded = self._tape.stop()
        sent = self._read_log()
        return Trace(self._streams(recorded, sent, clock), sent, any(recorded.lost))

    def close(self) -> None:
        """End the processes and close the sockets."""
        self._stack.close()

    def _plan(self) -> dict[str, Any]:
        packets = []
        for number, target in enumerate(self.targets):
            version = target.address.version
            address = (str(target.address), self._ports[target.node, version])
            packets.append(
                {
                    "socket": self._versions.index(version),
                    "to": _sockaddr(version, *address).hex(),
                    "payload": payload(number).hex(),
                }
            )
        return {"rate": self._rate, "periods": self._periods, "packets": packets}

    def _read_log(self) -> Sent:
        data = os.pread(self._log, os.fstat(self._log).st_size, 0)
        whole = len(data) // sender.LOG.size * sender.LOG.size
        (base, groups, refusal), *log = list(sender.LOG.iter_unpack(data[:whole]))
        return Sent(self._rate, base, groups, log, os.strerror(refusal) if refusal else "")

    def _streams(self, recorded: Recorded, sent: Sent, clock: Clock) -> list[Stream]:
        arrivals: list[list[tuple[float, int]]] = [[] for _ in self.targets]
        for readings in recorded.readings:
            for reading in readings:
                unpacked = _unpack(reading)
                if unpacked is None or unpacked[0] >= len(arrivals):
                    continue
                place, number, _ = unpacked
                when = clock.monotonic(reading.stamped) if reading.stamped else reading.read / 1e9
                arrivals[place].append((when, number))
        times = [sent.of(group) for group in range(sent.groups)]
        groups = self._groups()
        streams = []
        for place, target in enumerate(self.targets):
            mine = times[groups[place]]
            known = [(when, number) for when, number in arrivals[place] if number < len(mine)]
            unsure = sent.unsure_of(groups[place])
            streams.append(Stream(str(target.prefix), mine, known, FORWARDING_DELAY, unsure))
        return streams

    def _groups(self) -> list[int]:
        """Return the group in which each prefix's packets are sent, as the sender forms them."""
        groups, first = [0] * len(self.targets), 0
        for version in self._versions:
            mine = [place for place, target in enumerate(self.targets) if target.address.version == version]
            for index, place in enumerate(mine):
                groups[place] = first + index // sender.GROUP
            first += -(-len(mine) // sender.GROUP)
        return groups


def payload(place: int, number: int = 0, sent: int = 0) -> bytes:
    """Return a probe packet's payload, built by scapy."""
    return bytes(probe_layer()(prefix=place, number=number, sent=sent))


@cache
def probe_layer() -> Any:
    """Return scapy's layer for a probe packet's payload, in the layout of `sender.PAYLOAD`."""
    from scapy.fields import IntField, LongField, ShortField, StrFixedLenField
    from scapy.packet import Packet

    class ProbePacket(Packet):  # type: ignore[misc]
        """See `sender.PAYLOAD`."""

        name = "Probe"
        fields_desc = (
            StrFixedLenField("mark", sender.MARK, 4),
            ShortField("prefix", 0),
            ShortField("unused", 0),
            IntField("number", 0),
            LongField("sent", 0),
        )

    return ProbePacket


def _unpack(reading: Reading) -> tuple[int, int, int] | None:
    """Return prefix, number and time sent of a probe packet, None for other data; scapy would be too slow here."""
    if len(reading.data) != sender.PAYLOAD.size:
        return None
    mark, place, _, number, sent = sender.PAYLOAD.unpack(reading.data)
    return (place, number, sent) if mark == sender.MARK else None


def _receiver(version: int) -> socket.socket:
    receiver = socket.socket(_FAMILY[version], socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    if version == 6:
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    enlarge_receive_buffer(receiver, _BUFFER)
    receiver.bind((_ANY_ADDRESS[version], 0))
    return receiver


def _sender(version: int) -> socket.socket:
    sending = socket.socket(_FAMILY[version], socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    enlarge_send_buffer(sending, _BUFFER)
    sending.setblocking(False)
    return sending


def _sockaddr(version: int, address: str, port: int) -> bytes:
    """Return a struct sockaddr_in or sockaddr_in6."""
    family = _FAMILY[version].to_bytes(2, sys.byteorder)
    head = family + port.to_bytes(2, "big")
    packed = socket.inet_pton(_FAMILY[version], address)
    return head + packed + bytes(8) if version == 4 else head + bytes(4) + packed + bytes(4)
