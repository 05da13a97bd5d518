"""The three networks of `topologies/networks`: their hosts, and which packets their faults lose."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from lab.catalogue import load
from lab.catalogue.topologies import topologies_dir
from lab.importer import Import, import_hosts
from lab.topology import Prefix, Topology

NETWORKS = topologies_dir() / "networks"


@dataclass(frozen=True)
class Network:
    """A network, with echo requests as pairs of a node and an address."""

    name: str
    hosts: tuple[str, ...]
    passes: tuple[tuple[str, str], ...]
    """They are answered with the fault and without."""
    lost: tuple[tuple[str, str], ...]
    """They are answered only when the fault is mended."""
    believed: Mapping[str, tuple[Prefix, ...]]
    """The prefixes in each node's FIB whose packets are lost all the same."""
    missing: Mapping[str, tuple[Prefix, ...]]
    """The prefixes that come into each node's FIB only when the fault is mended."""

    def imported(self, directory: Path) -> Import:
        """Import the hosts, whose directories are below `directory`."""
        hosts = {host: directory / self.name / host for host in self.hosts}
        return import_hosts(hosts, directory / f"{self.name}.clab.yml")

    def copy(self, directory: Path) -> Path:
        """Copy the files and the topology into a directory, and return the topology."""
        shutil.copytree(NETWORKS / self.name, directory / self.name)
        shutil.copy(NETWORKS / f"{self.name}.clab.yml", directory)
        return directory / f"{self.name}.clab.yml"

    def changed(self, directory: Path, file: str, *changes: tuple[str, str]) -> Topology:
        """Read the network with changes in one of its files, each a pair of old and new text."""
        directory.mkdir(exist_ok=True)
        path = self.copy(directory)
        text = (directory / self.name / file).read_text()
        for old, new in changes:
            assert old in text, f"{file} has no {old!r} any more"
            text = text.replace(old, new)
        (directory / self.name / file).write_text(text)
        return load(path)

    def mend(self, directory: Path) -> None:
        """Replace the files by the mended ones."""
        shutil.copytree(directory / self.name / "mended", directory / self.name, dirs_exist_ok=True)


def _prefixes(*texts: str) -> tuple[Prefix, ...]:
    return tuple(ip_network(text) for text in texts)


BRANCH_VPN = Network(
    "branch-vpn",
    ("hub", "north", "south"),
    passes=(
        ("hub-lan", "10.20.0.10"),
        ("hub-lan", "10.30.0.10"),
        ("south-lan", "10.20.0.10"),
        ("north-lan", "10.10.0.10"),
    ),
    lost=(("hub-lan", "10.21.0.10"), ("south-lan", "10.21.0.10"), ("north-lan2", "10.10.0.10")),
    believed={"hub": _prefixes("10.21.0.0/24"), "south": _prefixes("10.21.0.0/24")},
    missing={},
)
DN42 = Network(
    "dn42",
    ("alder", "birch"),
    passes=(("alder-lan", "fd42:102::10"), ("birch-lan", "fd42:101::10")),
    lost=(("alder-lan", "172.20.102.10"), ("birch-lan", "172.20.101.10")),
    believed={},
    missing={"alder": _prefixes("172.20.102.0/27"), "birch": _prefixes("172.20.101.0/27")},
)
ROADWARRIORS = Network(
    "roadwarriors",
    ("hub", "east", "west", "laptop"),
    passes=(
        ("laptop", "10.8.0.1"),
        ("laptop", "10.41.0.10"),
        ("laptop", "fd00:41::10"),
        ("laptop", "10.42.0.10"),
        ("east-lan", "10.42.0.10"),
        ("east-lan", "fd00:42::10"),
        ("west-lan", "10.41.0.10"),
    ),
    lost=(
        ("laptop", "10.40.0.10"),
        ("laptop", "fd00:40::10"),
        ("east-lan", "10.40.0.10"),
        ("east-lan", "fd00:40::10"),
        ("west-lan", "10.40.0.10"),
        ("hub-lan", "10.41.0.10"),
        ("hub-lan", "fd00:42::10"),
    ),
    believed={
        "east": _prefixes("10.40.0.0/24", "fd00:40::/64"),
        "west": _prefixes("10.40.0.0/24"),
        "hub": _prefixes("10.41.0.0/24", "fd00:42::/64"),
    },
    missing={},
)
ALL = (BRANCH_VPN, DN42, ROADWARRIORS)
