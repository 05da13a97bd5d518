"""Make a topology out of the directories of hosts, and write it with the files that it needs."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lab.core.errors import InputError
from lab.importer.counterpart import Place, counterparts
from lab.importer.hosts import Host, MadeFile, Question
from lab.importer.pairing import Identity, Open, Pairing, pair
from lab.importer.plan import Note, Plan
from lab.importer.reading import Directory, read_host
from lab.importer.sessions import add_routers
from lab.importer.underlay import INTERNET, plan_underlay
from lab.importer.versions import OldOption, choose_version
from lab.importer.write import hosts_text, topology_text
from lab.topology.mistakes import quote
from lab.topology.names import objection_to_name

_SUFFIX = ".clab.yml"


@dataclass(frozen=True)
class Tunnel:
    """A `remote` and where it leads, for the summary."""

    client: str
    remote: str
    server: str
    confidence: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Import:
    """A topology that is not written yet, with what was found, assumed and asked."""

    file: Path
    hosts: tuple[str, ...]
    counterparts: tuple[str, ...]
    processes: tuple[str, ...]
    """The OpenVPN configurations of the hosts, each as `host (file)`."""
    routers: tuple[str, ...]
    tunnels: tuple[Tunnel, ...]
    notes: tuple[Note, ...]
    questions: tuple[Question, ...]
    openvpn: str
    """The version of OpenVPN in the nodes."""
    old_options: tuple[OldOption, ...]
    """The lines that a version of OpenVPN refuses, ignores, or accepts with a warning."""
    files: tuple[MadeFile, ...]
    """The files to write, relative to the directory of the topology; the topology is the first."""


def import_hosts(
    directories: Mapping[str, Path], out: Path, *, assume: bool = False, openvpn: str | None = None
) -> Import:
    """Read the directories of hosts and make a topology; nothing is written. Raises `InputError`."""
    name = _lab_name(out)
    place = Place(Path(os.path.abspath(out)).parent, PurePosixPath(name))  # noqa: PTH100 - keeps symbolic links
    hosts = [
        read_host(Directory(host, _absolute(directory), place.topology, place.made))
        for host, directory in directories.items()
    ]
    questions = [question for host in hosts for question in host.questions]
    ends = [end for host in hosts for end in host.ends]
    pairing = pair(ends, _identities(hosts))
    questions += [_question(left) for left in pairing.open if left.candidates]
    if assume:
        pairing = pair(ends, _identities(hosts), guess=True)
    hosts += counterparts(hosts, ends, pairing, place)
    ends = [end for host in hosts for end in host.ends]
    pairing = pair(ends, _identities(hosts), guess=assume)
    hosts, more, notes = add_routers(hosts, pairing, place, assume=assume)
    questions += more
    plan = Plan(name)
    for host in hosts:
        plan.add(host.name, "counterpart" if host.own else "host")
    for text in notes:
        plan.note("", text)
    questions += plan_underlay(plan, hosts, pairing, place.made, assume=assume)
    if assume:
        for question in questions:
            plan.note(question.host, f"assumed: {question.assumption}; {question.text}")
    version, old_options = choose_version([end for end in ends if not end.own], openvpn)
    for option in old_options:
        plan.note(option.host, f"{option.place}: {option.what}")
    hosts_file = place.made / "etc" / "hosts" if plan.names else None
    text = topology_text(plan, version=version, hosts_file=hosts_file, command=f"lab import --out {out.name}")
    files = [MadeFile(PurePosixPath(out.name), text), *(made for host in hosts for made in host.made), *plan.files]
    if hosts_file is not None:
        files.append(MadeFile(hosts_file, hosts_text(plan.names)))
    return Import(
        file=out,
        hosts=tuple(host.name for host in hosts if not host.own),
        counterparts=tuple(host.name for host in hosts if host.own),
        processes=tuple(str(end) for end in ends if not end.own),
        routers=tuple(f"{h.name} ({h.router_files[0]})" for h in hosts if h.router_files and not h.own),
        tunnels=tuple(_tunnels(pairing)),
        notes=tuple(plan.notes),
        questions=tuple(questions),
        openvpn=version,
        old_options=tuple(old_options),
        files=tuple(files),
    )


def write_import(made: Import, *, force: bool = False) -> list[Path]:
    """Write the topology and its files; raises `InputError` if one of them exists and `force` is not set."""
    directory = made.file.parent
    targets = [directory / file.path for file in made.files]
    existing = [target for target in targets if target.exists() or target.is_symlink()]
    if existing and not force:
        raise InputError(f"{existing[0]} exists: choose another name, or overwrite it with --force")
    for file, target in zip(made.files, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        mode = 0o600 if file.secret else 0o755 if file.text.startswith("#!") else 0o644
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(file.data)
    return targets


def parse_hosts(arguments: Sequence[str]) -> dict[str, Path]:
    """Return the directory of each host from arguments `HOST=DIR`; raises `InputError`."""
    found: dict[str, Path] = {}
    for argument in arguments:
        name, equals, directory = argument.partition("=")
        if not equals or not directory:
            raise InputError(f"{quote(argument)}: write HOST=DIR, the name of a host and the directory with its files")
        if (objection := objection_to_name(name)) is not None or name == INTERNET:
            why = objection or f"{INTERNET!r} is the node between the hosts"
            raise InputError(f"{quote(argument)}: {quote(name)} cannot name a host: {why}")
        if name in found:
            raise InputError(f"the host {quote(name)} is given twice: give one directory for each host")
        found[name] = Path(directory)
    return found


def _lab_name(out: Path) -> str:
    if not out.name.endswith(_SUFFIX):
        raise InputError(f"{quote(str(out))}: the name of a topology file ends with {_SUFFIX}")
    name = out.name.removesuffix(_SUFFIX)
    if (objection := objection_to_name(name)) is not None:
        raise InputError(f"{quote(str(out))}: {quote(name)} cannot name a lab: {objection}")
    return name


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - keeps symbolic links


def _identities(hosts: Sequence[Host]) -> dict[str, Identity]:
    found = {}
    for host in hosts:
        addresses = {address.ip for interface in host.interfaces for address in interface.addresses}
        addresses |= {a for end in host.ends for a in end.local} | host.addresses
        found[host.name] = Identity(frozenset(addresses), host.names, dict(host.facts.names))
    return found


def _question(left: Open) -> Question:
    ends = ", ".join(map(str, left.candidates))
    return Question(
        left.client.host,
        f"remote {left.remote.host} ({left.remote.spot}) may lead to {ends}: add the output of `ip -j address` to "
        "the files of each",
        f"it leads to {left.candidates[0]}",
    )


def _tunnels(pairing: Pairing) -> list[Tunnel]:
    return [
        Tunnel(
            client=str(p.client),
            remote=f"{p.remote.host}:{p.remote.port}/{p.remote.transport}",
            server=str(p.server or p.host),
            confidence=p.confidence,
            reasons=p.reasons,
        )
        for p in pairing.pairs
    ]
