"""Reads OpenVPN's configuration files as OpenVPN does (openvpn(8); options_parse.c of its sources).

An option is a line of words; `#` and `;` at the beginning of a word begin a comment; quotes and backslashes group
words; `<name>` begins a block up to `</name>`: the content of a file, or the options of a `<connection>`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal, Self

from lab.configs.disk import Argument, Disk, Spot, Unreadable
from lab.topology.mistakes import quote

INLINE = "[inline]"
"""Replaces the content of a block, which may be a key."""
_OPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SPACE = " \t\n\v\f\r"
_END = "\0"
"""Ends a line, as in C."""
_REPLACED = "\ufffd"
"""Replaces one octet that is not UTF-8."""
_MAX_WORDS = 16
_MAX_LINE = 255
"""OpenVPN's limit of a line with its line end, in bytes."""
_MAX_DEPTH = 10
"""OpenVPN's limit of nested includes."""
_MAX_INCLUDES = 100
_CONNECTION_OPTIONS = {
    "bind", "connect-retry", "connect-retry-max", "connect-timeout", "explicit-exit-notify", "float",
    "fragment", "http-proxy", "http-proxy-option", "key-direction", "link-mtu", "local", "lport",
    "max-packet-size", "mssfix", "mtu-disc", "nobind", "port", "proto", "remote", "rport",
    "server-poll-timeout", "socks-proxy", "tls-auth", "tls-crypt", "tls-crypt-v2", "tun-mtu", "tun-mtu-extra",
    "tun-mtu-max",
}  # fmt: skip
"""Options that `<connection>` can have; OpenVPN ignores them after such a block."""

_IN_JAIL = frozenset(
    {
        "client-config-dir", "tmp-dir", "crl-verify", "tls-export-cert", "down", "ipchange", "route-pre-down",
        "client-connect", "client-disconnect", "learn-address", "auth-user-pass-verify", "tls-verify",
        "tls-crypt-v2-verify", "client-crresponse",
    }
)  # fmt: skip
"""Options whose file OpenVPN opens after chroot(2); a test holds them against the programs."""

Role = Literal["server", "client", "peer"]


@dataclass(frozen=True)
class Directive:
    """An option with its line."""

    name: str
    arguments: tuple[str, ...]
    spot: Spot
    connection: int | None = None
    """The number of its `<connection>` block, from 1; None outside."""
    optional: bool = False
    """True after `setenv opt`: OpenVPN only warns if it does not know the option."""

    def __str__(self) -> str:
        return " ".join((self.name, *self.arguments))

    def argument(self, number: int) -> str | None:
        """Return an argument by its number from 0, or None if there are fewer."""
        return self.arguments[number] if number < len(self.arguments) else None


@dataclass(frozen=True)
class Configuration:
    """The options of one file, with included ones in place."""

    path: PurePosixPath
    name: str
    """The name that the user gave."""
    directives: tuple[Directive, ...]
    disk: Disk = field(default_factory=Disk)

    def all(self, *names: str) -> list[Directive]:
        """Return every option of these names, in order."""
        return [d for d in self.directives if d.name in names]

    def last(self, *names: str) -> Directive | None:
        """Return the last option of these names, which for most options is the one in effect."""
        found = self.all(*names)
        return found[-1] if found else None

    def has(self, *names: str) -> bool:
        """Return True if the file has one of these options."""
        return bool(self.all(*names))

    def differs(self, *names: str) -> bool:
        """Return True if one of these options depends on which of several `<connection>` blocks is used."""
        several = len({d.connection for d in self.directives} - {None}) > 1
        return several and any(d.connection is not None for d in self.all(*names))

    def with_arguments(self, before: Iterable[Directive], after: Iterable[Directive]) -> Self:
        """Return the configuration of a process that has arguments before and after `--config`."""
        return replace(self, directives=(*before, *_effective((*self.directives, *after))))

    @property
    def pushed(self) -> list[Directive]:
        """The options that the server pushes to its clients, at the lines of their `push`."""
        return pushed(self.directives)

    @property
    def role(self) -> Role:
        """The role: a server of clients (`mode server`), a client that pulls, or one of two peers."""
        mode = self.last("mode")
        if self.has("server", "server-bridge", "server-ipv6") or (mode and mode.argument(0) == "server"):
            return "server"
        return "client" if self.has("client", "pull") else "peer"

    @property
    def device(self) -> Literal["tun", "tap"] | None:
        """The kind of device; None if the file does not set it.

        From 2.7.6 on a file without `dev` stands for `dev tun`; earlier versions refuse it.
        """
        if not self.has("dev", "dev-type", "dev-node"):
            return "tun"
        for option in ("dev-type", "dev"):
            word = (self.last(option) or Directive(option, (), Spot(self.name, 1))).argument(0) or ""
            if word.startswith("tun"):
                return "tun"
            if word.startswith("tap"):
                return "tap"
        return None

    @property
    def transports(self) -> frozenset[str]:
        """The transport protocols in the file, `udp` or `tcp`; OpenVPN's default is UDP."""
        words = [d.argument(0) for d in self.all("proto")]
        # The protocol of a `remote` may be its third word.
        words += [d.argument(2) for d in self.all("remote") if len(d.arguments) > 2]
        found = {"tcp" if word.startswith("tcp") else "udp" for word in words if word}
        remotes = self.all("remote")
        all_remotes_have_one = bool(remotes) and all(len(d.arguments) > 2 for d in remotes)
        if all_remotes_have_one and not self.has("proto"):
            return frozenset(found)
        return frozenset(found or {"udp"})

    def resolve(self, name: str) -> PurePosixPath:
        """Return the path of a file in an option: relative to `cd`, else to this file, as with Debian's units."""
        at = self.last("cd")
        base = self.path.parent / (at.argument(0) or "") if at else self.path.parent
        return base / name

    @property
    def jail(self) -> PurePosixPath | None:
        """The directory of `chroot`, in which OpenVPN finds some of its files; None without it."""
        option = self.last("chroot")
        return self.resolve(option.arguments[0]) if option and option.arguments else None

    def locate(self, option: str, name: str) -> PurePosixPath:
        """Return the path of a file in an option: in the jail if OpenVPN opens it after chroot(2)."""
        if self.jail is None or option not in _IN_JAIL:
            return self.resolve(name)
        return self.jail / name.lstrip("/")


def read(path: PurePosixPath, disk: Disk | None = None) -> Configuration:
    """Read a file and its includes; raises `Unreadable` with file and line."""
    disk = disk or Disk()
    return parse(disk.text(path), path, disk)


def parse(text: str, path: PurePosixPath, disk: Disk | None = None) -> Configuration:
    """Parse the text of a file; raises `Unreadable` with file and line."""
    disk = disk or Disk()
    return Configuration(path, disk.name(path), tuple(_effective(_Reader(disk, path.parent).read(text, path))), disk)


def _effective(directives: Iterable[Directive]) -> Iterator[Directive]:
    blocks = False
    for directive in directives:
        blocks = blocks or directive.connection is not None
        if not blocks or directive.connection is not None or directive.name not in _CONNECTION_OPTIONS:
            yield directive


def command_line(words: Sequence[str], file: str, line: int = 0) -> tuple[list[Directive], list[Directive]]:
    """Return the options of OpenVPN's command line before `--config` and after it; `file` and `line` are its place."""
    before: list[Directive] = []
    after: list[Directive] = []
    found = before
    at = 0
    while at < len(words):
        end = next((n for n in range(at + 1, len(words)) if words[n].startswith("--")), len(words))
        name, arguments = words[at].removeprefix("--"), tuple(words[at + 1 : end])
        if name == "config":
            found = after
        elif words[at].startswith("--"):
            found.append(Directive(name, arguments, Argument(file, line, at + 1)))
        at = end
    return before, after


def pushed(directives: Iterable[Directive]) -> list[Directive]:
    """Return the options in `push "…"`, each with the line of its `push`."""
    found = []
    for directive in directives:
        if directive.name == "push" and directive.arguments:
            try:
                inner = words(directive.arguments[0])
            except ValueError:
                continue  # the client refuses it too
            if inner:
                found.append(Directive(inner[0], tuple(inner[1:]), directive.spot))
    return found


def words(line: str) -> list[str]:
    """Split a line into words; raises `ValueError` if OpenVPN would refuse it."""
    found: list[str] = []
    word: list[str] = []
    state: Literal["between", "plain", '"', "'"] = "between"
    backslash = False
    for char in line.partition(_END)[0] + _END:
        if len(found) == _MAX_WORDS:
            break
        if char == "\\" and not backslash and state != "'":
            backslash = True
            continue
        belongs = True
        if state == "between":
            if char in _SPACE + _END:
                belongs = False
            elif char in "#;":
                break
            elif char in "\"'" and not backslash:
                state = "'" if char == "'" else '"'
                belongs = False
            else:
                state = "plain"
        elif (state == "plain" and char in _SPACE + _END and not backslash) or (char == state and not backslash):
            found.append("".join(word))
            word.clear()
            state = "between"
            belongs = False
        if belongs and char != _END:
            if backslash and char not in '\\"' + _SPACE:
                raise ValueError("a backslash before a character that needs none; write \\\\ for a backslash")
            word.append(char)
        backslash = False
    if state in ('"', "'"):
        raise ValueError(f"no closing quotation mark ({state})")
    if state == "plain":
        raise ValueError("a backslash at the end of the text")
    return found


class _Reader:
    """Reads a file and its includes, within bounds."""

    def __init__(self, disk: Disk, home: PurePosixPath) -> None:
        self._disk = disk
        self._home = home
        """The directory of includes: OpenVPN's working directory, with Debian's units that of the first file."""
        self._included = 0
        self._connections = 0

    def read(self, text: str, path: PurePosixPath, depth: int = 1) -> Iterator[Directive]:
        lines = text.removeprefix("\ufeff").split("\n")
        yield from self._options(lines, 1, path, depth, None)

    def _options(
        self, lines: list[str], first: int, path: PurePosixPath, depth: int, connection: int | None
    ) -> Iterator[Directive]:
        name = self._disk.name(path)
        at = 0
        while at < len(lines):
            spot = Spot(name, first + at)
            # The lines of a block, and the last one of a file, have no line end.
            line = lines[at] + ("\n" if connection is None and at + 1 < len(lines) else "")
            at += 1
            if len(line.encode()) - 2 * line.count(_REPLACED) > _MAX_LINE:
                raise Unreadable(f"{spot}: longer than {_MAX_LINE} bytes, which OpenVPN refuses")
            try:
                found = words(line)
            except ValueError as error:
                raise Unreadable(f"{spot}: {error}") from error
            if not found:
                continue
            if len(found[0]) > 2:
                found[0] = found[0].removeprefix("--")
            block: list[str] | None = None
            if len(found) == 1 and found[0].startswith("<") and found[0].endswith(">") and len(found[0]) > 1:
                found = [found[0][1:-1], INLINE]
                block = _block(lines, at, found[0], spot)
            optional = found[:2] == ["setenv", "opt"] and len(found) > 2
            option, *arguments = found[2:] if optional else found
            if not optional and not _OPTION.fullmatch(option):
                raise Unreadable(f"{spot}: {quote(option)} is not an option of OpenVPN")
            if block is not None and option == "connection" and connection is None:
                self._connections += 1
                inside = list(self._options(block, first + at, path, depth, self._connections))
                if sum(d.name == "remote" for d in inside) != 1:
                    raise Unreadable(f"{spot}: <connection> without exactly one `remote`")
                yield from inside
            elif option == "config" and len(arguments) == 1 and block is None and connection is None:
                yield from self._include(arguments[0], spot, depth)
            else:
                yield Directive(option, tuple(arguments), spot, connection, optional)
            at += len(block) + 1 if block is not None else 0

    def _include(self, name: str, spot: Spot, depth: int) -> Iterator[Directive]:
        self._included += 1
        if name == "stdin":
            raise Unreadable(f"{spot}: config stdin: the options on standard input are not known")
        if depth == _MAX_DEPTH or self._included > _MAX_INCLUDES:
            raise Unreadable(
                f"{spot}: config {quote(name)}: includes more than OpenVPN allows; does it include itself?"
            )
        path = self._home / name
        try:
            text = self._disk.text(path)
        except Unreadable as error:
            raise Unreadable(f"{spot}: cannot include {error}") from error
        yield from self.read(text, path, depth + 1)


def _block(lines: list[str], start: int, name: str, spot: Spot) -> list[str]:
    end = f"</{name}>"
    for number in range(start, len(lines)):
        if lines[number].lstrip(_SPACE).startswith(end):
            return lines[start:number]
    raise Unreadable(f"{spot}: <{name}> is not closed: {end} is missing")
