"""The versions of OpenVPN and the routing daemons in a lab's nodes."""

from collections.abc import Iterable, Mapping

from lab.routing import daemons
from lab.runtime.lab import Lab


def installed(labs: Iterable[Lab]) -> Mapping[str, str]:
    """Return the version of each Debian package in the nodes, joined if they differ; none of an image without dpkg."""
    nodes = {instance.digest: (lab, instance.node) for lab in labs for instance in lab.nodes.values()}
    packages = ("openvpn", *dict.fromkeys(daemon.package for daemon in daemons().values()))
    versions: dict[str, set[str]] = {}
    for lab, node in nodes.values():
        result = lab.node(node).exec("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages)
        for program, _, version in (line.partition(" ") for line in result.stdout.splitlines() if " " in line):
            versions.setdefault(program, set()).add(version)
    return {program: ", ".join(sorted(found)) for program, found in sorted(versions.items())}
