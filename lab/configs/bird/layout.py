"""Words of a configuration of BIRD, laid out as text again: a statement a line, blocks indented."""

import re
from collections.abc import Iterable, Sequence

from lab.configs.bird.tokens import Token
from lab.configs.disk import Spot

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_INDENT = "  "
_NO_SPACE_BEFORE = {";", ",", ")", "]", ".", "/", "+", "-", "..", "}"}
_LENGTHS = "lengths"
"""The brace that opens the lengths after a prefix, as in `10.0.0.0/8{16, 24}`."""
_NO_SPACE_AFTER = {"(", "[", ".", "/", "..", _LENGTHS}


def word(token: Token) -> str:
    """Return a word as it is written: strings and unusual names in quotation marks."""
    if token.kind == "string":
        return f'"{token.text}"'
    if token.kind == "name" and not _NAME.fullmatch(token.text):
        return f"'{token.text}'"
    return token.text


def phrase(tokens: Iterable[Token]) -> str:
    """Return words on one line."""
    text, last = "", ""
    for token in tokens:
        written = word(token)
        sign = token.kind == "sign"
        lengths = sign and written == "{" and last == "word" and "[" in text
        joined = not text or (sign and written in _NO_SPACE_BEFORE) or last in _NO_SPACE_AFTER or lengths
        joined = joined or (sign and written == "=" and last == "[")
        text += written if joined else f" {written}"
        last = _LENGTHS if lengths else written if sign else "word"
    # `[=` and `=]` enclose a mask of AS paths.
    return text.replace("[ =", "[=").replace("= ]", "=]")


def block(tokens: Sequence[Token], depth: int) -> list[tuple[str, Spot]]:
    """Return the lines of a block, indented, each with the place of its first word."""
    lines: list[tuple[str, Spot]] = []
    line: list[Token] = []
    brackets = 0

    def end(suffix: str = "") -> None:
        nonlocal line
        if line or suffix:
            spot = line[0].spot if line else lines[-1][1]
            text = phrase(line)
            lines.append((_INDENT * depth + (f"{text} {suffix}".strip() if suffix == "{" else text + suffix), spot))
        line = []

    for at, token in enumerate(tokens):
        sign = token.text if token.kind == "sign" else ""
        if sign in ("(", "["):
            brackets += 1
        elif sign in (")", "]"):
            brackets -= 1
        if brackets == 0 and sign == "{":
            line = line or [Token("name", "", token.spot)]
            end("{")
            depth += 1
        elif brackets == 0 and sign == "}":
            end()
            depth -= 1
            lines.append((f"{_INDENT * depth}}}", token.spot))
        elif brackets == 0 and sign == ";":
            after_block = not line and at > 0 and tokens[at - 1].text == "}" and lines
            if after_block:
                lines[-1] = (f"{lines[-1][0]};", lines[-1][1])
            elif line:
                end(";")
        else:
            line.append(token)
    end()
    return lines
