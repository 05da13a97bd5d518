"""The OCI runtime of this host."""

from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken
from lab.host import oci_runtime


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs, the only one that is searched; its host has control groups of version 2 only."""
    for place in ("bin", "sbin"):
        (tmp_path / place).mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(oci_runtime, "_SYSTEM", (str(tmp_path / "sbin"),))
    monkeypatch.setattr(oci_runtime, "_HYBRID", tmp_path / "unified")
    return tmp_path


def install(directory: Path, place: str, name: str) -> str:
    program = directory / place / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(program)


def test_crun_is_preferred(programs: Path) -> None:
    install(programs, "bin", "runc")
    crun = install(programs, "bin", "crun")
    assert oci_runtime.oci_runtime() == crun


def test_runtime_outside_an_ordinary_users_path_is_found(programs: Path) -> None:
    runc = install(programs, "sbin", "runc")
    assert oci_runtime.oci_runtime() == runc
    assert oci_runtime.is_installed()


def test_crun_is_not_used_beside_control_groups_of_both_versions(programs: Path) -> None:
    (programs / "unified").mkdir()
    install(programs, "bin", "crun")
    with pytest.raises(EnvironmentBroken, match="apt-get install runc"):
        oci_runtime.oci_runtime()
    runc = install(programs, "bin", "runc")
    assert oci_runtime.oci_runtime() == runc


def test_missing_runtime_is_told_with_the_remedy(programs: Path) -> None:
    assert not oci_runtime.is_installed()
    with pytest.raises(EnvironmentBroken, match="neither crun nor runc is installed: run `apt-get install crun`"):
        oci_runtime.oci_runtime()
