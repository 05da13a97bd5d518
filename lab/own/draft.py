"""A process of the user's as its file describes it, before it is paired with its other end and completed."""

import os
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from lab.configs.openvpn.configuration import Configuration, Role
from lab.own.arguments import Arguments
from lab.own.hostfiles import HostFiles
from lab.topology.intent import OpenVpnIntent
from lab.topology.mistakes import Located


@dataclass(frozen=True)
class Draft:
    """An item of `config.vars.openvpn` with the configuration that it names."""

    node: str
    name: str
    """Its name in the lab, unique."""
    intent: OpenVpnIntent
    at: Located
    """The item in the topology file, for mistakes."""
    image: str
    """The image of its node, as the topology names it."""
    disk: HostFiles
    configuration: Configuration
    """Its options, includes and arguments in place. Their spots name files as the user does, `hq/server.conf:12`."""
    texts: tuple[PurePosixPath, ...]
    """The paths in the node of the file and of its includes."""
    arguments: Arguments = field(default_factory=Arguments)
    """Those of the host's unit, or of the topology."""

    @property
    def path(self) -> PurePosixPath:
        """The path of the configuration file in the node."""
        return self.configuration.path

    @property
    def directory(self) -> PurePosixPath:
        """OpenVPN's working directory, as Debian's units set it: that of the file. An option `cd` in it comes on top,
        as `resolve` knows."""
        return self.path.parent

    @property
    def role(self) -> Role:
        """`server`: `mode server`; `client`: it pulls; `peer`: one of two ends of a point-to-point tunnel."""
        return self.configuration.role

    def resolve(self, name: str) -> PurePosixPath:
        """Return the absolute path in the node of a file that an option names; `disk.find` has it on the host.

        It has no `..`, so that what the lab writes there stays below the node's directory.
        """
        return normal(self.configuration.resolve(name))

    def locate(self, option: str, name: str) -> PurePosixPath:
        """Return such a path of a file in an option that OpenVPN may open after chroot(2), so in its jail."""
        return normal(self.configuration.locate(option, name))


def normal(path: PurePosixPath) -> PurePosixPath:
    """Return an absolute path without `..`."""
    return PurePosixPath("/", os.path.normpath(path).lstrip("/"))
