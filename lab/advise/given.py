"""The files that a user gives to `lab advise`: configurations of OpenVPN and of routing daemons, by their content."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from lab.advise.translated import read_translated
from lab.configs import frr
from lab.configs.disk import Disk, Unreadable
from lab.configs.forms import form_of
from lab.configs.openvpn import configuration as openvpn
from lab.configs.openvpn.configuration import Configuration
from lab.configs.recognise import OPENVPN_PROCESSES, FileKind, Recognised, recognise
from lab.configs.routers import read_birds
from lab.configs.routing.judged import RoutingConfiguration
from lab.core.errors import InputError
from lab.own.hostfiles import HostFiles

_PROCESS = ("remote", "server", "server-bridge", "server-ipv6", "client", "tls-server", "ifconfig", "secret", "dev")
_ROUTING = ("bgpd", "ospfd", "ospf6d", "ripd", "ripngd", "isisd", "babeld", "eigrpd", "fabricd", "nhrpd")
"""The daemons of FRR and Quagga that learn routes."""
_DO = {
    FileKind.OPENVPN_CLIENT_OPTIONS: "give the server's configuration, whose client-config-dir has this file",
    FileKind.OPENVPN_FRAGMENT: "give the configuration that includes it with `config`",
}


@dataclass
class Given:
    """The files and options that the user gave."""

    ends: list[Configuration] = field(default_factory=list)
    routers: list[RoutingConfiguration] = field(default_factory=list)


def read_given(files: Sequence[Path], version: str | None) -> Given:
    """Read all files; raises `InputError` for one that is of no use, with what it is."""
    disk = Disk()
    given = Given()
    kinds = {PurePosixPath(file): recognise(PurePosixPath(file), disk) for file in files}
    zebra: list[PurePosixPath] = []
    birds: list[PurePosixPath] = []
    parts: dict[PurePosixPath, Recognised] = {}
    for path, found in kinds.items():
        if found.kind in (FileKind.FRR, FileKind.DAEMONS, FileKind.VTYSH):
            zebra.append(path)
        elif found.kind is FileKind.BIRD:
            birds.append(path)
        elif found.kind is FileKind.FOREIGN:
            ends, routers = _foreign(path, disk)
            given.ends += ends
            given.routers += routers
        elif found.kind in _DO:
            parts[path] = found
        else:
            given.ends.append(_end(path, found, version))
    given.routers += _frr(zebra, disk, {path for path, found in kinds.items() if found.kind is FileKind.FRR})
    given.routers += read_birds(birds, disk)
    _check_parts(parts, given.ends, disk)
    if not given.ends:
        raise InputError("no OpenVPN configuration among the files: add one with --config")
    return given


def _end(path: PurePosixPath, found: Recognised, version: str | None) -> Configuration:
    """Read a configuration of OpenVPN with the files that it names, which are in its tree; or say what the file is."""
    disk = HostFiles.of(str(path), Path())
    name = disk.name(disk.path)
    if found.kind not in (*OPENVPN_PROCESSES, FileKind.UNKNOWN):
        raise InputError(f"{name}: {found.what}, not a configuration of OpenVPN, FRR or BIRD")
    end = openvpn.read(disk.path, disk)
    if not end.has(*_PROCESS):
        raise InputError(f"{name}:1: no `dev`, `remote` or `server`: not a configuration of OpenVPN, FRR or BIRD")
    if version is not None and not end.has("dev") and _needs_dev(version):
        raise InputError(
            f"{name}:1: no `dev`, which OpenVPN {version} refuses: add `dev tun`, the default from 2.7.6 on"
        )
    return end


def _needs_dev(version: str) -> bool:
    """Return True for a version in which `dev` has no default; for `2.7` without a patch level that is open."""
    numbers = tuple(int(part) for part in version.split("."))
    return numbers < (2, 7) or (2, 7, 0) <= numbers < (2, 7, 6)


def _foreign(path: PurePosixPath, disk: Disk) -> tuple[list[Configuration], list[RoutingConfiguration]]:
    text = disk.text(path, frr.MAX_SIZE)
    form = form_of(text)
    if form is None:
        raise InputError(f"{disk.name(path)}: recognised by its first lines only, and not as a whole")
    return read_translated(text, disk.name(path), form)


def _frr(paths: Sequence[PurePosixPath], disk: Disk, main: set[PurePosixPath]) -> list[RoutingConfiguration]:
    """Read FRR's and Quagga's files; the files of daemons in one directory are one router."""
    groups: dict[PurePosixPath, list[PurePosixPath]] = {}
    for path in paths:
        whole = path in main and path.name not in frr.SPLIT
        groups.setdefault(path if whole else path.parent, []).append(path)
    return [_router(group, disk) for group in groups.values() if main & set(group)]


def _router(group: Sequence[PurePosixPath], disk: Disk) -> RoutingConfiguration:
    """Read a router's files; files of single daemons do not show what the others do."""
    read = frr.merge(group, disk)
    names = {path.name for path in read.paths}
    if not read.split or names & {*frr.INTEGRATED}:
        return read.configuration
    runs = read.daemons_file.enabled if read.daemons_file is not None else _ROUTING
    absent = tuple(f"{daemon}.conf" for daemon in _ROUTING if daemon in runs and f"{daemon}.conf" not in names)
    return replace(read.configuration, absent=absent)


def _check_parts(parts: dict[PurePosixPath, Recognised], ends: Sequence[Configuration], disk: Disk) -> None:
    """Refuse a part of a configuration that no given configuration refers to."""
    used = {spot.file for end in ends for spot in (d.spot for d in end.directives)}
    for end in ends:
        for option in end.all("client-config-dir"):
            try:
                used |= {
                    end.disk.name(file) for file in end.disk.files(end.locate(option.name, option.argument(0) or ""))
                }
            except Unreadable:
                continue
    for path, found in parts.items():
        if disk.name(path) not in used:
            raise InputError(f"{disk.name(path)}: {found.what}: {_DO[found.kind]}")
