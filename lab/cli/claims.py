"""`lab claims`: run the tests of the claims, and print each claim's verdict with its evidence."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.errors import FAILED
from lab.cli.options import AsJson, Certificates, Cluster, ShipOption, connected
from lab.cli.output import print_table, progress, verdict
from lab.cluster.ship import Ship
from lab.core.errors import EnvironmentBroken, InputError

if TYPE_CHECKING:
    from lab.claims.claims import Finding

_TESTS_FAILED = 1
_NO_TESTS = 5


def claims(
    tests: Annotated[Path, typer.Argument(help="Directory of the tests marked `claims`.")] = Path("tests"),
    openvpn: Annotated[str, typer.Option(metavar="VERSION[,VERSION]", help="OpenVPN's versions, or all.")] = "all",
    cluster: Cluster = None,
    certs: Certificates = None,
    ship: ShipOption = Ship.CHECK,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Directory for claims.json, claims.md and the evidence.")
    ] = Path("artefacts/claims"),
    renew: Annotated[
        list[str] | None,
        typer.Option(
            "--renew",
            "-k",
            metavar="TEST",
            help="Run only the tests whose name contains TEST, and write their results into the documentation; may be "
            "given several times.",
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Run all tests, and write their results into the documentation.")
    ] = False,
    docs: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The documentation: DIR/claims.json, and the page DIR/findings/claims.md."),
    ] = Path("docs"),
    page: Annotated[
        bool, typer.Option("--page", help="Run nothing: write the page again from the documentation's claims.json.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_json: AsJson = False,
) -> None:
    """Test every claim on real packets, and print verdict, condition and evidence of each.

    The exit code is 1 if a claim has no verdict; nothing is then written into the documentation.
    """
    from lab.claims.claims import Verdict
    from lab.claims.record import as_json as written_as_json
    from lab.claims.record import as_markdown, from_json
    from lab.claims.spread import run_on_cluster

    record = docs / "claims.json"
    if page:
        if not record.exists():
            raise InputError(f"{record} does not exist: run `lab claims --write` first")
        _write(docs, from_json(record.read_text()))
        return
    if not tests.exists():
        raise InputError(f"{tests} does not exist: run this in a checkout of the lab, or name your own tests")
    fresh = out / "run"
    shutil.rmtree(fresh, ignore_errors=True)
    with progress() as say:
        say(f"running the tests of the claims in {tests}; the evidence goes to {out}")
        if cluster:
            with connected(cluster, certs) as client:
                run = run_on_cluster(tests, _options(openvpn, renew or []), fresh, client, say, ship=ship)
        else:
            run = _pytest(tests, openvpn, fresh, renew or [])
    if renew and run.returncode == _NO_TESTS:
        raise InputError(f"no test of a claim in {tests} has {' or '.join(map(repr, renew))} in its name")
    if run.returncode not in (0, _TESTS_FAILED) or not (fresh / "claims.json").exists():
        words = (run.stderr.strip() or run.stdout.strip()).splitlines()
        raise EnvironmentBroken(f"pytest ended with {run.returncode}: {words[-1] if words else 'no output'}")
    _replace(fresh, out)
    text = (out / "claims.json").read_text()
    findings = from_json(text)
    if as_json:
        print(text, end="")
    elif markdown:
        print(as_markdown(findings), end="")
    else:
        _print(findings)
    if run.returncode == _TESTS_FAILED or any(f.verdict is Verdict.NOT_SHOWN for f in findings):
        raise typer.Exit(FAILED)
    if renew or write:
        from lab.claims.record import merge

        kept = from_json(record.read_text()) if record.exists() else []
        merged = [finding for finding in merge(kept, findings) if _exists(finding)]
        docs.mkdir(parents=True, exist_ok=True)
        record.write_text(written_as_json(merged))
        _write(docs, merged)


def _pytest(tests: Path, openvpn: str, directory: Path, renew: Sequence[str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pytest", str(tests), *_options(openvpn, renew), f"--lab-claims={directory}"]
    return subprocess.run(argv, capture_output=True, text=True)


def _options(openvpn: str, renew: Sequence[str]) -> list[str]:
    options = ["-q", "-m", "claims", f"--lab-openvpn={openvpn}"]
    return [*options, "-k", " or ".join(renew)] if renew else options


def _replace(fresh: Path, out: Path) -> None:
    """Replace the results of an earlier run, so that evidence of two runs is never mixed."""
    for new in fresh.iterdir():
        old = out / new.name
        if old.is_dir():
            shutil.rmtree(old)
        new.replace(old)
    fresh.rmdir()


def _exists(finding: "Finding") -> bool:
    """Return whether a finding's test is still in its file; true if the file cannot be checked from here."""
    file = Path(finding.file)
    if file.is_file():
        return re.search(rf"^def {re.escape(finding.test)}\(", file.read_text(), re.MULTILINE) is not None
    return not (finding.file and file.parent.is_dir())


def _write(docs: Path, findings: "Sequence[Finding]") -> None:
    from lab.claims.record import as_page

    page = docs / "findings" / "claims.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(as_page(findings))


def _print(findings: "Sequence[Finding]") -> None:
    from lab.claims.record import by_claim, row_of

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
    heading = ["claim", "the article", "verdict", "condition, or what is true", "OpenVPN", "evidence"]
    print_table("Claims", heading, rows)
