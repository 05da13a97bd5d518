"""The events of trials, and their outcomes at the router that observes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lab.core.outcome import Outcome
from lab.fault import KINDS, FaultKind, RouterPath
from lab.measure.record import Over
from lab.measure.trials.detector import Detector, DetectorKind

TrialAct = Literal["announce", "withdraw", "worsen", "next-hop", "fault"]

RECOVERY = " recovery"
_OVERHEAD = 1.8
"""Seconds of a trial besides its event: announcing the prefix, starting the probes, waiting for the recovery."""
_WATCHED = 3.5
"""Seconds of observation if the event should not change anything."""
_RECONNECTED = 3.5
"""Seconds until a session is established again once the fault is undone."""
_FIRST_RETRANSMISSION = 0.2
"""Seconds after which Linux sends a TCP segment again at first; each further wait is twice as long (RFC 6298)."""


@dataclass(frozen=True)
class TrialEvent:
    """One event of a trial."""

    name: str
    summary: str
    act: TrialAct
    outcome: Outcome
    """The outcome without an alternative path."""
    fault: str = ""
    """The kind of fault over a tunnel; see `lab.fault`."""
    fault_over_link: str = ""
    """The kind over a link or a kernel tunnel; empty for a fault of OpenVPN."""
    choices: tuple[tuple[str, str], ...] = ()
    """Fields of the fault that are not its target."""
    detected: bool = False
    """True if a detector must detect the event, so that its time depends on the detector."""
    noticed_by: str = ""
    """The detector that applies regardless of the plan's; empty if there is none."""
    closes_tcp: bool = False
    """Over a TCP tunnel the kernel closes the connection, so that OpenVPN at the other end detects it. Over UDP only
    ping-restart detects it, and until then the tunnel stays down."""
    cuts_carrier: bool = False
    """Over the bare wire the observer's interface goes down."""
    lost_unseen: bool = False
    """Packets are lost without an error at their sender, so that TCP waits longer for each retransmission."""
    two_paths: bool = False
    """The event needs an alternative path."""
    breaks_router: bool = False
    """The far router itself breaks, so that an alternative path does not help."""

    @classmethod
    def of_kind(
        cls, kind: str, name: str = "", summary: str = "", *, over_link: str | None = None, **more: Any
    ) -> "TrialEvent":
        """Return the event that applies a kind of fault, with the effect that the kind declares.

        `over_link` is the kind in its place without a tunnel, `more` are fields that differ.
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
            "breaks_router": effect.breaks_router,
            **more,
        }
        return cls(name or kind, summary or found.summary, "fault", fault=kind, fault_over_link=over_link, **fields)

    def fault_on(self, path: RouterPath) -> FaultKind:
        """Return the event's fault on a path; raises `InputError` if its kind has no target there."""
        kind = self.fault if path.tunnel is not None else self.fault_over_link
        return KINDS[kind].on_path(path, **dict(self.choices))

    @property
    def recovers(self) -> bool:
        """True if the event lasts until it is undone, so that the recovery is measured too."""
        return self.outcome == ("vanishes" if self.act == "fault" else "moves")

    @property
    def measured(self) -> tuple[str, ...]:
        """The event names of its trials in the records."""
        return (self.name, self.name + RECOVERY) if self.recovers else (self.name,)

    def expected_outcome(self, *, two_paths: bool) -> Outcome:
        """Return the outcome at the observer."""
        return "moves" if self.outcome == "vanishes" and self._has_alternative(two_paths) else self.outcome

    def expected_outcome_of_recovery(self, *, two_paths: bool) -> Outcome:
        """Return the outcome at the observer when the event is undone."""
        return "moves" if self.outcome == "moves" or self._has_alternative(two_paths) else "appears"

    def _has_alternative(self, two_paths: bool) -> bool:
        return two_paths and self.act == "fault" and not self.breaks_router

    def possible(self, over: Over, detector: DetectorKind, *, two_paths: bool, tcp: bool = False) -> bool:
        """Return whether the event is possible over a medium, and this detector detects it."""
        if self.two_paths and not two_paths:
            return False
        if self.act == "fault" and over != "tunnel" and not self.fault_over_link:
            return False
        if not self.detected:
            return True
        if over == "wire" and self.cuts_carrier:  # eBGP ends with its interface (RFC 4271, section 8.1.4)
            return detector == "interface"
        if self.closes_tcp and over == "tunnel":
            return detector == "ping-restart" if not tcp else detector in ("hold", "bfd")
        # A tunnel's device stays up when its packets are lost, and so does VXLAN's.
        return detector != "interface"

    def expected_seconds(self, detector: Detector) -> float:
        """Return the approximate duration of a trial in seconds."""
        detection = detector.seconds if self.detected else 0.0
        back = _RECONNECTED if self.act == "fault" and self.outcome != "nothing" else 0.0
        watched = _WATCHED if self.outcome == "nothing" else 0.0
        until_back = _retransmission_after(detection) if self.lost_unseen else detection
        return _OVERHEAD + until_back + back + watched


def _retransmission_after(seconds: float) -> float:
    """Return when TCP sends a segment again, in seconds after the first time, that was not acknowledged so long."""
    at, wait = 0.0, _FIRST_RETRANSMISSION
    while at < seconds:
        at, wait = at + wait, 2 * wait
    return at


EVENTS: Mapping[str, TrialEvent] = {
    event.name: event
    for event in (
        TrialEvent("announce", "the far router announces a prefix", "announce", "appears"),
        TrialEvent("withdraw", "the far router withdraws a prefix", "withdraw", "vanishes"),
        TrialEvent("worsen", "the MED of one of two equal paths rises", "worsen", "moves", two_paths=True),
        TrialEvent(
            "next-hop", "one of two equal paths names the other's next hop", "next-hop", "moves", two_paths=True
        ),
        TrialEvent.of_kind("bgp-soft-reset", "soft-reset", "routes are refreshed, sessions stay"),
        TrialEvent.of_kind("bgp-reset", "hard-reset", "the BGP session is closed and established again"),
        TrialEvent.of_kind("openvpn-killed", "client-killed", "OpenVPN's client is killed"),
        TrialEvent.of_kind(
            "openvpn-killed",
            "server-killed",
            "OpenVPN's server is killed",
            choices=(("end", "server"),),
            detected=True,
            noticed_by="",
            closes_tcp=True,
        ),
        TrialEvent.of_kind("openvpn-usr1", "sigusr1", "OpenVPN's client restarts its connection"),
        TrialEvent.of_kind(
            "blackhole",
            summary="packets are dropped, interfaces stay up",
            over_link="link-blackhole",
            lost_unseen=True,
        ),
        TrialEvent.of_kind("link-down", summary="the underlay's link goes down"),
        TrialEvent.of_kind("daemon-killed", summary="the far router's daemon is killed"),
        TrialEvent.of_kind("node-paused", summary="the far router freezes"),
    )
}
"""The events of a plan that names none: routes first, then sessions, OpenVPN, links and routers."""


def event_names() -> Sequence[str]:
    """Return all names that a plan may use: the events above, and every other kind of fault that can be measured."""
    return [*EVENTS, *(name for name, kind in KINDS.items() if kind.effect is not None and name not in EVENTS)]


def event_of(name: str) -> TrialEvent:
    """Return the event of that name, one of `event_names`."""
    return EVENTS[name] if name in EVENTS else TrialEvent.of_kind(name)
