"""A job: a piece of work that one machine does alone, in a process of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

Message = dict[str, Any]
"""A message between the caller and a session: values of JSON."""
Send = Callable[[Message], None]


class JobFailed(Exception):
    """A job ended with an error: `kind` is a class of `lab.core.errors`, empty for any other error."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind, self.text = kind, text


@dataclass(frozen=True)
class Job:
    """One job of a caller."""

    name: str
    """For progress."""
    order: Message
    """The order to the session."""
    group: str = ""
    """Jobs of one group share what a session has prepared, so that a worker goes on with its group."""
    patience: float = 600.0
    """Seconds without a message after which the session is given up as hung."""


class Session(Protocol):
    """The work of a worker's process for one caller, from its first job to its last."""

    def facts(self) -> Message:
        """Return what the machine has to have in common with the others."""

    def do(self, order: Message, send: Send) -> None:
        """Do a job, and send its results as they come."""

    def close(self) -> None:
        """Take down what is left for further jobs."""


@dataclass(frozen=True)
class Work:
    """The jobs of a caller, with their common session."""

    entry: str
    """`MODULE:FUNCTION`, which returns a session."""
    context: Message
    """The argument of that function."""
    package: str = ""
    """The digest of the package `lab` that does it; empty for the one that a worker has installed."""

    def open(self) -> Session:
        """Return a new session."""
        module, _, name = self.entry.partition(":")
        session: Session = getattr(import_module(module), name)(self.context)
        return session
