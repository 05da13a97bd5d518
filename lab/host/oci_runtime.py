"""The OCI runtime of this host: crun, or runc."""

import os
import shutil
import subprocess
from pathlib import Path

from lab.core.errors import EnvironmentBroken

RUNTIMES = ("crun", "runc")
"""In the order of preference."""
_HYBRID = Path("/sys/fs/cgroup/unified")
"""Where version 2 of control groups is mounted beside version 1, which crun refuses."""
_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Directories that an ordinary user's PATH may lack."""
_PATIENCE = 30


def oci_runtime() -> str:
    """Return the path of the runtime to use; raises `EnvironmentBroken` if there is none."""
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM))
    found = {name: path for name in RUNTIMES if (path := shutil.which(name, path=places))}
    if _HYBRID.exists() and "crun" in found:
        if "runc" not in found:
            raise EnvironmentBroken(
                "crun does not run beside control groups of version 1 and 2 at once, as this host has them: "
                "run `apt-get install runc` as root"
            )
        del found["crun"]
    if not found:
        raise EnvironmentBroken("neither crun nor runc is installed: run `apt-get install crun` as root")
    return next(iter(found.values()))


def runtime_version() -> str:
    """Return the name and version of the runtime, e.g. `crun 1.21`; raises `EnvironmentBroken` if there is none."""
    path = oci_runtime()
    try:
        done = subprocess.run(
            [path, "--version"], check=True, capture_output=True, text=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentBroken(f"{path} does not run: {error}") from error
    return done.stdout.splitlines()[0].replace(" version ", " ")


def package() -> str:
    """Return the Debian package of a runtime that this host can use."""
    return "runc" if _HYBRID.exists() else "crun"


def is_installed() -> bool:
    """Return whether a runtime is installed that this host can use."""
    try:
        oci_runtime()
    except EnvironmentBroken:
        return False
    return True
