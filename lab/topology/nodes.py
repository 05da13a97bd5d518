"""Nodes: from their inherited keys to the model, with every check that needs one node only."""

import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from lab.topology.certificates import AUTHORITY, check_certificate
from lab.topology.container_values import check_container
from lab.topology.definitions import read_definition
from lab.topology.env_file import EnvFileError, parse_env
from lab.topology.foreign import check_foreign
from lab.topology.inherit import Definitions
from lab.topology.intent import NodeIntent, OpenVpnIntent, RouterIntent, StaticRoute, TunnelIntent, VrfIntent
from lab.topology.keys import (
    BORROWED_KEYS,
    BRIDGE_KEYS,
    BRIEF_ENDS_REFUSED,
    INHERITED,
    KINDS,
    NODE_KEYS,
    PULL_POLICIES,
    RESTART_POLICIES,
)
from lab.topology.magic import LAB_DIR, LAB_NAME, MADE, NODE_DIR, NODE_NAME, replace, replace_source
from lab.topology.management import MODES, check_ports
from lab.topology.mistakes import Findings, Located, did_you_mean, nearest, one_of, quote
from lab.topology.model import BRIDGES, EXTERNAL, INSIDE, Node
from lab.topology.names import objection_to_interface, objection_to_name
from lab.topology.shape import InvalidValue, convert, is_absent, is_null, note_mismatch, salvage
from lab.topology.source import Items, Key, Scalar, Table, Tree, tree_of
from lab.topology.variables import own_variables
from lab.topology.vocabulary import Vocabulary

_VOLUME = re.compile(
    r"(?:(?P<name>[a-zA-Z0-9][a-zA-Z0-9_.-]+):)?/[^:]*(?(name)(?::(?:ro|rw|nocopy|volume-nocopy)(?:,(?:ro|rw|nocopy|volume-nocopy))*)?)"
)
_UNUSED_VOLUME = re.compile(r"[^:]+|[^:/][^:]*:[^:]*(?::[^:]*)?|:[^:]*(?::[^:]*)?")
"""The form of a volume that containerlab accepts for any kind of node."""
_VOLUME_HINT = "write NAME:/DESTINATION[:ro|rw|nocopy] or /DESTINATION; for a path use 'binds'"
NOT_CONTAINERS = (*BRIDGES, "ext-container", "host")
_FILES = ("startup-config", "license")
_URL = re.compile(r"(?:https?|s3)://", re.IGNORECASE)
_SIZE = re.compile(r"(\d+\.?\d*|\.\d+)\s*([kmgtpe]i?)?b?", re.IGNORECASE)
BGP_ONLY = (
    *("asn", "sessions", "bfd", "multipath", "accept", "communities", "graceful-restart", "neighbors"),
    *("password", "ttl-security", "default-originate", "allowas-in"),
)
"""The keys of a router that apply to BGP only."""
_IMPORT_ENVIRONMENT = "__IMPORT_ENVS"
_VARIABLES = tuple(info.alias or name for name, info in NodeIntent.model_fields.items())
_MISSPELT = 0.8


@dataclass
class DraftNode:
    """A node as read; wrong values are noted and left out."""

    name: str
    key: Key
    """The place of the node's name."""
    node: Node
    image: Tree | None = None
    supported: bool = True
    """False for a node of a kind that the lab does not support, of which nothing else is checked."""
    stages: Tree | None = None
    keys: Mapping[str, Tree] = field(default_factory=dict)
    """All keys of a container, inherited ones included."""
    unused: Mapping[str, Tree] = field(default_factory=dict)
    """Those of a bridge, of a container that runs already, and of the host: containerlab checks them all the same."""
    is_host: bool = False
    """True for the host machine, to whose network links lead."""
    inside: str = ""
    """The node in whose namespace it is, of a bridge; empty if it is a node of its own."""
    network_mode_none: bool = False
    router: Tree | None = None
    tunnels: list[tuple[TunnelIntent, Tree]] = field(default_factory=list)
    routes: list[tuple[StaticRoute, Tree]] = field(default_factory=list)
    openvpn: list[tuple[OpenVpnIntent, Tree]] = field(default_factory=list)
    vrfs: Mapping[str, VrfIntent] = field(default_factory=dict)
    nftables: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeReader:
    """Reads the nodes of one file."""

    definitions: Definitions
    vocabulary: Vocabulary
    findings: Findings
    tunnel: Mapping[str, Any]
    """Overrides keys of every tunnel."""
    openvpn: str | None = None
    """Overrides the version of every tunnel that sets one."""
    shortest_name: int = 1

    def read(self, name: str, key: Key, tree: Tree) -> DraftNode:
        """Read one node."""
        findings = self.findings
        own = read_definition(tree, findings)
        kind_tree = self.definitions.kind_of(own)
        kind = kind_tree.text.lower() if kind_tree else ""
        if kind != "host" and not (kind == "bridge" and INSIDE in name):
            self._check_name(name, key)
        if not kind:
            findings.add(key, "the node has no kind", f"set 'kind' to one of {one_of(KINDS)}")
        elif kind not in KINDS:
            self._refuse_kind(own.get("kind", key), kind_tree.text if kind_tree else kind)
            return DraftNode(name, key, Node.model_construct(name=name, kind="linux"), supported=False)
        elif kind_tree and kind_tree.text in self.definitions.undefined:
            what = f"the kind {quote(kind_tree.text)} has no definition: containerlab cannot read such a file"
            findings.add(self.definitions.undefined[kind_tree.text], what, "write '{}', or leave it out")
        self._check_group(name, self.definitions.group_of(own))
        inherited = self.definitions.inherit(own)
        if kind in NOT_CONTAINERS:
            self._check_unused(name, inherited)
        if kind in ("ext-container", "host"):
            self._check_files(name, inherited)
        if kind in BRIDGES:
            return self._bridge(name, kind, key, tree, inherited)
        if kind == "host":
            if "exec" in inherited:
                what = "'exec' is not run: the lab runs no command on this host for a topology"
                findings.note(inherited["exec"], name, what)
            return DraftNode(name, key, Node.model_construct(name=name, kind="linux"), unused=inherited, is_host=True)
        if kind == "ext-container":
            values = self._values({k: v for k, v in inherited.items() if k in BORROWED_KEYS})
            node = Node.model_construct(**{**values, "name": name, "kind": kind})
            return DraftNode(name, key, node, stages=inherited.get("stages"), unused=inherited)
        return self._container(name, kind, key, inherited)

    def _refuse_kind(self, at: Located, kind: str) -> None:
        meant = nearest(kind, KINDS, cutoff=_MISSPELT)
        what = f"the lab does not support the kind {quote(kind)}: the kinds are {one_of(KINDS)}"
        self.findings.add(at, what, f"did you mean {meant!r}?" if meant else None)

    def _check_group(self, name: str, group: Scalar | None) -> None:
        """Note a group that may be misspelt; any other without a definition is a label."""
        groups = self.definitions.groups
        if group is not None and groups and group.text not in groups:
            hint = f"; {meant}" if (meant := did_you_mean(group.text, groups)) else ""
            what = f"the group {quote(group.text)} is a label only: it is not under 'groups'{hint}"
            self.findings.note(group, name, what)

    def _check_name(self, name: str, key: Key) -> None:
        if objection := objection_to_name(name, shortest=self.shortest_name):
            self.findings.add(key, f"invalid node name {quote(name)}", objection)
        elif name.lower() in BRIEF_ENDS_REFUSED:
            self.findings.add(key, f"invalid node name {quote(name)}", "the word is reserved for endpoints of links")

    def _bridge(self, name: str, kind: str, key: Key, tree: Tree, inherited: dict[str, Tree]) -> DraftNode:
        bridge, _, owner = name.partition(INSIDE)
        if objection := objection_to_interface(bridge):
            self.findings.add(key, f"invalid bridge name {quote(bridge)}", objection)
        self._check_bridge_mode(name, kind, key, inherited.get("network-mode"))
        for own_key, at in tree.keys.items() if isinstance(tree, Table) else ():
            if own_key in INHERITED and own_key not in BRIDGE_KEYS and not (own_key == "network-mode" and owner):
                self.findings.note(at, name, f"{own_key!r} has no effect: a bridge is not a container")
        values = self._values({k: v for k, v in inherited.items() if k in BRIDGE_KEYS})
        draft = DraftNode(name, key, Node.model_construct(**{**values, "name": name, "kind": kind}), unused=inherited)
        draft.inside = owner if kind == "bridge" else ""
        return draft

    def _check_bridge_mode(self, name: str, kind: str, key: Key, mode: Tree | None) -> None:
        """Check that a bridge is in the host's network, or in the namespace of the node after its name's separator."""
        text = mode.text if isinstance(mode, Scalar) and kind == "bridge" else ""
        _, inside, owner = name.partition(INSIDE)
        container, named, target = text.partition(":")
        if kind != "bridge" or (not text and not inside) or (inside and (container, target) == ("container", owner)):
            return
        if inside or (named and container == "container"):
            what = f"a bridge in the namespace of a node has its name and 'network-mode', as in 'br{INSIDE}node'"
            self.findings.add(key, what, "write 'network-mode: container:node'")
            return
        what = f"the bridge {quote(name)} has 'network-mode' {quote(text)}, with which containerlab refuses it"
        self.findings.add(key, what, "set it under 'kinds', 'linux', which bridges do not inherit")

    def _container(self, name: str, kind: str, key: Key, inherited: dict[str, Tree]) -> DraftNode:
        check_foreign(name, inherited, self.findings, external=kind in EXTERNAL)
        self._check_files(name, inherited)
        values = self._values(inherited)
        values.update(name=name, kind=kind or "linux")
        mode = self._network_mode(values.pop("network_mode", ""), inherited)
        values["network_mode"] = mode or "none"
        check_ports(inherited.get("ports"), self.findings)
        check_container(inherited, self.findings)
        self._check_namespaces(name, values, inherited)
        if "certificate" in values:
            check_certificate(values["certificate"], inherited["certificate"], self.findings)
            if values["certificate"].issue and name == AUTHORITY:
                what = f"a certificate of the node {quote(name)} would take the place of the authority's"
                self.findings.add(inherited["certificate"], what, "name the node otherwise")
        if "image" not in values:
            self.findings.add(key, "the node has no image")
        elif not values["image"] or re.search(r"\s", values["image"]):
            self.findings.add(inherited["image"], f"{quote(values['image'])} is not an image name")
        if "image_pull_policy" in values:
            values["image_pull_policy"] = self._pull_policy(values["image_pull_policy"], inherited)
        if "restart_policy" in values:
            values["restart_policy"] = self._restart_policy(values["restart_policy"], name, inherited)
        for size in ("memory", "shm-size"):
            text = values.get(size.replace("-", "_"))
            if text is not None and not _SIZE.fullmatch(text):
                what = f"{quote(text)} is not an amount of memory"
                self.findings.add(inherited[size], what, "write it as '512MB'")
        env_files = inherited.get("env-files")
        values.pop("env_files", None)
        values["env"] = {**self._env_files(env_files, name), **self._env(values.get("env", {}), inherited)}
        if "tmpfs" in values:
            values["tmpfs"] = tuple(f"{path}:{how}" if how else path for path, how in values["tmpfs"].items())
        if binds := inherited.get("binds"):
            values["binds"] = self._binds(binds, name)
        self._check_volumes(name, inherited.get("volumes"))
        values["exec"] = tuple(replace(line, {NODE_NAME: name}) for line in values.get("exec", ()))
        is_none = mode == "none"
        draft = DraftNode(
            name, key, Node.model_construct(), inherited.get("image"), keys=inherited, network_mode_none=is_none
        )
        draft.stages = inherited.get("stages")
        self._intent(inherited.get("config"), draft)
        router = self._router(draft.router)
        intent = NodeIntent(
            router=router,
            tunnels=tuple(tunnel for tunnel, _ in draft.tunnels),
            routes=tuple(route for route, _ in draft.routes),
            openvpn=tuple(process for process, _ in draft.openvpn),
            vrfs=draft.vrfs,
            nftables=draft.nftables,
        )
        draft.node = Node.model_construct(**values, intent=intent)
        return draft

    def _values(self, inherited: dict[str, Tree]) -> dict[str, Any]:
        """Return the values by the model's names; their types were checked at each level of inheritance."""
        return {
            key.replace("-", "_"): convert(tree, NODE_KEYS[key], Findings(self.findings.file))
            for key, tree in inherited.items()
            if key in NODE_KEYS and key not in ("kind", "config")
        }

    def _network_mode(self, mode: str, inherited: dict[str, Tree]) -> str:
        word, colon, container = mode.partition(":")
        word = word.lower()
        if word in ("", *MODES) and not colon:
            return word
        if word == "container" and container.strip():
            return f"container:{container.strip()}"
        hint = f"the modes are {one_of((*MODES, 'container:NAME'))}"
        self.findings.add(inherited["network-mode"], f"unknown network mode {quote(mode)}", hint)
        return ""

    def _check_namespaces(self, name: str, values: dict[str, Any], inherited: dict[str, Tree]) -> None:
        """Check the modes of the PID and the cgroup namespace, which Docker spells in lower case."""
        mode = values.get("pid_mode", "")
        if mode not in ("", "host") and not (mode.startswith("container:") and mode != "container:"):
            hint = f"the modes are {one_of(('host', 'container:NAME'))}"
            self.findings.add(
                inherited["pid-mode"], f"unknown mode of the PID namespace {quote(values.pop('pid_mode'))}", hint
            )
        if (mode := values.get("cgroupns_mode", "private")) not in ("private", "host"):
            hint = f"the modes are {one_of(('private', 'host'))}"
            what = f"unknown mode of the cgroup namespace {quote(values.pop('cgroupns_mode'))}"
            self.findings.add(inherited["cgroupns-mode"], what, hint)
        if "cgroup_parent" in values:
            what = f"the cgroup {quote(values['cgroup_parent'])} stays when the lab is taken down"
            self.findings.note(inherited["cgroup-parent"], name, what)

    def _pull_policy(self, text: str, inherited: dict[str, Tree]) -> str:
        for policy in PULL_POLICIES:
            if policy.lower() == text.strip().lower():
                return policy
        hint = did_you_mean(text, PULL_POLICIES)
        tree = inherited["image-pull-policy"]
        self.findings.add(tree, f"{quote(text)} is not one of {one_of(PULL_POLICIES)}", hint)
        return PULL_POLICIES[0]

    def _restart_policy(self, text: str, name: str, inherited: dict[str, Tree]) -> str:
        tree = inherited["restart-policy"]
        policy = text.lower()
        if policy not in RESTART_POLICIES:
            hint = f"the values are {', '.join(map(quote, RESTART_POLICIES))}"
            self.findings.add(tree, f"{quote(text)} is not a value of 'restart-policy'", hint)
            return "no"
        if policy != "no":
            what = f"with 'restart-policy' {quote(policy)} a node that ends is started again, without its links"
            self.findings.note(tree, name, what)
        return policy

    # --- environment and files -----------------------------------------------------------------------------

    def _env(self, env: dict[str, str], inherited: dict[str, Tree]) -> dict[str, str]:
        tree = inherited.get("env")
        for name in env:
            at: Located = tree.keys[name] if isinstance(tree, Table) else tree  # type: ignore[assignment]
            if name == _IMPORT_ENVIRONMENT:
                why = "a lab must not depend on the shell that starts it; name single variables as ${VAR}"
                self.findings.add(at, f"the lab does not support {name!r}", why)
            elif "=" in name:
                self.findings.add(at, f"invalid variable name {quote(name)}")
        return env

    def _env_files(self, tree: Tree | None, node: str) -> dict[str, str]:
        env: dict[str, str] = {}
        for item in tree.items if isinstance(tree, Items) else ():
            if not isinstance(item, Scalar):
                continue
            try:
                env.update(parse_env(self._resolve(item.text).read_text("utf-8")))
            except EnvFileError as error:
                self.findings.add(item, f"{quote(item.text)}: {error}")
            except (OSError, ValueError) as error:
                self.findings.add(item, f"cannot read {quote(item.text)}: {_reason(error)}")
        return env

    def _binds(self, tree: Tree, node: str) -> tuple[str, ...]:
        binds = []
        for item in tree.items if isinstance(tree, Items) else ():
            if not isinstance(item, Scalar):
                continue
            parts = item.text.split(":")
            if not 2 <= len(parts) <= 3 or not parts[0] or not parts[1].startswith("/"):
                what = f"{quote(item.text)} is not a bind"
                self.findings.add(item, what, "write SOURCE:/DESTINATION[:OPTIONS]")
                continue
            source, _, rest = replace_source(item.text, {NODE_NAME: node}).partition(":")
            if source.startswith((LAB_DIR, NODE_DIR)):
                self._check_made(source, item)
            else:
                path = self._resolve(source)
                if not any(each in source for each in (LAB_DIR, NODE_DIR, LAB_NAME)) and not _exists(path):
                    self.findings.add(item, f"the source {quote(source)} of the bind does not exist")
                source = str(path)
            binds.append(f"{source}:{rest}")
        return tuple(sorted(binds))

    def _check_made(self, source: str, at: Tree) -> None:
        """Check the source of a bind in the lab's directory, which is new: it has what the lab makes, and no more.

        What it makes for the node itself is known when the lab is started; see `lab.topology.magic.require_sources`.
        """
        directory, _, rest = posixpath.normpath(source).partition("/")
        if directory == LAB_DIR and rest and rest.partition("/")[0] not in MADE:
            what = f"the source {quote(source)} of the bind does not exist: nothing makes it in the lab's directory"
            self.findings.add(at, what, "keep it beside the topology's file")

    def _check_files(self, node: str, inherited: dict[str, Tree]) -> None:
        """Check that files exist which containerlab looks for, though this kind of node does not read them."""
        for key in _FILES:
            tree = inherited.get(key)
            if not isinstance(tree, Scalar) or "\n" in tree.text or _URL.match(tree.text):
                continue
            path = replace(tree.text, {NODE_NAME: node}) if key == "startup-config" else tree.text
            # Also below `__clabDir__`: containerlab looks before it makes anything.
            if not self._resolve(path).is_file():
                self.findings.add(tree, f"the file {quote(path)} does not exist")

    def _check_unused(self, node: str, inherited: dict[str, Tree]) -> None:
        """Check a node that containerlab does not start as a container by its rules for every node."""
        self._env_files(inherited.get("env-files"), node)
        if binds := inherited.get("binds"):
            self._binds(binds, node)
        check_ports(inherited.get("ports"), self.findings)
        volumes = inherited.get("volumes")
        for item in volumes.items if isinstance(volumes, Items) else ():
            if isinstance(item, Scalar) and not _UNUSED_VOLUME.fullmatch(item.text):
                self.findings.add(item, f"{quote(item.text)} is not a volume", _VOLUME_HINT)

    def _check_volumes(self, node: str, tree: Tree | None) -> None:
        for item in tree.items if isinstance(tree, Items) else ():
            if not isinstance(item, Scalar):
                continue
            if not (found := _VOLUME.fullmatch(item.text)):
                self.findings.add(item, f"{quote(item.text)} is not a volume", _VOLUME_HINT)
            elif found["name"]:
                self.findings.note(
                    item, node, f"the Docker volume {quote(found['name'])} stays when the lab is taken down"
                )

    def _resolve(self, path: str) -> Path:
        """Resolve a path as containerlab does: relative to the topology file's directory."""
        directory = Path(os.path.abspath(self.findings.file)).parent  # noqa: PTH100 - keeps symbolic links
        return Path(os.path.normpath(directory / os.path.expanduser(path)))  # noqa: PTH111 - never raises

    # --- the lab's own keys --------------------------------------------------------------------------------

    def _intent(self, config: Tree | None, draft: DraftNode) -> None:
        variables = config.entries.get("vars") if isinstance(config, Table) else None
        if not isinstance(variables, Table):
            return
        own_variables(variables, _VARIABLES, draft.name, self.findings)
        router = variables.entries.get("router")
        draft.router = None if router is None or is_null(router) else router
        for tree in self._each(variables.entries.get("tunnels")):
            merged = overridden(tree, self.tunnel)
            sets_version = isinstance(merged, Table) and not is_absent(merged, "openvpn")
            if sets_version and self.openvpn is not None:
                merged = overridden(merged, {"openvpn": self.openvpn})
            try:
                draft.tunnels.append((convert(merged, TunnelIntent, self.findings), merged))
            except InvalidValue:
                # Check the valid part too.
                if rest := salvage(merged, TunnelIntent, self.findings):
                    draft.tunnels.append((rest, merged))
        for tree in self._each(variables.entries.get("routes")):
            try:
                draft.routes.append((convert(tree, StaticRoute, self.findings), tree))
            except InvalidValue:
                continue
        for tree in self._each(variables.entries.get("openvpn")):
            try:
                draft.openvpn.append((convert(tree, OpenVpnIntent, self.findings), tree))
            except InvalidValue:
                continue

        draft.vrfs = self._vrfs(variables.entries.get("vrfs"))
        draft.nftables = self._rulesets(variables.entries.get("nftables"))

    def _vrfs(self, tree: Tree | None) -> Mapping[str, VrfIntent]:
        """Return a node's VRFs, without those that are wrong."""
        if tree is None or is_null(tree):
            return {}
        try:
            found: Mapping[str, VrfIntent] = convert(tree, Mapping[str, VrfIntent], self.findings)
        except InvalidValue:
            return {}
        for name in found:
            if objection := objection_to_interface(name):
                self.findings.add(below(tree, (name,)), f"invalid name of a VRF {quote(name)}", objection)
        return found

    def _rulesets(self, tree: Tree | None) -> tuple[str, ...]:
        """Return the names of a node's files with packet filters, without those that do not exist."""
        found = []
        for item in (tree,) if isinstance(tree, Scalar) and not is_null(tree) else self._each(tree):
            if not isinstance(item, Scalar) or not item.text.strip():
                self.findings.add(item, "this is not the name of a file", "write the ruleset's file")
            elif not self._resolve(item.text).is_file():
                self.findings.add(item, f"the file {quote(item.text)} does not exist")
            else:
                found.append(item.text)
        return tuple(found)

    def _each(self, tree: Tree | None) -> tuple[Tree, ...]:
        if tree is None or is_null(tree):
            return ()
        if not isinstance(tree, Items):
            note_mismatch(tree, tuple[str, ...], self.findings)
            return ()
        return tree.items

    def _router(self, tree: Tree | None) -> RouterIntent | None:
        if tree is None:
            return None
        self._check_daemon(below(tree, ("daemon",)))
        try:
            router: RouterIntent = convert(tree, RouterIntent, self.findings)
        except InvalidValue:
            return None
        if router.config:
            self._check_own_router(router, tree)
            return router
        seen: set[Any] = set()
        for i, network in enumerate(router.networks):
            if network in seen:
                self.findings.add(below(tree, ("networks", i)), f"duplicate prefix {network}")
            seen.add(network)
        for key in router.communities:
            if ip_network(key) not in seen:
                what = f"{key} is not one of the router's networks"
                self.findings.add(below(tree, ("communities", key)), what, "add it to 'networks'")
        if router.password is not None and router.sessions == "unnumbered":
            what = "a TCP MD5 key belongs to an address, and an unnumbered neighbour has none in the configuration"
            self.findings.add(below(tree, ("password",)), what, "set 'sessions: shared' or 'per-family'")
        self._check_protocol(router, tree)
        if router.timers.hold <= router.timers.keepalive:
            what = f"the hold time of {router.timers.hold} s is not longer than the keepalive time"
            self.findings.add(below(tree, ("timers", "hold")), what)
        if router.bfd and (time := router.bfd.multiplier * router.bfd.interval) >= router.timers.hold * 1000:
            what = f"BFD detects a failure after {time} ms, no sooner than the hold time of {router.timers.hold} s"
            self.findings.add(below(tree, ("bfd",)), what, "lower 'interval' or 'multiplier'")
        return router

    def _check_own_router(self, router: RouterIntent, tree: Tree) -> None:
        """Check a router with files of the user's: they exist, and say everything else themselves."""
        given = tree if isinstance(tree, Table) else Table(tree.place, tree.path, {}, {})
        for key, value in given.entries.items():
            if key not in ("daemon", "config") and not is_null(value):
                what = f"{key!r} is not possible beside 'config': the daemon runs with your files as they are"
                self.findings.add(given.keys[key], what, "set it in those files")
        at = below(tree, ("config",))
        for number, config in enumerate((router.config,) if isinstance(router.config, str) else router.config):
            item = below(at, (number,))
            if not config.strip():
                self.findings.add(item, "the name of the file is empty")
            elif not _exists(self._resolve(config)):
                self.findings.add(item, f"the file {quote(config)} does not exist", "paths are relative to this file")
        self._check_support(router, tree)

    def _check_protocol(self, router: RouterIntent, tree: Tree) -> None:
        if router.protocol == "bgp" and router.asn is None:
            self.findings.add(tree, "the key 'asn' is missing")
        elif router.protocol != "bgp":
            for key in BGP_ONLY:
                if isinstance(tree, Table) and not is_absent(tree, key):
                    self.findings.add(
                        below(tree, (key,)), f"{key!r} is for BGP only, and the protocol is {router.protocol}"
                    )
        self._check_support(router, tree)

    def _check_support(self, router: RouterIntent, tree: Tree) -> None:
        check = self.vocabulary.daemons.get(router.daemon)
        for objection in check(router) if check else ():
            self.findings.add(below(tree, objection.path), objection.what, objection.hint)

    def _check_daemon(self, tree: Tree) -> None:
        daemons = self.vocabulary.daemons
        if isinstance(tree, Scalar) and not is_null(tree) and tree.text not in daemons:
            hint = did_you_mean(tree.text, daemons) or f"the daemons are {one_of(daemons)}"
            self.findings.add(tree, f"unknown routing daemon {quote(tree.text)}", hint)


def below(tree: Tree, path: tuple[str | int, ...]) -> Tree:
    """Return the value in a tree under a path, or the deepest existing value on that path."""
    for step in path:
        if isinstance(tree, Table) and isinstance(step, str) and step in tree.entries:
            tree = tree.entries[step]
        elif isinstance(tree, Items) and isinstance(step, int) and 0 <= step < len(tree.items):
            tree = tree.items[step]
        else:
            break
    return tree


def overridden(tree: Tree, values: Mapping[str, Any]) -> Tree:
    """Return a tunnel's tree with some keys overridden, `options` key by key."""
    if not values or not isinstance(tree, Table):
        return tree
    entries, keys = dict(tree.entries), dict(tree.keys)
    for key, value in values.items():
        override = tree_of(value, tree.place, (*tree.path, str(key)))
        before = entries.get(key)
        if key == "options" and isinstance(before, Table) and isinstance(override, Table):
            override = Table(
                tree.place,
                override.path,
                {**before.entries, **override.entries},
                {**before.keys, **override.keys},
            )
        entries[key] = override
        keys[key] = Key(tree.place, override.path)
    return Table(tree.place, tree.path, entries, keys)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "it is not UTF-8" if isinstance(error, UnicodeError) else "the path is not valid"
