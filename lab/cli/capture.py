"""`lab capture`: packets of a node's interface, as pcap for Wireshark or as lines of text."""

import os
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from lab.cli.errors import discard_stdout
from lab.cli.options import LabName, NodeName, attached
from lab.core.errors import InputError

if TYPE_CHECKING:
    from lab.observe import Capture, CapturedPacket

_STDOUT = "-"


def capture(
    node: NodeName,
    interface: Annotated[str, typer.Argument(metavar="INTERFACE", help="For example eth1 or tun0.")],
    write: Annotated[
        str | None,
        typer.Option("--write", "-w", metavar="FILE", help="Write pcap to a file, or to stdout with `-`."),
    ] = None,
    count: Annotated[int | None, typer.Option("--count", "-c", min=1, help="End after this number of packets.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", "-s", min=0, help="End after these seconds.")] = None,
    lab_name: LabName = None,
) -> None:
    """Capture packets until Ctrl-C; without -w, print a line for each.

    With Wireshark: lab capture hq tun0 -w - | wireshark -k -i -
    """
    if write == _STDOUT and sys.stdout.isatty():
        raise InputError("a terminal cannot show pcap: pipe it into Wireshark, or name a file with -w")
    taken = 0
    with attached(lab_name) as lab, ExitStack() as stack:
        target = lab.node(node)
        arrivals = Arrivals()
        running = stack.enter_context(target.capture(interface, sink=arrivals.put))
        sink = _sink(write, stack)
        try:
            for packet in _packets(running, arrivals, count, seconds, watched=1 if write in (None, _STDOUT) else None):
                sink(packet)
                taken += 1
        except KeyboardInterrupt:
            pass  # the usual end of a capture
        except BrokenPipeError:
            discard_stdout()  # so is a reader that ends
    print(f"{taken} packet{'' if taken == 1 else 's'} captured on {interface} of {node}", file=sys.stderr)


class Arrivals:
    """A queue of packets from the capturing to the writing thread, which poll(2) can wait for."""

    def __init__(self) -> None:
        self.event = os.eventfd(0, os.EFD_CLOEXEC)
        self._packets: deque[CapturedPacket] = deque()

    def put(self, packet: "CapturedPacket") -> None:
        """Add a packet."""
        self._packets.append(packet)
        os.eventfd_write(self.event, 1)

    def take(self) -> "Iterator[CapturedPacket]":
        """Remove and yield all packets in the queue."""
        while self._packets:
            yield self._packets.popleft()


def _packets(
    running: "Capture", arrivals: Arrivals, count: int | None, seconds: float | None, watched: int | None
) -> "Iterator[CapturedPacket]":
    """Yield packets as they arrive, until `count`, until the time is over, or until the reader of `watched` is gone."""
    end = None if seconds is None else time.monotonic() + seconds
    poller = select.poll()
    poller.register(arrivals.event, select.POLLIN)
    if watched is not None:
        poller.register(watched, 0)  # poll(2) always reports errors such as a closed pipe
    number = 0
    stopped = False
    while True:
        for packet in arrivals.take():
            yield packet
            number += 1
            if number == count:
                return
        if stopped:
            return
        left = None if end is None else max(0.0, end - time.monotonic()) * 1000
        ready = [descriptor for descriptor, _ in poller.poll(left)]
        if watched in ready:
            raise BrokenPipeError
        if arrivals.event in ready:
            os.eventfd_read(arrivals.event)
        else:
            running.stop()  # reads what the kernel still holds
            stopped = True


def _sink(write: str | None, stack: ExitStack) -> "Callable[[CapturedPacket], None]":
    """Return the function that prints or writes a packet."""
    from lab.observe.capture import write_pcap

    if write is None:
        return lambda packet: print(_line(packet), flush=True)
    stream: BinaryIO = sys.stdout.buffer
    if write != _STDOUT:
        stream = stack.enter_context(Path(write).open("wb"))  # noqa: SIM115 - the stack closes it
    began = False

    def put(packet: "CapturedPacket") -> None:
        nonlocal began
        write_pcap(stream, [packet], header=not began)  # flushes, so that a reader sees each packet at once
        began = True

    def finish() -> None:
        if not began:
            write_pcap(stream, [])  # a file without packets is a pcap file too

    stack.callback(finish)
    return put


def _line(packet: "CapturedPacket") -> str:
    when = datetime.fromtimestamp(packet.time).astimezone()
    return f"{when:%H:%M:%S.%f} {'>' if packet.outgoing else '<'} {packet.decode().summary()}"
