"""Find the host to which each `remote` leads, and the process that answers there, with the reasons.

What is certain comes first: an address of the host, the same key, inner addresses that mirror each other. Where the
best two candidates are equally good the answer is left open, and the user is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lab.core.prefixes import Address
from lab.importer.ends import SHARED_SECRETS, End, Remote

Confidence = Literal["certain", "likely", "guess"]

_CERTAIN = 80
_LIKELY = 20


@dataclass(frozen=True)
class Identity:
    """How others know a host: its addresses and names."""

    addresses: frozenset[Address] = frozenset()
    names: frozenset[str] = frozenset()
    """Host names, in lower case, with and without their domain."""
    known_names: Mapping[str, Address] = field(default_factory=dict)
    """The addresses that the host's own /etc/hosts gives to names."""


@dataclass(frozen=True)
class Pair:
    """A `remote` with the host to which it leads."""

    client: End
    remote: Remote
    server: End | None
    """The process that answers; None if the host has none at that port."""
    host: str
    """The host to which the remote leads."""
    confidence: Confidence
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Open:
    """A `remote` for which no host was found, or several equally good ones."""

    client: End
    remote: Remote
    candidates: tuple[End, ...] = ()


@dataclass(frozen=True)
class Pairing:
    """The pairs, and what is left."""

    pairs: tuple[Pair, ...] = ()
    open: tuple[Open, ...] = ()

    def hosts_of(self, remote: Remote) -> list[str]:
        """Return the hosts to which a remote leads."""
        return [pair.host for pair in self.pairs if pair.remote == remote]

    def partners(self, end: End) -> list[End]:
        """Return the ends that are paired with one."""
        found = [pair.server for pair in self.pairs if pair.client is end and pair.server is not None]
        return found + [pair.client for pair in self.pairs if pair.server is end]


@dataclass
class _Candidate:
    end: End
    score: int = 0
    reasons: list[str] = field(default_factory=list)
    contradiction: bool = False

    def add(self, score: int, reason: str) -> None:
        self.score += score
        self.reasons.append(reason)


def pair(ends: Sequence[End], identities: Mapping[str, Identity], *, guess: bool = False) -> Pairing:
    """Pair the ends of all hosts; with `guess` the first of equally good candidates is taken."""
    pairs: list[Pair] = []
    left: list[Open] = []
    for client in ends:
        if not client.connects:
            continue
        for remote in client.remotes:
            found = _match(client, remote, ends, identities, guess=guess)
            if isinstance(found, Pair):
                pairs.append(found)
            else:
                left.append(found)
    return Pairing(tuple(pairs), tuple(_without_settled(left, pairs)))


def _without_settled(left: list[Open], pairs: list[Pair]) -> list[Open]:
    """Leave out open remotes without a candidate of a client of which another remote leads to a host."""
    settled = {id(p.client) for p in pairs}
    return [o for o in left if o.candidates or id(o.client) not in settled]


def _match(
    client: End, remote: Remote, ends: Sequence[End], identities: Mapping[str, Identity], *, guess: bool
) -> Pair | Open:
    others = [end for end in ends if end.host != client.host and end.listens and end.is_peer == client.is_peer]
    judged = [_judge(client, remote, end, identities) for end in others]
    fitting = [c for c in judged if not c.contradiction and _answers(c.end, remote)]
    fitting = [c for c in fitting if c.score >= 0]
    best = max((c.score for c in fitting), default=0)
    top = [c for c in fitting if c.score == best]
    if len(top) == 1 or (top and guess):
        chosen = top[0]
        only = len(fitting) == 1
        reasons = chosen.reasons or ["the only process that answers at this port" if only else "the first that fits"]
        confidence: Confidence = "certain" if best >= _CERTAIN else "likely" if best >= _LIKELY or only else "guess"
        return Pair(client, remote, chosen.end, chosen.end.host, confidence, tuple(reasons))
    if len(top) > 1:
        return Open(client, remote, tuple(c.end for c in top))
    # No process answers there, but the address may be a host's all the same: the files are as they are.
    for host, identity in identities.items():
        if host != client.host and _is_at(remote, identity, identities[client.host]):
            why = f"{remote.host} is {host}, which has no process for {remote.transport} port {remote.port}"
            return Pair(client, remote, None, host, "certain", (why,))
    return Open(client, remote)


def _answers(end: End, remote: Remote) -> bool:
    return end.port == remote.port and remote.transport in end.transports


def _is_at(remote: Remote, server: Identity, client: Identity) -> bool:
    address = remote.address or client.known_names.get(remote.host.lower())
    return address in server.addresses if address is not None else remote.host.lower() in server.names


def _judge(client: End, remote: Remote, server: End, identities: Mapping[str, Identity]) -> _Candidate:
    found = _Candidate(server)
    there, here = identities[server.host], identities[client.host]
    _judge_address(found, remote, there, here)
    _judge_keys(found, client, server)
    _judge_inner_addresses(found, client, server)
    _judge_names(found, client, server)
    if client.tap != server.tap:
        found.add(-_LIKELY, "one end has a tun and the other a tap device")
    return found


def _judge_address(found: _Candidate, remote: Remote, there: Identity, here: Identity) -> None:
    host = found.end.host
    if remote.address is not None:
        if remote.address in there.addresses:
            found.add(100, f"{remote.host} is an address of {host}")
        return
    name = remote.host.lower()
    known = here.known_names.get(name) or there.known_names.get(name)
    if known is not None and known in there.addresses:
        found.add(100, f"/etc/hosts has {remote.host} as {known}, an address of {host}")
    elif name in there.names:
        found.add(_CERTAIN, f"{remote.host} is the name of {host}")
    elif name.partition(".")[0] in there.names:
        found.add(40, f"{remote.host} begins with the name of {host}")


def _judge_keys(found: _Candidate, client: End, server: End) -> None:
    for option in SHARED_SECRETS:
        mine, other = client.configuration.has(option), server.configuration.has(option)
        if option == "secret" and mine != other:
            found.contradiction = True
        one, two = client.digest(option), server.digest(option)
        if one is None or two is None:
            continue
        if one == two:
            found.add(_CERTAIN, f"both have the same key in {option}")
        else:
            found.contradiction = True
    one, two = client.digest("ca"), server.digest("ca")
    if one is not None and two is not None:
        if one == two:
            found.add(_LIKELY, "both have the same certificate authority")
        else:
            found.add(-_LIKELY, "their certificate authorities differ")


def _judge_inner_addresses(found: _Candidate, client: End, server: End) -> None:
    if not (client.is_peer and server.is_peer):
        return
    mine, other = {i.ip for i in client.inner}, {i.ip for i in server.inner}
    mirrored = set(client.inner_peers) & other or set(server.inner_peers) & mine
    same_subnet = {i.network for i in client.inner} & {i.network for i in server.inner}
    if mirrored and not mine & other:
        found.add(_CERTAIN, f"their inner addresses mirror each other ({', '.join(sorted(map(str, mirrored)))})")
    elif same_subnet and not mine & other:
        found.add(_LIKELY, "their inner addresses are of one subnet")
    elif client.inner_peers and server.inner and not mirrored:
        found.contradiction = True


def _judge_names(found: _Candidate, client: End, server: End) -> None:
    name = client.common_name
    if name is not None and name in server.client_names:
        found.add(30, f"{server.host} has options for the client {name}")
    for end, other in ((client, server), (server, client)):
        if other.common_name is not None and any(other.common_name in text for text in end.expected_names):
            found.add(30, f"{end.host} expects the certificate of {other.common_name}")
