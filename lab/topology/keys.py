"""Which of containerlab's keys the lab honours, and why it refuses the others.

A key is honoured in full or refused by name; none is ignored. What containerlab itself would ignore on one of
our two kinds (a licence, a type) is refused as well: it says that the file was meant for another network.
"""

from collections.abc import Mapping
from typing import Any, Final

from lab.topology.model import Node

TOP_KEYS: Final = ("name", "prefix", "topology")
TOP_REFUSED: Final = {
    "mgmt": "its nodes have no management network, only the wires of the file",
    "settings": "there is no certificate authority of containerlab's to set up",
    "debug": "how much is logged is chosen on the command line",
}

TOPOLOGY_KEYS: Final = ("defaults", "kinds", "groups", "nodes", "links")

KINDS: Final = ("linux", "bridge", "mikrotik_ros")

PULL_POLICIES: Final = ("IfNotPresent", "Never", "Always")

_NOT_FROM_FILE = ("name", "intent")

NODE_KEYS: Final[Mapping[str, Any]] = {
    **{info.alias or name: info.annotation for name, info in Node.model_fields.items() if name not in _NOT_FROM_FILE},
    # In the file these differ from what the model makes of them.
    "kind": str,
    "image-pull-policy": str,
    "tmpfs": Mapping[str, str],
    "env-files": tuple[str, ...],
    "network-mode": str,
    "privileged": bool,
    "config": Mapping[str, Any],
}
"""Every key of a node definition that the lab honours, with the type of its value in the file."""

BRIDGE_KEYS: Final = ("kind", "group", "labels")
"""What has a meaning for a bridge, which is no container. Other keys may reach it by inheritance only."""

_FOR_OTHER_KINDS = "no node of the kinds that it builds reads it"
_NO_LOGIN = "nobody logs in to its nodes"
_NO_MANAGEMENT = TOP_REFUSED["mgmt"]

NODE_REFUSED: Final[Mapping[str, str]] = {
    "aliases": _NO_MANAGEMENT,
    "auto-remove": "a node that died is kept, so that its end can be looked into",
    "certificate": "its certificates are OpenVPN's and it issues them itself",
    "cgroup-parent": "every lab must end up under the engine's own cgroup",
    "cgroupns-mode": "every node has a cgroup namespace of its own",
    "components": _FOR_OTHER_KINDS,
    "credentials": _NO_LOGIN,
    "enforce-startup-config": _FOR_OTHER_KINDS,
    "extras": _FOR_OTHER_KINDS,
    "license": _FOR_OTHER_KINDS,
    "link-apply-mode": "a running lab is not changed by editing its file",
    "mgmt-ipv4": _NO_MANAGEMENT,
    "mgmt-ipv6": _NO_MANAGEMENT,
    "password": _NO_LOGIN,
    "pid-mode": "every node has processes of its own",
    "ports": "it publishes no port",
    "position": "it draws no map from the file",
    "restart-policy": "a node that died stays dead, so that a test sees it",
    "runtime": "the engine is chosen on the command line",
    "stages": "wires come before daemons in any case, and 'exec' runs between the two",
    "startup-config": _FOR_OTHER_KINDS,
    "suppress-startup-config": _FOR_OTHER_KINDS,
    "type": _FOR_OTHER_KINDS,
    "username": _NO_LOGIN,
    "volumes": "it leaves nothing behind; use 'binds'",
}

LINK_TYPES: Final = ("veth", "dummy")
LINK_TYPES_REFUSED: Final[Mapping[str, str]] = {
    "bridge": "make the bridge a node of kind 'bridge'",
    "host": "no wire leaves the lab",
    "macvlan": "no wire leaves the lab",
    "mgmt-net": _NO_MANAGEMENT,
    "veth-stitch": "a plain 'veth' can be captured and impaired as well",
    "vxlan": "no wire leaves the lab",
    "vxlan-stitch": "no wire leaves the lab",
}
BRIEF_ENDS_REFUSED: Final = ("host", "macvlan", "mgmt-net")
"""In a brief link these words in a node's place make it a link of that type."""

BRIEF_KEYS: Final = ("endpoints", "mtu", "ipv4", "ipv6", "vars")
VETH_KEYS: Final = ("type", "endpoints", "mtu", "vars")
DUMMY_KEYS: Final = ("type", "endpoint", "mtu", "vars")
ENDPOINT_KEYS: Final = ("node", "interface", "mac", "ipv4", "ipv6", "vars")
LINK_REFUSED: Final[Mapping[str, str]] = {
    "labels": "it keeps no labels of links",
    "ipv4": "in this form each endpoint has its own 'ipv4'",
    "ipv6": "in this form each endpoint has its own 'ipv6'",
}
