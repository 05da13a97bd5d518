"""What is caused in a trial, and what it does to a route at the router that observes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lab.core.outcome import Outcome
from lab.fault import KINDS, FaultKind, RouterPath
from lab.measure.trials.detector import Detector, DetectorKind
from lab.measure.trials.record import Over

TrialAct = Literal["announce", "withdraw", "worsen", "next-hop", "fault"]

RECOVERY = " recovery"
_OVERHEAD = 1.5
"""Seconds of a trial besides its event: announcing the prefix, starting the probes, waiting for the recovery."""
_WATCHED = 5.0
"""Seconds of watching if the event is not to change anything."""
_RECONNECTED = 2.0
"""Seconds until a session is established again once the fault is undone."""


@dataclass(frozen=True)
class TrialEvent:
    """One event of a trial."""

    name: str
    summary: str
    act: TrialAct
    outcome: Outcome
    """What becomes of the route if there is no alternative path."""
    fault: str = ""
    """The kind of fault over a tunnel; see `lab.fault`."""
    fault_over_link: str = ""
    """The kind over a link or a kernel tunnel; empty for a fault of OpenVPN."""
    choices: tuple[tuple[str, str], ...] = ()
    """Fields of the fault that are not its target."""
    detected: bool = False
    """A detector has to notice the event, so that detectors make a difference."""
    noticed_by: str = ""
    """The detector that notices whatever the plan says; empty if none has to."""
    told_by_tcp: bool = False
    """Over a TCP tunnel the kernel closes the connection and so tells OpenVPN at the other end. Over UDP OpenVPN has to
    notice by itself, and until then the tunnel stays down."""
    cuts_carrier: bool = False
    """Over the bare wire the observer's interface goes down."""
    two_ways: bool = False
    """The event needs an alternative path."""
    everywhere: bool = False
    """The far router itself breaks, so that an alternative path does not help."""

    @classmethod
    def of_kind(
        cls, kind: str, name: str = "", summary: str = "", *, over_link: str | None = None, **more: Any
    ) -> "TrialEvent":
        """Return the event that a kind of fault is, by what the kind says of itself.

        `over_link` is the kind that takes its place where there is no tunnel, `more` are fields that differ.
        """
        found = KINDS[kind]
        effect = found.effect
        assert effect is not None, f"{kind} cannot be measured"
        if over_link is None:
            over_link = "" if found.needs_tunnel else kind
        fields: dict[str, Any] = {
            "outcome": effect.outcome,
            "detected": effect.silent,
            "noticed_by": effect.noticed_by,
            "cuts_carrier": effect.cuts_carrier,
            "everywhere": effect.breaks_router,
            **more,
        }
        return cls(name or kind, summary or found.summary, "fault", fault=kind, fault_over_link=over_link, **fields)

    def fault_on(self, path: RouterPath) -> FaultKind:
        """Return the event's fault on a path; raises `InputError` if its kind has no target there."""
        kind = self.fault if path.tunnel is not None else self.fault_over_link
        return KINDS[kind].on_path(path, **dict(self.choices))

    @property
    def recovers(self) -> bool:
        """It lasts until it is undone, and the way back is measured too."""
        return self.outcome == ("vanishes" if self.act == "fault" else "moves")

    @property
    def measured(self) -> tuple[str, ...]:
        """The names under which trials are written down."""
        return (self.name, self.name + RECOVERY) if self.recovers else (self.name,)

    def expected_outcome(self, *, two_ways: bool) -> Outcome:
        """What becomes of the route at the observer."""
        return "moves" if self.outcome == "vanishes" and self._spared(two_ways) else self.outcome

    def expected_outcome_of_recovery(self, *, two_ways: bool) -> Outcome:
        """And when the fault is undone."""
        return "moves" if self.outcome == "moves" or self._spared(two_ways) else "appears"

    def _spared(self, two_ways: bool) -> bool:
        return two_ways and self.act == "fault" and not self.everywhere

    def possible(self, over: Over, detector: DetectorKind, *, two_ways: bool, tcp: bool = False) -> bool:
        """Whether it can happen over this, and whether this detector is the one that would notice."""
        if self.two_ways and not two_ways:
            return False
        if self.act == "fault" and over != "tunnel" and not self.fault_over_link:
            return False
        if not self.detected:
            return True
        if over == "wire" and self.cuts_carrier:  # eBGP ends with its interface (RFC 4271, section 8.1.4)
            return detector == "interface"
        if self.told_by_tcp and over == "tunnel":
            return detector == "ping-restart" if not tcp else detector in ("hold", "bfd")
        # A tunnel's device stays up whatever becomes of its packets, and so does VXLAN's.
        return detector != "interface"

    def expected_seconds(self, detector: Detector) -> float:
        """About how long a trial takes."""
        noticed = detector.seconds if self.detected else 0.0
        back = _RECONNECTED if self.act == "fault" and self.outcome != "nothing" else 0.0
        watched = _WATCHED if self.outcome == "nothing" else 0.0
        return _OVERHEAD + noticed + back + watched


EVENTS: Mapping[str, TrialEvent] = {
    event.name: event
    for event in (
        TrialEvent("announce", "the far router announces a prefix", "announce", "appears"),
        TrialEvent("withdraw", "the far router withdraws a prefix", "withdraw", "vanishes"),
        TrialEvent("worsen", "the MED of one of two equal paths rises", "worsen", "moves", two_ways=True),
        TrialEvent("next-hop", "one of two equal paths names the other's next hop", "next-hop", "moves", two_ways=True),
        TrialEvent.of_kind("bgp-soft-reset", "soft-reset", "routes are refreshed, sessions stay"),
        TrialEvent.of_kind("bgp-reset", "hard-reset", "the BGP session is torn down and built again"),
        TrialEvent.of_kind("openvpn-killed", "client-killed", "OpenVPN's client is killed"),
        TrialEvent.of_kind(
            "openvpn-killed",
            "server-killed",
            "OpenVPN's server is killed",
            choices=(("end", "server"),),
            detected=True,
            noticed_by="",
            told_by_tcp=True,
        ),
        TrialEvent.of_kind("openvpn-usr1", "sigusr1", "OpenVPN's client restarts its connection"),
        TrialEvent.of_kind("blackhole", summary="packets vanish, and nothing goes down", over_link="link-blackhole"),
        TrialEvent.of_kind("link-down", summary="the underlay's link goes down"),
        TrialEvent.of_kind("daemon-killed", summary="the far router's daemon is killed"),
        TrialEvent.of_kind("node-paused", summary="the far router freezes"),
    )
}
"""The events of a plan that names none, in the order of what they break."""


def event_names() -> Sequence[str]:
    """Return all names that a plan may use: the events above, and every other kind of fault that can be measured."""
    return [*EVENTS, *(name for name, kind in KINDS.items() if kind.effect is not None and name not in EVENTS)]


def event_of(name: str) -> TrialEvent:
    """Return the event of that name, one of `event_names`."""
    return EVENTS[name] if name in EVENTS else TrialEvent.of_kind(name)
