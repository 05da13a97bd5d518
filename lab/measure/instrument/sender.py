"""The process that sends probe packets on an absolute schedule, and does nothing else.

    main([PLAN, LOG, STOP, FD…])

Started by `lab.measure.instrument.probe` with the packets made and the sockets open. Packet n of each prefix is due at
BASE + n / rate, however late the one before was: a sender that was held up catches up, and its log shows by how much it
was late. One sendmmsg(2) sends a group of packets; groups take their turns within a period, so that a hundred prefixes
are no burst of a hundred packets.
"""

import ctypes
import json
import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from lab.measure.instrument.process import Iovec, Message, prompt

PAYLOAD = struct.Struct("!4sHHIQ")
"""Mark, prefix (its place among the probed ones), nothing, sequence number, time sent (ns, CLOCK_MONOTONIC)."""
MARK = b"ovrl"
_STAMP = struct.Struct("!IQ")
_STAMP_AT = PAYLOAD.size - _STAMP.size

LOG = struct.Struct("=qqI4x")
"""For each group of a period: the time before and after it was sent (ns), and how many packets the kernel refused."""
GROUP = 25
"""Packets that are sent in one go."""
_LEAD = 20_000_000
"""ns from the start to the first packet."""
_LOST = 1_000_000_000
"""ns behind its schedule after which a sender gives up: where the rate is too high for the machine, it would never
sleep, before everything else, and nothing else would ever run."""
_STOP_EVERY = 8
"""Periods between two looks whether to stop."""


@dataclass
class Group:
    """Packets that leave together, through one socket."""

    socket: int
    buffers: list[ctypes.Array[ctypes.c_char]]
    messages: "ctypes.Array[Message]"
    kept: list[Any]
    """What the messages point to."""


class Sender:
    """Sends groups of packets in their turns."""

    def __init__(self, plan: dict[str, Any], sockets: list[int]) -> None:
        self.rate: float = plan["rate"]
        self.periods: int = plan["periods"]
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.groups: list[Group] = []
        for index, fd in enumerate(sockets):
            mine = [packet for packet in plan["packets"] if packet["socket"] == index]
            self.groups += [_group(fd, mine[start : start + GROUP]) for start in range(0, len(mine), GROUP)]

    def run(self, log: int, stop: socket.socket) -> None:
        """Send until all periods are over, the other end of `stop` is closed, or no catching up is in sight."""
        period = 1e9 / self.rate
        turn = period / max(1, len(self.groups))
        base = time.monotonic_ns() + _LEAD
        os.write(log, LOG.pack(base, len(self.groups), 0))
        for number in range(self.periods):
            if number % _STOP_EVERY == 0 and _closed(stop):
                return
            for place, group in enumerate(self.groups):
                due = base + int(number * period + place * turn)
                left = due - time.monotonic_ns()
                if left > 0:
                    time.sleep(left / 1e9)
                before = time.monotonic_ns()
                for buffer in group.buffers:
                    _STAMP.pack_into(buffer, _STAMP_AT, number, before)
                refused = self._send(group)
                after = time.monotonic_ns()
                os.write(log, LOG.pack(before, after, refused))
                if after - due > _LOST:  # not before it is on record
                    return

    def _send(self, group: Group) -> int:
        done = refused = 0
        count, size = len(group.buffers), ctypes.sizeof(Message)
        while done < count:
            first = ctypes.byref(group.messages, done * size)
            sent: int = self._libc.sendmmsg(group.socket, first, count - done, 0)
            if sent <= 0:  # the first of them was refused: no route, no room
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
    """See above."""
    plan, log, stop, *sockets = map(int, arguments)
    with os.fdopen(plan) as file:
        file.seek(0)
        sender = Sender(json.load(file), sockets)
    prompt()
    with socket.socket(fileno=stop) as control:
        control.send(b"!")  # ready
        sender.run(log, control)
