"""Configurations of other systems, as OpenWrt's UCI: their translations are read like files of OpenVPN and FRR."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from lab.configs import frr
from lab.configs.disk import MAX_SIZE, Disk, Spot, Unreadable
from lab.configs.forms import Form
from lab.configs.openvpn import configuration as openvpn
from lab.configs.openvpn.configuration import Configuration
from lab.configs.routing.judged import RoutingConfiguration
from lab.configs.translated import TranslatedFile


@dataclass(frozen=True)
class TranslatedFiles(Disk):
    """The files of one translation, in memory. The host's other files are not read."""

    of: Mapping[PurePosixPath, TranslatedFile] = field(default_factory=dict)
    given: str = ""
    """The name of the translated file."""

    def text(self, path: PurePosixPath, limit: int = MAX_SIZE) -> str:
        """Return the text of a file of the translation; raises `Unreadable`."""
        if path not in self.of:
            raise Unreadable(f"{self.name(path)}: not in the translation")
        return self.of[path].text

    def files(self, path: PurePosixPath) -> list[PurePosixPath]:
        """Return the files of a directory."""
        return sorted(file for file in self.of if file.parent == path)

    def name(self, path: PurePosixPath) -> str:
        """Return a file's name for messages: the translated file, and its original."""
        return f"{self.given} ({path})"

    def origin(self, path: PurePosixPath, spot: Spot) -> Spot:
        """Return the line of the original that a translated line comes from."""
        origins = self.of[path].origins
        return origins[spot.line - 1] if spot.file == self.name(path) and spot.line <= len(origins) else spot


def read_translated(text: str, name: str, form: Form) -> tuple[list[Configuration], list[RoutingConfiguration]]:
    """Read a configuration of another system; raises `Unreadable`."""
    translated = form.translate(text, name)
    files = translated.files
    disk = TranslatedFiles(of={file.path: file for file in files}, given=name)
    ends: list[Configuration] = []
    routers: list[RoutingConfiguration] = []
    for file in files:
        if file.kind == "openvpn":
            end = openvpn.parse(file.text, file.path, disk)
            directives = tuple(replace(d, spot=disk.origin(file.path, d.spot)) for d in end.directives)
            ends.append(replace(end, directives=directives))
        elif file.kind == "frr":
            router = frr.parse(file.text, disk.name(file.path))
            statements = tuple(replace(s, spot=disk.origin(file.path, s.spot)) for s in router.statements)
            routers.append(replace(router, statements=statements))
    if not ends:
        why = f": {translated.notes[0].sentence}" if translated.notes else ""
        raise Unreadable(f"{name}: {form.name} without options of OpenVPN{why}")
    return ends, routers
