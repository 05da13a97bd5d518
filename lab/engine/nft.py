"""nftables in a node's namespace, spoken to by netlink: the few tables, chains and rules that the lab sets.

The program `nft` may be missing on the host and in a foreign image, and takes a hundred times as long. A rule is a
list of expressions that load a register, compare it and end with a verdict (linux/netfilter/nf_tables.h; `nft
--debug=netlink` shows the same for a rule in nft's own language).
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from lab.core.errors import EnvironmentBroken, NotSupported
from lab.topology import Address

Expression = bytes
"""One step of a rule, ready to be sent."""
Family = Literal["inet", "netdev"]

_NETLINK_NETFILTER: Final = 12
_SUBSYSTEM: Final = 10
_FAMILIES: Final = {"inet": 1, "netdev": 5}
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _GET_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE, _GET_RULE = 0, 1, 2, 3, 6, 7
_REQUEST, _ACK, _DUMP, _CREATE, _APPEND = 0x1, 0x4, 0x300, 0x400, 0x800
_ERROR, _DONE = 2, 3
_NESTED: Final = 0x8000
_OWNED: Final = 0x2
"""A table's flag: it goes with the socket that made it."""
_REGISTER: Final = 1
_DROP: Final = 0
_PATIENCE: Final = 10.0
_CHUNK: Final = 1 << 16
_META = {"mark": 3, "iif": 4, "iifname": 6, "nfproto": 15, "l4proto": 16}
_HOOKS = {"prerouting": 0, "ingress": 0, "egress": 1}
_NAME_LENGTH: Final = 16


# --- expressions -------------------------------------------------------------------------------------------


def device_is(name: str) -> list[Expression]:
    """What came in through the interface of this name, which need not exist yet."""
    return [_meta("iifname"), _equals(name.encode().ljust(_NAME_LENGTH, b"\0"))]


def mark_is_not(mark: int) -> list[Expression]:
    """What does not carry this mark (SO_MARK)."""
    return [_meta("mark"), _compare(1, struct.pack("=I", mark))]


def source_is(address: Address) -> list[Expression]:
    """What comes from an address."""
    version4 = address.version == 4
    offset = 12 if version4 else 8
    nfproto = socket.AF_INET if version4 else socket.AF_INET6
    return [
        _meta("nfproto"),
        _equals(bytes([nfproto])),
        _payload(1, offset, len(address.packed)),
        _equals(address.packed),
    ]


def port_is(transport: Literal["tcp", "udp"], end: Literal["source", "destination"], port: int) -> list[Expression]:
    """What goes to or comes from a port."""
    protocol = socket.IPPROTO_TCP if transport == "tcp" else socket.IPPROTO_UDP
    offset = 0 if end == "source" else 2
    return [
        _meta("l4proto"),
        _equals(bytes([protocol])),
        _payload(2, offset, 2),
        _equals(struct.pack("!H", port)),
    ]


def at_random(share: float) -> list[Expression]:
    """A share of all packets, each by a draw of its own."""
    modulus = 1 << 24
    return [
        _expression("numgen", _u32(1, _REGISTER), _u32(2, modulus), _u32(3, 1)),
        # The draw is in the machine's byte order, and comparing goes byte by byte.
        _expression("byteorder", _u32(1, _REGISTER), _u32(2, _REGISTER), _u32(3, 1), _u32(4, 4), _u32(5, 4)),
        _compare(2, struct.pack("!I", round(share * modulus))),
    ]


def counted() -> list[Expression]:
    """Count what came so far."""
    return [_expression("counter")]


def dropped() -> list[Expression]:
    """End: drop it, and tell nobody."""
    verdict = _attribute(2 | _NESTED, _u32(1, _DROP))
    return [_expression("immediate", _u32(1, 0), _attribute(2 | _NESTED, verdict))]


def forwarded(index: int) -> list[Expression]:
    """End: send it out of the interface of this index instead."""
    value = _attribute(1, struct.pack("=I", index))
    return [
        _expression("immediate", _u32(1, _REGISTER), _attribute(2 | _NESTED, value)),
        _expression("fwd", _u32(1, _REGISTER)),
    ]


# --- tables ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """Rules at a place that packets pass; a packet goes on where none of them ends it."""

    hook: Literal["prerouting", "ingress", "egress"]
    rules: Sequence[Sequence[Expression]]
    device: str | None = None
    """The interface, in the family netdev."""
    priority: int = -300


@dataclass(frozen=True)
class Table:
    """What one purpose of the lab has set, under one name."""

    family: Family
    name: str
    chains: Sequence[Chain] = ()


class Nft:
    """A socket to the nf_tables of the namespace in which it is made. Close it, or use it as a context."""

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        except OSError as error:
            raise NotSupported("nftables", str(error.strerror)) from error
        self._socket.settimeout(_PATIENCE)
        self._sequence = 0

    def __enter__(self) -> "Nft":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go; a table that is owned by this socket goes with it."""
        self._socket.close()

    def add(self, table: Table, *, owned: bool = False) -> None:
        """Set a table at once and as a whole; raises `NotSupported` where the kernel lacks a part of it."""
        family = _FAMILIES[table.family]
        named = _text(1, table.name)
        messages = [(_NEW_TABLE, family, named + (_u32(2, _OWNED) if owned else b""), _CREATE)]
        for number, chain in enumerate(table.chains):
            name = f"{chain.hook}{number}"
            hook = _u32(1, _HOOKS[chain.hook]) + struct.pack("=HH", 8, 2) + struct.pack("!i", chain.priority)
            if chain.device is not None:
                hook += _text(3, chain.device)
            about = named + _text(3, name) + _attribute(4 | _NESTED, hook) + _text(7, "filter")
            messages.append((_NEW_CHAIN, family, about, _CREATE))
            for rule in chain.rules:
                elements = b"".join(_attribute(1 | _NESTED, each) for each in rule)
                about = named + _text(2, name) + _attribute(4 | _NESTED, elements)
                messages.append((_NEW_RULE, family, about, _CREATE | _APPEND))
        try:
            self._batch(messages)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
                why = f"this kernel's nftables lacks a part of what {table.name} needs ({error.strerror})"
                raise NotSupported("nftables", why) from error
            raise EnvironmentBroken(f"nftables refused the table {table.name}: {error.strerror}") from error

    def delete(self, family: Family, name: str) -> None:
        """Take a table away; one that is not there is no error."""
        try:
            self._batch([(_DELETE_TABLE, _FAMILIES[family], _text(1, name), 0)])
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise EnvironmentBroken(f"nftables kept the table {name}: {error.strerror}") from error

    def tables(self, family: Family) -> list[str]:
        """The names of all tables of a family."""
        answers = self._dump(_GET_TABLE, _FAMILIES[family], b"")
        return [attributes[1].rstrip(b"\0").decode() for attributes in answers if 1 in attributes]

    def packets(self, family: Family, name: str) -> int | None:
        """What the counters of a table's rules sum up to; None where there is no such table."""
        counters = self.counters(family, name)
        return None if counters is None else sum(counters)

    def counters(self, family: Family, name: str) -> list[int] | None:
        """The packets that each counter of a table has seen, in the order of its rules; None without such a table."""
        if name not in self.tables(family):
            return None
        found: list[int] = []
        for attributes in self._dump(_GET_RULE, _FAMILIES[family], _text(1, name)):
            if attributes.get(1, b"").rstrip(b"\0").decode() != name:
                continue
            for _, element in _split(attributes.get(4, b"")):
                expression = dict(_split(element))
                if expression.get(1, b"").rstrip(b"\0") == b"counter":
                    (packets,) = struct.unpack("!Q", dict(_split(expression[2]))[2])
                    found.append(packets)
        return found

    def _batch(self, messages: Sequence[tuple[int, int, bytes, int]]) -> None:
        first = self._sequence + 1
        data = self._message(_BATCH_BEGIN, _REQUEST, 0, b"", _SUBSYSTEM)
        for kind, family, attributes, flags in messages:
            data += self._message(_SUBSYSTEM << 8 | kind, _REQUEST | _ACK | flags, family, attributes)
        data += self._message(_BATCH_END, _REQUEST, 0, b"", _SUBSYSTEM)
        self._socket.send(data)
        expected = set(range(first + 1, first + 1 + len(messages)))
        failure: OSError | None = None
        while expected:
            for kind, sequence, body in self._received():
                if kind != _ERROR:
                    continue
                (code,) = struct.unpack_from("=i", body)
                if code and failure is None:
                    failure = OSError(-code, os.strerror(-code))
                if sequence == first:  # the batch as a whole was refused
                    raise failure or OSError(errno.EINVAL, os.strerror(errno.EINVAL))
                expected.discard(sequence)
        if failure is not None:
            raise failure

    def _dump(self, kind: int, family: int, attributes: bytes) -> list[dict[int, bytes]]:
        self._socket.send(self._message(_SUBSYSTEM << 8 | kind, _REQUEST | _DUMP, family, attributes))
        found: list[dict[int, bytes]] = []
        while True:
            for answered, _, body in self._received():
                if answered == _DONE:
                    return found
                if answered == _ERROR:
                    (code,) = struct.unpack_from("=i", body)
                    if code:
                        raise EnvironmentBroken(f"nftables does not answer: {os.strerror(-code)}")
                    return found
                found.append(dict(_split(body[4:])))

    def _message(self, kind: int, flags: int, family: int, attributes: bytes, resource: int = 0) -> bytes:
        self._sequence += 1
        body = struct.pack("!BBH", family, 0, resource) + attributes
        return struct.pack("=IHHII", 16 + len(body), kind, flags, self._sequence, 0) + body

    def _received(self) -> Iterator[tuple[int, int, bytes]]:
        try:
            data = self._socket.recv(_CHUNK)
        except TimeoutError as error:
            raise EnvironmentBroken(f"nftables did not answer in {_PATIENCE:.0f} s") from error
        while len(data) >= 16:
            length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data)
            yield kind, sequence, data[16:length]
            data = data[_aligned(length) :]


# --- attributes --------------------------------------------------------------------------------------------


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + bytes(_aligned(length) - length)


def _u32(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("!I", value))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind & 0x3FFF, data[4:length]
        data = data[_aligned(length) :]


def _expression(name: str, *attributes: bytes) -> Expression:
    return _text(1, name) + _attribute(2 | _NESTED, b"".join(attributes))


def _meta(key: str) -> Expression:
    return _expression("meta", _u32(1, _REGISTER), _u32(2, _META[key]))


def _payload(base: int, offset: int, length: int) -> Expression:
    return _expression("payload", _u32(1, _REGISTER), _u32(2, base), _u32(3, offset), _u32(4, length))


def _equals(value: bytes) -> Expression:
    return _compare(0, value)


def _compare(operation: int, value: bytes) -> Expression:
    data = _attribute(3 | _NESTED, _attribute(1, value))
    return _expression("cmp", _u32(1, _REGISTER), _u32(2, operation), data)


def rule(*parts: Iterable[Expression]) -> list[Expression]:
    """A rule of several conditions and an end."""
    return [expression for part in parts for expression in part]
