"""The matrix of combinations: pairwise cases have every two choices."""

from itertools import combinations
from pathlib import Path

import pytest

from lab.image import VERSIONS
from lab.routing import daemons
from lab.tunnel import modes
from tests.helpers import matrix
from tests.helpers.matrix import Case


def test_whole_matrix_is_every_combination() -> None:
    cases = matrix.whole()
    assert len(set(cases)) == len(cases) == len(matrix.SHAPES) * len(VERSIONS) * 4 * len(matrix.SPEAKERS)
    assert len({str(case) for case in cases}) == len(cases)


def test_pairwise_cases_have_every_two_choices() -> None:
    few, whole = matrix.pairwise(), matrix.whole()
    assert set(few) <= set(whole)
    assert frozenset[tuple[str, str]]().union(*(c.pairs for c in few)) == {p for c in whole for p in c.pairs}
    assert len(few) < len(whole) / 20


def test_pairwise_cases_have_every_kind_of_packet_and_every_pair_of_daemons() -> None:
    def choices(case: Case) -> dict[str, str]:
        return {
            "shape": case.shape.name,
            "version": case.openvpn,
            "transport": case.underlay.transport,
            "outer": case.underlay.outer,
            "kind": case.speakers.kind,
        }

    for one, other in combinations(("shape", "version", "transport", "outer", "kind"), 2):
        few, whole = (
            {(choices(c)[one], choices(c)[other]) for c in cases} for cases in (matrix.pairwise(), matrix.whole())
        )
        assert few == whole, (one, other)
    assert {case.speakers for case in matrix.pairwise()} == set(matrix.SPEAKERS)


def test_every_mode_and_daemon_is_in_the_matrix() -> None:
    """But those that do not route dynamically, or are there to fail, and the kernel's, which has tests of its own."""
    assert {shape.mode for shape in matrix.SHAPES} == modes().keys() - {"fixed-routes", "shared-iroute", "dco"}
    assert {daemon for speakers in matrix.SPEAKERS for daemon in speakers.daemons} == daemons().keys()


def test_two_underlays_have_every_transport_and_family() -> None:
    few = matrix.underlays("pairwise")
    assert {u.transport for u in few} == {"udp", "tcp"}
    assert {u.outer for u in few} == {"ipv4", "ipv6"}
    assert set(few) < set(matrix.underlays("whole"))


THOROUGH = """
    import pytest

    @pytest.mark.topology("article")
    @pytest.mark.usually("2.7")
    def test_either(lab_openvpn): pass

    @pytest.mark.thorough
    @pytest.mark.parametrize("number", [1, 2])
    def test_long(number): pass

    def test_short(): pass
"""


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        ((), 2),
        (("test_it.py",), 2),
        (("--lab-openvpn=2.6",), 2),
        (("--lab-matrix=whole",), 5),
        (("-m", "thorough"), 2),
        (("test_it.py::test_long",), 2),
        (("test_it.py::test_long[1]",), 1),
        (("test_it.py::test_either",), 2),
    ],
    ids=str,
)
def test_thorough_tests_run_when_asked_for(pytester: pytest.Pytester, arguments: tuple[str, ...], passed: int) -> None:
    """With the hooks of this suite's own conftest.py."""
    pytester.makeini(
        "[pytest]\naddopts = --lab-openvpn=all\nmarkers =\n  thorough: takes long\n  usually(version): is the same"
    )
    pytester.makeconftest((Path(__file__).parents[1] / "conftest.py").read_text())
    pytester.makepyfile(test_it=THOROUGH)
    result = pytester.runpytest_inprocess(*arguments)
    result.assert_outcomes(
        passed=passed,
        deselected=(4 if "--lab-openvpn=2.6" in arguments else 5) - passed if "::" not in str(arguments) else 0,
    )
