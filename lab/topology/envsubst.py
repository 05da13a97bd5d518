"""Substitution of environment variables in the text of a file, before YAML is parsed, as in containerlab.

| in the file                | becomes                                                  |
|----------------------------|----------------------------------------------------------|
| `$VAR`, `${VAR}`           | the value; `$VAR` unchanged if unset or empty            |
| `${VAR:-x}`, `${VAR:=x}`   | the value; `x` if unset or empty                         |
| `${VAR-x}`, `${VAR=x}`     | the value; `x` if unset                                  |
| `${VAR+x}`, `${VAR:+x}`    | `x` if set, else nothing                                 |
| `$$`                       | `$`                                                      |
| `$1`, `${1`                | unchanged: no variable begins with a digit               |

The default may be `$OTHER` but have no other substitution. The lab refuses files for which containerlab's result is
surprising: with a substitution inside a default, or a missing brace.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      \$\$                                                          # an escaped dollar sign
    | \$\{(?P<braced>[^\W\d]\w*)(?:(?P<how>:?[-=+])(?P<default>[^}\r\n]*))?\}
    | \$\{(?P<digit>(?=\d))
    | (?P<broken>\$\{)
    | \$(?P<bare>[^\W\d]\w*)
    """,
    re.VERBOSE,
)
_VARIABLE = re.compile(r"\$([^\W\d]\w*)")


class SubstitutionError(ValueError):
    """A substitution that is not supported; `offset` is its start, in characters of the text."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(what)
        self.offset = offset


@dataclass(frozen=True)
class Expanded:
    """The text after substitution, with the original position of each part."""

    text: str
    original: str
    _starts: list[int]
    _origins: list[tuple[int, bool]]
    _lines: list[int]

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column, counted from 1, in the original text for an offset in the new one."""
        at = bisect_right(self._starts, offset) - 1
        origin, verbatim = self._origins[at]
        if verbatim:
            origin += offset - self._starts[at]
        return self.original_position(min(origin, len(self.original)))

    def original_position(self, offset: int) -> tuple[int, int]:
        """Return line and column, counted from 1, for an offset in the original text."""
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1


def verbatim(text: str) -> Expanded:
    """Return a text without substitution."""
    lines = [0, *(match.end() for match in re.finditer(r"\r\n|[\n\r\x85\u2028\u2029]", text))]
    return Expanded(text, text, [0], [(0, True)], lines)


def expand(text: str, environ: Mapping[str, str]) -> Expanded:
    """Substitute every variable in `text`; raises `SubstitutionError`."""
    parts: list[str] = []
    starts: list[int] = []
    origins: list[tuple[int, bool]] = []
    length = 0

    def put(part: str, origin: int, *, copied: bool) -> None:
        nonlocal length
        parts.append(part)
        starts.append(length)
        origins.append((origin, copied))
        length += len(part)

    done = 0
    for match in _TOKEN.finditer(text):
        put(text[done : match.start()], done, copied=True)
        put(_value(match, environ), match.start(), copied=False)
        done = match.end()
    put(text[done:], done, copied=True)
    return Expanded("".join(parts), text, starts, origins, verbatim(text)._lines)


def _value(match: re.Match[str], environ: Mapping[str, str]) -> str:
    if match["broken"]:
        raise SubstitutionError(match.start(), "'${' does not begin a substitution: write ${VAR} or ${VAR:=default}")
    if match["bare"]:
        return _variable(match["bare"], environ)
    if not match["braced"]:
        return "$" if match.group() == "$$" else match.group()
    name, how, default = match["braced"], match["how"], match["default"]
    if name == "_":
        return match.group()
    if not default:
        return _variable(name, environ)
    if default[0] in "-=+:" or ("$" in default and not _VARIABLE.fullmatch(default)):
        what = f"the default of ${{{name}}} must be a plain text or a plain $VAR"
        raise SubstitutionError(match.start(), what)
    alternative = _variable(default[1:], environ) if default[0] == "$" else default
    match how:
        case ":-" | ":=":
            return environ.get(name) or alternative
        case "-" | "=":
            return _variable(name, environ) if name in environ else alternative
        case _:
            return alternative if name in environ else ""


def _variable(name: str, environ: Mapping[str, str]) -> str:
    # The shell changes `$_` with every command: containerlab does not substitute it.
    return (environ.get(name) if name != "_" else None) or f"${name}"
