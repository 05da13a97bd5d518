"""The rules of nftables that packets meet, as the kernel reports them (nft(8), "Ruleset tracing").

A table of the lab's own marks the packets to be traced where they enter the namespace. The kernel removes it with the
socket that created it, so nothing is left behind, not even by a killed process.
"""

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

from lab.core.prefixes import Address
from lab.engine.attributes import aligned, attributes
from lab.engine.namespace import Namespace
from lab.engine.nft import Chain, Nft, Table, is_between, rule, trace

_NETLINK_NETFILTER, _SOL_NETLINK, _ADD_MEMBERSHIP, _NFNLGRP_NFTRACE = 12, 270, 1, 9
_TRACE = 10 << 8 | 17
"""NFT_MSG_TRACE of nf_tables."""
_HEADER, _NETFILTER = struct.Struct("=IHHII"), struct.Struct("=BBH")
_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _ID, _NETWORK, _TRANSPORT, _PROTOCOL, _POLICY = 1, 2, 3, 4, 5, 6, 8, 9, 15, 16
_POLICY_TYPE, _RULE_TYPE = 1, 3
_VERDICT_CODE = 1
_DROP, _STOLEN = 0, 2
_FAMILIES: Final = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_PRIORITY = -2000
"""Before all chains of users, whose lowest priority is that of connection tracking's defragmentation, -400."""


@dataclass(frozen=True)
class Step:
    """A rule, or a chain's policy, that a traced packet met."""

    number: int
    """Of the packet: all its steps have the same."""
    family: str
    """The table's, as `ip`."""
    table: str
    chain: str
    handle: int | None
    """The rule's number, as of `nft -a list ruleset`; None for a policy."""
    drops: bool
    packet: bytes
    """The beginning of the packet, from the IP header on; only in the first step of each packet in a chain."""


class NftTrace:
    """Traces the packets from one address to another through nftables of a namespace, until `close`."""

    def __init__(self, namespace: Namespace, source: Address, destination: Address, interfaces: Iterable[str]) -> None:
        self._table = f"lab-why-{os.getpid()}"
        self._listener = namespace.run(_listen)
        self._nft = namespace.run(Nft)
        try:
            mark = rule(is_between(source, destination), trace())
            hooks: tuple[Literal["prerouting", "output"], ...] = ("prerouting", "output")
            chains = [Chain(hook, [mark], priority=_PRIORITY) for hook in hooks]
            self._nft.add(Table("inet", self._table, chains), owned=True)
            devices = [Chain("ingress", [mark], name, priority=_PRIORITY) for name in interfaces]
            if devices:
                self._nft.add(Table("netdev", self._table, devices), owned=True)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop tracing; the kernel removes the tables."""
        self._nft.close()
        self._listener.close()

    def steps(self) -> list[Step]:
        """Return what was traced since the last call, without the steps in the tables of the trace itself."""
        found: list[Step] = []
        while True:
            try:
                data = self._listener.recv(1 << 16)
            except (BlockingIOError, OSError):  # also ENOBUFS: more than the kernel could queue
                return found
            found += parse_steps(data)


def parse_steps(data: bytes) -> Iterator[Step]:
    """Parse the messages of one read of the netlink socket."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= len(data) - offset:
            return
        if kind == _TRACE:
            start = offset + _HEADER.size
            family, _, _ = _NETFILTER.unpack_from(data, start)
            yield _step(family, dict(attributes(data[start + _NETFILTER.size : offset + length])))
        offset += aligned(length)


def _step(family: int, carried: dict[int, bytes]) -> Step:
    kind = _number(carried.get(_TYPE))
    if kind == _POLICY_TYPE:
        code = _number(carried.get(_POLICY), default=1)
    else:
        code = _number(dict(attributes(carried.get(_VERDICT, b""))).get(_VERDICT_CODE), default=1)
    handle = carried.get(_HANDLE)
    return Step(
        number=_number(carried.get(_ID)),
        family=_FAMILIES.get(family or _number(carried.get(_PROTOCOL)), str(family)),
        table=_text(carried.get(_TABLE)),
        chain=_text(carried.get(_CHAIN)),
        handle=int.from_bytes(handle, "big") if handle is not None and kind == _RULE_TYPE else None,
        drops=code == _DROP and kind in (_POLICY_TYPE, _RULE_TYPE),
        packet=carried.get(_NETWORK, b"") + carried.get(_TRANSPORT, b""),
    )


def _listen() -> socket.socket:
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    # Only a bound socket gets the group's messages.
    listener.bind((0, 0))
    listener.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFNLGRP_NFTRACE)
    listener.setblocking(False)
    return listener


def _number(value: bytes | None, default: int = 0) -> int:
    return default if value is None else int.from_bytes(value, "big")


def _text(value: bytes | None) -> str:
    return (value or b"").rstrip(b"\0").decode(errors="replace")
