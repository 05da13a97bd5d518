"""The pytest plugin for kernel features: the marker `needs_kernel`, and `--lab-kernel host|vm|auto`.

    @pytest.mark.needs_kernel("ovpn", "netem")
    def test_something(lab): ...

A test runs on the host if the host's kernel has the features, and otherwise in the lab's own virtual machine, whose
pytest reports to this one. The VM boots once, while the last tests of the host run, and again after a test in which it
ended or hung.
"""

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from lab.core.errors import LabError

if TYPE_CHECKING:
    from lab.vm.relay import Relay
    from lab.vm.virtual_machine import VirtualMachine

Where = Literal["host", "vm", "auto"]
_LAB = "openvpn-routing-lab"
_OTHERS = (_LAB, f"{_LAB}-claims")
"""The other plugins of the lab; one that is switched off on the host (`-p no:NAME`) is switched off in the VM too."""
_BOOTS = 3
"""VMs that a test run boots at most, so that one test that ends or hangs its VM does not fail the others."""
_AHEAD = 8
"""Number of tests before the first that needs the VM at which it begins to boot and to collect: without KVM that takes
a minute and a half of one processor."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--lab-kernel`."""
    group = parser.getgroup("openvpn-routing-lab")
    group.addoption(
        "--lab-kernel",
        choices=("host", "vm", "auto"),
        default="auto",
        help="run tests that need kernel features on the host (and skip those that it lacks), in the lab's own virtual "
        "machine, or in the virtual machine only if the host lacks a feature (auto)",
    )
    group.addoption("--lab-serve", metavar="DIR", type=Path, default=None, help=argparse.SUPPRESS)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers; in the VM, register the server."""
    config.addinivalue_line(
        "markers",
        "needs_kernel(*features): the test needs these features of the kernel, by their names in `lab doctor`; it is "
        "also marked `kernel`",
    )
    config.addinivalue_line(
        "markers",
        "kernel: needs features that some kernels lack; runs in the lab's virtual machine where the host's does",
    )
    directory: Path | None = config.getoption("--lab-serve")
    if directory is not None:
        config.pluginmanager.register(_Server(directory), "openvpn-routing-lab-server")
    config.stash[_GUEST] = _Guest(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the VM."""
    if (guest := config.stash.get(_GUEST, None)) is not None:  # another plugin may have refused the command line
        guest.close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests that need kernel features, skip those that cannot run, and put those for the VM at the end."""
    needing = [(item, marker) for item in items if (marker := item.get_closest_marker("needs_kernel"))]
    if not needing:
        return
    from lab.host.kernel import MODULES, features

    known = features()
    where: Where = config.getoption("--lab-kernel")
    # The VM is booted for these features: its pytest does not probe them, and a missing one fails the test.
    asks = not config.option.collectonly and config.getoption("--lab-serve") is None
    lacks: dict[str, str] | str | None = None
    for item, marker in needing:
        item.add_marker("kernel")
        wanted = [MODULES.get(name, name) for name in marker.args]
        if unknown := set(wanted) - known.keys():
            raise pytest.UsageError(
                f"{item.nodeid}: needs_kernel has no feature {min(unknown)!r}; it has {', '.join(known)}"
            )
        if not asks or not wanted:
            continue
        if where != "vm":
            lacks = _lacks() if lacks is None else lacks
            if isinstance(lacks, str):
                item.stash[_UNTRIED] = lacks
                continue
            missing = [f"{name} ({lacks[name]})" for name in wanted if name in lacks]
            if not missing:
                continue
            if where == "host":
                item.add_marker(pytest.mark.skip(f"this kernel lacks {', '.join(missing)}"))
                continue
        item.stash[_INSIDE] = True
    items.sort(key=lambda item: item.stash.get(_INSIDE, False))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Choose the test at which the VM begins to boot."""
    inside = [number for number, item in enumerate(session.items) if item.stash.get(_INSIDE, False)]
    if inside and inside[0] > 0:
        session.items[max(0, inside[0] - _AHEAD)].stash[_BEGINS] = True


def _lacks() -> dict[str, str] | str:
    """Return the features that the host's kernel lacks, with reasons, or why they could not be probed."""
    from lab.host.doctor import probe_kernel

    found = probe_kernel()
    if isinstance(found, str):
        return found
    return {name: reason for name, reason in found.items() if reason is not None}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose features could not be probed: only a feature that is known to be missing is a skip."""
    if why := item.stash.get(_UNTRIED, ""):
        pytest.fail(f"the kernel's features were {why}; `lab doctor`, as root, probes the same", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test in the VM, and pass its reports on."""
    guest = item.config.stash[_GUEST]
    if not item.stash.get(_INSIDE, False):
        if item.stash.get(_BEGINS, False):
            guest.begin_early(item)
        return None
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in guest.reports(item, nextitem):
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


class _Guest:
    """The VM of this test run, and the pytest in it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._begun: Relay | None = None
        self._relay: Relay | None = None
        self._own: VirtualMachine | None = None
        self._boots_left = _BOOTS
        self._failed = ""

    def begin_early(self, item: pytest.Item) -> None:
        """Boot a VM and collect in it while tests run on the host; the first test that needs it reports an error.

        A VM kept by `lab vm up` is used instead. Memory has to be left for one that a test of the host boots itself.
        """
        from lab.vm.virtual_machine import has_room, kept

        try:
            if kept(self._config.rootpath) is None and has_room(2):
                self._begun = self._begin(item)
        except LabError:
            self._drop()

    def reports(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[pytest.TestReport]:
        """Run a test; a failure of the VM is reported as the test's error, in one sentence."""
        from lab.vm.relay import Ended

        then = nextitem.nodeid if nextitem is not None and nextitem.stash.get(_INSIDE, False) else None
        try:
            if self._failed:
                raise Ended(self._failed)
            relay = self._relay or self._start(item)
            for data in relay.run(item.nodeid, then):
                report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
                if isinstance(report.longrepr, list):  # the reason of a skip: JSON has no tuples
                    report.longrepr = tuple(report.longrepr)
                yield report
            relay.fetch("artefacts", self._config.getoption("--lab-artefacts", None))
            relay.fetch("claims", self._config.getoption("--lab-claims", None))
        except LabError as error:
            if isinstance(error, Ended) or self._relay is None:
                if self._relay is None or not self._boots_left:
                    self._failed = str(error)
                self._save()
                self._drop()
            yield _error(item, str(error))

    def _save(self) -> None:
        """Keep the VM's console and logs, and the artefacts of the test in which it ended."""
        artefacts: Path | None = self._config.getoption("--lab-artefacts", None)
        machine = self._own or (self._relay.machine if self._relay is not None else None)
        if artefacts is None or machine is None:
            return
        machine.copy_logs(artefacts / "machine")
        if self._relay is not None:
            self._relay.fetch("artefacts", artefacts)

    def close(self) -> None:
        """Stop the VM; one that ran before this test run goes on, and only its pytest ends."""
        if self._relay is not None and self._own is None:
            self._relay.end()
        self._drop()

    def _drop(self) -> None:
        """Forget the VM, and stop it if this run booted it."""
        own, self._own, self._begun, self._relay = self._own, None, None, None
        if own is not None:
            own.close()

    def _start(self, item: pytest.Item) -> "Relay":
        self._boots_left -= 1
        relay = self._begun or self._begin(item)
        relay.wait_ready()
        self._begun, self._relay = None, relay
        return relay

    def _begin(self, item: pytest.Item) -> "Relay":
        from lab.vm.relay import SHARE, Relay

        project = self._config.rootpath
        inside = [i for i in item.session.items if i.stash.get(_INSIDE, False)]
        relay = Relay(self._virtual_machine(project, inside), project)
        versions: tuple[str, ...] | None = self._config.getoption("--lab-openvpn", None)
        passed = [f"--lab-openvpn={','.join(versions)}"] if versions else []
        files = sorted({i.nodeid.partition("::")[0] for i in inside})
        claims = [f"--lab-claims={SHARE}/claims"] if self._config.getoption("--lab-claims", None) else []
        plugins = self._config.pluginmanager
        off = ["cacheprovider", "xdist", "hypothesispytest", *(name for name in _OTHERS if plugins.is_blocked(name))]
        artefacts = [] if plugins.is_blocked(_LAB) else [f"--lab-artefacts={SHARE}/artefacts"]
        relay.begin(
            [*files, *(f"-pno:{name}" for name in off), "--lab-kernel=host", *artefacts, *claims, *passed],
        )
        return relay

    def _virtual_machine(self, project: Path, items: list[pytest.Item]) -> "VirtualMachine":
        """Return the VM kept by `lab vm up`, or boot one that ends with this process."""
        from lab.core.process import this_process
        from lab.vm.virtual_machine import VirtualMachine, kept, sweep_virtual_machines

        sweep_virtual_machines()
        if (there := kept(project)) is not None and not there.busy:
            self._say(f"using the virtual machine {there.name} (`lab vm down` stops it)")
            return there
        name, versions = f"tests-{os.getpid()}", _versions(items)
        self._own = VirtualMachine.boot(name, project, owner=this_process(), versions=versions, say=self._say)
        return self._own

    def _say(self, text: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(text)


def _versions(items: list[pytest.Item]) -> tuple[str, ...]:
    """Return the versions of OpenVPN in these tests' labs; all, if one test leaves it open."""
    from lab.image import VERSIONS

    wanted = set()
    for item in items:
        topology = item.get_closest_marker("topology")
        version = topology.kwargs.get("openvpn") if topology else None
        if version is None and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            version = item.callspec.params.get("lab_openvpn")
        if version is None:
            return VERSIONS
        wanted.add(version)
    return tuple(version for version in VERSIONS if version in wanted)


def _error(item: pytest.Item, why: str) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome="failed",
        longrepr=why,
        when="setup",
    )


class _Server:
    """The server in the VM: runs the requested tests, and sends pytest's reports."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._config: pytest.Config | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Wait for the tests to run, instead of running all that were collected."""
        from lab.core.expect import POLL
        from lab.vm.relay import QUEUE, Lines

        self._config = session.config
        items = {item.nodeid: item for item in session.items}
        self._send({"ready": len(items)})
        queue = Lines(self._directory / QUEUE)
        while True:
            for message in queue.new():
                if message.get("end"):
                    return True
                self._run(message, items)
            time.sleep(POLL)

    def _run(self, message: dict[str, Any], items: dict[str, pytest.Item]) -> None:
        item = items.get(message["run"])
        if item is None:
            self._send({"unknown": message["run"]})
            return
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=items.get(message["then"] or ""))
        self._send({"done": item.nodeid})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send a report."""
        assert self._config is not None
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._send({"report": data})

    def _send(self, message: dict[str, Any]) -> None:
        from lab.vm.relay import REPORTS, append

        append(self._directory / REPORTS, message)


_INSIDE = pytest.StashKey[bool]()
_BEGINS = pytest.StashKey[bool]()
_UNTRIED = pytest.StashKey[str]()
"""Why the kernel could not be probed."""
_GUEST = pytest.StashKey[_Guest]()
