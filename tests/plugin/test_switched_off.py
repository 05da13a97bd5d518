"""Every plugin of the lab can be switched off with `-p no:NAME`, and the run works without its part."""

import json

import pytest

from lab.vm.relay import QUEUE, REPORTS, Lines, append

LAB, CLAIMS, KERNEL = "openvpn-routing-lab", "openvpn-routing-lab-claims", "openvpn-routing-lab-kernel"
CHECKS, SHARDS = "openvpn-routing-lab-checks", "openvpn-routing-lab-shards"
PLUGINS = (LAB, CLAIMS, KERNEL, CHECKS, SHARDS)

PLAIN = """
def test_it():
    assert 1 + 1 == 2
"""

A_CLAIM = """
import pytest

@pytest.mark.topology("article")
@pytest.mark.claims("water is wet")
def test_wet(claim):
    claim.holds()
"""

A_FEATURE = """
import pytest

@pytest.mark.needs_kernel("veth")
def test_device(): ...
"""


def off(*names: str) -> list[str]:
    return [f"-pno:{name}" for name in names]


@pytest.mark.parametrize("names", [(LAB,), (CLAIMS,), (KERNEL,), (CHECKS,), (SHARDS,), PLUGINS], ids="+".join)
def test_run_without_plugins_passes(pytester: pytest.Pytester, names: tuple[str, ...]) -> None:
    pytester.makepyfile(PLAIN)
    result = pytester.runpytest_subprocess(*off(*names), "--junitxml=junit.xml")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK
    assert "Traceback" not in f"{result.stdout}{result.stderr}"


def test_workers_of_xdist_work_without_plugins(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PLAIN)
    pytester.runpytest_subprocess(*off(*PLUGINS), "-n", "1").assert_outcomes(passed=1)


@pytest.mark.parametrize("plugin", [LAB, CLAIMS, KERNEL, SHARDS])
def test_plugin_switched_off_has_no_options(pytester: pytest.Pytester, plugin: str) -> None:
    option = {
        LAB: "--lab-openvpn=all",
        CLAIMS: "--lab-claims=out",
        KERNEL: "--lab-kernel=host",
        SHARDS: "--lab-shard=1/1",
    }[plugin]
    pytester.makepyfile(PLAIN)
    pytester.runpytest_subprocess(option).assert_outcomes(passed=1)
    assert pytester.runpytest_subprocess(option, *off(plugin)).ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("names", [(KERNEL,), (LAB, KERNEL)], ids="+".join)
def test_claims_work_without_the_other_plugins(pytester: pytest.Pytester, names: tuple[str, ...]) -> None:
    pytester.makepyfile(A_CLAIM)
    pytester.runpytest_subprocess(*off(*names), "--lab-claims=out").assert_outcomes(passed=1)
    (row,) = json.loads((pytester.path / "out/claims.json").read_text())
    assert (row["verdict"], row["openvpn"]) == ("holds", "")


@pytest.mark.parametrize("names", [(LAB,), (CLAIMS,)], ids="+".join)
def test_virtual_machine_serves_without_the_other_plugins(pytester: pytest.Pytester, names: tuple[str, ...]) -> None:
    pytester.makepyfile(test_feature=A_FEATURE)
    share = pytester.mkdir("share")
    append(share / QUEUE, {"run": "test_feature.py::test_device", "then": None})
    append(share / QUEUE, {"end": True})
    result = pytester.runpytest_subprocess("--lab-kernel=host", f"--lab-serve={share}", *off(*names))
    result.assert_outcomes(passed=1)
    assert list(Lines(share / REPORTS).new())[-1] == {"done": "test_feature.py::test_device"}
