"""OpenVPN: tunnel modes, their configurations, and the processes that run them."""

from typing import TYPE_CHECKING

from lab.core.lazy import lazy_exports

if TYPE_CHECKING:
    from lab.tunnel.management import Management, ManagementError
    from lab.tunnel.mode import Identity, Process, TunnelMode, display_name, modes, pin_data_path, processes
    from lab.tunnel.own import mode_of
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
    "mode_of",
    "modes",
    "pin_data_path",
    "processes",
    "render_tunnel",
    "running_tunnels",
    "write_tunnel",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "lab.tunnel.management": ("Management", "ManagementError"),
            "lab.tunnel.mode": (
                "Identity",
                "Process",
                "TunnelMode",
                "display_name",
                "modes",
                "pin_data_path",
                "processes",
            ),
            "lab.tunnel.own": ("mode_of",),
            "lab.tunnel.running": (
                "KERNEL_KIND",
                "OpenVpn",
                "RunningTunnel",
                "TunnelStatus",
                "render_tunnel",
                "running_tunnels",
                "write_tunnel",
            ),
        },
    )
