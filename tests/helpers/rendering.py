"""The rendered files of a tunnel, parsed as OpenVPN does."""

import shlex
from collections.abc import Mapping
from typing import Any

from lab.catalogue import load, topologies_dir
from lab.core.files import RenderedFile
from lab.topology import Topology, Tunnel
from lab.tunnel import processes, render_tunnel
from lab.tunnel.mode import End
from lab.tunnel.pki import Authority

Files = Mapping[str, RenderedFile]
Directives = dict[str, list[list[str]]]
OBSOLETE = {"ncp-ciphers", "compress", "comp-lzo", "persist-key", "tls-remote", "ns-cert-type", "tls-auth"}


def rendered(authority: Authority, tunnel: Tunnel) -> dict[End, Files]:
    """Return the files of both ends by path."""
    return {end: {str(f.path): f for f in found} for end, found in render_tunnel(tunnel, authority).items()}


def directives(text: str) -> Directives:
    """Parse a configuration: comments begin with # or ;, quotes hold words together."""
    found: Directives = {}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith(("#", ";")):
            name, *values = shlex.split(line, comments=True)
            found.setdefault(name, []).append(values)
    return found


def configured(authority: Authority, tunnel: Tunnel) -> tuple[Directives, Directives]:
    """Return the directives of the server and of the client."""
    files, ends = rendered(authority, tunnel), processes(tunnel)
    server, client = (directives(files[end][str(ends[end].configuration)].content) for end in ("server", "client"))
    return server, client


def of_mode(mode: str, **tunnel: Any) -> Topology:
    """Load the topology with this mode, or `p2p-tls` with its tunnel in this mode."""
    files = [path for path in sorted(topologies_dir().glob("*.clab.yml")) if f"mode: {mode}\n" in path.read_text()]
    return load(files[0] if files else "p2p-tls", tunnel={"mode": mode, **tunnel})


def first_tunnel(mode: str, **tunnel: Any) -> Tunnel:
    return of_mode(mode, **tunnel).tunnels[0]
