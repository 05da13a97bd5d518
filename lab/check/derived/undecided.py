"""An expectation that does not follow for certain from the files: it is listed, with the reason."""

from lab.check.model import Expected, Result, Start, Verdict
from lab.runtime.lab import Lab


class Undecided(Expected):
    """Something that may be expected, or not: the files do not tell."""

    kind = "undecided"
    summary = "what does not follow for certain from the files"

    at: str
    """The node that it is about."""
    what: str
    """The expectation in a clause."""
    why: str
    """The reason why the files do not tell."""

    def __str__(self) -> str:
        return self.what

    @property
    def place(self) -> str:
        """The node."""
        return self.at

    def check(self, lab: Lab, start: Start) -> Result:
        """Return that it cannot be told."""
        del lab, start
        return Result(Verdict.CANNOT_TELL, self.why, 0.0, remark=True)
