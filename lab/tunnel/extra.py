"""Lines that a topology appends to OpenVPN's configurations: refused options, and the place of a line in an error."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lab.configs.openvpn.configuration import words
from lab.core.errors import InputError
from lab.topology import ExtraLine, Objection, extra_lines
from lab.topology.intent import Extra
from lab.topology.own import OwnProcess

_MANAGEMENT = "the lab queries the process over its management interface"
_FOREGROUND = "the lab starts the process in the foreground and watches it"
_LOG = "the lab reads the process's log"
_REFUSED: Mapping[str, str] = {
    "daemon": _FOREGROUND,
    "inetd": _FOREGROUND,
    "log": _LOG,
    "log-append": _LOG,
    "syslog": _LOG,
    "machine-readable-output": _LOG,
    "suppress-timestamps": _LOG,
    "cd": "the lab starts the process in the directory of its files",
    "chroot": "the files of the process, and its socket, are outside of another root directory",
}
"""Options with which the lab could not run the process or read its state, each with the reason."""
_AT = re.compile(r"(?:Options error: )?(?P<why>.*?) in (?P<file>[^\s\[]\S*):(?P<line>\d+)(?P<rest>:.*)?$")
_NO_CIPHER = re.compile(r"Cipher \S+ not supported")
"""Of a cipher that the library lacks; with a static key it is BF-CBC unless a line names another."""
_NAMED = re.compile(r"--(?P<option>[a-z][a-z0-9-]+)")


def refuse_extra(end: str, extra: Extra) -> Iterator[Objection]:
    """Object to options with which the lab could not run or query a process; `end` is the key of its lines."""
    names = list(_options(extra_lines(extra)))
    for option in dict.fromkeys(names):
        why = _MANAGEMENT if option.startswith("management") else _REFUSED.get(option)
        if why is not None:
            what = f"the lab does not support {option!r} in extra lines: {why}"
            yield Objection(("options", "extra", end, *_index(extra, option)), what)


def find_refused_line(reason: str, text: str, extra: Sequence[ExtraLine]) -> tuple[ExtraLine, str] | None:
    """Return the extra line that OpenVPN refused, and its words, from the reason why it ended.

    `text` is its configuration, which ends with the extra lines. Returns None if it refused none of them.
    """
    lines = text.rstrip("\n").split("\n")
    first = len(lines) - len(extra)
    if not extra or [line.text for line in extra] != lines[first:]:
        return None
    reason = re.sub(r"^\d{4}-\S+ \S+ (us=\d+ )?", "", reason)
    if found := _AT.match(reason):
        index = int(found["line"]) - 1 - first
        return (extra[index], found["why"]) if 0 <= index < len(extra) else None
    for named in _NAMED.finditer(reason):
        for line in extra:
            if named["option"] in _options([line.text]):
                return line, reason.removeprefix("Options error: ")
    return None


def arguments(lines: Sequence[str]) -> tuple[str, ...]:
    """Return lines of a configuration as arguments of the command line; raises `InputError` for an inline block."""
    found: list[str] = []
    for line in lines:
        if line.lstrip().startswith("<"):
            raise InputError(f"{line.strip()}: an inline block cannot be appended to a file of your own")
        option, *values = _words(line) or [""]
        if option:
            found += [f"--{option.removeprefix('--')}", *values]
    return tuple(found)


def find_own_line(reason: str, own: OwnProcess, root: Path) -> tuple[str, str] | None:
    """Return the place in the user's files that OpenVPN refused, and its words, from the reason why it ended.

    `root` is the directory on the host that holds the node's files. A reason that names no line has the place of the
    option that it names, or else of the file.
    """
    reason = re.sub(r"^\d{4}-\S+ \S+ (us=\d+ )?", "", reason)
    if _NO_CIPHER.match(reason):
        ciphers = "add or change `cipher` at both ends, as in `cipher AES-256-CBC`"
        return _place(["cipher"], own, root), f"{reason}: {ciphers}"
    if not reason.startswith("Options error: "):
        return None
    if found := _AT.match(reason):
        path = own.directory / found["file"]
        named = {file.path: file.given for file in own.files if file.given}
        return f"{named.get(path, own.given)}:{found['line']}", f"{found['why']}{found['rest'] or ''}"
    why = reason.removeprefix("Options error: ")
    return _place([named["option"] for named in _NAMED.finditer(why)], own, root), why


def _place(options: Sequence[str], own: OwnProcess, root: Path) -> str:
    """Return the place of the first option that the user's file has, or else the file."""
    try:
        lines = (root / own.path.relative_to("/")).read_text(errors="replace").split("\n")
    except OSError:
        lines = []
    for option in options:
        for number, line in enumerate(lines, 1):
            if option in _options([line]):
                return f"{own.given}:{number}"
    return own.given


def _index(extra: Extra, option: str) -> tuple[int, ...]:
    """Return the index of the item of a list that has an option; empty for a text."""
    if isinstance(extra, str):
        return ()
    return next(((i,) for i, item in enumerate(extra) if option in _options(extra_lines(item))), ())


def _options(lines: Sequence[str]) -> Iterator[str]:
    """Yield the names of the options in lines; the contents of inline blocks have none."""
    end = ""
    for line in lines:
        if end:
            if line.lstrip().startswith(end):
                end = ""
            continue
        found = _words(line)
        if found[:2] == ["setenv", "opt"]:  # the option after it, which OpenVPN ignores if it does not know it
            found = found[2:]
        if found and found[0].startswith("<") and found[0].endswith(">"):
            end = f"</{found[0][1:]}"
        elif found:
            yield found[0].removeprefix("--")


def _words(line: str) -> list[str]:
    """Return the words of a line; none if OpenVPN refuses the line, which it reports with its place."""
    try:
        return words(line)
    except ValueError:
        return []
