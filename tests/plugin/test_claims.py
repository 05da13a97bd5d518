"""The fixture `claim` and `--lab-claims` in another project, without a lab."""

import json

import pytest

_TESTS = """
import pytest

@pytest.mark.claims("water is wet", article="says so")
def test_wet(claim):
    claim.echo("splash")
    claim.holds()

@pytest.mark.topology("article", openvpn="2.7")
@pytest.mark.claims("ice is cold")
def test_cold(claim):
    claim.holds()

@pytest.mark.claims("the moon is made of cheese")
def test_cheese(claim):
    assert False

@pytest.mark.claims("nobody knows")
def test_unknown(claim):
    pass

def test_unmarked(claim):
    claim.holds()
"""


_LAST_FIRST = """
def pytest_collection_modifyitems(items):
    items.reverse()
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_verdicts_are_collected_from_workers_too(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(_TESTS)
    pytester.makeconftest(_LAST_FIRST)
    result = pytester.runpytest_subprocess("--lab-claims=out", "--lab-openvpn=2.6", *workers)
    result.assert_outcomes(passed=2, failed=2, errors=1)
    result.stdout.fnmatch_lines(["*the test of a claim has to end with holds(), holds_if() or does_not_hold()*"])
    result.stdout.fnmatch_lines(['*needs a marker: @pytest.mark.claims("the sentence")*'])
    rows = {row["test"]: row for row in json.loads((pytester.path / "out/claims.json").read_text())}
    assert [(name, row["verdict"]) for name, row in rows.items()] == [
        ("test_wet", "holds"),
        ("test_cold", "holds"),
        ("test_cheese", "not shown"),
        ("test_unknown", "not shown"),
    ], "not in the order of the file"
    assert rows["test_wet"]["openvpn"] == "2.6"
    assert rows["test_cold"]["openvpn"] == "2.7", "not its topology's own"
    assert (pytester.path / "out" / rows["test_wet"]["evidence"][0]["file"]).read_text() == "splash\n"
    assert "| water is wet | says so | holds |" in (pytester.path / "out/claims.md").read_text()
