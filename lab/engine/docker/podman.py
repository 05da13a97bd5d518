"""Differences of Podman's interface for Docker's clients from Docker's: defaults of a container.

Tried with Podman 4.3.
"""

from pathlib import Path, PurePosixPath

from lab.engine.base import HOSTS, LOCALHOST, NodeSpec
from lab.engine.node import node_files

WITHHELD = ("AUDIT_WRITE", "MKNOD", "NET_RAW")
"""Capabilities that are in Docker's default set and not in Podman's."""

_RESOLVER = PurePosixPath("/etc/resolv.conf")


def host_names(spec: NodeSpec) -> dict[PurePosixPath, str]:
    """Return the files of host names and resolver that Docker writes for a container without a network.

    Podman copies the host's own instead, and ignores `dns`. Empty for a container with a network.
    """
    node = spec.node
    if spec.beside or spec.network or node.network_mode == "host":
        return {}
    servers: tuple[str, ...] = ()
    if node.dns is not None:
        servers = (
            *(f"nameserver {server}\n" for server in node.dns.servers),
            *([f"search {' '.join(node.dns.search)}\n"] if node.dns.search else []),
            *([f"options {' '.join(node.dns.options)}\n"] if node.dns.options else []),
        )
    files = {HOSTS: LOCALHOST, _RESOLVER: "".join(servers)}
    taken = {mount.target for mount in spec.mounts} | {PurePosixPath(bind.split(":")[1]) for bind in node.binds}
    return {target: text for target, text in files.items() if target not in taken}


def write_host_names(spec: NodeSpec) -> list[str]:
    """Write the files of `host_names` beside the node's own; return their mounts, as `binds` has them."""
    binds = []
    for target, text in host_names(spec).items():
        file = Path(node_files(spec.directory, spec.node.name), *target.parts[1:])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644)
        binds.append(f"{file}:{target}:rw")
    return binds


def is_name_taken(error: Exception) -> bool:
    """Return whether a container was refused because of its name, for which Podman has no status of its own."""
    why = str(getattr(error, "explanation", ""))
    return "container name" in why and "already in use" in why


def has_ended(pid: int) -> bool:
    """Return whether the process of an exec has ended: of a detached one Podman says until the end that it runs."""
    return pid > 0 and not Path("/proc", str(pid)).exists()
