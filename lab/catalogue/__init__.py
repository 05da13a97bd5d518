"""The installed topologies by name, and the modes, daemons and images that a topology can use.

Names are imported when they are first used: the shell's completion asks only for `topology_names`.
"""

from typing import TYPE_CHECKING

from lab.core.lazy import lazy_exports

if TYPE_CHECKING:
    from lab.catalogue.reader import load, vocabulary
    from lab.catalogue.schema import SCHEMAS, topology_schema
    from lab.catalogue.topologies import find_topology, topologies_dir, topology_names

__all__ = [
    "SCHEMAS",
    "find_topology",
    "load",
    "topologies_dir",
    "topology_names",
    "topology_schema",
    "vocabulary",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "lab.catalogue.reader": ("load", "vocabulary"),
            "lab.catalogue.schema": ("SCHEMAS", "topology_schema"),
            "lab.catalogue.topologies": ("find_topology", "topologies_dir", "topology_names"),
        },
    )
