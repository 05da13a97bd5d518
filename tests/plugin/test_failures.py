"""The lab of a failed test: it is replaced, and logs and packets are kept."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, TCP
from scapy.utils import rdpcap

from lab.core.expect import Expectation, wait_for
from lab.core.process import this_process
from lab.runtime.destroy import destroy
from lab.runtime.lab import Lab
from tests.helpers.labs import PAIR
from tests.helpers.labs import topology as written
from tests.helpers.project import READY, TUNNEL, Project

pytestmark = pytest.mark.docker

MARKED = '@pytest.mark.topology("pair.clab.yml")'


def test_lab_of_a_failed_test_is_replaced(project: Project) -> None:
    """The test fails in itself, in the setup of a fixture, or in a fixture's teardown."""
    project.topology()
    project.conftest(READY)
    project.tests(
        f"""
        @pytest.fixture
        def fails_before(lab):
            lab.node("one").exec("touch", "/tmp/mark")
            raise RuntimeError("before")

        @pytest.fixture
        def fails_after(lab):
            lab.node("one").exec("touch", "/tmp/mark")
            yield
            raise RuntimeError("after")

        def check(lab):
            assert lab.node("one").exec("test", "-e", "/tmp/mark").failed

        {MARKED}
        def test_fails(lab):
            lab.node("one").exec("touch", "/tmp/mark")
            assert False

        {MARKED}
        def test_1(lab):
            check(lab)

        {MARKED}
        def test_fails_before(fails_before):
            pass

        {MARKED}
        def test_2(lab):
            check(lab)

        {MARKED}
        def test_fails_after(fails_after):
            pass

        {MARKED}
        def test_3(lab):
            check(lab)

        {MARKED}
        def test_4(lab):
            check(lab)
        """
    )
    project.run().assert_outcomes(passed=5, failed=1, errors=2)
    assert len(project.said()) == 4
    assert project.left == []


def test_lab_broken_by_a_passed_test_is_reported_and_replaced(project: Project) -> None:
    """With captures the plugin notices it; without them the test does."""
    project.topology(TUNNEL)
    project.conftest(READY)
    project.tests(
        f"""
        import os, signal

        {MARKED}
        def test_breaks(lab):
            os.kill(lab.nodes["two"].pid, signal.SIGKILL)

        {MARKED}
        def test_suffers(lab):
            pass

        {MARKED}
        def test_goes_on(lab):
            assert not lab.node("two").exec("true").failed
        """
    )
    result = project.run("--lab-artefacts", "left")
    result.assert_outcomes(passed=2, errors=1)
    assert "node 'two' of lab" in str(result.stdout)
    assert "is not running: it is stopped" in str(result.stdout)
    assert "Traceback" not in str(result.stdout)
    assert len(project.said()) == 2
    assert project.left == []


def test_hook_that_raises_leaves_no_lab(project: Project) -> None:
    project.topology()
    project.conftest(
        """
        def pytest_lab_ready(lab):
            raise RuntimeError("not ready at all")

        def pytest_lab_failed(item, lab, artefacts):
            raise RuntimeError("no time for failures")
        """
    )
    project.tests(f"{MARKED}\ndef test_it(lab): pass")
    result = project.run()
    result.assert_outcomes(errors=1)
    assert "not ready at all" in str(result.stdout)
    assert project.left == []
    project.conftest("def pytest_lab_failed(item, lab, artefacts): raise RuntimeError('no time for failures')")
    project.tests(f"{MARKED}\ndef test_fails(lab): assert False")
    result = project.run()
    result.assert_outcomes(failed=1, errors=1)
    assert "no time for failures" in str(result.stdout)
    assert project.left == []


def test_expected_failure_and_skip_keep_the_lab(project: Project) -> None:
    project.topology()
    project.conftest(READY)
    project.tests(
        f"""
        {MARKED}
        @pytest.mark.xfail(strict=True)
        def test_expected(lab):
            assert False

        {MARKED}
        def test_skips(lab):
            pytest.skip("no wish to")

        {MARKED}
        def test_passes(lab):
            pass
        """
    )
    project.run().assert_outcomes(passed=1, xfailed=1, skipped=1)
    assert len(project.said()) == 1


def test_failed_test_leaves_artefacts(project: Project) -> None:
    project.conftest(
        """
        from pathlib import Path

        def pytest_lab_failed(item, lab, artefacts):
            nodes = ",".join(sorted(lab.nodes))
            running = not lab.node("hq").exec("true").failed
            assert (artefacts / "hq" / "state.txt").exists()
            (artefacts / "mine.txt").write_text(f"{item.name} {nodes} {running}")
        """
    )
    project.tests(
        """
        pytestmark = pytest.mark.topology("article")

        @pytest.mark.parametrize("what", ["a/../b c"])
        def test_fails(lab, what):
            address = lab.host("branch-lan").address("ipv4")
            lab.host("hq-lan").expect_reaches(address)
            assert False

        def test_passes(lab):
            pass
        """
    )
    result = project.run("--lab-artefacts", "left")
    result.assert_outcomes(failed=1, passed=1)
    (into,) = (project.path / "left").iterdir()
    assert re.fullmatch(r"[\w.=-]+", into.name)
    assert "test_fails" in into.name
    result.stdout.fnmatch_lines([f"*logs and packets of the failed test are in *{into.name}"])
    assert (into / "mine.txt").read_text() == "test_fails[a/../b c] branch,branch-lan,hq,hq-lan,transit True"

    for node in ("hq", "branch", "transit", "hq-lan", "branch-lan"):
        assert (into / node / "state.txt").read_text().startswith("running ")
        for file in ("addresses.txt", "routes-ipv4.txt", "routes-ipv6.txt", "processes.txt", "sockets.txt"):
            assert (into / node / file).stat().st_size, f"{node}/{file}"
    for node, end in (("hq", "server"), ("branch", "client")):
        assert "Initialization Sequence Completed" in (into / node / f"var/log/openvpn/branch-hq.{end}.log").read_text()
        assert (into / node / f"etc/openvpn/{end}/branch-hq.conf").exists()
        assert "router bgp" in (into / node / "etc/frr/frr.conf").read_text()
        assert "10.2.0.0/24" in (into / node / "rib-ipv4.json").read_text()
        assert "2001:db8:1::/64" in (into / node / "rib-ipv6.json").read_text()
    assert re.search(r"10\.2\.0\.0/24 .*via 10\.255\.0\.2 dev tun0", (into / "hq/routes-ipv4.txt").read_text())
    assert "branch" in (into / "tunnel-branch-hq.txt").read_text()

    captured = {path.name: rdpcap(str(path)) for path in into.glob("*.pcap")}
    assert {"hq-tun0.pcap", "branch-tun0.pcap", "hq-eth1.pcap", "branch-eth2.pcap"} <= set(captured)
    assert any(ICMP in p for p in captured["hq-tun0.pcap"])
    assert not any(ICMP in p for p in captured["hq-eth1.pcap"])
    assert any(TCP in p for p in captured["hq-eth1.pcap"])
    secret = [p for p in into.rglob("*") if p.is_file() and b"PRIVATE KEY" in p.read_bytes()]
    assert secret == []
    assert project.left == []


def test_hook_gets_no_directory_without_artefacts(project: Project) -> None:
    project.topology()
    project.conftest(
        """
        from pathlib import Path

        def pytest_lab_failed(item, lab, artefacts):
            with Path("ready.txt").open("a") as file:
                file.write(f"{item.name} {artefacts}\\n")
        """
    )
    project.tests(
        f"""
        {MARKED}
        def test_fails(lab):
            assert False

        {MARKED}
        def test_passes(lab):
            pass
        """
    )
    project.run().assert_outcomes(failed=1, passed=1)
    assert project.said() == ["test_fails None"]


def test_lab_that_cannot_be_deployed_leaves_a_diagnosis(project: Project) -> None:
    project.topology("""nodes: {dying: {cmd: 'sh -c "echo I give up; exit 3"'}, two: {}}""")
    project.tests(f"{MARKED}\ndef test_it(lab): pass")
    result = project.run("--lab-artefacts", "left")
    result.assert_outcomes(errors=1)
    text = str(result.stdout)
    assert "'dying' ended with exit code 3" in text
    assert "dying printed before it ended:" in text
    assert "I give up" in text
    assert "Traceback" not in text
    (into,) = (project.path / "left").iterdir()
    assert (into / "dying" / "container-output.txt").read_text() == "I give up"
    assert (into / "two" / "state.txt").read_text().startswith("running ")
    assert project.left == []


def test_lab_keep_keeps_the_lab_of_a_failed_test(project: Project) -> None:
    project.topology()
    project.tests(
        f"""
        {MARKED}
        def test_fails(lab):
            lab.node("one").exec("touch", "/tmp/mark")
            assert False

        {MARKED}
        def test_passes(lab):
            assert lab.node("one").exec("test", "-e", "/tmp/mark").failed
        """
    )
    result = project.run("--lab-keep")
    result.assert_outcomes(failed=1, passed=1)
    (kept,) = project.left
    result.stdout.fnmatch_lines([f"lab {kept} is kept: `lab status --lab {kept}`, `lab down {kept}`"])
    with Lab.attach(kept, engine=project.engine) as lab:
        assert not lab.node("one").exec("test", "-e", "/tmp/mark").failed

    # The next run removes labs left by other runs, but not one that is kept.
    project.run("-k", "passes").assert_outcomes(passed=1)
    assert project.left == [kept]
    assert destroy(kept, engine=project.engine)
    assert not (project.path / ".lab").exists()


def test_lab_reuse_uses_a_running_lab_and_leaves_it(project: Project, tmp_path: Path) -> None:
    project.topology()
    project.conftest(READY)
    lab = Lab.deploy(
        written(tmp_path, project.name, PAIR), engine=project.engine, directory=tmp_path / "lab", owner=this_process()
    )
    lab.node("one").exec("touch", "/tmp/mark")
    project.tests(
        f"""
        def marked(lab):
            return not lab.node("one").exec("test", "-e", "/tmp/mark").failed

        {MARKED}
        def test_reuses(lab):
            assert marked(lab)

        {MARKED}
        def test_fails(lab):
            assert marked(lab)
            assert False

        {MARKED}
        def test_reuses_again(lab):
            assert marked(lab)

        @pytest.mark.topology("pair.clab.yml", fresh=True)
        def test_fresh(lab):
            assert not marked(lab)

        @pytest.mark.topology("pair.clab.yml", openvpn="2.7")
        def test_another(lab):
            assert not marked(lab)
        """
    )
    project.run("--lab-reuse").assert_outcomes(passed=4, failed=1)
    assert project.left == [project.name]
    assert not lab.node("one").exec("true").failed
    names = [line.split()[0] for line in project.said()]
    assert names[:2] == [project.name] * 2
    assert project.name not in names[2:]

    # Without the option the running lab is not used, and the tests have their own.
    project.run("-k", "fresh").assert_outcomes(passed=1)
    assert project.left == [project.name]
    lab.destroy()


def test_labs_of_a_killed_run_are_removed_by_the_next(project: Project) -> None:
    project.topology()
    project.tests(
        f"""
        import signal
        from pathlib import Path

        {MARKED}
        def test_hangs(lab):
            Path("ready.txt").write_text("now")
            signal.pause()

        {MARKED}
        def test_passes(lab):
            pass
        """
    )
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    with subprocess.Popen([*argv, "-k", "hangs"], cwd=project.path, stdout=subprocess.DEVNULL) as killed:
        wait_for(Expectation("the test to run", "pytest", project.said, bool), within=60)
        killed.send_signal(signal.SIGKILL)
    assert len(project.left) == 1
    project.run("-k", "passes").assert_outcomes(passed=1)
    assert project.left == []
    assert not (project.path / ".lab").exists()


def test_interrupted_run_removes_its_labs(project: Project) -> None:
    project.topology()
    project.tests(
        f"""
        import signal
        from pathlib import Path

        {MARKED}
        def test_hangs(lab):
            Path("ready.txt").write_text("now")
            signal.pause()
        """
    )
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    with subprocess.Popen(argv, cwd=project.path, stdout=subprocess.DEVNULL) as interrupted:
        wait_for(Expectation("the test to run", "pytest", project.said, bool), within=60)
        interrupted.send_signal(signal.SIGINT)
    assert interrupted.returncode == pytest.ExitCode.INTERRUPTED
    assert project.left == []


def test_workers_have_separate_labs(project: Project) -> None:
    pytest.importorskip("xdist")
    project.topology()
    project.conftest(READY)
    project.tests(
        f"""
        {MARKED}
        @pytest.mark.parametrize("number", range(4))
        def test_it(lab, number):
            lab.node("one").expect_reaches(lab.node("two").address("ipv4"))

        {MARKED}
        def test_fails(lab):
            assert False
        """
    )
    result = project.run("-n", "2", "--lab-artefacts", "left", "--lab-keep")
    result.assert_outcomes(passed=4, failed=1)
    assert len({line.split()[0] for line in project.said()}) == len(project.said())
    (kept,) = project.left
    assert f"`lab down {kept}`" in str(result.stdout)
    assert len(list((project.path / "left").iterdir())) == 1
