"""The record of findings: as JSON, merged with a newer run, and as the page that shows them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath

from lab.claims.claims import Evidence, Finding, Verdict
from lab.claims.normalise import Normaliser

_PAGE = """\
# All claims

What is said of routing over OpenVPN, by the article and elsewhere, and what tests on real packets found. A test states
its sentence, earns a verdict by assertions and keeps the evidence: a log line, a packet, an entry of RIB or FIB.
The [findings by theme](index.md) explain them. `lab claims` runs the tests, and `lab claims --renew TEST` runs one and
rewrites this page.

Below, "seen on" names the packages and the kernel with their patch levels; a finding without it was recorded before
they were. In the evidence, `PORT`, `TIME`, `MAC` and `ID` stand for what differs from run to run.
Written by `lab claims`: change the tests, not this page.

"""


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
                "seen_on": tuple(row.get("seen_on", ())),
            }
        )
        for row in json.loads(text)
    ]


def normalised(finding: Finding) -> Finding:
    """Return a finding whose evidence is without what differs between two runs, each piece once."""
    normalise = Normaliser()
    evidence = (replace(each, text=normalise(each.text)) for each in finding.evidence)
    return replace(finding, evidence=tuple(dict.fromkeys(evidence)))


def merge(kept: Sequence[Finding], new: Sequence[Finding]) -> list[Finding]:
    """Return the kept findings with those of a newer run in their places.

    A newer finding replaces all that are kept of its test and OpenVPN version. One of a test that had none comes after
    the others of its file.
    """
    renewed: dict[tuple[str, str], list[Finding]] = {}
    for finding in new:
        renewed.setdefault((finding.test, finding.openvpn), []).append(finding)
    keys = set(renewed)
    merged: list[Finding] = []
    for finding in kept:
        key = (finding.test, finding.openvpn)
        merged += renewed.pop(key, []) if key in keys else [finding]
    for (test, _), findings in renewed.items():
        places = [place for place, finding in enumerate(merged) if finding.test == test] or [
            place for place, finding in enumerate(merged) if finding.file == findings[0].file
        ]
        place = places[-1] + 1 if places else len(merged)
        merged[place:place] = findings
    return merged


@dataclass(frozen=True)
class Row:
    """A claim in a table; what all versions of OpenVPN share is written once."""

    test: str
    file: str
    sentence: str
    article: str
    verdict: str
    condition: str
    openvpn: str
    evidence: tuple[Evidence, ...]
    """The first of the newest version, or of each version where they differ."""
    shown: bool
    """True if all versions have a verdict."""


def row_of(group: Sequence[Finding]) -> Row:
    """Return one claim's findings as a row; where versions differ, each is named with its own."""
    first = group[0]
    agreed = len({(finding.verdict, finding.condition) for finding in group}) == 1

    def said(what: Callable[[Finding], str]) -> str:
        if agreed:
            return what(first)
        return "; ".join(f"{finding.openvpn}: {what(finding)}" for finding in group if what(finding))

    return Row(
        test=first.test,
        file=first.file,
        sentence=first.sentence,
        article=first.article,
        verdict=said(lambda finding: str(finding.verdict)),
        condition=said(lambda finding: finding.condition),
        openvpn=", ".join(dict.fromkeys(finding.openvpn for finding in group)),
        evidence=tuple(e for finding in (group[:1] if agreed else group) for e in finding.evidence[:1]),
        shown=all(finding.verdict is not Verdict.NOT_SHOWN for finding in group),
    )


def by_claim(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Group findings by claim, in their order, and within a claim by the version of OpenVPN."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.test, []).append(finding)
    return [sorted(group, key=lambda finding: finding.openvpn) for group in groups.values()]


def as_markdown(findings: Sequence[Finding]) -> str:
    """Return a table with a row per claim; versions that agree share it."""
    columns = ("claim", "the article", "verdict", "condition, or what is true", "OpenVPN", "evidence", "test")
    rows = []
    for row in map(row_of, by_claim(findings)):
        seen = "; ".join(f"{e.kind}: `{e.text}` ({e.file})" for e in row.evidence)
        rows.append((row.sentence, row.article or "-", row.verdict, row.condition, row.openvpn, seen, f"`{row.test}`"))
    return _table(columns, rows)


def as_page(findings: Sequence[Finding]) -> str:
    """Return the page of all claims: a table for each file of tests, and below it the evidence of each test."""
    files: dict[str, list[list[Finding]]] = {}
    for group in by_claim(findings):
        files.setdefault(group[0].file, []).append(group)
    parts = [_PAGE]
    columns = ("claim", "the article", "verdict", "condition, or what is true", "OpenVPN", "evidence")
    for file, groups in files.items():
        rows = map(row_of, groups)
        cells = [
            (
                row.sentence,
                row.article or "-",
                row.verdict,
                row.condition,
                row.openvpn or "-",
                f"[{row.test}](#{row.test})",
            )
            for row in rows
        ]
        parts.append(f"## {_title(file)}\n\n`{file}`\n\n{_table(columns, cells)}\n")
    parts.append("## Evidence\n\n")
    parts += [_evidence_of(group) for groups in files.values() for group in groups]
    return "".join(parts).rstrip("\n") + "\n"


def _title(file: str) -> str:
    """Return `middlebox: nat` for tests/middlebox/test_nat.py."""
    path = PurePosixPath(file)
    return f"{path.parent.name}: {path.stem.removeprefix('test_').replace('_', ' ')}"


def _evidence_of(group: Sequence[Finding]) -> str:
    """Return the section of one test: what was seen, with which version, in which file of the artefacts."""
    seen: dict[tuple[str, str], list[str]] = {}
    for finding in group:
        for each in finding.evidence:
            versions = seen.setdefault((each.kind, each.text), [])
            if finding.openvpn not in versions:
                versions.append(finding.openvpn)
    lines = [f"- {kind}, {_named(versions)}: `{text}`" for (kind, text), versions in seen.items()]
    lines = lines or ["- No evidence beyond the assertions of the test."]
    for seen_on in dict.fromkeys(finding.seen_on for finding in group if finding.seen_on):
        lines.append(f"- seen on {', '.join(seen_on)}")
    return f"### {group[0].test}\n\n" + "\n".join(lines) + "\n\n"


def _named(versions: Sequence[str]) -> str:
    return f"OpenVPN {' and '.join(versions)}" if any(versions) else "no OpenVPN"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
