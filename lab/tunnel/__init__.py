"""OpenVPN: tunnel modes, their configurations, and the processes that run them."""

from lab.tunnel.management import Management, ManagementError
from lab.tunnel.mode import Identity, Process, TunnelMode, display_name, modes, pin_data_path, processes
from lab.tunnel.running import (
    KERNEL_KIND,
    OpenVpn,
    RunningTunnel,
    TunnelStatus,
    render_tunnel,
    running_tunnels,
    write_tunnel,
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
    "display_name",
    "modes",
    "pin_data_path",
    "processes",
    "render_tunnel",
    "running_tunnels",
    "write_tunnel",
]
