"""Who notices that a path is gone, and how fast: what a topology is given so that only this one does.

A detector is written as `hold 3 s` (BGP's hold timer, RFC 4271), `bfd 3x100 ms` (RFC 5880: a session is down when
so many packets in a row are missing), `ping-restart 45 s` (openvpn(8): OpenVPN hears nothing from its peer and starts
its connection anew, which takes the device along) or `interface` (nobody but the kernel, whose interface goes down).
All others are made too slow to come first.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from lab.core.errors import InputError
from lab.topology import Bfd, RouterIntent, Timers

DetectorKind = Literal["hold", "bfd", "ping-restart", "interface"]

_SLOW = 180
"""Seconds, RFC 4271's own suggestion is 90: whatever is measured here comes before it."""
_FORMS = {
    "hold": re.compile(r"hold (\d+) s"),
    "bfd": re.compile(r"bfd (\d+)x(\d+) ms"),
    "ping-restart": re.compile(r"ping-restart (\d+) s"),
    "interface": re.compile(r"interface"),
}


@dataclass(frozen=True)
class Detector:
    """One way to notice."""

    kind: DetectorKind
    seconds: float
    """From the last sign of life to the verdict."""
    multiplier: int = 0
    """BFD's."""

    @classmethod
    def parse(cls, text: str) -> "Detector":
        """Read what a plan says; raises `InputError`."""
        for kind, form in _FORMS.items():
            if found := form.fullmatch(text.strip()):
                numbers = [int(number) for number in found.groups()]
                return cls._checked(kind, numbers, text)
        raise InputError(
            f"{text!r} is no detector: write `hold 3 s`, `bfd 3x100 ms`, `ping-restart 45 s` or `interface`"
        )

    @classmethod
    def _checked(cls, kind: str, numbers: list[int], text: str) -> "Detector":
        match kind:
            case "hold":
                if not 3 <= numbers[0] < _SLOW:
                    raise InputError(f"{text!r}: a hold time has 3 s at least (RFC 4271), and less than {_SLOW} s here")
                return cls("hold", numbers[0])
            case "bfd":
                if not (2 <= numbers[0] <= 255 and 10 <= numbers[1] <= 60_000):
                    raise InputError(f"{text!r}: BFD takes a multiplier of 2 to 255 and 10 to 60000 ms")
                return cls("bfd", numbers[0] * numbers[1] / 1000, numbers[0])
            case "ping-restart":
                if not 3 <= numbers[0] < _SLOW:
                    raise InputError(f"{text!r}: 3 s at least, since OpenVPN pings once a second at most")
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
        """Whether it is OpenVPN that notices, so that a bare wire has no such detector."""
        return self.kind == "ping-restart"

    def router(self, intent: RouterIntent) -> RouterIntent:
        """A router that has this detector, and no other that is as fast."""
        hold = int(self.seconds) if self.kind == "hold" else _SLOW
        timers = Timers(keepalive=max(1, hold // 3), hold=hold, connect=intent.timers.connect)
        bfd = None
        if self.kind == "bfd":
            bfd = Bfd(multiplier=self.multiplier, interval=round(self.seconds * 1000 / self.multiplier))
        return intent.model_copy(update={"timers": timers, "bfd": bfd})

    @property
    def options(self) -> dict[str, Any]:
        """OpenVPN's options; only where it is the detector may it give up, and take the device with it."""
        if self.kind == "ping-restart":
            seconds = int(self.seconds)
            return {"keepalive": [max(1, seconds // 3), seconds], "persist-tun": False}
        return {"keepalive": [_SLOW // 3, _SLOW]}
