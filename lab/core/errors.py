"""What can go wrong, told apart by who can mend it.

Every error ends for the user in one line: what, where and what to do. `exit_code` is what the command line
returns: 2 for bad input or a machine that lacks something, 1 for a check that failed.
"""


class LabError(Exception):
    """The root of everything the lab raises on purpose."""

    exit_code = 2


class InputError(LabError):
    """The user asked for something that cannot be: a wrong file, name, option or value."""


class EnvironmentBroken(LabError):
    """The machine lacks something or an engine failed: no Docker, no permission, no space, a dead container."""


class NotSupported(LabError):
    """The kernel or the engine lacks a named feature; a test skips on it."""

    def __init__(self, feature: str, why: str) -> None:
        super().__init__(f"{feature} is not available here: {why}")
        self.feature = feature


class ExpectationFailed(LabError, AssertionError):
    """Something observable was not as expected by its deadline."""

    exit_code = 1


class CommandFailed(LabError):
    """A command inside a node ended with another exit code than 0."""

    exit_code = 1
