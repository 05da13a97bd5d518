"""Records as earlier versions wrote them, read as today's."""

from collections.abc import Mapping
from typing import Any

_AGREE = 0.01
"""Seconds by which the first packet may come after the outage that the lost packets tell: the delay of a path."""


def with_named_times(trial: Any) -> Any:
    """Return a trial's data with the names of its times, as far as the data tells which times they are.

    Until `until_stopped` was a field of its own, `loss_derived` was the time for which packets were delivered after the
    event if they stopped for good, and the time for which they were lost if they came back.
    """
    plane = trial.get("data_plane") if isinstance(trial, Mapping) else None
    if not isinstance(plane, Mapping) or "until_stopped" in plane:
        return trial
    loss = plane.get("loss_derived")
    routes = plane.get("route_specific") or {}
    longest = max(routes.values(), default=loss)
    renamed = {**plane, "until_stopped": None}
    back = next((stage["at"] for stage in trial.get("stages", ()) if stage["name"] == "first-packet"), None)
    if back is None:
        renamed |= {"loss_derived": None, "rate_derived": None, "route_specific": {}}
        of_delivered = loss is not None and round(loss * plane["rate"] * max(1, len(routes))) == plane["received"]
        if of_delivered and longest > plane["error"]:
            renamed["until_stopped"] = longest
    elif loss is not None and back - longest > plane["error"] + _AGREE:
        renamed |= {"loss_derived": None, "loss_of_connectivity": loss, "route_specific": {}}
    return {**trial, "data_plane": renamed}
