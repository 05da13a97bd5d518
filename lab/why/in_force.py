"""The OpenVPN configuration that a process of the lab runs with, and the places of its lines for the user."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.configs.disk import Disk, Spot, Unreadable
from lab.configs.openvpn.client_options import AllClientOptions, read_client_options
from lab.configs.openvpn.configuration import INLINE, Configuration, Directive, read
from lab.tunnel import OpenVpn

_COMMAND_LINE = "command line of OpenVPN"


@dataclass(frozen=True)
class InForce:
    """The configuration of one process."""

    process: OpenVpn
    configuration: Configuration

    @property
    def node(self) -> str:
        """The name of its node."""
        return self.process.node.name

    @property
    def client_options(self) -> AllClientOptions:
        """The options that a server gives to its clients, as far as its files show them."""
        return read_client_options(self.configuration)

    def last(self, *names: str) -> Directive | None:
        """Return the last option of these names."""
        return self.configuration.last(*names)

    @property
    def file(self) -> str:
        """The name of its file: the user's own one, or the rendered one in the node."""
        own = self.process.process.own
        return own.given if own else f"{self.node}:{self.process.process.configuration}"

    def place(self, *names: str) -> str:
        """Return the place of the last option of these names, or the file that would have it."""
        found = self.last(*names)
        return self.place_of(found.spot) if found else self.file

    def place_of(self, spot: Spot) -> str:
        """Return the place of a line: in the user's file if there is one."""
        if spot.file == _COMMAND_LINE:
            return f"the {_COMMAND_LINE} on {self.node}"
        return f"{self.given(spot.file)}:{spot.line}"

    def given(self, name: str) -> str:
        """Return the name of the user's file for the name of a file in the node, `NODE:PATH`."""
        own = self.process.process.own
        if own is None:
            return name
        path = PurePosixPath(name.partition(":")[2])
        known = {file.path: file.given for file in own.files if file.given} | {own.path: own.given}
        return known.get(path, name)

    def key(self, option: str) -> str:
        """Return a fingerprint of the key of an option, in a file or inline; empty if it cannot be read."""
        found = self.last(option)
        if found is None:
            return ""
        disk = self.configuration.disk
        name = found.argument(0) or ""
        try:
            if name == INLINE:
                text = disk.text(self.configuration.path)
                blocks = re.findall(rf"^\s*<{option}>$(.*?)^\s*</{option}>", text, re.MULTILINE | re.DOTALL)
                text = blocks[-1] if blocks else ""
            else:
                text = disk.text(self.configuration.locate(option, name))
        except Unreadable:
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12] if lines else ""


def in_force(process: OpenVpn) -> InForce:
    """Read the configuration of a process as OpenVPN does, with its arguments; raises `Unreadable`."""
    node, model = process.node, process.process
    found = read(model.configuration, Disk(node.files, node.name))
    own = model.own.arguments if model.own else ()
    more = tuple(_arguments((*own, *process.more)))
    return InForce(process, Configuration(found.path, found.name, (*found.directives, *more), found.disk))


def _arguments(arguments: tuple[str, ...]) -> list[Directive]:
    """Return the options on a command line."""
    found: list[list[str]] = []
    for argument in arguments:
        if argument.startswith("--"):
            found.append([argument.removeprefix("--")])
        elif found:
            found[-1].append(argument)
    return [Directive(name, tuple(rest), Spot(_COMMAND_LINE, 1)) for name, *rest in found]
