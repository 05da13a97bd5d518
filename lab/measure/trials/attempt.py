"""One attempt of a task: announce the prefixes, cause and measure the event, and undo it."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

from lab.core.outcome import Outcome
from lab.fault import apply
from lab.measure.instrument.measurement import Measurement
from lab.measure.record import Trial, Variant
from lab.measure.trials.environment import ForeignLoad
from lab.measure.trials.plan import Plan, Task, variants_of
from lab.measure.trials.site import TrialSite
from lab.topology import Topology


class Attempt:
    """A task in its bed."""

    def __init__(self, site: TrialSite, task: Task, plan: Plan) -> None:
        self._site, self._task, self._plan = site, task, plan
        self._prefixes = site.prefixes[task.family]
        self._two_paths = site.roles.two_paths

    def run(self, load: ForeignLoad) -> list[Trial]:
        """Return the trial of the event and, if it lasts, that of the recovery."""
        site, event = self._site, self._task.event
        variants = variants_of(self._task, site.mode, short_name(site.lab.topology))
        outcome = event.expected_outcome(two_paths=self._two_paths)
        trials: list[Trial] = []
        with ExitStack() as undo:
            if event.act != "announce":
                self._announce()
            measured = self._measurement(outcome)
            started = datetime.now(UTC)
            with measured:
                recover = self._cause(undo)
            trials.append(_as_trial(variants[0], self._task, started, measured, load()))
            if event.recovers:
                outcome = event.expected_outcome_of_recovery(two_paths=self._two_paths)
                measured = self._measurement(outcome, recovery=True)
                started = datetime.now(UTC)
                with measured:
                    recover()
                trials.append(_as_trial(variants[1], self._task, started, measured, load()))
        self._clear()  # after an error the lab is not used again
        return trials

    def _measurement(self, outcome: Outcome, *, recovery: bool = False) -> Measurement:
        site = self._site
        return site.lab.measure(
            site.observer,
            self._prefixes,
            probe_from=site.asking,
            probe_to=site.answering,
            rate=self._plan.rate,
            until=outcome,
            within=self._plan.within,
            recovery=recovery,
        )

    def _cause(self, undo: ExitStack) -> Callable[[], object]:
        """Cause the event; return the function that undoes it, which `undo` calls in any case."""
        site, event = self._site, self._task.event
        match event.act:
            case "announce":
                site.origin.announce(self._prefixes)
            case "withdraw":
                site.origin.withdraw(self._prefixes)
            case "worsen" | "next-hop":
                med, hop = (
                    (100, None) if event.act == "worsen" else (None, site.roles.other_next_hop[self._task.family])
                )
                site.origin.announce(self._prefixes, med=med, next_hop=hop, through=site.first_path)
                back = partial(site.origin.clear_attributes, self._prefixes, through=site.first_path)
                undo.callback(back)
                return back
            case "fault":
                fault = apply(site.lab, event.fault_on(site.path))
                undo.callback(fault.undo)
                return fault.undo
        return lambda: None

    def _announce(self) -> None:
        """Announce the prefixes, and wait until traffic flows to them."""
        site = self._site
        site.origin.announce(self._prefixes)
        site.observer.expect_route(self._prefixes)
        for address in site.addresses[self._task.family]:
            site.asking.expect_reaches(address)

    def _clear(self) -> None:
        """Wait for all sessions, and withdraw the prefixes."""
        site = self._site
        site.lab.wait_ready()
        originated = site.origin.daemon.originated(site.origin.running, self._task.family)
        if left := [prefix for prefix in self._prefixes if prefix in originated]:
            site.origin.withdraw(left)
        site.observer.expect_no_route(self._prefixes)


def _as_trial(variant: Variant, task: Task, started: datetime, measured: Measurement, load: float) -> Trial:
    return Trial(
        variant=variant,
        number=task.number,
        started=started,
        status=measured.status,
        reason=measured.reason,
        stages=measured.stages,
        data_plane=measured.data_plane,
        timeline=measured.timeline,
        flags=measured.flags,
        foreign_load=load,
    )


def failed_trial(variant: Variant, task: Task, why: str) -> Trial:
    """Return the record of a trial that ended with an error."""
    reason = f"the trial failed: {why}"
    return Trial(variant=variant, number=task.number, started=datetime.now(UTC), status="invalid", reason=reason)


def short_name(topology: Topology) -> str:
    """Return the name of a topology for a report, from its file."""
    return topology.file.name.removesuffix(".clab.yml")
