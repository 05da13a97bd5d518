"""What is caused in a trial, and what it does to a route at the router that observes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lab.measure.outcome import Outcome
from lab.measure.trials.detector import Detector, DetectorKind
from lab.measure.trials.record import Over

TrialAct = Literal["announce", "withdraw", "worsen", "next-hop", "fault"]

RECOVERY = " recovery"
_OVERHEAD = 1.5
"""Seconds of a trial besides its event: a prefix is set up, the probes run in, and the way back is waited for."""
_WATCHED = 5.0
"""Seconds in which it is looked whether nothing happens."""
_RECONNECTED = 2.0
"""Seconds in which a session comes back after what was broken is whole again."""


@dataclass(frozen=True)
class TrialEvent:
    """One thing that happens."""

    name: str
    summary: str
    act: TrialAct
    outcome: Outcome
    fault: str = ""
    """The kind of fault over a tunnel; see `lab.fault`."""
    fault_over_link: str = ""
    """The kind over a wire or a kernel tunnel; empty where it is a fault of OpenVPN."""
    detected: bool = False
    """Somebody has to notice, so that detectors make a difference."""
    told_by: str = ""
    """Who notices whatever the detector is; empty where nobody has to."""
    told_by_tcp: bool = False
    """Over a tunnel in TCP the other end's kernel tells OpenVPN of it. Over UDP nobody does, and until OpenVPN notices
    by itself the tunnel does not come back."""
    two_ways: bool = False
    """It needs an alternative path."""
    everywhere: bool = False
    """It befalls the far router itself, so that no alternative path helps."""

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
        if over == "wire" and self.name == "link-down":  # the carrier goes, and eBGP with it (RFC 4271, section 8.1.4)
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


def _fault(name: str, summary: str, kind: str, over_link: str = "", **more: Any) -> TrialEvent:
    return TrialEvent(name, summary, "fault", more.pop("outcome", "vanishes"), kind, over_link, **more)


EVENTS: Mapping[str, TrialEvent] = {
    event.name: event
    for event in (
        TrialEvent("announce", "the far router announces a prefix", "announce", "appears"),
        TrialEvent("withdraw", "the far router withdraws a prefix", "withdraw", "vanishes"),
        TrialEvent("worsen", "the MED of one of two equal paths rises", "worsen", "moves", two_ways=True),
        TrialEvent("next-hop", "one of two equal paths names the other's next hop", "next-hop", "moves", two_ways=True),
        _fault(
            "soft-reset", "routes are refreshed, sessions stay", "bgp-soft-reset", "bgp-soft-reset", outcome="nothing"
        ),
        _fault(
            "hard-reset", "the BGP session is torn down and built again", "bgp-reset", "bgp-reset", outcome="returns"
        ),
        _fault("client-killed", "OpenVPN's client is killed", "openvpn-killed", told_by="interface"),
        _fault("server-killed", "OpenVPN's server is killed", "openvpn-killed", detected=True, told_by_tcp=True),
        _fault("sigusr1", "OpenVPN's client restarts its connection", "openvpn-usr1", outcome="returns"),
        _fault("blackhole", "packets vanish, and nothing goes down", "blackhole", "link-blackhole", detected=True),
        _fault("link-down", "the underlay's link goes down", "link-down", "link-down", detected=True),
        _fault("daemon-killed", "the far router's daemon is killed", "daemon-killed", "daemon-killed", everywhere=True),
        _fault("node-paused", "the far router freezes", "node-paused", "node-paused", detected=True, everywhere=True),
    )
}
"""All events, in the order of what they break."""
