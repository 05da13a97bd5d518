"""The subject of a rule: one end of a tunnel, with everything known about it."""

from dataclasses import dataclass, field
from functools import cached_property

from lab.advise.across import Across, across
from lab.configs.disk import Spot
from lab.configs.numbers import is_number
from lab.configs.openvpn.client_options import AllClientOptions, ClientOptions
from lab.configs.openvpn.configuration import INLINE, Configuration, Directive, pushed
from lab.configs.routing.judged import RoutingConfiguration
from lab.topology import Address, Prefix

_REMOVES = ("push-reset", "push-remove")
"""Options of a client's file that take pushed options away."""
_AEAD = ("AES-128-GCM", "AES-192-GCM", "AES-256-GCM", "CHACHA20-POLY1305", "DEFAULT")

_DEFAULT_PING_RESTART = 120
"""The seconds of a client's `ping-restart` over UDP, if neither it nor its server sets one (openvpn(8))."""


@dataclass(frozen=True)
class Subject:
    """One end of a tunnel."""

    name: str
    end: Configuration
    client_options: AllClientOptions = field(default_factory=AllClientOptions)
    """The options that this end gives to its clients, if it is a server."""
    peer: Configuration | None = None
    """The other end, if its file was given."""
    peer_client_options: AllClientOptions = field(default_factory=AllClientOptions)
    openvpn: str | None = None
    """OpenVPN's version at this end, as `2.6` or `2.7.8`; None if unknown."""
    routes: bool | None = None
    """True if a routing daemon has sessions through the tunnel; None if unknown."""
    router: RoutingConfiguration | None = None
    no_router: str = "no frr.conf or bird.conf was given"
    """The reason why `router` is None."""
    peer_router: RoutingConfiguration | None = None
    """The routing daemon of the other end, if its file is known."""
    peer_hold: int | None = None
    """The BGP hold time that the other side proposes."""
    peer_outer: tuple[Address, ...] = ()
    """Known outer addresses of the other end, besides those in the file."""
    common_name: str | None = None
    """The common name in this end's certificate, if known."""
    path_mtu: int | None = None
    """The path MTU between the ends; None if unknown."""
    path_jitter: float | None = None
    """The largest deviation from the path's delay to this end, in milliseconds; None if unknown."""
    static_routes: frozenset[Prefix] = frozenset()
    """The prefixes of static routes outside the tunnel, which precede those of a routing daemon."""
    peer_openvpn: str | None = None
    """OpenVPN's version at the other end; None if unknown."""

    @cached_property
    def runs(self) -> Across:
        """The sessions and protocols that run across the tunnel, as far as the files show it."""
        return across(self.router, self.end, self.peer, self.client_options) if self.router else Across()

    @cached_property
    def peer_runs(self) -> Across:
        """The same for the other end."""
        if self.peer is None or self.peer_router is None:
            return Across()
        return across(self.peer_router, self.peer, self.end, self.peer_client_options)

    @property
    def release(self) -> str | None:
        """OpenVPN's version without its patch level; None if unknown."""
        return _release(self.openvpn)

    @property
    def peer_release(self) -> str | None:
        """OpenVPN's version at the other end without its patch level; None if unknown."""
        return _release(self.peer_openvpn)

    @property
    def patch_level(self) -> int | None:
        """The third number of OpenVPN's version; None if unknown."""
        numbers = (self.openvpn or "").split(".")
        return int(numbers[2]) if len(numbers) > 2 and is_number(numbers[2]) else None

    @property
    def userspace_server(self) -> bool:
        """True for a server with an inner table of addresses: `mode server` over `tun`."""
        return self.end.role == "server" and self.end.device != "tap"

    def option(self, *names: str) -> Directive | None:
        """Return the option in effect: this file's, or the one that the given server pushes to this client."""
        own = self.end.last(*names)
        if self.end.role != "client" or self.peer is None:
            return own
        pushes = [d for d in self.pushes if d.name in names]
        return pushes[-1] if pushes else own

    @property
    def pushes(self) -> list[Directive]:
        """The options that the peer pushes and this end accepts, as far as known."""
        if self.peer is None or self.end.role != "client":
            return []
        mine = self._options_from_peer
        pushes = [d for d in self.peer.pushed if not self._is_removed(d)]
        return [d for d in pushes + [d for entry in mine for d in pushed(entry.directives)] if self.accepts(d)]

    @property
    def _options_from_peer(self) -> list[ClientOptions]:
        """The options that the server has for this client alone, as far as known."""
        files = [entry for entry in self.peer_client_options.entries if entry.source == "file"]
        named = self.common_name if self.common_name in {entry.client for entry in files} else None  # None: DEFAULT
        # Without a common name, this client's file is known only if there is one file.
        return [
            entry
            for entry in self.peer_client_options.entries
            if entry.source == "script" or (entry.client == named if self.common_name else len(files) == 1)
        ]

    def _is_removed(self, push: Directive) -> bool:
        """Return True if this client's file has `push-reset`, or a `push-remove TEXT` that the option begins with."""
        found = [d for entry in self._options_from_peer for d in entry.directives]
        begins = [d.argument(0) or "" for d in found if d.name == "push-remove"]
        return any(d.name == "push-reset" for d in found) or any(str(push).startswith(text) for text in begins)

    @property
    def pushed_unknown(self) -> bool:
        """True for a client whose server may push unknown options."""
        if self.end.role != "client":
            return False
        files = [entry for entry in self.peer_client_options.entries if entry.source == "file"]
        either = (
            self.common_name is None
            and len(files) > 1
            and any(pushed(entry.directives) or any(d.name in _REMOVES for d in entry.directives) for entry in files)
        )
        return self.peer is None or bool(self.peer_client_options.gaps) or either

    def accepts(self, push: Directive) -> bool:
        """Apply `pull-filter accept|ignore|reject TEXT`: the first TEXT that the option begins with decides."""
        for rule in self.end.all("pull-filter"):
            if str(push).startswith(rule.argument(1) or ""):
                return rule.argument(0) == "accept"
        return True

    def other(self) -> "Subject | None":
        """Return the other end as a subject; None if its file was not given."""
        if self.peer is None:
            return None
        return Subject(
            self.peer.name,
            self.peer,
            self.peer_client_options,
            peer=self.end,
            peer_client_options=self.client_options,
            openvpn=self.peer_openvpn,
            peer_openvpn=self.openvpn,
        )

    def _keepalive_of_server(self, option: str, number: int) -> Directive | None:
        """Return the server's `keepalive`, if this client takes the option that one of its numbers is pushed as."""
        at = self.peer.last("keepalive") if self.peer is not None and self.end.role == "client" else None
        push = Directive(option, at.arguments[number:], at.spot) if at is not None else None
        return at if push is not None and self.accepts(push) and not self._is_removed(push) else None

    def interval(self) -> tuple[int | None, Spot | None] | None:
        """Return the seconds after which this end sends a ping if it has sent nothing, and the line that sets them.

        The number is None if it sends none; the result is None if unknown, or if the line has no number.
        """
        at = self.option("ping", "keepalive")
        if self.end.role == "client":
            if pushes := self._keepalive_of_server("ping", 0):
                return _waits(_seconds(pushes, 0), pushes)
            if at is None and self.pushed_unknown:
                return None
        return _waits(_seconds(at, 0), at) if at else (None, None)

    def timeout(self) -> tuple[int | None, Spot | None] | None:
        """Return the seconds without a packet until this end restarts, and the line that sets them.

        The number is None if it waits forever; the result is None if unknown, or if the line has no number.
        """
        at = self.option("ping-restart", "ping-exit", "keepalive")
        if pushes := self._keepalive_of_server("ping-restart", 1):
            return _waits(_seconds(pushes, 1), pushes)
        if at is None and self.end.role == "client":
            default = {frozenset({"udp"}): _DEFAULT_PING_RESTART, frozenset({"tcp"}): None}
            known = not self.pushed_unknown and self.end.transports in default
            return (default[self.end.transports], None) if known else None
        if at is None:
            return None, None
        if at.name != "keepalive":
            return _waits(_seconds(at, 0), at)
        seconds = _seconds(at, 1)
        return _waits(2 * seconds if seconds and self.end.role == "server" else seconds, at)


def userspace_because(subject: Subject) -> list[tuple[Directive, str]]:
    """Return the options that keep the data in userspace, without DCO, each with the reason."""
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
            found.append((d, f"{other[0].lstrip('?')}, not an AEAD cipher"))
    return found


def _release(version: str | None) -> str | None:
    return ".".join(version.split(".")[:2]) if version else None


def _seconds(directive: Directive, number: int) -> int | None:
    text = directive.argument(number) or ""
    return int(text) if is_number(text) else None


def _waits(seconds: int | None, at: Directive) -> tuple[int | None, Spot] | None:
    """Return a timeout as `Subject.timeout` does: 0 switches the restart off, so the end waits forever."""
    return None if seconds is None else (seconds or None, at.spot)
