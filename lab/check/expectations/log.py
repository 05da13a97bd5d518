"""`log` and `no-log`: a line is in a node's logs, or it is not."""

import time
from collections.abc import Iterable

from pydantic import Field

from lab.check.logs import lines_with, log_files
from lab.check.model import Expected, Problem, Result, Start, Verdict
from lab.check.problems import unknown_node
from lab.check.waiting import elapsed, pause, wait
from lab.core.errors import EnvironmentBroken
from lab.core.expect import Expectation
from lab.runtime.lab import Lab
from lab.topology import Topology
from lab.topology.mistakes import quote

_SHOWN = 3
"""Lines of logs that are shown as evidence."""


class _InLog(Expected):
    """A text in a node's logs."""

    node: str
    """The node whose logs are read: OpenVPN's, the routing daemon's, and any other below /var/log."""

    @property
    def place(self) -> str:
        """The node."""
        return self.node

    @property
    def text(self) -> str:
        """The text."""
        raise NotImplementedError

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown nodes, and a text that every line has."""
        yield from unknown_node(topology, "node", self.node)
        if not self.text.strip():
            yield Problem(self.kind, "the text is empty", "give a part of the line")

    def look(self, lab: Lab, start: Start) -> list[str]:
        """Return the lines with the text, each with the name of its file; raises `EnvironmentBroken` without a log."""
        files = log_files(lab, self.node)
        if not files:
            raise EnvironmentBroken(f"{self.node} has no log below /var/log")
        return [f"{file.name}: {line}" for file in files for line in lines_with(file, self.text, start.log_sizes)]


class LogLine(_InLog):
    """A line is in a node's logs."""

    kind = "log"
    summary = "a line is in a node's logs, after the actions of its step"

    log: str
    """A part of the line, with upper and lower case as it is."""

    def __str__(self) -> str:
        return f"a line with {quote(self.log)} in the logs of {self.node}"

    @property
    def text(self) -> str:
        """The text."""
        return self.log

    def check(self, lab: Lab, start: Start) -> Result:
        """Read the logs until they have the line."""
        return wait(
            Expectation(
                what=str(self),
                node=self.node,
                look=lambda: self.look(lab, start),
                met=bool,
                seen=lambda lines: lines[-1] if lines else "no such line",
                logs=lab.running_nodes[self.node].files,
                changed=pause,
            ),
            start,
            evidence=lambda lines: lines[-_SHOWN:],
        )


class NoLogLine(_InLog):
    """A line is not in a node's logs."""

    kind = "no-log"
    summary = "a line is not in a node's logs, after the other expectations of its step"

    no_log: str
    """A part of the line, with upper and lower case as it is."""
    within: float | None = Field(default=None, ge=0, le=3600)
    """Seconds from the step in which the line must not come; by default until the step's other expectations are
    decided."""

    last = True

    def __str__(self) -> str:
        return f"no line with {quote(self.no_log)} in the logs of {self.node}"

    @property
    def text(self) -> str:
        """The text."""
        return self.no_log

    def check(self, lab: Lab, start: Start) -> Result:
        """Read the logs, by default once."""
        end = start.time + self.within if self.within is not None else 0.0
        while not (lines := self.look(lab, start)) and (left := end - time.monotonic()) > 0:
            pause(left)
        if lines:
            logs = lab.running_nodes[self.node].files
            return Result(Verdict.FAILED, lines[0], elapsed(start), logs=logs, evidence=tuple(lines[:_SHOWN]))
        return Result(Verdict.HELD, "no such line", elapsed(start))
