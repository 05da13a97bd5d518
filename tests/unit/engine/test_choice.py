"""Which engine a command uses: the one that is named, Docker where root can use it, crun elsewhere."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lab import engine
from lab.core.errors import EnvironmentBroken, InputError


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Which engines can be opened; the fake ones have nothing but a name."""
    can = {"docker": True, "crun": True}

    def open_one(name: str) -> SimpleNamespace:
        if not can[name]:
            raise EnvironmentBroken(f"{name} does not answer")
        return SimpleNamespace(name=name)

    monkeypatch.setattr(engine, "_open", open_one)
    monkeypatch.setattr("lab.host.oci_runtime.is_installed", lambda: can["crun"])
    monkeypatch.setattr("lab.core.places.host_uid", lambda: 0)
    monkeypatch.setattr("lab.host.docker_engine.is_absent", lambda _: False)
    for name in ("DOCKER_HOST", engine.ENVIRONMENT):
        monkeypatch.delenv(name, raising=False)
    return can


def test_root_uses_docker_where_it_answers(opened: dict[str, bool]) -> None:
    assert engine.open_engine().name == "docker"
    opened["docker"] = False
    assert engine.open_engine().name == "crun"
    opened["crun"] = False
    with pytest.raises(EnvironmentBroken, match="docker does not answer"):
        engine.open_engine()


def test_ordinary_user_uses_crun(opened: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.core.places.host_uid", lambda: 1000)
    assert engine.open_engine().name == "crun"
    opened["crun"] = False
    assert engine.open_engine().name == "docker"


def test_host_without_any_engine_is_told_what_installs_one(
    opened: dict[str, bool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened.update(docker=False, crun=False)
    monkeypatch.setattr("lab.host.docker_engine.is_absent", lambda _: True)
    monkeypatch.setattr("lab.host.oci_runtime._SYSTEM", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentBroken, match=r"no Docker .*`apt-get install crun` as root, or `make lab-up`"):
        engine.open_engine()


def test_unknown_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(engine.ENVIRONMENT, "rocket")
    with pytest.raises(InputError, match="unknown engine 'rocket'"):
        engine.open_engine()


@pytest.mark.parametrize("uid", [0, 1000])
def test_engine_of_docker_host_is_not_replaced(
    opened: dict[str, bool], monkeypatch: pytest.MonkeyPatch, uid: int
) -> None:
    monkeypatch.setattr("lab.core.places.host_uid", lambda: uid)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert engine.open_engine().name == "docker"
    opened["docker"] = False
    with pytest.raises(EnvironmentBroken, match="docker does not answer"):
        engine.open_engine()


def test_name_goes_before_the_environment(opened: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(engine.ENVIRONMENT, "crun")
    assert engine.open_engine().name == "crun"
    assert engine.open_engine("docker").name == "docker"
