"""Detectors: the mechanism that detects a lost path, its time, and the settings that make all others slower.

A detector is written as `hold 3 s` (BGP's hold timer, RFC 4271), `bfd 3x100 ms` (RFC 5880: a session is down when
so many packets in a row are missing), `ping-restart 45 s` (openvpn(8): OpenVPN receives nothing from its peer and
restarts its connection, which removes the device) or `interface` (the kernel alone, when an interface goes down).
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from lab.core.errors import InputError
from lab.topology import Bfd, RouterIntent, Timers

DetectorKind = Literal["hold", "bfd", "ping-restart", "interface"]

_SLOW = 180
"""Seconds of the detectors that are not measured, longer than any measured one; RFC 4271 suggests 90 for hold."""
_FORMS = {
    "hold": re.compile(r"hold (\d+) s"),
    "bfd": re.compile(r"bfd (\d+)x(\d+) ms"),
    "ping-restart": re.compile(r"ping-restart (\d+) s"),
    "interface": re.compile(r"interface"),
}


@dataclass(frozen=True)
class Detector:
    """One detector with its time."""

    kind: DetectorKind
    seconds: float
    """From the last packet of the peer until it is declared down."""
    multiplier: int = 0
    """BFD's detection multiplier; 0 for other detectors."""

    @classmethod
    def parse(cls, text: str) -> "Detector":
        """Parse a detector of a plan; raises `InputError`."""
        for kind, form in _FORMS.items():
            if found := form.fullmatch(text.strip()):
                numbers = [int(number) for number in found.groups()]
                return cls._checked(kind, numbers, text)
        raise InputError(
            f"{text!r} is not a detector: write `hold 3 s`, `bfd 3x100 ms`, `ping-restart 45 s` or `interface`"
        )

    @classmethod
    def _checked(cls, kind: str, numbers: list[int], text: str) -> "Detector":
        match kind:
            case "hold":
                if not 3 <= numbers[0] < _SLOW:
                    raise InputError(f"{text!r}: a hold time is at least 3 s (RFC 4271), and below {_SLOW} s here")
                return cls("hold", numbers[0])
            case "bfd":
                if not (2 <= numbers[0] <= 255 and 10 <= numbers[1] <= 60_000):
                    raise InputError(f"{text!r}: BFD needs a multiplier of 2 to 255 and an interval of 10 to 60000 ms")
                return cls("bfd", numbers[0] * numbers[1] / 1000, numbers[0])
            case "ping-restart":
                if not 3 <= numbers[0] < _SLOW:
                    raise InputError(f"{text!r}: at least 3 s are needed, because OpenVPN pings once a second at most")
                return cls("ping-restart", numbers[0])
        return cls("interface", 0.0)

    def __str__(self) -> str:
        match self.kind:
            case "bfd":
                return f"bfd {self.multiplier}x{round(self.seconds * 1000 / self.multiplier)} ms"
            case "interface":
                return "interface"
        return f"{self.kind} {self.seconds:g} s"

    @property
    def needs_openvpn(self) -> bool:
        """True if OpenVPN is the detector, so that the bare wire has none."""
        return self.kind == "ping-restart"

    def router(self, intent: RouterIntent) -> RouterIntent:
        """Return a router's intent with this detector, and with all others slower."""
        hold = int(self.seconds) if self.kind == "hold" else _SLOW
        timers = Timers(keepalive=max(1, hold // 3), hold=hold, connect=intent.timers.connect)
        bfd = None
        if self.kind == "bfd":
            bfd = Bfd(multiplier=self.multiplier, interval=round(self.seconds * 1000 / self.multiplier))
        return intent.model_copy(update={"timers": timers, "bfd": bfd})

    @property
    def options(self) -> dict[str, Any]:
        """OpenVPN's options; only a detector `ping-restart` may restart the connection, and remove the device."""
        if self.kind == "ping-restart":
            seconds = int(self.seconds)
            return {"keepalive": [max(1, seconds // 3), seconds], "persist-tun": False}
        return {"keepalive": [_SLOW // 3, _SLOW]}
