"""Changes of bgpd's RIB and neighbours, by BMP (RFC 7854; RFC 9069 for the Loc-RIB).

The lab listens on the loopback interface in the node's namespace. bgpd writes a message when its event loop has handled
the change, before zebra adds the route to the kernel.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from lab.core.errors import EnvironmentBroken
from lab.engine.node import RunningNode
from lab.routing.daemon import Monitor
from lab.routing.frr.vty import Vty
from lab.routing.model import RibEvent
from lab.routing.peers import RouterPlan
from lab.routing.update import decode
from lab.topology import Address, Prefix

TARGET = "measure"
"""The name of the target in bgpd's configuration, which is removed on `close`."""

_COMMON = struct.Struct("!BIB")
_VERSION = 3
_ROUTE_MONITORING, _PEER_DOWN, _PEER_UP = 0, 2, 3
_PEER = struct.Struct("!BB8s16sI4sII")
_LOC_RIB = 3
"""Peer type (RFC 9069, section 4.1)."""
_IPV6_PEER = 0x80
_END_OF_RIB = {bytes.fromhex("00170200000000"), bytes.fromhex("001d0200000006800f03000201")}
"""The UPDATEs that end the first transfer of each family (RFC 4724, section 2), without the marker."""
_MARKER = 16
_SYNCHRONIZED_WITHIN = 30.0
_QUIET = 1.0
"""Seconds of silence after which the RIB is complete: bgpd sends End-of-RIB only while a session is up."""
_CHUNK = 1 << 18


class Bmp(Monitor):
    """A BMP session with bgpd."""

    source = "bmp"
    error = 0.0005

    def __init__(self, node: RunningNode, plan: RouterPlan, listener: socket.socket) -> None:
        """Use `open`."""
        self._node, self._plan = node, plan
        self._pending = b""
        self._monitor(listener)
        try:
            listener.settimeout(_SYNCHRONIZED_WITHIN)
            self.socket, _ = listener.accept()
            self._synchronize(self.socket)
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise EnvironmentBroken(f"{node.name}: bgpd did not send its RIB by BMP") from error
            raise

    @classmethod
    def open(cls, node: RunningNode, plan: RouterPlan) -> Self | None:
        """Open a session and receive the current RIB; None if bgpd was built without BMP.

        Raises `EnvironmentBroken` if bgpd does not answer.
        """
        with Vty(node.root, "bgpd") as bgpd:
            try:
                bgpd.ask("show bmp")
            except EnvironmentBroken:
                return None
        with node.namespace.run(lambda: socket.create_server(("127.0.0.1", 0))) as listener:
            return cls(node, plan, listener)

    def events(
        self, read: Sequence[tuple[float, bytes]], prefixes: Collection[Prefix], monotonic: Callable[[int], float]
    ) -> list[RibEvent]:
        """See `Monitor`."""
        found: list[RibEvent] = []
        pending = self._pending
        for when, data in read:
            whole, pending = _split(pending + data)
            for message in whole:
                found += _events(message, prefixes, when)
        return found

    def close(self) -> None:
        """See `Monitor`."""
        if self.socket is not None:
            self.socket.close()
        # bgpd may have been killed, or have lost the target by a restart.
        with contextlib.suppress(EnvironmentBroken), Vty(self._node.root, "bgpd") as bgpd:
            bgpd.configure([f"router bgp {self._plan.asn}", f"no bmp targets {TARGET}"])

    def _monitor(self, listener: socket.socket) -> None:
        _, port = listener.getsockname()
        with Vty(self._node.root, "bgpd") as bgpd:
            with contextlib.suppress(EnvironmentBroken):  # left by a killed process
                bgpd.configure([f"router bgp {self._plan.asn}", f"no bmp targets {TARGET}"])
            bgpd.configure(
                [
                    f"router bgp {self._plan.asn}",
                    f"bmp targets {TARGET}",
                    "bmp monitor ipv4 unicast loc-rib",
                    "bmp monitor ipv6 unicast loc-rib",
                    f"bmp connect 127.0.0.1 port {port} min-retry 100 max-retry 500",
                ]
            )

    def _synchronize(self, session: socket.socket) -> None:
        """Receive the current RIB, up to the End-of-RIB of both families."""
        session.settimeout(_QUIET)
        ends: set[bytes] = set()
        until = time.monotonic() + _SYNCHRONIZED_WITHIN
        while ends != _END_OF_RIB:
            try:
                data = session.recv(_CHUNK)
            except TimeoutError:
                return
            if not data or time.monotonic() > until:
                raise TimeoutError
            whole, self._pending = _split(self._pending + data)
            for message in whole:
                body = message[_COMMON.size + _PEER.size + _MARKER :]
                if message[5] == _ROUTE_MONITORING and message[_COMMON.size] == _LOC_RIB and body in _END_OF_RIB:
                    ends.add(body)


def _split(stream: bytes) -> tuple[list[bytes], bytes]:
    """Split a stream into complete messages and the rest."""
    found, offset = [], 0
    while offset + _COMMON.size <= len(stream):
        version, length, _ = _COMMON.unpack_from(stream, offset)
        if version != _VERSION or length < _COMMON.size:
            raise EnvironmentBroken(f"malformed BMP from bgpd: version {version}, length {length}")
        if offset + length > len(stream):
            break
        found.append(stream[offset : offset + length])
        offset += length
    return found, stream[offset:]


def _events(message: bytes, prefixes: Collection[Prefix], when: float) -> Iterator[RibEvent]:
    _, _, kind = _COMMON.unpack_from(message)
    if kind not in (_ROUTE_MONITORING, _PEER_DOWN, _PEER_UP) or len(message) < _COMMON.size + _PEER.size:
        return
    peer, flags, _, address, *_ = _PEER.unpack_from(message, _COMMON.size)
    if kind == _ROUTE_MONITORING:
        update = decode(message[_COMMON.size + _PEER.size :], prefixes) if peer == _LOC_RIB else None
        if update is not None:
            yield from (RibEvent(when, "best", prefix, None) for prefix in update.announced)
            yield from (RibEvent(when, "gone", prefix, None) for prefix in update.withdrawn)
    elif peer != _LOC_RIB:
        neighbor: Address = IPv6Address(address) if flags & _IPV6_PEER else IPv4Address(address[12:])
        yield RibEvent(when, "up" if kind == _PEER_UP else "down", None, neighbor)
