"""What rules look at: one end of a tunnel, with all that is known around it."""

from dataclasses import dataclass, field

from lab.advise.disk import Spot
from lab.advise.frr import FrrConfiguration
from lab.advise.handed import Handed
from lab.advise.numbers import is_number
from lab.advise.openvpn import INLINE, Configuration, Directive, pushed
from lab.topology import Address, Prefix

_AEAD = ("AES-128-GCM", "AES-192-GCM", "AES-256-GCM", "CHACHA20-POLY1305", "DEFAULT")

_PULLS_OVER_UDP = 120
"""A client's `ping-restart` over UDP, where neither it nor its server says another (openvpn(8))."""


@dataclass(frozen=True)
class Subject:
    """One end of a tunnel."""

    name: str
    end: Configuration
    handed: Handed = field(default_factory=Handed)
    """What this end hands out, where it is a server."""
    peer: Configuration | None = None
    """The other end, where its file is at hand."""
    peer_handed: Handed = field(default_factory=Handed)
    openvpn: str | None = None
    """OpenVPN's version at this end, as `2.6`; None where it is not known."""
    routes: bool | None = None
    """Whether a routing daemon speaks through the tunnel; None where it is not known."""
    frr: FrrConfiguration | None = None
    no_frr: str = "no frr.conf was given"
    """Why `frr` is None."""
    peer_hold: int | None = None
    """The BGP hold time that the other side proposes."""
    far: tuple[Address, ...] = ()
    """Outer addresses of the other end that are known besides those in the file."""
    common_name: str | None = None
    """The name in this end's certificate, where it is known."""
    path_mtu: int | None = None
    """The largest packet that the path between the ends takes; None where it is not known."""
    fixed: frozenset[Prefix] = frozenset()
    """Routes outside the tunnel that no routing daemon takes over."""

    @property
    def userspace_server(self) -> bool:
        """A server with an inner table of addresses: `mode server` over `tun`."""
        return self.end.role == "server" and self.end.device != "tap"

    def option(self, *names: str) -> Directive | None:
        """The option in force: this file's, or what the server at hand pushes to this client."""
        own = self.end.last(*names)
        if self.end.role != "client" or self.peer is None:
            return own
        pushes = [d for d in self.pushes if d.name in names]
        return pushes[-1] if pushes else own

    @property
    def pushes(self) -> list[Directive]:
        """What is known to be pushed to this end by its peer, and is let in."""
        if self.peer is None or self.end.role != "client":
            return []
        files = [out for out in self.peer_handed.outs if out.by == "file"]
        named = self.common_name if self.common_name in {out.to for out in files} else None  # None: DEFAULT
        # Without a name it is not known which of several files is this client's.
        mine = [
            out
            for out in self.peer_handed.outs
            if out.by == "script" or (out.to == named if self.common_name else len(files) == 1)
        ]
        return [d for d in self.peer.pushed + [d for out in mine for d in pushed(out.directives)] if self._let_in(d)]

    @property
    def pushed_unknown(self) -> bool:
        """True of a client whose server may push what is not known here."""
        if self.end.role != "client":
            return False
        files = [out for out in self.peer_handed.outs if out.by == "file"]
        either = self.common_name is None and len(files) > 1 and any(pushed(out.directives) for out in files)
        return self.peer is None or bool(self.peer_handed.gaps) or either

    def _let_in(self, push: Directive) -> bool:
        """`pull-filter accept|ignore|reject TEXT`: the first whose text the option begins with decides."""
        for rule in self.end.all("pull-filter"):
            if str(push).startswith(rule.argument(1) or ""):
                return rule.argument(0) == "accept"
        return True

    def timeout(self) -> tuple[int | None, Spot | None] | None:
        """Seconds of silence until this end gives up its peer, and where it is said.

        The number is None where it waits for ever; the whole is None where it cannot be told.
        """
        at = self.option("ping-restart", "ping-exit", "keepalive")
        theirs = self.peer.last("keepalive") if self.peer is not None and self.end.role == "client" else None
        if theirs and self._let_in(Directive("ping-restart", theirs.arguments[1:], theirs.spot)):
            # The server pushes `ping-restart` with the second number.
            return _seconds(theirs, 1), theirs.spot
        if at is None and self.end.role == "client":
            alone = {frozenset({"udp"}): _PULLS_OVER_UDP, frozenset({"tcp"}): None}
            known = not self.pushed_unknown and self.end.transports in alone
            return (alone[self.end.transports], None) if known else None
        if at is None:
            return None, None
        if at.name != "keepalive":
            return _seconds(at, 0), at.spot
        seconds = _seconds(at, 1)
        return (2 * seconds if seconds and self.end.role == "server" else seconds), at.spot


def userspace_because(subject: Subject) -> list[tuple[Directive, str]]:
    """The options of an end that keep its data out of the kernel (DCO), each with the reason."""
    end = subject.end
    found = [
        (d, f"`{d.name}` switches it off")
        for d in end.all("disable-dco", "fragment", "http-proxy", "socks-proxy", "management-query-proxy")
    ]
    found += [(d, "a static key") for d in end.all("secret")]
    found += [(d, "a device that is not tun") for d in end.all("dev-type", "dev") if end.device == "tap"][:1]
    topology = end.last("topology")
    if end.role == "server" and topology and topology.argument(0) != "subnet":
        found.append((topology, "a topology other than subnet"))
    found += [(d, "compression, or its framing") for d in end.all("comp-lzo")]
    found += [(d, "compression, or its framing") for d in end.all("compress") if d.argument(0) != "migrate"]
    found += [(d, "compression is allowed") for d in end.all("allow-compression") if d.argument(0) != "no"]
    for d in end.all("data-ciphers", "ncp-ciphers", "data-ciphers-fallback"):
        other = [c for c in (d.argument(0) or "").split(":") if c.lstrip("?").upper() not in _AEAD]
        if other and d.argument(0) != INLINE:
            found.append((d, f"{other[0].lstrip('?')}, which is no AEAD cipher"))
    return found


def _seconds(directive: Directive, number: int) -> int | None:
    text = directive.argument(number) or ""
    return int(text) if is_number(text) and int(text) > 0 else None
