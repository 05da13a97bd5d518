"""Test files in the order in which workers get them: the longest first, the unit tests last, some in parts."""

from pathlib import PurePosixPath

LONGEST = (
    "tests/docs/test_commands.py",
    "tests/measure/test_plans.py",
    "tests/why/test_inner.py",
    "tests/engine/test_processes.py",
    "tests/engine/test_disks.py",
    "tests/trust/test_refused.py",
    "tests/cli/test_cli.py",
    "tests/own/test_routers.py",
    "tests/plugin/test_kernel.py",
    "tests/advise/test_differential.py",
    "tests/plugin/test_topologies.py",
    "tests/measure/test_cluster.py",
    "tests/why/test_lost.py",
    "tests/plugin/test_checks.py",
    "tests/engine/test_cycles.py",
    "tests/daemons/test_frr.py",
    "tests/modes/test_dual_homed.py",
    "tests/advise/test_corpus.py",
    "tests/cli/test_next_steps.py",
    "tests/docs/test_json.py",
    "tests/engine/test_conformance.py",
    "tests/middlebox/test_nat.py",
    "tests/why/test_tunnels.py",
    "tests/fault/test_faults.py",
    "tests/advise/test_obsolete.py",
    "tests/why/test_adjacencies.py",
    "tests/plugin/test_failures.py",
    "tests/check/test_implied.py",
    "tests/engine/test_failures.py",
    "tests/why/test_doors.py",
    "tests/why/test_outer.py",
    "tests/daemons/test_session_options.py",
    "tests/why/test_sessions.py",
    "tests/fault/test_impair.py",
    "tests/middlebox/test_firewall.py",
    "tests/daemons/test_refusals.py",
    "tests/own/test_networks.py",
    "tests/middlebox/test_https.py",
    "tests/advise/test_disturbed.py",
    "tests/silent/test_sizes.py",
    "tests/middlebox/test_moving.py",
    "tests/why/test_routes.py",
    "tests/static/test_vpnc.py",
    "tests/silent/test_limits.py",
    "tests/plugin/test_switched_off.py",
    "tests/why/test_rare.py",
    "tests/static/test_by_hand.py",
    "tests/measure/test_events.py",
    "tests/browser/test_page.py",
    "tests/middlebox/test_bsd.py",
    "tests/engine/test_foreign_images.py",
    "tests/engine/test_open_vswitch.py",
    "tests/compare/test_passage.py",
    "tests/claims/test_baselines.py",
    "tests/compare/test_program.py",
    "tests/docs/test_site.py",
    "tests/check/test_expectations.py",
    "tests/daemons/test_hubs.py",
    "tests/plugin/test_claims_command.py",
    "tests/measure/test_figures.py",
    "tests/own/test_versions.py",
    "tests/claims/test_article.py",
    "tests/middlebox/test_paths.py",
    "tests/convergence/test_iroute.py",
    "tests/own/test_keys.py",
    "tests/plugin/test_faults.py",
    "tests/own/test_round_trip.py",
    "tests/daemons/test_frr_and_bird.py",
    "tests/check/test_steps.py",
    "tests/shapes/test_up.py",
    "tests/plugin/test_shards.py",
    "tests/own/test_disturbed.py",
    "tests/own/test_parser.py",
    "tests/convergence/test_prefixes.py",
    "tests/own/test_same_as_rendered.py",
    "tests/fault/test_detectors.py",
    "tests/daemons/test_bird.py",
    "tests/own/test_openvpn_files.py",
    "tests/check/test_program.py",
    "tests/static/test_networkmanager.py",
    "tests/browser/test_check_page.py",
    "tests/own/test_filters.py",
    "tests/own/test_jail.py",
    "tests/claims/test_sharing.py",
    "tests/daemons/test_bird3.py",
    "tests/modes/test_extra.py",
    "tests/modes/test_point_to_point.py",
    "tests/silent/test_restarts.py",
    "tests/modes/test_hubs.py",
    "tests/claims/test_inner_table.py",
    "tests/own/test_counterparts.py",
)
"""The files that take longest, in the order of their durations (`artefacts/junit.xml` of `make test`)."""

APART = frozenset(
    {
        "tests/docs/test_commands.py",
        "tests/engine/test_disks.py",
        "tests/engine/test_processes.py",
        "tests/measure/test_plans.py",
    }
)
"""Long files whose tests share nothing that takes long to make: each of their tests goes to the next free worker."""


def unit(test: str) -> str:
    """Return what goes to one worker as a whole: the file of a test, given by its id, or the test."""
    file = test.partition("::")[0]
    return test if file in APART else file


def rank(file: str) -> int:
    """Return the place of a file, given relative to the project."""
    if file in LONGEST:
        return LONGEST.index(file)
    return len(LONGEST) + (PurePosixPath(file).parts[:2] == ("tests", "unit"))
