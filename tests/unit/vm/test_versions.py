"""The versions of OpenVPN that nodes in the VM can run."""

import pytest

from lab.image import VERSIONS
from lab.testing.kernel import _versions

OLD, NEW = VERSIONS

TESTS = """
    import pytest

    @pytest.mark.topology("article", openvpn="2.7")
    def test_one(): pass

    @pytest.mark.topology("article")
    def test_each(lab_openvpn): pass

    def test_of_its_own(): pass
"""


def test_vm_has_the_versions_of_its_tests_or_all_if_one_names_none(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    items, _ = pytester.inline_genitems("--lab-openvpn=all")
    one, old, new, own = items
    assert _versions([one]) == (NEW,)
    assert _versions([one, old]) == VERSIONS
    assert _versions([one, new]) == (NEW,)
    assert _versions([one, own]) == VERSIONS
