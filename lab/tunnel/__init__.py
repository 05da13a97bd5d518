"""OpenVPN: tunnel modes, their configurations, and the processes that run them."""

from lab.tunnel.management import Management, ManagementError
from lab.tunnel.mode import Identity, Process, TunnelMode, carried_as_declared, modes, processes, shown
from lab.tunnel.running import (
    KERNEL_KIND,
    OpenVpn,
    RunningTunnel,
    TunnelStatus,
    render_tunnel,
    rendered_tunnel,
    running_tunnels,
)

__all__ = [
    "KERNEL_KIND",
    "Identity",
    "Management",
    "ManagementError",
    "OpenVpn",
    "Process",
    "RunningTunnel",
    "TunnelMode",
    "TunnelStatus",
    "carried_as_declared",
    "modes",
    "processes",
    "render_tunnel",
    "rendered_tunnel",
    "running_tunnels",
    "shown",
]
