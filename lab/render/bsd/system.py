"""A node of a topology as FreeBSD or OpenBSD sees it, from which its files are rendered."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.core.errors import InputError
from lab.core.files import RenderedFile
from lab.core.prefixes import Address, Prefix
from lab.routing import RouterPlan, daemon_of, plan_router
from lab.topology import Endpoint, Topology
from lab.topology.segments import endpoints_of, static_routes
from lab.tunnel.mode import CONFIGURATION, Process, processes


@dataclass(frozen=True)
class Site:
    """One node, with what its files need."""

    topology: Topology
    name: str

    @property
    def links(self) -> Sequence[Endpoint]:
        """Its ends of links, in the file's order."""
        return endpoints_of(self.topology, self.name)

    @property
    def routes(self) -> Sequence[tuple[Prefix, Address]]:
        """Its static routes, each with its next hop."""
        return static_routes(self.topology)[self.name]

    @property
    def plan(self) -> RouterPlan | None:
        """Its routing daemon's plan; None if it runs none."""
        return plan_router(self.topology, self.name)

    @property
    def openvpn(self) -> Sequence[tuple[Process, str]]:
        """Its OpenVPN processes, each with its device."""
        found = {}
        for tunnel in self.topology.tunnels:
            for end, process in processes(tunnel, self.topology.processes).items():
                if process.node == self.name:
                    found[process] = tunnel.server_device if end == "server" else tunnel.device
        return list(found.items())


class BsdSystem(ABC):
    """FreeBSD or OpenBSD."""

    name: str
    driver: str
    """The name of its driver for a virtual network card, without the number (`vtnet(4)`, `vio(4)`)."""
    openvpn: PurePosixPath
    """The directory of OpenVPN's files."""

    @abstractmethod
    def settings(self, site: Site) -> Iterable[RenderedFile]:
        """Return the files of the system itself: addresses, routes, forwarding, and what is started."""

    @abstractmethod
    def routing(self, plan: RouterPlan) -> Iterable[RenderedFile]:
        """Return the files of the routing daemon; raises `InputError` for one that the system does not have."""

    def port(self, interface: str) -> str:
        """Return the system's name of `ethN` of the container; its first card is for management."""
        number = interface.removeprefix("eth")
        return f"{self.driver}{number}" if number.isdigit() else interface

    def configuration(self, process: Process) -> PurePosixPath:
        """Return the path of OpenVPN's configuration."""
        return self.openvpn / process.configuration.relative_to(CONFIGURATION)

    def openvpn_files(self, files: Iterable[RenderedFile]) -> Iterator[RenderedFile]:
        """Yield OpenVPN's files as the system has them.

        The management interface is left out: its socket's directory is not there, and nothing asks for it.
        """
        for file in files:
            lines = [line for line in file.content.splitlines() if not line.startswith("management ")]
            text = "\n".join([*lines, ""]).replace(f"{CONFIGURATION}/", f"{self.openvpn}/")
            yield RenderedFile(self.openvpn / file.path.relative_to(CONFIGURATION), text, file.mode)


def daemons_files(plan: RouterPlan, prefix: PurePosixPath) -> Iterator[RenderedFile]:
    """Yield FRR's or BIRD's files with `prefix` before their directory; raises `InputError` for another daemon."""
    if plan.daemon not in ("frr", "bird", "bird3"):
        raise InputError(f"{plan.node}: {plan.daemon} is not supported on this system: use frr or bird")
    daemon = daemon_of(plan)
    for file in daemon.render(plan):
        text = file.content.replace(f"{daemon.configuration}/", f"{prefix / daemon.configuration.relative_to('/')}/")
        yield RenderedFile(prefix / file.path.relative_to("/"), text, file.mode)
