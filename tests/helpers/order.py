"""The order in which workers get the files of tests: the longest first, the unit tests last."""

from pathlib import PurePosixPath

LONGEST = (
    "tests/cli/test_cli.py",
    "tests/trust/test_refused.py",
    "tests/daemons/test_frr.py",
    "tests/middlebox/test_moving.py",
    "tests/silent/test_sizes.py",
    "tests/compare/test_passage.py",
    "tests/compare/test_program.py",
    "tests/daemons/test_refusals.py",
    "tests/modes/test_dual_homed.py",
    "tests/fault/test_faults.py",
    "tests/engine/test_processes.py",
    "tests/engine/test_failures.py",
    "tests/plugin/test_failures.py",
    "tests/daemons/test_frr_and_bird.py",
    "tests/daemons/test_bird3.py",
    "tests/daemons/test_bird.py",
    "tests/modes/test_point_to_point.py",
    "tests/silent/test_limits.py",
    "tests/claims/test_baselines.py",
    "tests/middlebox/test_nat.py",
    "tests/fault/test_detectors.py",
    "tests/measure/test_plans.py",
    "tests/convergence/test_iroute.py",
    "tests/scale/test_scale.py",
)
"""The files that take longest, in the order of their durations (`artefacts/junit.xml` of `make test`)."""


def rank(file: str) -> int:
    """Return the place of a file, given relative to the project."""
    if file in LONGEST:
        return LONGEST.index(file)
    return len(LONGEST) + (PurePosixPath(file).parts[:2] == ("tests", "unit"))
