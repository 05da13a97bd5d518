"""`lab claims`: run the tests of the claims, and print each claim's verdict with its evidence."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.errors import FAILED
from lab.cli.options import AsJson
from lab.cli.output import print_table, progress, verdict
from lab.core.errors import EnvironmentBroken, InputError

_TESTS_FAILED = 1


def claims(
    tests: Annotated[Path, typer.Argument(help="Where the tests marked `claims` are.")] = Path("tests"),
    openvpn: Annotated[str, typer.Option(metavar="VERSION[,VERSION]", help="OpenVPN's versions, or all.")] = "all",
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where claims.json, claims.md and the evidence are kept.")
    ] = Path("artefacts/claims"),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_json: AsJson = False,
) -> None:
    """Test every claim on real packets, and print verdict, condition and evidence of each.

    The exit code is 1 where a verdict could not be had.
    """
    from lab.claims.claims import Verdict, as_markdown, by_claim, from_json, row_of

    if not tests.exists():
        raise InputError(f"there is no {tests}: run this in a checkout of the lab, or name your own tests")
    written = out / "claims.json"
    written.unlink(missing_ok=True)
    with progress() as say:
        say(f"running the tests of the claims in {tests}; the evidence goes to {out}")
        run = _pytest(tests, openvpn, out)
    if run.returncode not in (0, _TESTS_FAILED) or not written.exists():
        words = (run.stderr.strip() or run.stdout.strip()).splitlines()
        raise EnvironmentBroken(f"pytest ended with {run.returncode}: {words[-1] if words else 'without a word'}")
    text = written.read_text()
    findings = from_json(text)
    if as_json:
        print(text, end="")
    elif markdown:
        print(as_markdown(findings), end="")
    else:
        rows = [
            (
                row.sentence,
                row.article or "-",
                verdict(row.shown, row.verdict),
                row.condition,
                row.openvpn,
                "\n".join(f"{e.kind}: {e.text} [{e.file}]" for e in row.evidence),
            )
            for row in map(row_of, by_claim(findings))
        ]
        heading = ["what is said", "the article", "verdict", "condition, or what is true", "OpenVPN", "evidence"]
        print_table("Claims", heading, rows)
    if run.returncode == _TESTS_FAILED or any(f.verdict is Verdict.NOT_SHOWN for f in findings):
        raise typer.Exit(FAILED)


def _pytest(tests: Path, openvpn: str, directory: Path) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-m", "claims", f"--lab-openvpn={openvpn}", f"--lab-claims={directory}"]
    return subprocess.run([sys.executable, "-m", "pytest", str(tests), *options], capture_output=True, text=True)
