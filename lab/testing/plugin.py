"""The pytest plugin: the fixture `lab` and the marker `topology`.

    @pytest.mark.topology("article")
    def test_both_families_share_a_session(lab):
        assert lab.router("hq").neighbor("branch").prefixes_received == {"ipv4": 1, "ipv6": 1}

A lab is deployed for the first test that needs it and shared by all tests with the same topology and OpenVPN version; a
test undoes what it changes. After a failed test the lab is removed, and the next test gets a fresh one. Labs of a
killed test run are removed by the next run.
"""

import json
import os
import re
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab.core.errors import LabError, NotSupported
from lab.testing import hooks, measurements

# Slow imports happen when a test needs them: every pytest run in this environment loads the plugin.
if TYPE_CHECKING:
    from lab.engine import Engine
    from lab.observe import Capture
    from lab.runtime.lab import Lab
    from lab.topology import Topology

_CAPTURED = 20_000
"""Packets kept per interface of a running test."""
_ARGUMENTS = ("openvpn", "tunnel", "run_scripts", "fresh")
"""Arguments of the marker besides the topology."""
_ALIVE = 3
"""Labs kept running at most; the least recently used is removed first."""
_ALIVE_IN_VM = 1
"""The same in the VM, where memory and processors are few."""


# --- options -----------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the group `openvpn-routing-lab`."""
    group = parser.getgroup("openvpn-routing-lab", "dynamic routing over OpenVPN")
    group.addoption(
        "--lab-openvpn",
        default=(),
        metavar="VERSION[,VERSION]",
        type=_versions,
        help="run each test that uses a lab with these versions of OpenVPN, or with 'all'; the default is the version "
        "in the topology",
    )
    group.addoption(
        "--lab-engine",
        default=None,
        metavar="NAME",
        help="run labs with this engine: docker, or crun without a daemon; the default is LAB_ENGINE, or Docker if it "
        "answers",
    )
    group.addoption(
        "--lab-keep",
        action="store_true",
        help="keep the lab of a failed test running, and print how to inspect and how to remove it",
    )
    group.addoption(
        "--lab-reuse",
        action="store_true",
        help="use the running lab with the topology's name (from `lab up`), and leave it running",
    )
    group.addoption(
        "--lab-artefacts",
        metavar="DIR",
        type=Path,
        default=None,
        help="save logs, configurations, RIBs and packets of every node of a failed test's lab in DIR",
    )


def _versions(text: str) -> tuple[str, ...]:
    from lab.image import VERSIONS

    wanted = VERSIONS if text == "all" else tuple(dict.fromkeys(text.split(",")))
    for version in wanted:
        if version not in VERSIONS:
            raise pytest.UsageError(f"--lab-openvpn: no version {version!r}; give {', '.join(VERSIONS)} or all")
    return wanted


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the hooks `pytest_lab_ready` and `pytest_lab_failed`."""
    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, create the pool of labs."""
    config.addinivalue_line(
        "markers",
        "topology(name_or_path, *, openvpn=None, tunnel=None, run_scripts=False, fresh=False): the topology of the "
        "fixture `lab`; `tunnel` overrides keys of every tunnel; `run_scripts` runs the scripts of your own files; "
        "`fresh` asks for a lab that no other test has used",
    )
    _choose_engine(config.getoption("--lab-engine", None))
    config.stash[POOL] = Pool(config)
    measurements.register(config)


def _choose_engine(name: str | None) -> None:
    """Set the engine for this process and for programs that tests start, and prepare it before others start.

    Raises `pytest.UsageError` for an unknown name, or if an ordinary user may not have labs here.
    """
    if not (name or os.environ.get("LAB_ENGINE")):  # every pytest run in this environment comes here
        return
    from lab.engine import ENGINES, ENVIRONMENT, enter_namespaces

    if name and name not in ENGINES:
        raise pytest.UsageError(f"--lab-engine: no engine {name!r}; give {' or '.join(ENGINES)}")
    os.environ[ENVIRONMENT] = name or os.environ[ENVIRONMENT]
    if os.environ[ENVIRONMENT] == "crun":
        try:
            enter_namespaces()  # before pytest-xdist starts its workers
        except LabError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the remaining labs."""
    if (pool := config.stash.get(POOL, None)) is not None:  # another plugin may have refused the command line
        pool.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once per version in `--lab-openvpn`."""
    if "lab_openvpn" not in metafunc.fixturenames:  # `lab` requests it, unless a project has its own fixture `lab`
        return
    marker = metafunc.definition.get_closest_marker("topology")
    if marker is not None and marker.kwargs.get("openvpn"):
        return
    wanted: tuple[str, ...] = metafunc.config.getoption("--lab-openvpn")
    if not wanted:
        return
    # With this scope pytest runs the tests of one version together.
    metafunc.parametrize("lab_openvpn", wanted, ids=[f"openvpn-{v}" for v in wanted], indirect=True, scope="session")


# --- fixtures ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def lab_openvpn(request: pytest.FixtureRequest) -> str | None:
    """The version of OpenVPN that `--lab-openvpn` sets for this test."""
    version: str | None = getattr(request, "param", None)
    return version


@pytest.fixture
def lab(request: pytest.FixtureRequest, lab_openvpn: str | None) -> Iterator["Lab"]:
    """A running lab of the topology in the marker `topology`."""
    marker = request.node.get_closest_marker("topology")
    if marker is None or len(marker.args) != 1:
        pytest.fail('the fixture `lab` needs a marker: @pytest.mark.topology("article"), or a path', pytrace=False)
    if unknown := marker.kwargs.keys() - _ARGUMENTS:
        known = ", ".join(_ARGUMENTS)
        pytest.fail(f"the marker `topology` has no argument {min(unknown)!r}; it has {known}", pytrace=False)
    pool = request.config.stash[POOL]
    with ExitStack() as stack:
        try:
            wanted = Wanted.of(request.path, *marker.args, version=lab_openvpn, **marker.kwargs)
            running = pool.take(wanted, request.node)
            stack.enter_context(pool.watched(running, request.node))
        except NotSupported as error:
            pytest.skip(str(error))
        except LabError as error:
            # Not chained: pytest would print the message twice.
            told = "\n".join([str(error), *getattr(error, "__notes__", [])])
            raise pytest.fail.Exception(told, pytrace=False) from None
        yield running.lab


# --- the pool ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """The request of a test; tests with the same request share a lab."""

    topology: "Topology"
    fresh: bool

    @classmethod
    def of(
        cls,
        test: Path,
        topology: str | os.PathLike[str],
        *,
        version: str | None,
        openvpn: str | None = None,
        tunnel: Mapping[str, Any] | None = None,
        run_scripts: bool = False,
        fresh: bool = False,
    ) -> "Wanted":
        """Read the topology, given by name or by a path relative to the file `test` or the working directory."""
        from lab.catalogue import find_topology

        beside = test.parent / topology
        file = find_topology(beside if beside.is_file() else Path(topology))
        return cls.of_file(file, openvpn=openvpn or version, tunnel=tunnel, run_scripts=run_scripts, fresh=fresh)

    @classmethod
    def of_file(
        cls,
        file: Path,
        *,
        openvpn: str | None = None,
        tunnel: Mapping[str, Any] | None = None,
        run_scripts: bool = False,
        fresh: bool = False,
    ) -> "Wanted":
        """Read a topology file."""
        # The key of the cache: the file's state, the version, the keys of tunnels, and the environment.
        said = json.dumps(tunnel, default=str)
        environ = frozenset(item for item in os.environ.items() if not item[0].startswith("PYTEST_"))
        seen = (file.stat().st_mtime_ns, environ)
        return cls(_read(file, openvpn, said, seen, run_scripts=run_scripts), fresh)

    @property
    def key(self) -> str:
        """Equal for requests that can share a lab."""
        return self.topology.model_dump_json()

    def is_met_by(self, running: "Topology") -> bool:
        """Return whether a running lab satisfies the request, wherever its topology file is."""
        return not self.fresh and running.model_copy(update={"file": self.topology.file}) == self.topology


@cache
def _read(file: Path, openvpn: str | None, tunnel: str, seen: object, *, run_scripts: bool) -> "Topology":
    """Read a topology, once per state of file and environment (`seen`).

    Every test names its topology, and in an emulated VM each reading takes a second.
    """
    from lab.catalogue import load

    return load(file, openvpn=openvpn, tunnel=json.loads(tunnel), run_scripts=run_scripts)


@dataclass
class Running:
    """A lab of the pool."""

    lab: "Lab"
    fresh: bool = False
    """For one test only."""
    stays: bool = False
    """It ran before this test run, or `--lab-keep` keeps it: it is not removed."""


class Pool:
    """The labs of one test run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._shared: OrderedDict[str, Running] = OrderedDict()
        self._count = 0
        self._alive = _ALIVE if config.getoption("--lab-serve", None) is None else _ALIVE_IN_VM

    def take(self, wanted: Wanted, item: pytest.Item) -> Running:
        """Return the lab for a test, and deploy it first if there is none."""
        if wanted.fresh:
            return self._bring_up(wanted, item)
        if wanted.key not in self._shared:
            while len(self._shared) >= self._alive:
                self.give_up(next(iter(self._shared.values())))
            self._shared[wanted.key] = self._bring_up(wanted, item)
        self._shared.move_to_end(wanted.key)
        return self._shared[wanted.key]

    def watched(self, running: Running, item: pytest.Item) -> "_Watch":
        """Return the context of a test that uses the lab."""
        return _Watch(self, running, item)

    def give_up(self, running: Running) -> None:
        """Remove a lab from the pool, and from the host unless it stays."""
        self._shared = OrderedDict((k, v) for k, v in self._shared.items() if v is not running)
        running.lab.close()
        if not running.stays:
            running.lab.destroy()

    def close(self) -> None:
        """Remove all labs, even if one fails to be removed."""
        with ExitStack() as stack:
            for running in self._shared.values():
                stack.callback(self.give_up, running)

    def artefacts(self, item: pytest.Item) -> Path | None:
        """Return the directory for the artefacts of a failed test."""
        root: Path | None = self._config.getoption("--lab-artefacts")
        if root is None:
            return None
        return root / re.sub(r"[^\w.=-]+", "_", item.nodeid).strip("_")[-120:]

    def _bring_up(self, wanted: Wanted, item: pytest.Item) -> Running:
        from lab.core.process import this_process
        from lab.engine import open_engine
        from lab.runtime.lab import Lab
        from lab.runtime.owner import sweep

        engine = open_engine()
        topology = wanted.topology
        running = self._reused(wanted, engine, item) if self._config.getoption("--lab-reuse") else None
        if running is None:
            if self._count == 0:
                sweep(engine)
            self._count += 1
            lab = Lab.deploy(
                topology.model_copy(update={"name": f"{topology.name}-{os.getpid()}-{self._count}"}),
                engine=engine,
                diagnose_into=self.artefacts(item),
                owner=this_process(),
            )
            running = Running(lab, fresh=wanted.fresh)
        try:
            self._config.hook.pytest_lab_ready(lab=running.lab)
        except BaseException:
            self.give_up(running)
            raise
        return running

    def _reused(self, wanted: Wanted, engine: "Engine", item: pytest.Item) -> Running | None:
        from lab.runtime.lab import Lab
        from lab.runtime.registry import is_running

        name = wanted.topology.name
        if wanted.fresh or not is_running(name, engine=engine):
            return None
        lab = Lab.attach(name, engine=engine)
        if wanted.is_met_by(lab.topology):
            if undone := undo_faults(lab):
                item.warn(pytest.PytestWarning(f"lab {name} had active faults, which were undone: {undone}"))
            return Running(lab, stays=True)
        lab.close()
        item.warn(
            pytest.PytestWarning(f"lab {name} runs with another topology, version or option, so it is not reused")
        )
        return None


def undo_faults(lab: "Lab") -> str:
    """Undo all active faults, wait until the lab is ready again, and return a description of them."""
    undone = lab.undo_faults() if lab.faults else []
    if undone:
        lab.wait_ready()
    return "; ".join(str(record.fault) for record in undone)


class _Watch:
    """Captures packets while a test runs; diagnoses and removes the lab if it fails."""

    def __init__(self, pool: Pool, running: Running, item: pytest.Item) -> None:
        self._pool, self._running, self._item = pool, running, item
        self._captures = ExitStack()
        self._files: dict[str, Capture] = {}

    def __enter__(self) -> None:
        self._item.stash[_WATCH] = self
        if self._pool.artefacts(self._item) is None:
            return
        try:
            self._capture()
        except LabError:  # an earlier test broke the lab
            del self._item.stash[_WATCH]
            self._captures.close()
            self._pool.give_up(self._running)
            raise

    def _capture(self) -> None:
        lab = self._running.lab
        for tunnel in lab.tunnels.values():
            for name in (tunnel.tunnel.server, tunnel.tunnel.client):
                node = lab.node(name)
                links = [e.interface for link in lab.topology.links for e in link.endpoints if e.node == name]
                for interface in (tunnel.device(name), *links):
                    if f"{name}-{interface}" not in self._files:
                        capture = node.capture(interface, keep=_CAPTURED)
                        self._files[f"{name}-{interface}"] = self._captures.enter_context(capture)

    def __exit__(self, *_: object) -> None:
        self._captures.close()
        if self._item.stash.get(_FAILED, False):
            self.failed()

    def close(self, *, failed: bool) -> None:
        """End the test after its other fixtures, which may have failed in their teardown."""
        if failed and not self._item.stash.get(_FAILED, False):
            self.failed()
        elif self._running.fresh and not failed:
            self._pool.give_up(self._running)
        elif not self._item.stash.get(_FAILED, False):
            self.undo_faults()

    def undo_faults(self) -> None:
        """Undo the faults that a passed test left; if that fails, the next test gets a fresh lab."""
        try:
            if undone := undo_faults(self._running.lab):
                self._item.warn(pytest.PytestWarning(f"the test left active faults, which were undone: {undone}"))
        except LabError as error:
            self._pool.give_up(self._running)
            pytest.fail(f"the test left active faults that cannot be undone: {error}", pytrace=False)

    def failed(self) -> None:
        """Save the artefacts, and remove the lab."""
        lab, config = self._running.lab, self._item.config
        try:
            directory = self._pool.artefacts(self._item)
            if directory is not None:
                lab.diagnose(directory)
                for name, capture in self._files.items():
                    capture.write(directory / f"{name}.pcap")
                self._say(f"logs and packets of the failed test are in {directory}")
            config.hook.pytest_lab_failed(item=self._item, lab=lab, artefacts=directory)
            if self._running.stays and (undone := undo_faults(lab)):
                self._say(f"active faults were undone: {undone}")
            if config.getoption("--lab-keep") and not self._running.stays:
                from lab.runtime.owner import keep

                keep(lab)
                self._running.stays = True
                self._say(f"lab {lab.name} is kept: `lab status --lab {lab.name}`, `lab down {lab.name}`")
        finally:
            self._pool.give_up(self._running)

    def _say(self, text: str) -> None:
        self._item.add_report_section("teardown", "lab", text)
        reporter = self._item.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record whether a test failed, for the teardown of its lab."""
    report = yield
    if report.failed and report.when != "teardown":
        item.stash[_FAILED] = True
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Release a test's lab after the teardown of all its fixtures."""
    failed = True
    try:
        yield
        failed = False
    finally:
        watch = item.stash.get(_WATCH, None)
        if watch is not None:
            del item.stash[_WATCH]
            watch.close(failed=failed)


POOL = pytest.StashKey[Pool]()
"""The labs of a test run, in the stash of its configuration."""
_FAILED = pytest.StashKey[bool]()
_WATCH = pytest.StashKey[_Watch]()
