"""Claims about routing over OpenVPN: the verdict of a test, and its evidence.

A test states a sentence by its marker, adds evidence on the way, each piece with the file that keeps it, and after its
assertions calls `holds`, `holds_if` or `does_not_hold`.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lab.core.errors import LabError
from lab.core.prefixes import family_of
from lab.observe import Capture, CapturedPacket
from lab.runtime.router import Router
from lab.topology import Prefix
from lab.tunnel import OpenVpn

_TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (us=\d+ )?")


class Verdict(StrEnum):
    """The verdict on a claim."""

    HOLDS = "holds"
    HOLDS_IF = "holds with a condition"
    DOES_NOT_HOLD = "does not hold"
    NOT_SHOWN = "not shown"
    """The test failed."""


class NoVerdict(LabError):
    """A test of a claim passed without a verdict: a mistake in the test."""


@dataclass(frozen=True)
class Evidence:
    """A log line, packet, route or echo that supports a verdict."""

    kind: str
    """`log line`, `packet`, `RIB entry`, `FIB entry` or `echo`."""
    text: str
    file: str
    """The file that keeps it, relative to the directory of the claims."""


@dataclass(frozen=True)
class Finding:
    """A claim and its verdict with one version of OpenVPN."""

    test: str
    sentence: str
    openvpn: str
    verdict: Verdict
    condition: str = ""
    """The condition under which it holds, or what is true instead."""
    evidence: tuple[Evidence, ...] = ()
    article: str = ""
    """The article's view of it; empty if the article does not mention it."""
    file: str = ""
    """The file of the test, relative to the project."""
    seen_on: tuple[str, ...] = ()
    """The packages of its lab and the kernel, with their versions, as `openvpn 2.6.14-1`; empty if not recorded."""


@dataclass
class Claim:
    """The claim of a running test: the fixture `claim`."""

    test: str
    sentence: str
    openvpn: str
    directory: Path
    """The folder for the evidence of this test and version."""
    article: str = ""
    """The article's view of it; empty if the article does not mention it."""
    file: str = ""
    """The file of the test, relative to the project."""
    _evidence: list[Evidence] = field(default_factory=list)
    _verdict: Verdict | None = None
    _condition: str = ""

    def holds(self) -> None:
        """Set the verdict: the sentence is true without a condition."""
        self._verdict = Verdict.HOLDS

    def holds_if(self, condition: str) -> None:
        """Set the verdict: the sentence is true under a condition."""
        self._verdict, self._condition = Verdict.HOLDS_IF, condition

    def does_not_hold(self, instead: str) -> None:
        """Set the verdict: the sentence is not true, and `instead` is."""
        self._verdict, self._condition = Verdict.DOES_NOT_HOLD, instead

    def log_line(self, process: OpenVpn, line: str) -> None:
        """Add a line of an OpenVPN process's log, and keep the whole log."""
        text = _TIMESTAMP.sub("", line.strip())
        self._keep("log line", text, process.log.name, process.log.read_text(errors="replace"))

    def packet(self, capture: Capture, packet: CapturedPacket) -> None:
        """Add a captured packet, and keep the whole capture."""
        file = self._file(f"{capture.node}-{capture.interface}.pcap")
        capture.write(file)
        self._add("packet", f"{capture.node} {capture.interface}: {packet.decode().summary()}", file)

    def rib_entry(self, router: Router, prefix: Prefix) -> None:
        """Add a prefix's paths in a router's BGP RIB, and the kernel's route."""
        paths = router.rib(family_of(prefix)).get(prefix, ())
        hops = ", ".join(sorted(str(hop) for path in paths for hop in path.next_hops)) or "no path"
        text = f"{router.name}: {prefix} via {hops}"
        self._keep("RIB entry", text, f"{router.name}-rib.txt", "\n".join(map(str, paths)))
        entry = router.fib.route(prefix)
        if entry is not None:
            text = f"{router.name}: {prefix} dev {', '.join(entry.interfaces)} proto {entry.protocol}"
            self._keep("FIB entry", text, f"{router.name}-fib.txt", str(entry))

    def echo(self, text: object) -> None:
        """Add the outcome of echo requests."""
        self._keep("echo", str(text), "echo.txt", str(text))

    def finding(self, *, passed: bool, seen_on: tuple[str, ...] = ()) -> Finding:
        """Return the finding of a test that has ended; raises `NoVerdict` where it passed without a verdict."""
        if passed and self._verdict is None:
            raise NoVerdict(f"{self.test}: the test of a claim has to end with holds(), holds_if() or does_not_hold()")
        verdict = self._verdict if passed and self._verdict else Verdict.NOT_SHOWN
        condition = self._condition if passed else ""
        evidence = tuple(self._evidence)
        return Finding(
            self.test, self.sentence, self.openvpn, verdict, condition, evidence, self.article, self.file, seen_on
        )

    def _keep(self, kind: str, text: str, name: str, content: str) -> None:
        file = self._file(name)
        with file.open("a") as stream:
            stream.write(content.rstrip("\n") + "\n")
        self._add(kind, text, file)

    def _add(self, kind: str, text: str, file: Path) -> None:
        self._evidence.append(Evidence(kind, text, f"{file.parent.name}/{file.name}"))

    def _file(self, name: str) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        return self.directory / name
