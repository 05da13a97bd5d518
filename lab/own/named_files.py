"""The files that come along with a configuration of OpenVPN: includes, keys, settings of clients."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from lab.configs.disk import Spot, Unreadable
from lab.configs.openvpn.configuration import INLINE, Configuration, Directive, words
from lab.own.draft import Draft, normal
from lab.own.hostfiles import MAX_COPIED, HostFiles
from lab.topology.own import NodeFile, Remark
from lab.tunnel.mode import CONFIGURATION, LOGS, SOCKETS

COPIES = CONFIGURATION / "lab"
"""The directory of copies in which lines are commented out."""
_FILES: Mapping[str, int] = {
    **dict.fromkeys(("ca", "cert", "extra-certs", "dh", "crl-verify", "ifconfig-pool-persist"), 0),
    "replay-persist": 0,
}
"""Options that name a file that others may read, with the number of the argument that has its name."""
_SECRETS: Mapping[str, int] = {
    **dict.fromkeys(("key", "pkcs12", "tls-auth", "tls-crypt", "tls-crypt-v2", "secret"), 0),
    **dict.fromkeys(("auth-user-pass", "askpass", "http-proxy-user-pass", "auth-gen-token-secret"), 0),
    **dict.fromkeys(("http-proxy", "socks-proxy", "management"), 2),
}
"""Options that name a file with a key or a password."""
_DIRECTORIES = ("client-config-dir", "capath", "crl-verify")
_WRITTEN: Mapping[str, int] = {"status": 0, "writepid": 0, "replay-persist": 0, "ifconfig-pool-persist": 0}
"""Options that name a file that OpenVPN writes."""
_SECRET_BLOCK = re.compile(r"^\s*<(key|pkcs12|tls-auth|tls-crypt|tls-crypt-v2|secret|auth-user-pass)>", re.M)
_NO_FILE = frozenset({INLINE, "stdin", "auto", "none", "via-env", "via-file"})


def node_file(disk: HostFiles, path: PurePosixPath, *, secret: bool = False) -> NodeFile | None:
    """Return a file of the user's with its permissions to be executed; None if it is not at hand, or too large."""
    source = disk.find(path)
    if source is None:
        return None
    about = source.stat()
    if about.st_size > MAX_COPIED:
        return None
    executable = bool(about.st_mode & stat.S_IXUSR)
    mode = 0o600 if secret else 0o755 if executable else 0o644
    plain = PurePosixPath("/", os.path.normpath(path).lstrip("/"))  # an include may be `../x.conf`
    return NodeFile(path=plain, source=source, mode=mode, given=disk.name(path))


def files_of(draft: Draft) -> Iterator[NodeFile]:
    """Yield the files of a process that are at hand, without scripts."""
    for path in draft.texts:
        secret = _SECRET_BLOCK.search(draft.disk.text(path)) is not None
        if file := node_file(draft.disk, path, secret=secret):
            yield file
    for directive in draft.configuration.directives:
        for path, secret in named(draft.configuration, draft.disk, directive):
            if file := node_file(draft.disk, path, secret=secret):
                yield file


def too_large(draft: Draft) -> Iterator[Remark]:
    """Yield a remark for each file that does not come along since it is too large."""
    for directive in draft.configuration.directives:
        for path, _ in named(draft.configuration, draft.disk, directive):
            source = draft.disk.find(path)
            if source is not None and source.stat().st_size > MAX_COPIED:
                what = f"{draft.disk.name(path)} is larger than {MAX_COPIED >> 20} MB and does not come along"
                yield Remark(kind="override", node=draft.node, place=str(directive.spot), what=what)


def named(configuration: Configuration, disk: HostFiles, directive: Directive) -> Iterator[tuple[PurePosixPath, bool]]:
    """Yield the paths in the node that an option names, each with whether others must not read the file."""
    for known, secret in ((_FILES, False), (_SECRETS, True)):
        number = known.get(directive.name)
        name = directive.argument(number) if number is not None else None
        if name is not None and name not in _NO_FILE:
            yield normal(configuration.locate(directive.name, name)), secret
    name = directive.argument(0)
    if directive.name not in _DIRECTORIES or not name:
        return
    directory = normal(configuration.locate(directive.name, name))
    if disk.is_directory(directory):
        try:
            yield from ((path, False) for path in disk.files(directory))
        except Unreadable:
            return


def directories_of(draft: Draft) -> tuple[PurePosixPath, ...]:
    """Return the directories in which OpenVPN writes or changes to, besides those that each node has."""
    found = [
        draft.resolve(name).parent
        for directive in draft.configuration.directives
        if directive.name in _WRITTEN and (name := directive.argument(_WRITTEN[directive.name]))
    ]
    for directive in draft.configuration.directives:
        name = directive.argument(0)
        if name and directive.name in ("cd", "tmp-dir", "client-config-dir"):
            found.append(draft.locate(directive.name, name if directive.name != "cd" else "."))
        if name and directive.name == "management" and directive.argument(1) == "unix":
            found.append(draft.resolve(name).parent)
    there = (CONFIGURATION, LOGS, SOCKETS, draft.directory)
    return tuple(dict.fromkeys(path for path in found if path not in there))


def commented(
    draft: Draft, spots: frozenset[Spot], rewritten: Mapping[Spot, str] | None = None
) -> tuple[PurePosixPath, tuple[NodeFile, ...]]:
    """Return the path of the file to read instead, and the copies of files in which the lines at `spots` are comments.

    The lines at `rewritten` are others there. The copies have the same line numbers. A file that includes one of them
    is copied too.
    """
    rewritten = rewritten or {}
    if not spots and not rewritten:
        return draft.path, ()
    lines = {path: draft.disk.text(path).split("\n") for path in draft.texts}
    names = {draft.disk.name(path): path for path in draft.texts}
    hidden: dict[PurePosixPath, set[int]] = {}
    for spot in spots:
        if path := names.get(spot.file):
            hidden.setdefault(path, set()).update(_whole(lines[path], spot.line))
    replaced: dict[PurePosixPath, dict[int, str]] = {}
    for spot, line in rewritten.items():
        if (path := names.get(spot.file)) and spot.line not in hidden.get(path, ()):
            replaced.setdefault(path, {})[spot.line] = line
    targets = {path: _copy(draft, path) for path in (*hidden, *replaced)}
    while True:
        before = len(targets)
        for path, text in lines.items():
            for number, line in enumerate(text, 1):
                included = _included(draft, line)
                if included in targets and included != path:
                    replaced.setdefault(path, {})[number] = f"config {targets[included]}"
                    targets.setdefault(path, _copy(draft, path))
        if len(targets) == before:
            break
    copies = []
    for path, target in targets.items():
        file = node_file(draft.disk, path, secret=_SECRET_BLOCK.search(draft.disk.text(path)) is not None)
        assert file is not None
        update = {"path": target, "commented": tuple(sorted(hidden.get(path, ()))), "replaced": replaced.get(path, {})}
        copies.append(file.model_copy(update=update))
    return targets.get(draft.path, draft.path), tuple(copies)


def _copy(draft: Draft, path: PurePosixPath) -> PurePosixPath:
    if path == draft.path:
        return COPIES / f"{draft.name}.conf"
    return COPIES / draft.name / str(path).lstrip("/").replace("/", "_")


def _included(draft: Draft, line: str) -> PurePosixPath | None:
    try:
        found = words(line)
    except ValueError:
        return None
    return draft.directory / found[1] if len(found) > 1 and found[0].removeprefix("--") == "config" else None


def _whole(lines: list[str], first: int) -> Iterator[int]:
    """Yield the numbers of the lines of an option: one, or those of an inline block."""
    option = lines[first - 1].strip()
    yield first
    if option.startswith("<") and option.endswith(">"):
        for number in range(first + 1, len(lines) + 1):
            yield number
            if lines[number - 1].lstrip().startswith(f"</{option[1:]}"):
                return
