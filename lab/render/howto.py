"""Export of a topology's files for real hosts, a directory per node, with a guide."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.files import RenderedFile
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
    topology: Topology, out: Path, *, force: bool = False, resolved: bool = False, routeros: bool = False
) -> list[Path]:
    """Write the files of all nodes below `out`, one directory each, and return the paths of all files.

    `force` removes the files of an earlier export, `resolved` adds the topology with all defaults filled in, and
    `routeros` adds commands for RouterOS for each node with a tunnel that has such a profile. Raises `InputError` if
    the directory is not empty, `EnvironmentBroken` if it cannot be written.
    """
    try:
        _prepare(topology, out, force=force)
        authority = Authority.new(f"{topology.name} lab")
        render(topology, authority, {name: out / name for name in topology.nodes})
        secret = RenderedFile(PurePosixPath("/") / _AUTHORITY / "ca.key", authority.key, mode=0o600)
        secret.write_below(out)
        (out / _AUTHORITY).chmod(0o700)
        if routeros:
            _write_commands(topology, out)
        if resolved:
            (out / RESOLVED).write_text(dump(topology))
        (out / GUIDE).write_text(guide(topology, out))
    except OSError as error:
        raise EnvironmentBroken(f"{error.filename or out}: {error.strerror}: the export is incomplete") from error
    return sorted(path for path in out.rglob("*") if path.is_file())


def _write_commands(topology: Topology, out: Path) -> None:
    written = {name: commands(topology, name) for name in topology.nodes}
    if not any(written.values()):
        raise InputError(f"{topology.file}: no tunnel has a RouterOS profile: set `profile: routeros-7` on one")
    for name, text in written.items():
        if text:
            (out / name / COMMANDS).write_text(text)


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
        if files:
            yield from _host(topology, node, [PurePosixPath("/", *p.relative_to(out / name).parts) for p in files])


def _host(topology: Topology, node: Node, files: list[PurePosixPath]) -> Iterator[str]:
    ends = [
        (tunnel, process)
        for tunnel in topology.tunnels
        for process in processes(tunnel).values()
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
        f"`systemctl enable --now openvpn-{process.end}@{tunnel.name}`"
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
