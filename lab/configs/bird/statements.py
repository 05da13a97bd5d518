"""The statements of BIRD's configurations: words up to a semicolon, or up to a block in braces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lab.configs.bird.tokens import Token
from lab.configs.disk import Spot, Unreadable

_MAX_DEPTH = 64
_OPENING = {"{": "}", "[": "]", "(": ")"}


@dataclass(frozen=True)
class Statement:
    """A statement: its words, and the words in its block."""

    head: tuple[Token, ...]
    body: tuple[Token, ...] | None = field(default=None, repr=False)
    """The words between the braces; None without a block."""

    @property
    def spot(self) -> Spot:
        """The place of its first word."""
        return (self.head or self.body or (Token("sign", "", Spot("", 1)),))[0].spot

    @property
    def words(self) -> tuple[str, ...]:
        """The texts of its words."""
        return tuple(token.text for token in self.head)

    def starts(self, *words: str) -> bool:
        """Return True if it begins with these words."""
        return self.words[: len(words)] == words


def statements(tokens: Sequence[Token]) -> Iterator[Statement]:
    """Generate the statements of a file or a block; raises `Unreadable` if a brace is not closed."""
    head: list[Token] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "sign" and token.text == "{":
            end = closing(tokens, at)
            yield Statement(tuple(head), tuple(tokens[at + 1 : end]))
            head, at = [], end
        elif token.kind == "sign" and token.text in "[(":
            end = closing(tokens, at)
            head += tokens[at : end + 1]
            at = end
        elif token.kind == "sign" and token.text in ("}", "]", ")"):
            raise Unreadable(f"{token.spot}: `{token.text}` without its opening bracket")
        elif token.kind == "sign" and token.text == ";":
            if head:
                yield Statement(tuple(head))
            head = []
        else:
            head.append(token)
        at += 1
    if head:
        yield Statement(tuple(head))


def closing(tokens: Sequence[Token], start: int) -> int:
    """Return the index of the bracket that closes the one at `start`; raises `Unreadable` if there is none."""
    expected: list[str] = []
    for at in range(start, len(tokens)):
        token = tokens[at]
        if token.kind != "sign":
            continue
        if token.text in _OPENING:
            expected.append(_OPENING[token.text])
            if len(expected) > _MAX_DEPTH:
                raise Unreadable(f"{token.spot}: more than {_MAX_DEPTH} nested brackets")
        elif token.text in ("}", "]", ")"):
            if token.text != expected.pop():
                raise Unreadable(f"{token.spot}: `{token.text}` closes another bracket")
            if not expected:
                return at
    raise Unreadable(f"{tokens[start].spot}: `{tokens[start].text}` is not closed")
