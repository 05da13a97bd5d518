"""`needs_kernel`: what runs on the host, what is skipped, and what runs in a virtual machine; none is booted."""

import re

import pytest

from lab.host.doctor import probe_kernel
from lab.vm.relay import QUEUE, REPORTS, Lines, append

pytestmark = pytest.mark.docker


def lacking() -> str:
    """Return a feature that this kernel lacks."""
    features = probe_kernel()
    assert not isinstance(features, str), features
    missing = [name for name, reason in features.items() if reason is not None]
    if not missing:
        pytest.skip("this kernel lacks nothing")
    return missing[0]


def test_missing_feature_is_skipped_by_name(pytester: pytest.Pytester) -> None:
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


def test_feature_that_cannot_be_probed_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import lab.host.doctor; lab.host.doctor.probe_kernel = lambda: 'not tried: no permission'")
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
    result.stdout.fnmatch_lines(
        ["*the kernel's features were not tried: no permission; `lab doctor`, as root, probes*"]
    )


def test_unknown_feature_is_a_usage_error(pytester: pytest.Pytester) -> None:
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


def test_virtual_machine_does_not_probe_features(pytester: pytest.Pytester) -> None:
    """It was booted for these features, and probing is slow without KVM."""
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
    # The control: on the host the same test fails, since the features could not be probed.
    pytester.runpytest_subprocess("--lab-kernel=host").assert_outcomes(errors=1)


FAKES = """
    import pytest
    import lab.vm.virtual_machine, lab.vm.relay

    class Machine:
        def keep(self, into): ...
        def close(self): print("a VM ends")

    class Relay:
        def __init__(self, machine, project): self.machine = machine
        def begin(self, arguments): print("the VM begins")
        def wait_ready(self): print("the VM is waited for")
        def fetch(self, name, into): ...
        def run(self, nodeid, then):
            if "hang" in nodeid.partition("::")[2]:
                raise lab.vm.relay.Ended(f"the machine did not run {nodeid}")
            for when in ("setup", "call", "teardown"):
                report = pytest.TestReport(nodeid, (nodeid, 1, nodeid), {}, "passed", None, when)
                yield {"$report_type": "TestReport", **report._to_json()}

    def boot(name, project, **_):
        print("a VM boots")
        return Machine()

    lab.vm.virtual_machine.VirtualMachine.boot = boot
    lab.vm.virtual_machine.sweep_virtual_machines = lambda: None
    lab.vm.virtual_machine.kept = lambda project: None
    lab.vm.virtual_machine.has_room = lambda count: True
    lab.vm.relay.Relay = Relay
"""


def test_hung_virtual_machine_fails_one_test_only(pytester: pytest.Pytester) -> None:
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
        def test_that_gets_no_virtual_machine(): ...
        """
    )
    result = pytester.runpytest_subprocess("-s", "--lab-kernel=vm")
    result.assert_outcomes(passed=3, errors=4)
    text = result.stdout.str()
    assert text.count("a VM boots") == text.count("a VM ends") == 3
    assert text.count("the machine did not run test_hung_virtual_machine_fails_one_test_only.py") >= 3


HERE_AND_THERE = """
    import pytest

    @pytest.mark.kernel
    @pytest.mark.parametrize("number", range(20))
    def test_here(number): print(f"here {number}")

    @pytest.mark.needs_kernel("MISSING")
    def test_there(): ...
"""
BOOTS = ("a VM boots", "the VM begins")
WAITED = "the VM is waited for"


def said(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    """Return what was printed by the virtual machine's stand-in and by the tests of the host."""
    result = pytester.runpytest_subprocess("-s", *arguments)
    assert result.ret == pytest.ExitCode.OK
    return re.findall(rf"here \d+|{'|'.join(BOOTS)}|{WAITED}", result.stdout.str())


def test_virtual_machine_boots_while_the_last_tests_run_on_the_host(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(FAKES)
    pytester.makepyfile(HERE_AND_THERE.replace("MISSING", lacking()))
    here = [f"here {number}" for number in range(20)]
    assert said(pytester) == [*here[:12], *BOOTS, *here[12:], WAITED]
    # With memory for one only, it boots after the tests of the host, which may boot one themselves.
    pytester.makeconftest(f"{FAKES}    lab.vm.virtual_machine.has_room = lambda count: count < 2\n")
    assert said(pytester) == [*here, *BOOTS, WAITED]
    # None boots without a test for it.
    assert said(pytester, "-k", "test_here") == here


def test_virtual_machine_that_cannot_boot_fails_its_own_tests_only(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        f"""{FAKES}
    def boot(name, project, **_):
        from lab.core.errors import EnvironmentBroken
        raise EnvironmentBroken("the virtual machine does not boot")

    lab.vm.virtual_machine.VirtualMachine.boot = boot
"""
    )
    pytester.makepyfile(HERE_AND_THERE.replace("MISSING", lacking()))
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=20, errors=1)
    result.stdout.fnmatch_lines(["the virtual machine does not boot"])


def test_virtual_machine_stops_if_the_run_ends_before_its_tests(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(FAKES)
    pytester.makepyfile(HERE_AND_THERE.replace("MISSING", lacking()).replace("print(f", "assert number < 15, print(f"))
    result = pytester.runpytest_subprocess("-s", "-x")
    result.assert_outcomes(passed=15, failed=1)
    text = result.stdout.str()
    assert text.index("the VM begins") < text.index("a VM ends")
    assert WAITED not in text


def test_plugin_switched_off_on_the_host_is_off_in_the_virtual_machine(pytester: pytest.Pytester) -> None:
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
