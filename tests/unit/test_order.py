"""The order of the files of tests among workers."""

from pathlib import Path

import pytest

from tests.helpers.order import APART, LONGEST, rank

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", [*LONGEST, *sorted(APART - set(LONGEST))])
def test_file_in_the_order_exists(file: str) -> None:
    assert (ROOT / file).is_file(), "rename it in tests/helpers/order.py too"


def test_longest_files_come_first_and_unit_tests_last() -> None:
    files = ["tests/unit/test_order.py", "tests/claims/test_article.py", LONGEST[1], LONGEST[0]]
    assert sorted(files, key=rank) == [
        LONGEST[0],
        LONGEST[1],
        "tests/claims/test_article.py",
        "tests/unit/test_order.py",
    ]
    assert len(set(LONGEST)) == len(LONGEST)


def test_workers_get_the_files_in_this_order(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\nmarkers =\n  usually(version): is the same")
    pytester.makeconftest((ROOT / "tests/conftest.py").read_text())
    for file in ("tests/unit/test_it.py", "tests/other/test_that.py", LONGEST[0]):
        path = pytester.path / file
        path.parent.mkdir(parents=True)
        path.write_text("def test_it(): pass\n")
    arguments = ("-n1", "--dist=loadfile", "--no-loadscope-reorder", "--lab-kernel=host", "-v")
    result = pytester.runpytest_subprocess(*arguments)
    result.assert_outcomes(passed=3)
    passed = [line.split()[-1] for line in result.outlines if "PASSED" in line]
    assert passed == [f"{file}::test_it" for file in (LONGEST[0], "tests/other/test_that.py", "tests/unit/test_it.py")]


def test_tests_of_some_files_go_to_several_workers(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\nmarkers =\n  usually(version): is the same")
    pytester.makeconftest((ROOT / "tests/conftest.py").read_text())
    whole, apart = "tests/other/test_that.py", min(APART)
    for file in (whole, apart):
        path = pytester.path / file
        path.parent.mkdir(parents=True)
        path.write_text("import pytest\n@pytest.mark.parametrize('n', range(40))\ndef test_it(n): pass\n")
    result = pytester.runpytest_subprocess("-n2", "--dist=loadfile", "--no-loadscope-reorder", "-v")
    result.assert_outcomes(passed=80)
    passed = [line.split() for line in result.outlines if "PASSED" in line]
    workers = {file: {words[0] for words in passed if words[-1].startswith(file)} for file in (whole, apart)}
    assert {file: len(found) for file, found in workers.items()} == {whole: 1, apart: 2}
