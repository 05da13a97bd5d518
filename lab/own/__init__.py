"""Nodes that run with the user's own files: OpenVPN's configurations and those of a routing daemon.

`resolve` reads the files that a topology names and completes the model: processes, tunnels, routers, the files of each
node, and what the lab does differently. `write_files` writes the files into a lab's directory and issues missing keys.
`load_ruleset` loads a packet filter in a running node, and `create_vrf` makes a VRF there.
`moved` names the files from another directory, and `with_pool_addresses` the addresses that servers give to clients.
"""

from typing import TYPE_CHECKING

from lab.core.lazy import lazy_exports

if TYPE_CHECKING:
    from lab.own.completion import resolve
    from lab.own.deployment import write_files
    from lab.own.loading import load_ruleset
    from lab.own.moved import moved
    from lab.own.pools import with_pool_addresses
    from lab.own.vrfs import create_vrf, vrfs_of

__all__ = ["create_vrf", "load_ruleset", "moved", "resolve", "vrfs_of", "with_pool_addresses", "write_files"]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "lab.own.deployment": ("write_files",),
            "lab.own.completion": ("resolve",),
            "lab.own.loading": ("load_ruleset",),
            "lab.own.vrfs": ("create_vrf", "vrfs_of"),
            "lab.own.moved": ("moved",),
            "lab.own.pools": ("with_pool_addresses",),
        },
    )
