"""Run the corpus: `python -m tests.helpers.corpus --count 500 --seed 1 --out FILE`; see docs/howto/advise.md.

It exits with 1 if a verdict `not exposed` is wrong, or more than 2 % of the verdicts `exposed`.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.helpers.corpus.configurations import configuration
from tests.helpers.corpus.counts import exit_code, summary, table
from tests.helpers.corpus.run import Outcome, Ran, describe, run


def main(arguments: Sequence[str]) -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(prog="advise-corpus", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="the number of configurations")
    parser.add_argument("--first", type=int, default=0, help="the number of the first one")
    parser.add_argument("--only", type=int, nargs="*", help="run only these numbers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=8, help="labs at the same time")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no configuration after so many minutes")
    parser.add_argument("--out", type=Path, help="the file for the results, as JSON")
    given = parser.parse_args(arguments)
    numbers = given.only or range(given.first, given.first + given.count)
    ran: list[Ran] = []
    with tempfile.TemporaryDirectory(prefix="advise-corpus-") as directory, ThreadPoolExecutor(given.workers) as pool:
        until = time.monotonic() + 60 * given.minutes

        def begin(number: int) -> Ran | None:
            late = time.monotonic() > until
            return None if late else run(configuration(given.seed, number), Path(directory))

        waiting = [pool.submit(begin, number) for number in numbers]
        for done in as_completed(waiting):
            if (one := done.result()) is None:
                continue
            ran.append(one)
            _say(one, len(ran), len(waiting))
            if given.out:  # after each: a run that is stopped has lost nothing
                _write(given.out, given.seed, ran)
    print(table(ran))
    print(summary(ran))
    return exit_code(ran)


def _say(one: Ran, number: int, of: int) -> None:
    wrong = [item for item in one.compared if item.outcome in (Outcome.WRONG_EXPOSED, Outcome.WRONG_NOT_EXPOSED)]
    late = f", late: {', '.join(one.late)}" if one.late else ""
    failed = f", failed: {one.failed.splitlines()[0]}" if one.failed else ""
    print(f"{number}/{of}: configuration {one.configuration.number}, {one.seconds:.0f} s{late}{failed}", flush=True)
    for item in wrong:
        print(f"  {describe(item)}", flush=True)


def _write(file: Path, seed: int, ran: Sequence[Ran]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(_as_json(seed, sorted(ran, key=lambda one: one.configuration.number)), indent=1) + "\n")
    new.replace(file)


def _as_json(seed: int, ran: Sequence[Ran]) -> dict[str, Any]:
    return {
        "seed": seed,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": sorted({version for one in ran for version in one.versions}),
        "configurations": [
            {
                "number": one.configuration.number,
                "options": dict(one.configuration.options),
                "versions": one.versions,
                "late": one.late,
                "failed": one.failed,
                "seconds": round(one.seconds, 1),
                "compared": [asdict(item) | {"outcome": item.outcome} for item in one.compared],
            }
            for one in ran
        ],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
