"""`advise`: the verdict of `lab advise` on a failure that no program reports."""

from collections.abc import Iterable
from functools import cache
from typing import Literal

from lab.advise import RULES, Finding, subjects_of_topology
from lab.advise import advise as judge
from lab.check.model import Expected, Problem, Result, Start, Verdict
from lab.check.problems import unknown_tunnel
from lab.check.waiting import elapsed
from lab.runtime.lab import Lab
from lab.topology import Topology
from lab.topology.mistakes import did_you_mean, quote


class AdviseVerdict(Expected):
    """A verdict of `lab advise`."""

    kind = "advise"
    summary = "the verdict of `lab advise` on one of its failures"

    advise: str
    """The failure, as `lab advise` names it, such as no-iroute."""
    verdict: Literal["exposed", "not exposed", "cannot tell"]
    """`not exposed` means every end of the tunnels, the other two at least one."""
    tunnel: str | None = None
    """The tunnel; by default all."""

    def __str__(self) -> str:
        return f"{f'tunnel {self.tunnel}' if self.tunnel else 'the lab'} is {self.words} {self.advise}"

    @property
    def words(self) -> str:
        """The verdict, as in `exposed to`."""
        return {"cannot tell": "perhaps exposed to"}.get(self.verdict, f"{self.verdict} to")

    @property
    def place(self) -> str:
        """The tunnel."""
        return self.tunnel or ""

    def problems(self, topology: Topology) -> Iterable[Problem]:
        """Return unknown failures and tunnels."""
        names = [rule.name for rule in RULES]
        if self.advise not in names:
            hint = did_you_mean(self.advise, names) or f"there are {', '.join(names)}"
            yield Problem("advise", f"there is no failure {quote(self.advise)}", hint)
        yield from unknown_tunnel(topology, "tunnel", self.tunnel)
        if not topology.tunnels:
            yield Problem("advise", "this topology has no tunnel, so there is nothing to advise on")

    def check(self, lab: Lab, start: Start) -> Result:
        """Judge the configuration that the topology has."""
        mine = f"{self.tunnel}: " if self.tunnel else ""
        findings = _findings(lab.topology.model_dump_json())
        found = [f for f in findings if f.rule == self.advise and f.subject.startswith(mine)]
        verdicts = [str(finding.verdict) for finding in found]
        same = [verdict == self.verdict for verdict in verdicts]
        held = all(same) and bool(same) if self.verdict == "not exposed" else any(same)
        shown = [f for f in found if str(f.verdict) != self.verdict] if not held else found
        lines = tuple(f"{f.subject}: {f.verdict}: {f.why}" for f in found)
        seen = "; ".join(f"{f.subject}: {f.verdict}: {f.why}" for f in shown) or "no end of a tunnel is judged"
        return Result(Verdict.HELD if held else Verdict.FAILED, seen, elapsed(start), evidence=lines)


@cache
def _findings(topology: str) -> tuple[Finding, ...]:
    """Return the findings of a topology, given as JSON, which are the same for each expectation."""
    return tuple(judge(subjects_of_topology(Topology.model_validate_json(topology))))
