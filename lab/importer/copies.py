"""The keys and other files that translated configurations name: copies of those at hand, beside the translations."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lab.configs.openvpn.configuration import Configuration
from lab.importer.hosts import MadeFile
from lab.own.hostfiles import MAX_COPIED, HostFiles
from lab.own.named_files import named

_PRIVATE = b"PRIVATE KEY-----"


@dataclass(frozen=True)
class Copies:
    """Copies of the user's files, and the names of those that cannot be copied."""

    files: tuple[MadeFile, ...]
    left_out: tuple[str, ...]
    """Each with the reason."""


def copies(
    configurations: Iterable[Configuration], disk: HostFiles, below: PurePosixPath, written: Collection[PurePosixPath]
) -> Copies:
    """Copy what configurations name in the directory of their host, without the paths that are `written` anyhow.

    Where the directory has no file at such a path, one at the end of it takes its place, as `ca.crt` for
    `/etc/openvpn/ca.crt`.
    """
    files: dict[PurePosixPath, MadeFile] = {}
    left_out: list[str] = []
    for path, secret in _named(configurations, disk):
        source = _find(path, disk)
        if source is None or path in written or (path in files and files[path].secret >= secret):
            continue
        try:
            with source.open("rb") as file:
                content = file.read(MAX_COPIED + 1)
        except OSError as error:
            left_out.append(f"{disk.name(path)}: {(error.strerror or 'it cannot be read').lower()}")
            continue
        if len(content) > MAX_COPIED:
            left_out.append(f"{disk.name(path)}: larger than {MAX_COPIED >> 20} MB")
            continue
        target = below / path.relative_to("/")
        files[path] = MadeFile(target, "", secret=secret or _PRIVATE in content, content=content)
    return Copies(tuple(files.values()), tuple(dict.fromkeys(left_out)))


def _named(configurations: Iterable[Configuration], disk: HostFiles) -> Iterator[tuple[PurePosixPath, bool]]:
    for configuration in configurations:
        for directive in configuration.directives:
            yield from named(configuration, disk, directive)


def _find(path: PurePosixPath, disk: HostFiles) -> Path | None:
    """Return the file in the directory of the host, never one outside of it."""
    tails = (PurePosixPath("/", *path.parts[first:]) for first in range(1, len(path.parts)))
    return next((found for tail in tails if (found := disk.find(tail)) is not None), None)
