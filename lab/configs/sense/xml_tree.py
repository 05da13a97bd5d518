"""Reader of XML with the line of each element; a document type, and so every entity of one's own, is refused."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from lab.configs.disk import Spot, Unreadable

_MAX_DEPTH = 50


@dataclass
class Element:
    """An element with its text and its children."""

    tag: str
    spot: Spot
    attributes: dict[str, str] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list, repr=False)
    children: list["Element"] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        """The text, without space around it."""
        return "".join(self.parts).strip()

    def all(self, *path: str) -> Iterator["Element"]:
        """Iterate over the elements at a path."""
        if not path:
            yield self
            return
        for child in self.children:
            if child.tag == path[0]:
                yield from child.all(*path[1:])

    def find(self, *path: str) -> "Element | None":
        """Return the first element at a path that is not empty."""
        return next((element for element in self.all(*path) if element.text or element.children), None)

    def value(self, *path: str) -> str:
        """Return the text of the first element at a path that is not empty; empty if there is none."""
        found = self.find(*path)
        return found.text if found else ""

    def has(self, *path: str) -> bool:
        """Return True if there is an element at a path, even an empty one."""
        return next(self.all(*path), None) is not None

    def spot_of(self, *path: str) -> Spot:
        """Return the place of the first element at a path, else this element's."""
        return next((element.spot for element in self.all(*path)), self.spot)


def parse(text: str, name: str) -> Element:
    """Parse a document and return its root; raises `Unreadable` with file and line."""
    parser = expat.ParserCreate()
    top = Element("", Spot(name, 1))
    stack = [top]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > _MAX_DEPTH:
            raise Unreadable(f"{name}:{parser.CurrentLineNumber}: more than {_MAX_DEPTH} elements inside each other")
        element = Element(tag, Spot(name, parser.CurrentLineNumber), attributes)
        stack[-1].children.append(element)
        stack.append(element)

    def doctype(*_: object) -> None:
        raise Unreadable(f"{name}:{parser.CurrentLineNumber}: a document type, which no config.xml has")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: stack.pop()
    parser.CharacterDataHandler = lambda data: stack[-1].parts.append(data)
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text.encode(errors="surrogatepass").replace(b"\0", b"?"), True)
    except (expat.ExpatError, UnicodeError) as error:
        raise Unreadable(f"{name}:{parser.CurrentLineNumber}: not well-formed XML: {error}") from error
    return top.children[0]
