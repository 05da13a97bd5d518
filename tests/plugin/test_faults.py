"""Faults that a test left: undone before another test uses the lab."""

import pytest

from lab.catalogue import load
from lab.runtime.lab import Lab
from tests.helpers.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.faults]


def test_fault_left_by_a_test_is_undone(project: Project) -> None:
    project.topology()
    project.tests(
        """
        pytestmark = pytest.mark.topology("pair.clab.yml")

        def test_leaves_it(lab):
            lab.fault("link-down", link="one:eth1")
            assert lab.node("one").echo(lab.node("two").address("ipv6"), wait=0.5).silent

        def test_next(lab):
            assert lab.faults == []
            lab.node("one").expect_reaches(lab.node("two").address("ipv6"))
        """
    )
    result = project.run()
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines("*the test left active faults, which were undone: one:eth1 down*")
    assert project.left == []


def test_faults_of_a_reused_lab_are_undone_and_unreadable_ones_refused(project: Project) -> None:
    topology = load(project.topology())
    with Lab.deploy(topology, engine=project.engine, directory=project.path / "files") as lab:
        lab.fault("link-blackhole", link="two:eth1")
        project.tests(
            """
            @pytest.mark.topology("pair.clab.yml")
            def test_reused(lab):
                assert lab.faults == []
                lab.node("one").expect_reaches(lab.node("two").address("ipv6"))
            """
        )
        result = project.run("--lab-reuse")
        result.assert_outcomes(passed=1, warnings=1)
        result.stdout.fnmatch_lines("*active faults, which were undone: all frames on the link of two:eth1 dropped*")
        (lab.directory / "faults" / "1.json").write_text('{"kind": "of yesterday"}')
        refused = project.run("--lab-reuse")
        refused.assert_outcomes(errors=1)
        refused.stdout.fnmatch_lines("*1.json cannot be read*: take the lab down and up again*")
