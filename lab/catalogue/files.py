"""The files that come with the lab and are not Python: the image's build context and the topologies.

They live at the top of the repository, where a reader looks for them; `lab/images` and `lab/topologies` are
symbolic links to them. A wheel holds the links' contents at the same place, so one path serves both.
"""

from pathlib import Path

from lab.core.errors import InputError

_HERE = Path(__file__).parents[1]
_SUFFIX = ".clab.yml"


def topologies_dir() -> Path:
    """The directory of the topologies that come with the lab."""
    return (_HERE / "topologies").resolve()


def topology_names() -> list[str]:
    """The names that `find_topology` knows, sorted."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in topologies_dir().glob(f"*{_SUFFIX}"))


def find_topology(name_or_path: str | Path) -> Path:
    """The file of a topology, given as a path or as the name of one that comes with the lab (`article`).

    An existing file wins over a name. Raises `InputError`, with the names there are, when neither fits.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = topologies_dir() / f"{name_or_path}{_SUFFIX}"
    if path.name == str(name_or_path) and known.is_file():
        return known
    raise InputError(f"no topology {str(name_or_path)!r}: give a file, or one of {', '.join(topology_names())} by name")
