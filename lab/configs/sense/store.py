"""The certificates and keys in a config.xml of pfSense or OPNsense, as files."""

import base64
from collections.abc import Iterable, Iterator

from lab.configs.disk import Spot, Unreadable
from lab.configs.sense.xml_tree import Element
from lab.configs.translated import MAX_CLIENTS, Draft, Kind, Note, TranslatedFile
from lab.topology.mistakes import quote

_MAX_CHAIN = 10


class Store:
    """Writes entries of the store as files, and collects notes about missing ones."""

    def __init__(self, root: Element) -> None:
        self._root = root
        self.files: list[TranslatedFile] = []
        self.notes: list[Note] = []
        self._clients = 0

    def authorities(self, reference: str, path: str, spot: Spot) -> bool:
        """Write a CA and those above it as one file; return True if there is one."""
        chain = [text for ca in self._chain(reference, spot) if (text := self._decoded(ca, "crt"))]
        return self._write(path, "certificate", chain, spot)

    def issuer(self, reference: str) -> str:
        """Return the reference of the CA of a certificate; empty if it is not in the file."""
        return next((entry.value("caref") for entry in self._entries("cert", reference)), "")

    def certificate(self, reference: str, path: str, spot: Spot) -> bool:
        """Write a certificate."""
        entry = self._entry("cert", reference, spot)
        return self._write(path, "certificate", [self._decoded(entry, "crt")] if entry else [], spot)

    def private_key(self, reference: str, path: str, spot: Spot) -> bool:
        """Write the private key of a certificate."""
        entry = next(self._entries("cert", reference), None)
        return self._write(path, "key", [self._decoded(entry, "prv")] if entry else [], spot)

    def revocations(self, reference: str, path: str, spot: Spot) -> bool:
        """Write a list of revoked certificates."""
        entry = self._entry("crl", reference, spot)
        return self._write(path, "certificate", [self._decoded(entry, "text")] if entry else [], spot)

    def secret(self, encoded: Element, path: str) -> bool:
        """Write a static key, which is in an element of its own."""
        return self._write(path, "key", [self._text(encoded)], encoded.spot)

    def client(self, path: str, entry: Element, lines: Iterable[tuple[Spot, str]]) -> None:
        """Write a file of client-config-dir; raises `Unreadable` if there are too many."""
        self._clients += 1
        if self._clients > MAX_CLIENTS:
            raise Unreadable(f"{entry.spot}: more than {MAX_CLIENTS} files of clients, one for each override")
        self.lines(path, "client options", *lines)

    def lines(self, path: str, kind: Kind, *lines: tuple[Spot, str]) -> None:
        """Write a file of lines."""
        draft = Draft(path, kind)
        for spot, line in lines:
            draft.add(spot, line)
        self.files.append(draft.file)

    def _chain(self, reference: str, spot: Spot) -> Iterator[Element]:
        for _ in range(_MAX_CHAIN):
            entry = self._entry("ca", reference, spot) if reference else None
            if entry is None:
                return
            yield entry
            reference = entry.value("caref")

    def _entries(self, kind: str, reference: str) -> Iterator[Element]:
        return (entry for entry in self._root.all(kind) if entry.value("refid") == reference)

    def _entry(self, kind: str, reference: str, spot: Spot) -> Element | None:
        entry = next(self._entries(kind, reference), None)
        if entry is None:
            self.notes.append(Note(spot, f"{kind} {quote(reference)} is not in the file"))
        return entry

    def _decoded(self, entry: Element, what: str) -> str:
        found = entry.find(what)
        return self._text(found) if found else ""

    def _text(self, encoded: Element) -> str:
        text = encoded.text
        if text.startswith(("-----BEGIN", "#")):
            return text
        try:
            return base64.b64decode(text, validate=False).decode("ascii")
        except ValueError:  # from either: no base64, or not ASCII
            self.notes.append(Note(encoded.spot, f"<{encoded.tag}> is not base64 of a certificate or key"))
            return ""

    def _write(self, path: str, kind: Kind, texts: list[str], spot: Spot) -> bool:
        draft = Draft(path, kind)
        for text in filter(None, texts):
            draft.add(spot, text.strip().replace("\r\n", "\n"))
        if draft:
            self.files.append(draft.file)
        return bool(draft)
