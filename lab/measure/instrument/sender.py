"""The process that sends probe packets on an absolute schedule.

    main([PLAN, LOG, STOP, FD…])

Started by `lab.measure.instrument.probe` with the packets built and the sockets open. Packet n of each prefix is due at
BASE + n / rate, however late the previous one was: a delayed sender catches up, and its log shows the delay. One
sendmmsg(2) sends a group of packets; groups are spread over a period, so that a hundred prefixes do not make a burst of
a hundred packets.
"""

import ctypes
import json
import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from lab.measure.instrument.process import Iovec, Message, set_priority

PAYLOAD = struct.Struct("!4sHHIQ")
"""Mark, prefix (index among the probed ones), unused, sequence number, time sent (ns, CLOCK_MONOTONIC)."""
MARK = b"ovrl"
_STAMP = struct.Struct("!IQ")
_STAMP_AT = PAYLOAD.size - _STAMP.size

LOG = struct.Struct("=qqI4x")
"""For each group of a period: the times before and after sending it (ns), and the number of refused packets."""
GROUP = 25
"""Packets sent by one system call."""
_LEAD = 20_000_000
"""Nanoseconds from the start to the first packet."""
_GIVE_UP = 1_000_000_000
"""Nanoseconds behind schedule after which the sender gives up: at a rate that the host cannot reach it would never
sleep, and its real-time priority would keep other processes from running."""
_STOP_EVERY = 8
"""Number of periods after which the sender checks whether it should stop."""


@dataclass
class Group:
    """Packets that are sent together through one socket."""

    socket: int
    buffers: list[ctypes.Array[ctypes.c_char]]
    messages: "ctypes.Array[Message]"
    kept: list[Any]
    """Objects that the messages point to, kept so that they are not freed."""


class Sender:
    """Sends groups of packets on schedule."""

    def __init__(self, plan: dict[str, Any], sockets: list[int]) -> None:
        self.rate: float = plan["rate"]
        self.periods: int = plan["periods"]
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.groups: list[Group] = []
        for index, fd in enumerate(sockets):
            mine = [packet for packet in plan["packets"] if packet["socket"] == index]
            self.groups += [_group(fd, mine[start : start + GROUP]) for start in range(0, len(mine), GROUP)]

    def run(self, log: int, stop: socket.socket) -> None:
        """Send until all periods are over, the other end of `stop` is closed, or the delay exceeds `_GIVE_UP`."""
        period = 1e9 / self.rate
        spacing = period / max(1, len(self.groups))
        base = time.monotonic_ns() + _LEAD
        os.write(log, LOG.pack(base, len(self.groups), 0))
        for number in range(self.periods):
            if number % _STOP_EVERY == 0 and _closed(stop):
                return
            for place, group in enumerate(self.groups):
                due = base + int(number * period + place * spacing)
                left = due - time.monotonic_ns()
                if left > 0:
                    time.sleep(left / 1e9)
                before = time.monotonic_ns()
                for buffer in group.buffers:
                    _STAMP.pack_into(buffer, _STAMP_AT, number, before)
                refused = self._send(group)
                after = time.monotonic_ns()
                os.write(log, LOG.pack(before, after, refused))
                if after - due > _GIVE_UP:  # after it is in the log
                    return

    def _send(self, group: Group) -> int:
        done = refused = 0
        count, size = len(group.buffers), ctypes.sizeof(Message)
        while done < count:
            first = ctypes.byref(group.messages, done * size)
            sent: int = self._libc.sendmmsg(group.socket, first, count - done, 0)
            if sent <= 0:  # the first one was refused: no route, no buffer space
                refused, sent = refused + 1, 1
            done += sent
        return refused


def _group(fd: int, packets: list[dict[str, Any]]) -> Group:
    messages = (Message * len(packets))()
    iovecs = (Iovec * len(packets))()
    buffers, names = [], []
    for i, packet in enumerate(packets):
        payload, name = bytes.fromhex(packet["payload"]), bytes.fromhex(packet["to"])
        buffers.append(ctypes.create_string_buffer(payload, len(payload)))
        names.append(ctypes.create_string_buffer(name, len(name)))
        iovecs[i].base, iovecs[i].length = ctypes.addressof(buffers[i]), len(payload)
        messages[i].iov, messages[i].iovlen = ctypes.addressof(iovecs[i]), 1
        messages[i].name, messages[i].namelen = ctypes.addressof(names[i]), len(name)
    return Group(fd, buffers, messages, [iovecs, names])


def _closed(stop: socket.socket) -> bool:
    try:
        return stop.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def main(arguments: list[str]) -> None:
    """Run the sender, see the module's documentation."""
    plan, log, stop, *sockets = map(int, arguments)
    with os.fdopen(plan) as file:
        file.seek(0)
        sender = Sender(json.load(file), sockets)
    set_priority()
    with socket.socket(fileno=stop) as control:
        control.send(b"!")  # ready
        sender.run(log, control)
