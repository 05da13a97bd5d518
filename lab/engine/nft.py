"""nftables in a node's namespace, by netlink: the few tables, chains and rules that the lab sets.

The program `nft` may be missing on the host and in a foreign image, and takes a hundred times as long. A rule is a list
of expressions that load a register, compare it and end with a verdict (linux/netfilter/nf_tables.h; `nft
--debug=netlink` shows them for a rule in nft's own language).

Messages, expressions and constants are pyroute2's. These parts of pyroute2 0.9 cannot be used, and are replaced here:

- Its sockets, `NFTSocket` and `NFTables`: they are thread-local, so that a thread other than the one that entered the
  namespace opens a second socket, in its own namespace; they commit each message alone, so that a table would appear
  without its rules; and they wait forever for a batch that the kernel refuses as a whole.
- `NFTables.chain()`: it knows neither the hooks ingress and egress of the family netdev nor the chain's device.
- `genex("numgen")`, whose attributes begin with `NFTA_NG_`; `ipv4addr()`, which has no IPv6 and does not check a
  packet's family, as an inet table needs; and the class of `fwd`, which names a type `u32` that does not exist.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pyroute2.netlink import (
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    nlmsg_atoms,
)
from pyroute2.netlink.marshal import Marshal
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_NFTABLES, nfgen_msg
from pyroute2.netlink.nfnetlink.nftsocket import (
    NFPROTO_INET,
    NFPROTO_NETDEV,
    NFT_MSG_DELTABLE,
    NFT_MSG_GETRULE,
    NFT_MSG_GETTABLE,
    NFT_MSG_NEWCHAIN,
    NFT_MSG_NEWRULE,
    NFT_MSG_NEWTABLE,
    Cmp,
    Meta,
    Regs,
    nft_chain_msg,
    nft_rule_msg,
    nft_table_msg,
)
from pyroute2.nftables.expressions import genex, verdict

from lab.core.errors import EnvironmentBroken, NotSupported
from lab.topology import Address

Expression = Mapping[str, Any]
"""One step of a rule, as pyroute2 encodes it."""
Family = Literal["inet", "netdev"]

_FAMILIES: Final[Mapping[Family, int]] = {"inet": NFPROTO_INET, "netdev": NFPROTO_NETDEV}
_HOOKS: Final = {"prerouting": 0, "output": 3, "ingress": 0, "egress": 1}
"""Hook numbers of linux/netfilter.h: prerouting and output are of the family inet, the others of netdev."""
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_OWNER: Final = 0x2
"""NFT_TABLE_F_OWNER: the kernel removes the table with the socket that created it."""
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_ETHERTYPES: Final = {4: 0x0800, 6: 0x86DD}
_DROP: Final = 0
_RANDOM: Final = 1
_HTON: Final = 1
_PATIENCE: Final = 10.0
"""Seconds for one answer of the kernel."""
_CHUNK: Final = 1 << 16
_NAME_LENGTH: Final = 16


class _RuleMessage(nft_rule_msg):  # type: ignore[misc]
    """pyroute2's message about a rule, with an expression `fwd` that can be encoded."""

    class nft_expr(nft_rule_msg.nft_expr):  # type: ignore[misc] # noqa: N801 - looked up by this name
        class nft_fwd(nft_rule_msg.nft_expr.nft_fwd):  # type: ignore[misc] # noqa: N801
            u32 = nlmsg_atoms.uint32


# --- expressions -------------------------------------------------------------------------------------------


def device_is(name: str) -> list[Expression]:
    """Match packets that arrive on an interface, which need not exist yet."""
    return [_meta(Meta.NFT_META_IIFNAME), _compare(Cmp.NFT_CMP_EQ, name.encode().ljust(_NAME_LENGTH, b"\0"))]


def mark_is_not(mark: int) -> list[Expression]:
    """Match packets that do not carry a mark (SO_MARK)."""
    return [_meta(Meta.NFT_META_MARK), _compare(Cmp.NFT_CMP_NEQ, struct.pack("=I", mark))]


def source_is(address: Address) -> list[Expression]:
    """Match packets from an address."""
    version4 = address.version == 4
    return [
        _meta(Meta.NFT_META_NFPROTO),
        _compare(Cmp.NFT_CMP_EQ, bytes([socket.AF_INET if version4 else socket.AF_INET6])),
        _payload(_NETWORK_HEADER, 12 if version4 else 8, len(address.packed)),
        _compare(Cmp.NFT_CMP_EQ, address.packed),
    ]


def port_is(transport: Literal["tcp", "udp"], end: Literal["source", "destination"], port: int) -> list[Expression]:
    """Match packets to or from a port."""
    return [
        _meta(Meta.NFT_META_L4PROTO),
        _compare(Cmp.NFT_CMP_EQ, bytes([socket.IPPROTO_TCP if transport == "tcp" else socket.IPPROTO_UDP])),
        _payload(_TRANSPORT_HEADER, 0 if end == "source" else 2, 2),
        _compare(Cmp.NFT_CMP_EQ, struct.pack("!H", port)),
    ]


def is_between(source: Address, destination: Address) -> list[Expression]:
    """Match packets from one address to another, in the families inet and netdev."""
    version4 = source.version == 4
    length = len(source.packed)
    return [
        _meta(Meta.NFT_META_PROTOCOL),
        _compare(Cmp.NFT_CMP_EQ, struct.pack("!H", _ETHERTYPES[source.version])),
        _payload(_NETWORK_HEADER, 12 if version4 else 8, length),
        _compare(Cmp.NFT_CMP_EQ, source.packed),
        _payload(_NETWORK_HEADER, 16 if version4 else 24, length),
        _compare(Cmp.NFT_CMP_EQ, destination.packed),
    ]


def trace() -> list[Expression]:
    """Let the kernel report each rule that these packets meet from here on; see `lab.engine.nft_trace`."""
    return [
        genex("immediate", {"dreg": Regs.NFT_REG_1, "data": _data(b"\1")}),
        genex("meta", {"sreg": Regs.NFT_REG_1, "key": Meta.NFT_META_NFTRACE}),
    ]


def at_random(share: float) -> list[Expression]:
    """Match a share of all packets, drawn independently for each."""
    modulus = 1 << 24
    draw = {"NFTA_NG_DREG": Regs.NFT_REG_1, "NFTA_NG_MODULUS": modulus, "NFTA_NG_TYPE": _RANDOM}
    swap = {"sreg": Regs.NFT_REG_1, "dreg": Regs.NFT_REG_1, "op": _HTON, "len": 4, "size": 4}
    return [
        {"attrs": [("NFTA_EXPR_NAME", "numgen"), ("NFTA_EXPR_DATA", {"attrs": list(draw.items())})]},
        # The draw is in the host's byte order, and registers are compared byte by byte.
        genex("byteorder", swap),
        _compare(Cmp.NFT_CMP_LT, struct.pack("!I", round(share * modulus))),
    ]


def counter() -> list[Expression]:
    """Count the packets that reach this expression."""
    return [genex("counter", {})]


def drop() -> list[Expression]:
    """Drop the packet silently; ends the rule."""
    found: list[Expression] = verdict(_DROP)
    return found


def forward_to(index: int) -> list[Expression]:
    """Send the packet out of the interface with this index instead; ends the rule."""
    return [
        genex("immediate", {"dreg": Regs.NFT_REG_1, "data": _data(struct.pack("=I", index))}),
        genex("fwd", {"sreg_dev": Regs.NFT_REG_1}),
    ]


def rule(*parts: Iterable[Expression]) -> list[Expression]:
    """Join matches and a verdict into a rule."""
    return [expression for part in parts for expression in part]


def _meta(key: Meta) -> Expression:
    found: Expression = genex("meta", {"dreg": Regs.NFT_REG_1, "key": key})
    return found


def _payload(base: int, offset: int, length: int) -> Expression:
    found: Expression = genex("payload", {"dreg": Regs.NFT_REG_1, "base": base, "offset": offset, "len": length})
    return found


def _compare(operation: Cmp, value: bytes) -> Expression:
    found: Expression = genex("cmp", {"sreg": Regs.NFT_REG_1, "op": operation, "data": _data(value)})
    return found


def _data(value: bytes) -> Mapping[str, Any]:
    return {"attrs": [("NFTA_DATA_VALUE", value)]}


# --- tables ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """Rules at a hook; a packet that none of them drops or forwards is accepted."""

    hook: Literal["prerouting", "output", "ingress", "egress"]
    rules: Sequence[Sequence[Expression]]
    device: str | None = None
    """The interface, in the family netdev."""
    priority: int = -300


@dataclass(frozen=True)
class Table:
    """Chains that serve one purpose of the lab."""

    family: Family
    name: str
    chains: Sequence[Chain] = ()


class Nft:
    """A socket to nf_tables in the namespace of the thread that creates it, for use by any thread.

    Close it, or use it as a context manager.
    """

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        except OSError as error:
            raise NotSupported("nftables", str(error.strerror)) from error
        self._socket.settimeout(_PATIENCE)
        self._sequence = 0
        self._marshal = Marshal()
        kinds = {NFT_MSG_NEWTABLE: nft_table_msg, NFT_MSG_NEWRULE: _RuleMessage}
        self._marshal.msg_map = {_type(kind): message for kind, message in kinds.items()}

    def __enter__(self) -> "Nft":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; the kernel then removes a table that it owns."""
        self._socket.close()

    def add(self, table: Table, *, owned: bool = False) -> None:
        """Create a table with its chains and rules in one step; raises `NotSupported` if the kernel lacks a part."""
        family = _FAMILIES[table.family]
        flags = [("NFTA_TABLE_FLAGS", _OWNER)] if owned else []
        messages = [_message(nft_table_msg, NFT_MSG_NEWTABLE, family, [("NFTA_TABLE_NAME", table.name), *flags])]
        for number, chain in enumerate(table.chains):
            name = f"{chain.hook}{number}"
            hook: list[tuple[str, Any]] = [
                ("NFTA_HOOK_HOOKNUM", _HOOKS[chain.hook]),
                ("NFTA_HOOK_PRIORITY", chain.priority),
            ]
            if chain.device is not None:
                hook.append(("NFTA_HOOK_DEV", chain.device))
            attributes: list[tuple[str, Any]] = [
                ("NFTA_CHAIN_TABLE", table.name),
                ("NFTA_CHAIN_NAME", name),
                ("NFTA_CHAIN_HOOK", {"attrs": hook}),
                ("NFTA_CHAIN_TYPE", "filter"),
            ]
            messages.append(_message(nft_chain_msg, NFT_MSG_NEWCHAIN, family, attributes))
            for expressions in chain.rules:
                attributes = [
                    ("NFTA_RULE_TABLE", table.name),
                    ("NFTA_RULE_CHAIN", name),
                    ("NFTA_RULE_EXPRESSIONS", list(expressions)),
                ]
                messages.append(_message(_RuleMessage, NFT_MSG_NEWRULE, family, attributes))
        try:
            self._commit(messages)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
                why = f"this kernel's nftables lacks a part of what {table.name} needs ({error.strerror})"
                raise NotSupported("nftables", why) from error
            raise EnvironmentBroken(f"nftables refused the table {table.name}: {error.strerror}") from error

    def delete(self, family: Family, name: str) -> None:
        """Delete a table; a missing one is ignored."""
        attributes = [("NFTA_TABLE_NAME", name)]
        try:
            self._commit([_message(nft_table_msg, NFT_MSG_DELTABLE, _FAMILIES[family], attributes)])
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise EnvironmentBroken(f"nftables did not delete the table {name}: {error.strerror}") from error

    def every_table(self) -> list[tuple[int, str]]:
        """Return the number of the family (`NFPROTO_…`) and the name of every table."""
        request = _message(nft_table_msg, NFT_MSG_GETTABLE, 0, [])
        return [(answer["nfgen_family"], answer.get_attr("NFTA_TABLE_NAME")) for answer in self._dump(request)]

    def tables(self, family: Family) -> list[str]:
        """Return the names of all tables of a family."""
        request = _message(nft_table_msg, NFT_MSG_GETTABLE, _FAMILIES[family], [])
        return [answer.get_attr("NFTA_TABLE_NAME") for answer in self._dump(request)]

    def packets(self, family: Family, name: str) -> int | None:
        """Return the sum of a table's packet counters; None if the table does not exist."""
        counters = self.counters(family, name)
        return None if counters is None else sum(counters)

    def counters(self, family: Family, name: str) -> list[int] | None:
        """Return the packets of each counter of a table in the order of its rules; None if it does not exist."""
        if name not in self.tables(family):
            return None
        request = _message(_RuleMessage, NFT_MSG_GETRULE, _FAMILIES[family], [("NFTA_RULE_TABLE", name)])
        return [
            expression.get_attr("NFTA_EXPR_DATA").get_attr("NFTA_COUNTER_PACKETS")
            for answer in self._dump(request)
            if answer.get_attr("NFTA_RULE_TABLE") == name
            for expression in answer.get_attr("NFTA_RULE_EXPRESSIONS") or ()
            if expression.get_attr("NFTA_EXPR_NAME") == "counter"
        ]

    def _commit(self, messages: Sequence[Any]) -> None:
        """Send messages in one transaction; raises the first error that the kernel reports, after all answers."""
        begin, end = _boundary(_BATCH_BEGIN), _boundary(_BATCH_END)
        self._send(begin, *messages, end)
        first = begin["header"]["sequence_number"]
        pending = {message["header"]["sequence_number"] for message in messages}
        failure: OSError | None = None
        while pending:
            for answer in self._received():
                error = _error(answer)
                failure = failure or error
                sequence = answer["header"]["sequence_number"]
                if sequence == first:  # the kernel refused the batch as a whole
                    raise failure or OSError(errno.EINVAL, os.strerror(errno.EINVAL))
                if answer["header"]["type"] == NLMSG_ERROR:
                    pending.discard(sequence)
        if failure is not None:
            raise failure

    def _dump(self, request: Any) -> list[Any]:
        request["header"]["flags"] = NLM_F_REQUEST | NLM_F_DUMP
        self._send(request)
        found: list[Any] = []
        while True:
            for answer in self._received():
                if error := _error(answer):
                    raise EnvironmentBroken(f"nftables does not answer: {error.strerror}")
                if answer["header"]["type"] in (NLMSG_DONE, NLMSG_ERROR):
                    return found
                found.append(answer)

    def _send(self, *messages: Any) -> None:
        data = b""
        for message in messages:
            self._sequence += 1
            message["header"]["sequence_number"] = self._sequence
            message.encode()
            data += bytes(message.data)
        self._socket.send(data)

    def _received(self) -> Iterator[Any]:
        try:
            data = self._socket.recv(_CHUNK)
        except TimeoutError as error:
            raise EnvironmentBroken(f"nftables did not answer in {_PATIENCE:.0f} s") from error
        yield from self._marshal.parse(data)


def _type(kind: int) -> int:
    return int(NFNL_SUBSYS_NFTABLES << 8 | kind)


def _message(message_class: Any, kind: int, family: int, attributes: Sequence[tuple[str, Any]]) -> Any:
    create = {
        NFT_MSG_NEWTABLE: NLM_F_CREATE,
        NFT_MSG_NEWCHAIN: NLM_F_CREATE,
        NFT_MSG_NEWRULE: NLM_F_CREATE | NLM_F_APPEND,
    }
    message = message_class()
    message["nfgen_family"] = family
    message["header"]["type"] = _type(kind)
    message["header"]["flags"] = NLM_F_REQUEST | NLM_F_ACK | create.get(kind, 0)
    message["attrs"] = list(attributes)
    return message


def _boundary(kind: int) -> Any:
    """Return the message that begins or ends a transaction."""
    message = nfgen_msg()
    message["res_id"] = NFNL_SUBSYS_NFTABLES
    message["header"]["type"] = kind
    message["header"]["flags"] = NLM_F_REQUEST
    return message


def _error(answer: Any) -> OSError | None:
    error = answer["header"]["error"]
    return None if error is None else OSError(error.code, os.strerror(error.code))
