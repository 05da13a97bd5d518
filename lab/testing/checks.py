"""The pytest plugin for files of expectations: each `NAME.checks.yml` is collected as tests.

    pytest topologies/

A file belongs to the topology beside it, `NAME.clab.yml`. Its steps run in order in one lab from the pool of
`lab.testing.plugin`; each expectation is a test. If only some are selected, the steps before them run too.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab.core.errors import InputError, LabError, NotSupported
from lab.testing.plugin import POOL, Pool, Running, Wanted

if TYPE_CHECKING:
    from lab.check.model import Checked, Checks, Step
    from lab.check.run import Run

_SUFFIX = ".checks.yml"
_TOPOLOGIES = (".clab.yml", ".clab.yaml")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of tests that start a lab."""
    config.addinivalue_line("markers", "docker: starts a lab, for which it needs a Docker engine and root")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a file of expectations, unless the plugin with the labs is switched off."""
    if not file_path.name.endswith(_SUFFIX) or POOL not in parent.config.stash:
        return None
    file: ChecksFile = ChecksFile.from_parent(parent, path=file_path)
    return file


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """Release the lab of a file after the last of its tests."""
    yield
    if isinstance(item, ExpectationItem):
        following = nextitem.course if isinstance(nextitem, ExpectationItem) else None
        if following is not item.course:
            item.course.release()
        else:
            item.config.stash[_UNFINISHED] = item


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Release the lab of a file whose tests were interrupted."""
    item = session.config.stash.get(_UNFINISHED, None)
    if item is not None:
        item.course.release()


class ChecksFile(pytest.File):
    """A file of expectations."""

    def collect(self) -> Iterator["ExpectationItem"]:
        """Yield a test for each expectation, for each version in `--lab-openvpn`; raises `CollectError`."""
        from lab.check.reader import read_checks

        for version in self.config.getoption("--lab-openvpn") or (None,):
            try:
                wanted = Wanted.of_file(self._topology(), openvpn=version)
                checks = read_checks(self.path, wanted.topology)
            except InputError as error:
                raise self.CollectError(str(error)) from None
            yield from self._items(checks, _Course(self.config.stash[POOL], wanted, checks), version)

    def _topology(self) -> Path:
        stem = self.path.name.removesuffix(_SUFFIX)
        found = [file for ending in _TOPOLOGIES if (file := self.path.with_name(stem + ending)).is_file()]
        if not found:
            raise InputError(f"{self.path}: topology {stem}.clab.yml is missing beside it")
        return found[0]

    def _items(self, checks: "Checks", course: "_Course", version: str | None) -> Iterator["ExpectationItem"]:
        names: dict[str, int] = {}
        for number, step in enumerate(checks.steps):
            for place, (what, line) in enumerate(_parts(step)):
                name = ": ".join(filter(None, [step.name, what])).replace("::", "__")  # pytest splits ids there
                names[name] = names.get(name, 0) + 1
                name += f" ({names[name]})" if names[name] > 1 else ""
                name += f" [openvpn-{version}]" if version else ""
                item: ExpectationItem = ExpectationItem.from_parent(
                    self, name=name, course=course, step=number, place=place, line=line
                )
                item.add_marker("docker")
                yield item


class ExpectationItem(pytest.Item):
    """One expectation, one figure of a measurement, or the actions of a step that expects nothing."""

    def __init__(self, *, course: "_Course", step: int, place: int, line: int, **more: Any) -> None:
        super().__init__(**more)
        self.course, self._step, self._place, self._line = course, step, place, line

    def runtest(self) -> None:
        """Run the steps up to this expectation's, as far as they have not run, and judge its result."""
        try:
            checked = self.course.result(self, self._step, self._place)
        except NotSupported as error:
            pytest.skip(str(error))
        except LabError as error:
            raise _NotHeld("\n".join([str(error), *getattr(error, "__notes__", [])])) from None
        if checked is not None and not checked.result.good:
            self.course.note_failure(self)
            raise _NotHeld(_describe(checked))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the result, the cause and the logs, without a traceback."""
        if isinstance(excinfo.value, _NotHeld):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the place of the expectation in its file."""
        # Of a name at the end of the id, pytest replaces the dots.
        return self.path, self._line - 1, f"{self.path.name}: {self.name}"


class _NotHeld(Exception):
    """An expectation does not hold, or could not be observed."""


@dataclass
class _Course:
    """The steps of a file in a lab."""

    pool: Pool
    wanted: Wanted
    checks: "Checks"
    failed: pytest.Item | None = None
    """The first test that failed."""
    running: Running | None = None
    run: "Run | None" = None
    error: LabError | None = None
    """The error that prevented the lab; the same for all tests of the file."""

    def result(self, item: pytest.Item, step: int, place: int) -> "Checked | None":
        """Return the result of one part of a step; None for actions that succeeded. Raises `LabError` without a lab."""
        from lab.check.run import Run

        if self.error is not None:
            raise self.error
        if self.run is None:
            try:
                self.running = self.pool.take(self.wanted, item)
            except LabError as error:
                self.error = error
                raise
            self.run = Run(self.running.lab, self.checks)
            self.run.__enter__()
        found = self.run.step(step)
        return _of_part(self.checks.steps[step], found, place)

    def note_failure(self, item: pytest.Item) -> None:
        """Save the state of the lab at the first failure, and say where it is."""
        if self.failed is not None or self.running is None:
            return
        self.failed = item
        lab = self.running.lab
        if (directory := self.pool.artefacts(item)) is not None:
            lab.diagnose(directory)
            item.add_report_section("call", "lab", f"logs and configurations of the lab are in {directory}")
        if self._keeps(item):
            text = f"lab {lab.name} is kept: `lab status --lab {lab.name}`, `lab down {lab.name}`"
            item.add_report_section("call", "lab", text)

    def release(self) -> None:
        """Undo the steps; after a failure, remove the lab unless it is kept."""
        if self.running is None or self.run is None:
            return
        run, running, failed = self.run, self.running, self.failed
        self.run = self.running = self.failed = None
        if failed is None:
            run.__exit__(None, None, None)
            return
        try:
            failed.config.hook.pytest_lab_failed(item=failed, lab=running.lab, artefacts=self.pool.artefacts(failed))
            run.__exit__(None, None, None)
            if self._keeps(failed, running):
                from lab.runtime.owner import keep

                keep(running.lab)
                running.stays = True
        finally:
            self.pool.give_up(running)

    def _keeps(self, item: pytest.Item, running: Running | None = None) -> bool:
        running = running or self.running
        return bool(item.config.getoption("--lab-keep")) and running is not None and not running.stays


def _parts(step: "Step") -> Iterator[tuple[str, int]]:
    """Yield the tests of a step: its measurement and each relation, then each expectation; each with its line."""
    at = step.place.line if step.place else 1
    if step.measure is not None:
        line = step.measure_place.line if step.measure_place else at
        yield f"measured at {step.measure.node}", line
        yield from ((relation, line) for relation in step.measure.relations)
    yield from ((str(item), item.place.line if item.place else at) for item in step.items)
    if step.measure is None and not step.items:
        yield ", ".join(map(str, step.actions)), at


def _of_part(step: "Step", found: "Sequence[Checked]", place: int) -> "Checked | None":
    """Return the result of a part of a step; of all parts the failed action if there is one before them."""
    measured = 1 + len(step.measure.relations) if step.measure is not None else 0
    results = found[len(found) - len(step.items) :]
    if place >= measured and step.items:
        return results[place - measured]
    before = found[: len(found) - len(step.items)]
    return before[min(place, len(before) - 1)] if before else None


def _describe(checked: "Checked") -> str:
    result = checked.result
    lines = [
        f"{result.verdict}: {checked.what}",
        f"seen after {result.after:.1f} s: {result.seen}",
        *([f"cause: {result.cause}"] if result.cause else []),
        *result.evidence,
        *([f"logs: {result.logs}"] if result.logs else []),
        *([f"{checked.file}:{checked.line}"] if checked.file else []),
    ]
    return "\n".join(lines)


_UNFINISHED = pytest.StashKey[ExpectationItem]()
"""The last test of a file of which another one follows."""
