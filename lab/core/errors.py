"""The errors of the lab, one class per cause.

The user sees each as one line: what is wrong, where, and what to do. `exit_code` is the exit code of the command line:
2 for bad input or a host that lacks something, 1 for a failed check.
"""

from dataclasses import dataclass
from pathlib import Path


class LabError(Exception):
    """Base of all errors that the lab raises."""

    exit_code = 2


class InputError(LabError):
    """Invalid input: a wrong file, name, option or value."""


class EnvironmentBroken(LabError):
    """The host lacks a requirement or an engine failed: no Docker, no permission, no space, a stopped container."""


class NotSupported(LabError):
    """The kernel or the engine lacks a feature; a test that needs it is skipped."""

    def __init__(self, feature: str, why: str) -> None:
        super().__init__(f"{feature} is not available here: {why}")
        self.feature = feature


@dataclass(frozen=True)
class Unmet:
    """An expectation that was not met by its deadline, part by part; the error's message has the same in one line."""

    node: str
    what: str
    """Completes "expected …"."""
    late: bool
    """It was met, but after its deadline."""
    watched: bool
    """It was observed at least once before the deadline."""
    seen: str
    """The last observation."""
    observed: bool
    """False if the last observation failed, so that `seen` is its error."""
    after: float
    """Seconds from the event until the last observation."""
    cause: str = ""
    """Why, in one sentence; empty if unknown."""
    logs: Path | None = None


class ExpectationFailed(LabError, AssertionError):
    """An expectation was not met by its deadline."""

    exit_code = 1

    def __init__(self, message: str = "", unmet: Unmet | None = None) -> None:
        super().__init__(message)
        self.unmet = unmet
        """The parts of the message, if the failure is that of a wait."""


class CommandFailed(LabError):
    """A command in a node ended with an exit code other than 0."""

    exit_code = 1
