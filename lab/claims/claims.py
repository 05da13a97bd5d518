"""Claims about routing over OpenVPN, what a test found of them, and the evidence.

A test states a sentence by its marker and ends by calling `holds`, `holds_if` or `does_not_hold`, after the assertions
that earn it. What it saw on the way it adds as evidence, with the file that keeps it.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
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
    """What can be said of a claim."""

    HOLDS = "holds"
    HOLDS_IF = "holds with a condition"
    DOES_NOT_HOLD = "does not hold"
    NOT_SHOWN = "not shown"
    """The test failed or was skipped: nothing can be said."""


class NoVerdict(LabError):
    """A test of a claim ended without a verdict: its author's mistake."""


@dataclass(frozen=True)
class Evidence:
    """Something seen that supports a verdict."""

    kind: str
    """`log line`, `packet`, `RIB entry`, `FIB entry` or `echo`."""
    text: str
    file: str
    """The file that keeps it, seen from the directory of the claims."""


@dataclass(frozen=True)
class Finding:
    """A claim and its verdict, for one version of OpenVPN."""

    test: str
    sentence: str
    openvpn: str
    verdict: Verdict
    condition: str = ""
    """Under which it holds, or what is true instead."""
    evidence: tuple[Evidence, ...] = ()
    article: str = ""
    """What the article says of it; empty where it says nothing."""


@dataclass
class Claim:
    """What a test holds in its hand: fixture `claim`."""

    test: str
    sentence: str
    openvpn: str
    directory: Path
    """Where the evidence is kept, a folder of this test and version."""
    article: str = ""
    """What the article says of it; empty where it says nothing."""
    _evidence: list[Evidence] = field(default_factory=list)
    _verdict: Verdict | None = None
    _condition: str = ""

    def holds(self) -> None:
        """The sentence is true as it stands."""
        self._verdict = Verdict.HOLDS

    def holds_if(self, condition: str) -> None:
        """The sentence is true, but only under a condition."""
        self._verdict, self._condition = Verdict.HOLDS_IF, condition

    def does_not_hold(self, instead: str) -> None:
        """The sentence is not true; `instead` says what is."""
        self._verdict, self._condition = Verdict.DOES_NOT_HOLD, instead

    def log_line(self, process: OpenVpn, line: str) -> None:
        """A line of an OpenVPN process's log; the whole log is kept."""
        text = _TIMESTAMP.sub("", line.strip())
        self._keep("log line", text, process.log.name, process.log.read_text(errors="replace"))

    def packet(self, capture: Capture, packet: CapturedPacket) -> None:
        """A captured packet; the whole capture is kept."""
        file = self._file(f"{capture.node}-{capture.interface}.pcap")
        capture.write(file)
        self._add("packet", f"{capture.node} {capture.interface}: {packet.decode().summary()}", file)

    def rib_entry(self, router: Router, prefix: Prefix) -> None:
        """A prefix's paths in a router's BGP RIB, and the kernel's route."""
        paths = router.rib(family_of(prefix)).get(prefix, ())
        hops = ", ".join(str(hop) for path in paths for hop in path.next_hops) or "no path"
        text = f"{router.name}: {prefix} via {hops}"
        self._keep("RIB entry", text, f"{router.name}-rib.txt", "\n".join(map(str, paths)))
        entry = router.fib.route(prefix)
        if entry is not None:
            text = f"{router.name}: {prefix} dev {', '.join(entry.interfaces)} proto {entry.protocol}"
            self._keep("FIB entry", text, f"{router.name}-fib.txt", str(entry))

    def echo(self, text: object) -> None:
        """The outcome of echo requests."""
        self._keep("echo", str(text), "echo.txt", str(text))

    def finding(self, *, passed: bool) -> Finding:
        """What came out; raises `NoVerdict` where a test passed and said nothing."""
        if passed and self._verdict is None:
            raise NoVerdict(f"{self.test}: the test of a claim has to end with holds(), holds_if() or does_not_hold()")
        verdict = self._verdict if passed and self._verdict else Verdict.NOT_SHOWN
        condition = self._condition if passed else ""
        evidence = tuple(self._evidence)
        return Finding(self.test, self.sentence, self.openvpn, verdict, condition, evidence, self.article)

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


def as_json(findings: Sequence[Finding]) -> str:
    """All findings as a JSON list, one object each."""
    return json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False) + "\n"


def from_json(text: str) -> list[Finding]:
    """Read what `as_json` wrote."""
    return [
        Finding(
            **{
                **row,
                "verdict": Verdict(row["verdict"]),
                "evidence": tuple(Evidence(**item) for item in row["evidence"]),
            }
        )
        for row in json.loads(text)
    ]


def as_markdown(findings: Sequence[Finding]) -> str:
    """One table, a row per claim; versions that agree share it."""
    columns = ("claim", "the article", "verdict", "condition, or what is true", "OpenVPN", "evidence", "test")
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for row in map(row_of, by_claim(findings)):
        seen = "; ".join(f"{e.kind}: `{e.text}` ({e.file})" for e in row.evidence)
        cells = (row.sentence, row.article or "-", row.verdict, row.condition, row.openvpn, seen, f"`{row.test}`")
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Row:
    """A claim in a table: what its versions share is said once."""

    test: str
    sentence: str
    article: str
    verdict: str
    condition: str
    openvpn: str
    evidence: tuple[Evidence, ...]
    """The first of each version that has a say of its own."""
    shown: bool
    """Whether all versions have a verdict."""


def row_of(group: Sequence[Finding]) -> Row:
    """The findings of one claim; where versions differ, each is named with its own."""
    first = group[0]
    agreed = len({(finding.verdict, finding.condition) for finding in group}) == 1

    def said(what: Callable[[Finding], str]) -> str:
        if agreed:
            return what(first)
        return "; ".join(f"{finding.openvpn}: {what(finding)}" for finding in group if what(finding))

    return Row(
        test=first.test,
        sentence=first.sentence,
        article=first.article,
        verdict=said(lambda finding: str(finding.verdict)),
        condition=said(lambda finding: finding.condition),
        openvpn=", ".join(dict.fromkeys(finding.openvpn for finding in group)),
        evidence=tuple(e for finding in (group[:1] if agreed else group) for e in finding.evidence[:1]),
        shown=all(finding.verdict is not Verdict.NOT_SHOWN for finding in group),
    )


def by_claim(findings: Sequence[Finding]) -> list[list[Finding]]:
    """The findings of each claim together, by the version of OpenVPN, in the order of the findings."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.test, []).append(finding)
    return [sorted(group, key=lambda finding: finding.openvpn) for group in groups.values()]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
