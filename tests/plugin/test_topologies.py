"""The lab that a test gets, and the message if it cannot get one."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.helpers.project import READY, TUNNEL, Project

pytestmark = pytest.mark.docker

Check = Callable[[pytest.RunResult], None]


def test_path_is_relative_to_the_test_or_the_working_directory(project: Project) -> None:
    project.topology(file="sub/beside.clab.yml")
    project.topology(file="pair.clab.yml")
    project.tests(
        """
        @pytest.mark.topology("beside.clab.yml")
        def test_beside(lab):
            lab.node("one").expect_reaches(lab.node("two").address("ipv6"))

        @pytest.mark.topology("pair.clab.yml")
        def test_from_here(lab):
            lab.node("one").expect_reaches(lab.node("two").address("ipv4"))
        """,
        "sub/test_it.py",
    )
    project.run("--strict-markers").assert_outcomes(passed=2)
    assert project.left == []
    assert not (project.path / ".lab").exists()


def test_topology_is_found_by_name(project: Project) -> None:
    project.tests(
        """
        @pytest.mark.topology("article")
        def test_both_families_share_a_session(lab):
            assert lab.router("hq").neighbor("branch").prefixes_received == {"ipv4": 1, "ipv6": 1}
        """
    )
    project.run().assert_outcomes(passed=1)


def test_mistakes_are_reported_in_one_line(project: Project, no_traceback: Check) -> None:
    project.topology("nodes: {one: {}, two: {imagge: x}}\nlinks: [{endpoints: ['one:eth1', 'tow:eth1']}]\n")
    project.tests(
        """
        def test_no_marker(lab):
            pass

        @pytest.mark.topology
        def test_no_name(lab):
            pass

        @pytest.mark.topology("artikle")
        def test_unknown(lab):
            pass

        @pytest.mark.topology("pair.clab.yml")
        def test_mistakes(lab):
            pass

        @pytest.mark.topology("article", version="2.6")
        def test_unknown_argument(lab):
            pass

        @pytest.mark.topology("article", openvpn="1.0")
        def test_unknown_version(lab):
            pass

        @pytest.mark.topology("article", tunnel={"options": {"no-such": 1}})
        def test_unknown_option(lab):
            pass
        """
    )
    result = project.run()
    result.assert_outcomes(errors=7)
    no_traceback(result)
    text = str(result.stdout)
    assert text.count('needs a marker: @pytest.mark.topology("article")') >= 2
    assert "no topology 'artikle': give a file, or one of article" in text
    assert "pair.clab.yml:4:" in text
    assert "imagge" in text
    assert "tow" in text
    assert "the marker `topology` has no argument 'version'; it has openvpn, tunnel, run_scripts, fresh" in text
    assert "unknown OpenVPN version '1.0'" in text
    assert "options.no-such: no such option" in text
    assert "During handling" not in text, "the same is said twice"
    assert project.left == []


def test_unknown_version_is_a_usage_error(project: Project, no_traceback: Check) -> None:
    project.tests("def test_it(): pass")
    result = project.run("--lab-openvpn", "1.0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--lab-openvpn: no version '1.0'; give 2.6, 2.7 or all" in str(result.stderr)
    no_traceback(result)


def test_tests_with_one_topology_share_a_lab(project: Project) -> None:
    project.topology(TUNNEL)
    project.conftest(READY)
    project.tests(
        """
        shared = pytest.mark.topology("pair.clab.yml")

        @shared
        def test_first(lab):
            assert lab.tunnel("one", "two").tunnel.options.get("iroute") is None

        @pytest.mark.topology("pair.clab.yml", fresh=True)
        def test_fresh(lab):
            assert lab.node("one").exec("test", "-e", "/tmp/mark").failed

        @pytest.mark.topology("pair.clab.yml", tunnel={"options": {"iroute": []}})
        def test_overlay(lab):
            assert lab.tunnel("one", "two").tunnel.options["iroute"] == []
            assert not lab.tunnel("one", "two").server.log_lines("MULTI: internal route")

        @shared
        def test_second(lab):
            lab.node("one").exec("touch", "/tmp/mark")

        @shared
        def test_third(lab):
            assert not lab.node("one").exec("test", "-e", "/tmp/mark").failed

        @pytest.mark.topology("pair.clab.yml", fresh=True)
        def test_fresh_again(lab):
            assert lab.node("one").exec("test", "-e", "/tmp/mark").failed
        """
    )
    project.run().assert_outcomes(passed=6)
    assert len(project.said()) == 4, "one shared, two fresh, one with an overlay"
    assert len(set(project.said())) == 4
    assert project.left == []


def test_tests_of_one_version_run_together(project: Project) -> None:
    project.topology()
    project.conftest(READY)
    project.tests(
        """
        @pytest.fixture
        def version(lab):
            return lab.node("one").exec("openvpn", "--version").stdout.split()[1][:3]

        @pytest.mark.topology("pair.clab.yml")
        def test_first(version):
            print(f"first {version}")

        @pytest.mark.topology("pair.clab.yml")
        def test_second(version):
            print(f"second {version}")

        @pytest.mark.topology("pair.clab.yml", openvpn="2.7")
        def test_fixed(version):
            print(f"fixed {version}")

        def test_without():
            pass
        """
    )
    result = project.run("--lab-openvpn", "all", "-rP", "-v")
    result.assert_outcomes(passed=6)
    said = [line for line in result.outlines if line.split(" ")[0] in ("first", "second", "fixed")]
    assert said.index("second 2.6") < said.index("first 2.7")
    assert sorted(said) == ["first 2.6", "first 2.7", "fixed 2.7", "second 2.6", "second 2.7"]
    result.stdout.fnmatch_lines(["*test_first?openvpn-2.6?*"])
    assert len(project.said()) == 2, "the test with a version of its own shares the lab of that version"
    assert [line.rpartition(":")[2][:3] for line in project.said()] == ["2.6", "2.7"]
    assert project.left == []


def test_version_of_the_command_line_overrides_the_topology(project: Project) -> None:
    project.topology()
    project.conftest(READY)
    project.tests(
        """
        @pytest.mark.topology("pair.clab.yml")
        def test_it(lab):
            assert lab.node("one").exec("openvpn", "--version").stdout.startswith("OpenVPN 2.7.")
        """
    )
    project.run("--lab-openvpn=2.7").assert_outcomes(passed=1)


def test_least_recently_used_lab_is_removed(project: Project) -> None:
    """Three labs are kept at most."""
    for number in range(4):
        project.topology("nodes: {one: {}}", f"{number}.clab.yml", f"{project.name}-{number}")
    project.conftest(
        f"""
        from pathlib import Path
        from lab.runtime.registry import running_labs

        def pytest_lab_ready(lab):
            ours = [n.split("-")[3] for n in running_labs(lab.engine) if n.startswith("{project.name}-")]
            with Path("ready.txt").open("a") as file:
                file.write("".join(ours) + "\\n")
        """
    )
    project.tests(
        """
        def use(number):
            @pytest.mark.topology(f"{number}.clab.yml")
            def test(lab):
                assert not lab.node("one").exec("true").failed
            return test

        test_0, test_1, test_2, test_0_again, test_3 = map(use, (0, 1, 2, 0, 3))
        """
    )
    project.run().assert_outcomes(passed=5)
    assert project.said() == ["0", "01", "012", "023"]
    assert project.left == []


def test_missing_engine_fails_with_a_remedy(
    project: Project, no_traceback: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.topology()
    project.tests(
        """
        @pytest.mark.topology("pair.clab.yml")
        def test_it(lab):
            pass

        def test_without():
            pass
        """
    )
    monkeypatch.setenv("DOCKER_HOST", f"unix://{project.path}/nobody.sock")
    monkeypatch.setenv("LAB_ENGINE", "docker")
    result = project.run()
    result.assert_outcomes(passed=1, errors=1)
    assert f"no Docker engine answers at unix://{project.path}/nobody.sock: start it, run" in str(result.stdout)
    no_traceback(result)


def test_unsupported_feature_is_a_skip(project: Project) -> None:
    """The lab's probe of the kernel is replaced, since the features of this kernel are not known."""
    project.topology()
    project.conftest(
        """
        import pytest
        from lab.core.errors import NotSupported

        @pytest.fixture(autouse=True)
        def lack(monkeypatch):
            def connect_nodes(*_):
                raise NotSupported("warp", "the kernel knows no such drive")
            monkeypatch.setattr("lab.engine.links.NamespaceLinks.connect_nodes", connect_nodes)
        """
    )
    project.tests(
        """
        @pytest.mark.topology("pair.clab.yml")
        def test_it(lab):
            pass
        """
    )
    result = project.run("-rs")
    result.assert_outcomes(skipped=1)
    assert "warp is not available here: the kernel knows no such drive" in str(result.stdout)
    assert project.left == []


def test_plugin_imports_nothing_heavy() -> None:
    """Every pytest run in this environment loads the plugin."""
    heavy = ("docker", "pyroute2", "scapy", "requests", "cryptography", "jinja2", "yaml", "pydantic")
    script = f"import json, sys, lab.testing.plugin; print(json.dumps([m for m in {heavy!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_run_without_labs_imports_nothing_heavy(project: Project) -> None:
    project.tests(
        """
        import sys

        def test_it():
            assert not {"docker", "pyroute2", "scapy"} & set(sys.modules)
        """
    )
    project.run().assert_outcomes(passed=1)
