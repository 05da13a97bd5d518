"""The errors of the lab, one class per cause.

The user sees each as one line: what is wrong, where, and what to do. `exit_code` is the exit code of the command line:
2 for bad input or a host that lacks something, 1 for a failed check.
"""


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


class ExpectationFailed(LabError, AssertionError):
    """An expectation was not met by its deadline."""

    exit_code = 1


class CommandFailed(LabError):
    """A command in a node ended with an exit code other than 0."""

    exit_code = 1
