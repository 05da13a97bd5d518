"""The processes that send probe packets on an absolute schedule.

    main([PLAN, LOG, STOP, FD…])

Started by `lab.measure.instrument.probe` with the packets built and the sockets open. Packet n of each prefix is due at
BASE + n / rate, however late the previous one was: a delayed sender catches up, and its log shows the delay. One
sendmmsg(2) sends a group of packets; groups are spread over a period, so that a hundred prefixes do not make a burst of
a hundred packets.

Two processes send in turn, each bound to a CPU of its own and at real-time priority. No priority helps where a
hypervisor runs a virtual CPU milliseconds later, with the timer of the process that sleeps there; the process on the
other CPU then sends what is due. Packets that the first one was sending have no known time then, see `Sent.unsure`.
"""

import ctypes
import json
import mmap
import os
import socket
import struct
import time
from dataclasses import dataclass
from itertools import count
from typing import Any

from lab.measure.instrument.process import SENDER, Iovec, Message, set_priority

PAYLOAD = struct.Struct("!4sHHIQ")
"""Mark, prefix (index among the probed ones), unused, sequence number, time sent (ns, CLOCK_MONOTONIC)."""
MARK = b"ovrl"
_STAMP = struct.Struct("!IQ")
_STAMP_AT = PAYLOAD.size - _STAMP.size

LOG = struct.Struct("=qqI4x")
"""For each group of a period: the times before and after sending it (ns), and the number of refused packets. The first
entry has the time at which the first group is due, the number of groups of a period, and the errno of a refused
real-time priority (0: granted)."""
GROUP = 25
"""Packets sent by one system call."""
_LEAD = 20_000_000
"""Nanoseconds from the start to the first packet."""
_GIVE_UP = 1_000_000_000
"""Nanoseconds behind schedule after which the sender gives up: at a rate that the host cannot reach it would never
sleep, and its real-time priority would keep other processes from running."""
_STOP_EVERY = 8
"""Number of periods after which the sender checks whether it should stop."""
_SENDERS = 2
"""Number of processes, as far as there are CPUs."""
_STAND_IN = 100_000
"""Nanoseconds after which a process sends what is due from the other."""
_POLL = 100_000
_POLL_SHARE = 0.1
"""Nanoseconds before a packet is due in which the first process polls the clock, because waking up takes as long; and
the largest share of the time in which it polls, so that its real-time priority leaves the CPU to others."""
_AHEAD = 4 << 20
"""Bytes of the log that are allocated in advance: the first allocation of a page may take milliseconds."""
_FALLOC_FL_KEEP_SIZE = 1


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

    def run(self, log: int, stop: socket.socket, turn: "Turn", base: int, wait: int) -> None:
        """Send what is due and not sent by another process, `wait` ns after it is due.

        Ends when all periods are over, when the other end of `stop` is closed, or when the delay exceeds `_GIVE_UP`.
        """
        period, groups = 1e9 / self.rate, max(1, len(self.groups))
        poll = 0 if wait else int(min(_POLL, period / groups * _POLL_SHARE))
        end = self.periods * groups
        for rounds in count():
            if (index := turn.next) >= end or (rounds % (_STOP_EVERY * groups) == 0 and _closed(stop)):
                return
            number, place = divmod(index, groups)
            due = base + int((number + place / groups) * period)
            left = due + wait - poll - time.monotonic_ns()
            if left > 0:
                time.sleep(left / 1e9)
            while poll and time.monotonic_ns() < due and turn.next == index:
                pass
            if turn.next != index:
                continue
            if not turn.take(index):  # the other process takes it
                time.sleep(_STAND_IN / 1e9)
                continue
            group = self.groups[place]
            before = time.monotonic_ns()
            turn.give(
                end if before - due > _GIVE_UP else index + 1
            )  # before it may be stopped in the middle of sending
            for buffer in group.buffers:
                _STAMP.pack_into(buffer, _STAMP_AT, number, before)
            refused = self._send(group)
            os.pwrite(log, LOG.pack(before, time.monotonic_ns(), refused), (1 + index) * LOG.size)

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


class Turn:
    """The number of the group that is sent next, shared by the processes; one of them at a time takes it."""

    _NUMBER = struct.Struct("=q")

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, self._NUMBER.size)  # also in the processes that are forked
        self._take, self._give = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.write(self._give, b"!")

    @property
    def next(self) -> int:
        """The number of the group that is sent next."""
        number: int = self._NUMBER.unpack(self._shared[:])[0]
        return number

    def take(self, index: int) -> bool:
        """Take the turn to send a group; False if another process has taken the group, or has the turn."""
        try:
            os.read(self._take, 1)
        except BlockingIOError:
            return False
        if self.next == index:
            return True
        os.write(self._give, b"!")
        return False

    def give(self, following: int) -> None:
        """Give the turn back, and say which group is next."""
        self._shared[:] = self._NUMBER.pack(following)
        os.write(self._give, b"!")


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
    refused = set_priority(SENDER)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate(log, _FALLOC_FL_KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(_AHEAD))
    base = time.monotonic_ns() + _LEAD
    os.pwrite(log, LOG.pack(base, len(sender.groups), refused), 0)
    cpus = sorted(os.sched_getaffinity(0))[:_SENDERS]
    turn = Turn()
    with socket.socket(fileno=stop) as control:
        other = os.fork() if len(cpus) > 1 else -1
        os.sched_setaffinity(0, cpus[:1] if other else cpus[1:])
        if other:
            control.send(b"!")  # ready
        sender.run(log, control, turn, base, 0 if other else _STAND_IN)
    if other == 0:
        os._exit(0)
    if other > 0:
        _, status = os.waitpid(other, 0)
        if status:
            raise ChildProcessError(f"the process on CPU {cpus[1]} ended with status {status}")
