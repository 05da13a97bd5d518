"""Read the directory of one host: which files its OpenVPN processes and its routing daemon run with."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from lab.configs.disk import Disk, Unreadable
from lab.configs.forms import form_of
from lab.configs.host.facts import HostFacts
from lab.configs.host_reader import read_host as read_facts
from lab.configs.openvpn.configuration import INLINE, parse, read
from lab.configs.openvpn.units import starts
from lab.configs.recognise import OPENVPN_PROCESSES, FileKind, recognise
from lab.configs.sense import freebsd
from lab.configs.translated import Translated, TranslatedFile, joined
from lab.core.errors import InputError
from lab.importer.copies import copies
from lab.importer.ends import End
from lab.importer.filters import find_filters
from lab.importer.hosts import Host, MadeFile, Question
from lab.importer.overlay import Overlay
from lab.importer.routers import RouterFiles, find_router
from lab.importer.walk import SPARE, walk
from lab.own.arguments import Arguments
from lab.own.hostfiles import HostFiles
from lab.topology.mistakes import quote

_STARTED = re.compile(r"(.*/)?etc/openvpn/((server|client)/)?[^/]+\.conf")
"""The files that the systemd units of Debian, Fedora and OpenVPN itself start."""
_FACTS = (
    *(FileKind.IP_ADDRESS, FileKind.IP_ROUTE, FileKind.SYSCTL, FileKind.NFTABLES, FileKind.HOSTS, FileKind.HOSTNAME),
    *(FileKind.IPTABLES, FileKind.IFUPDOWN, FileKind.NETPLAN, FileKind.NETWORKD),
    *(FileKind.IFCFG, FileKind.NETWORKMANAGER),
)
_ROUTERS = (FileKind.FRR, FileKind.VTYSH, FileKind.DAEMONS, FileKind.BIRD)
_MARK = "Translated from {origin} by `lab import`; change the original and import again.\n"
MAX_PROCESSES = 100
"""The maximum number of OpenVPN configurations of one host."""
_MAX_NAMED = 5
"""The number of left-out or copied files that are named; the rest are counted."""


@dataclass(frozen=True)
class Directory:
    """A host's name and the directory with its files, and the directory of the topology."""

    host: str
    directory: Path
    topology: Path
    made: PurePosixPath
    """The directory beside the topology for files that the import writes, relative to it."""

    def shown(self, path: PurePosixPath) -> str:
        """Return a file's name relative to the topology's directory; the host's directory is the root of `path`."""
        return Path(os.path.relpath(self.directory / str(path).lstrip("/"), self.topology)).as_posix()


def read_host(place: Directory) -> Host:
    """Read the files of one host; raises `InputError` if the directory is not one or nothing is recognised."""
    walked = walk(place.directory)
    draft = _Draft(place, walked.files)
    draft.recognise()
    draft.translate()
    draft.find_processes()
    router = draft.find_router()
    draft.check_files()
    if not draft.ends and router is None and not draft.questions:
        raise InputError(
            f"{place.host}: no file below {quote(str(place.directory))} is a configuration of OpenVPN or of a routing "
            "daemon"
        )
    facts = draft.facts()
    filters = draft.find_filters()
    notes = [*draft.notes, *(f"left out: {what}" for what in walked.left_out[:_MAX_NAMED])]
    if len(walked.left_out) > _MAX_NAMED:
        notes.append(f"left out: {len(walked.left_out) - _MAX_NAMED} more files that cannot be read")
    return Host(
        name=place.host,
        directory=place.directory,
        ends=tuple(draft.ends),
        router=router.facts if router else None,
        daemon=router.daemon if router else "frr",
        router_files=router.files if router else (),
        router_text=router.text if router else "",
        facts=facts,
        filters=filters,
        made=tuple(draft.made),
        notes=tuple(notes),
        questions=tuple(draft.questions),
    )


@dataclass
class _Draft:
    place: Directory
    paths: Sequence[PurePosixPath]
    kinds: dict[PurePosixPath, FileKind] = field(default_factory=dict)
    ends: list[End] = field(default_factory=list)
    made: list[MadeFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    translated: Translated = field(default_factory=Translated)

    @property
    def disk(self) -> HostFiles:
        """The host's own files, by their paths below its directory."""
        return HostFiles(root=self.place.directory, shown=self.place.shown(PurePosixPath("/")))

    def recognise(self) -> None:
        """Recognise each file by its content."""
        disk = self.disk
        for path in self.paths:
            try:
                self.kinds[path] = recognise(path, disk).kind
            except Unreadable as error:
                self.notes.append(f"left out: {error}")

    def of_kind(self, *kinds: FileKind) -> list[PurePosixPath]:
        """Return the files of some kinds."""
        return [path for path, kind in self.kinds.items() if kind in kinds]

    # --- translations --------------------------------------------------------------------------------------

    def translate(self) -> None:
        """Translate files of other systems, such as OpenWrt's."""
        parts: list[Translated] = []
        disk = self.disk
        for path in self.of_kind(FileKind.FOREIGN):
            try:
                text = disk.text(path)
                form = form_of(text)
                if form is not None:
                    parts.append(form.translate(text, disk.name(path)))
            except Unreadable as error:
                self.notes.append(f"left out: {error}")
        self.notes += [str(note) for part in parts for note in part.notes]
        whole = joined(parts)
        self.translated = replace(whole, files=tuple(self._marked(file) for file in whole.files))
        self.made = [
            MadeFile(self._below / str(file.path).lstrip("/"), file.text, secret=file.is_secret)
            for file in self.translated.files
        ]
        overlay = self._overlay(self.translated.files)
        for file in self.translated.files:
            if file.kind == "openvpn":
                self._add_translated(file, overlay)
        self._copy_named({file.path for file in self.translated.files})

    def _copy_named(self, written: Collection[PurePosixPath]) -> None:
        """Copy the keys and other files at hand that translated configurations name."""
        found = copies((end.configuration for end in self.ends), self.disk, self._below, written)
        self.made += found.files
        self.notes += [f"left out: {what}" for what in found.left_out]
        if found.files:
            names = [str(file.path) for file in found.files[:_MAX_NAMED]]
            more = len(found.files) - len(names)
            self.notes.append(
                f"copies of files that the translated configurations name: {', '.join(names)}"
                + (f" and {more} more" if more else "")
            )

    @property
    def _below(self) -> PurePosixPath:
        """The directory of the host's translated files, relative to the topology's."""
        return self.place.made / self.place.host

    def _marked(self, file: TranslatedFile) -> TranslatedFile:
        """Return a translated configuration with a line that says where it is from."""
        if file.kind not in ("openvpn", "client options", "frr") or not file.origins:
            return file
        origin = file.origins[0]
        mark = ("! " if file.kind == "frr" else "# ") + _MARK.format(origin=origin.file)
        return replace(file, text=mark + file.text, origins=(origin, *file.origins))

    def _add_translated(self, file: TranslatedFile, overlay: Overlay) -> None:
        try:
            configuration = parse(file.text, file.path, overlay)
        except Unreadable as error:
            self.notes.append(f"left out: {error}")
            return
        path = None if file.path.is_relative_to("/etc") else str(file.path)
        self.ends.append(End(self.place.host, f"{self._below}{file.path}", configuration, path))

    def _overlay(self, files: Iterable[TranslatedFile]) -> Overlay:
        """Return translated files above the host's own."""
        return Overlay(texts={file.path: file.text for file in files}, shown=str(self._below), below=self.disk)

    # --- OpenVPN -------------------------------------------------------------------------------------------

    def find_processes(self) -> None:
        """Find the configurations of OpenVPN that are processes of the host."""
        paths = self.of_kind(*OPENVPN_PROCESSES)
        if len(paths) > MAX_PROCESSES:
            raise InputError(
                f"{self.place.host}: more than {MAX_PROCESSES} configurations of OpenVPN: give those that it starts"
            )
        found = [end for path in paths for end in self._end(path)]
        parts = {path for end in found for path in self._named_by(end)}
        whole = [end for end in found if end.configuration.path not in parts]
        spare = [end for end in whole if SPARE.search(end.file)]
        chosen = [end for end in whole if end not in spare]
        started = [end for end in chosen if _STARTED.fullmatch(end.file)]
        spare += [end for end in chosen if started and end not in started]
        chosen = self._started_by_units(started or chosen)
        ends = [end for end in self._distinct(chosen) if not self._leads_home(end, chosen)]
        self.notes += [str(note) for end in ends for note in freebsd.notes(end.configuration)]
        self.ends += ends
        for end in spare:
            self.notes.append(
                f"{end.file} is not started by a unit of systemd, or is a spare copy: to run it, add it to 'openvpn'"
            )

    def _started_by_units(self, ends: list[End]) -> list[End]:
        """Leave out what the host does not start, if its copy has the files that tell."""
        units = {start.path: start for start in starts(self.disk, (end.configuration.path for end in ends))}
        of_end = [(end, units.get(end.configuration.path)) for end in ends]
        chosen = [(end, unit) for end, unit in of_end if unit is None or unit.started is not False]
        if not chosen:
            return ends  # something else starts them
        for _, unit in of_end:
            if unit and unit.started is False:
                self.notes.append(f"{unit}: to run it, add it to 'openvpn'")
        return [self._with_arguments(end) for end, _ in chosen]

    def _with_arguments(self, end: End) -> End:
        """Return an end with the arguments of its unit, which the lab takes from the same files at each start."""
        disk = end.configuration.disk
        if not isinstance(disk, HostFiles):
            return end
        arguments = Arguments.of_host(end.configuration, disk)
        self.notes += [f"{end.file}: {what} ({spot})" for spot, what in arguments.descriptions(())]
        return replace(end, configuration=end.configuration.with_arguments(arguments.before, arguments.after))

    def _end(self, path: PurePosixPath) -> Iterator[End]:
        given = self.place.shown(path)
        inside = _node_path(given, path)
        disk = HostFiles.of(given, self.place.topology, inside)
        try:
            yield End(self.place.host, given, read(disk.path, disk), inside)
        except Unreadable as error:
            if not SPARE.search(given):
                text = f"a file that OpenVPN refuses or that cannot be read whole: {error}"
                self.questions.append(Question(self.place.host, text, f"{given} is left out"))

    def _named_by(self, end: End) -> Iterator[PurePosixPath]:
        """Generate the files that belong to a process: client options, included files."""
        disk = end.configuration.disk
        for directive in end.configuration.all("client-config-dir"):
            try:
                yield from disk.files(end.configuration.locate(directive.name, directive.argument(0) or ""))
            except Unreadable:
                continue
        directory = PurePosixPath(end.file).parent
        for other in {d.spot.file for d in end.configuration.directives} - {end.file}:
            if PurePosixPath(other).is_relative_to(directory):
                yield end.configuration.path.parent / PurePosixPath(other).relative_to(directory)

    def _distinct(self, ends: Iterable[End]) -> Iterator[End]:
        first: dict[tuple[str, ...], End] = {}
        for end in ends:
            key = tuple(map(str, end.configuration.directives))
            if first.setdefault(key, end) is end:
                yield end
            else:
                self.notes.append(f"{end.file} is the same as {first[key].file}: the lab starts one process")

    def _leads_home(self, end: End, ends: Sequence[End]) -> bool:
        """Return True for the profile of a client that is kept on its server."""
        if not end.connects or end.is_peer:
            return False
        servers = [e for e in ends if e.is_server and e.file != end.file]
        local = {address for server in servers for address in server.local}
        home = any(r.address in local for r in end.remotes if r.address is not None)
        same_name = any(end.common_name in s.client_names for s in servers if end.common_name)
        if home or same_name:
            self.notes.append(f"{end.file} is the profile of a client of this host's own server: not started here")
        return home or same_name

    def check_files(self) -> None:
        """Ask for files without which a process does something else."""
        for end in self.ends:
            for directive in end.configuration.all(*_ASSUMED):
                word = (directive.argument(0) or "").split(" ")[0]
                if not word or word == INLINE:
                    continue
                path = end.configuration.locate(directive.name, word)
                if _has(end.configuration.disk, path, directory=directive.name == "client-config-dir"):
                    continue
                text = f"{path} ({directive.name}, {directive.spot}) is not among the files"
                self.questions.append(Question(self.place.host, text, _ASSUMED[directive.name]))

    # --- the rest ------------------------------------------------------------------------------------------

    def find_router(self) -> RouterFiles | None:
        """Find the routing daemon, in the translated files or in the host's own."""
        translated = [file for file in self.translated.files if file.kind == "frr"]
        paths = [file.path for file in translated] or self.of_kind(*_ROUTERS)
        try:
            router = find_router(paths, self._overlay(translated))
        except Unreadable as error:
            text = f"a file of a routing daemon that cannot be read: {error}"
            self.questions.append(Question(self.place.host, text, "no routing daemon runs on it"))
            return None
        if router is not None:
            self.notes += router.notes
            self.questions += [Question(self.place.host, text, assumed) for text, assumed in router.questions]
            if router.translated is not None:
                made = MadeFile(self._below / router.translated.relative_to("/"), router.text)
                self.made.append(made)
                return replace(router, files=(str(made.path),))
        return router

    def find_filters(self) -> tuple[str, ...]:
        """Return the packet filters that the host's node loads, relative to the topology file."""
        found = find_filters(self.of_kind(FileKind.NFTABLES, FileKind.IPTABLES), self.disk)
        self.notes += found.notes
        return tuple(map(self.place.shown, found.files))

    def facts(self) -> HostFacts:
        """Return what the host's other files say."""
        disk = self.disk
        found = HostFacts()
        paths = self.of_kind(*_FACTS)
        try:
            found = read_facts(paths, disk)
        except Unreadable as error:
            self.notes.append(f"left out: {error}")
        if not any(kind is FileKind.IP_ADDRESS for kind in self.kinds.values()):
            self.notes += found.unread
        known = {interface.name for interface in found.interfaces}
        others = tuple(i for i in self.translated.facts.interfaces if i.name not in known)
        return replace(
            found,
            hostname=found.hostname or self.translated.facts.hostname,
            interfaces=found.interfaces + others,
            routes=found.routes + self.translated.facts.routes,
        )


_ASSUMED = {
    "client-config-dir": "an empty directory, so no client has an iroute or address of its own",
    "client-connect": "a script that sets nothing",
    "auth-user-pass-verify": "a script that accepts every password",
}
"""The options whose missing file changes what a process does, with what happens without it."""


def _has(disk: Disk, path: PurePosixPath, *, directory: bool) -> bool:
    if isinstance(disk, HostFiles):
        return disk.is_directory(path) if directory else disk.find(path) is not None
    return isinstance(disk, Overlay) and disk.has(path)


def _node_path(given: str, path: PurePosixPath) -> str | None:
    """Return the path in the node where the lab's default would be wrong: in a copy of /etc alone."""
    if "etc" in PurePosixPath(given).parts[:-1]:
        return None
    parts = path.parts
    if "openvpn" in parts[:-1] and parts.index("openvpn") < len(parts) - 2:
        return "/etc/" + "/".join(parts[parts.index("openvpn") :])
    return None
