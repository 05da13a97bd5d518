"""Export of a topology's files for real hosts, a directory per node, with a guide."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.files import RenderedFile
from lab.own import moved
from lab.render.bsd import SYSTEMS, bsd_files, system_of
from lab.render.bsd.system import BsdSystem
from lab.render.containerlab import containerlab
from lab.render.files import render
from lab.render.routeros import COMMANDS, commands
from lab.routing import RoutingDaemon, daemons
from lab.topology import Node, Topology, Tunnel, dump
from lab.tunnel.mode import Process, display_name, processes
from lab.tunnel.pki import Authority

GUIDE = "HOWTO.md"
RESOLVED = "topology.clab.yml"
_AUTHORITY = "authority"


def export(
    topology: Topology, out: Path, *, force: bool = False, resolved: bool = False, target: str | None = None
) -> list[Path]:
    """Write the files of all nodes below `out`, one directory each, and return the paths of all files.

    `force` removes the files of an earlier export, `resolved` adds the topology with all defaults filled in, and
    `target` the files for another system, one of `TARGETS` or `SYSTEMS`. Raises `InputError` if the directory is not
    empty or the other system cannot have the topology, `EnvironmentBroken` if it cannot be written.
    """
    try:
        _prepare(topology, out, force=force)
        authority = Authority.new(f"{topology.name} lab")
        render(topology, authority, {name: out / name for name in topology.nodes})
        secret = RenderedFile(PurePosixPath("/") / _AUTHORITY / "ca.key", authority.key, mode=0o600)
        secret.write_below(out)
        (out / _AUTHORITY).chmod(0o700)
        if target is not None and target in SYSTEMS:
            _write_bsd(topology, out, SYSTEMS[target])
        elif target is not None:
            for path, text in TARGETS[target](topology, out).items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        if resolved:
            (out / RESOLVED).write_text(dump(moved(topology, out)))
        (out / GUIDE).write_text(guide(topology, out))
    except OSError as error:
        raise EnvironmentBroken(f"{error.filename or out}: {error.strerror}: the export is incomplete") from error
    return sorted(path for path in out.rglob("*") if path.is_file())


def _routeros(topology: Topology, out: Path) -> Mapping[Path, str]:
    """Return the commands of each node with a tunnel that has such a profile."""
    written = {name: commands(topology, name) for name in topology.nodes}
    if not any(written.values()):
        raise InputError(f"{topology.file}: no tunnel has a RouterOS profile: set `profile: routeros-7` on one")
    return {out / name / COMMANDS: text for name, text in written.items() if text}


def _write_bsd(topology: Topology, out: Path, system: BsdSystem) -> None:
    """Write the files of each end of a tunnel for a BSD, below a directory of its name."""
    for name in sorted({end for tunnel in topology.tunnels for end in (tunnel.server, tunnel.client)}):
        for file in list(bsd_files(topology, name, system, out / name)):
            file.write_below(out / name / system.name)


TARGETS: Final[Mapping[str, Callable[[Topology, Path], Mapping[Path, str]]]] = {
    "containerlab": containerlab,
    "routeros": _routeros,
}
"""The files for other systems, by name: a function of the topology and the directory returns text by path."""


def guide(topology: Topology, out: Path) -> str:
    """Return instructions for the files below `out`, as Markdown."""
    return "\n".join(_guide(topology, out)) + "\n"


def _guide(topology: Topology, out: Path) -> Iterator[str]:
    yield f"# {topology.name}: files for real hosts"
    yield ""
    routers = [node.intent.router for node in topology.nodes.values() if node.intent.router and not node.external]
    packages = ["openvpn", *dict.fromkeys(daemons()[router.daemon].package for router in routers)]
    yield (
        "Each directory is one host and holds its files at the paths where Debian's packages "
        f"{_join([f'`{package}`' for package in packages])} expect them. Keys are readable by root only and must "
        "stay so: copy as root, with `rsync -a` or `cp -a`, and never by mail."
    )
    yield ""
    yield (
        f"**Do not copy `{_AUTHORITY}/ca.key` to any host.** It can sign certificates that every host here trusts. "
        "Keep it offline, or delete it once all hosts have their files."
    )
    yield ""
    yield (
        "The outer addresses in the configurations are those of the topology: if your hosts have others, change "
        "`remote` at the client and `local` at the server."
    )
    yield ""
    yield (
        "Order: addresses and forwarding on all hosts, then the OpenVPN servers, the clients, and the routing daemons "
        "last."
    )
    for name, node in topology.nodes.items():
        files = sorted(p for p in (out / name).rglob("*") if p.is_file()) if (out / name).is_dir() else []
        if (system := system_of(node)) is not None:
            yield from _bsd_host(node, system, out / name / system.name)
        elif files:
            yield from _host(topology, node, [PurePosixPath("/", *p.relative_to(out / name).parts) for p in files])


def _bsd_host(node: Node, system: BsdSystem, directory: Path) -> Iterator[str]:
    yield ""
    yield f"## {node.name} ({system.name})"
    yield ""
    yield from (f"- `/{path.relative_to(directory)}`" for path in sorted(directory.rglob("*")) if path.is_file())
    yield ""
    yield f"1. Copy the files: `cp -a {node.name}/{system.name}/. /` as root, on the host."
    yield "2. Append each `*.lab` to the file that its first line names, and restart the host."


def _host(topology: Topology, node: Node, files: list[PurePosixPath]) -> Iterator[str]:
    ends = [
        (tunnel, process)
        for tunnel in topology.tunnels
        for process in processes(tunnel, topology.processes).values()
        if process.node == node.name
    ]
    router = node.intent.router
    daemon = daemons()[router.daemon] if router else None
    yield ""
    yield f"## {node.name}"
    yield ""
    yield "| file | copy to | description |"
    yield "| --- | --- | --- |"
    for file in files:
        yield f"| `{node.name}{file}` | `{file}` | {_describe(file, ends, daemon)} |"
    yield ""
    if node.external:
        yield f"1. Upload the certificates, the key and `{COMMANDS}`, without their directories."
        yield f"2. `/import {COMMANDS}`"
        return
    steps = [f"Copy the files: `cp -a {node.name}/. /` as root, on the host."]
    if forwarding := sorted(k for k, v in node.sysctls.items() if "forward" in k and v == "1"):
        lines = "; ".join(f"{key} = 1" for key in forwarding)
        steps.append(f"Forward packets: `{lines}` in `/etc/sysctl.d/90-routing.conf`, then `sysctl --system`.")
    if ends:
        steps.append(
            "`mkdir -p /run/openvpn /var/log/openvpn` (a tmpfiles.d entry recreates `/run/openvpn` after a reboot)."
        )
    steps += [
        (
            f"`openvpn --cd {process.directory} --config {process.own.path}`"
            if process.own
            else f"`systemctl enable --now openvpn-{process.end}@{tunnel.name}`"
        )
        + (f", once its server on {tunnel.server} runs." if process.end == "client" else ".")
        for tunnel, process in sorted(ends, key=lambda e: e[1].end, reverse=True)
    ]
    if router and daemon:
        steps += daemon.host_steps(router)
    for number, step in enumerate(steps, 1):
        yield f"{number}. {step}"


def _describe(file: PurePosixPath, ends: list[tuple[Tunnel, Process]], daemon: RoutingDaemon | None) -> str:
    if file.name == COMMANDS:
        return "the commands that configure RouterOS"
    for tunnel, process in ends:
        peer = tunnel.client if process.end == "server" else tunnel.server
        of = f"the tunnel {tunnel.name} ({process.end}, to {peer}; mode {display_name(tunnel.mode)})"
        if file == process.configuration:
            return f"configuration of {of}"
        if process.files in file.parents:
            return (
                f"{_KINDS.get(file.suffix, 'part')} of {of}"
                if file.name != "ca.crt"
                else (f"the authority's certificate for {of}")
            )
    if daemon and daemon.configuration in file.parents:
        return f"{daemon.name}'s {daemon.describe(file)}"
    return "configuration"


_KINDS = {
    ".crt": "certificate",
    ".pem": "list of revoked certificates",
    ".key": "**private key**, mode 0600,",
    "": "script or file",
}


def _join(words: Sequence[str]) -> str:
    """Join words as in `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _prepare(topology: Topology, out: Path, *, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is not a directory: choose another one with --out")
    if out.is_dir() and any(out.iterdir()):
        if not force:
            raise InputError(f"{out} is not empty: choose another directory with --out, or overwrite it with --force")
        for name in (*topology.nodes, _AUTHORITY):
            if (out / name).is_dir():
                shutil.rmtree(out / name)
    out.mkdir(parents=True, exist_ok=True)
