"""The order in which workers get the files of tests: the longest first, the unit tests last."""

from pathlib import PurePosixPath

LONGEST = (
    "tests/own/test_routers.py",
    "tests/own/test_round_trip.py",
    "tests/advise/test_differential.py",
    "tests/own/test_keys.py",
    "tests/own/test_openvpn_files.py",
    "tests/own/test_networks.py",
    "tests/own/test_versions.py",
    "tests/own/test_disturbed.py",
    "tests/advise/test_obsolete.py",
    "tests/own/test_rulesets.py",
    "tests/check/test_implied.py",
    "tests/docs/test_commands.py",
    "tests/why/test_lost.py",
    "tests/why/test_outer.py",
    "tests/why/test_routes.py",
    "tests/why/test_sessions.py",
    "tests/why/test_adjacencies.py",
    "tests/why/test_choice.py",
    "tests/why/test_static_routes.py",
    "tests/cli/test_cli.py",
    "tests/check/test_expectations.py",
    "tests/trust/test_refused.py",
    "tests/daemons/test_frr.py",
    "tests/why/test_inner.py",
    "tests/why/test_tunnels.py",
    "tests/why/test_rare.py",
    "tests/middlebox/test_moving.py",
    "tests/middlebox/test_bsd.py",
    "tests/silent/test_sizes.py",
    "tests/compare/test_passage.py",
    "tests/compare/test_program.py",
    "tests/daemons/test_refusals.py",
    "tests/modes/test_dual_homed.py",
    "tests/fault/test_faults.py",
    "tests/engine/test_processes.py",
    "tests/engine/test_podman.py",
    "tests/engine/test_buildah.py",
    "tests/engine/test_failures.py",
    "tests/plugin/test_failures.py",
    "tests/check/test_steps.py",
    "tests/daemons/test_frr_and_bird.py",
    "tests/daemons/test_bird3.py",
    "tests/daemons/test_bird.py",
    "tests/modes/test_point_to_point.py",
    "tests/check/test_action.py",
    "tests/plugin/test_checks.py",
    "tests/silent/test_limits.py",
    "tests/claims/test_baselines.py",
    "tests/middlebox/test_nat.py",
    "tests/fault/test_detectors.py",
    "tests/measure/test_plans.py",
    "tests/check/test_program.py",
    "tests/convergence/test_iroute.py",
    "tests/scale/test_scale.py",
)
"""The files that take longest, in the order of their durations (`artefacts/junit.xml` of `make test`)."""


def rank(file: str) -> int:
    """Return the place of a file, given relative to the project."""
    if file in LONGEST:
        return LONGEST.index(file)
    return len(LONGEST) + (PurePosixPath(file).parts[:2] == ("tests", "unit"))
