"""The pages of the documentation as data: their code blocks, what is said of each block, and what they name.

A block is fenced. A comment before it says what tests do with it:

    <!-- not run: REASON -->     its commands are checked for their spelling only
    <!-- exit code: N -->        its last command ends with N
    <!-- file: NAME -->          it is the content of a file that later commands of the page use
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DIRECTIVE = re.compile(r"<!-- (not run|exit code|file): (.+?) -->\n\Z")
_INLINE = re.compile(r"`([^`\n]+)`")
_REDIRECTIONS = {">", ">>", "<"}
_SEPARATORS = {"|", "||", "&&", "&", ";"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    directives: dict[str, str] = field(hash=False, default_factory=dict)
    """`not run` with the reason, `exit code` of the last command, `file` with the name."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def script(self) -> str:
        """Return its commands for `bash -e`, which fails if one does not end as the page says."""
        if "exit code" not in self.directives:
            return self.text
        *lines, last = self.text.splitlines()
        return "\n".join(
            [
                *lines,
                f"set +e; {last.partition('  #')[0]}; code=$?; set -e",
                '[ "$code" = ' + self.directives["exit code"] + " ]",
                "",
            ]
        )

    @property
    def runs(self) -> bool:
        """Return whether a test runs its commands."""
        return self.language == "sh" and "not run" not in self.directives


def pages() -> list[Path]:
    """Return all pages: the Markdown at the top and below `docs`."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name_of(page: Path) -> str:
    """Return a page's path as seen from the top."""
    return str(page.relative_to(ROOT))


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page in their order."""
    for found in _FENCE.finditer(text):
        before = text[: found.start()]
        said = _DIRECTIVE.search(before)
        directives = {said[1]: said[2]} if said else {}
        yield Block(page, before.count("\n") + 1, found[1], found[2], directives)


def blocks() -> list[Block]:
    """Return the fenced blocks of all pages."""
    return [block for page in pages() for block in blocks_of(name_of(page), page.read_text())]


def without_blocks(text: str) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", text)


def inline_code(text: str) -> list[str]:
    """Return what a page has between backticks, outside of its blocks."""
    return _INLINE.findall(" ".join(without_blocks(text).split("\n")))


def commands(text: str) -> Iterator[list[str]]:
    """Yield the simple commands of a shell script, without comments, redirections and variables before them."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[str] = []
        redirects = False
        for word in [*lexer, ";"]:
            if redirects:  # this word is a file
                redirects = False
            elif word in _REDIRECTIONS:
                redirects = True
            elif word not in _SEPARATORS:
                words.append(word)
            if word not in _SEPARATORS:
                continue
            while words and (re.match(r"^[A-Z_]+=", words[0]) or words[0] == "sudo"):
                words = words[1:]
            if words:
                yield words
            words = []
