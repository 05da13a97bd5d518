"""The headers of an IP packet, as far as a packet is recognised by them (RFC 791, 8200, 792, 4443, 768, 9293)."""

import struct
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from lab.core.prefixes import Address, Family

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
SYN, RST, ACK = 0x02, 0x04, 0x10
_FRAGMENT = 44
_HOP_BY_HOP, _ROUTING, _DESTINATION = 0, 43, 60
_ERRORS = {ICMP: (3, 11, 12), ICMPV6: (1, 2, 3, 4)}
"""The types of ICMP messages that quote the packet which they report."""
_ICMP_HEADER = 8


@dataclass(frozen=True)
class Packet:
    """An IP packet, or the beginning of one."""

    source: Address
    destination: Address
    protocol: int
    """Of the transport header; behind IPv6's extension headers."""
    size: int
    """Bytes of the whole IP packet, as its header says."""
    hop_limit: int
    df: bool
    """True if no router may fragment it: always for IPv6."""
    fragment: bool
    """True for a fragment of a larger packet."""
    body: bytes
    """From the transport header on; empty for a fragment that does not begin with it."""

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """Return the packet that begins with an IP header; None if it is not one."""
        if len(data) >= 20 and data[0] >> 4 == 4:
            return cls._parse_4(data)
        if len(data) >= 40 and data[0] >> 4 == 6:
            return cls._parse_6(data)
        return None

    @classmethod
    def _parse_4(cls, data: bytes) -> Self:
        length = (data[0] & 15) * 4
        size, flags = struct.unpack_from("!H", data, 2)[0], struct.unpack_from("!H", data, 6)[0]
        offset = flags & 0x1FFF
        return cls(
            source=IPv4Address(data[12:16]),
            destination=IPv4Address(data[16:20]),
            protocol=data[9],
            size=size,
            hop_limit=data[8],
            df=bool(flags & 0x4000),
            fragment=bool(offset or flags & 0x2000),
            body=b"" if offset else data[length:size],
        )

    @classmethod
    def _parse_6(cls, data: bytes) -> Self:
        (payload,) = struct.unpack_from("!H", data, 4)
        protocol, start, offset, fragment = data[6], 40, 0, False
        while protocol in (_HOP_BY_HOP, _ROUTING, _DESTINATION, _FRAGMENT) and len(data) >= start + 8:
            if protocol == _FRAGMENT:
                fragment, offset = True, struct.unpack_from("!H", data, start + 2)[0] & 0xFFF8
            following = data[start], start + 8 + (0 if protocol == _FRAGMENT else data[start + 1] * 8)
            protocol, start = following
        return cls(
            source=IPv6Address(data[8:24]),
            destination=IPv6Address(data[24:40]),
            protocol=protocol,
            size=40 + payload,
            hop_limit=data[7],
            df=True,
            fragment=fragment,
            body=b"" if offset else data[start : 40 + payload],
        )

    @property
    def family(self) -> Family:
        """The family of its addresses."""
        return "ipv4" if self.source.version == 4 else "ipv6"

    @property
    def ports(self) -> tuple[int, int] | None:
        """The source and the destination port; None if it has none."""
        if self.protocol not in (TCP, UDP) or len(self.body) < 4:
            return None
        source, destination = struct.unpack_from("!HH", self.body)
        return source, destination

    @property
    def icmp(self) -> tuple[int, int] | None:
        """Type and code of an ICMP message."""
        return (self.body[0], self.body[1]) if self.protocol in (ICMP, ICMPV6) and len(self.body) >= 2 else None

    @property
    def told_mtu(self) -> int:
        """The MTU in an ICMP message that a packet is too big; 0 in any other."""
        if self.icmp == (3, 4) and self.protocol == ICMP and len(self.body) >= 8:
            return int(struct.unpack_from("!H", self.body, 6)[0])
        if self.icmp == (2, 0) and self.protocol == ICMPV6 and len(self.body) >= 8:
            return int(struct.unpack_from("!I", self.body, 4)[0])
        return 0

    @property
    def flags(self) -> int:
        """The flags of a TCP segment; 0 of any other packet."""
        return self.body[13] if self.protocol == TCP and len(self.body) >= 14 else 0

    @property
    def sequence(self) -> int:
        """The sequence number of a TCP segment."""
        return int(struct.unpack_from("!I", self.body, 4)[0]) if len(self.body) >= 8 else 0

    @property
    def acknowledged(self) -> int:
        """The acknowledgement number of a TCP segment."""
        return int(struct.unpack_from("!I", self.body, 8)[0]) if len(self.body) >= 12 else 0

    @property
    def payload(self) -> bytes:
        """The bytes behind the transport header of UDP, TCP or ICMP."""
        if self.protocol == TCP and len(self.body) >= 13:
            return self.body[(self.body[12] >> 4) * 4 :]
        return self.body[_ICMP_HEADER:]  # UDP's header is as long as that of ICMP

    @cached_property
    def quoted(self) -> "Packet | None":
        """The packet that an ICMP error quotes; None if it is not an error."""
        if self.icmp is None or self.icmp[0] not in _ERRORS[self.protocol]:
            return None
        return Packet.parse(self.body[_ICMP_HEADER:])

    def __str__(self) -> str:
        return f"{self.source} > {self.destination}, {self.size} bytes{', DF' if self.df and self.size else ''}"
