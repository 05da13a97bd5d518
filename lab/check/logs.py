"""The log files of a node, and their lines from a moment on."""

from collections.abc import Mapping
from pathlib import Path

from lab.core.secrets import mask_secrets
from lab.runtime.lab import Lab


def log_files(lab: Lab, node: str) -> list[Path]:
    """Return the log files of a node: those that `lab logs` shows, and those of its OpenVPN processes."""
    found = set((lab.directory / "nodes" / node / "var/log").rglob("*.log"))
    processes = [end for tunnel in lab.tunnels.values() for end in (tunnel.server, tunnel.client)]
    processes += lab.lone_processes.values()
    found |= {process.log for process in processes if process.node.name == node and process.log.is_file()}
    return sorted(found)


def log_sizes(lab: Lab) -> dict[Path, int]:
    """Return the sizes of all log files of a lab."""
    return {file: file.stat().st_size for node in lab.topology.nodes for file in log_files(lab, node)}


def lines_with(file: Path, text: str, sizes: Mapping[Path, int] | None) -> list[str]:
    """Return the lines of a log that contain a text, from its size in `sizes` on; secrets are masked."""
    with file.open("rb") as stream:
        before = (sizes or {}).get(file, 0)
        stream.seek(before if before <= file.stat().st_size else 0)  # a log that was truncated begins again
        lines = stream.read().decode(errors="replace").splitlines()
    return [mask_secrets(line) for line in lines if text in line]
