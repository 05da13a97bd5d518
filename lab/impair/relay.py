"""The relay: a process that delays the packets which leave an interface, for kernels without netem.

In the node's namespace an nftables rule forwards every frame that leaves the interface to a TAP device instead. The
relay reads it there, keeps it for its delay, and sends it out of the interface with a mark that the rule lets pass. The
frames are complete: the kernel fills in checksums and segments large TCP packets before a TAP device gets them.

It runs while its node, its TAP device and its interface exist; removing the TAP device ends it. The table belongs
to its socket and is removed with it, so a link whose relay is killed works without an impairment.

`python -m lab.impair.relay PID INTERFACE FILE IMPAIRMENT` goes into the background once it relays, and writes its
counters to `FILE` once a second.
"""

import fcntl
import gc
import heapq
import importlib.util
import json
import os
import random
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from lab.core.errors import LabError, NotSupported
from lab.engine.namespace import Namespace
from lab.topology import Impairment

MARK: Final = 0x6C6162
"""Mark of frames that have been delayed (SO_MARK)."""
LIMIT: Final = 20_000
"""Largest number of delayed frames; more are dropped."""
_TUNSETIFF: Final = 0x400454CA
_IFF_TAP_NO_PI: Final = 0x0002 | 0x1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFMTU, _SIOCGIFMTU = 0x8913, 0x8914, 0x8922, 0x8921
_RTM_NEWLINK, _NLM_F_REQUEST, _NLM_F_ACK, _IFLA_TXQLEN = 16, 0x1, 0x4, 13
_QUEUE: Final = 10_000
"""Queue of the TAP device, in frames: Linux's default of 500 is full after a hundredth of a second."""
_IFF_UP, _IFF_NOARP = 0x1, 0x80
_SO_MARK: Final = 36
_LARGEST: Final = 1 << 16
_BATCH: Final = 64
"""Frames to read at once before sending those that are due."""
_WRITE_EVERY: Final = 1.0


def tap_name(index: int) -> str:
    """Return the name of the relay's TAP device for an interface index."""
    return f"lab-relay{index}"


def table_name(interface: str) -> str:
    """Return the name of the relay's nftables table for an interface."""
    return f"lab-relay-{interface}"


class Relay:
    """Delays frames between a TAP device and an interface."""

    def __init__(self, interface: str, impairment: Impairment) -> None:
        """Set up in the calling thread's namespace; raises `NotSupported` if the kernel cannot forward frames."""
        from lab.engine.nft import Chain, Nft, Table, counter, forward_to, mark_is_not, rule

        self._delay = impairment.delay / 1000
        self._jitter = impairment.jitter / 1000
        self._duplicate = impairment.duplicate / 100
        self._reorder = impairment.reorder / 100
        self._waiting: list[tuple[float, int, float, bytes]] = []
        self._count = 0
        self.forwarded = 0
        self.dropped = 0
        self.delayed = 0.0
        """Total delay of all forwarded frames, in seconds."""
        self.longest = 0.0
        index = socket.if_nametoindex(interface)
        try:
            self.tap = _tap(tap_name(index), interface)
        except OSError as error:
            raise NotSupported("a relay", f"a TAP device cannot be created ({error.strerror})") from error
        self._out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._out.setsockopt(socket.SOL_SOCKET, _SO_MARK, MARK)
        self._out.bind((interface, 0))
        self._nft = Nft()
        redirect = rule(mark_is_not(MARK), counter(), forward_to(socket.if_nametoindex(tap_name(index))))
        table = Table("netdev", table_name(interface), [Chain("egress", [redirect], interface, priority=0)])
        self._nft.add(table, owned=True)

    def run(self, until: int, file: Path) -> None:
        """Relay until the process of this pidfd ends, or a device is gone."""
        last_write = time.monotonic()
        while True:
            now = time.monotonic()
            left = self._waiting[0][0] - now if self._waiting else _WRITE_EVERY
            ready, _, _ = select.select([self.tap, until], [], [], max(0.0, min(left, _WRITE_EVERY)))
            if until in ready:
                return
            if self.tap in ready and not self._read_frames():
                return
            self._send_due()
            if time.monotonic() - last_write >= _WRITE_EVERY:
                last_write = time.monotonic()
                self._write_counters(file)

    def _read_frames(self) -> bool:
        for _ in range(_BATCH):
            try:
                frame = os.read(self.tap, _LARGEST)
            except BlockingIOError:
                return True
            except OSError:  # the device was removed
                return False
            now = time.monotonic()
            copies = 2 if self._duplicate and random.random() < self._duplicate else 1  # noqa: S311 - no secret
            for _ in range(copies):
                if len(self._waiting) >= LIMIT:
                    self.dropped += 1
                    continue
                self._count += 1
                heapq.heappush(self._waiting, (now + self._draw_delay(), self._count, now, frame))
        return True

    def _draw_delay(self) -> float:
        """Return the delay of a frame, in seconds."""
        if self._reorder and random.random() < self._reorder:  # noqa: S311 - no secret
            return 0.0
        return self._delay + (random.uniform(-self._jitter, self._jitter) if self._jitter else 0.0)  # noqa: S311

    def _send_due(self) -> None:
        while self._waiting and self._waiting[0][0] <= (now := time.monotonic()):
            _, _, came, frame = heapq.heappop(self._waiting)
            try:
                self._out.send(frame)
            except OSError:  # the interface is down, or its queue is full
                self.dropped += 1
                continue
            self.forwarded += 1
            self.delayed += now - came
            self.longest = max(self.longest, now - came)

    def _write_counters(self, file: Path) -> None:
        mean = 1000 * self.delayed / self.forwarded if self.forwarded else None
        counters = {
            "forwarded": self.forwarded,
            "dropped": self.dropped,
            "mean-delay": mean,
            "longest-delay": 1000 * self.longest if self.forwarded else None,
        }
        with suppress(OSError):  # the lab's directory may be removed before its nodes
            draft = file.with_suffix(".new")
            draft.write_text(json.dumps(counters))
            draft.replace(file)


def _tap(name: str, interface: str) -> int:
    """Create a TAP device that is up, has no address and sends nothing itself; return its descriptor."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP_NO_PI))
    with suppress(OSError):  # a kernel without IPv6
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        answer = fcntl.ioctl(control, _SIOCGIFMTU, struct.pack("16si12x", interface.encode(), 0))
        (mtu,) = struct.unpack_from("i", answer, 16)
        fcntl.ioctl(control, _SIOCSIFMTU, struct.pack("16si12x", name.encode(), mtu))
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", name.encode(), _IFF_UP | _IFF_NOARP))
    _set_queue(name)
    return tap


def _set_queue(name: str) -> None:
    """Set the length of an interface's queue by rtnetlink(7): the ioctl is for the host's root only."""
    attribute = struct.pack("=HHI", 8, _IFLA_TXQLEN, _QUEUE)
    message = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex(name), 0, 0) + attribute
    header = struct.pack("=IHHII", 16 + len(message), _RTM_NEWLINK, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        netlink.send(header + message)
        (error,) = struct.unpack_from("=i", netlink.recv(1 << 12), 16)
    if error:
        raise OSError(-error, os.strerror(-error))


def _skip_initialisation(package: str) -> None:
    """Import a package without its `__init__`, so that its modules can be imported alone.

    pyroute2's takes half a second of processor time and needs none of it for nftables.
    """
    spec = importlib.util.find_spec(package)
    if spec is not None and package not in sys.modules:
        sys.modules[package] = importlib.util.module_from_spec(spec)


def main(pid: int, interface: str, file: Path, impairment: Impairment) -> int:
    """Relay in the background and return the exit code; an error goes to stderr."""
    _skip_initialisation("pyroute2")
    try:
        process = os.pidfd_open(pid)
        Namespace(pid).enter()
        relay = Relay(interface, impairment)
    except (LabError, OSError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, NotSupported) else 1
    if os.fork():
        os._exit(0)  # the child keeps the open descriptors
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    os.chdir("/")
    gc.disable()
    relay.run(process, file)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Impairment.model_validate_json(sys.argv[4])))
