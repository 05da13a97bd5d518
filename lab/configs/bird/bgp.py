"""BGP's neighbours in BIRD's configurations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lab.configs.bird.protocols import BirdProtocol
from lab.configs.bird.statements import Statement
from lab.configs.bird.tokens import Token
from lab.configs.bird.values import Values
from lab.configs.routing.facts import BgpNeighbor
from lab.core.prefixes import Address, Prefix

_HOLD = 240
"""BIRD's default of `hold time`."""
_MULTIHOP = 64
"""The hops of `multihop` without a number."""


_OPTIONS = {"password": ("password",), "multihop": ("multihop",), "ttl-security": ("ttl", "security"), "bfd": ("bfd",)}
"""The options whose lines rules name, with BIRD's words for them."""


@dataclass
class _Ends:
    """The settings of `local` and `neighbor`."""

    address: Address | None = None
    range: Prefix | None = None
    interface: str | None = None
    remote: int | Literal["external", "internal"] | None = None
    local: int | None = None
    source: Address | None = None


def neighbor(protocol: BirdProtocol, values: Values) -> BgpNeighbor:
    """Return the neighbour of a protocol."""
    ends = _Ends()
    for s in protocol.statements:
        if s.starts("neighbor"):
            _read_neighbor(ends, s.head[1:], values)
        elif s.starts("local"):
            _read_local(ends, s.head[1:], values)
    link = protocol.last("interface")
    # `interface range "tun*"` has the pattern as its last word.
    interface = (link.words[-1] if link is not None and len(link.words) > 1 else None) or ends.interface
    hold = protocol.last("hold", "time")
    seconds = values.number(hold.head[2]) if hold and len(hold.head) > 2 else None
    source = protocol.last("source", "address")
    external = ends.remote == "external" if isinstance(ends.remote, str) else None
    if isinstance(ends.remote, int) and ends.local is not None:
        external = ends.remote != ends.local
    hops = [s for s in protocol.statements if s.words[:1] in (("multihop",), ("direct",))]
    multihop = None
    if hops and hops[-1].starts("multihop"):
        multihop = (values.number(hops[-1].head[1]) if len(hops[-1].head) > 1 else None) or _MULTIHOP
    vrf = _text(protocol.last("vrf"), 1)
    return BgpNeighbor(
        name=protocol.name,
        spot=protocol.spot,
        address=ends.address,
        range=ends.range,
        interface=interface,
        remote=ends.remote,
        external=external,
        families=frozenset(channel.family for channel in protocol.channels),
        hold=_HOLD if seconds is None else seconds,
        hold_spot=hold.spot if hold and seconds is not None else None,
        password=_password(protocol),
        local_as=ends.local,
        source=(values.address(source.head[2]) if source and len(source.head) > 2 else None) or ends.source,
        multihop=multihop,
        ttl_security=protocol.switch("ttl", "security"),
        security_hops=multihop or 1,
        options={name: at.spot for name, words in _OPTIONS.items() if (at := protocol.last(*words)) is not None},
        bfd=protocol.switch("bfd"),
        passive=protocol.switch("passive"),
        disabled=protocol.switch("disabled"),
        description=_text(protocol.last("description"), 1) or "",
        vrf=None if vrf == "default" else vrf,
    )


def _read_neighbor(ends: _Ends, tokens: Sequence[Token], values: Values) -> None:
    at = 0
    while at < len(tokens):
        word = tokens[at].text
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        if tokens[at].kind == "name" and word == "range":
            ends.range, rest = values.prefix(tokens[at + 1 :])
            at = len(tokens) - len(rest)
            continue
        if tokens[at].kind == "name" and word == "as" and following is not None:
            ends.remote = values.number(following)
            at += 2
        elif tokens[at].kind == "name" and word == "port":
            at += 2
        elif word in ("internal", "external"):
            ends.remote = "internal" if word == "internal" else "external"
            at += 1
        elif tokens[at].kind == "sign" and word == "%" and following is not None:
            ends.interface = following.text
            at += 2
        else:
            ends.address = values.address(tokens[at]) or ends.address
            at += 1


def _read_local(ends: _Ends, tokens: Sequence[Token], values: Values) -> None:
    for at, token in enumerate(tokens):
        before = tokens[at - 1].text if at else ""
        if before == "as":
            ends.local = values.number(token) or ends.local
        elif before not in ("port", "role"):
            ends.source = values.address(token) or ends.source


def _password(protocol: BirdProtocol) -> str | None:
    found = list(_passwords(protocol))
    return found[-1] if found else None


def _passwords(protocol: BirdProtocol) -> Iterator[str]:
    for s in protocol.all("password"):
        if len(s.head) > 1:
            yield s.head[1].text


def _text(s: Statement | None, number: int) -> str | None:
    return s.head[number].text if s is not None and len(s.head) > number else None
