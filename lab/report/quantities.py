"""The quantities of a trial, and the format of their values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lab.measure.instrument.convergence import SAMPLING_INTERVAL
from lab.measure.record import STAGES, DataPlane, StageName, Trial

Unit = Literal["s", "packets", "packets/s"]


@dataclass(frozen=True)
class Quantity:
    """One quantity of a trial."""

    key: str
    label: str
    unit: Unit
    of: Callable[[Trial], float | None]
    """The value; None if the trial has none."""
    error: Callable[[Trial], float | None]
    """The uncertainty of the value, to either side."""


STAGE_LABELS: dict[StageName, str] = {
    "event": "event",
    "detection": "detection",
    "update": "UPDATE",
    "rib": "RIB",
    "fib": "FIB",
    "first-packet": "first packet",
}


def _stage(name: StageName) -> Quantity:
    def error(trial: Trial) -> float | None:
        return next((stage.error for stage in trial.stages if stage.name == name), None)

    return Quantity(name, STAGE_LABELS[name], "s", lambda trial: trial.at(name), error)


def _data_plane(
    key: str, label: str, of: Callable[[DataPlane], float | None], unit: Unit = "s", resolution: float = 0.0
) -> Quantity:
    def value(trial: Trial) -> float | None:
        return None if trial.data_plane is None else of(trial.data_plane)

    def error(trial: Trial) -> float | None:
        return None if trial.data_plane is None or unit != "s" else trial.data_plane.error + resolution

    return Quantity(key, label, unit, value, error)


def _slowest(data: DataPlane) -> float | None:
    return max(data.route_specific.values()) if len(data.route_specific) > 1 else None


def _lost(data: DataPlane) -> float | None:
    """Return how many packets were lost; None if traffic never came back: that number is how long one looked."""
    flows_again = (data.until_back, data.loss_derived, data.loss_of_connectivity, data.rate_derived)
    return float(data.lost) if not data.lost or any(time is not None for time in flows_again) else None


QUANTITIES: tuple[Quantity, ...] = (
    *(_stage(name) for name in STAGES if name != "event"),
    _data_plane("until-stopped", "until traffic stopped", lambda data: data.until_stopped),
    _data_plane("until-back", "until traffic came back", lambda data: data.until_back),
    _data_plane("loss-derived", "loss-derived convergence", lambda data: data.loss_derived),
    _data_plane("loss-of-connectivity", "loss of connectivity", lambda data: data.loss_of_connectivity),
    _data_plane("rate-derived", "full convergence", lambda data: data.rate_derived, resolution=SAMPLING_INTERVAL),
    _data_plane("slowest-prefix", "slowest prefix", _slowest),
    _data_plane("lost", "packets lost", _lost, "packets"),
    _data_plane("rate", "probe packets sent per second and prefix", lambda data: data.achieved, "packets/s"),
)
"""All quantities in the order of the tables: the control plane, then the data plane, with the names of RFC 6412 for its
times. A trial lacks those that its event does not have: nothing came back, or nothing was lost."""

CONTROL_PLANE: tuple[str, ...] = ("fib", "rib", "detection")
DATA_PLANE: tuple[str, ...] = ("until-back", "until-stopped", "first-packet", "loss-derived")
"""Candidates for a plane's figure: the quantity that most rows have is drawn; on a tie, the first one."""


def quantity(key: str) -> Quantity:
    """Return a quantity by its key."""
    return next(q for q in QUANTITIES if q.key == key)


def format_value(value: float | None, unit: Unit, *, like: float | None = None) -> str:
    """Format a value with its unit; `like` is another value whose unit and number of digits are used instead."""
    if value is None:
        return ""
    if unit != "s":
        return f"{value:.0f}" if value == round(value) else f"{value:.1f}"
    size = abs(value if like is None else like)
    if size >= 1:
        return f"{value:.2f} s"
    digits = 3 if size < 0.001 else 2 if size < 0.01 else 1 if size < 0.1 else 0
    return f"{value * 1000:.{digits}f} ms"
