"""Files of environment variables, as named by `env-files`."""

import re

_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][\w.]*)\s*[=:]\s*(?P<value>.*?)\s*")
_VARIABLE = re.compile(r"\\\$|\$\{(?P<braced>\w+)\}|\$(?P<bare>[A-Za-z_]\w*)")
_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\"": '"', r"\\": "\\"}


class EnvFileError(ValueError):
    """A line that does not set a variable; the message has its number."""


def parse_env(text: str) -> dict[str, str]:
    """Return the variables of a file: one `NAME=value` a line, `#` begins a comment.

    Outside single quotes, `$NAME` and `${NAME}` are replaced by a variable of a line above. Raises `EnvFileError`.
    """
    variables: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise EnvFileError(f"line {number} is not of the form NAME=value")
        variables[match["name"]] = _value(match["value"], variables, number)
    return variables


def _value(text: str, variables: dict[str, str], number: int) -> str:
    if text[:1] in ("'", '"'):
        quoted = re.match(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"", text)
        rest = text[quoted.end() :].strip() if quoted else ""
        if quoted is None or (rest and not rest.startswith("#")):
            raise EnvFileError(f"line {number} has an unclosed quote")
        if quoted[1] is not None:
            return quoted[1]
        unescaped = re.sub(r"\\[nr\"\\]", lambda m: _ESCAPES[m.group()], quoted[2])
        return _expand(unescaped, variables)
    return _expand(re.sub(r"(^|\s)#.*", "", text).strip(), variables)


def _expand(text: str, variables: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["bare"]
        return variables.get(name, "") if name else "$"

    return _VARIABLE.sub(value, text)
