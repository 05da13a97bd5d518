"""Lines that a topology appends to OpenVPN's configurations: refused options, and the place of a line in an error."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from lab.topology import ExtraLine, Objection, extra_lines
from lab.topology.intent import Extra

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
_AT = re.compile(r"(?:Options error: )?(?P<why>.*?) in (?P<file>/\S+):(?P<line>\d+)(?P<rest>:.*)?$")
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
        words = _words(line)
        if words[:2] == ["setenv", "opt"]:  # the option after it, which OpenVPN ignores if it does not know it
            words = words[2:]
        if words and words[0].startswith("<") and words[0].endswith(">"):
            end = f"</{words[0][1:]}"
        elif words:
            yield words[0].removeprefix("--")


def _words(line: str) -> list[str]:
    """Return the words of a line as OpenVPN reads them: with quotes and backslashes as in a shell."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=False)
    reader.whitespace_split = True
    reader.commenters = "#;"
    reader.whitespace = " \t\r\v\f"
    words: list[str] = []
    try:
        words.extend(reader)
    except ValueError:  # an open quote, which OpenVPN refuses with the line's place
        return []
    return words
