"""`python -m bootstrap.cluster`: the files that the hosts of topologies/cluster.clab.yml mount, in `.venv/cluster`.

`packages` has the packages of requirements.lock that the lab needs on such a host, for the Python of its image;
`images` is the directory of unpacked images of this host, with those of the nodes; in `ssh` the first host makes keys.
"""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lab.core.errors import EnvironmentBroken, LabError
from lab.core.places import data_directory
from lab.image import NODE_IMAGE, VERSIONS, store

NAME = "openvpn-routing-lab"
EXTRAS = ("cluster", "measure")
PYTHON = "3.13"
"""The Python of images/cluster, which is Debian trixie's."""
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux_2_5", "manylinux1")
_PATIENCE = 900


def main() -> int:
    """Prepare the directory; return the exit code."""
    checkout = Path(__file__).parents[1]
    try:
        prepare(checkout, checkout / ".venv" / "cluster")
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def prepare(checkout: Path, directory: Path) -> None:
    """Write packages and images into `directory`, and make that of the keys; raises `EnvironmentBroken`."""
    directory.mkdir(exist_ok=True)
    (directory / "ssh").mkdir(mode=0o700, exist_ok=True)
    wanted = "".join(locked((checkout / "requirements.lock").read_text()))
    list_, packages = directory / "requirements.txt", directory / "packages"
    if not list_.exists() or list_.read_text() != wanted:
        print(f"installing the lab's packages for Python {PYTHON} into {directory}", flush=True)
        fresh = directory / "packages.new"
        shutil.rmtree(fresh, ignore_errors=True)
        (directory / "requirements.new").write_text(wanted)
        _install(directory / "requirements.new", fresh)
        _describe(fresh)
        shutil.rmtree(packages, ignore_errors=True)
        fresh.rename(packages)
        (directory / "requirements.new").rename(list_)
    for version in VERSIONS:
        store.unpacked(store.provide_unpacked(f"{NODE_IMAGE}:{version}", lambda text: print(text, flush=True)))
    images = directory / "images"
    if images.is_dir() and not images.is_symlink():
        images.rmdir()  # an engine has made it for a bind
    images.unlink(missing_ok=True)
    images.symlink_to(data_directory() / "images")


def locked(lock: str) -> Iterator[str]:
    """Yield the entries of requirements.lock that the lab and `EXTRAS` need on a host with `PYTHON`."""
    environment = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
    needed = _closure(environment)
    for entry in lock.replace("\n    --hash", " --hash").splitlines(keepends=True):
        text, *_ = entry.replace(" \\", "").partition(" --hash")
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        requirement = Requirement(text.strip())
        applies = requirement.marker is None or requirement.marker.evaluate(environment)
        if canonicalize_name(requirement.name) in needed and applies:
            yield entry.replace(" \\", "")


def _closure(environment: dict[str, str]) -> set[str]:
    """Return the names of the lab's dependencies, as the packages here declare them, which are those of the lock."""
    found: set[str] = set()
    todo: list[tuple[str, tuple[str, ...]]] = [(NAME, EXTRAS)]
    while todo:
        name, extras = todo.pop()
        for text in distribution(name).requires or []:
            needed = Requirement(text)
            wanted = needed.marker is None or any(
                needed.marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)
            )
            if wanted and canonicalize_name(needed.name) not in found:
                found.add(canonicalize_name(needed.name))
                todo.append((needed.name, tuple(needed.extras)))
    return found


def _install(requirements: Path, target: Path) -> None:
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    argv += ["--require-hashes", "--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}"]
    argv += [f"--platform={name}_{platform.machine()}" for name in _PLATFORMS]
    argv += ["--target", str(target), "-r", str(requirements)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EnvironmentBroken(f"the packages of a cluster's hosts cannot be installed into {target}: {why}")


def _describe(packages: Path) -> None:
    """Write the lab's own metadata, by which its modes and daemons are found; its code is that of the checkout."""
    found = distribution(NAME)
    into = packages / f"{NAME.replace('-', '_')}-{found.version}.dist-info"
    into.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        (into / name).write_text(found.read_text(name) or "")


if __name__ == "__main__":
    sys.exit(main())
