"""Parser of RouterOS's command language, for the commands that the lab renders.

https://manual.mikrotik.com/docs/developer-guides/scripting: a line is a path of words, a command and properties;
strings are in double quotes, with escapes; a backslash at the end of a line joins it with the next; `#` begins a
comment. The known properties and their values are in `vocabulary.py`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.render.routeros.vocabulary import SPECS, Spec

_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t", "$": "$", "_": " ", "?": "?"}
_PLAIN = re.compile(r"[A-Za-z0-9._:/,@%*+-]+")
_KEY = re.compile(r"([a-z0-9-]*(?:\.[a-z0-9-]+)*)=")
_HEX = re.compile(r"[0-9A-F]{2}")


@dataclass(frozen=True)
class Command:
    """One command: `/ip address add address=…`."""

    line: int
    path: str
    """The path, with blanks between its words: `/interface ovpn-client`."""
    verb: str
    properties: Mapping[str, str]


@dataclass(frozen=True)
class Mistake:
    """A mistake in a line."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


class _SyntaxError(Exception):
    pass


def quoted(value: str) -> str:
    """Return a value in quotes if it needs them."""
    if _PLAIN.fullmatch(value):
        return value
    return '"' + "".join({'"': '\\"', "\\": "\\\\", "$": "\\$", "\n": "\\n"}.get(c, c) for c in value) + '"'


def parse(text: str) -> tuple[list[Command], list[Mistake]]:
    """Return the commands in a text, and the mistakes in its syntax."""
    commands: list[Command] = []
    mistakes: list[Mistake] = []
    menu = ""
    for number, line in _lines(text):
        try:
            words, properties = _split(line)
        except _SyntaxError as error:
            mistakes.append(Mistake(number, str(error)))
            continue
        if words and words[0].startswith("/"):
            menu = ""
        path = [word for word in " ".join(words).replace("/", " ").split() if word]
        verb = path.pop() if path and path[-1] in _VERBS else ""
        here = " ".join(filter(None, [menu, *path]))
        if not verb and not properties:
            menu = here
            continue
        if not verb:
            mistakes.append(Mistake(number, f"no command: add one of {', '.join(sorted(_VERBS))}"))
            continue
        commands.append(Command(number, f"/{here}", verb, properties))
    return commands, mistakes


def check(text: str) -> list[Mistake]:
    """Return the mistakes in a text, by RouterOS's manual."""
    commands, mistakes = parse(text)
    for command in commands:
        mistakes += [Mistake(command.line, what) for what in _mistakes(command)]
    return sorted(mistakes, key=lambda mistake: mistake.line)


_VERBS = {"add", "set", "import"}


def _mistakes(command: Command) -> Iterator[str]:
    known = SPECS.get((command.path, command.verb))
    if known is None:
        yield f"unknown command `{command.path} {command.verb}`"
        return
    for name, value in command.properties.items():
        if name not in known.properties:
            yield f"`{command.path}` has no property {name!r}"
        elif (form := known.properties[name]) is not None and not all(
            form(part) for part in _parts(name, value, known)
        ):
            yield f"{value!r} is not valid for {name!r} of {command.path}"
    for name in known.mandatory:
        if name not in command.properties:
            yield f"`{command.path} {command.verb}` needs {name!r}"


def _parts(name: str, value: str, known: Spec) -> Sequence[str]:
    return value.split(",") if name in known.lists else [value]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Return the lines without comments, joined at backslashes, each with the number of its first line."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if joined else number
        if line.endswith("\\"):
            joined += line[:-1].rstrip() + (" " if not line[:-1].endswith("=") else "")
            continue
        whole = (joined + line.lstrip()) if joined else line
        joined = ""
        if stripped := _without_comment(whole).strip():
            yield first, stripped
    if joined.strip():
        yield first, joined.strip()


def _without_comment(line: str) -> str:
    inside = False
    for place, character in enumerate(line):
        if character == '"' and (place == 0 or line[place - 1] != "\\"):
            inside = not inside
        if character == "#" and not inside:
            return line[:place]
    return line


def _split(line: str) -> tuple[list[str], dict[str, str]]:
    """Return the words and the properties of a line; `.as=` after `remote.address=` means `remote.as`."""
    words: list[str] = []
    properties: dict[str, str] = {}
    prefix, place = "", 0
    while place < len(line):
        if line[place].isspace():
            place += 1
            continue
        if (found := _KEY.match(line, place)) and found[1]:
            name = found[1]
            if name.startswith("."):
                name = prefix + name
            elif "." in name:
                prefix = name.partition(".")[0]
            value, place = _value(line, found.end())
            if name in properties:
                raise _SyntaxError(f"duplicate property {name!r}")
            properties[name] = value
            continue
        end = place
        while end < len(line) and not line[end].isspace():
            end += 1
        if properties or line[place:end].startswith("="):
            raise _SyntaxError(f"{line[place:end]!r} is not a property: write NAME=VALUE, without blanks around `=`")
        words.append(line[place:end])
        place = end
    return words, properties


def _value(line: str, place: int) -> tuple[str, int]:
    if place < len(line) and line[place] == '"':
        return _string(line, place + 1)
    end = place
    while end < len(line) and not line[end].isspace():
        end += 1
    value = line[place:end]
    if value and not _PLAIN.fullmatch(value):
        raise _SyntaxError(f"{value!r} needs double quotes")
    return value, end


def _string(line: str, place: int) -> tuple[str, int]:
    text = ""
    while place < len(line):
        character = line[place]
        if character == '"':
            return text, place + 1
        if character == "$":
            raise _SyntaxError("`$` in a string begins a variable: write `\\$`")
        if character != "\\":
            text, place = text + character, place + 1
            continue
        following = line[place + 1 : place + 2]
        if following in _ESCAPES:
            text, place = text + _ESCAPES[following], place + 2
        elif found := _HEX.match(line, place + 1):
            text, place = text + chr(int(found[0], 16)), place + 3
        else:
            raise _SyntaxError(f"unknown escape `\\{following}`")
    raise _SyntaxError("unterminated string")
