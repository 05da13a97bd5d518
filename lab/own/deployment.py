"""Write the user's own files, and what the lab issues in their place, below the nodes' directories."""

from collections.abc import Mapping
from pathlib import Path

from lab.core.errors import InputError
from lab.core.files import write_below
from lab.own.hostfiles import MAX_COPIED
from lab.topology import Topology
from lab.topology.own import NodeFile
from lab.tunnel.pki import Authority


def write_files(topology: Topology, authority: Authority, roots: Mapping[str, Path]) -> None:
    """Write the files of all processes, routers and rulesets of the user's below each node's directory."""
    for process in topology.processes:
        for file in process.files:
            write_file(file, roots[process.node])
    if topology.processes:
        from lab.own.issuing import issue  # with the readers of OpenVPN's configurations

        issue(topology, authority, roots)
    for router in topology.own_routers.values():
        for file in router.files:
            write_file(file, roots[router.node])
    for ruleset in topology.rulesets:
        for file in ruleset.files:
            write_file(file, roots[ruleset.node])


def write_file(file: NodeFile, root: Path) -> None:
    """Write one file below a node's directory; raises `InputError` if the user's file has disappeared."""
    if file.source is None:
        content = (file.text or "").encode()
    else:
        try:
            with file.source.open("rb") as source:
                content = source.read(MAX_COPIED + 1)
        except OSError as error:
            raise InputError(f"{file.given or file.source}: {error.strerror}: the file was there before") from error
    if file.commented or file.replaced:
        lines = content.split(b"\n")
        for number in file.commented:
            lines[number - 1] = b"#" + lines[number - 1]
        for number, line in file.replaced.items():
            lines[number - 1] = line.encode()
        content = b"\n".join(lines)
    write_below(root, file.path, content, file.mode)
