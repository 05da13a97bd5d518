"""containerlab's keys: those that the lab supports, and those that it refuses, each with the reason.

A key is supported in full or refused; none is ignored. Keys that containerlab ignores on the supported kinds (a
licence, a type) are refused as well: a file with one was made for other nodes.
"""

from collections.abc import Mapping
from typing import Any, Final

from lab.topology.model import Node

TOP_KEYS: Final = ("name", "prefix", "topology")
TOP_REFUSED: Final = {
    "mgmt": "its nodes have no management network, only the links of the file",
    "settings": "it has no certificate authority as containerlab does",
    "debug": "the log level is set on the command line",
}

TOPOLOGY_KEYS: Final = ("defaults", "kinds", "groups", "nodes", "links")

KINDS: Final = ("linux", "bridge", "mikrotik_ros")

PULL_POLICIES: Final = ("IfNotPresent", "Never", "Always")

_NOT_FROM_FILE = ("name", "intent")

NODE_KEYS: Final[Mapping[str, Any]] = {
    **{info.alias or name: info.annotation for name, info in Node.model_fields.items() if name not in _NOT_FROM_FILE},
    # These have another type in the file than in the model.
    "kind": str,
    "image-pull-policy": str,
    "tmpfs": Mapping[str, str],
    "env-files": tuple[str, ...],
    "network-mode": str,
    "privileged": bool,
    "config": Mapping[str, Any],
}
"""The supported keys of a node definition, with the type of each value in the file."""

BRIDGE_KEYS: Final = ("kind", "group", "labels")
"""The keys that apply to a bridge, which is not a container; it may inherit others, which have no effect."""

_FOR_OTHER_KINDS = "no supported kind of node reads it"
_NO_LOGIN = "its nodes have no login"
_NO_MANAGEMENT = TOP_REFUSED["mgmt"]

NODE_REFUSED: Final[Mapping[str, str]] = {
    "aliases": _NO_MANAGEMENT,
    "auto-remove": "it keeps a node that died, for inspection",
    "certificate": "it issues certificates itself, for OpenVPN only",
    "cgroup-parent": "every node is in the engine's cgroup",
    "cgroupns-mode": "every node has its own cgroup namespace",
    "components": _FOR_OTHER_KINDS,
    "credentials": _NO_LOGIN,
    "enforce-startup-config": _FOR_OTHER_KINDS,
    "extras": _FOR_OTHER_KINDS,
    "license": _FOR_OTHER_KINDS,
    "link-apply-mode": "a running lab is not changed by editing its file",
    "mgmt-ipv4": _NO_MANAGEMENT,
    "mgmt-ipv6": _NO_MANAGEMENT,
    "password": _NO_LOGIN,
    "pid-mode": "every node has its own PID namespace",
    "ports": "it publishes no ports",
    "position": "its graph has a layout of its own",
    "restart-policy": "it does not restart a node that died, so that a test sees it",
    "runtime": "the engine is chosen on the command line",
    "stages": "links always come up before daemons start, and 'exec' runs in between",
    "startup-config": _FOR_OTHER_KINDS,
    "suppress-startup-config": _FOR_OTHER_KINDS,
    "type": _FOR_OTHER_KINDS,
    "username": _NO_LOGIN,
    "volumes": "it keeps no volumes; use 'binds'",
}

LINK_TYPES: Final = ("veth", "dummy")
LINK_TYPES_REFUSED: Final[Mapping[str, str]] = {
    "bridge": "make the bridge a node of kind 'bridge'",
    "host": "no link leaves the lab",
    "macvlan": "no link leaves the lab",
    "mgmt-net": _NO_MANAGEMENT,
    "veth-stitch": "use 'veth', which can be captured and impaired as well",
    "vxlan": "no link leaves the lab",
    "vxlan-stitch": "no link leaves the lab",
}
BRIEF_ENDS_REFUSED: Final = ("host", "macvlan", "mgmt-net")
"""Reserved words: in place of a node in a brief link they make it a link of that type."""

BRIEF_KEYS: Final = ("endpoints", "mtu", "ipv4", "ipv6", "vars")
VETH_KEYS: Final = ("type", "endpoints", "mtu", "vars")
DUMMY_KEYS: Final = ("type", "endpoint", "mtu", "vars")
ENDPOINT_KEYS: Final = ("node", "interface", "mac", "ipv4", "ipv6", "vars")
LINK_REFUSED: Final[Mapping[str, str]] = {
    "labels": "its links have no labels",
    "ipv4": "in this form each endpoint has its own 'ipv4'",
    "ipv6": "in this form each endpoint has its own 'ipv6'",
}
