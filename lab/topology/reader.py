"""Read a topology file: check everything and report all mistakes, before anything is created."""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.core.errors import InputError
from lab.core.prefixes import FAMILIES, Interface, Prefix
from lab.topology import inner_addresses
from lab.topology import tunnels as planning
from lab.topology.addresses import Use, check_uses
from lab.topology.certificates import read_settings
from lab.topology.definitions import read_definitions
from lab.topology.envsubst import Expanded, SubstitutionError, expand, verbatim
from lab.topology.external import check_external, name_ports
from lab.topology.extra_places import extra_places
from lab.topology.intent import NodeIntent
from lab.topology.keys import TOP_INERT, TOP_KEYS, TOPOLOGY_KEYS
from lab.topology.links import DraftLink, check_encapsulations, check_ends, lead_to_host, read_links
from lab.topology.management import (
    MANAGED,
    asks_for_management,
    check_addresses,
    check_published,
    check_unique,
    read_management,
)
from lab.topology.mistakes import Findings, did_you_mean, nearest, quote
from lab.topology.model import INSIDE, Management, Node, Place, Topology
from lab.topology.names import objection_to_name
from lab.topology.neighbors import check_neighbors, check_session_options
from lab.topology.nodes import DraftNode, NodeReader
from lab.topology.paths import domains
from lab.topology.routes import check_peerings, check_router_ids, check_routes
from lab.topology.shape import InvalidValue, convert, is_null, note_mismatch
from lab.topology.sharing import check_sharing, needed_first
from lab.topology.source import Key, Scalar, Table, compose
from lab.topology.stage_checks import check_stages
from lab.topology.stages import Stages
from lab.topology.versions import check_version, choose_images
from lab.topology.vocabulary import Vocabulary

MAX_FILE_SIZE = 1 << 20
"""The largest topology file, in characters."""

_FIELD = re.compile(r"\{\{-?\s*(?:\.|(?:\.[^\W\d]\w*)+|\"[^\"\n]*\"|/\*[^\n]*?\*/)\s*-?\}\}")
"""A Go template that is a field, a text or a comment."""
LAB_NAME_PREFIX = "__lab-name"
_GIT = ("__gitBranch__", "__gitHash__")
"""containerlab's variables in the name of a lab."""


def read(
    path: Path,
    vocabulary: Vocabulary,
    *,
    name: str | None = None,
    openvpn: str | None = None,
    tunnel: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    mgmt: bool = False,
) -> Topology:
    """Read a topology file.

    `name` replaces the lab's name, `openvpn` the version of OpenVPN in the tags of the lab's images and in every
    tunnel. `tunnel` overrides keys of every tunnel, spelled as in the file, its `options` key by key. `environ` has
    the values of `${VAR}` in the file; by default it is the process's environment. With `mgmt` the nodes that do not
    say otherwise are in containerlab's management network.

    Raises `TopologyError` with all mistakes, or `InputError` if the file cannot be read.
    """
    path = Path(path)
    options: Any = {"name": name, "openvpn": openvpn, "tunnel": tunnel, "environ": environ, "mgmt": mgmt}
    return parse(text_of(path), path, vocabulary, **options)


def parse(
    text: str,
    file: Path,
    vocabulary: Vocabulary,
    *,
    name: str | None = None,
    openvpn: str | None = None,
    tunnel: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    mgmt: bool = False,
) -> Topology:
    """Read a topology from a text; `file` is its name in messages and need not exist. See `read`."""
    findings = Findings(file)
    overrides = dict(tunnel or {})
    if openvpn is not None and not check_version(openvpn, vocabulary.openvpn, _Override(file, "openvpn"), findings):
        openvpn = None
    root = compose_table(text, file, os.environ if environ is None else environ, findings)
    topology = None
    if root is not None:
        topology = _read_top(root, vocabulary, name, openvpn, overrides, findings, mgmt=mgmt)
    findings.raise_any()
    assert topology is not None
    return topology


def text_of(path: Path, what: str = "topology") -> str:
    """Return the text of a file, which `what` names in messages; raises `InputError` if it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise InputError(f"cannot read the {what} {quote(path)}: it is {kind}")
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "it cannot be opened").lower()
        raise InputError(f"cannot read the {what} {quote(path)}: {reason}") from error
    except ValueError as error:
        raise InputError(f"cannot read the {what} {quote(path)}: the path is not valid") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"cannot read the {what} {quote(path)}: line {line} is not UTF-8") from error


class _Override:
    """The place of a value that was given as an argument and not in the file."""

    def __init__(self, file: Path, key: str) -> None:
        self.place = Place(file, 1, 1)
        self.path = (key,)


def compose_table(text: str, file: Path, environ: Mapping[str, str], findings: Findings) -> Table | None:
    """Return a file's text as a tree, after substitution of variables; None, with a finding, if it is not a mapping."""
    if len(text) > MAX_FILE_SIZE:
        findings.add_whole(f"the file is larger than {MAX_FILE_SIZE} characters")
        return None
    if (template := _template(text)) is not None:
        _note_at(template, verbatim(text), file, findings, "the lab does not support Go templates ('{{')")
        return None
    try:
        expanded = expand(text, environ)
    except SubstitutionError as error:
        _note_at(error.offset, verbatim(text), file, findings, str(error))
        return None
    root = compose(expanded, file, findings)
    if root is not None and not isinstance(root, Table):
        note_mismatch(root, Mapping[str, str], findings)
        return None
    return root


def _template(text: str) -> int | None:
    """Return the offset of the first Go template that matters, or None.

    containerlab reads those in comments of YAML as well, and refuses a malformed one; a field without a value, as
    in `{{ .Names }}`, does no harm there.
    """
    for match in re.finditer("{{", text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if not _ends_in_comment(line) or not _FIELD.match(text, match.start()):
            return match.start()
    return None


def _ends_in_comment(line: str) -> bool:
    quote = ""
    for before, character in zip(f" {line}", line, strict=False):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and before in " \t[{,:-":
            quote = character
        elif character == "#" and before.isspace():
            return True
    return False


def _note_at(offset: int, text: Expanded, file: Path, findings: Findings, what: str) -> None:
    findings.add(Key(Place(file, *text.original_position(offset)), ()), what)


def _read_top(
    root: Table,
    vocabulary: Vocabulary,
    name: str | None,
    openvpn: str | None,
    tunnel: dict[str, Any],
    findings: Findings,
    *,
    mgmt: bool,
) -> Topology | None:
    for key in root.entries:
        if key in TOP_INERT:
            with suppress(InvalidValue):
                convert(root.entries[key], bool, findings)
                findings.note(root.keys[key], "", f"{key!r} has no effect: {TOP_INERT[key]}")
        elif key not in TOP_KEYS:
            findings.add(root.keys[key], f"unknown key {quote(key)}", did_you_mean(key, TOP_KEYS))
    lab_name = _lab_name(root, name, findings)
    prefix = _prefix(root, findings)
    tree = root.entries.get("topology")
    if tree is None or is_null(tree):
        findings.add(root, "the key 'topology' is missing")
        return None
    if not isinstance(tree, Table):
        note_mismatch(tree, Mapping[str, str], findings)
        return None
    for key in tree.entries:
        if key not in TOPOLOGY_KEYS:
            findings.add(tree.keys[key], f"unknown key {quote(key)}", did_you_mean(key, TOPOLOGY_KEYS))
    reader = NodeReader(
        read_definitions(tree, findings), vocabulary, findings, tunnel, openvpn, 2 if prefix == "" else 1
    )
    drafts = _read_nodes(tree, reader, findings)
    check_unique({name: draft.keys or draft.unused for name, draft in drafts.items()}, findings)
    check_published({name: draft.keys for name, draft in drafts.items()}, findings)
    unsupported = {name for name, draft in drafts.items() if not draft.supported}
    links = read_links(tree.entries.get("links"), findings, unsupported)
    hosts = {name for name, draft in drafts.items() if draft.is_host}
    drafts = {name: draft for name, draft in drafts.items() if name not in hosts}
    lead_to_host(links, hosts, findings)
    drafts = _put_bridges_inside(drafts, links, findings)
    if hosts and not drafts:
        findings.add(tree, "the topology has no nodes but this machine")
    tunnels = [] if unsupported else _check_together(drafts, links, vocabulary, openvpn, findings)
    settings = read_settings(root.entries.get("settings"), findings)
    management = read_management(root.entries.get("mgmt"), findings)
    linked = any(link.kind == "mgmt-net" for link in links)
    management = management or (Management() if mgmt or linked else None)
    management = _join_management(root, drafts, management, findings, linked=linked)
    if len(findings):
        return None
    return Topology(
        name=lab_name,
        prefix=prefix,
        file=findings.file,
        nodes={name: Node.model_validate(dict(draft.node)) for name, draft in drafts.items()},
        management=management,
        settings=settings,
        links=tuple(link.to_link() for link in links),
        tunnels=planning.to_tunnels(tunnels),
        own_at={name: tuple(t.place for _, t in draft.openvpn) for name, draft in drafts.items() if draft.openvpn},
        extra_at=_extra_at(drafts),
        remarks=findings.notes,
    )


def _put_bridges_inside(
    drafts: dict[str, DraftNode], links: Sequence[DraftLink], findings: Findings
) -> dict[str, DraftNode]:
    """Return the nodes without the bridges in the namespaces of others, which are parts of those nodes."""
    inside = {name: draft for name, draft in drafts.items() if draft.inside}
    rest = {name: draft for name, draft in drafts.items() if name not in inside}
    for name, draft in inside.items():
        owner = rest.get(draft.inside)
        if owner is None or owner.node.is_bridge:
            findings.add(draft.key, f"there is no node {quote(draft.inside)} for the bridge to be in")
            continue
        bridge = name.partition(INSIDE)[0]
        owner.node = owner.node.model_copy(update={"bridges": (*owner.node.bridges, bridge)})
        for end in (end for link in links for end in link.ends if end.node == name):
            end.node, end.bridge = draft.inside, bridge
    return rest


def _join_management(
    root: Table, drafts: Mapping[str, DraftNode], management: Management | None, findings: Findings, *, linked: bool
) -> Management | None:
    """Put each node without a network mode into the management network, if the file asks for it; else note it.

    `linked` is True if a link leads into the network, which then exists even if no node is in it.
    """
    silent = [draft for draft in drafts.values() if draft.node.kind == "linux" and "network-mode" not in draft.keys]
    if management is None and not asks_for_management(draft.keys for draft in drafts.values()):
        if silent:
            what = "in containerlab's management network, as the file does not say otherwise; here only with --mgmt"
            findings.note(silent[0].key, ", ".join(draft.name for draft in silent), what)
        return None
    management = management or Management()
    for draft in silent:
        draft.node = draft.node.model_copy(update={"network_mode": MANAGED})
    check_addresses(
        management,
        {name: draft.node for name, draft in drafts.items()},
        {name: draft.keys for name, draft in drafts.items()},
        findings,
    )
    joined = any(draft.node.network_mode == MANAGED for draft in drafts.values() if draft.keys)
    return management if joined or linked else None


def _extra_at(drafts: Mapping[str, DraftNode]) -> Mapping[str, tuple[str, ...]]:
    """Return the place of each extra line of the routers; see `Topology.extra_at`."""
    found: dict[str, tuple[str, ...]] = {}
    for name, draft in drafts.items():
        if not isinstance(draft.router, Table):
            continue
        found[name] = extra_places(draft.router.entries.get("extra"))
        neighbors = draft.router.entries.get("neighbors")
        for neighbor, tree in neighbors.entries.items() if isinstance(neighbors, Table) else ():
            if isinstance(tree, Table):
                found[f"{name} {neighbor}"] = extra_places(tree.entries.get("extra"))
    return {key: places for key, places in found.items() if places}


def _lab_name(root: Table, override: str | None, findings: Findings) -> str:
    tree = root.entries.get("name")
    if override is not None:
        if objection := objection_to_name(override):
            findings.add(_Override(findings.file, "name"), f"invalid lab name {quote(override)}", objection)
        return override
    if tree is None or is_null(tree):
        findings.add(root, "the key 'name' is missing")
        return ""
    if not isinstance(tree, Scalar):
        note_mismatch(tree, str, findings)
        return ""
    if any(variable in tree.text for variable in _GIT):
        what = f"the lab does not support {_GIT[0]!r} and {_GIT[1]!r}: it does not look into a repository"
        findings.add(tree, what, "name the lab with --name")
    elif objection := objection_to_name(tree.text):
        findings.add(tree, f"invalid lab name {quote(tree.text)}", objection)
    return tree.text


def _prefix(root: Table, findings: Findings) -> str | None:
    tree = root.entries.get("prefix")
    if tree is None or is_null(tree):
        return None
    if not isinstance(tree, Scalar):
        note_mismatch(tree, str, findings)
        return None
    if tree.text not in ("", LAB_NAME_PREFIX) and (objection := objection_to_name(tree.text)):
        findings.add(tree, f"invalid prefix {quote(tree.text)}", objection)
    return tree.text


def _read_nodes(topology: Table, reader: NodeReader, findings: Findings) -> dict[str, DraftNode]:
    tree = topology.entries.get("nodes")
    if tree is None or is_null(tree) or (isinstance(tree, Table) and not tree.entries):
        findings.add(topology if tree is None else tree, "the topology has no nodes")
        return {}
    if not isinstance(tree, Table):
        note_mismatch(tree, Mapping[str, str], findings)
        return {}
    return {name: reader.read(name, tree.keys[name], value) for name, value in tree.entries.items()}


def _check_together(
    drafts: dict[str, DraftNode],
    links: list[DraftLink],
    vocabulary: Vocabulary,
    openvpn: str | None,
    findings: Findings,
) -> list[planning.DraftTunnel]:
    """Check everything that involves several nodes or links; return the tunnels, resolved as far as possible."""
    kinds = {name: "bridge" if draft.node.is_bridge else draft.node.kind for name, draft in drafts.items()}
    name_ports(links, drafts, findings)
    check_ends(links, kinds, findings)
    _check_eth0(links, drafts, findings)
    check_sharing(
        {name: draft.node for name, draft in drafts.items() if draft.keys},
        {name: draft.keys for name, draft in drafts.items()},
        findings,
    )
    _check_stages(drafts, findings)
    for link in links:
        for end in link.ends:
            if end.node not in drafts:
                # Continue with the name that was probably meant, so that a misspelt name is reported once only.
                end.node = nearest(end.node, drafts) or end.node
    tunnels = planning.declared_tunnels(drafts, vocabulary, findings)
    check_external(drafts, links, tunnels, findings)
    choose_images(drafts, tunnels, vocabulary, openvpn, findings)
    uses = _uses(links, kinds, findings)
    plain = not any(draft.node.intent != NodeIntent() for draft in drafts.values())
    planning.resolve(tunnels, links, kinds, vocabulary, findings)
    for tunnel in tunnels:
        uses += inner_addresses.take_declared(tunnel, findings)
    check_uses(uses, findings, plain=plain)
    check_routes(drafts, links, findings)
    check_peerings(drafts, links, findings)
    check_neighbors(drafts, links, tunnels, vocabulary, findings)
    check_session_options(drafts, links, tunnels, findings)
    check_router_ids(drafts, findings)
    inner_addresses.assign(tunnels, [use.interface.network for use in uses], _routed(drafts), findings)
    check_encapsulations(links, [address for tunnel in tunnels for address in tunnel.inner_addresses], findings)
    return tunnels


def _check_stages(drafts: Mapping[str, DraftNode], findings: Findings) -> None:
    addressed = [name for name, draft in drafts.items() if "mgmt-ipv4" in draft.keys or "mgmt-ipv6" in draft.keys]
    earlier: dict[str, list[str]] = {}
    for name, draft in drafts.items():
        earlier[name] = needed_first(draft.node)
        if name not in addressed:  # containerlab creates nodes with addresses of their own first
            earlier[name] += addressed
    at = {name: draft.stages for name, draft in drafts.items() if draft.stages is not None}
    bridges = {name: _stages_of_bridge(draft) for name, draft in drafts.items() if draft.node.is_bridge}
    at |= {name: drafts[name].unused["stages"] for name in bridges if "stages" in drafts[name].unused}
    stages = {name: bridges.get(name, draft.node.stages) for name, draft in drafts.items()}
    check_stages(stages, at, earlier, findings, bridges)


def _stages_of_bridge(draft: DraftNode) -> Stages:
    """Return the waits of a bridge, which has no use for them; containerlab checks them."""
    if (tree := draft.unused.get("stages")) is None:
        return Stages()
    with suppress(InvalidValue):
        return convert(tree, Stages, Findings(draft.key.place.file))  # type: ignore[no-any-return]
    return Stages()


def _check_eth0(links: list[DraftLink], drafts: Mapping[str, DraftNode], findings: Findings) -> None:
    for link in links:
        for end in link.ends:
            draft = drafts.get(end.node)
            if draft is None or draft.node.is_bridge:
                continue
            if draft.node.network_mode == "host":
                what = f"{quote(end.node)} is in the host's network, where the lab creates no interface for it"
                findings.add(end.tree, what, "link the other node to 'host:INTERFACE'")
            if end.interface != "eth0":
                continue
            if not draft.network_mode_none:
                what = f"'eth0' of {quote(end.node)} is containerlab's management interface"
                findings.add(end.tree, what, "set 'network-mode: none' on the node")


def _uses(links: list[DraftLink], kinds: Mapping[str, str], findings: Findings) -> list[Use]:
    """Return the addresses of all links, and note links whose ends are in different subnets."""
    uses = []
    for domain, link in zip(domains(links, kinds), links, strict=True):
        for end in link.ends:
            uses += [Use(a, quote(str(end)), domain, tree, end.node) for a, tree in end.addresses.values()]
        if len(link.ends) == 2:
            one, other = link.ends
            for family in FAMILIES:
                a, b = one.address(family), other.address(family)
                if a is not None and b is not None and a.network != b.network and not _are_single(a, b):
                    what = f"{a} of {quote(str(one))} and {b} are not in the same subnet"
                    findings.add(other.addresses[family][1], what, "both ends of a link need addresses of one subnet")
    return uses


def _are_single(a: Interface, b: Interface) -> bool:
    """Return True if two addresses are each a subnet of its own, as on unnumbered links and loopback interfaces."""
    return a.network.num_addresses == b.network.num_addresses == 1


def _routed(drafts: Mapping[str, DraftNode]) -> list[Prefix]:
    """Return the prefixes of routers and of static routes."""
    prefixes: list[Prefix] = []
    for draft in drafts.values():
        if draft.node.intent.router is not None:
            prefixes += draft.node.intent.router.networks
        prefixes += [route.to for route, _ in draft.routes if route.to != "default"]
    return prefixes
