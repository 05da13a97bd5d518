"""Client-specific options of a server in `mode server`: the only place where `iroute` has an effect.

They come from the files of `client-config-dir`, and from a `client-connect` script if it only writes fixed lines.
Other sources, such as plugins, cannot be read; each is a `Gap`.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import PurePosixPath
from typing import Literal

from lab.configs.disk import Spot, Unreadable
from lab.configs.openvpn.configuration import Configuration, Directive, parse, read, words

_AUTHENTICATING = frozenset({"openvpn-plugin-auth-pam.so", "openvpn-plugin-down-root.so"})
"""OpenVPN's own plugins: they check passwords and run commands as root, and set no options of clients."""

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class InnerRoute:
    """An entry of the inner table: `iroute` or `iroute-ipv6`."""

    network: Network
    spot: Spot

    @property
    def is_default(self) -> bool:
        """True for a default route."""
        return self.network.prefixlen == 0


@dataclass(frozen=True)
class ClientOptions:
    """The options of one client, or of every client without a file of its own."""

    client: str | None
    """The client's common name; None for any client."""
    directives: tuple[Directive, ...]
    source: Literal["file", "script"] = "file"

    @property
    def inner(self) -> list[InnerRoute]:
        """The inner routes among them, without malformed ones, which OpenVPN refuses."""
        found = []
        for directive in self.directives:
            network = _network(directive)
            if network is not None:
                found.append(InnerRoute(network, directive.spot))
        return found


@dataclass(frozen=True)
class Gap:
    """A source of options that cannot be read."""

    why: str
    spot: Spot


@dataclass(frozen=True)
class AllClientOptions:
    """The known client-specific options of a server."""

    entries: tuple[ClientOptions, ...] = ()
    gaps: tuple[Gap, ...] = ()
    exclusive: bool = False
    """True if the server refuses clients without a file (`ccd-exclusive`)."""

    @property
    def clients(self) -> list[tuple[str | None, list[InnerRoute]]]:
        """Each known client with its inner routes: those of its file, and those of scripts."""
        scripts = [inner for entry in self.entries if entry.source == "script" for inner in entry.inner]
        files = [(entry.client, entry.inner + scripts) for entry in self.entries if entry.source == "file"]
        # A script also writes the options of clients without a file.
        others = scripts and not self.exclusive and all(client is not None for client, _ in files)
        return [*files, (None, scripts)] if others else files

    @property
    def inner(self) -> list[InnerRoute]:
        """All known inner routes."""
        return [inner for entry in self.entries for inner in entry.inner]

    @property
    def default_routes(self) -> list[InnerRoute]:
        """The default routes among them."""
        return [inner for inner in self.inner if inner.is_default]


def read_client_options(server: Configuration) -> AllClientOptions:
    """Read the client-specific options of a server."""
    if server.role != "server":
        return AllClientOptions()
    entries: list[ClientOptions] = []
    gaps: list[Gap] = []
    if directory := server.last("client-config-dir"):
        try:
            entries += _read_directory(server, directory)
        except Unreadable as error:
            gaps.append(Gap(f"the files of client-config-dir cannot be read ({error})", directory.spot))
    if script := server.last("client-connect"):  # a later script replaces an earlier one
        text = _read_script(server, script)
        if text is None:
            gaps.append(Gap("the options of the client-connect script are not known without running it", script.spot))
        else:
            entries.append(text)
    gaps += [Gap("a plugin can set options of clients", d.spot) for d in server.all("plugin") if not _is_known(d)]
    gaps += [
        Gap("the program at the management socket can set options of clients", d.spot)
        for d in server.all("management-client-auth")
    ]
    return AllClientOptions(tuple(entries), tuple(gaps), server.has("ccd-exclusive"))


def _is_known(plugin: Directive) -> bool:
    return PurePosixPath(plugin.argument(0) or "").name in _AUTHENTICATING


def _read_directory(server: Configuration, option: Directive) -> list[ClientOptions]:
    found = []
    for file in server.disk.files(server.locate(option.name, option.argument(0) or "")):
        client = None if file.name == "DEFAULT" else file.name
        found.append(ClientOptions(client, read(file, server.disk).directives))
    return found


_SHELLS = re.compile(r"#!\s*(/usr)?/bin/(env\s+)?(ba|da)?sh\s*")


def writes_fixed_lines(server: Configuration, option: Directive) -> bool:
    """Return True if a `client-connect` script only writes fixed lines, so that it is safe to run."""
    try:
        command = words(option.argument(0) or "")
        lines = server.disk.text(server.locate(option.name, command[0])).split("\n") if len(command) == 1 else [""]
    except (Unreadable, ValueError):
        return False
    return _SHELLS.fullmatch(lines[0]) is not None and _fixed_lines(lines) is not None


_HEREDOC = re.compile(r"""cat\s*(?P<to>>>?)\s*"?\$1"?\s*<<\s*(?P<quote>['"])(?P<end>\w+)(?P=quote)\s*""")
_ECHO = re.compile(r"""echo\s+(?P<text>'[^']*'|"[^"$`\\]*"|[^'"$`\\|&;<>()*?\[#~]+?)\s*(?P<to>>>?)\s*"?\$1"?\s*""")


def _read_script(server: Configuration, option: Directive) -> ClientOptions | None:
    """Return the options of a script that only writes fixed lines; None if it may do more."""
    try:
        command = words(option.argument(0) or "")
        if len(command) != 1:
            return None
        path = server.locate(option.name, command[0])
        lines = server.disk.text(path).split("\n")
    except (Unreadable, ValueError):
        return None
    written = _fixed_lines(lines)
    if written is None:
        return None
    # Other lines become empty, so that line numbers stay the same.
    text = "\n".join(written.get(number, "") for number in range(len(lines)))
    try:
        return ClientOptions(None, parse(text, path, server.disk).directives, "script")
    except Unreadable:
        return None


def _fixed_lines(lines: list[str]) -> dict[int, str] | None:
    if not lines[0].startswith("#!") or not lines[0].rstrip().endswith("sh"):
        return None
    written: dict[int, str] = {}
    at = 1
    while at < len(lines):
        line = lines[at].strip()
        if heredoc := _HEREDOC.fullmatch(line):
            end = next((n for n in range(at + 1, len(lines)) if lines[n] == heredoc["end"]), None)
            if end is None:
                return None
            written = written if heredoc["to"] == ">>" else {}  # `>` drops what was written before
            written.update({n: lines[n] for n in range(at + 1, end)})
            at = end
        elif echo := _ECHO.fullmatch(line):
            text = echo["text"]
            written = written if echo["to"] == ">>" else {}
            written[at] = text[1:-1] if text[0] in "'\"" else text
        elif line and not line.startswith("#") and line != "exit 0":
            return None
        at += 1
    return written


def _network(directive: Directive) -> Network | None:
    try:
        if directive.name == "iroute" and directive.arguments:
            mask = directive.argument(1) or "255.255.255.255"
            return IPv4Network(f"{directive.arguments[0]}/{mask}", strict=False)
        if directive.name == "iroute-ipv6" and directive.arguments:
            network = ip_network(directive.arguments[0], strict=False)
            return network if isinstance(network, IPv6Network) else None
    except ValueError:
        pass
    return None
