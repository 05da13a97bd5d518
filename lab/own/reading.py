"""Read the OpenVPN configurations that a topology names: each becomes a draft, or a mistake with its place."""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from lab.configs.disk import MAX_SIZE, Unreadable
from lab.configs.openvpn import configuration as openvpn
from lab.configs.recognise import OPENVPN_PROCESSES, FileKind, recognise
from lab.own.arguments import Arguments
from lab.own.draft import Draft
from lab.own.hostfiles import HostFiles
from lab.topology import OpenVpnIntent, Topology
from lab.topology.mistakes import Findings, quote
from lab.topology.source import Key

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_TYPICAL = frozenset(
    {
        *("dev", "dev-type", "remote", "server", "server-bridge", "server-ipv6", "client", "pull", "mode", "proto"),
        *("tls-client", "tls-server", "secret", "ifconfig", "port", "lport", "ca", "pkcs12", "dh"),
    }
)
"""Options of which every configuration of OpenVPN has one."""


@dataclass(frozen=True)
class RecordedFiles(HostFiles):
    """Files of a node, of which it keeps in mind those that were read."""

    read: list[PurePosixPath] = field(default_factory=list, compare=False)

    def text(self, path: PurePosixPath, limit: int = MAX_SIZE) -> str:
        """Return the text of a file; raises `Unreadable`, also for more than `limit` bytes."""
        text = super().text(path, limit)
        if path not in self.read:
            self.read.append(path)
        return text


def read_drafts(topology: Topology, findings: Findings) -> list[Draft]:
    """Read the files of all items of `config.vars.openvpn`."""
    drafts: list[Draft] = []
    for name, node in topology.nodes.items():
        places = topology.own_at.get(name, ())
        for number, intent in enumerate(node.intent.openvpn):
            at = Key(places[number], ("topology", "nodes", name, "config", "vars", "openvpn", number))
            draft = _read(topology, name, intent, at, findings)
            if draft is None:
                continue
            if other := next((d for d in drafts if d.name == draft.name), None):
                what = f"line {other.at.place.line} has a process of the name {quote(draft.name)} already"
                findings.add(at, what, "give one of them another 'name'")
                continue
            if other := next((d for d in drafts if (d.node, d.path) == (draft.node, draft.path)), None):
                what = f"line {other.at.place.line} has a file with the path {draft.path} in {name} already"
                findings.add(at, what, "give one of them another 'path'")
                continue
            drafts.append(draft)
    return drafts


def _read(topology: Topology, node: str, intent: OpenVpnIntent, at: Key, findings: Findings) -> Draft | None:
    name = intent.name or re.sub(r"[^\w.-]", "-", f"{node}-{PurePosixPath(intent.config).stem}")
    if not _NAME.fullmatch(name):
        findings.add(at, f"{quote(name)} is not a name for a process", "use letters, digits, '-', '_' and '.'")
        return None
    if intent.path is not None and not PurePosixPath(intent.path).is_absolute():
        findings.add(at, f"the path {quote(intent.path)} is not absolute", "write the file's path in the node")
        return None
    directory = Path(os.path.abspath(topology.file)).parent  # noqa: PTH100 - keeps symbolic links
    disk = RecordedFiles.of(intent.config, directory, intent.path)
    try:
        text = disk.text(disk.path)
        configuration = openvpn.parse(text, disk.path, disk)
    except Unreadable as error:
        what = _description(disk)
        findings.add(at, f"{error}; {disk.given} is {what}" if what else str(error))
        return None
    if not any(directive.name in _TYPICAL for directive in configuration.directives):
        what = _description(disk) or "a file without the options that each process needs, such as 'dev' or 'remote'"
        findings.add(at, f"{disk.given} does not configure an OpenVPN process: it is {what}")
        return None
    # Files that are read later are not includes.
    disk = replace(disk, read=list(disk.read))
    texts = tuple(disk.read)
    try:
        arguments = _arguments(intent, at, configuration, replace(disk, read=[]))
    except ValueError as error:
        findings.add(at, f"'arguments': {error}")
        return None
    configuration = replace(configuration, disk=disk).with_arguments(arguments.before, arguments.after)
    image = topology.nodes[node].image or ""
    return Draft(node, name, intent, at, image, disk, configuration, texts, arguments)


def _arguments(intent: OpenVpnIntent, at: Key, configuration: openvpn.Configuration, disk: HostFiles) -> Arguments:
    if intent.arguments is None:
        return Arguments.of_host(configuration, disk)
    return Arguments.given(intent.arguments, at.place.file.name, at.place.line)


def _description(disk: HostFiles) -> str:
    """Say what a file is that is not a process's configuration; empty if that is not known."""
    try:
        found = recognise(disk.path, disk)
    except Unreadable:
        return ""
    return "" if found.kind in (*OPENVPN_PROCESSES, FileKind.OPENVPN_FRAGMENT, FileKind.UNKNOWN) else found.what
