"""containerlab's keys: those that the lab supports, those that have no effect, and those that it refuses.

None is ignored in silence: a key that has no effect gives a note, one that the lab cannot honour is refused with the
reason. Only what a node of the file uses is refused, not what other kinds and groups define.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from lab.topology.model import Node

TOP_KEYS: Final = ("name", "prefix", "mgmt", "settings", "topology")
TOP_INERT: Final = {
    "debug": "the lab has no log level",
}

TOPOLOGY_KEYS: Final = ("defaults", "kinds", "groups", "nodes", "links")

KINDS: Final = ("linux", "bridge", "ovs-bridge", "mikrotik_ros", "freebsd", "openbsd", "ext-container", "host")

PULL_POLICIES: Final = ("IfNotPresent", "Never", "Always")
RESTART_POLICIES: Final = ("no", "always", "on-failure", "unless-stopped")

_NOT_FROM_FILE = ("name", "intent", "bridges")

NODE_KEYS: Final[Mapping[str, Any]] = {
    **{info.alias or name: info.annotation for name, info in Node.model_fields.items() if name not in _NOT_FROM_FILE},
    # These have another type in the file than in the model.
    "kind": str,
    "image-pull-policy": str,
    "tmpfs": Mapping[str, str],
    "env-files": tuple[str, ...],
    "config": Mapping[str, Any],
    "restart-policy": str,
    "cgroupns-mode": str,
}
"""The supported keys of a node definition, with the type of each value in the file."""

BRIDGE_KEYS: Final = ("kind", "group", "labels")
"""The keys that apply to a bridge, which is not a container; it may inherit others, which have no effect."""


BORROWED_KEYS: Final = ("kind", "group", "labels", "exec", "stages")
"""The keys that apply to a container that the lab did not start; containerlab ignores its others."""

_FOR_OTHER_KINDS = "nodes of this kind do not read it"

NODE_INERT: Final[Mapping[str, str]] = {
    "components": _FOR_OTHER_KINDS,
    "enforce-startup-config": _FOR_OTHER_KINDS,
    "extras": _FOR_OTHER_KINDS,
    "license": _FOR_OTHER_KINDS,
    "position": "the lab's graph has a layout of its own",
    "startup-config": _FOR_OTHER_KINDS,
    "suppress-startup-config": _FOR_OTHER_KINDS,
    "type": _FOR_OTHER_KINDS,
}
"""Keys that have no effect on a container with Linux; another vendor's system may read them."""

_TYPES: Final[Mapping[str, Any]] = {
    "auto-remove": bool,
    "components": tuple[Mapping[str, Any], ...],
    "enforce-startup-config": bool,
    "extras": Mapping[str, Any],
    "suppress-startup-config": bool,
}
MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "components": ("slot", "type", "env", "sfm", "xiom", "mda"),
    "extras": ("srl-agents", "mysocket-proxy", "ceos-copy-to-flash", "k8s_kind"),
}
"""The keys inside of keys that have no effect."""

LOGIN: Final = ("username", "password")
"""The older spelling of keys in `credentials`."""

OWN_ONLY: Final = ("aliases", "mgmt-ipv4", "mgmt-ipv6")
"""The keys that no node inherits."""


class Fixed(NamedTuple):
    """A key with which a file can say what the lab does in any case."""

    same: tuple[Any, ...]
    """The values that say so."""
    others: tuple[Any, ...]
    """The values that containerlab accepts and that have no effect here."""
    why: str


NODE_FIXED: Final[Mapping[str, Fixed]] = {
    "auto-remove": Fixed((False,), (True,), "the lab keeps a node that died, for inspection"),
    "link-apply-mode": Fixed((), ("live", "restart", "recreate"), "a running lab is not changed by editing its file"),
    "runtime": Fixed(("docker",), (), "the engine is Docker"),
}

INHERITED: Final[Mapping[str, Any]] = {
    **NODE_KEYS,
    **{key: _TYPES.get(key, str) for key in (*NODE_INERT, *NODE_FIXED)},
}
"""All keys of a node definition with the types of their values, those included that have no effect."""

LINK_TYPES: Final = ("veth", "veth-stitch", "dummy", "host", "mgmt-net", "macvlan", "vxlan", "vxlan-stitch")
"""The types of links; `veth-stitch` is a `veth` link here, which can be captured and impaired as well."""
LINK_TYPES_REFUSED: Final[Mapping[str, str]] = {
    "bridge": "make the bridge a node of kind 'bridge'",
}
BRIEF_ENDS_REFUSED: Final = ("host", "macvlan", "mgmt-net")
"""Reserved words: in place of a node in a brief link they make it a link of that type."""

BRIEF_KEYS: Final = ("endpoints", "mtu", "ipv4", "ipv6", "vars")
VETH_KEYS: Final = ("type", "endpoints", "mtu", "vars")
DUMMY_KEYS: Final = ("type", "endpoint", "mtu", "vars")
HOST_KEYS: Final = (*DUMMY_KEYS, "host-interface")
MACVLAN_KEYS: Final = (*HOST_KEYS, "mode")
VXLAN_KEYS: Final = (*DUMMY_KEYS, "remote", "vni", "dst-port", "udp-port", "src-port", "parent-interface")
OUTSIDE_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "host": HOST_KEYS,
    "mgmt-net": HOST_KEYS,
    "macvlan": MACVLAN_KEYS,
    "vxlan": VXLAN_KEYS,
    "vxlan-stitch": VXLAN_KEYS,
}
"""The keys of links to the host's network, by type."""
ENDPOINT_KEYS: Final = ("node", "interface", "mac", "ipv4", "ipv6", "vars")
LINK_INERT: Final = ("labels",)
"""Keys of a link that have no effect, as in containerlab."""
LINK_UNUSED: Final = ("ipv4", "ipv6")
"""Keys of a link that have an effect in the brief form only, as in containerlab: else each endpoint has its own."""
