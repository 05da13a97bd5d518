"""When packages are installed: every combination of privileges."""

import os
from itertools import product

import pytest

from bootstrap import packages
from bootstrap.packages import Privileges
from lab.core.errors import EnvironmentBroken

TABLE = [Privileges(*row) for row in product([True, False], repeat=4)]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would be run, all successful."""
    commands: list[list[str]] = []

    def run(argv: list[str], output: int) -> int:
        commands.append(argv)
        return 0

    monkeypatch.setattr(packages, "_run", run)
    return commands


@pytest.mark.parametrize("privileges", TABLE)
def test_install_runs_only_if_allowed_and_possible(privileges: Privileges, ran: list[list[str]]) -> None:
    said: list[str] = []
    if privileges.apt and privileges.allowed and (privileges.root or privileges.sudo):
        packages.install(["docker.io"], "for a Docker engine", said.append, privileges)
        assert "docker.io" in said[0]
        assert [argv[0] for argv in ran] == ["env" if privileges.root else "sudo"] * 2
        assert ran[-1][-1] == "docker.io"
    else:
        with pytest.raises(EnvironmentBroken) as caught:
            packages.install(["docker.io"], "for a Docker engine", said.append, privileges)
        assert "docker.io" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert ran == []
        assert said == []


@pytest.mark.parametrize(
    ("privileges", "word"),
    [
        (Privileges(root=True, sudo=True, apt=False, allowed=True), "no apt-get"),
        (Privileges(root=True, sudo=True, apt=True, allowed=False), "LAB_NO_INSTALL"),
        (Privileges(root=False, sudo=False, apt=True, allowed=True), "without root or sudo"),
    ],
)
def test_refusal_names_the_reason(privileges: Privileges, word: str) -> None:
    refusal = privileges.refusal(["docker.io"], "for a Docker engine")
    assert refusal is not None
    assert word in refusal


@pytest.mark.parametrize(("value", "allowed"), [(None, True), ("", True), ("0", True), ("1", False), ("yes", False)])
def test_lab_no_install_forbids_installing(value: str | None, allowed: bool) -> None:
    environment = {} if value is None else {"LAB_NO_INSTALL": value}
    assert Privileges.here(environment).allowed is allowed


def test_failed_installation_quotes_apt(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def run(argv: list[str], output: int) -> int:
        os.write(output, b"Reading package lists...\nE: Unable to locate package docker.io\n")
        return 100

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("tmp")))
    monkeypatch.setattr(packages, "_run", run)
    privileges = Privileges(root=True, sudo=False, apt=True, allowed=True)
    with pytest.raises(EnvironmentBroken, match="E: Unable to locate package"):
        packages.install(["docker.io"], "for a Docker engine", lambda _: None, privileges)
