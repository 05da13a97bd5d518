"""Reads OpenVPN's configuration files as OpenVPN does (openvpn(8); options_parse.c of its sources).

An option is a line of words; `#` and `;` at the beginning of a word begin a comment; quotes and backslashes group
words; `<name>` begins a block up to `</name>`: the content of a file, or the options of a `<connection>`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from lab.advise.disk import Disk, Spot, Unreadable
from lab.topology.mistakes import quote

INLINE = "[inline]"
"""Replaces the content of a block, which may be a key."""
_OPTION = re.compile(r"<?[A-Za-z0-9][A-Za-z0-9_.-]*>?")
_SPACE = " \t\n\v\f\r"
_MAX_WORDS = 16
_MAX_LINE = 255
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

Role = Literal["server", "client", "peer"]


@dataclass(frozen=True)
class Directive:
    """An option with its line."""

    name: str
    arguments: tuple[str, ...]
    spot: Spot
    connection: int | None = None
    """The number of its `<connection>` block, from 1; None outside."""

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
        """The kind of device; None if the file does not set it."""
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
    for char in line.partition("\0")[0] + "\n":
        if len(found) == _MAX_WORDS:
            break
        if char == "\\" and not backslash and state != "'":
            backslash = True
            continue
        belongs = True
        if state == "between":
            if char in _SPACE and not backslash:
                belongs = False
            elif char in "#;":
                break
            elif char in "\"'" and not backslash:
                state = "'" if char == "'" else '"'
                belongs = False
            else:
                state = "plain"
        elif (state == "plain" and char in _SPACE and not backslash) or (char == state and not backslash):
            found.append("".join(word))
            word.clear()
            state = "between"
            belongs = False
        if belongs:
            if backslash and char not in '\\"' + _SPACE:
                raise ValueError("a backslash before a character that needs none; write \\\\ for a backslash")
            word.append(char)
        backslash = False
    if state in ('"', "'"):
        raise ValueError(f"no closing quotation mark ({state})")
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
            line = lines[at]
            at += 1
            if len(line.encode()) > _MAX_LINE:
                raise Unreadable(f"{spot}: longer than {_MAX_LINE} bytes, which OpenVPN refuses")
            try:
                found = words(line)
            except ValueError as error:
                raise Unreadable(f"{spot}: {error}") from error
            if not found:
                continue
            option = found[0].removeprefix("--")
            if not _OPTION.fullmatch(option):
                raise Unreadable(f"{spot}: {quote(option)} is not an option of OpenVPN")
            if len(found) == 1 and option.startswith("<") and option.endswith(">"):
                block = _block(lines, at, option[1:-1], spot)
                if option == "<connection>" and connection is None:
                    self._connections += 1
                    yield from self._options(block, first + at, path, depth, self._connections)
                else:
                    yield Directive(option[1:-1], (INLINE,), spot, connection)
                at += len(block) + 1
            elif option == "config" and len(found) > 1:
                yield from self._include(found[1], spot, depth)
            else:
                yield Directive(option, tuple(found[1:]), spot, connection)

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
