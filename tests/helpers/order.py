"""The order in which workers get the files of tests: the longest first, the unit tests last."""

from pathlib import PurePosixPath

LONGEST = (
    "tests/middlebox/test_moving.py",
    "tests/silent/test_limits.py",
    "tests/engine/test_processes.py",
    "tests/engine/test_failures.py",
    "tests/plugin/test_failures.py",
    "tests/compare/test_passage.py",
    "tests/daemons/test_frr.py",
    "tests/daemons/test_refusals.py",
    "tests/fault/test_detectors.py",
    "tests/fault/test_faults.py",
    "tests/measure/test_plans.py",
    "tests/trust/test_refused.py",
    "tests/middlebox/test_nat.py",
    "tests/cli/test_cli.py",
    "tests/convergence/test_prefixes.py",
    "tests/scale/test_scale.py",
)
"""Files that take more than half a minute, in the order of their durations (`--durations`, `artefacts/junit.xml`)."""


def rank(file: str) -> int:
    """Return the place of a file, given relative to the project."""
    if file in LONGEST:
        return LONGEST.index(file)
    return len(LONGEST) + (PurePosixPath(file).parts[:2] == ("tests", "unit"))
