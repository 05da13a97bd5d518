"""The topologies that come with the lab.

They are in `topologies/` at the top of the repository; `lab/topologies` is a symbolic link to it. A wheel has the
files in `lab/topologies` itself, so that one path serves both.
"""

from pathlib import Path

from lab.core.errors import InputError

_LAB = Path(__file__).parents[1]
_SUFFIX = ".clab.yml"


def topologies_dir() -> Path:
    """Return the directory of the topologies that come with the lab."""
    return (_LAB / "topologies").resolve()


def topology_names() -> list[str]:
    """Return the names that `find_topology` knows, sorted."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in topologies_dir().glob(f"*{_SUFFIX}"))


def find_topology(name_or_path: str | Path) -> Path:
    """Return the file of a topology, given as a path or as the name of one that comes with the lab (`article`).

    An existing file takes precedence over a name. Raises `InputError` with all names if there is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = topologies_dir() / f"{name_or_path}{_SUFFIX}"
    if path.name == str(name_or_path) and known.is_file():
        return known
    raise InputError(f"no topology {str(name_or_path)!r}: give a file, or one of {', '.join(topology_names())} by name")
