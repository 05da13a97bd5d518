"""The result of checks as JUnit XML, which CI systems show as tests."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from lab.check.model import Verdict
from lab.check.report import CheckReport, ResultReport, StepReport

_ILLEGAL = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow; logs and names may have any."""
_AS_IT_IS = "the lab as it is"


def junit(report: CheckReport) -> str:
    """Return a test suite for each step, and a test case for each expectation.

    What does not hold or is late is a failure, what could not be observed an error.
    """
    root = Xml.Element(
        "testsuites", _counted(report.results) | {"name": _clean(report.lab), "time": _s(report.seconds)}
    )
    for step in report.steps:
        root.append(_suite(report, step))
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(report: CheckReport, step: StepReport) -> Xml.Element:
    name = step.step or _AS_IT_IS
    suite = Xml.Element("testsuite", _counted(step.results) | {"name": _clean(name)})
    suite.set("timestamp", report.started.isoformat(timespec="seconds"))
    suite.set("time", _s(max((result.after for result in step.results), default=0.0)))
    for result in step.results:
        suite.append(_case(f"{report.lab}.{name}", result))
    return suite


def _case(classname: str, result: ResultReport) -> Xml.Element:
    case = Xml.Element(
        "testcase", {"classname": _clean(classname), "name": _clean(result.expected), "time": _s(result.after)}
    )
    if result.file is not None:
        case.set("file", _clean(str(result.file)))
        case.set("line", str(result.line))
    if result.remark and not result.verdict.good:
        Xml.SubElement(case, "skipped", {"message": _clean(f"{result.verdict}: {result.seen}")})
    elif not result.good:
        kind = "error" if result.verdict is Verdict.CANNOT_TELL else "failure"
        bad = Xml.SubElement(case, kind, {"type": str(result.verdict), "message": _clean(result.cause or result.seen)})
        bad.text = _clean(str(result))
    lines = (
        result.evidence if result.verdict is Verdict.HELD else [f"{result.verdict}: {result.seen}", *result.evidence]
    )
    if lines:
        Xml.SubElement(case, "system-out").text = _clean("\n".join(lines))
    return case


def _counted(results: Sequence[ResultReport]) -> dict[str, str]:
    bad = [result.verdict for result in results if not result.good]
    errors = bad.count(Verdict.CANNOT_TELL)
    skipped = sum(result.remark and not result.verdict.good for result in results)
    numbers = {"tests": len(results), "failures": len(bad) - errors, "errors": errors, "skipped": skipped}
    return {name: str(number) for name, number in numbers.items()}


def _clean(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)


def _s(seconds: float) -> str:
    return f"{max(0.0, seconds):.3f}"
