"""Options, fixtures and selection for all tests."""

import signal
from dataclasses import asdict
from functools import cache
from typing import Any

import pytest

from lab.engine import open_engine
from lab.image import VERSIONS
from lab.topology import Family

pytest.register_assert_rewrite("tests.helpers")

from tests.helpers import matrix, order  # noqa: E402 - after the line above, so that its asserts say what they compare

pytest_plugins = ["pytester", "tests.helpers.sites"]

_MARKERS = {
    "openvpn-routing-lab": ("topology",),
    "openvpn-routing-lab-claims": ("claims",),
    "openvpn-routing-lab-kernel": ("needs_kernel", "kernel"),
}
"""The markers that each plugin of the lab declares."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--lab-matrix`."""
    parser.getgroup("openvpn-routing-lab").addoption(
        "--lab-matrix",
        choices=("pairwise", "whole"),
        default="pairwise",
        help="pairwise (the default): run few combinations of modes, versions, underlays and daemons, with every two "
        "choices in one of them, no test marked `thorough`, and tests marked `usually` with that version only; whole: "
        "run all",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests whose plugin is switched off, deselect what only the whole matrix runs, order files for workers."""
    for item in items:
        for plugin, markers in _MARKERS.items():
            if not config.pluginmanager.has_plugin(plugin) and any(map(item.get_closest_marker, markers)):
                item.add_marker(pytest.mark.skip(f"the plugin {plugin} is switched off"))
    deselect(config, items)
    # Workers take files in the order of their tests. Tests for a virtual machine have to stay at the end.
    if hasattr(config, "workerinput") and config.getoption("--lab-kernel", "host") == "host":
        items.sort(key=lambda item: order.rank(item.nodeid.partition("::")[0]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let `--dist=loadfile` give the tests of some long files to several workers."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    scheduling = LoadFileScheduling(config, log)
    scheduling._split_scope = order.unit
    return scheduling


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of what only Docker has, on other engines."""
    marker = item.get_closest_marker("only_docker")
    if marker is not None and (engine := _engine()) != "docker":
        pytest.skip(f"the engine {engine} {marker.args[0]}")


@cache
def _engine() -> str:
    return open_engine().name


def deselect(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what only `--lab-matrix=whole` runs.

    That is tests marked `thorough`, and tests marked `usually` with other versions. They run if `-m` names their mark,
    or if one is given by its own id; `-m claims` selects all claims, since their table has to be complete. The pytest
    in a virtual machine runs everything that it is sent.
    """
    speaks_of = config.getoption("markexpr")
    chosen = config.getoption("--lab-matrix") == "whole" or "thorough" in speaks_of or "claims" in speaks_of
    if chosen or config.getoption("--lab-serve", None):
        return
    several = len(config.getoption("--lab-openvpn", ())) > 1
    named = {arg.partition("[")[0] for arg in config.invocation_params.args if "::" in arg}
    left = [i for i in items if is_left_out(i, several=several) and i.nodeid.partition("[")[0] not in named]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def is_left_out(item: pytest.Item, *, several: bool) -> bool:
    """Return whether only the whole matrix runs this; `several` tells whether the run has more than one version."""
    if item.get_closest_marker("thorough"):
        return True
    usually = item.get_closest_marker("usually")
    if usually is None or not several or not hasattr(item, "callspec"):
        return False
    return item.callspec.params.get("lab_openvpn", *usually.args) not in usually.args


def pytest_configure(config: pytest.Config) -> None:
    """Set the default of `--lab-openvpn`, declare markers of plugins that are switched off, restore SIGINT.

    A process that a shell starts in the background ignores SIGINT, and so would its children.
    """
    if config.getoption("--lab-openvpn", None) == ():
        config.option.lab_openvpn = VERSIONS
    for plugin, markers in _MARKERS.items():
        if not config.pluginmanager.has_plugin(plugin):
            for marker in markers:
                config.addinivalue_line("markers", f"{marker}: of the plugin {plugin}, which is switched off")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test marked `daemons` with each of their cases, and one with the fixture `over` with each underlay."""
    wanted: str = metafunc.config.getoption("--lab-matrix")
    topology = metafunc.definition.get_closest_marker("topology")
    if (daemons := metafunc.definition.get_closest_marker("daemons")) is not None:
        versions = metafunc.config.getoption("--lab-openvpn", VERSIONS)
        cases = [c for c in matrix.cases(wanted) if c.speakers.daemons == daemons.args and c.openvpn in versions]
        assert topology is not None
        labs = [pytest.mark.topology(*topology.args, openvpn=c.openvpn, tunnel=c.tunnel) for c in cases]
        # The case sets the version: this keeps the plugin from running the test with each version.
        metafunc.definition.add_marker(pytest.mark.topology(*topology.args, openvpn=VERSIONS[-1]), append=False)
        params = [pytest.param(case, id=str(case), marks=lab) for case, lab in zip(cases, labs, strict=True)]
        metafunc.parametrize("case", params, indirect=True)
    if "over" in metafunc.fixturenames:
        assert topology is not None
        tunnel = topology.kwargs.get("tunnel", {})
        underlays = matrix.underlays(wanted)
        labs = [pytest.mark.topology(*topology.args, tunnel={**tunnel, **asdict(u)}) for u in underlays]
        params = [pytest.param(u, id=str(u), marks=lab) for u, lab in zip(underlays, labs, strict=True)]
        metafunc.parametrize("over", params, scope="module")


@pytest.fixture(params=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> Family:
    """Run a test once per family."""
    family: Family = request.param
    return family
