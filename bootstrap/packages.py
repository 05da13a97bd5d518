"""Install Debian packages, if that is allowed and possible, and announce it first."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.core.errors import EnvironmentBroken
from lab.core.progress import Say

APT_PATIENCE = 900
"""Seconds for one installation, from a slow mirror too."""


@dataclass(frozen=True)
class Privileges:
    """The privileges of this process on this host."""

    root: bool
    sudo: bool
    apt: bool
    allowed: bool
    """False if LAB_NO_INSTALL is set to anything but an empty value or 0."""

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> "Privileges":
        """Return the privileges of this process."""
        return cls(
            root=os.geteuid() == 0,
            sudo=shutil.which("sudo") is not None,
            apt=shutil.which("apt-get") is not None,
            allowed=environment.get("LAB_NO_INSTALL", "") in ("", "0"),
        )

    def refusal(self, packages: Sequence[str], purpose: str) -> str | None:
        """Return in one sentence why the packages cannot be installed and how to get them, or None."""
        names = " ".join(packages)
        missing = f"{' and '.join(packages)} {'is' if len(packages) == 1 else 'are'} needed {purpose}"
        command = f"run `apt-get install {names}` as root"
        if not self.apt:
            return f"{missing}, and this host has no apt-get: install it with this system's own tools"
        if not self.allowed:
            return f"{missing}, and LAB_NO_INSTALL forbids to install it: {command}"
        if not (self.root or self.sudo):
            return f"{missing}, and without root or sudo it cannot be installed from here: {command}"
        return None

    def as_root(self, argv: Sequence[str]) -> list[str]:
        """Return a command that runs `argv` as root."""
        return list(argv) if self.root else ["sudo", *argv]


def install(packages: Sequence[str], purpose: str, say: Say, privileges: Privileges | None = None) -> None:
    """Install Debian's packages and say so first; `purpose` is e.g. "to make the base image".

    Raises `EnvironmentBroken` with one sentence if that is forbidden, impossible or fails.
    """
    privileges = privileges or Privileges.here()
    if refusal := privileges.refusal(packages, purpose):
        raise EnvironmentBroken(refusal)
    names = " ".join(packages)
    say(f"installing {names} with apt {purpose} (LAB_NO_INSTALL=1 forbids it)")
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]
    with tempfile.NamedTemporaryFile(prefix="openvpn-routing-lab-apt-", suffix=".log", delete=False) as log:
        # `update` fails if one of many sources does not answer: only the result of the installation counts.
        _run(privileges.as_root([*apt, "update"]), log.fileno())
        code = _run(privileges.as_root([*apt, "install", "-y", "--no-install-recommends", *packages]), log.fileno())
    if code:
        raise EnvironmentBroken(f"apt-get install {names} ended with {code}: {_error(Path(log.name))}")
    Path(log.name).unlink()


def _run(argv: list[str], output: int) -> int:
    try:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=APT_PATIENCE, check=False
        ).returncode
    except subprocess.TimeoutExpired as error:
        raise EnvironmentBroken(f"`{' '.join(argv)}` did not end within {APT_PATIENCE} s") from error


def _error(log: Path) -> str:
    errors = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("E: ")]
    return f"{errors[0] if errors else 'no reason given'} (output in {log})"
