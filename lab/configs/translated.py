"""Another form of a configuration, translated into the files of OpenVPN and FRR, with the origin of each line.

A translation is a pure function of a text: it reads no file, runs nothing and takes time in proportion to the text.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from lab.configs.disk import Spot
from lab.configs.host.facts import HostFacts, HostInterface
from lab.core.prefixes import Interface

MAX_TUNNELS = 100
"""The maximum number of OpenVPN processes of one text; no host runs more."""
MAX_CLIENTS = 10_000
"""The maximum number of files of client-config-dir of one text."""
Kind = Literal["openvpn", "client options", "frr", "certificate", "key"]
"""A configuration of OpenVPN, a file of `client-config-dir`, a frr.conf, public data of TLS, or a secret."""


@dataclass(frozen=True)
class TranslatedFile:
    """A file that is translated from a text."""

    path: PurePosixPath
    """The path on the host, as its own system names the file."""
    kind: Kind
    text: str = field(repr=False)
    origins: tuple[Spot, ...] = field(repr=False)
    """The place in the translated text that each line comes from."""

    @property
    def is_secret(self) -> bool:
        """True for a private key or a password: write it with mode 0600 and show it nowhere."""
        return self.kind == "key"


@dataclass(frozen=True)
class Note:
    """A sentence about a line: what was left out, what differs on the real host, what must be added."""

    spot: Spot
    sentence: str

    def __str__(self) -> str:
        return f"{self.spot}: {self.sentence}"


@dataclass(frozen=True)
class Translated:
    """The result of a translation."""

    files: tuple[TranslatedFile, ...] = ()
    notes: tuple[Note, ...] = ()
    facts: HostFacts = field(default_factory=HostFacts)
    """The host's name, its interfaces with their addresses, and its static routes."""


class Draft:
    """Collects the lines of a file."""

    def __init__(self, path: str, kind: Kind) -> None:
        self._path = PurePosixPath(path)
        self._kind = kind
        self._lines: list[str] = []
        self._origins: list[Spot] = []

    def add(self, spot: Spot, text: str) -> None:
        """Add a line, or several that come from the same place."""
        for line in text.split("\n"):
            self._lines.append(line.rstrip())
            self._origins.append(spot)

    def __bool__(self) -> bool:
        return bool(self._lines)

    @property
    def file(self) -> TranslatedFile:
        """The file."""
        text = "".join(f"{line}\n" for line in self._lines)
        return TranslatedFile(self._path, self._kind, text, tuple(self._origins))


def joined(parts: Iterable[Translated]) -> Translated:
    """Return several translations of one host as one."""
    parts = list(parts)
    return Translated(
        files=tuple(file for part in parts for file in part.files),
        notes=tuple(note for part in parts for note in part.notes),
        facts=HostFacts(
            hostname=next((part.facts.hostname for part in parts if part.facts.hostname), None),
            interfaces=tuple(interface for part in parts for interface in part.facts.interfaces),
            routes=tuple(route for part in parts for route in part.facts.routes),
        ),
    )


def with_addresses(found: Iterable[tuple[str, Interface, Spot]]) -> tuple[HostInterface, ...]:
    """Return the interfaces of addresses, each at the place of its first address."""
    named: dict[str, list[tuple[Interface, Spot]]] = {}
    for name, address, spot in found:
        named.setdefault(name, []).append((address, spot))
    return tuple(HostInterface(name, of[0][1], tuple(address for address, _ in of)) for name, of in named.items())
