"""Write a plan as a topology file in containerlab's format, with a comment for each assumption."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

import yaml

from lab.importer.plan import Plan, PlannedLink, PlannedNode
from lab.topology.source import reads_as_text

_WIDTH = 120
_TITLES = {
    "host": "Hosts, with their own files",
    "counterpart": "Counterparts: not from your files; the lab made them and their configurations",
    "nat": "NAT routers: not from your files, but from the addresses in them",
    "internet": "The network between the hosts: a router that is not from your files",
    "lan": "A host in each LAN",
    "bridge": "Links with more than two ends",
}


def topology_text(plan: Plan, *, version: str, hosts_file: PurePosixPath | None, command: str) -> str:
    """Return the text of the topology file."""
    lines = [
        *_comment(f"Made by `{command}`: the hosts run with their own files, unchanged.", 0),
        *_comment(
            "What the files do not tell is an assumption with a comment: correct it here. Addresses exist in the "
            "namespaces of the lab only.",
            0,
        ),
    ]
    general = [note.text for note in plan.notes if not note.node]
    for text in general:
        lines += _comment(f"- {text}", 0)
    lines += [
        f"name: {_scalar(plan.name)}",
        "",
        "topology:",
        "  defaults:",
        "    kind: linux",
        f"    image: openvpn-routing-lab/node:${{OPENVPN:={version}}}",
        "    privileged: false",
    ]
    if hosts_file is not None:
        lines += ["    # The names of the servers in your files; every node has this file as /etc/hosts."]
        lines += [f"    binds: [{_scalar(f'{hosts_file}:/etc/hosts:ro')}]"]
    lines += ["  kinds:", "    linux: {network-mode: none}", "", "  nodes:"]
    for part, title in _TITLES.items():
        nodes = [node for node in plan.nodes.values() if node.part == part]
        if nodes:
            lines += _comment(f"{title}.", 4)
            for node in nodes:
                lines += _node(node)
            lines.append("")
    lines.append("  links:")
    for link in plan.links:
        lines += _link(link)
    return "\n".join(lines) + "\n"


def _node(node: PlannedNode) -> list[str]:
    if node.part == "bridge":
        return [f"    {_scalar(node.name)}: {{kind: bridge}}"]
    body: list[str] = []
    for text in node.comments:
        body += _comment(text, 6)
    if node.labels:
        body.append(f"      labels: {_mapping(node.labels)}")
    if node.sysctls:
        body.append("      sysctls:")
        body += [f"        {key}: {value}" for key, value in node.sysctls.items()]
    if node.exec:
        body.append("      cap-add: [NET_ADMIN]")
        body.append("      exec:")
        for command, why in node.exec:
            body += _comment(why, 8)
            body.append(f"        - {_scalar(command)}")
    variables = _variables(node)
    if variables:
        body += ["      config:", "        vars:", *variables]
    return [f"    {_scalar(node.name)}:" + ("" if body else " {}"), *body]


def _variables(node: PlannedNode) -> list[str]:
    lines: list[str] = []
    if node.openvpn:
        lines.append("          openvpn:")
        for file, path in node.openvpn:
            entry = {"config": file} | ({"path": path} if path else {})
            lines.append(f"            - {_mapping(entry)}")
    if node.daemon is not None:
        lines.append("          router:")
        lines.append(f"            daemon: {node.daemon}")
        lines.append(f"            config: {_sequence(node.router_files)}")
    if node.vrfs:
        lines.append("          vrfs:")
        for name, (table, interfaces) in node.vrfs.items():
            lines.append(f"            {_scalar(name)}: {{table: {table}, interfaces: {_sequence(interfaces)}}}")
    if node.nftables:
        lines.append(f"          nftables: {_sequence(node.nftables)}")
    if node.routes:
        lines.append("          routes:")
        for to, via, why in node.routes:
            comment = f"  # {_plain(why)}" if why else ""
            lines.append(f"            - {_mapping({'to': to, 'via': via})}{comment}")
    return lines


def _link(link: PlannedLink) -> list[str]:
    lines = _comment(link.comment, 4) if link.comment else []
    ends = [_scalar(f"{end.node}:{end.interface}") for end in link.ends]
    lines.append(f"    - endpoints: [{', '.join(ends)}]")
    lines.append(f"      mtu: {link.mtu}")
    for family, addresses in (
        ("ipv4", [end.ipv4 for end in link.ends]),
        ("ipv6", [end.ipv6 for end in link.ends]),
    ):
        if any(addresses):
            lines.append(f"      {family}: {_sequence([str(a) if a else '' for a in addresses])}")
    return lines


# --- YAML --------------------------------------------------------------------------------------------------


def _comment(text: str, indent: int) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        _plain(text),
        width=_WIDTH,
        initial_indent=f"{margin}# ",
        subsequent_indent=f"{margin}#   " if text.startswith("- ") else f"{margin}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _plain(text: str) -> str:
    """Return a text for a comment: on one line, printable, and without what a topology file replaces."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown.replace("$", "$$").replace("{{", "{ {")


def _scalar(text: str) -> str:
    plain = reads_as_text(text) and text.isprintable() and not set(text) & set(",[]{}#&*!|>'\"%@`") and ": " not in text
    if plain and text and text[0] not in "-?:" and not text.endswith(":") and ":" not in text:
        return text.replace("$", "$$")
    quoted = yaml.dump(text, default_style='"', width=10**9, allow_unicode=True).strip()
    return quoted.replace("{{", "{\\x7B").replace("$", "$$")


def _sequence(items: Iterable[str]) -> str:
    return f"[{', '.join(map(_scalar, items))}]"


def _mapping(items: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{key}: {_scalar(value)}' for key, value in items.items())}}}"


def hosts_text(names: Sequence[tuple[str, str]]) -> str:
    """Return the text of the lab's /etc/hosts."""
    lines = ["# Made by `lab import`: the names in the files of the hosts.", "127.0.0.1 localhost", "::1 localhost"]
    lines += [f"{address} {name}" for address, name in dict.fromkeys(names)]
    return "\n".join(lines) + "\n"
