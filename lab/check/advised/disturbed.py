"""Trials of failures that show only when a tunnel is disturbed: by a restart, a blackhole, a route, many addresses.

Each puts the tunnel back as it was.
"""

from collections.abc import Mapping

from lab.check.advised.clients import overlapping_iroutes, quick_reconnect, route_quota, second_client
from lab.check.advised.paths import address_change, path_mtu, recursive_routing, restart_closes_device
from lab.check.advised.timers import bfd_jitter, dead_interval, hold_time, idle_restart, no_exit_notify
from lab.check.advised.undisturbed import Trial

DISTURBED: Mapping[str, Trial] = {
    "second-client": second_client,
    "overlapping-iroutes": overlapping_iroutes,
    "quick-reconnect": quick_reconnect,
    "no-exit-notify": no_exit_notify,
    "route-quota": route_quota,
    "path-mtu": path_mtu,
    "hold-time": hold_time,
    "dead-interval": dead_interval,
    "bfd-jitter": bfd_jitter,
    "idle-restart": idle_restart,
    "address-change": address_change,
    "recursive-routing": recursive_routing,
    "restart-closes-device": restart_closes_device,
}
"""The trials by rule."""
