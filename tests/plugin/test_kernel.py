"""`needs_kernel`: what runs here, what is skipped by name, and what goes to the machine; no machine is booted."""

import re

import pytest

from lab.host.doctor import probe_kernel
from lab.vm.relay import QUEUE, REPORTS, Lines, append

pytestmark = pytest.mark.docker


def lacking() -> str:
    """A feature that this kernel lacks."""
    features = probe_kernel()
    assert not isinstance(features, str), features
    missing = [name for name, reason in features.items() if reason is not None]
    if not missing:
        pytest.skip("this kernel lacks nothing")
    return missing[0]


def test_what_the_kernel_has_runs_here_and_what_it_lacks_is_skipped_by_name(pytester: pytest.Pytester) -> None:
    missing = lacking()
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.needs_kernel("{missing}")
        def test_more(): ...

        @pytest.mark.needs_kernel("veth")
        def test_here(): ...

        def test_anyway(): ...
        """
    )
    result = pytester.runpytest_subprocess("-rs", "--lab-kernel=host")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines([f"*this kernel lacks {missing} (*"])
    result = pytester.runpytest_subprocess("-m", "kernel", "--lab-kernel=host")
    result.assert_outcomes(passed=1, skipped=1, deselected=1)


def test_what_could_not_be_tried_is_no_lack(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import lab.host.doctor; lab.host.doctor.probe_kernel = lambda: 'not tried: nobody may'")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.needs_kernel("veth")
        def test_more(): ...

        def test_anyway(): ...
        """
    )
    result = pytester.runpytest_subprocess("--lab-kernel=host")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the kernel's features were not tried: nobody may; `lab doctor`, as root, probes*"])


def test_an_unknown_feature_is_an_authors_mistake(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.needs_kernel("ovpm")
        def test_more(): ...
        """
    )
    result = pytester.runpytest_subprocess("--lab-kernel=host")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*needs_kernel has no feature 'ovpm'*"])


def test_in_the_machine_nobody_asks_again_what_its_kernel_has(pytester: pytest.Pytester) -> None:
    """It was booted for that, and asking takes long in emulation."""
    pytester.makeconftest("import lab.host.doctor; lab.host.doctor.probe_kernel = lambda: 'not tried: it takes long'")
    pytester.makepyfile(
        test_machine="""
        import pytest

        @pytest.mark.needs_kernel("veth")
        def test_more(): ...
        """
    )
    share = pytester.mkdir("share")
    append(share / QUEUE, {"run": "test_machine.py::test_more", "then": None})
    append(share / QUEUE, {"end": True})
    pytester.runpytest_subprocess("--lab-kernel=host", f"--lab-serve={share}").assert_outcomes(passed=1)
    told = list(Lines(share / REPORTS).new())
    assert told[0] == {"ready": 1}
    assert [message["report"]["outcome"] for message in told if "report" in message] == ["passed"] * 3
    assert told[-1] == {"done": "test_machine.py::test_more"}
    # The control: here the same test fails, since nobody could tell.
    pytester.runpytest_subprocess("--lab-kernel=host").assert_outcomes(errors=1)


FAKES = """
    import pytest
    import lab.vm.virtual_machine, lab.vm.relay

    class Machine:
        def keep(self, into): ...
        def close(self): print("a machine ends")

    class Relay:
        def __init__(self, machine, project): self.machine = machine
        def begin(self, arguments): print("the machine begins")
        def wait_ready(self): print("the machine is waited for")
        def fetch(self, name, into): ...
        def run(self, nodeid, then):
            if "hang" in nodeid.partition("::")[2]:
                raise lab.vm.relay.Ended(f"the machine did not run {nodeid}")
            for when in ("setup", "call", "teardown"):
                report = pytest.TestReport(nodeid, (nodeid, 1, nodeid), {}, "passed", None, when)
                yield {"$report_type": "TestReport", **report._to_json()}

    def boot(name, project, **_):
        print("a machine boots")
        return Machine()

    lab.vm.virtual_machine.VirtualMachine.boot = boot
    lab.vm.virtual_machine.sweep_virtual_machines = lambda: None
    lab.vm.virtual_machine.kept = lambda project: None
    lab.vm.virtual_machine.has_room = lambda count: True
    lab.vm.relay.Relay = Relay
"""


def test_a_machine_that_hangs_in_a_test_is_no_end_of_the_others(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(FAKES)
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.needs_kernel("veth")

        def test_before(): ...
        def test_hangs(): ...
        def test_after(): ...
        def test_hangs_as_well(): ...
        def test_later(): ...
        def test_hangs_again(): ...
        def test_that_has_no_machine_left(): ...
        """
    )
    result = pytester.runpytest_subprocess("-s", "--lab-kernel=vm")
    result.assert_outcomes(passed=3, errors=4)
    text = result.stdout.str()
    assert text.count("a machine boots") == text.count("a machine ends") == 3
    assert text.count("the machine did not run test_a_machine_that_hangs_in_a_test_is_no_end_of_the_others.py") >= 3


HERE_AND_THERE = """
    import pytest

    @pytest.mark.kernel
    @pytest.mark.parametrize("number", range(20))
    def test_here(number): print(f"here {number}")

    @pytest.mark.needs_kernel("MISSING")
    def test_there(): ...
"""
BOOTS = ("a machine boots", "the machine begins")
WAITED = "the machine is waited for"


def said(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    """What is printed of the machine and by the tests here."""
    result = pytester.runpytest_subprocess("-s", *arguments)
    assert result.ret == pytest.ExitCode.OK
    return re.findall(rf"here \d+|{'|'.join(BOOTS)}|{WAITED}", result.stdout.str())


def test_a_machine_boots_while_the_last_tests_run_here(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(FAKES)
    pytester.makepyfile(HERE_AND_THERE.replace("MISSING", lacking()))
    here = [f"here {number}" for number in range(20)]
    assert said(pytester) == [*here[:12], *BOOTS, *here[12:], WAITED]
    # Where tests here could boot another one and there is no room for two it waits its turn.
    pytester.makeconftest(f"{FAKES}    lab.vm.virtual_machine.has_room = lambda count: count < 2\n")
    assert said(pytester) == [*here, *BOOTS, WAITED]
    # And none boots where no test is for it.
    assert said(pytester, "-k", "test_here") == here


def test_a_machine_that_cannot_begin_early_is_the_trouble_of_its_own_tests_alone(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        f"""{FAKES}
    def boot(name, project, **_):
        from lab.core.errors import EnvironmentBroken
        raise EnvironmentBroken("the machine does not boot")

    lab.vm.virtual_machine.VirtualMachine.boot = boot
"""
    )
    pytester.makepyfile(HERE_AND_THERE.replace("MISSING", lacking()))
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=20, errors=1)
    result.stdout.fnmatch_lines(["the machine does not boot"])


def test_a_machine_that_has_begun_ends_with_a_run_that_ends_before_its_tests(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(FAKES)
    pytester.makepyfile(HERE_AND_THERE.replace("MISSING", lacking()).replace("print(f", "assert number < 15, print(f"))
    result = pytester.runpytest_subprocess("-s", "-x")
    result.assert_outcomes(passed=15, failed=1)
    text = result.stdout.str()
    assert text.index("the machine begins") < text.index("a machine ends")
    assert WAITED not in text


def test_plugin_switched_off_here_is_off_in_the_virtual_machine(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        f"""{FAKES}
    Relay.begin = lambda self, arguments: print("arguments", *arguments)
"""
    )
    pytester.makepyfile(HERE_AND_THERE.replace("MISSING", lacking()))

    def arguments(*options: str) -> list[str]:
        result = pytester.runpytest_subprocess("-s", "-k", "test_there", *options)
        result.assert_outcomes(passed=1, deselected=20)
        return next(line.split() for line in result.outlines if line.startswith("arguments"))

    both = arguments()
    assert not any(argument.startswith("-pno:openvpn-routing-lab") for argument in both)
    assert any(argument.startswith("--lab-artefacts=") for argument in both)
    without_lab = arguments("-pno:openvpn-routing-lab")
    assert "-pno:openvpn-routing-lab" in without_lab
    assert not any(argument.startswith("--lab-artefacts=") for argument in without_lab)
    assert "-pno:openvpn-routing-lab-claims" in arguments("-pno:openvpn-routing-lab-claims")
